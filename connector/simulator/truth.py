"""What the workspace really holds: complete records, for comparing with what a client stored."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from connector.simulator.api.conversations import with_parts
from connector.simulator.api.events import event_body, listable_since, who
from connector.simulator.encoding import decode, encode
from connector.simulator.records.shelf import Item
from connector.simulator.records.ticket import embedded
from connector.simulator.records.workspace import SHELVES, Record, Workspace

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator


def truth(simulator: Simulator, kind: str) -> list[Record]:
    """Every living record of a kind, current and complete."""
    space = simulator.workspace
    space.settle(simulator.now())
    if kind in SHELVES:
        items = space.shelf(kind).current.values()
        return [complete(simulator, kind, item) for item in items]
    if kind == "activity_logs":
        records = list(space.activity_logs)
    elif kind in _DERIVED:
        records = list(_DERIVED[kind](simulator))
    else:
        records = list(space.directory(kind).values())
    copies: list[Record] = decode(simulator.signer()(encode(records)))
    return copies


def complete(simulator: Simulator, kind: str, item: Item) -> Record:
    """One record with everything that hangs on it."""
    space = simulator.workspace
    body = item.body
    if kind == "conversations":
        body = with_parts(item, None)
    elif kind == "tickets":
        body = embedded(space, item, None)
    record: Record = decode(simulator.signer()(body))
    if kind != "contacts":
        record["_hidden"] = not item.shown
    if kind == "contacts":
        _complete_contact(space, item, record)
    return record


def deleted(space: Workspace) -> list[Record]:
    """What is gone: kind, id, how (deleted, merged, archived), when, and into what.

    `since` is when it went, or earlier if it was back in the meantime and nothing told of that.
    """
    return [
        {
            "kind": gone.kind,
            "id": gone.id,
            "how": gone.how,
            "at": gone.at,
            "since": gone.since or gone.at,
            "target": gone.target,
        }
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


def _events(simulator: Simulator) -> Iterator[Record]:
    # What is too old to be listed is `_hidden`: a client that comes late cannot know it.
    space, oldest = simulator.workspace, listable_since(simulator.now())
    for contact, events in space.events.items():
        item = space.contacts.get(contact)
        if item is None:
            continue
        person = who(item)
        for event in events:
            record = decode(event_body(person, event))
            hidden = event.created_at < oldest
            yield {**record, "contact_id": contact, "_hidden": hidden}


def _attributes(simulator: Simulator) -> Iterator[Record]:
    space = simulator.workspace
    yield from space.data_attributes
    for record in space.conversation_attributes:
        yield {**record, "model": "conversation", "full_name": record["name"]}


def _notes(simulator: Simulator) -> Iterator[Record]:
    for item in simulator.workspace.contacts.current.values():
        for note in item.owned.notes:
            yield {**decode(note), "contact_id": item.id}


def _segments(simulator: Simulator) -> Iterator[Record]:
    space = simulator.workspace
    for item in space.contacts.current.values():
        for id in item.owned.segments:
            if id in space.segments:
                yield {"contact_id": item.id, "segment_id": id}


def _subscriptions(simulator: Simulator) -> Iterator[Record]:
    for item in simulator.workspace.contacts.current.values():
        for id in (*item.owned.opted_out, *item.owned.opted_in):
            yield {"contact_id": item.id, "subscription_type_id": id}


def _merges(simulator: Simulator) -> Iterator[Record]:
    # Once the survivor is gone as well, only the feed still tells of the merge.
    space = simulator.workspace
    for gone in space.gone.get("contacts", {}).values():
        if gone.how == "merged":
            yield {
                "source_contact_id": gone.id,
                "target_contact_id": gone.target,
                "source_contact_role": gone.role,
                "merged_at": gone.at,
                "_hidden": space.contacts.get(str(gone.target)) is None,
            }


_DERIVED: dict[str, Callable[[Simulator], Iterator[Record]]] = {
    "events": _events,
    "data_attributes": _attributes,
    "contact_merges": _merges,
    "contact_notes": _notes,
    "contact_segments": _segments,
    "contact_subscriptions": _subscriptions,
}
