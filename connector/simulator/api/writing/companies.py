"""Writes single companies."""

from __future__ import annotations

from connector.simulator.api.writing.route import PEOPLE, write
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import Call
from connector.simulator.writes.companies import ACCEPTED
from connector.simulator.writes.log import Entry


def upsert_company(call: Call, entry: Entry) -> Response:
    """POST /companies: creates it, or updates the one that has its company_id."""
    id = call.simulator.writes.companies.upsert(_accepted(call))
    return _shown(call, id)


def update_company(call: Call, entry: Entry) -> Response:
    """PUT /companies/{id}: by Intercom's id."""
    companies = call.simulator.writes.companies
    item = companies.living(call.params[0])
    companies.update(item, _accepted(call))
    return _shown(call, item.id)


def delete_company(call: Call, entry: Entry) -> Response:
    """DELETE /companies/{id}: says at once what is done later."""
    companies = call.simulator.writes.companies
    item = companies.living(call.params[0])
    companies.delete(item)
    return call.json({"id": item.id, "object": "company", "deleted": True})


def _accepted(call: Call) -> Record:
    # Otherwise than contacts, companies refuse what they do not know.
    body = call.body()
    for name in body:
        if name not in ACCEPTED:
            raise ApiError(400, "bad_request", f"bad '{name}' parameter")
    return body


def _shown(call: Call, id: str) -> Response:
    return call.reply(call.space.companies.current[id].body)


ROUTES = [
    write("POST", "/companies", PEOPLE, upsert_company),
    write("PUT", "/companies/{}", PEOPLE, update_company),
    write("DELETE", "/companies/{}", PEOPLE, delete_company),
]
