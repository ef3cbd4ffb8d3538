"""Companies: created or updated by the customer's own id, which never changes."""

from connector.push.kinds.field import Field, Key, Kind, Type
from connector.resources.declarations.companies import TABLE

COMPANIES = Kind(
    "companies",
    TABLE,
    keys=(
        Key("id", "object_id", "id"),
        Key("company_id", "external_id", "company_id"),
    ),
    fields=(
        Field("name", Type.TEXT),
        Field("plan", Type.TEXT, column="plan_name", shown=("plan", "name")),
        Field("size", Type.INTEGER),
        Field("website", Type.TEXT),
        Field("industry", Type.TEXT),
        Field("monthly_spend", Type.INTEGER),
        Field("remote_created_at", Type.INSTANT),
    ),
    ops=("upsert", "update", "create", "archive", "delete"),
    custom=True,
    lists=("tags",),
    passed=("company_id", "update_last_request_at"),
)
