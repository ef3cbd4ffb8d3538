"""What reading costs in requests: nothing is asked for that a record, a search or a count tells."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from connector.resources import BY_NAME
from connector.simulator import SimulatorTransport, Workspace
from connector.sync.guards.embedded_lists import AT_FIRST, EMPTY, SIZE
from connector.sync.outcome import Silent
from connector.sync.readings import lists, members
from connector.sync.run import refetch
from connector.warehouse.merge import statements
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from connector.warehouse.state import reads
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400.0
SAMPLED = SIZE + EMPTY
AT_FIRST_SAMPLED = SIZE + AT_FIRST
DUE: dict[str, Any] = {"full_pass_days": 0.0}  # full passes are due by their age
NOT_DUE: dict[str, Any] = {"full_pass_days": 3_650.0}


def workspace(**sizes: Any) -> Workspace:
    sizes = {"contacts": 150, "companies": 20, "conversations": 8, **sizes}
    return Workspace.generate(21, **sizes, now=int(NOW))


def asked(harness: Harness, path: str) -> int:
    """How many requests of that kind were sent since the counts were reset."""
    return sum(n for name, n in harness.control.stats()["endpoints"].items() if path in name)


def alter(harness: Harness, contact: str, **ties: Any) -> None:
    """Change what hangs on a contact behind everybody's back: its record shows nothing of it."""
    item = harness.simulator.workspace.shelf("contacts").current[contact]
    object.__setattr__(item, "owned", item.owned._replace(**ties))


@dataclass
class Recorder(httpx.AsyncBaseTransport):
    """Passes requests on and keeps, in their order, what was asked for."""

    inner: SimulatorTransport
    asked: list[str] = field(default_factory=list)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(f"{request.method} {request.url.raw_path.decode()}")
        return await self.inner.handle_async_request(request)

    def places(self, part: str) -> list[int]:
        return [place for place, one in enumerate(self.asked) if part in one]

    def contacts(self) -> list[str]:
        """Whose events were asked for, in that order."""
        told = [one for one in self.asked if "/events?" in one]
        return [httpx.URL(one.split(" ")[1]).params["intercom_user_id"] for one in told]


def recorded(harness: Harness) -> Recorder:
    return Recorder(SimulatorTransport(harness.simulator))


# -- subscriptions ---------------------------------------------------------------------------


async def test_subscriptions_come_with_the_contacts(harness: Harness) -> None:
    harness.simulate(workspace())
    await harness.sync()
    assert harness.query("SELECT count(*) AS n FROM contact_subscriptions")[0]["n"] > 20
    assert asked(harness, "/subscriptions") <= AT_FIRST_SAMPLED
    kept = harness.query("SELECT extra FROM contacts WHERE extra::text LIKE '%%opted_%%'")
    assert kept == []
    assert differences(harness) == []


async def test_a_contact_that_does_not_embed_them_is_asked_for_its_subscriptions(
    harness: Harness,
) -> None:
    harness.simulate(workspace())
    harness.control.falsify("subscriptions-embedded")
    await harness.sync()
    assert asked(harness, "/subscriptions") == len(harness.control.truth("contacts"))
    assert differences(harness) == []


async def test_where_only_one_half_is_embedded_the_list_is_asked_for(harness: Harness) -> None:
    harness.simulate(workspace())
    changed = harness.control.truth("contact_subscriptions")[0]["contact_id"]
    item = harness.simulator.workspace.shelf("contacts").current[changed]
    body = item.body.replace(b'"opted_in_subscription_types":{', b'"opted_in_elsewhere":{')
    object.__setattr__(item, "body", body)
    await harness.sync()
    assert asked(harness, "/subscriptions") <= 1 + AT_FIRST_SAMPLED
    stored = harness.query("SELECT * FROM contact_subscriptions WHERE contact_id = %s", changed)
    told = harness.control.truth("contact_subscriptions")
    assert {row["subscription_type_id"] for row in stored} == {
        row["subscription_type_id"] for row in told if row["contact_id"] == changed
    }


