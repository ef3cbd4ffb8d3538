"""Tags: the labels that teammates put on contacts, companies and conversations."""

from connector.resources.readings import Snapshot
from connector.resources.resource import Notified, Resource, Table, identifier, text

TABLE = Table(
    name="tags",
    types=("tag",),
    comment="Tags of the workspace. A tag that GET /tags no longer lists is marked deleted.",
    columns=(
        identifier("id", "Intercom's id of the tag"),
        text("name", "Name of the tag as teammates see it"),
    ),
)

TAGS = Resource(
    "tags",
    TABLE,
    Snapshot("/tags"),
    by_id="/tags/{id}",
    notified=Notified(("tag",), whole_list=True),
)
