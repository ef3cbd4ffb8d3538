"""Contacts: users and leads, whose attributes, tags and companies can be written."""

from connector.push.kinds.field import Field, Key, Kind, Type
from connector.resources.declarations.contacts import TABLE

CONTACTS = Kind(
    "contacts",
    TABLE,
    keys=(
        Key("id", "object_id", "id"),
        Key("external_id", "external_id", "external_id"),
        Key("email", "email", "email", Type.EMAIL),
    ),
    fields=(
        Field("external_id", Type.ID),
        Field("role", Type.TEXT, bulk=False),
        Field("email", Type.EMAIL),
        Field("phone", Type.PHONE),
        Field("name", Type.TEXT),
        Field("avatar", Type.TEXT, column="avatar_image_url", shown=("avatar", "image_url")),
        Field("owner_id", Type.ID),
        Field("language_override", Type.TEXT),
        Field("unsubscribed_from_emails", Type.FLAG),
        Field("signed_up_at", Type.INSTANT, bulk=False),
        Field("last_seen_at", Type.INSTANT, bulk=False),
    ),
    ops=("upsert", "update", "create", "archive", "delete"),
    custom=True,
    lists=("tags", "companies"),
)
