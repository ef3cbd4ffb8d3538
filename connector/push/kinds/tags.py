"""Tags by themselves: created, renamed or deleted; on contacts they are part of the contact."""

from connector.push.kinds.field import Field, Key, Kind, Type
from connector.resources.declarations.tags import TABLE

TAGS = Kind(
    "tags",
    TABLE,
    keys=(Key("id", "object_id", "id"),),
    fields=(Field("name", Type.TEXT),),
    ops=("upsert", "update", "create", "delete"),
)
