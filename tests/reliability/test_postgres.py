"""Postgres goes away, fills up, locks, refuses: what was committed is safe and the run says why."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from msgspec.structs import replace
from psycopg.conninfo import make_conninfo

from connector.commands.status import collect
from connector.errors import AlreadyRunningError, DatabaseError, DatabaseLostError, FenceError
from connector.simulator import SimulatorTransport, Workspace
from connector.warehouse.sql import database as database_module
from connector.warehouse.sql import session
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.support.harness import NOW, Harness
from tests.support.postgres.locks import held_up_by
from tests.support.postgres.server import PGBOUNCER, Server, may_mount, pooled, small_disk, standby
from tests.support.service import FEW, environment, served, start
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)
DAY = 86_400.0
_numbers = itertools.count(1)


@pytest.fixture
def own(server: Server) -> Iterator[Harness]:
    """A harness on that server."""
    harness = Harness(server.url, f"own_{next(_numbers)}")
    harness.simulate(space())
    yield harness
    harness.close()
    server.execute(f'DROP SCHEMA IF EXISTS "{harness.schema}" CASCADE')


def space(seed: int = 31, **sizes: Any) -> Workspace:
    few = FEW | {"contacts": 120, "companies": 20, "conversations": 40, "now": int(NOW)}
    return Workspace.generate(seed, **(few | sizes))


async def sync_with(harness: Harness, hook: Callable[[int], None], **options: Any) -> Any:
    """One run; ``hook`` is called before each answer with the number of the request."""
    count = itertools.count(1)

    async def latency(request: Any) -> None:
        hook(next(count))

    transport = SimulatorTransport(harness.simulator, latency=latency)
    return await harness.sync(harness.client(transport=transport), **options)


async def next_night_is_right(harness: Harness) -> None:
    harness.pass_time(DAY)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


def terminate(harness: Harness, which: str) -> int:
    """End the writer's or the lock holder's connections of the harness's run; how many."""
    holds = "IN" if which == "lock" else "NOT IN"
    rows = harness.query(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE application_name = 'intercom-warehouse' AND datname = current_database()"
        f" AND pid {holds} (SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted)"
    )
    return len(rows)


# -- away and back ---------------------------------------------------------------------------


@pytest.mark.fault(
    "the server ends the writing connection (pg_terminate_backend) again and again",
    "connects again and repeats the transaction; the run succeeds",
    times=8,
)
async def test_connections_that_are_ended_again_and_again_lose_nothing(
    own: Harness, injected: Any
) -> None:
    def end(number: int) -> None:
        if number % 15 == 10:
            injected(terminate(own, "writer"))

    for _ in range(2):
        outcome = await sync_with(own, end, full=True)
        assert outcome.exit_code == 0, outcome.error
        assert differences(own) == []


@pytest.mark.fault(
    "the server is killed and comes back while a run goes on",
    "waits for it and goes on; the run succeeds",
    times=2,
)
async def test_a_server_that_is_killed_and_comes_back_loses_nothing(
    own: Harness, server: Server, injected: Any
) -> None:
    def restart(number: int) -> None:
        if number in (30, 150):
            server.stop("immediate")
            threading.Timer(1.5, server.start).start()
            injected()

    outcome = await sync_with(own, restart)
    assert outcome.exit_code == 0, outcome.error
    own.close()
    own._reader = None
    assert differences(own) == []


@pytest.mark.fault(
    "the server is stopped and stays away longer than a minute",
    "patience ends: exit code 5; the next run goes on",
)
async def test_a_server_that_stays_away_ends_the_run_and_the_next_goes_on(
    own: Harness, server: Server, injected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "PATIENCE_DURING_RUN", 1.0)

    def stop(number: int) -> None:
        if number == 60:
            server.stop("fast")
            injected()

    try:
        with pytest.raises(DatabaseLostError) as caught:
            await sync_with(own, stop)
    finally:
        server.start()
    assert caught.value.exit_code == 5
    own.close()
    own._reader = None
    assert own.query("SELECT status FROM sync_runs") == [{"status": "running"}]
    await next_night_is_right(own)
    statuses = own.query("SELECT status FROM sync_runs ORDER BY id")
    assert [row["status"] for row in statuses] == ["interrupted", "succeeded"]


# -- full ------------------------------------------------------------------------------------


async def _refused_until_there_is_space(
    harness: Harness, make_space: Callable[[], object], told: str
) -> None:
    with pytest.raises(DatabaseLostError, match=told) as caught:
        await harness.sync()
    assert caught.value.exit_code == 5
    assert "safe" in str(caught.value)
    run = harness.query("SELECT status, error FROM sync_runs ORDER BY id DESC LIMIT 1")[0]
    assert run["status"] == "failed"
    assert told in run["error"]
    make_space()
    await next_night_is_right(harness)


