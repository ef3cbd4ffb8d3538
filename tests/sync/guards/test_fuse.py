"""Implausibly many deletions, and answers that contradict lists: nothing is marked by mistake."""

from __future__ import annotations

from typing import Any

import pytest

from connector.errors import SettingsError
from connector.resources import BY_NAME, TABLES
from connector.settings import allowed_deletes
from connector.simulator import Workspace
from connector.sync.outcome import Outcome
from connector.sync.run import refetch
from connector.warehouse import state
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.merge.deletions import keyed_by, owners, sources
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.sql.database import Database
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400
ALWAYS: dict[str, Any] = {"full_pass_days": 0}  # a full pass at every run
NEVER: dict[str, Any] = {"full_pass_days": 10_000}
SOME: dict[str, Any] = {"contacts": 70, "companies": 5, "conversations": 30}


def workspace(seed: int = 71, **sizes: int) -> Workspace:
    return Workspace.generate(seed, **{**SOME, **sizes}, now=int(NOW))


def ids(harness: Harness, kind: str, **fields: Any) -> list[str]:
    return [
        str(one["id"])
        for one in harness.control.truth(kind)
        if not one.get("_hidden") and fields.items() <= one.items()
    ]


def dead(harness: Harness, table: str) -> set[str]:
    return {key for key, row in harness.rows(table).items() if row["_deleted_at"]}


def missing(harness: Harness, path: str, **options: Any) -> None:
    """Intercom itself says of everything at this path that it does not exist."""
    harness.control.fail({"path": path}, times=None, status=404, code="not_found", **options)


def asked(harness: Harness, path: str) -> int:
    """How many requests of that kind were sent since the counts were reset."""
    return int(harness.control.stats()["endpoints"].get(path, 0))


async def read_again(
    harness: Harness, name: str, keys: list[str], privacy: Privacy | None = None
) -> Outcome:
    database = Database(harness.database_url, harness.schema)
    try:
        async with harness.client() as client:
            return await refetch(client, database, BY_NAME[name], keys, privacy)
    finally:
        database.close()


# -- numbers ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "alive", "blown"),
    [(20, 20, False), (21, 21, True), (21, 420, False), (21, 419, True), (150, 300, True)],
)
def test_the_edge_of_the_fuse(number: int, alive: int, blown: bool) -> None:
    assert Fuse().is_blown("tags", number, alive) == blown


def test_the_fuse_counts_all_of_a_run() -> None:
    fuse = Fuse()
    fuse.note("contacts", 15)
    assert not fuse.is_blown("contacts", 5, 85)
    assert fuse.is_blown("contacts", 6, 85)
    assert not fuse.is_blown("tags", 6, 85)


@pytest.mark.parametrize(
    ("given", "opened"),
    [
        (None, []),
        ("all", ["users", "tags"]),
        ("users,tags", ["users", "tags"]),
        (" tags ", ["tags"]),
    ],
)
def test_what_allow_deletes_opens(given: str | None, opened: list[str]) -> None:
    fuse = Fuse(allowed_deletes(given))
    assert [name for name in ("users", "tags") if fuse.is_open(name)] == opened


@pytest.mark.parametrize("given", ["user", "users,nothing", ",", ""])
def test_allow_deletes_of_what_does_not_exist_is_refused(given: str) -> None:
    with pytest.raises(SettingsError, match="--allow-deletes"):
        allowed_deletes(given)


def test_every_table_has_somebody_who_may_be_asked() -> None:
    for table in TABLES:
        assert table.name in sources(table)
        assert table.name in keyed_by(table)
        assert owners(table) or table.name in ("contact_merges", "events")


# -- contradictions --------------------------------------------------------------------------


async def test_what_lists_show_and_reads_by_id_miss_is_pending_and_not_deleted(
    harness: Harness,
) -> None:
    await harness.load(workspace(conversations=150, contacts=40))
    for key in ids(harness, "conversations"):
        harness.control.reply(key)
    harness.pass_time(DAY)
    missing(harness, "^/conversations/[0-9]+$")
    for options in (NEVER, ALWAYS, NEVER):
        outcome = await harness.sync(**options)
        assert outcome.exit_code == 1
        assert outcome.overdue
        assert {entry.reason for entry in outcome.overdue} == {state.CONTRADICTION}
        assert dead(harness, "conversations") == set()
        harness.pass_time(DAY)
    harness.control.clear_faults()
    outcome = await harness.sync(full=True)
    assert outcome.exit_code == 0, outcome.error
    assert harness.query("SELECT * FROM sync_pending") == []
    assert differences(harness) == []


