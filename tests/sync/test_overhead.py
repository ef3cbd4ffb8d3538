"""What a run costs beside what it reads: imports, transactions, and commits that are waited for."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from connector.errors import FenceError
from connector.resources import BY_NAME
from connector.simulator import Workspace
from connector.sync.writing.effects import (
    Advance,
    Claim,
    Effect,
    FinishPartition,
    MarkAbsent,
    NoteAnswers,
    NoteOmitted,
    NoteRead,
    Postpone,
    Settle,
    may_be_lost,
)
from connector.sync.writing.writer import Writer
from connector.warehouse import state
from connector.warehouse.schema.tables import declared, metadata
from connector.warehouse.sql import session
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.sql.execute import scalar
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.session import Guard
from connector.warehouse.state.partitions import Span
from connector.warehouse.state.runs import Tally
from connector.warehouse.state.tables import RUN_RESOURCES
from tests.support.harness import NOW, Harness

AT = datetime(2026, 1, 1, tzinfo=UTC)
USERS = BY_NAME["users"]
MOST_TRANSACTIONS, MOST_SAFE = 95, 20


def test_a_command_imports_nothing_that_only_few_runs_need() -> None:
    rare = (
        *("alembic", "mako", "prometheus_client", "aiohttp.web", "connector.simulator", "rich"),
        *("connector.warehouse.history", "connector.warehouse.views.fivetran"),
        *("connector.commands.dbt", "connector.commands.reporting.going"),
        *("connector.commands.demo", "connector.warehouse.views.adoption", "dotenv"),
    )
    code = f"import connector.cli, sys; print([n for n in {rare} if n in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


# -- an idle run -----------------------------------------------------------------------------


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bool]]:
    """For each transaction that is committed, whether its commit is waited for."""
    found: list[bool] = []
    commit = psycopg.Connection.commit

    def counting(self: psycopg.Connection[Any]) -> None:
        row = self.execute(
            "SELECT current_setting('synchronous_commit'), pg_current_xact_id_if_assigned()"
        ).fetchone()
        assert row is not None
        found.append(row[0] != "off" and row[1] is not None)
        commit(self)

    with monkeypatch.context() as patched:
        patched.setattr(psycopg.Connection, "commit", counting)
        yield found


async def test_an_idle_run_takes_few_transactions_and_waits_for_fewer(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A warehouse far away, or on a slow disk, is waited for at each of them."""
    harness.simulate(Workspace.generate(1, contacts=50, companies=5, conversations=5, now=int(NOW)))
    for _ in range(3):
        assert (await harness.sync(full_pass_requests=0)).exit_code == 0
    before = harness.versions()
    monkeypatch.setenv("PGOPTIONS", "-c synchronous_commit=on")
    with counted(monkeypatch) as commits:
        outcome = await harness.sync(full_pass_requests=0)
    assert outcome.exit_code == 0
    assert harness.versions() == before
    assert len(commits) <= MOST_TRANSACTIONS
    assert sum(commits) <= MOST_SAFE


