"""Writes notes about contacts, which have no key of their own, and what contacts subscribe to."""

from __future__ import annotations

from connector.simulator.api.writing.contacts import living
from connector.simulator.api.writing.route import PEOPLE, write
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import Call, not_found
from connector.simulator.writes.log import Entry

_CONSENTS = ("opt_in", "opt_out")


def add_note(call: Call, entry: Entry) -> Response:
    """POST /contacts/{id}/notes: the same again is one more note."""
    item, body = living(call), call.body()
    text, admin = body.get("body"), body.get("admin_id")
    if not isinstance(text, str) or not text:
        raise ApiError(400, "parameter_not_found", "body is required")
    if admin is not None and str(admin) not in call.space.admins:
        raise not_found()
    id = call.simulator.control.add_note(item.id, text, None if admin is None else str(admin))
    call.simulator.writes.log.note("created", "contact_notes", id)
    return call.reply(call.space.contacts.current[item.id].owned.notes[-1])


def subscribe(call: Call, entry: Entry) -> Response:
    """POST /contacts/{id}/subscriptions: doing it again is nothing."""
    item, body = living(call), call.body()
    choice, consent = _choice(call, body.get("id")), body.get("consent_type")
    if consent not in _CONSENTS:
        raise ApiError(400, "parameter_invalid", "consent_type must be opt_in or opt_out")
    return _choose(call, item.id, choice, consent == "opt_in")


def unsubscribe(call: Call, entry: Entry) -> Response:
    """DELETE /contacts/{id}/subscriptions/{type}: the choice is taken back."""
    item, choice = living(call), _choice(call, call.params[1])
    return _choose(call, item.id, choice, choice["consent_type"] == "opt_out")


def _choice(call: Call, id: object) -> Record:
    choice = call.space.subscription_types.get(str(id))
    if choice is None:
        raise not_found()
    return choice


def _choose(call: Call, contact: str, choice: Record, subscribed: bool) -> Response:
    call.simulator.control.subscribe_contact(contact, choice["id"], subscribed)
    did = "subscribed" if subscribed else "unsubscribed"
    call.simulator.writes.log.note(did, "contacts", contact)
    return call.json(choice)


ROUTES = [
    write("POST", "/contacts/{}/notes", PEOPLE, add_note),
    write("POST", "/contacts/{}/subscriptions", PEOPLE, subscribe),
    write("DELETE", "/contacts/{}/subscriptions/{}", PEOPLE, unsubscribe),
]
