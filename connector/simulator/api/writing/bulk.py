"""Takes bulk requests, on Preview alone; a request is taken as a whole or not at all."""

from __future__ import annotations

from typing import Any

from connector.simulator.api.writing.route import PEOPLE, Writer, write
from connector.simulator.encoding import encode
from connector.simulator.messages import Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import LINK_HOST, Call, not_found, wrong_version
from connector.simulator.requests.routing import Handler, Route
from connector.simulator.writes.bulk.items import items_of
from connector.simulator.writes.bulk.jobs import Job
from connector.simulator.writes.log import Entry


def taking(kind: str, does: str) -> Writer:
    """A handler that takes items of one kind for one purpose: 202 and their job."""

    def handler(call: Call, entry: Entry) -> Response:
        _admit(call)
        return _take(call, entry, kind, does)

    return handler


def post_contacts(call: Call, entry: Entry) -> Response:
    """POST /contacts/bulk: strict create, or what it meant until June 2026."""
    _admit(call)
    return _take(call, entry, "contacts", call.simulator.writes.settings.bulk_post)


def put_contacts(call: Call, entry: Entry) -> Response:
    """PUT /contacts/bulk: before it was there, `bulk` was the id of nobody."""
    _admit(call)
    if _is_former(call):
        raise not_found("User Not Found")
    return _take(call, entry, "contacts", "update")


def showing(kind: str) -> Handler:
    """A handler of GET /…/bulk/{id}."""

    def handler(call: Call) -> Response:
        _admit(call)
        job = call.simulator.writes.queue.find(kind, call.params[0])
        return call.json(job.as_dict(LINK_HOST))

    return handler


def _admit(call: Call) -> None:
    if not call.is_preview:
        raise not_found("The requested resource was not found")
    if not call.simulator.writes.settings.preview:
        raise wrong_version()


def _is_former(call: Call) -> bool:
    return call.simulator.writes.settings.bulk_post == "update"


def _take(call: Call, entry: Entry, kind: str, does: str) -> Response:
    settings, body = call.simulator.writes.settings, call.body()
    former = kind == "contacts" and _is_former(call)
    items = items_of(body, kind, settings.bulk_size, by_id=does != "create", former=former)
    entry.items = len(items)
    queue = call.simulator.writes.queue
    job = queue.take(kind, does, items, _appended_to(body), entry)
    call.simulator.gate.spend(call.now, settings.item_cost * len(items))
    return _accepted(job)


def _appended_to(body: Record) -> str | None:
    job: Any = body.get("job")
    return str(job["id"]) if isinstance(job, dict) and job.get("id") else None


def _accepted(job: Job) -> Response:
    headers = {"Content-Type": "application/json; charset=utf-8"}
    return Response(202, encode(job.as_dict(LINK_HOST)), headers)


ROUTES = [
    write("POST", "/contacts/bulk", PEOPLE, post_contacts),
    write("PUT", "/contacts/bulk", PEOPLE, put_contacts),
    write("POST", "/contacts/bulk/delete", PEOPLE, taking("contacts", "delete")),
    Route("GET", "/contacts/bulk/{}", showing("contacts")),
    write("POST", "/companies/bulk", PEOPLE, taking("companies", "create")),
    write("PUT", "/companies/bulk", PEOPLE, taking("companies", "update")),
    write("POST", "/companies/bulk/delete", PEOPLE, taking("companies", "delete")),
    Route("GET", "/companies/bulk/{}", showing("companies")),
]
