"""Events: something that a contact did, in a second; it can only be created."""

from connector.push.kinds.field import Field, Key, Kind, Type

EVENTS = Kind(
    "events",
    None,
    keys=(
        Key("id", "object_id", "id"),
        Key("external_id", "external_id", "external_id"),
        Key("email", "email", "email", Type.EMAIL),
    ),
    fields=(
        Field("event_name", Type.TEXT),
        Field("created_at", Type.INSTANT),
    ),
    ops=("create",),
    passed=("metadata",),
)
