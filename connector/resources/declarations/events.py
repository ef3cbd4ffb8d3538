"""Events: what contacts did in the customer's product, listed by Intercom contact by contact."""

from datetime import timedelta

from connector.resources.readings import PerContact
from connector.resources.resource import (
    Notified,
    Resource,
    Table,
    identifier,
    instant,
    mapping,
    personal,
    text,
)

TABLE = Table(
    name="events",
    comment="Events of contacts. Intercom lists them for 90 days and gives them no id: contact,"
    " name and second identify one. Events are never deleted here.",
    columns=(
        identifier("contact_id", "Contact whose events were asked for", refers_to="contacts"),
        text("event_name", "Name of the event"),
        instant("created_at", "When it happened, to the second"),
        identifier("id", "What Intercom sends as id; not unique"),
        *personal("contact_id", identifier("user_id", "The customer's own id of the user")),
        identifier("intercom_user_id", "Intercom's id of the contact, as the event names it"),
        *personal(
            "contact_id",
            text("email", "Email address of the contact, as the event names it"),
            mapping("metadata", "Details of the event"),
        ),
    ),
    key=("contact_id", "event_name", "created_at"),
    once_for="contact_id",
)

EVENTS = Resource(
    "events",
    TABLE,
    PerContact(
        "/events",
        "events",
        param="intercom_user_id",
        params=(("type", "user"),),
        backwards=True,
        follows=(
            "updated_at",
            "last_seen_at",
            "last_replied_at",
            "last_contacted_at",
            "last_email_opened_at",
            "last_email_clicked_at",
            "android_last_seen_at",
            "ios_last_seen_at",
            "signed_up_at",
            "created_at",
        ),
        shown_for=timedelta(days=90),
    ),
    notified=Notified(("event",), ("event.created",), keys=("intercom_user_id",), at="created_at"),
)
