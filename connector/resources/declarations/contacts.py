"""Contacts: leads and users, two resources in one table, searched by whole days."""

from connector.resources.readings import Activities, Granularity, PerContact, Search
from connector.resources.resource import (
    Attributes,
    Child,
    Column,
    Complete,
    DerivedRows,
    Kind,
    Link,
    Notified,
    Resource,
    Table,
    count,
    flag,
    identifier,
    instant,
    json,
    mapping,
    personal,
    text,
    url,
)


def _mobile(system: str, title: str) -> tuple[Column, ...]:
    """What Intercom knows of a contact's use of the customer's app on one mobile system."""
    return (
        *personal(
            "id",
            text(f"{system}_app_name", f"Name of the {title} app last used"),
            text(f"{system}_app_version", f"Version of the {title} app last used"),
            text(f"{system}_device", f"Device on which the {title} app was last used"),
            text(f"{system}_os_version", f"Version of {title} on that device"),
            text(f"{system}_sdk_version", f"Version of Intercom's SDK in the {title} app"),
        ),
        instant(f"{system}_last_seen_at", f"When the contact last used the {title} app"),
    )


NOTES = Table(
    name="contact_notes",
    comment="Notes that admins wrote on contacts.",
    columns=(
        identifier("id", "Intercom's id of the note"),
        identifier("author.id", "Admin who wrote the note", refers_to="admins"),
        *personal("contact_id", text("body", "Text of the note as HTML")),
        instant("created_at", "When the note was written"),
    ),
    repeats=("contact",),
)

MERGES = Table(
    name="contact_merges",
    comment="Which contact was merged into which. The source is deleted; its conversations, events"
    " and notes are the target's. Targets can be merged on: contact_identities follows the chain.",
    columns=(
        identifier("source_contact_id", "Contact that was merged away", refers_to="contacts"),
        identifier("target_contact_id", "Contact that it was merged into", refers_to="contacts"),
        text("source_contact_role", "Role of the source at the merge, where Intercom tells"),
        instant("merged_at", "When they were merged, where Intercom tells"),
    ),
    key=("source_contact_id",),
    tombstone=("source_contact_id", "merged_at"),
)

