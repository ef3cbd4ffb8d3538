"""A small workspace that never changes, of which every answer can be written down by hand."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial
from typing import Any

from connector.warehouse.encode.exclusions import NONE, Exclusions
from connector.warehouse.views import apart
from connector.warehouse.views.suites import FIVETRAN
from tests.support.records import listed
from tests.support.warehouse import BY_TABLE, at, unix
from tests.warehouse.historian import Historian

FRESH = {  # when the last pass of each began
    "admins": "2026-02-01 00:00Z",
    "articles": "2026-02-02 00:00Z",
    "collections": "2026-02-03 00:00Z",
    "companies": "2026-02-04 00:00Z",
    "conversations": "2026-02-05 00:00Z",
    "help_centers": "2026-02-06 00:00Z",
    "leads": "2026-02-08 00:00Z",
    "users": "2026-02-07 00:00Z",
    "tags": "2026-02-09 00:00Z",
    "teams": "2026-02-10 00:00Z",
    "contact_notes": "2026-01-01 00:00Z",
    "deleted_conversations": "2026-01-01 00:00Z",
}


def person(key: str) -> dict[str, Any]:
    """Who wrote a part: u users, l leads, b bots, else admins."""
    kind = {"u": "user", "l": "lead", "b": "bot"}.get(key[0], "admin")
    return {"type": kind, "id": key}


def part(
    key: str, kind: str, by: str, seconds: int, body: str | None = None, to: Any = None
) -> dict[str, Any]:
    moment = unix(seconds)
    return {
        "type": "conversation_part",
        "id": key,
        "part_type": kind,
        "author": person(by),
        "body": body,
        "assigned_to": to,
        "created_at": moment,
        "updated_at": moment,
    }


def conversation(
    key: str, by: str, began: int, *parts: dict[str, Any], tags: Any = (), **more: Any
) -> dict[str, Any]:
    return {
        "type": "conversation",
        "id": key,
        "created_at": unix(began),
        "updated_at": unix(began + 5_000),
        "state": "open",
        "source": {"type": "email", "author": person(by), "subject": "Hi", "body": "<p>hi</p>"},
        "contacts": {"contacts": [{"id": by}]},
        "tags": {"tags": [{"id": tag} for tag in tags]},
        "conversation_parts": {"conversation_parts": list(parts)},
    } | more


GONE = part("p0", "close", "3", 30)
FIRST = [
    part("p1", "assignment", "b1", 60, None, {"type": "team", "id": "10"}),
    part("p2", "comment", "u1", 120, "where is it?"),
    part("p3", "comment", "1", 600, "here"),
    part("p4", "close", "1", 1_320),
    part("p5", "open", "u1", 1_800, "no"),
    part("p6", "close", "2", 3_720),
]
THIRD = [
    part("q1", "comment", "l1", 2_060, "hello"),
    part("q2", "default_assignment", "1", 2_090, None, {"type": "admin", "id": "2"}),
    part("q3", "comment", "2", 2_120, "yes?"),
    part("q4", "quick_reply", "b1", 2_130, "pick one"),
    part("q5", "close", "2", 2_660),
]
RATED = {"rating": 5, "remark": "good"}
CONVERSATIONS = [
    conversation(
        "c1",
        "u1",
        0,
        GONE,
        *FIRST,
        tags=["20"],
        state="closed",
        admin_assignee_id=1,
        team_assignee_id=10,
        conversation_rating=RATED,
    ),
    conversation("c2", "u2", 1_000, admin_assignee_id=0),
    conversation("c3", "l1", 2_000, *THIRD, state="closed", admin_assignee_id=2),
    conversation("c4", "u1", 3_000, part("r1", "close", "1", 3_060), state="closed"),
    conversation("c5", "u1", 4_000, part("s1", "close", "1", 4_060), state="closed"),
]


def fill(desk: Historian, exclusions: Exclusions = NONE) -> None:
    """Write all of it, as syncs would."""
    write = partial(desk.write, exclusions=exclusions, read=6_000)
    write("admins", *({"id": k, "name": n, "job_title": "Support"} for k, n in ADMINS.items()))
    write(
        "teams",
        {"id": "10", "name": "Tier 1", "admin_ids": [1, 2]},
        {"id": "11", "name": "Tier 2", "admin_ids": [2, 3]},
    )
    write("tags", *({"id": key, "name": name} for key, name in TAGS.items()))
    company = {"type": "company", "created_at": unix(0), "updated_at": unix(10)}
    plan = {"plan": {"id": "7", "name": "Pro"}, "monthly_spend": 99.5, "session_count": 2**40}
    write(
        "companies",
        company | {"id": "co1", "name": "Acme", "tags": listed("20"), **plan},
        company | {"id": "co2", "name": "Beta"},
    )
    contact = {"type": "contact", "role": "user", "created_at": unix(0), "updated_at": unix(20)}
    write(
        "contacts",
        contact
        | {"id": "u1", "name": "Uma", "owner_id": 1, "signed_up_at": unix(5)}
        | {"tags": listed("20", "21", "22"), "companies": listed("co1")},
        contact | {"id": "u2", "name": "Udo", "companies": listed("co1", "co2")},
        contact | {"id": "u3", "name": "Ute", "tags": listed("20"), "companies": listed("co1")},
        contact | {"id": "l1", "name": "Lea", "role": "lead", "owner_id": 0},
    )
    write("help_centers", {"id": "h", "display_name": "Help", "website_turned_on": True})
    shelf = {"created_at": unix(0), "updated_at": unix(0), "help_center_id": "h"}
    write(
        "collections",
        shelf | {"id": "k1", "name": "Old", "order": 1},
        shelf | {"id": "k2", "name": "All", "order": 2},
        shelf | {"id": "k3", "name": "Sub", "order": 2**40, "parent_id": "k2"},
    )
    write(
        "articles",
        {"id": "a1", "title": "How", "state": "published", "author_id": 1, "url": "/a1"}
        | {"created_at": unix(0), "updated_at": unix(9), "parent_ids": [404, "k1", "k3", "k2"]},
        {"id": "a2", "title": "Why", "state": "draft", "author_id": 0, "parent_ids": []},
    )
    write("conversations", *CONVERSATIONS, by_id=True)
    write("conversations", conversation_without(GONE), read=6_001, by_id=True)
    write("tickets", {"id": "c5", "ticket_id": "1"})
    for table, key in DELETED:
        desk.delete(table, key, 9_000, exact=True)
    desk.execute("DELETE FROM sync_state")
    for name, moment in FRESH.items():
        desk.execute(
            f"INSERT INTO sync_state (resource, fresh_as_of) VALUES ('{name}', '{moment}')"
        )


ADMINS = {"1": "Ada", "2": "Bob", "3": "Cyd"}
TAGS = {"20": "vip", "21": "bug", "22": "old"}
DELETED = [
    ("admins", "3"),
    ("tags", "22"),
    ("contacts", "u3"),
    ("collections", "k1"),
    ("conversations", "c4"),
]


def conversation_without(gone: dict[str, Any]) -> dict[str, Any]:
    """The first conversation as it is read when that part was deleted."""
    first = CONVERSATIONS[0]
    left = [one for one in first["conversation_parts"]["conversation_parts"] if one is not gone]
    return first | {"conversation_parts": {"conversation_parts": left}}


def empty(desk: Historian) -> None:
    """Take everything out, history too."""
    for table in ("contacts", "companies", "conversations", "tickets"):
        desk.execute(f'DROP TABLE IF EXISTS "{table}_history" CASCADE')
    desk.clear()
    desk.execute("DELETE FROM sync_history; DELETE FROM sync_exclusions; DELETE FROM sync_state")
    desk.execute(f'DROP SCHEMA IF EXISTS "{desk.schema}_fivetran" CASCADE')
    desk.execute("DELETE FROM sync_relations WHERE name LIKE 'fivetran.%%'")
    desk.execute("DELETE FROM custom_columns")


def shape(desk: Historian) -> str:
    """Make the views; why not, or ""."""
    made = partial(apart.begin, schema=desk.schema, suite=FIVETRAN)
    return desk.database.write(made)


def wall(year: int, month: int, day: int, *time: int) -> datetime:
    """A time in UTC, without a zone: after the day, the hour, the minute, ... to microseconds."""
    hour, minute, second, micro = (*time, 0, 0, 0, 0)[:4]
    return datetime(year, month, day, hour, minute, second, micro, tzinfo=UTC).replace(tzinfo=None)


def naive(seconds: float) -> datetime:
    """So many seconds after the tests' beginning, in UTC and without a zone."""
    return at(seconds).astimezone(UTC).replace(tzinfo=None)


__all__ = ["BY_TABLE", "CONVERSATIONS", "FRESH", "empty", "fill", "naive", "shape", "wall"]