async def test_an_idle_run_asks_once_whether_history_was_ever_kept(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a statement that it sends anyway; where none was, that is all."""
    harness.simulate(Workspace.generate(1, contacts=5, companies=2, conversations=2, now=int(NOW)))
    only = ("tags", "users", "leads")
    await harness.sync(only=only, partial=False)
    statements: list[str] = []
    execute = psycopg.Cursor.execute

    def noting(self: psycopg.Cursor[Any], query: Any, *args: Any, **options: Any) -> Any:
        statements.append(str(query))
        return execute(self, query, *args, **options)

    monkeypatch.setattr(psycopg.Cursor, "execute", noting)
    assert (await harness.sync(only=only, partial=False)).exit_code == 0
    told = [one for one in statements if re.search(r"sync_history|regclass", one)]
    assert len(told) == 1
    assert "greatest(" in told[0]


# -- what may be lost ------------------------------------------------------------------------

ENDS = Advance("users", {"cursor": AT})
MOVES = Advance("users", {"position": "x"})
OMITTED = NoteOmitted(USERS, ["1"], AT, AT)
REPEATED: list[Effect] = [
    MOVES,
    FinishPartition("users", Span(AT, AT)),
    NoteRead("events", {"1": AT}),
    Settle(["users"], ["1"]),
]
KEPT: list[Effect] = [
    Postpone("users", {"1": "no"}, AT),
    Claim(USERS, {"1": AT}, AT),
    NoteAnswers(USERS, AT, archived=["1"]),
]


@pytest.mark.parametrize("effect", REPEATED, ids=lambda one: type(one).__name__)
def test_progress_may_be_lost_with_the_server(effect: Effect) -> None:
    assert may_be_lost([effect, ENDS])
    assert may_be_lost([effect])


@pytest.mark.parametrize("effect", [OMITTED, MarkAbsent(USERS, [], AT)], ids=str)
def test_what_lists_omit_may_be_lost_only_with_the_end_of_its_pass(effect: Effect) -> None:
    assert may_be_lost([effect, ENDS])
    assert not may_be_lost([effect])
    assert not may_be_lost([effect, MOVES])


@pytest.mark.parametrize("effect", KEPT, ids=lambda one: type(one).__name__)
def test_what_no_later_run_finds_again_is_never_lost(effect: Effect) -> None:
    assert not may_be_lost([effect, ENDS])


def test_what_speaks_of_nothing_is_nothing_to_lose() -> None:
    nothing = [Postpone("users", {}, AT), Claim(USERS, {}, AT), NoteAnswers(USERS, AT)]
    assert all(one.is_empty for one in nothing)
    assert may_be_lost([*nothing, ENDS])


# -- tallies ---------------------------------------------------------------------------------


def tallies(harness: Harness) -> dict[str, int]:
    return {r["resource"]: r["fetched"] for r in harness.query("SELECT * FROM sync_run_resources")}


async def test_tallies_go_with_the_next_transaction_or_the_one_after_if_it_fails(
    harness: Harness,
) -> None:
    database = Database(harness.database_url, harness.schema)
    run_id = database.write(lambda conn: state.start_run(conn, "sync"))
    writer = Writer(database, run_id)
    try:
        writer.account("tags", Tally(fetched=1))
        writer.account("teams", Tally(fetched=2))
        assert tallies(harness) == {}

        def fail(conn: sa.Connection) -> None:
            raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await writer.do(fail)
        assert tallies(harness) == {}
        writer.account("teams", Tally(fetched=3))
        await writer.do(lambda conn: None)
        assert tallies(harness) == {"tags": 1, "teams": 3}
        assert writer.unwritten == {}
        writer.account("tags", Tally(fetched=4))
        database.write(lambda conn: state.finish_run(conn, run_id, "failed", "x", writer.unwritten))
        assert tallies(harness) == {"tags": 4, "teams": 3}
        row = sa.select(RUN_RESOURCES.c.status).distinct()
        assert database.read(lambda conn: conn.execute(row).scalars().all()) == ["failed"]
    finally:
        writer.close()
        database.close()


# -- what guards a transaction ---------------------------------------------------------------


async def test_a_run_that_was_taken_over_writes_nothing_and_can_still_look(
    harness: Harness,
) -> None:
    database = Database(harness.database_url, harness.schema)
    writer = Writer(database, database.write(lambda conn: state.start_run(conn, "sync")))
    database.write(lambda conn: state.start_run(conn, "sync"))
    try:
        with pytest.raises(FenceError):
            await writer.do(lambda conn: state.doubt(conn, "users", ["1"], "x", AT))
        assert harness.query("SELECT * FROM sync_pending") == []
        assert await writer.look(state.pending) == []
    finally:
        writer.close()
        database.close()


async def test_a_look_cannot_write(harness: Harness) -> None:
    database = Database(harness.database_url, harness.schema)
    writer = Writer(database, database.write(lambda conn: state.start_run(conn, "sync")))
    try:
        with pytest.raises(Exception, match="read-only"):
            await writer.look(lambda conn: state.doubt(conn, "users", ["1"], "x", AT))
    finally:
        writer.close()
        database.close()


def test_a_guard_whose_row_is_held_is_waited_for(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As long as any lock, though whether a server answers must show sooner."""
    monkeypatch.setattr(session, "GUARD_WAITS", "10ms")
    database = Database(harness.database_url, harness.schema)
    run_id = database.write(lambda conn: state.start_run(conn, "sync"))
    guard = state.guard(Names(harness.schema), run_id)
    held, done = threading.Event(), threading.Event()

    def write() -> None:
        database.write(lambda conn: state.doubt(conn, "users", ["1"], "x", AT), guard)
        done.set()

    with psycopg.connect(conninfo(harness.database_url)) as other:
        row = f'SELECT FROM "{harness.schema}".sync_runs WHERE id = {run_id} FOR UPDATE'
        other.execute(row)
        thread = threading.Thread(target=write)
        thread.start()
        assert not held.wait(0.3)
        assert not done.is_set()
        other.rollback()
        thread.join(20)
    assert done.is_set()
    assert [one["id"] for one in harness.query("SELECT id FROM sync_pending")] == ["1"]
    timeouts = database.write(
        lambda conn: conn.exec_driver_sql("SHOW lock_timeout").scalar(), guard
    )
    assert timeouts == "1min"
    database.close()


def test_a_guard_that_does_not_hold_leaves_no_transaction_open(harness: Harness) -> None:
    database = Database(harness.database_url, harness.schema)
    for query in ("SELECT 'other'", "SELECT 'x' WHERE false"):
        with pytest.raises(KeyError):
            database.write(lambda conn: None, Guard(query, "expected", KeyError))
    assert database.write(lambda conn: 1, Guard("SELECT 'expected'", "expected", KeyError)) == 1
    left = "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = %s"
    assert harness.query(left, harness.database_url.rpartition("/")[2].partition("?")[0]) == []
    database.close()


# -- short lists -----------------------------------------------------------------------------


async def test_a_short_list_is_staged_again_only_where_something_changed(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.simulate(Workspace.generate(1, contacts=5, companies=2, conversations=2, now=int(NOW)))
    only = ("tags", "teams", "help_centers")
    for _ in range(2):
        await harness.sync(only=only)
    staged: list[str] = []
    make = Writer._encode_and_commit

    async def noting(self: Writer, submission: Any, encoded: Any = None) -> None:
        if submission.records:
            staged.append(submission.table.name)
        await make(self, submission, encoded)

    monkeypatch.setattr(Writer, "_encode_and_commit", noting)
    outcome = await harness.sync(only=only)
    assert staged == []
    assert outcome.resources["tags"].unchanged == outcome.resources["tags"].fetched > 0
    key = harness.control.truth("help_centers")[0]["id"]
    harness.control.update_record("help_centers", key, display_name="another")
    harness.pass_time(3_600)
    await harness.sync(only=only)
    assert staged == ["help_centers"]
    assert harness.rows("help_centers")[key]["display_name"] == "another"


# -- long parameters -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts",
    [["1", "2"], ["", "a,b", "{}", "NULL", 'say "x"', "back\\slash", "ü 😀", " "], [], ["a", None]],
    ids=str,
)
def test_lists_of_texts_are_told_as_they_are(harness: Harness, texts: list[str | None]) -> None:
    database = Database(harness.database_url, harness.schema)
    told = database.read(lambda conn: scalar(conn, "SELECT %s::text[]", [texts]))
    database.close()
    assert told == texts


def test_a_list_with_what_no_text_may_hold_is_refused(harness: Harness) -> None:
    database = Database(harness.database_url, harness.schema)
    with pytest.raises(psycopg.DataError, match="NUL"):
        database.read(lambda conn: scalar(conn, "SELECT %s::text[]", [["a\0b", "c"]]))
    database.close()


# -- what is declared ------------------------------------------------------------------------


def test_tables_that_are_looked_at_are_those_that_are_made() -> None:
    assert declared().keys() == metadata().tables.keys()