TABLE = Table(
    name="contacts",
    types=("contact", "user", "lead"),
    attributes=Attributes("contact"),
    comment="Leads and users, told apart by role. Changes of notes, segments and subscriptions"
    " do not move updated_at.",
    columns=(
        identifier("id", "Intercom's id of the contact"),
        identifier("workspace_id", "Code of the Intercom workspace"),
        *personal(
            "id",
            identifier("external_id", "The customer's own id of the user; null for most leads"),
        ),
        text("role", "user or lead"),
        *personal(
            "id",
            text("email", "Email address; not unique in old data and among leads"),
            text("email_domain", "Domain part of the email address"),
            text("phone", "Phone number"),
            text("formatted_phone", "Phone number in international form; Preview sends it"),
            text("name", "Full name, HTML-escaped as Intercom sends it"),
            url("avatar.image_url", "Address of the avatar image"),
        ),
        Column(
            "owner_id",
            Kind.ID,
            "Admin who owns the contact; null when nobody does",
            refers_to="admins",
            zero_is_null=True,
        ),
        *personal(
            "id",
            json(
                "social_profiles.data", "Social profiles, a list of objects", name="social_profiles"
            ),
        ),
        flag("has_hard_bounced", "Whether an email to the contact bounced for good"),
        flag("marked_email_as_spam", "Whether the contact marked an email as spam"),
        flag("unsubscribed_from_emails", "Whether the contact is unsubscribed from emails"),
        flag("unsubscribed_from_sms", "Whether the contact is unsubscribed from text messages"),
        flag("sms_consent", "Whether the contact agreed to text messages"),
        flag("enabled_push_messaging", "Whether the contact accepts push messages"),
        instant("created_at", "When the contact was created at Intercom"),
        instant("updated_at", "When the contact last changed at Intercom"),
        instant("signed_up_at", "When the contact signed up, as the customer reported"),
        instant("last_seen_at", "When the contact was last seen"),
        instant("last_replied_at", "When the contact last replied"),
        instant("last_contacted_at", "When the contact was last contacted"),
        instant("last_email_opened_at", "When the contact last opened an email"),
        instant("last_email_clicked_at", "When the contact last clicked a link in an email"),
        *personal(
            "id",
            text("language_override", "Language set for the contact in the Messenger"),
            text("browser", "Browser last used"),
            text("browser_version", "Version of that browser"),
            text("browser_language", "Language of that browser"),
            text("os", "Operating system last used"),
            text("location.country", "Country"),
            text("location.country_code", "ISO code of the country, three letters"),
            text("location.continent_code", "Code of the continent, two letters"),
            text("location.region", "Region"),
            text("location.city", "City"),
        ),
        *_mobile("android", "Android"),
        *_mobile("ios", "iOS"),
        *personal(
            "id",
            text("utm_campaign", "UTM campaign of the first visit"),
            text("utm_content", "UTM content of the first visit"),
            text("utm_medium", "UTM medium of the first visit"),
            text("utm_source", "UTM source of the first visit"),
            text("utm_term", "UTM term of the first visit"),
            text("referrer", "Page that led to the first visit"),
            mapping("custom_attributes", "The contact's custom attributes by their names"),
        ),
        count("notes.total_count", "Number of notes on the contact, as Intercom counts them"),
    ),
    links=(
        Link(
            table="contact_tags",
            comment="Which tags are on which contact.",
            path="tags.data|tags.tags",
            owner="contact_id",
            target="tag_id",
            refers_to="tags",
            columns=(
                instant("applied_at", "When the tag was applied, where Intercom tells"),
                identifier("applied_by.id", "Id of who applied the tag, where Intercom tells"),
                text("applied_by.type", "Kind of who applied the tag, where Intercom tells"),
            ),
            complete=Complete("/contacts/{id}/tags", searched="tag_id"),
        ),
        Link(
            table="contact_companies",
            comment="Which companies a contact belongs to.",
            path="companies.data|companies.companies",
            owner="contact_id",
            target="company_id",
            refers_to="companies",
            complete=Complete("/contacts/{id}/companies", numbered=True, counted="user_count"),
        ),
        Link(
            table="contact_subscriptions",
            comment="Explicit choices of contacts: opt-out types opted out of, opt-in types opted"
            " in to.",
            path="subscriptions.complete",  # read beside the contact
            halves=("opted_out_subscription_types.data", "opted_in_subscription_types.data"),
            owner="contact_id",
            target="subscription_type_id",
            refers_to="subscription_types",
            complete=Complete("/contacts/{id}/subscriptions"),
        ),
    ),
    children=(
        Child(
            NOTES,
            "notes.complete",  # read beside the contact
            "contact_id",
            permanent=True,
        ),
    ),
    repeats=("notes.data",),
    cut_by="created_at",
    versioned=True,
    derived=(
        DerivedRows(
            MERGES, "merge_history", owner="target_contact_id", subject="source_contact_id"
        ),
    ),
)


NOTIFIED = Notified(
    ("contact", "user", "lead", "visitor"),
    (
        "contact.user.created",
        "contact.user.updated",
        "contact.lead.created",
        "contact.lead.updated",
        "contact.lead.added_email",
        "contact.lead.signed_up",
        "contact.email.updated",
        "contact.archived",
        "contact.unarchived",
        "contact.deleted",
        "contact.merged",
        "contact.subscribed",
        "contact.unsubscribed",
        "contact.user.tag.created",
        "contact.user.tag.deleted",
        "contact.lead.tag.created",
        "contact.lead.tag.deleted",
        "granular.subscribe",
        "granular.unsubscribe",
        "visitor.signed_up",
    ),
)


def _role(name: str, role: str) -> Resource:
    return Resource(
        name,
        TABLE,
        Search("/contacts/search", "data", Granularity.DAY, (("role", "=", role),)),
        by_id="/contacts/{id}",
        discriminator=(("role", role),),
        params=(("include_merge_history", "true"),),
        notified=NOTIFIED,
    )


LEADS = _role("leads", "lead")
USERS = _role("users", "user")

CONTACT_NOTES = Resource(
    "contact_notes",
    TABLE,
    PerContact(
        "/contacts/{id}/notes",
        numbered=True,
        within="notes.complete",
        counted=("contact_notes", "contact_id", "notes_total_count"),
    ),
)
CONTACT_SUBSCRIPTIONS = Resource(
    "contact_subscriptions",
    TABLE,
    PerContact("/contacts/{id}/subscriptions", within="subscriptions.complete", embedded=True),
    notified=Notified(("subscription_types",), keys=("contact.id",), beside=True),
)
CONTACT_MERGES = Resource(
    "contact_merges",
    MERGES,
    Activities(
        "/contacts/activities",
        version="Preview",
        deleted="contact.deleted",
        merged="contact.merged",
        row=(
            ("source_contact_id", "merge_source_id"),
            ("target_contact_id", "merge_target_id"),
            ("merged_at", "created_at"),
        ),
    ),
    early_signal_of=("leads", "users"),
)
