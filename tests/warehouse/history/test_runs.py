"""Every command that writes rows writes their history; how it is turned on and off."""

from __future__ import annotations

import json
import random
import re
import signal
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from connector.commands import forget
from connector.errors import NamesTakenError, SettingsError
from connector.resources import BY_NAME
from connector.settings import load
from connector.simulator import Simulator, Workspace
from connector.sync.options import Options
from connector.sync.run import Kept, refetch, settle_hints
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.history import steps
from connector.warehouse.migrate import migrate
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.rights import Needs, missing
from connector.warehouse.schema import versions
from connector.warehouse.sql.database import Database
from tests.support.harness import NOW, Harness
from tests.support.life.kind import DAY
from tests.support.places import ROOT
from tests.support.service import environment, served, start
from tests.support.truth.compared import differences
from tests.support.truth.past import Past

pytestmark = pytest.mark.in_turn(2)

EVERY = tuple(versions.VERSIONED)


@pytest.fixture
def database(harness: Harness) -> Iterator[Database]:
    database = Database(harness.database_url, harness.schema)
    yield database
    database.close()


def begin(harness: Harness, **options: Any) -> Past:
    """A small workspace, whose history is kept unless the options say otherwise."""
    harness.options = {"history": EVERY} | options
    space = Workspace.generate(5, contacts=30, companies=8, conversations=10, now=int(NOW))
    harness.simulate(space, index_lag=(0.0, 0.0), feed_lag=0.0)
    return Past(harness)


def spans(harness: Harness, table: str, key: str) -> list[tuple[float, float | None]]:
    """From when to when, in Unix seconds, the versions of a row are valid."""
    rows = harness.query(f"SELECT * FROM {table}_history WHERE id = %s ORDER BY valid_from", key)
    return [
        (row["valid_from"].timestamp(), row["valid_to"] and row["valid_to"].timestamp())
        for row in rows
    ]


def some(harness: Harness, table: str = "contacts") -> str:
    return sorted(harness.rows(table))[0]


async def test_a_first_load_and_a_full_pass_write_it(harness: Harness) -> None:
    past = begin(harness)
    await harness.sync()
    assert past.broken() == []
    ended = "SELECT 1 AS x FROM contacts_history WHERE valid_to IS NOT NULL"
    assert harness.query(ended) == []  # members of segments are no second version
    members = harness.query("SELECT 1 AS x FROM contacts_history WHERE segment_ids <> '{}'")
    assert members
    key = some(harness)
    before = harness.rows("contacts")[key]["updated_at"]
    assert spans(harness, "contacts", key) == [(before.timestamp(), None)]
    harness.pass_time(DAY)
    harness.control.update_contact_silently(key, browser="other")
    await harness.sync(full=True)
    assert len(spans(harness, "contacts", key)) == 2
    assert past.broken() == []


async def test_nothing_is_written_where_nothing_changed(harness: Harness) -> None:
    begin(harness)
    await harness.sync()
    harness.pass_time(DAY)
    await harness.sync(full=True)
    before = harness.versions()
    assert before["contacts_history"]
    harness.pass_time(DAY)
    await harness.sync(full=True)
    after = harness.versions()
    assert {name: after[name] for name in before} == before


async def test_refetch_and_bursts_of_serve_write_it(harness: Harness, database: Database) -> None:
    past = begin(harness)
    await harness.sync()
    key = some(harness)
    harness.pass_time(60)
    harness.control.update_contact(key, name="Refetched")
    async with harness.client() as client:
        await refetch(client, database, [BY_NAME["users"], BY_NAME["leads"]], [key])
    database.unlock()
    assert len(spans(harness, "contacts", key)) == 2
    harness.pass_time(60)
    harness.control.update_contact(key, name="Told")
    query = "INSERT INTO {}.sync_inbox (resource, id, version, not_before, first_told_at, told_at)"
    values = "VALUES ('contacts', %s, 1, now(), now(), now())"
    harness.query(f"{query.format(harness.schema)} {values}", key)
    async with harness.client() as client:
        options = Options(command="serve", partial=True, history=EVERY)
        await settle_hints(client, database, options, Kept(), 60.0)
    database.unlock()
    assert len(spans(harness, "contacts", key)) == 3
    assert past.broken() == []


async def test_turned_on_later_it_begins_then(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "BATCH", 7)
    past = begin(harness, history=())
    await harness.sync()
    assert not harness.query("SELECT 1 AS x FROM sync_history")
    harness.pass_time(DAY)
    began = harness.now
    await harness.sync(history=("contacts", "tickets"))
    found = harness.query("SELECT table_name, filled_at FROM sync_history ORDER BY 1")
    assert [row["table_name"] for row in found] == ["contacts", "tickets"]
    assert all(row["filled_at"] for row in found)
    (first,) = harness.query("SELECT min(valid_from) AS at FROM contacts_history")
    assert abs(first["at"].timestamp() - began) < 60
    await harness.sync(history=EVERY)  # the others too
    assert past.broken() == []


