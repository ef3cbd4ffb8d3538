"""What is known of Intercom, made false one fact after the other: no row is wrong in silence."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

import connector
from connector.errors import RetryExhaustedError
from connector.intercom import facts
from connector.intercom.facts import BY_ID, FACTS, Fact
from connector.intercom.probes import probe
from connector.resources import BY_NAME
from connector.simulator import Simulator
from connector.simulator.faults.falsehoods import FALSEHOODS
from connector.sync.guards.counting import leaves_out
from connector.sync.outcome import Outcome
from connector.sync.planning import plan
from connector.sync.run import refetch
from connector.warehouse.sql.database import Database
from tests.support.harness import Harness
from tests.support.life import Life, small_workspace
from tests.support.life.kind import DAY
from tests.support.service import environment, served
from tests.support.terminal import TOKEN, Terminal
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

PREVIEW = {"search-by-second"}
# What a false fact shows otherwise than the simulator knows it: no row is wrong by that.
SHOWN = {
    "parts-counted": ("statistics_count_conversation_parts",),
    "created-at-fixed": ("created_at",),
    "notes-counted": ("notes_total_count",),
    "roles": ("contact", "leads", "users"),
    "parts-shown": ("_part", "parts_"),
    "events-kept": ("events",),
    "date-header": ("_deleted_at",),
    "contact-activities": ("_deleted_at",),
    "deletions-fed": ("_deleted_at",),
    "merged-is-told": ("contact_merges", "merged"),
}
# What tells the same: with it nobody would ask.
WITH = {"merged-is-told": ("merge-history",)}
# Which rows only a full pass rights, as docs/facts.md says of what nobody can notice before.
UNTIL_FULL = {
    "deletions-fed",
    "contact-activities",
    "updated-at-moves",
    "merge-history",
    "merged-is-told",
}


def named(outcome: Outcome) -> set[str]:
    return {one.fact.id for one in outcome.refuted}


def wrong(harness: Harness, fact: str, *, after_full: bool) -> list[str]:
    found = differences(harness, began=harness.began, after_full=after_full)
    pending = {row["id"] for row in harness.query("SELECT id FROM sync_pending")}
    ignored = [*SHOWN.get(fact, ()), *(f"'{key}'" for key in pending)]
    return [sentence for sentence in found if not any(word in sentence for word in ignored)]


def rename_users(harness: Harness, night: int, most: int) -> None:
    """Changes enough of one kind, shortly before a run."""
    users = [one for one in harness.control.truth("contacts") if one["role"] == "user"]
    for user in users[:most]:
        harness.control.update_contact(user["id"], name=f"Night {night}")


async def lives(harness: Harness, fact: str, *, from_the_beginning: bool) -> list[set[str]]:
    """A first load, nights and a full pass; what each run named."""
    harness.simulate(small_workspace(5), index_lag=60.0, app_version="2.16")
    life, told = Life(harness, 5), list[set[str]]()
    version = "Preview" if fact in PREVIEW else "2.16"

    async def run(**options: object) -> Outcome:
        outcome = await harness.sync(harness.client(version=version), **options)
        told.append(named(outcome))
        news = {one.fact.id for one in outcome.refuted if one.is_news}
        assert not news or outcome.exit_code == 1
        return outcome

    if fact == "merged-is-told":  # where the feed tells, nobody asks for what was merged
        harness.control.deny("^/contacts/activities")
    false = (fact, *WITH.get(fact, ()))
    if from_the_beginning:
        harness.control.falsify(*false)
    outcome = await run()
    if outcome.exit_code == 0 and fact not in UNTIL_FULL:
        assert wrong(harness, fact, after_full=True) == []
    harness.control.falsify(*false)
    for night in range(4):
        life.night(25)
        rename_users(harness, night, 6)
        harness.pass_time(2 * 3600)
        outcome = await run(full_pass_requests=0)
        if outcome.exit_code == 0 and fact not in UNTIL_FULL:
            assert wrong(harness, fact, after_full=False) == []
    for _ in range(6 if fact == "notes-counted" else 0):
        harness.pass_time(20 * DAY)
        await run()
    harness.pass_time(DAY)
    outcome = await run(full=True)
    if outcome.exit_code:
        harness.pass_time(DAY)
        outcome = await run(full=True)
    if outcome.exit_code == 0:
        assert wrong(harness, fact, after_full=True) == []
    return told


@pytest.mark.sampled(1)
@pytest.mark.parametrize("beginning", [True, False])
@pytest.mark.parametrize("fact", sorted(FALSEHOODS))
async def test_where_a_fact_is_false_no_row_is_wrong_in_silence(
    harness: Harness, fact: str, beginning: bool
) -> None:
    told = await lives(harness, fact, from_the_beginning=beginning)
    if BY_ID[fact].is_noticed and fact not in UNSEEN:
        assert any(fact in names for names in told), told
    others = set().union(*told) - {fact, *WITH.get(fact, ())} - RELATED.get(fact, set())
    assert others == set()


# Nothing differs where these are false: the slow and certain way is taken anyway.
UNSEEN = {"search-by-day", "subscriptions-embedded"}
RELATED = {
    "search-counts": {"search-by-day", "search-by-second", "absent-is-gone"},
    "roles": {"search-counts"},  # a search that leaves out what it counts
}


async def test_where_all_facts_are_true_nothing_is_named(harness: Harness) -> None:
    harness.simulate(small_workspace(5), index_lag=(60.0, 300.0))
    life = Life(harness, 5)
    for night in range(6):
        outcome = await harness.sync(full=night == 3)
        assert outcome.exit_code == 0, outcome.error
        assert outcome.refuted == []
        life.night(30)


async def test_what_no_search_lists_is_no_control(harness: Harness) -> None:
    await harness.load(small_workspace(5))
    harness.pass_time(DAY)
    user = next(one["id"] for one in harness.control.truth("contacts") if one["role"] == "user")
    message = harness.control.send_outbound(user)  # no conversation until somebody answers it
    harness.pass_time(DAY)
    database = Database(harness.database_url, harness.schema)
    async with harness.client() as client:
        await refetch(client, database, BY_NAME["conversations"], [message])
    database.close()
    for full in (True, False, False):
        outcome = await harness.sync(full=full)
        control = harness.query("SELECT control_id FROM sync_state WHERE control_id = %s", message)
        assert len(control) == full  # it changed last, and is given up once it is not shown
        assert (outcome.exit_code, outcome.refuted) == (0, [])
        harness.pass_time(DAY)


async def test_a_control_that_was_deleted_contradicts_nothing(harness: Harness) -> None:
    harness.simulate(small_workspace(5))
    harness.control.deny("^/contacts/activities|^/conversations/deleted")
    await harness.sync()
    controls = harness.query("SELECT resource, control_id FROM sync_state WHERE control_id <> ''")
    assert {row["resource"] for row in controls} == {"leads", "users", "conversations", "tickets"}
    for row in controls[:3]:
        kind = "conversation" if row["resource"] == "conversations" else "contact"
        if row["resource"] != "tickets":
            getattr(harness.control, f"delete_{kind}")(row["control_id"])
    for _ in range(2):
        harness.pass_time(DAY)
        outcome = await harness.sync(full_pass_requests=0)
        assert (outcome.exit_code, outcome.refuted) == (0, [])


async def test_what_is_shown_and_cannot_be_stored_is_not_left_out(harness: Harness) -> None:
    harness.simulate(small_workspace(5))
    ids = [one["id"] for one in harness.control.truth("conversations")[:4]]
    harness.control.fail({"path": f"/conversations/({'|'.join(ids)})$"}, times=None, status=500)
    outcome = await harness.sync()
    assert sorted(one.id for one in outcome.overdue) == sorted(ids)
    assert outcome.refuted == []
    assert "counts more" not in str(outcome.error)


async def test_rows_that_postgres_refuses_are_no_matter_of_intercom(harness: Harness) -> None:
    harness.simulate(small_workspace(5))
    await harness.sync(only=("tags",))
    tag = harness.control.truth("tags")[0]["id"]
    for one in harness.control.truth("contacts")[:8]:
        harness.control.tag_contact(one["id"], tag)
    harness.query(f"ALTER TABLE contact_tags ADD CHECK (tag_id <> '{tag}') NOT VALID")
    outcome = await harness.sync(full=True)
    assert outcome.overdue
    assert outcome.refuted == []


async def test_an_archived_contact_that_by_id_is_shown_has_no_events_to_wait_for(
    harness: Harness,
) -> None:
    await harness.load(small_workspace(5), index_lag=60.0, archived_by_id="shown")
    user = next(one["id"] for one in harness.control.truth("contacts") if one["role"] == "user")
    harness.control.update_contact(user, last_seen_at=int(harness.now))
    harness.control.track_event(user, "last-visit")
    harness.control.archive_contact(user)
    codes = []
    for night in range(4):
        harness.pass_time(DAY)
        codes.append((await harness.sync(full=night == 1)).exit_code)
    assert codes[2:] == [0, 0]
    assert harness.query("SELECT * FROM sync_pending") == []


def test_few_that_come_and_go_meanwhile_are_not_left_out() -> None:
    assert [leaves_out(short, 5) for short in (0, 2, 3)] == [False, False, True]
    assert [leaves_out(short, 300_000) for short in (3, 2_999, 3_000)] == [False, False, True]


@pytest.mark.parametrize(
    ("at", "zone", "missed"),
    [
        ("23:50", None, True),
        ("00:10", "Nowhere/There", True),
        ("00:20", "UTC", False),
        ("05:05", "America/New_York", True),
        ("04:40", "America/New_York", False),
    ],
)
def test_what_changed_about_midnight_is_known_to_be_missing(
    at: str, zone: str | None, missed: bool
) -> None:
    moment = datetime.fromisoformat(f"2026-11-28T{at}:00+00:00")
    assert plan.is_near_midnight(moment, zone) is missed


def test_each_fact_is_declared_whole_and_can_be_made_false() -> None:
    root = Path(connector.__file__).parent
    assert len(BY_ID) == len(FACTS)
    assert set(BY_ID) == FALSEHOODS
    for fact in FACTS:
        assert [text[-1] for text in (fact.sentence, fact.guard, fact.then)] == [".", ".", "."]
        assert fact.relied_on_by
        for module in fact.relied_on_by:
            assert (root / module).is_file(), module


def test_each_fact_that_runs_notice_is_refuted_somewhere() -> None:
    root = Path(connector.__file__).parent
    files = [file for file in root.rglob("*.py") if file != root / "intercom/facts.py"]
    code = "\n".join(file.read_text(encoding="utf-8") for file in files)
    names = {fact.id: name for name, fact in vars(facts).items() if isinstance(fact, Fact)}
    assert [fact.id for fact in FACTS if fact.is_noticed and names[fact.id] not in code] == []


# -- check --facts ---------------------------------------------------------------------------

# What reading requests cannot show, or not on the version that is asked.
UNPROBED = {
    *("created-at-fixed", "scroll", "events-kept", "updated-at-moves", "index-lag"),
    *("deletions-fed", "contact-activities"),  # a feed that is empty
}
MARK = "MARKED"


def marked(harness: Harness) -> list[str]:
    """A workspace with a bit of everything; what of it must be in no report."""
    harness.simulate(small_workspace(5, scale=2.0), index_lag=60.0, rate_limit=1_000)
    control = harness.control
    contacts = control.truth("contacts")
    users = [one["id"] for one in contacts if one["role"] == "user"]
    leads = [one["id"] for one in contacts if one["role"] == "lead"]
    for number in range(12):
        tag = control.create_tag(f"{MARK} tag {number}")
        control.tag_contact(users[0], tag)
    for number, id in enumerate(users[:4]):
        control.update_contact(id, name=f"{MARK} {number}", email=f"{MARK}{number}@example.com")
        control.add_note(id, f"{MARK} note")
        harness.pass_time(30)
    control.merge_contacts(leads[0], users[1], by_hand=True)
    conversations = control.truth("conversations")
    for one in conversations[:9]:
        control.reply(one["id"], 5, body=f"{MARK} reply")
        harness.pass_time(30)
    control.delete_conversation(conversations[-1]["id"])
    harness.pass_time(3_600)
    ids = [one["id"] for kind in ("contacts", "conversations") for one in control.truth(kind)]
    emails = [one["email"] for one in control.truth("contacts") if one["email"]]
    return [MARK, *ids, *emails]


async def probed(harness: Harness, version: str = "2.16") -> tuple[dict[str, str], int, str]:
    async with harness.client(version=version) as client:
        verdicts, requests = await probe(client)
    told = {one.fact.id: one.verdict for one in verdicts}
    return told, requests, "\n".join(f"{one.fact.id} {one.detail}" for one in verdicts)


@pytest.mark.bare
async def test_of_a_true_intercom_no_fact_is_refuted_in_sixty_requests(harness: Harness) -> None:
    secrets = marked(harness)
    for version in ("2.16", "Preview"):
        harness.control.reset_stats()
        told, requests, text = await probed(harness, version)
        assert {fact for fact, verdict in told.items() if verdict == "refuted"} == set(), text
        confirmed = {fact for fact, verdict in told.items() if verdict == "confirmed"}
        assert len(confirmed) >= 16, text
        assert requests == harness.control.stats()["requests"] <= 60
        assert [secret for secret in secrets if secret in text] == []


@pytest.mark.bare
@pytest.mark.parametrize("fact", sorted(FALSEHOODS - UNPROBED))
async def test_a_fact_that_is_false_is_refuted_when_asked_for(harness: Harness, fact: str) -> None:
    secrets = marked(harness)
    harness.control.falsify(fact)
    told, requests, text = await probed(harness)
    assert told[fact] == "refuted", text
    assert requests <= 60
    assert [secret for secret in secrets if secret in text] == []


@pytest.mark.bare
@pytest.mark.parametrize("status", [503, 403])
async def test_where_intercom_answers_nothing_no_fact_is_refuted(
    harness: Harness, status: int
) -> None:
    marked(harness)
    harness.control.fail({"path": "^/(?!me$)"}, times=None, status=status)
    told, _, text = await probed(harness)
    assert "refuted" not in told.values(), text
    assert "Error" not in text
    harness.control.fail({"path": "^/me$"}, times=None, status=503)
    with pytest.raises(RetryExhaustedError):
        await probed(harness)


def test_the_command_line_names_a_false_fact_once_and_keeps_it_on_record(
    database_url: str, schema: str, tmp_path: Path
) -> None:
    simulator = Simulator(small_workspace(5, scale=2.0), token=TOKEN, rate_limit=100_000)
    sentence = BY_ID["whole-lists"].sentence
    with served(simulator) as url:
        environ = environment(url, database_url, schema, INTERCOM_ACCESS_TOKEN=TOKEN)
        terminal = Terminal(environ, tmp_path)
        asked = terminal.run("check", "--facts")
        assert (asked.code, asked.err) == (0, "")
        assert "confirmed  whole-lists: " in asked.out
        simulator.control.falsify("whole-lists")
        asked = terminal.run("check", "--facts", "--json")
        report = json.loads(asked.out)
        assert asked.code == 1
        assert report["requests"] <= 60
        verdicts = {one["fact"]: one["verdict"] for one in report["facts"]}
        assert verdicts["whole-lists"] == "refuted"
        first = terminal.run("sync", "--json")
        assert first.code == 1
        assert first.err.count(sentence) == 1
        (told,) = json.loads(first.out)["facts"]
        assert (told["fact"], told["news"]) == ("whole-lists", True)
        again = terminal.run("sync", "--json")
        assert (again.code, again.err) == (0, "")
        assert [one["fact"] for one in json.loads(terminal.run("status", "--json").out)["facts"]]
        assert sentence in terminal.run("status").out
        assert "fact whole-lists: WARNING" in terminal.run("check").out