@pytest.mark.fault(
    "the server reports a full disk when conversations are written",
    "exit code 5 with the server's words; goes on when there is space",
)
async def test_a_full_disk_is_told_and_the_next_run_goes_on(own: Harness, injected: Any) -> None:
    assert (await own.sync()).exit_code == 0
    own.control.change(fraction=0.2, seed=1)
    own.pass_time(DAY)
    own.query(
        "CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " RAISE EXCEPTION 'could not extend file: No space left on device'"
        " USING ERRCODE = 'disk_full'; END $$"
    )
    own.query(
        "CREATE TRIGGER full_disk BEFORE INSERT ON conversation_parts EXECUTE FUNCTION full_disk()"
    )
    injected()
    await _refused_until_there_is_space(
        own, lambda: own.query("DROP FUNCTION full_disk CASCADE"), "No space left"
    )


@pytest.mark.chaos
@pytest.mark.skipif(not may_mount(), reason="needs root, to mount a small disk")
@pytest.mark.fault(
    "a disk that really is full (a tablespace on a small disk), in the middle of a first load",
    "the same",
)
async def test_a_disk_that_is_really_full_is_told_and_the_next_run_goes_on(
    tmp_path_factory: pytest.TempPathFactory, injected: Any
) -> None:
    server = Server(tmp_path_factory.mktemp("full"))
    try:
        with small_disk(server, megabytes=48) as tablespace:
            place = server.directory / "disk"
            harness = Harness(server.url, "full")
            harness.simulate(space(contacts=3_000, conversations=500))
            server.execute(f"ALTER DATABASE postgres SET default_tablespace = {tablespace}")
            # Room for the empty tables and little more.
            ballast = place / "ballast"
            migrated = Database(server.url, "full")
            database_module_prepare(migrated)
            migrated.close()
            free = shutil.disk_usage(place).free
            with ballast.open("wb") as file:
                file.write(bytes(max(0, free - 3_000_000)))
            injected()
            await _refused_until_there_is_space(harness, ballast.unlink, "No space left")
            harness.close()
    finally:
        server.close()


def database_module_prepare(database: Database) -> None:
    from connector.warehouse.migrate import migrate

    migrate(database)


# -- locks and cancels -----------------------------------------------------------------------


def give_up_locks_after(monkeypatch: pytest.MonkeyPatch, time: str) -> None:
    """The patience of our own transactions with what others have locked."""
    changed = [replace(s, value=time) if s.name == "lock_timeout" else s for s in session.SETTINGS]
    monkeypatch.setattr(session, "SETTINGS", tuple(changed))


@pytest.mark.fault(
    "an analyst has locked a table for longer than a statement of the sync waits",
    "tries again until the lock is gone; the run succeeds",
)
async def test_a_statement_that_is_cancelled_is_tried_again(
    own: Harness, injected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await own.sync()).exit_code == 0
    own.control.change(fraction=0.2, seed=1)
    own.pass_time(DAY)
    analyst = psycopg.connect(conninfo(own.database_url))
    analyst.execute(f'LOCK TABLE "{own.schema}".conversations IN SHARE MODE')
    threading.Timer(2.0, analyst.rollback).start()
    give_up_locks_after(monkeypatch, "400ms")
    outcome = await own.sync()
    assert outcome.exit_code == 0, outcome.error
    injected()
    await next_night_is_right(own)
    analyst.close()


@pytest.mark.fault(
    "a table stays locked for ever",
    "exit code 5 with the server's words; the next run goes on",
    times=6,
)
async def test_a_table_that_stays_locked_ends_the_run_in_words(
    own: Harness, injected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database_module, "PAUSE", 0.01)
    assert (await own.sync()).exit_code == 0
    own.control.change(fraction=0.2, seed=1)
    own.pass_time(DAY)
    with psycopg.connect(conninfo(own.database_url)) as analyst, monkeypatch.context() as patched:
        analyst.execute(f'LOCK TABLE "{own.schema}".conversations IN SHARE MODE')
        give_up_locks_after(patched, "200ms")
        with pytest.raises(DatabaseError, match="lock timeout") as caught:
            await own.sync()
        assert caught.value.exit_code == 5
        injected(database_module.TRIES)
    await next_night_is_right(own)


