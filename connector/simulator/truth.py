"""What the workspace really holds: complete records, for comparing with what a client stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connector.simulator.api.conversations import with_parts
from connector.simulator.encoding import decode, encode
from connector.simulator.shelf import Item
from connector.simulator.workspace import Record, Workspace

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator


def truth(simulator: Simulator, kind: str) -> list[Record]:
    """Every living record of a kind, current and complete."""
    space = simulator.workspace
    space.settle(simulator.now())
    if kind in ("contacts", "companies", "conversations"):
        items = space.shelf(kind).current.values()
        return [complete(simulator, kind, item) for item in items]
    records: list[Record] = decode(encode(list(space.directory(kind).values())))
    return records


def complete(simulator: Simulator, kind: str, item: Item) -> Record:
    """One record with everything that hangs on it."""
    space = simulator.workspace
    body = with_parts(item, None) if kind == "conversations" else item.body
    record: Record = decode(simulator.signer()(body))
    if kind != "contacts":
        record["_hidden"] = not item.shown
    if kind == "contacts":
        _complete_contact(space, item, record)
    return record


def deleted(space: Workspace) -> list[Record]:
    """What is gone: kind, id, how (deleted, merged, archived), when, and into what."""
    return [
        {"kind": gone.kind, "id": gone.id, "how": gone.how, "at": gone.at, "target": gone.target}
        for graves in space.gone.values()
        for gone in graves.values()
    ]


def _complete_contact(space: Workspace, item: Item, record: Record) -> None:
    ties = item.owned
    tags = [
        {
            **space.tags[tag.id],
            "applied_at": tag.at,
            "applied_by": {"type": "admin", "id": tag.by},
        }
        for tag in ties.tags
        if tag.id in space.tags
    ]
    types, segments = space.subscription_types, space.segments
    record["tags"] = _list(tags)
    record["companies"] = _list(
        [{"id": id, "type": "company", "url": f"/companies/{id}"} for id in ties.companies]
    )
    record["notes"] = _list([decode(note) for note in ties.notes])
    record["subscriptions"] = _list([types[id] for id in (*ties.opted_out, *ties.opted_in)])
    record["segments"] = _list([segments[id] for id in ties.segments if id in segments])
    if item.group == "user":
        record["merge_history"] = [decode(merge) for merge in ties.merges]


def _list(data: list[Any]) -> Record:
    return {"type": "list", "data": data, "total_count": len(data), "has_more": False}