async def test_one_contradiction_is_named_and_heals(harness: Harness) -> None:
    harness.simulate(workspace())
    key = ids(harness, "conversations")[3]
    missing(harness, f"^/conversations/{key}$")
    for _ in range(3):
        outcome = await harness.sync()
        assert outcome.exit_code == 1
        assert [(p.resource, p.id) for p in outcome.overdue] == [("conversations", key)]
        assert "not taken as deleted" in (outcome.error or "")
        harness.pass_time(DAY)
    harness.control.clear_faults()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("lag", [0, 300])
@pytest.mark.parametrize("first", [True, False])
async def test_what_is_deleted_between_list_and_read_is_settled_soon(
    harness: Harness, first: bool, lag: int
) -> None:
    harness.simulate(workspace(), index_lag=lag)
    harness.control.deny("^/conversations/deleted")
    if not first:
        await harness.sync()
    keys = ids(harness, "conversations")[:3]
    for key in keys:
        harness.control.reply(key)
    harness.pass_time(DAY)
    for key in keys:
        harness.control.when({"path": "^/conversations/search"}, "delete_conversation", {"id": key})
    outcome = await harness.sync(**NEVER)
    if lag:  # lists still show them, so nobody can tell yet
        assert outcome.exit_code == 1
        assert not dead(harness, "conversations") & set(keys)
        harness.pass_time(DAY)
        outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert harness.query("SELECT * FROM sync_pending") == []
    stored = harness.rows("conversations")
    assert all(stored[key]["_deleted_at"] for key in keys if key in stored)
    assert differences(harness) == []


async def test_what_a_feed_tells_is_no_contradiction(harness: Harness) -> None:
    await harness.load(workspace(), index_lag=600)
    key = ids(harness, "conversations")[0]
    harness.control.reply(key)
    harness.pass_time(DAY)
    harness.control.delete_conversation(key)
    harness.pass_time(5)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "conversations") == {key}
    harness.pass_time(60)
    outcome = await harness.sync(**NEVER)  # search still shows it
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "conversations") == {key}


async def test_a_search_that_shows_nothing_of_what_is_alive_convicts_nobody(
    harness: Harness,
) -> None:
    await harness.load(workspace())
    key = ids(harness, "conversations")[0]
    harness.control.reply(key)
    harness.pass_time(DAY)
    missing(harness, f"^/conversations/{key}$")
    assert (await harness.sync(**NEVER)).exit_code == 1
    harness.pass_time(DAY)
    harness.control.cut_lists("conversations", 0)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 1
    assert dead(harness, "conversations") == set()


async def test_a_list_past_ten_of_what_is_gone_is_no_silence(harness: Harness) -> None:
    harness.simulate(workspace())
    user = ids(harness, "contacts", role="user")[0]
    for tag in ids(harness, "tags")[:14]:
        harness.control.tag_contact(user, tag)
    harness.pass_time(DAY)
    missing(harness, f"^/contacts/{user}/tags$")
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert [p.id for p in outcome.overdue] == [user]
    harness.control.clear_faults()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


# -- refetch ---------------------------------------------------------------------------------