async def test_records_that_embed_less_than_is_listed_are_noticed(harness: Harness) -> None:
    harness.simulate(workspace())
    types = sorted(harness.simulator.workspace.subscription_types)
    chosen = [one["id"] for one in harness.control.truth("contacts")][::5]
    for contact in chosen:  # listed, and embedded by none
        item = harness.simulator.workspace.shelf("contacts").current[contact]
        if not item.owned.opted_in and not item.owned.opted_out:
            alter(harness, contact, opted_out=tuple(types))
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert {one.fact.id for one in outcome.refuted} == {"subscriptions-embedded"}
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []
    harness.pass_time(DAY)
    await harness.sync(**DUE)  # no record takes away what its list has
    assert differences(harness) == []


async def test_silent_subscriptions_are_found_within_the_refresh_interval(
    harness: Harness,
) -> None:
    await harness.load(workspace())
    contact = harness.control.truth("contacts")[0]["id"]
    for type in harness.simulator.workspace.subscription_types:
        harness.control.subscribe_contact(contact, type, subscribed=False)
    harness.pass_time(2 * DAY)
    await harness.sync(**NOT_DUE, refresh_interval=timedelta(days=2))
    assert differences(harness) == []


async def test_a_list_that_searches_lag_behind_does_not_undo_what_was_read_since(
    harness: Harness,
) -> None:
    harness.simulate(workspace(), index_lag=60.0)
    await harness.sync()  # digests are stored only by the next pass
    having = {one["contact_id"] for one in harness.control.truth("contact_subscriptions")}
    contacts = [one["id"] for one in harness.control.truth("contacts") if one["id"] not in having]
    for contact in contacts[:5]:
        for type in harness.simulator.workspace.subscription_types:
            harness.control.subscribe_contact(contact, type, subscribed=False)
    database = Database(harness.database_url, harness.schema)
    async with harness.client() as client:
        await refetch(client, database, BY_NAME["contact_subscriptions"], contacts[:5])
    database.close()
    assert differences(harness) == []
    harness.pass_time(10)
    await harness.sync(**DUE)  # searches show what was before, and only later what is
    assert differences(harness) == []


async def test_new_contacts_do_not_move_since_when_events_are_complete(harness: Harness) -> None:
    harness.simulate(workspace())
    await harness.sync()
    database = Database(harness.database_url, harness.schema)
    first = database.read(lambda conn: reads.coverage(conn, Names(harness.schema), "events"))
    for _ in range(3):
        harness.pass_time(DAY)
        harness.control.create_contact("user")
        harness.pass_time(600)
        await harness.sync()
    last = database.read(lambda conn: reads.coverage(conn, Names(harness.schema), "events"))
    database.close()
    assert last.complete_since == first.complete_since is not None
    assert last.read == last.contacts == first.contacts + 3


# -- the order of a first load ---------------------------------------------------------------


class Told(Silent):
    """Remembers what was said to be left."""

    def __init__(self) -> None:
        self.left: list[list[str]] = []

    def usable(self, left: Any) -> None:
        self.left.append([resource.name for resource in left])


async def test_what_exists_only_contact_by_contact_comes_last(harness: Harness) -> None:
    harness.simulate(workspace(events=60))
    recorder = recorded(harness)
    await harness.sync(harness.client(transport=recorder))
    last = min(recorder.places("/notes") + recorder.places("/events"))
    for part in ("/contacts/search", "GET /conversations/", "/tickets/search", "/calls", "/macros"):
        assert max(recorder.places(part)) < last, part
    assert {name for name, one in BY_NAME.items() if one.comes_last} == {"contact_notes", "events"}
    loaded = harness.query("SELECT resource, loaded_at FROM sync_state WHERE cursor IS NOT NULL")
    assert all(row["loaded_at"] is not None for row in loaded)


async def test_contacts_that_were_active_come_first(harness: Harness) -> None:
    harness.simulate(workspace(events=200))
    recorder = recorded(harness)
    await harness.sync(harness.client(transport=recorder))
    since = datetime.fromtimestamp(NOW, UTC) - timedelta(days=90)
    columns = ", ".join(BY_NAME["events"].reading.follows)  # type: ignore[union-attr]
    rows = harness.query(f"SELECT id, greatest({columns}) > %s AS active FROM contacts_live", since)
    active = {row["id"] for row in rows if row["active"]}
    order = list(dict.fromkeys(recorder.contacts()))
    assert active
    assert set(order[: len(active)]) == active
    assert len(order) == len(rows)


