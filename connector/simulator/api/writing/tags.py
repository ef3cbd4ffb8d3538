"""Writes tags: one request creates, renames, or tags and untags many."""

from __future__ import annotations

from typing import Any

from connector.simulator.api.writing.route import write
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import Call, not_found
from connector.simulator.writes.log import Entry


def write_tag(call: Call, entry: Entry) -> Response:
    """POST /tags: by name, which has no case; a tag that is missing is created."""
    body = call.body()
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise ApiError(400, "parameter_invalid", "invalid tag parameters")
    users, companies = _listed(body, "users"), _listed(body, "companies")
    entry.items = max(1, len(users) + len(companies))
    # Looked up before anything is done: one that is missing stops all.
    people, places = _users(call, users), _companies(call, companies)
    tag = _renamed(call, body["id"], name) if body.get("id") else _named(call, name)
    for id in people:
        call.simulator.writes.associations.tag(id, tag)
    for id, tagged in places:
        _tag_company(call, id, tag, tagged)
    shown = [{"id": id, "tagged": tagged} for id, tagged in places]
    tagged_users = [{"id": id, "tagged": True} for id in people]
    return call.json({**call.space.tags[tag], "users": tagged_users, "companies": shown})


def _listed(body: Record, name: str) -> list[Any]:
    listed = body.get(name) or []
    if not isinstance(listed, list) or not all(isinstance(one, dict) for one in listed):
        raise ApiError(400, "parameter_invalid", "invalid tag parameters")
    return listed


def _users(call: Call, users: list[Record]) -> list[str]:
    # Since 2.16 those that are not found are skipped.
    found = [str(one.get("id")) for one in users]
    known = [id for id in found if id in call.space.contacts.current]
    if len(known) < len(found) and not call.is_at_least(16):
        raise not_found("User Not Found")
    return known


def _companies(call: Call, companies: list[Record]) -> list[tuple[str, bool]]:
    found = []
    for one in companies:
        key = one.get("company_id")
        id = one.get("id") or call.simulator.writes.identities.company(str(key))
        item = call.simulator.writes.companies.living(id)
        found.append((item.id, str(one.get("untag")).lower() != "true"))
    return found


def _named(call: Call, name: str) -> str:
    for id, tag in call.space.tags.items():
        if tag["name"].lower() == name.lower():
            return id
    id = call.simulator.control.create_tag(name)
    call.simulator.writes.log.note("created", "tags", id)
    return id


def _renamed(call: Call, id: Any, name: str) -> str:
    if str(id) not in call.space.tags:
        raise not_found()
    call.simulator.control.rename_tag(str(id), name)
    call.simulator.writes.log.note("updated", "tags", str(id))
    return str(id)


def _tag_company(call: Call, id: str, tag: str, tagged: bool) -> None:
    control = call.simulator.control
    (control.tag_company if tagged else control.untag_company)(id, tag)
    call.simulator.writes.log.note("tagged" if tagged else "untagged", "companies", id)


ROUTES = [write("POST", "/tags", "write_tags", write_tag)]