@pytest.mark.fault(
    "deadlocks with an analyst's transaction",
    "the transaction is repeated; the run succeeds",
)
async def test_a_deadlock_with_an_analyst_costs_a_repetition(own: Harness, injected: Any) -> None:
    assert (await own.sync()).exit_code == 0
    own.control.change(fraction=0.5, seed=1)
    own.pass_time(DAY)
    before = _deadlocks(own)
    analyst = psycopg.connect(conninfo(own.database_url))
    analyst.execute("SET deadlock_timeout = '1min'")  # so that the sync is the one to be told
    locked = threading.Event()

    def cross() -> None:
        # The sync locks conversation_tags first and conversations last.
        analyst.execute(f'LOCK TABLE "{own.schema}".conversations IN SHARE MODE')
        locked.set()
        _until(lambda: held_up_by(analyst.info.backend_pid, own.database_url) > 0)
        analyst.execute(f'LOCK TABLE "{own.schema}".conversation_parts IN SHARE MODE')
        analyst.rollback()

    thread = threading.Thread(target=cross)
    thread.start()
    locked.wait(10)
    outcome = await own.sync()
    thread.join(30)
    assert outcome.exit_code == 0, outcome.error
    _until(lambda: _deadlocks(own) > before)
    injected(_deadlocks(own) - before)
    await next_night_is_right(own)
    analyst.close()


def _deadlocks(harness: Harness) -> int:
    query = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"
    return int(harness.query(query)[0]["deadlocks"])


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- two at once -----------------------------------------------------------------------------


@pytest.mark.fault(
    "the connection that holds the lock dies, and a second run starts and ends meanwhile",
    "the first run writes nothing more and ends with exit code 4; the rows are right",
)
async def test_a_run_that_lost_its_lock_writes_nothing_after_a_second_one(
    own: Harness, injected: Any
) -> None:
    state: dict[str, Any] = {}

    async def meanwhile(request: Any) -> None:
        state["asked"] = state.get("asked", 0) + 1
        if state["asked"] == 50:
            assert terminate(own, "lock") == 1
            state["second"] = asyncio.ensure_future(second())
            await asyncio.shield(state["second"])  # the first run may end before it does

    async def second() -> Any:
        outcome = await own.sync()
        state["versions"] = own.versions()
        injected()
        return outcome

    transport = SimulatorTransport(own.simulator, latency=meanwhile)
    with pytest.raises(FenceError) as caught:
        await own.sync(own.client(transport=transport))
    assert caught.value.exit_code == 4
    assert (await state["second"]).exit_code == 0
    assert own.versions() == state["versions"]
    assert differences(own) == []
    statuses = own.query("SELECT status FROM sync_runs ORDER BY id")
    assert [row["status"] for row in statuses] == ["interrupted", "succeeded"]


@pytest.mark.fault(
    "the server ends transactions that idle or last (idle_in_transaction_session_timeout,"
    " transaction_timeout)",
    "the lock outlasts both",
    times=2,
    rows=False,
)
def test_the_lock_outlasts_the_timeouts_of_the_server(own: Harness, injected: Any) -> None:
    for setting in ("idle_in_transaction_session_timeout", "transaction_timeout"):
        url = make_conninfo(conninfo(own.database_url), options=f"-c {setting}=150")
        first, second = Database(url, own.schema), Database(url, own.schema)
        first.lock()
        with psycopg.connect(url, autocommit=True) as other:  # which that server really ends
            other.execute("BEGIN")
            time.sleep(0.6)
            with pytest.raises(psycopg.Error):
                other.execute("SELECT 1")
        with pytest.raises(AlreadyRunningError):
            second.lock()
        first.close()
        second.close()
        injected()


