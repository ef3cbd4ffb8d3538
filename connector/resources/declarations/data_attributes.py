"""Data attributes: what contacts, companies and conversations can be described by."""

from connector.resources.readings import Part, Snapshot
from connector.resources.resource import Resource, Table, flag, identifier, instant, json, text

TABLE = Table(
    name="data_attributes",
    comment="Attributes of contacts, companies and conversations, Intercom's own and custom ones."
    " Intercom's own have no id, so the key is (model, full_name).",
    columns=(
        text("model", "What it describes: contact, company or conversation"),
        text("full_name", "Name with its path; of conversation attributes their name"),
        identifier("id", "Intercom's id of the attribute; only custom ones have one"),
        text("name", "Name of the attribute"),
        text("label", "Name as teammates see it"),
        text("description", "Description"),
        text("data_type", "Type of its values: string, integer, float, boolean, date, ..."),
        json("options", "Values to choose from"),
        flag("api_writable", "Whether the API can write it"),
        flag("messenger_writable", "Whether the Messenger can write it"),
        flag("ui_writable", "Whether teammates can write it"),
        flag("custom", "Whether the workspace defined it"),
        flag("archived", "Whether it is archived"),
        flag("required", "Whether conversations must have it"),
        flag("multiline", "Whether its text may have several lines"),
        json("visible_to_team_ids", "Ids of the teams that see it; empty for all"),
        text("reference.type", "How many objects a relationship leads to"),
        identifier("reference.object_type_id", "Type of the objects a relationship leads to"),
        identifier("admin_id", "Admin who made it", refers_to="admins"),
        instant("created_at", "When it was created"),
        instant("updated_at", "When it last changed"),
    ),
    key=("model", "full_name"),
    retired="archived",  # a name is free again once its attribute is archived
)

ARCHIVED = ("include_archived", "true")


def _of(model: str) -> Part:
    return Part((("model", model), ARCHIVED), given=(("model", model),))


DATA_ATTRIBUTES = Resource(
    "data_attributes",
    TABLE,
    Snapshot(
        "/data_attributes",
        parts=(
            _of("contact"),
            _of("company"),
            # Since 2.16 conversation attributes have a list of their own.
            Part(
                (ARCHIVED,),
                path="/conversations/attributes",
                given=(("model", "conversation"),),
                renamed=(("full_name", "name"),),
            ),
        ),
    ),
)
