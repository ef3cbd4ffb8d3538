"""Generates macros, calls and the admins' activity log; knows no lists."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any
from uuid import UUID

from connector.simulator.generation import texts
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Record, Sizes, Workspace
from connector.simulator.times import History

_CALLS = "https://api.intercom.io/calls"
_TIMES = ("initiated_at", "answered_at", "ended_at", "created_at", "updated_at")


def fill(space: Workspace, random: Random, sizes: Sizes, years: float) -> None:
    """Put macros, calls and activities into the workspace."""
    history = History(random, space.now, years)
    for _ in range(sizes.macros or 0):
        _macro(space, random, history)
    contacts = list(space.contacts.current.values())
    threads = list(space.conversations.current)
    for created in sorted(history.created() for _ in range(sizes.calls or 0)):
        _call(space, random, created, contacts, threads)
    for at in sorted(history.created() for _ in range(sizes.activity_logs or 0)):
        _activity(space, random, at)


def iso(second: int) -> str:
    """A time as the endpoints write it that do not count seconds."""
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def new_macro(space: Workspace, created: int, name: str) -> Record:
    """A macro for everyone."""
    body = 'Hi <attribute key="user.name" default="there"/>, ' + name
    return {
        "type": "macro",
        "id": str(space.next_number("macro", 123)),
        "name": name,
        "body": f"<p>{body}</p>",
        "body_text": f'Hi {{{{user.name|fallback:"there"}}}}, {name}',
        "created_at": iso(created),
        "updated_at": iso(created),
        "visible_to": "everyone",
        "visible_to_team_ids": [],
        "available_on": ["inbox", "messenger"],
    }


def new_call(space: Workspace, created: int, **fields: Any) -> Record:
    """A call; times are ISO 8601 in some and unix seconds in others, as the description allows."""
    number = space.next_number("call", 123)
    record: Record = {
        "type": "call",
        "id": str(number),
        "conversation_id": None,
        "admin_id": None,
        "contact_id": None,
        "state": "completed",
        "initiated_at": created,
        "answered_at": created + 3,
        "ended_at": created + 93,
        "created_at": created,
        "updated_at": created + 94,
        "recording_url": f"{_CALLS}/{number}/recording",
        "transcription_url": f"{_CALLS}/{number}/transcript",
        "call_type": "phone",
        "direction": "outbound",
        "ended_reason": "answered",
        "phone": "+15551234567",
        "fin_recording_url": None,
        "fin_transcription_url": None,
        **fields,
    }
    if number % 2:
        record.update({name: iso(record[name]) for name in _TIMES if record[name] is not None})
    return record


def new_activity(
    space: Workspace, at: int, admin: Record, kind: str, metadata: Record | None
) -> Record:
    """An entry of the admins' log; its id is a UUID."""
    number = space.next_number("activity_log")
    id = UUID(int=(number * 0x9E3779B97F4A7C15F39CC0605CEDC834 + space.seed) % 2**128)
    return {
        "id": str(id),
        "performed_by": {
            "type": "admin",
            "id": admin["id"],
            "email": admin["email"],
            "ip": f"203.0.113.{number % 250}",
        },
        "metadata": metadata,
        "created_at": at,
        "activity_type": kind,
        "activity_description": f"{admin['name']}: {kind.replace('_', ' ')}",
    }


def _macro(space: Workspace, random: Random, history: History) -> None:
    created = history.created()
    record = new_macro(space, created, texts.words(random, 3))
    record["updated_at"] = iso(history.updated(created))
    if space.teams and random.random() < 0.3:
        record.update(visible_to="specific_teams", visible_to_team_ids=[next(iter(space.teams))])
        record["available_on"] = ["inbox"]
    if random.random() < 0.05:
        # Large bodies come as null.
        record.update(body=None, body_text=None)
    space.macros[record["id"]] = record


def _call(
    space: Workspace, random: Random, created: int, contacts: list[Item], threads: list[str]
) -> None:
    fields: Record = {"direction": random.choice(["inbound", "outbound"])}
    if contacts and random.random() < 0.9:
        fields["contact_id"] = random.choice(contacts).id
    if threads and random.random() < 0.7:
        fields["conversation_id"] = random.choice(threads)
    if random.random() < 0.8:
        fields["admin_id"] = random.choice([*space.admins, *space.removed_admins])
    if random.random() < 0.2:
        # Nobody answered.
        fields.update(answered_at=None, state="missed", ended_reason="no_answer")
        fields.update(recording_url=None, transcription_url=None)
    elif random.random() < 0.1:
        fields.update(call_type="messenger", phone=None)
    record = new_call(space, created, **fields)
    space.calls[record["id"]] = record


def _activity(space: Workspace, random: Random, at: int) -> None:
    admin = random.choice([*space.admins.values(), *space.removed_admins.values()])
    kind, metadata = random.choice(_ACTIVITIES)
    space.activity_logs.append(new_activity(space, at, admin, kind, metadata))


_ACTIVITIES: tuple[tuple[str, Record | None], ...] = (
    ("app_name_change", {"before": "before", "after": "größer &amp; after"}),
    (
        "message_state_change",
        {"message": {"id": 123, "title": "Title"}, "before": "draft", "after": "live"},
    ),
    ("admin_login_success", {"sign_in_method": "Email + password"}),
    ("admin_away_mode_change", {"away_mode": True, "reassign_conversations": None}),
    ("role_change", {"changes": {"permissions": {"before": [], "after": ["a", "b"]}}}),
    ("admin_logout", None),
)