async def test_a_filling_that_was_broken_off_goes_on(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "BATCH", 5)
    past = begin(harness, history=())
    await harness.sync()
    harness.pass_time(DAY)
    fill, left = steps.fill, 3

    def breaks(*given: Any, **named: Any) -> bool:
        nonlocal left
        left -= 1
        if not left:
            raise KeyboardInterrupt
        return fill(*given, **named)

    with monkeypatch.context() as patch:
        patch.setattr(steps, "fill", breaks)
        with pytest.raises(KeyboardInterrupt):
            await harness.sync(history=EVERY)
    rows = len(past.rows("companies"))
    assert 0 < len(harness.query("SELECT 1 AS x FROM companies_history")) <= rows
    harness.pass_time(DAY)
    await harness.sync(history=EVERY)
    assert past.broken() == []
    moments = harness.query("SELECT DISTINCT valid_from FROM companies_history")
    assert len(moments) == 1  # when it was turned on


async def test_turned_off_it_ends_and_keeps_what_it_has(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    past = begin(harness)
    await harness.sync()
    number = len(harness.query("SELECT 1 AS x FROM contacts_history"))
    harness.pass_time(DAY)
    key = some(harness)
    harness.control.update_contact(key, name="Unseen")
    await harness.sync(history=(), partial=True, only=("users", "leads"))  # no whole run: it is on
    assert len(harness.query("SELECT 1 AS x FROM contacts_history")) == number + 1
    harness.pass_time(DAY)
    ended = harness.now
    harness.control.update_contact(key, name="Unseen again")
    await harness.sync(history=("tickets",))
    assert "history of companies, contacts, conversations ends" in caplog.text
    found = harness.query("SELECT * FROM contacts_history")
    assert len(found) == number + 1
    assert max(row["valid_to"].timestamp() for row in found) - ended < 60
    assert not harness.query("SELECT 1 AS x FROM contacts_history WHERE valid_to IS NULL")
    harness.pass_time(DAY)
    await harness.sync()
    assert past.broken() == []
    assert len(harness.query("SELECT 1 AS x FROM contacts_history")) > number + 1


async def test_a_run_that_is_not_whole_does_not_begin_it(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    begin(harness)
    await harness.sync(partial=True, only=("users",))
    assert "begins with the next whole run" in caplog.text
    assert not harness.query("SELECT 1 AS x FROM sync_history")


async def test_versions_that_ended_long_ago_go(harness: Harness) -> None:
    begin(harness)
    await harness.sync()
    key = some(harness)
    for name in ("one", "two"):
        harness.pass_time(10 * DAY)
        harness.control.update_contact(key, name=name)
        await harness.sync(history_kept=timedelta(days=9))
    assert len(spans(harness, "contacts", key)) == 2  # the first ended twenty days ago


async def test_names_that_others_have_are_refused_at_once(
    harness: Harness, database: Database
) -> None:
    begin(harness)
    migrate(database)
    harness.query("CREATE TABLE contacts_history (x int)")
    harness.query("CREATE VIEW tickets_history_open_idx AS SELECT 1 AS x")
    with pytest.raises(NamesTakenError) as caught:
        await harness.sync()
    assert "table contacts_history" in str(caught.value)
    assert "view tickets_history_open_idx" in str(caught.value)
    assert caught.value.exit_code == 2
    assert not harness.query("SELECT 1 AS x FROM pg_class WHERE relname = 'companies_history'")
    await harness.sync(history=())  # they are in nobody's way
    harness.query("DROP TABLE contacts_history; DROP VIEW tickets_history_open_idx")


@pytest.mark.parametrize(
    "made",
    [
        "VIEW contacts_history AS SELECT * FROM archived",
        "TABLE contacts_history (id text, valid_from timestamptz)",
    ],
)
async def test_what_others_made_where_ours_was_dropped_is_theirs(
    harness: Harness, database: Database, made: str
) -> None:
    begin(harness)
    await harness.sync()
    harness.query("ALTER TABLE contacts_history RENAME TO archived")
    harness.query(f"CREATE {made}")
    before = harness.query("SELECT * FROM contacts_history")
    with pytest.raises(NamesTakenError, match="contacts_history"):
        await harness.sync()
    key = some(harness)
    harness.pass_time(DAY)
    harness.control.update_contact(key, name="Somebody")
    outcome = await harness.sync(history=(), privacy=Privacy(parse("contacts.phone")), full=True)
    assert outcome.exit_code == 0, outcome.error
    assert forget.run(database, [key], as_json=True, unknown=False) == 0
    assert harness.query("SELECT * FROM contacts_history") == before
    harness.query(f"DROP {made.split()[0]} contacts_history; DROP TABLE archived")
    await harness.sync(lift_exclusions=True)
    assert Past(harness).broken() == []


async def test_who_may_make_no_tables_needs_migrate_once(
    harness: Harness, database: Database
) -> None:
    begin(harness, auto_migrate=False)
    migrate(database)
    with pytest.raises(SettingsError, match="with CONNECTOR_HISTORY"):
        await harness.sync()
    migrate(database, EVERY)
    await harness.sync()
    assert harness.query("SELECT 1 AS x FROM contacts_history")


async def test_rights_on_versions_are_asked_for(harness: Harness, database: Database) -> None:
    begin(harness)
    await harness.sync()
    schema = harness.schema
    role = f"{schema}_reader"
    with psycopg.connect(harness.database_url, autocommit=True) as admin:
        admin.execute(f'CREATE ROLE "{role}"')
        try:
            admin.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"')
            admin.execute(f'GRANT ALL ON ALL TABLES IN SCHEMA "{schema}" TO "{role}"')
            admin.execute(f'REVOKE UPDATE ON "{schema}".contacts_history FROM "{role}"')

            def asked(conn: Any) -> list[str]:
                conn.exec_driver_sql(f'SET LOCAL ROLE "{role}"')
                return missing(conn, schema, Needs())

            (reason,) = database.read(asked)
            assert "UPDATE on contacts_history" in reason
        finally:
            admin.execute(f'DROP OWNED BY "{role}"')
            admin.execute(f'DROP ROLE "{role}"')


@pytest.mark.parametrize(
    ("given", "told"),
    [("contact", "contacts"), ("users", None), ("contacts,compnies", "companies"), ("all", None)],
)
def test_a_name_without_history_is_refused_with_the_nearest(given: str, told: str | None) -> None:
    with pytest.raises(SettingsError) as caught:
        load({"CONNECTOR_HISTORY": given})
    assert caught.value.exit_code == 2
    assert "It takes companies, contacts, conversations, tickets" in str(caught.value)
    assert told is None or f"did you mean {told}?" in str(caught.value)


def test_any_of_them_may_be_named() -> None:
    assert load({"CONNECTOR_HISTORY": " tickets, contacts\n"}).history == ("contacts", "tickets")
    assert load({}).history == ()
    assert load({"CONNECTOR_HISTORY_DAYS": "30"}).history_days == 30


def command(environ: dict[str, str], *words: str) -> tuple[int, str, str]:
    process = start(environ, *words)
    out, errors = process.communicate(timeout=100)
    return process.returncode, out, errors


@pytest.mark.parametrize("kills", [4, pytest.param(12, marks=pytest.mark.chaos)])
def test_kills_leave_no_version_out(
    harness: Harness, database_url: str, schema: str, kills: int
) -> None:
    dice, past = random.Random(kills), Past(harness)
    space = Workspace.generate(11, contacts=160, companies=20, conversations=40)
    harness.simulator = Simulator(space, rate_limit=None)
    harness.control = harness.simulator.control
    with served(harness.simulator, latency=0.01) as url:
        environ = environment(url, database_url, schema, CONNECTOR_HISTORY=",".join(EVERY))
        killed = 0
        for _ in range(kills):
            before, process = harness.control.stats()["requests"], start(environ, "sync")
            while harness.control.stats()["requests"] < before + dice.randrange(5, 60):
                if process.poll() is not None:
                    break
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.communicate()
        code, _, errors = command(environ, "sync")
        assert code == 0, errors
        assert killed == kills
        assert differences(harness) == []
        assert past.broken() == []
        code, out, errors = command(environ, "status", "--json")
        history = json.loads(out)["history"]
        assert list(history) == list(EVERY)
        assert history["contacts"]["versions"] >= len(past.rows("contacts"))
        code, out, errors = command(environ, "status")
        assert "history of contacts" in out
        code, out, errors = command(environ | {"CONNECTOR_HISTORY": "contact"}, "sync")
        assert code == 2
        assert "did you mean contacts?" in errors


async def test_the_questions_of_the_page_are_answered(harness: Harness) -> None:
    begin(harness)
    await harness.sync()
    (pair,) = harness.query("SELECT contact_id, company_id FROM contact_companies LIMIT 1")
    for plan in ("before", "after"):
        harness.pass_time(DAY)
        harness.control.update_company(pair["company_id"], plan={"id": plan, "name": plan})
        harness.pass_time(60)
        if plan == "before":
            wrote = harness.control.create_conversation(pair["contact_id"])
        await harness.sync(full=True)
    page = (ROOT / "docs" / "history.md").read_text(encoding="utf-8")
    queries = re.findall(r"```sql\n(.*?)```", page, re.DOTALL)
    answers = [harness.query(query) for query in queries]
    then, _, members, changes, _ = answers
    asked = {(row["id"], row["plan_then"], row["plan_now"]) for row in then}
    assert (wrote, "before", "after") in asked
    assert all(answer for answer in (answers[1], members, answers[4]))
    assert {(row["plan_before"], row["plan"]) for row in changes} >= {("before", "after")}
