"""Companies: the customers' organisations, read whole by the scroll."""

from connector.resources.readings import FullScan
from connector.resources.resource import (
    Attributes,
    Embedded,
    Link,
    Notified,
    Resource,
    Table,
    count,
    identifier,
    instant,
    json,
    mapping,
    money,
    text,
)

TABLE = Table(
    name="companies",
    types=("company",),
    attributes=Attributes("company"),
    comment="Companies. Intercom hides a company without users from its lists; it is not deleted.",
    columns=(
        identifier("id", "Intercom's id of the company"),
        identifier("company_id", "The customer's own id of the company; never changes"),
        identifier("app_id", "Code of the Intercom workspace"),
        text("name", "Name of the company"),
        instant("remote_created_at", "When the customer's own system created the company"),
        instant("created_at", "When Intercom created the company"),
        instant("updated_at", "When the company last changed at Intercom"),
        instant("last_request_at", "When someone of the company last used the product"),
        count("size", "Number of employees"),
        text("website", "Address of the company's website"),
        text("industry", "Industry"),
        money("monthly_spend", "Monthly spend in the customer's currency, whole units"),
        count("session_count", "Number of sessions of the company's users"),
        count("user_count", "Number of users attached to the company"),
        identifier("plan.id", "Id of the company's plan"),
        text("plan.name", "Name of the company's plan"),
        mapping("custom_attributes", "The company's custom attributes by their names"),
        json(
            "notes.data",
            "Notes on the company, as embedded by Intercom",
            name="notes",
            embeds=(Embedded("admins", "author"), Embedded("companies", "company")),
        ),
    ),
    links=(
        Link(
            table="company_tags",
            comment="Which tags are on which company; company_id is companies.id.",
            path="tags.tags|tags.data",
            owner="company_id",
            target="tag_id",
            refers_to="tags",
        ),
        Link(
            table="company_segments",
            comment="Which segments hold which company; company_id is companies.id.",
            path="segments.segments|segments.data",
            owner="company_id",
            target="segment_id",
            refers_to="segments",
        ),
    ),
    omits_unset=True,
    versioned=True,
)

COMPANIES = Resource(
    "companies",
    TABLE,
    FullScan(scroll="/companies/scroll", list="/companies/list"),
    by_id="/companies/{id}",
    notified=Notified(
        ("company",),
        (
            "company.created",
            "company.updated",
            "company.deleted",
            "company.contact.attached",
            "company.contact.detached",
        ),
    ),
)
