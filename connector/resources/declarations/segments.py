"""Segments: the saved groups of contacts or companies that Intercom computes."""

from connector.resources.readings import Members, Snapshot
from connector.resources.resource import Link, Resource, Table, count, identifier, instant, text

TABLE = Table(
    name="segments",
    types=("segment",),
    comment="Segments of the workspace; updated_at follows the definition, not the members.",
    columns=(
        identifier("id", "Intercom's id of the segment"),
        text("name", "Name of the segment"),
        text("person_type", "What the segment holds: contact or user"),
        count("count", "Number of members, where Intercom was asked for it"),
        instant("created_at", "When the segment was created"),
        instant("updated_at", "When the segment's definition last changed"),
    ),
    links=(
        Link(
            table="contact_segments",
            comment="Which contacts are in which segment.",
            path="members.complete",  # found by a search for the segment's contacts
            owner="segment_id",
            target="contact_id",
            refers_to="contacts",
            is_membership=True,
        ),
    ),
)

SEGMENTS = Resource("segments", TABLE, Snapshot("/segments", "segments"), by_id="/segments/{id}")
CONTACT_SEGMENTS = Resource(
    "contact_segments",
    TABLE,
    Members("/contacts/search", "data", field="segment_id", within="members.complete"),
)
