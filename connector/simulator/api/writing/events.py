"""Takes events, one by one; there is no way to send many."""

from __future__ import annotations

from connector.simulator.api.writing.route import write
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import Call, not_found
from connector.simulator.writes.identities import several
from connector.simulator.writes.log import Entry

_MISSING = "parameter_not_found"


def track_event(call: Call, entry: Entry) -> Response:
    """POST /events: 202 with nothing in it, also where the event is known already."""
    body = call.body()
    name, moment = body.get("event_name"), body.get("created_at")
    if not isinstance(name, str) or not name:
        raise ApiError(400, _MISSING, "event_name is required")
    if not isinstance(moment, int) or isinstance(moment, bool):
        raise ApiError(400, _MISSING, "created_at is required, in seconds")
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise ApiError(400, "parameter_invalid", "metadata must be an object")
    contact = _contact(call, body)
    new = call.simulator.control.track_event(contact, name, metadata, created_at=moment)
    call.simulator.writes.log.note("tracked" if new else "unchanged", "events", contact)
    return Response(202)


def _contact(call: Call, body: Record) -> str:
    # Intercom's id stands over the client's own, that over the email; leads have the first alone.
    if body.get("id"):
        found = [id for id in [str(body["id"])] if id in call.space.contacts.current]
    elif body.get("user_id"):
        found = call.simulator.writes.identities.users("external_id", str(body["user_id"]))
    elif body.get("email"):
        found = call.simulator.writes.identities.users("email", str(body["email"]))
    else:
        raise ApiError(400, _MISSING, "One of id, user_id and email is required")
    if len(found) > 1:
        raise several()
    if not found:
        raise not_found("User Not Found")
    return found[0]


ROUTES = [write("POST", "/events", "write_events", track_event)]