async def test_events_of_the_active_alone_leave_the_others_to_their_turn(harness: Harness) -> None:
    harness.simulate(workspace(events=200))
    recorder = recorded(harness)
    await harness.sync(harness.client(transport=recorder), only_active=True)
    at_first = set(recorder.contacts())
    everybody = {one["id"] for one in harness.control.truth("contacts")}
    assert at_first < everybody
    read = harness.query("SELECT id FROM sync_reads WHERE resource = 'events'")
    assert {row["id"] for row in read} == at_first
    for _ in range(4):
        harness.pass_time(DAY)
        await harness.sync(only_active=True, refresh_interval=timedelta(days=3))
    assert differences(harness) == []
    read = harness.query("SELECT id FROM sync_reads WHERE resource = 'events'")
    assert {row["id"] for row in read} == everybody


async def test_a_plain_sync_asks_every_contact(harness: Harness) -> None:
    harness.simulate(workspace(events=200))
    await harness.sync(only_active=True)
    await harness.sync()
    assert differences(harness) == []
    read = harness.query("SELECT id FROM sync_reads WHERE resource = 'events'")
    assert {row["id"] for row in read} == {one["id"] for one in harness.control.truth("contacts")}


# -- events ----------------------------------------------------------------------------------


async def test_since_when_events_are_complete_is_kept(harness: Harness) -> None:
    await harness.load(workspace())
    first = harness.query("SELECT id, complete_since FROM sync_reads WHERE resource = 'events'")
    since = datetime.fromtimestamp(NOW, UTC) - timedelta(days=90)
    assert all(abs(row["complete_since"] - since) < timedelta(minutes=5) for row in first)
    harness.pass_time(40 * DAY)
    await harness.sync()
    again = harness.query("SELECT id, complete_since FROM sync_reads WHERE resource = 'events'")
    assert {row["id"]: row["complete_since"] for row in again} == {
        row["id"]: row["complete_since"] for row in first
    }
    harness.pass_time(120 * DAY)  # what happened in between nobody shows any more
    await harness.sync(full=True)
    (row,) = harness.query(
        "SELECT min(complete_since) AS at FROM sync_reads WHERE resource = 'events'"
    )
    assert row["at"] > since + timedelta(days=159)


async def test_a_time_that_lies_ahead_is_no_activity(harness: Harness) -> None:
    harness.simulate(workspace())
    contact = harness.control.truth("contacts")[-1]["id"]
    harness.control.update_contact(contact, signed_up_at=int(NOW + 300 * DAY))
    harness.pass_time(DAY)
    await harness.sync(**NOT_DUE)
    harness.pass_time(600)
    recorder = recorded(harness)
    await harness.sync(harness.client(transport=recorder), **NOT_DUE)
    assert contact not in recorder.contacts()


async def test_events_are_read_as_far_as_they_can_be_news(harness: Harness) -> None:
    harness.simulate(workspace())
    users = [one["id"] for one in harness.control.truth("contacts") if one["role"] == "user"]
    contact = max(users)  # of others whose turn it is it is the last
    for day in range(80):
        for n in range(4):
            at = int(NOW - day * DAY - n * 600 - 60)
            harness.control.track_event(contact, "opened", created_at=at)
    harness.pass_time(600)
    await harness.sync()
    harness.pass_time(DAY)
    harness.control.track_event(contact, "closed", created_at=int(harness.now - 60))
    harness.control.update_contact(contact, name="active")
    harness.pass_time(600)
    recorder = recorded(harness)
    await harness.sync(harness.client(transport=recorder), **NOT_DUE)
    assert recorder.contacts().count(contact) == 1  # of seven pages
    assert differences(harness) == []