async def test_refetch_of_many_that_are_not_found_marks_and_empties_nothing(
    harness: Harness,
) -> None:
    harness.simulate(workspace())
    scrub = Privacy(scrubs_deleted=True)
    await harness.sync(privacy=scrub)
    before = harness.rows("contacts")
    missing(harness, "^/contacts/[0-9a-f]{24}$")
    keys = ids(harness, "contacts")[:50]
    outcome = await read_again(harness, "users", keys, scrub)
    assert outcome.exit_code == 1
    assert "50 of 70 rows of contacts would be marked deleted" in (outcome.error or "")
    assert harness.rows("contacts") == before
    assert harness.query("SELECT * FROM sync_forgotten") == []
    harness.control.clear_faults()
    harness.pass_time(DAY)
    outcome = await harness.sync(privacy=scrub, **NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert harness.query("SELECT * FROM sync_deletion_candidates") == []
    assert differences(harness) == []


async def test_what_refetch_finds_gone_stays_so_while_searches_still_show_it(
    harness: Harness,
) -> None:
    await harness.load(workspace(), index_lag=800)
    harness.pass_time(DAY)
    user, talk = ids(harness, "contacts", role="user")[0], ids(harness, "conversations")[0]
    harness.control.update_contact(user, name="Last")
    harness.control.reply(talk)
    harness.pass_time(900)
    harness.control.deny("^/contacts/activities|^/conversations/deleted")
    harness.control.delete_contact(user)
    harness.control.delete_conversation(talk)
    assert (await read_again(harness, "users", [user])).exit_code == 0
    assert (await read_again(harness, "conversations", [talk])).exit_code == 0
    for _ in range(3):
        outcome = await harness.sync(**ALWAYS)
        assert outcome.exit_code == 0, outcome.error
        assert dead(harness, "contacts") == {user}
        assert dead(harness, "conversations") == {talk}
        harness.pass_time(250)


# -- what was found is remembered ------------------------------------------------------------


async def test_answers_are_remembered_and_allowing_asks_little(harness: Harness) -> None:
    harness.simulate(workspace())
    harness.control.deny("^/contacts/activities|^/conversations/deleted")
    await harness.sync()
    users, talks = ids(harness, "contacts", role="user")[:23], ids(harness, "conversations")[:22]
    for key in users:
        harness.control.delete_contact(key)
    for key in talks:
        harness.control.delete_conversation(key)
    counts = []
    for _ in range(4):
        harness.pass_time(DAY)
        harness.control.reset_stats()
        outcome = await harness.sync(**ALWAYS)
        assert outcome.exit_code == 1
        assert "23 of " in (outcome.resources["users"].error or "")
        assert "22 of " in (outcome.resources["conversations"].error or "")
        assert "--allow-deletes users" in (outcome.resources["users"].error or "")
        assert outcome.resources["leads"].status == "succeeded"
        assert not dead(harness, "contacts") | dead(harness, "conversations")
        counts.append(asked(harness, "GET /contacts/{id}"))
    assert counts[0] >= 23
    assert max(counts[1:]) <= 5
    harness.pass_time(DAY)
    harness.control.reset_stats()
    outcome = await harness.sync(allow_deletes=("users",), **ALWAYS)
    assert outcome.exit_code == 1  # the conversations were not named
    assert asked(harness, "GET /contacts/{id}") <= 5
    assert dead(harness, "contacts") == set(users)
    assert outcome.resources["users"].status == "succeeded"
    assert outcome.resources["users"].deleted == 23
    assert not dead(harness, "conversations")
    outcome = await harness.sync(allow_deletes=("conversations",), **NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "conversations") == set(talks)
    assert differences(harness) == []


async def test_what_lives_again_is_not_marked_when_that_is_allowed(harness: Harness) -> None:
    harness.simulate(workspace(), archived_by_id="missing")
    harness.control.deny("^/contacts/activities")
    await harness.sync()
    users = ids(harness, "contacts", role="user")[:25]
    for key in users:
        harness.control.archive_contact(key)
    harness.pass_time(DAY)
    assert (await harness.sync(**ALWAYS)).exit_code == 1
    for key in users[:4]:
        harness.control.unarchive_contact(key)
    harness.pass_time(DAY)
    outcome = await harness.sync(allow_deletes=True, **NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "contacts") == set(users[4:])


async def test_a_fault_that_heals_by_id_clears_what_was_remembered(harness: Harness) -> None:
    await harness.load(workspace())
    companies = ids(harness, "contacts", role="lead")[:22]
    harness.control.omit("contacts", companies, 3 * DAY)
    missing(harness, "^/contacts/[0-9a-f]{24}$")
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 1
    assert "22 of " in (outcome.error or "")
    harness.control.clear_faults()
    harness.pass_time(DAY)
    outcome = await harness.sync(allow_deletes=True, **NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "contacts") == set()
    assert harness.query("SELECT * FROM sync_deletion_candidates") == []


# -- all sources are one sum -----------------------------------------------------------------


async def test_a_feed_and_a_full_pass_are_one_sum(harness: Harness) -> None:
    await harness.load(workspace(), archived_by_id="missing")
    users = ids(harness, "contacts", role="user")
    for key in users[:11]:
        harness.control.delete_contact(key)  # the feed tells
    for key in users[11:21]:
        harness.control.archive_contact(key)  # only a full pass shows it
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 1
    assert "21 of 70 rows of contacts" in (outcome.resources["users"].error or "")
    assert dead(harness, "contacts") == set()
    harness.control.unarchive_contact(users[20])
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "contacts") == set(users[:20])


