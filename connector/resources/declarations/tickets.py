"""Tickets with their parts, and the types and states that describe them."""

from connector.resources.declarations.conversations import author
from connector.resources.readings import Granularity, Search, Snapshot
from connector.resources.resource import (
    Attributes,
    Child,
    Embedded,
    Link,
    Notified,
    Parts,
    Resource,
    Table,
    anyone,
    assignee,
    files,
    flag,
    identifier,
    instant,
    json,
    mapping,
    personal,
    text,
)

TYPES = Table(
    name="ticket_types",
    types=("ticket_type",),
    comment="Types of tickets, archived ones included.",
    columns=(
        identifier("id", "Intercom's id of the ticket type"),
        text("category", "Customer, Back-office or Tracker"),
        text("name", "Name of the type"),
        text("description", "Description"),
        text("icon", "Emoji shown for the type"),
        identifier("workspace_id", "Code of the Intercom workspace"),
        flag("archived", "Whether the type is archived"),
        flag("is_internal", "Whether contacts never see tickets of this type"),
        instant("created_at", "When the type was created"),
        instant("updated_at", "When the type last changed"),
        json(
            "ticket_type_attributes.data",
            "Attributes that tickets of this type have",
            name="ticket_type_attributes",
        ),
        json(
            "ticket_states.data",
            "States that tickets of this type can have, a list of references",
            name="ticket_states",
            embeds=(Embedded("ticket_states"),),
        ),
    ),
)

STATES = Table(
    name="ticket_states",
    types=("ticket_state",),
    comment="States that tickets can be in.",
    columns=(
        identifier("id", "Intercom's id of the ticket state"),
        text("category", "submitted, in_progress, waiting_on_customer or resolved"),
        text("internal_label", "Name that teammates see"),
        text("external_label", "Name that contacts see"),
        flag("archived", "Whether the state is archived"),
        json(
            "ticket_types.data",
            "Ticket types that can have this state, a list of references",
            name="ticket_types",
            embeds=(Embedded("ticket_types"),),
        ),
    ),
)

PARTS = Table(
    name="ticket_parts",
    comment="Parts of tickets: replies, notes, changes of state and of attributes. Intercom"
    " returns the newest 500 of a ticket; parts seen earlier are kept.",
    columns=(
        identifier("id", "Intercom's id of the part"),
        text("part_type", "What the part is: comment, note, ticket_state_updated_by_admin, ..."),
        *personal(
            "author_id",
            text("body", "Text of the part as HTML; null where there is none or it was redacted"),
        ),
        text("previous_ticket_state", "State of the ticket before the part"),
        text("ticket_state", "State of the ticket after the part"),
        instant("created_at", "When the part was created"),
        instant("updated_at", "When the part last changed"),
        anyone("assigned_to.id", "Id of whom the part assigned the ticket to"),
        text("assigned_to.type", "Kind of whom the part assigned the ticket to"),
        *author("author", "the part"),
        *personal("author_id", files("attachments", "Files attached to the part")),
        identifier("external_id", "Id of the part in the system it was imported from"),
        flag("redacted", "Whether the text was redacted"),
        text("app_package_code", "Code of the app that made the part"),
        *personal(
            "author_id",
            json("updated_attribute_data", "Which attribute the part changed, and to what"),
        ),
    ),
)

TABLE = Table(
    name="tickets",
    attributes=Attributes(
        "ticket", "ticket_attributes", described_by=("ticket_types", "ticket_type_attributes")
    ),
    comment="Tickets. id is the API's, ticket_id the number that people see. A ticket of the"
    " category Customer is a conversation too, under the same id; conversations_live leaves it"
    " out.",
    columns=(
        identifier("id", "Intercom's id of the ticket; the same as its conversation's"),
        identifier("ticket_id", "Number of the ticket as people see it"),
        text("category", "Customer, Back-office or Tracker"),
        *personal(
            "ticket_contacts",  # its default title and description are what the contact wrote
            mapping("ticket_attributes", "Attributes of the ticket by their names"),
        ),
        identifier("ticket_state.id", "State of the ticket", refers_to="ticket_states"),
        identifier("ticket_type.id", "Type of the ticket", refers_to="ticket_types"),
        identifier("previous_ticket_state_id", "State before the present one"),
        assignee("admin_assignee_id", "Admin to whom it is assigned; null if nobody", "admins"),
        assignee("team_assignee_id", "Team to which it is assigned; null if none", "teams"),
        instant("created_at", "When the ticket was created"),
        instant("updated_at", "When the ticket last changed at Intercom"),
        flag("open", "Whether the ticket is open"),
        instant("snoozed_until", "Until when the ticket is snoozed"),
        flag("is_shared", "Whether the ticket is shared with its contacts"),
        json("linked_objects.data", "Linked tickets and conversations", name="linked_objects"),
    ),
    links=(
        Link(
            table="ticket_contacts",
            comment="Which contacts take part in which ticket; ticket_id is tickets.id.",
            path="contacts.contacts|contacts.data",
            owner="ticket_id",
            target="contact_id",
            refers_to="contacts",
        ),
    ),
    children=(Child(PARTS, "ticket_parts.ticket_parts", "ticket_id", permanent=True, cap=500),),
    parts=Parts(stored="parts_stored", truncated="parts_truncated"),
    cut_by="created_at",
    versioned=True,
)

TICKET_TYPES = Resource(
    "ticket_types", TYPES, Snapshot("/ticket_types"), by_id="/ticket_types/{id}"
)
TICKET_STATES = Resource("ticket_states", STATES, Snapshot("/ticket_states"))
TICKETS = Resource(
    "tickets",
    TABLE,
    # There is no list of tickets; search embeds their parts, so pages are heavy.
    Search("/tickets/search", "tickets", Granularity.SECOND, per_page=50),
    by_id="/tickets/{id}",
    notified=Notified(
        ("ticket",),
        (
            "ticket.created",
            "ticket.state.updated",
            "ticket.note.created",
            "ticket.admin.assigned",
            "ticket.team.assigned",
            "ticket.attribute.updated",
            "ticket.contact.attached",
            "ticket.contact.detached",
            "ticket.contact.replied",
            "ticket.admin.replied",
            "ticket.closed",
            "ticket.resolved",
            "ticket.rating.provided",
        ),
        keys=("id", "model.id"),
    ),
)
