"""The rights that a push needs of its role, by table: no more than ``<schema>_push`` has.

Models need SELECT on what they name, besides.
"""

from connector.warehouse.schema.relations import VERSION_TABLE

READ = (
    VERSION_TABLE,
    "companies",
    "company_tags",
    "contact_companies",
    "contact_merges",
    "contact_tags",
    "contacts",
    "custom_columns",
    "data_attributes",
    "sync_exclusions",
    "sync_forgotten",
    "sync_state",
    "sync_workspace",
    "tags",
)
WRITTEN = ("outbox", "push_digests", "push_jobs", "sync_inbox")

RIGHTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(READ, ("SELECT",)),
    **dict.fromkeys(WRITTEN, ("SELECT", "INSERT", "UPDATE")),
}