@pytest.mark.parametrize("times", [1, database_module.TRIES])
def test_a_transaction_that_the_server_ends_for_its_length_is_repeated(
    own: Harness, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    monkeypatch.setattr(database_module, "PAUSE", 0.01)
    database, tries = Database(own.database_url, own.schema), itertools.count(1)

    def work(conn: sa.Connection) -> str:
        slow = next(tries) <= times
        conn.execute(sa.text("SET LOCAL transaction_timeout = 100"))
        conn.execute(sa.text(f"SELECT pg_sleep({0.5 if slow else 0})"))
        return "done"

    if times == 1:
        assert database.write(work) == "done"
    else:
        with pytest.raises(DatabaseLostError, match="transaction timeout"):
            database.write(work)
    database.close()


def test_a_connection_that_dies_as_it_takes_the_lock_is_told_in_words(own: Harness) -> None:
    database = Database(own.database_url, own.schema)

    def end(connection: Any) -> None:
        pid = connection.connection.driver_connection.info.backend_pid
        own.query("SELECT pg_terminate_backend(%s, 1000)", pid)

    sa.event.listen(database.engine, "begin", end)  # after what begins the transaction
    with pytest.raises(DatabaseError, match="lock of schema") as caught:
        database.lock()
    assert caught.value.exit_code == 5
    database.close()


@pytest.mark.skipif(not PGBOUNCER, reason="the program pgbouncer is not installed")
@pytest.mark.chaos
@pytest.mark.fault(
    "PgBouncer in transaction mode between the sync and the server: a load, nights, a second run,"
    " kills",
    "works as without it; the second run is refused, a kill frees the lock",
    times=6,
)
async def test_a_transaction_pooler_changes_nothing(
    own: Harness, server: Server, injected: Any
) -> None:
    assert PGBOUNCER
    direct = own.database_url
    with pooled(server, PGBOUNCER) as url:
        own.database_url = url
        for night in range(4):
            outcome = await own.sync()
            assert outcome.exit_code == 0, outcome.error
            own.database_url = direct
            assert differences(own) == []
            own.database_url = url
            own.control.change(fraction=0.2, seed=night)
            own.pass_time(DAY)
            injected()
        first, second = (Database(url, own.schema) for _ in range(2))
        first.lock()
        with pytest.raises(AlreadyRunningError):
            second.lock()
        second.close()
        first.close()
        injected()
        with served(own.simulator, latency=0.02) as address:
            environ = environment(address, url, own.schema)
            process = start(environ, "backfill")
            _until(lambda: own.query("SELECT 1 FROM sync_runs WHERE status = 'running'") != [])
            process.kill()
            process.communicate()
            injected()
            ended = start(environ, "sync")
            assert "succeeded" in ended.communicate(timeout=60)[0]
            assert ended.returncode == 0
    own.database_url = direct
    assert differences(own) == []


@pytest.mark.skipif(not PGBOUNCER, reason="the program pgbouncer is not installed")
@pytest.mark.chaos
@pytest.mark.fault(
    "a pooler with one server connection, which the run's own lock takes; SIGTERM meanwhile",
    "exit code 5 names the shortage; SIGTERM ends the wait within seconds",
    times=2,
    rows=False,
)
async def test_a_pooler_with_too_few_connections_is_named(
    own: Harness, server: Server, injected: Any
) -> None:
    assert PGBOUNCER
    with (
        pooled(server, PGBOUNCER, size=1) as url,
        served(own.simulator) as address,
    ):
        environ = environment(address, url, own.schema)
        process = start(environ, "sync")
        out, err = process.communicate(timeout=120)
        assert process.returncode == 5, out + err
        assert "too few connections: a sync needs two" in err
        assert "Traceback" not in err
        injected()
        process = start(environ, "sync")
        _until(lambda: _locks(own) == 1)
        began = time.monotonic()
        process.terminate()
        out, err = process.communicate(timeout=60)
        assert process.returncode == 130, out + err
        assert time.monotonic() - began < 15
        injected()


def _locks(harness: Harness) -> int:
    query = "SELECT FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid > 0"
    return int(harness.query(f"SELECT count(*) AS n FROM ({query}) l")[0]["n"])


# -- restored, read-only ---------------------------------------------------------------------


@pytest.mark.fault(
    "the database is restored from yesterday's dump",
    "cursor and rows came back together; the next run is right",
)
async def test_a_restored_dump_is_brought_up_to_date_by_the_next_run(
    own: Harness, server: Server, injected: Any
) -> None:
    assert (await own.sync()).exit_code == 0
    own.control.change(fraction=0.1, seed=1)
    own.pass_time(DAY)
    dump = server.dump(own.schema)
    assert (await own.sync()).exit_code == 0
    own.control.change(fraction=0.1, seed=2)
    own.pass_time(DAY)
    own.close()
    own._reader = None
    server.execute(f'DROP SCHEMA "{own.schema}" CASCADE')
    server.restore(dump)
    injected()
    outcome = await own.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(own) == []


@pytest.mark.fault(
    "server or role make transactions read-only by default, before the first run and after",
    "each transaction says that it writes; the runs succeed",
    times=2,
)
async def test_transactions_that_only_read_by_default_are_told_to_write(
    own: Harness, injected: Any
) -> None:
    writable = own.database_url
    own.database_url = make_conninfo(
        conninfo(writable), options="-c default_transaction_read_only=on"
    )
    for _ in range(2):
        assert (await own.sync()).exit_code == 0
        injected()
    own.database_url = writable
    await next_night_is_right(own)


@pytest.mark.chaos
@pytest.mark.fault("a hot standby by mistake", "exit code 2, with what to do")
async def test_a_hot_standby_is_refused_in_words(
    own: Harness, server: Server, injected: Any
) -> None:
    assert (await own.sync()).exit_code == 0
    with standby(server) as url:
        writable, own.database_url = own.database_url, url
        with pytest.raises(DatabaseError, match="names a standby") as caught:
            await own.sync()
        assert caught.value.exit_code == 2
        reader = Database(url, own.schema)
        assert reader.read(lambda conn: collect(conn, own.schema))["fine"]
        reader.close()
        own.database_url = writable
        injected()
    await next_night_is_right(own)