async def test_events_told_late_are_found_within_the_refresh_interval(harness: Harness) -> None:
    harness.simulate(workspace())
    contact = next(one["id"] for one in harness.control.truth("contacts") if one["role"] == "user")
    for day in range(60):
        harness.control.track_event(contact, "opened", created_at=int(NOW - day * DAY - 60))
    await harness.sync()
    for night in range(12):  # it is active every day, so its list is read in part
        harness.pass_time(DAY)
        if night == 2:
            harness.control.track_event(contact, "told late", created_at=int(NOW - 50 * DAY))
        harness.control.update_contact(contact, name=f"active {night}")
        harness.pass_time(600)
        await harness.sync(**NOT_DUE, refresh_interval=timedelta(days=7))
    names = harness.query("SELECT event_name FROM events WHERE contact_id = %s", contact)
    assert "told late" in {row["event_name"] for row in names}
    assert differences(harness) == []


# -- lists that are cut ----------------------------------------------------------------------


def with_many(harness: Harness, kind: str) -> list[dict[str, Any]]:
    contacts = harness.control.truth("contacts")
    return [one for one in contacts if len(one[kind]["data"]) > 10]


async def settled(harness: Harness, **sizes: Any) -> None:
    """A workspace whose contacts have been read twice: lists, digests and counts are stored."""
    space = Workspace.generate(5, contacts=600, companies=40, now=int(NOW), **sizes)
    await harness.load(space, then=_read_again)
    harness.control.reset_stats()


async def _read_again(harness: Harness) -> None:
    harness.pass_time(2 * DAY)
    await harness.sync(**DUE)
    harness.pass_time(2 * DAY)


async def test_a_full_pass_asks_for_no_list_that_is_confirmed(harness: Harness) -> None:
    await settled(harness)
    assert len(with_many(harness, "tags")) > 10
    assert len(with_many(harness, "companies")) > 5
    await harness.sync(**DUE)
    assert asked(harness, "/tags") <= SAMPLED
    assert asked(harness, "/companies") <= SAMPLED + 3  # the scroll, and what it hides
    assert differences(harness) == []


async def test_a_tag_exchanged_behind_the_tenth_is_found_by_a_full_pass(harness: Harness) -> None:
    await settled(harness)
    contact = with_many(harness, "tags")[0]
    item = harness.simulator.workspace.shelf("contacts").current[contact["id"]]
    had = {tag.id for tag in item.owned.tags}
    other = next(id for id in harness.simulator.workspace.tags if id not in had)
    last = item.owned.tags[-1]._replace(id=other)
    alter(harness, contact["id"], tags=(*item.owned.tags[:-1], last))
    await harness.sync(**DUE)
    assert differences(harness) == []
    assert asked(harness, "/tags") <= 3 + SAMPLED


async def test_a_company_exchanged_behind_the_tenth_is_found_by_a_full_pass(
    harness: Harness,
) -> None:
    await settled(harness)
    contact = with_many(harness, "companies")[0]
    item = harness.simulator.workspace.shelf("contacts").current[contact["id"]]
    had = set(item.owned.companies)
    others = [id for id, one in harness.simulator.workspace.companies.current.items() if one.shown]
    other = next(id for id in others if id not in had)
    harness.control.detach_company(contact["id"], item.owned.companies[-1], bump=False)
    harness.control.attach_company(contact["id"], other, bump=False)
    harness.pass_time(600)
    await harness.sync(**DUE)
    assert differences(harness) == []


