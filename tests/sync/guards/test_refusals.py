"""One record, one object, one list that cannot be read: all else arrives, it is named, it heals."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import pytest

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    ConnectorError,
    DatabaseError,
    MergedError,
    NotFoundError,
    NotPermittedError,
    PagingError,
    RetryExhaustedError,
    ScrollExistsError,
    TokenRefusedError,
)
from connector.intercom.paging.search_holes import hole_of
from connector.intercom.refusals import Asked, Meaning, meaning
from connector.resources import BY_NAME
from connector.simulator import Workspace
from connector.sync.run import refetch
from connector.warehouse.sql.database import Database
from tests.support.harness import NOW, Harness
from tests.support.postgres.triggers import free, keep
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400
ALWAYS: dict[str, Any] = {"full_pass_days": 0}  # a full pass at every run
NEVER: dict[str, Any] = {"full_pass_days": 10_000}  # changes alone

SPOILS: dict[str, dict[str, Any]] = {
    "404": {"status": 404, "code": "conversation_not_found"},
    "400": {"status": 400, "code": "client_error"},
    "500": {"status": 500},
    "html": {"kind": "html"},
    "garbage": {"kind": "garbage"},
}


def space(**sizes: Any) -> Workspace:
    sizes = {"contacts": 40, "companies": 24, "conversations": 14, "tickets": 12, **sizes}
    return Workspace.generate(5, now=int(NOW), **sizes)


def listed(harness: Harness, kind: str) -> list[dict[str, Any]]:
    """What lists show of a kind, oldest first."""
    rows = [row for row in harness.control.truth(kind) if not row.get("_hidden")]
    return sorted(rows, key=lambda row: (str(row.get("created_at", "")), str(row["id"])))


def spoil(harness: Harness, key: str, path: str, **fault: Any) -> None:
    """Every reply to these paths that holds the record is refused, for ever."""
    harness.control.fail({"path": path}, times=None, holds=key, **fault)


def others(harness: Harness, *bad: str) -> list[str]:
    """What differs from the truth but for these objects and what belongs to them."""
    apart = set(bad)
    parts = {
        "conversations": ("conversation_parts", "conversation_parts"),
        "tickets": ("ticket_parts", "ticket_parts"),
        "contacts": ("notes", "data"),
    }
    for kind, (part, key) in parts.items():
        for row in harness.control.truth(kind):
            if str(row["id"]) in bad:
                apart |= {str(one["id"]) for one in row[part][key]}
    return [one for one in differences(harness) if not any(f"'{key}'" in one for key in apart)]


def pending(harness: Harness) -> list[tuple[str, str]]:
    rows = harness.query("SELECT resource, id FROM sync_pending ORDER BY 1, 2")
    return [(row["resource"], row["id"]) for row in rows]


def is_named(outcome: Any) -> bool:
    """Whether the run ends 1 and says why of everything that is pending or failed."""
    said = outcome.error or ""
    return outcome.exit_code == 1 and all(entry.id in said for entry in outcome.overdue)


async def heals(harness: Harness) -> None:
    harness.control.clear_faults()
    harness.pass_time(DAY)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == []
    assert differences(harness) == []


# -- what a refusal means --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "page", "one", "list_of_one", "feed"),
    [
        (TokenRefusedError(), "STOP", "STOP", "STOP", "STOP"),
        (NotPermittedError(), "FAILS", "PENDING", "PENDING", "TOLERATED"),
        (NotFoundError(), "SPOILT", "GONE", "GONE", "TOLERATED"),
        (MergedError(), "SPOILT", "GONE", "GONE", "TOLERATED"),
        (BadRequestError(), "SPOILT", "PENDING", "PENDING", "TOLERATED"),
        (RetryExhaustedError(status=500), "SPOILT", "PENDING", "PENDING", "FAILS"),
        (RetryExhaustedError(status=429), "FAILS", "PENDING", "PENDING", "FAILS"),
        (BadAnswerError(), "SPOILT", "PENDING", "PENDING", "FAILS"),
        (PagingError(), "FAILS", "PENDING", "PENDING", "FAILS"),
        (ScrollExistsError(), "FAILS", "PENDING", "PENDING", "FAILS"),
        (DatabaseError(), "FAILS", "FAILS", "FAILS", "FAILS"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_what_a_refusal_means_follows_from_what_was_asked(
    error: ConnectorError, page: str, one: str, list_of_one: str, feed: str
) -> None:
    asked = (Asked.PAGE, Asked.OBJECT, Asked.LIST_OF_ONE, Asked.FEED)
    wanted = [Meaning[name] for name in (page, one, list_of_one, feed)]
    assert [meaning(error, what) for what in asked] == wanted


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("resource", "path"),
    [("conversations", "^/conversations/search"), ("users", "^/contacts/search"),
     ("tickets", "^/tickets/search"), ("companies", "^/companies"), ("articles", "^/articles"),
     ("segments", "^/segments"), ("calls", "^/calls"), ("macros", "^/macros")],
)  # fmt: skip
@pytest.mark.fault(
    "a list that a workspace must have answers 404",
    "its resource fails by name, exit code 1; the others are read",
    times=2,
)
async def test_a_404_is_never_an_empty_list(harness: Harness, resource: str, path: str) -> None:
    harness.simulate(space())
    harness.control.fail({"path": path}, times=None, status=404, code="not_found")
    for _ in range(2):
        outcome = await harness.sync()
        assert outcome.exit_code == 1
        assert outcome.resources[resource].status == "failed"
        assert f"{resource}: " in (outcome.error or "")
        assert outcome.resources[resource].requests < 60
        assert outcome.resources["tags"].status == "succeeded"
    await heals(harness)


# -- a record that spoils every page it stands on --------------------------------------------


@pytest.mark.sampled(1)
@pytest.mark.fault(
    "one record spoils every page of a list that it stands on, at any page size, for ever",
    "all others are read; it is pending and named, exit code 1; nothing is deleted; it heals",
    times=15,
)
@pytest.mark.parametrize("fault", SPOILS)
@pytest.mark.parametrize("kind", ["contacts", "conversations", "tickets"])
async def test_a_record_spoils_its_searches(harness: Harness, kind: str, fault: str) -> None:
    harness.simulate(space())
    rows = listed(harness, kind)
    bad = str(rows[len(fault) % len(rows)]["id"])
    spoil(harness, bad, f"^/{kind}", **SPOILS[fault])
    for options in ({}, ALWAYS, NEVER):
        outcome = await harness.sync(**options)
        assert is_named(outcome), outcome.error
        assert pending(harness)
        assert others(harness, bad) == []
        assert all(row["_deleted_at"] is None for row in harness.rows(kind).values())
        full = harness.query(
            "SELECT full_due_since FROM sync_state WHERE full_due_since IS NOT NULL"
        )
        assert full == []  # the pass counts as done
        harness.pass_time(DAY)
    await heals(harness)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("place", [0, 5, -1])
@pytest.mark.parametrize("kind", ["contacts", "conversations"])
async def test_a_known_record_that_spoils_its_searches_is_named_by_its_id(
    harness: Harness, kind: str, place: int
) -> None:
    await harness.load(space())
    bad = str(listed(harness, kind)[place]["id"])
    spoil(harness, bad, f"^/{kind}", status=404, code="not_found")
    for _ in range(3):
        harness.pass_time(DAY)
        outcome = await harness.sync(**ALWAYS)
        assert is_named(outcome)
        assert bad in [key for _, key in pending(harness)]
        assert harness.rows(kind)[bad]["_deleted_at"] is None
        assert others(harness, bad) == []
    await heals(harness)


async def test_a_404_by_id_deletes_nothing_while_a_search_stumbles(harness: Harness) -> None:
    await harness.load(space())
    bad = str(listed(harness, "conversations")[5]["id"])
    spoil(harness, bad, "^/conversations", status=404, code="conversation_not_found")
    for options in (ALWAYS, NEVER, NEVER, {"full": True}):
        harness.pass_time(DAY)
        outcome = await harness.sync(**options)
        assert is_named(outcome)
        assert bad in [key for _, key in pending(harness)]
        assert harness.rows("conversations")[bad]["_deleted_at"] is None
    await heals(harness)


async def test_what_only_searches_cannot_show_is_read_by_id(harness: Harness) -> None:
    await harness.load(space())
    bad = str(listed(harness, "conversations")[5]["id"])
    spoil(harness, bad, "^/conversations/search", status=500)
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["contacts", "conversations", "tickets"])
async def test_a_change_of_a_spoilt_record_holds_up_no_other_change(
    harness: Harness, kind: str
) -> None:
    await harness.load(space())
    harness.pass_time(DAY)
    keys = [str(row["id"]) for row in listed(harness, kind)[2:7]]
    changes: dict[str, Callable[[str], object]] = {
        "contacts": lambda key: harness.control.update_contact(key, name=f"Changed {key}"),
        "conversations": harness.control.reply,
        "tickets": harness.control.reply_ticket,
    }
    for key in keys:
        changes[kind](key)
        harness.pass_time(60)
    harness.pass_time(600)
    spoil(harness, keys[2], f"^/{kind}", status=500)
    for _ in range(2):
        outcome = await harness.sync(**NEVER)
        assert is_named(outcome), outcome.error
        assert others(harness, keys[2]) == []
        harness.pass_time(DAY)
    await heals(harness)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["contacts", "conversations"])
@pytest.mark.parametrize("version", ["2.16", "Preview"])
async def test_several_spoilt_records_leave_nothing_else_out(
    harness: Harness, kind: str, version: str
) -> None:
    harness.simulate(space(contacts=60, conversations=30))
    rows = listed(harness, kind)
    bad = [str(rows[place]["id"]) for place in (0, 7, 8, 20, len(rows) - 1)]
    for key in bad:
        spoil(harness, key, f"^/{kind}", status=404, code="not_found")
    outcome = await harness.sync(harness.client(version=version))
    assert is_named(outcome)
    assert others(harness, *bad) == []
    asked = sum(tally.requests for tally in outcome.resources.values())
    harness.control.clear_faults()
    harness.pass_time(DAY)
    outcome = await harness.sync(harness.client(version=version), **NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == []
    assert differences(harness) == []
    assert asked < 1_500


async def test_a_spoilt_record_among_many_costs_few_requests(harness: Harness) -> None:
    harness.simulate(space(contacts=900, conversations=5))
    bad = next(r["id"] for r in listed(harness, "contacts")[400:] if r["role"] == "user")
    await harness.sync(only=("leads",))
    spoil(harness, bad, "^/contacts", status=404, code="not_found")
    outcome = await harness.sync(only=("users",))
    assert is_named(outcome)
    assert outcome.resources["users"].requests < 140
    assert len(harness.rows("contacts")) >= 890
    outcome = await harness.sync(only=("users",), **NEVER)
    assert is_named(outcome)
    assert outcome.resources["users"].requests < 80


@pytest.mark.sampled(1)
@pytest.mark.fault(
    "one record spoils its pages of a list by page numbers, by cursor, or of the scroll",
    "all that the list can show is read; the place is pending and named; nothing is deleted",
    times=6,
)
@pytest.mark.parametrize("fault", ["404", "500", "garbage"])
@pytest.mark.parametrize("kind", ["companies", "articles", "collections", "news_items", "calls"])
async def test_a_record_spoils_its_lists(harness: Harness, kind: str, fault: str) -> None:
    harness.simulate(space())
    bad = str(listed(harness, kind)[1]["id"])
    spoil(harness, bad, f"^/(help_center/|news/)?{kind}", **SPOILS[fault])
    for options in ({}, NEVER):
        outcome = await harness.sync(**options)
        assert is_named(outcome), outcome.error
        assert [name for name, _ in pending(harness)][:1] == [kind]
        assert others(harness, bad) == []
        assert all(row["_deleted_at"] is None for row in harness.rows(kind).values())
        harness.pass_time(DAY)
    await heals(harness)


async def test_what_is_known_of_a_spoilt_list_stays_and_is_named(harness: Harness) -> None:
    await harness.load(space())
    for kind in ("companies", "articles", "macros"):
        bad = str(listed(harness, kind)[2]["id"])
        spoil(harness, bad, f"^/{kind}", status=404, code="not_found")
        harness.pass_time(DAY)
        outcome = await harness.sync(**ALWAYS)
        assert is_named(outcome)
        assert (kind, bad) in pending(harness)
        assert harness.rows(kind)[bad]["_deleted_at"] is None
        await heals(harness)


def test_a_hole_is_kept_under_its_bounds_and_no_object_is_taken_for_one() -> None:
    for text in ("created_at 2026-05-01T10:00:00Z..2026-05-01T10:00:01Z",
                 "updated_at ..2026-05-01T10:00:00Z", "created_at .."):  # fmt: skip
        hole = hole_of(text)
        assert hole is not None
        assert hole.id == text
    assert hole_of("215474207312016") is None
    assert hole_of("6a113443fe4e2e91dc10003b") is None


# -- one object, one list --------------------------------------------------------------------

REFUSES: dict[str, dict[str, Any]] = {
    **{
        str(status): {"status": status, "code": "client_error"}
        for status in (400, 401, 402, 403, 406, 409, 422, 500, 503)
    },
    "404 html": {"kind": "html", "status": 404},
    "garbage": {"kind": "garbage"},
    "empty": {"kind": "empty"},
    "cut": {"kind": "cut"},
}


@pytest.mark.sampled(1)
@pytest.mark.fault(
    "one object answers anything but itself or its absence by id",
    "the others are read; it is pending and named, exit code 1; it heals",
    times=2,
)
@pytest.mark.parametrize("refusal", REFUSES)
async def test_one_object_is_refused(harness: Harness, refusal: str) -> None:
    harness.simulate(space())
    bad = str(listed(harness, "conversations")[3]["id"])
    harness.control.fail({"path": f"^/conversations/{bad}$"}, times=None, **REFUSES[refusal])
    for _ in range(2):
        outcome = await harness.sync()
        assert is_named(outcome), outcome.error
        assert pending(harness) == [("conversations", bad)]
        assert others(harness, bad) == []
    await heals(harness)


async def test_all_of_many_refused_is_a_missing_scope(harness: Harness) -> None:
    harness.simulate(space(conversations=30))
    harness.control.fail({"path": r"^/conversations/\d+$"}, times=None, status=403)
    outcome = await harness.sync()
    assert outcome.resources["conversations"].status == "failed"
    assert pending(harness) == []
    await heals(harness)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("status", [400, 401, 403, 422, 500])
@pytest.mark.parametrize("name", ["notes", "subscriptions", "tags"])
@pytest.mark.fault(
    "a list of one contact is refused",
    "the lists of the others are read; the contact is pending and named, exit code 1; it heals",
    times=2,
)
async def test_one_list_of_one_contact_is_refused(harness: Harness, name: str, status: int) -> None:
    harness.simulate(Workspace.generate(5, contacts=200, companies=30, now=int(NOW)))
    harness.control.falsify("subscriptions-embedded")
    contact = next(
        row["id"]
        for row in listed(harness, "contacts")
        if len(row[name]["data"]) > (10 if name == "tags" else 0)
    )
    harness.control.fail({"path": f"^/contacts/{contact}/{name}"}, times=None, status=status)
    for _ in range(2):
        outcome = await harness.sync()
        assert is_named(outcome), outcome.error
        assert {key for _, key in pending(harness)} == {contact}
        assert others(harness, contact) == []
        harness.pass_time(DAY)
    await heals(harness)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("status", [400, 403, 500])
async def test_the_events_of_one_contact_are_refused(harness: Harness, status: int) -> None:
    simulator = harness.simulate(space())
    contact = max(simulator.workspace.events, key=lambda key: len(simulator.workspace.events[key]))
    harness.control.fail(
        {"path": "^/events"}, times=None, status=status, holds=f'"intercom_user_id":"{contact}"'
    )
    for _ in range(2):
        outcome = await harness.sync()
        assert is_named(outcome), outcome.error
        assert pending(harness) == [("events", contact)]
        stored = harness.query("SELECT contact_id FROM events")
        assert stored
        assert contact not in [row["contact_id"] for row in stored]
        harness.pass_time(DAY)
    await heals(harness)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("status", [404, 500])
async def test_one_event_spoils_its_pages(harness: Harness, status: int) -> None:
    simulator = harness.simulate(space())
    contact = listed(harness, "contacts")[0]["id"]
    for number in range(6):
        harness.pass_time(3_600)
        harness.control.track_event(contact, f"event {number}")
    harness.pass_time(DAY)
    harness.control.fail(
        {"path": "^/events"}, times=None, status=status, holds='"event_name":"event 3"'
    )
    for _ in range(2):
        outcome = await harness.sync()
        assert is_named(outcome), outcome.error
        assert pending(harness) == [("events", contact)]
        query = "SELECT event_name FROM events WHERE event_name LIKE 'event %%' ORDER BY 1"
        stored = [row["event_name"] for row in harness.query(query)]
        assert stored == [f"event {number}" for number in (0, 1, 2, 4, 5)]
        assert outcome.resources["events"].requests < 200
    assert simulator.faults.struck
    await heals(harness)


@pytest.mark.sampled(1)
@pytest.mark.fault(
    "the search for one segment's members fails",
    "the others' members are read; the segment is pending and named, exit code 1; it heals",
    times=2,
)
@pytest.mark.parametrize("place", [0, 5, -1])
@pytest.mark.parametrize("status", [403, 404, 500])
async def test_the_members_of_one_segment_are_refused(
    harness: Harness, status: int, place: int
) -> None:
    harness.simulate(space())
    members = harness.members()
    segment = sorted(members)[place]
    body = {"path": "^/contacts/search", "body": json.dumps(segment)}
    harness.control.fail(body, times=None, status=status, code="not_found")
    for _ in range(2):
        outcome = await harness.sync()
        assert is_named(outcome), outcome.error
        assert pending(harness) == [("contact_segments", segment)]
        assert others(harness, segment) == []
        harness.pass_time(DAY)
    await heals(harness)


async def test_a_member_that_spoils_its_searches_stays_a_member(harness: Harness) -> None:
    await harness.load(space())
    members = harness.members()
    segment = max(members, key=lambda key: len(members[key]))
    bad = members[segment][1]
    spoil(harness, bad, "^/contacts/search", status=500)
    harness.pass_time(DAY)
    outcome = await harness.sync(**NEVER)
    assert is_named(outcome)
    assert ("contact_segments", segment) in pending(harness)
    assert differences(harness) == []
    await heals(harness)


async def test_one_part_of_a_snapshot_is_refused(harness: Harness) -> None:
    harness.simulate(space())
    harness.control.fail({"path": "^/conversations/attributes"}, times=None, status=500)
    for _ in range(2):
        outcome = await harness.sync()
        assert is_named(outcome), outcome.error
        assert [name for name, _ in pending(harness)] == ["data_attributes"]
        models = harness.query("SELECT DISTINCT model FROM data_attributes ORDER BY 1")
        assert [row["model"] for row in models] == ["company", "contact"]
    await heals(harness)


async def test_a_feed_of_deletions_never_passes_a_gap(harness: Harness) -> None:
    await harness.load(space(conversations=30))
    harness.pass_time(DAY)
    gone = [str(row["id"]) for row in listed(harness, "conversations")[:4]]
    for key in gone:
        harness.control.delete_conversation(key)
        harness.pass_time(60)
    harness.pass_time(DAY)
    spoil(harness, gone[1], "^/conversations/deleted", status=500)
    outcome = await harness.sync(**NEVER)
    assert outcome.resources["deleted_conversations"].status == "failed"
    dead = {k for k, row in harness.rows("conversations").items() if row["_deleted_at"]}
    assert dead == {gone[0], gone[2], gone[3]}
    harness.control.clear_faults()
    harness.pass_time(DAY)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    dead = {k for k, row in harness.rows("conversations").items() if row["_deleted_at"]}
    assert dead == set(gone)


# -- full passes and changes -----------------------------------------------------------------


@pytest.mark.sampled(1)
@pytest.mark.parametrize("cheap", [True, False])
async def test_changes_are_read_though_the_full_pass_fails_each_night(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, cheap: bool
) -> None:
    await harness.load(space())
    if not cheap:
        monkeypatch.setattr("connector.sync.planning.schedule.AT_EVERY_RUN", 0)
        monkeypatch.setattr("connector.sync.passes.AT_EVERY_RUN", 0)
    body = '"sort":{"field":"created_at'
    full = {"path": "^/(conversations|contacts|tickets)/search", "body": body}
    harness.control.fail(full, times=None, status=500)
    keys = [str(row["id"]) for row in listed(harness, "conversations")[:3]]
    for key in keys:
        harness.pass_time(DAY)
        harness.control.reply(key)
        harness.control.update_contact(listed(harness, "contacts")[0]["id"], name=f"Now {key}")
        harness.pass_time(1_200)
        outcome = await harness.sync(**ALWAYS)
        assert outcome.exit_code == 1
        assert outcome.resources["conversations"].status == "failed"
        wrong = [d for d in differences(harness) if not d.startswith("contact_segments")]
        assert wrong == []
    await heals(harness)


async def test_a_full_run_is_decided_for_each_resource(harness: Harness) -> None:
    harness.simulate(space())
    harness.control.deny("^/calls", 403)
    await harness.sync()
    contact = listed(harness, "contacts")[0]["id"]
    query = "UPDATE contacts SET name = 'spoilt by hand' WHERE id = %s"
    for _ in range(2):
        harness.query(query, contact)
        harness.pass_time(60)
        outcome = await harness.sync(full=True)
        assert outcome.exit_code == 0, outcome.error
        assert harness.rows("contacts")[contact]["name"] != "spoilt by hand"


async def test_a_full_run_that_was_cut_short_is_continued_and_not_begun_again(
    harness: Harness,
) -> None:
    harness.simulate(space())
    harness.control.deny("^/calls", 403)
    await harness.sync()
    harness.control.when(
        {"path": "^/conversations/search"}, "revoke_token", {"revoked": True}, times=1
    )
    with pytest.raises(TokenRefusedError):
        await harness.sync(full=True)
    harness.control.revoke_token(False)
    contact = listed(harness, "contacts")[0]["id"]
    harness.query("UPDATE contacts SET name = 'spoilt by hand' WHERE id = %s", contact)
    harness.control.reset_stats()
    outcome = await harness.sync(full=True)
    assert outcome.exit_code == 0, outcome.error
    assert harness.rows("contacts")[contact]["name"] == "spoilt by hand"  # passed before the end
    outcome = await harness.sync(full=True)
    assert harness.rows("contacts")[contact]["name"] != "spoilt by hand"


# -- what Postgres refuses -------------------------------------------------------------------


@pytest.mark.fault(
    "Postgres refuses one row (an index entry too large)",
    "its contact is pending and named, exit code 1; all else is written; it heals with a change",
    rows=False,
)
async def test_a_row_that_postgres_refuses_is_pending_alone(
    harness: Harness, injected: Any
) -> None:
    await harness.load(space())
    contact = listed(harness, "contacts")[0]["id"]
    name = "".join(random.Random(1).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=6_000))
    harness.control.track_event(contact, name)
    harness.control.track_event(contact, "an ordinary one")
    injected()
    for _ in range(2):
        harness.pass_time(DAY)
        outcome = await harness.sync()
        assert is_named(outcome), outcome.error
        assert pending(harness) == [("events", contact)]
        assert "54000" in harness.query("SELECT reason FROM sync_pending")[0]["reason"]
        assert name not in harness.text()
        stored = harness.query("SELECT event_name FROM events WHERE contact_id = %s", contact)
        assert "an ordinary one" in [row["event_name"] for row in stored]
        assert outcome.resources["articles"].status == "succeeded"


async def test_a_row_that_a_constraint_refuses_is_pending_alone(
    harness: Harness, injected: Any
) -> None:
    await harness.load(space())
    rows = listed(harness, "contacts")
    harness.query("ALTER TABLE contacts ADD CHECK (name <> 'Refused')")
    for row in rows[:6]:
        harness.control.update_contact(row["id"], name=f"Fine {row['id']}")
    harness.control.update_contact(rows[3]["id"], name="Refused")
    harness.pass_time(DAY)
    for options in (NEVER, ALWAYS):
        outcome = await harness.sync(**options)
        assert is_named(outcome), outcome.error
        assert [key for _, key in pending(harness)] == [rows[3]["id"]]
        assert "Refused" not in harness.query("SELECT reason FROM sync_pending")[0]["reason"]
        assert others(harness, rows[3]["id"]) == []
        harness.pass_time(DAY)
    harness.control.update_contact(rows[3]["id"], name="Fine again")
    await heals(harness)


@pytest.mark.parametrize("when", ["INSERT", "UPDATE"])
async def test_rows_that_a_trigger_of_others_keeps_as_they_were_are_pending(
    harness: Harness, when: str
) -> None:
    await harness.load(space())
    unless_kept = "IF NEW.name = 'Kept' THEN RETURN NULL; END IF; RETURN NEW;"
    harness.query(keep("contacts", unless_kept, when))
    rows = listed(harness, "contacts")
    for row in rows[:6]:
        harness.control.update_contact(row["id"], name=f"Fine {row['id']}")
    if when == "INSERT":
        key = harness.control.create_contact(role="user", name="Kept")
    else:
        key = rows[3]["id"]
        harness.control.update_contact(key, name="Kept")
    for options in (NEVER, ALWAYS):
        harness.pass_time(DAY)
        outcome = await harness.sync(**options)
        assert is_named(outcome), outcome.error
        assert [one for _, one in pending(harness)] == [key]
        [entry] = harness.query("SELECT reason FROM sync_pending")
        assert "contacts has the trigger keep" in entry["reason"]
        assert others(harness, key) == []
    harness.query(free("contacts"))
    await heals(harness)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("name", ["subscription_types", "ticket_states", "activity_logs", "tags"])
async def test_a_row_that_postgres_refuses_heals_however_it_is_listed(
    harness: Harness, injected: Any, name: str
) -> None:
    harness.simulate(space())
    key = listed(harness, name)[0]["id"]
    await harness.sync(only=("admins",))
    harness.query(f"ALTER TABLE {name} ADD CONSTRAINT c CHECK (_placeholder OR id <> '{key}')")
    injected()
    for attempts in (1, 2, 3):
        outcome = await harness.sync()
        assert is_named(outcome), outcome.error
        (entry,) = harness.query("SELECT * FROM sync_pending")
        assert entry["id"] == key
        assert entry["attempts"] >= attempts  # so it waits longer each time
        harness.pass_time(DAY)
    harness.query(f"ALTER TABLE {name} DROP CONSTRAINT c")
    await heals(harness)
    assert key in harness.rows(name)


async def test_a_feed_does_not_leave_a_merge_behind_that_postgres_refuses(
    harness: Harness, injected: Any
) -> None:
    await harness.load(space(), feed_lag=0.0)
    contacts = listed(harness, "contacts")
    one, other = (next(c["id"] for c in contacts if c["role"] == r) for r in ("lead", "user"))
    harness.query("ALTER TABLE contact_merges ADD CONSTRAINT c CHECK (merged_at IS NULL)")
    harness.control.merge_contacts(one, other)
    injected()
    harness.pass_time(DAY)
    outcome = await harness.sync(only=("contact_merges",))
    assert is_named(outcome), outcome.error
    harness.query("ALTER TABLE contact_merges DROP CONSTRAINT c")
    outcome = await harness.sync(only=("contact_merges",))
    assert outcome.exit_code == 0, outcome.error
    assert [row["source_contact_id"] for row in harness.query("SELECT * FROM contact_merges")]
    assert pending(harness) == []


async def test_a_broken_database_is_not_taken_for_a_refused_row(harness: Harness) -> None:
    await harness.load(space())
    harness.query(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
    )
    harness.query(
        "CREATE TRIGGER t BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION full_disk()"
    )
    harness.control.update_contact(listed(harness, "contacts")[0]["id"], name="New")
    harness.pass_time(DAY)
    with pytest.raises(DatabaseError):
        await harness.sync()


async def test_whatever_is_pending_can_be_named_to_refetch(harness: Harness) -> None:
    simulator = harness.simulate(space())
    members = harness.members()
    segment = max(members, key=lambda key: len(members[key]))
    contact = max(simulator.workspace.events, key=lambda key: len(simulator.workspace.events[key]))
    spoil(harness, str(listed(harness, "conversations")[5]["id"]), "^/conversations", status=500)
    spoil(harness, str(listed(harness, "articles")[2]["id"]), "^/articles", status=500)
    harness.control.fail({"path": "^/conversations/attributes"}, times=None, status=500)
    harness.control.fail(
        {"path": "^/contacts/search", "body": json.dumps(segment)}, times=None, status=500
    )
    harness.control.fail(
        {"path": "^/events"}, times=None, status=500, holds=f'"intercom_user_id":"{contact}"'
    )
    await harness.sync()
    kept = pending(harness)
    assert {name for name, _ in kept} == {
        "conversations", "articles", "data_attributes", "contact_segments", "events"
    }  # fmt: skip
    for wanted in (1, 0):
        for name, key in kept:
            database = Database(harness.database_url, harness.schema)
            try:
                async with harness.client() as client:
                    outcome = await refetch(client, database, BY_NAME[name], [key])
            finally:
                database.close()
            assert outcome.exit_code == wanted, (name, key, outcome.error)
        harness.control.clear_faults()
    assert pending(harness) == []
    assert differences(harness) == []
