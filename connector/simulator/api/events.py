"""Serves events, of one contact at a time; knows no list of everybody's."""

from __future__ import annotations

from urllib.parse import urlencode

from connector.simulator.encoding import decode, encode
from connector.simulator.generation.events import LISTED_DAYS
from connector.simulator.generation.operations import iso
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Event, Record
from connector.simulator.requests.call import LINK_HOST, Call, not_found, wrap
from connector.simulator.requests.routing import Route
from connector.simulator.times import DAY

_DEFAULT, _MOST = 50, 150
_WHO = ("intercom_user_id", "user_id", "email")


def list_events(call: Call) -> Response:
    """GET /events: newest first, back in time by `before`, on in time by `since`."""
    query = call.request.query
    if query.get("type") != "user":
        raise ApiError(400, "parameter_invalid", "type must be user")
    item = _contact(call)
    person = who(item)
    events = [e for e in call.space.events.get(item.id, ()) if e.visible_at <= call.now]
    if query.get("summary") == "true":
        return call.json({"type": "event.summary", **person, "events": _summary(events)})
    per_page = call.number(query.get("per_page"), _DEFAULT, _MOST)
    listed = _listed(call, events)
    page, more = listed[:per_page], len(listed) > per_page
    chunks = [event_body(person, event) for event in page]
    tail = b'],"pages":%s}' % encode(_pages(call, page, more))
    return call.reply(wrap(b'{"type":"event.list","events":[', chunks, tail), signed=False)


def who(item: Item) -> Record:
    """How events name their contact; what the contact lacks is left out.

    A lead's external_id is Intercom's own and no user_id: it has events by its id alone.
    """
    record = decode(item.body)
    user_id = record["external_id"] if item.group == "user" else None
    person = {"user_id": user_id, "intercom_user_id": item.id}
    person["email"] = record["email"]
    return {name: value for name, value in person.items() if value is not None}


def event_body(person: Record, event: Event) -> bytes:
    """A rendered event. Its `id` is the person's: all events of a contact have the same."""
    head = {
        "type": "event",
        "id": person.get("user_id", person["intercom_user_id"]),
        "created_at": event.created_at,
        "event_name": event.name,
        **person,
    }
    return b'%s,"metadata":%s}' % (encode(head)[:-1], event.metadata)


def listable_since(now: float) -> int:
    """The second from which on events can be listed."""
    return int(now) - LISTED_DAYS * DAY


def _contact(call: Call) -> Item:
    query = call.request.query
    name = next((one for one in _WHO if query.get(one)), None)
    if name is None:
        message = "One of intercom_user_id, user_id and email is required"
        raise ApiError(400, "parameter_not_found", message)
    item = _find(call, name, query[name])
    if item is None:
        raise not_found("User Not Found")
    return item


def _find(call: Call, name: str, value: str) -> Item | None:
    call.space.settle(call.now)
    contacts = call.space.contacts
    if name == "intercom_user_id":
        return contacts.get(value)
    # Leads are found by Intercom's id alone.
    mark = b'"%s":%s,' % (b"email" if name == "email" else b"external_id", encode(value))
    users = (item for item in contacts.current.values() if item.group == "user")
    return next((item for item in users if mark in item.body), None)


def _listed(call: Call, events: list[Event]) -> list[Event]:
    query = call.request.query
    oldest = listable_since(call.now) * 1000
    before = call.number(query.get("before"), 0)
    since = call.number(query.get("since"), 0)
    return [
        event
        for event in reversed(events)
        if event.ms >= oldest and event.ms > since and (not before or event.ms < before)
    ]


def _pages(call: Call, page: list[Event], more: bool) -> Record:
    # Milliseconds in these addresses, seconds in the events.
    pages: Record = {}
    if more:
        pages["next"] = _link(call, before=page[-1].ms, since=call.request.query.get("since"))
    if page:
        pages["since"] = _link(call, since=page[0].ms)
    return pages


def _link(call: Call, **edges: object) -> str:
    kept = ("type", *_WHO, "per_page")
    query = {name: call.request.query[name] for name in kept if name in call.request.query}
    query |= {name: str(edge) for name, edge in edges.items() if edge is not None}
    return f"{LINK_HOST}/events?{urlencode(query)}"


def _summary(events: list[Event]) -> list[Record]:
    # Counts include what is too old to be listed.
    by_name: dict[str, list[int]] = {}
    for event in events:
        by_name.setdefault(event.name, []).append(event.created_at)
    return [
        {
            "name": name,
            "first": iso(moments[0]),
            "last": iso(moments[-1]),
            "count": len(moments),
            "description": "",
        }
        for name, moments in by_name.items()
    ]


ROUTES = [Route("GET", "/events", list_events)]