@pytest.mark.parametrize("status", [400, 500])
async def test_where_no_search_for_tags_is_to_be_had_each_list_is_asked_for(
    harness: Harness, status: int
) -> None:
    await settled(harness)
    contact = with_many(harness, "tags")[0]
    item = harness.simulator.workspace.shelf("contacts").current[contact["id"]]
    had = {tag.id for tag in item.owned.tags}
    other = next(id for id in harness.simulator.workspace.tags if id not in had)
    last = item.owned.tags[-1]._replace(id=other)
    alter(harness, contact["id"], tags=(*item.owned.tags[:-1], last))
    harness.control.fail({"path": "^/contacts/search"}, times=None, status=status, holds='"tag_id"')
    outcome = await harness.sync(**DUE)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_a_search_that_shows_others_as_well_confirms_nothing(harness: Harness) -> None:
    await settled(harness)
    number = len(with_many(harness, "tags"))
    others = [one for one in harness.control.truth("contacts") if one["role"] == "user"][:3]

    class Deaf(SimulatorTransport):
        """Searches for tags answer with some contacts, whatever was asked."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if b'"tag_id"' in await request.aread():
                body = {"type": "list", "data": others, "total_count": 3, "pages": {}}
                return httpx.Response(200, json=body)
            return await super().handle_async_request(request)

    client = harness.client(transport=Deaf(harness.simulator))
    outcome = await harness.sync(client, **DUE)
    assert outcome.exit_code == 0, outcome.error
    assert asked(harness, "/tags") >= number


async def test_a_sync_that_is_asked_for_everything_reads_each_list(harness: Harness) -> None:
    await settled(harness)
    await harness.sync(full=True)
    assert asked(harness, "/tags") > len(with_many(harness, "tags"))


# -- members of groups, long catalogues ------------------------------------------------------


async def test_members_that_no_budget_is_left_for_are_counted(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members, "CHEAP", 0)
    await harness.load(workspace(contacts=300))
    groups = [s["id"] for s in harness.control.truth("segments") if s["person_type"] != "company"]
    contacts = [one["id"] for one in harness.control.truth("contacts")]
    harness.pass_time(DAY)
    harness.control.reset_stats()
    outcome = await harness.sync(**NOT_DUE)
    assert outcome.resources["contact_segments"].requests == len(groups)
    assert outcome.resources["contact_segments"].fetched == 0
    harness.control.set_segments(contacts[0], groups)
    harness.control.set_segments(contacts[1], groups[:1])
    harness.pass_time(DAY)
    await harness.sync(**NOT_DUE)
    assert differences(harness) == []
    harness.pass_time(DAY)
    outcome = await harness.sync(**NOT_DUE, full_pass_requests=2_000)
    assert outcome.resources["contact_segments"].fetched == len(groups)


async def test_of_many_calls_only_the_newest_are_read_where_no_budget_is_left(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lists, "AT_EVERY_RUN", 3)
    harness.simulate(workspace(calls=300))
    for _ in range(3):
        await harness.sync(**NOT_DUE)
        harness.pass_time(DAY)
    harness.control.create_call()
    outcome = await harness.sync(**NOT_DUE)
    assert outcome.resources["calls"].requests <= 3
    assert differences(harness) == []
    gone = harness.control.truth("calls")[0]["id"]
    harness.control.delete_record("calls", gone)
    harness.pass_time(DAY)
    outcome = await harness.sync(**DUE)
    assert outcome.resources["calls"].requests > 12
    assert differences(harness) == []


def test_what_is_cut_is_counted_once_whatever_postgres_knows_of_the_rows(harness: Harness) -> None:
    # So few that nobody makes statistics of them.
    harness.query("INSERT INTO tags (id) SELECT n::text FROM generate_series(1, 20) n")
    harness.query(
        "INSERT INTO contacts (id, role, name) SELECT n::text, 'user', repeat('x', 400)"
        " FROM generate_series(1, 2000) n"
    )
    harness.query(
        "INSERT INTO contact_tags (contact_id, tag_id)"
        " SELECT c.id, t.id FROM contacts c, tags t WHERE c.id::int % 30 = 0 OR t.id = '1'"
    )
    users = BY_NAME["users"]
    [link] = [one for one in users.table.links if one.table == "contact_tags"]
    query = statements.cut_owners(Names(harness.schema), users, link)
    [told] = harness.query(f"EXPLAIN (ANALYZE, FORMAT JSON) {query}", 10)
    steps = list(steps_of(told["QUERY PLAN"][0]["Plan"]))
    assert steps[0]["Actual Rows"] == 66
    assert [one["Actual Loops"] for one in steps if one["Node Type"] == "Aggregate"] == [1]


def steps_of(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The plan and all that is below it."""
    yield plan
    for below in plan.get("Plans", ()):
        yield from steps_of(below)