@pytest.mark.parametrize("kind", ["contact", "conversation"])
async def test_a_feed_that_tells_of_most_of_a_table_is_not_believed(
    harness: Harness, kind: str
) -> None:
    await harness.load(workspace(conversations=40))
    table = f"{kind}s"
    gone = ids(harness, table)[:30]
    delete = getattr(harness.control, f"delete_{kind}")
    for key in gone:
        delete(key)
    harness.pass_time(DAY)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 1
    assert "30 of " in (outcome.error or "")
    assert dead(harness, table) == set()
    harness.pass_time(DAY)
    outcome = await harness.sync(allow_deletes=(table,), **NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, table) == set(gone)
    assert differences(harness) == []


async def test_merges_go_through_the_same_fuse(harness: Harness) -> None:
    await harness.load(workspace())
    leads, users = ids(harness, "contacts", role="lead"), ids(harness, "contacts", role="user")
    pairs = list(zip(leads[:21], users, strict=False))
    assert len(pairs) == 21
    for lead, user in pairs:
        harness.control.merge_contacts(lead, user)
    harness.pass_time(DAY)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 1
    assert "21 of " in (outcome.resources["leads"].error or "")
    assert dead(harness, "contacts") == set()
    outcome = await harness.sync(allow_deletes=True, **NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "contacts") == {lead for lead, _ in pairs}
    assert differences(harness) == []


async def test_answers_that_say_archived_go_through_the_same_fuse(harness: Harness) -> None:
    await harness.load(workspace(), archived_by_id="marked")
    users = ids(harness, "contacts", role="user")[:22]
    for key in users:
        harness.control.archive_contact(key)
    harness.pass_time(DAY)
    outcome = await read_again(harness, "users", users)
    assert outcome.exit_code == 1
    assert "22 of 70" in (outcome.error or "")
    assert dead(harness, "contacts") == set()
    outcome = await harness.sync(allow_deletes=True, **ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "contacts") == set(users)


async def test_a_snapshot_that_lost_much_marks_nothing_and_small_ones_may_go(
    harness: Harness,
) -> None:
    harness.simulate(workspace())
    for number in range(30):
        harness.control.create_tag(f"t{number}")
    await harness.sync()
    tags = ids(harness, "tags")
    for key in tags[:21]:
        harness.control.delete_tag(key)
    harness.pass_time(DAY)
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert f"21 of {len(tags)} rows of tags" in (outcome.resources["tags"].error or "")
    assert dead(harness, "tags") == set()
    outcome = await harness.sync(allow_deletes=("tags",))
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness, "tags") == set(tags[:21])


# -- parts and notes -------------------------------------------------------------------------


async def test_parts_that_most_conversations_lost_are_not_marked_until_allowed(
    harness: Harness,
) -> None:
    await harness.load(workspace(conversations=40))
    talks = ids(harness, "conversations")
    before = {k for k, row in harness.rows("conversation_parts").items() if not row["_deleted_at"]}
    assert len(before) > 60
    for key in talks:
        harness.control.reply(key)
    harness.pass_time(DAY)

    harness.control.cut_lists("conversation_parts", 0)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 1
    assert "rows of conversation_parts would be" in (outcome.resources["conversations"].error or "")
    assert len(before & dead(harness, "conversation_parts")) <= 20
    harness.control.cut_lists("conversation_parts", None)
    harness.pass_time(DAY)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert not before & dead(harness, "conversation_parts")
    assert differences(harness) == []
    for key in talks:
        harness.control.reply(key)
    harness.control.cut_lists("conversation_parts", 0)
    harness.pass_time(DAY)
    outcome = await harness.sync(allow_deletes=("conversation_parts",), **NEVER)
    assert {tally.error for tally in outcome.resources.values()} == {None}
    assert [one.fact.id for one in outcome.refuted] == ["parts-counted"]  # they still count them
    assert before & dead(harness, "conversation_parts")
