"""Connections: patience that ends, transactions that are repeated, the lock, and no secrets."""

from __future__ import annotations

import logging
import os
import threading
from typing import Any
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connector.errors import (
    AlreadyRunningError,
    DatabaseError,
    DatabaseLostError,
    DatabaseUnreachableError,
    SettingsError,
)
from connector.warehouse import database as module
from connector.warehouse.database import Database, conninfo

SECRET = "s3cr3t-pass"


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAUSE", 0.0)


@pytest.fixture
def table(database: Database, schema: str) -> str:
    """A table with the rows 1 and 2."""
    with database.transaction() as conn:
        conn.execute(sa.schema.CreateSchema(schema))
        conn.execute(sa.text(f'CREATE TABLE "{schema}".t (id int PRIMARY KEY, n int DEFAULT 0)'))
        conn.execute(sa.text(f'INSERT INTO "{schema}".t VALUES (1), (2)'))
    return f'"{schema}".t'


class Ticking:
    """A clock on which every look takes ten seconds."""

    def __init__(self) -> None:
        self.looks = 0

    def __call__(self) -> float:
        self.looks += 1
        return self.looks * 10.0


def admin(database_url: str) -> psycopg.Connection[Any]:
    return psycopg.connect(conninfo(database_url), autocommit=True)


def numbers(database_url: str, table: str) -> list[int]:
    with admin(database_url) as conn:
        return [n for (n,) in conn.execute(f"SELECT n FROM {table} ORDER BY id").fetchall()]


# -- addresses -------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg", "postgres+x"])
def test_every_way_of_writing_a_postgres_url_is_accepted(database_url, schema, scheme):
    parts = conninfo_to_dict(conninfo(database_url))
    host = quote(str(parts.get("host") or parts.get("hostaddr") or "localhost"), safe="")
    user = quote(str(parts.get("user") or "postgres"), safe="")
    password = ":" + quote(str(parts["password"]), safe="") if parts.get("password") else ""
    port = f":{parts['port']}" if parts.get("port") else ""
    url = f"{scheme}://{user}{password}@{host}{port}/{parts.get('dbname') or 'postgres'}"
    for written in (url, f"  {url}\n", url + "?application_name=me"):
        Database(written, schema).wait()


def test_keywords_and_values_are_accepted(database_url, schema):
    Database(make_conninfo(conninfo(database_url)), schema).wait()


@pytest.mark.parametrize(
    "url",
    [
        f"postgres//me:{SECRET}@server/base",
        f"postgresql://me:{SECRET}%zz@server/base",
        f"postgresql://me:{SECRET}@{SECRET}@server/base",
        f"postgresql://me:{SECRET}/x@server/base",
        f"postgresql://me:x@[server{SECRET}/base",
        f"postgresql://me:x@server/base?{SECRET}=1",
        f"mysql://me:{SECRET}@server/base",
        f"host=server {SECRET}",
        f"host=server pasword={SECRET}",
        f"host=server password='{SECRET}",
    ],
)
def test_an_address_that_cannot_be_read_is_refused_without_repeating_it(url):
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        Database(url, "s")
    assert SECRET not in str(caught.value)
    assert caught.value.__context__ is None  # a traceback would print it


def test_no_password_is_in_a_message_a_log_or_a_repr(database_url, schema, caplog):
    caplog.set_level(logging.DEBUG)
    url = make_conninfo(conninfo(database_url), user="nobody_here", password=SECRET)
    unreachable = f"postgresql://me:{SECRET}@127.0.0.1:1/base"
    for address in (url, unreachable):
        database = Database(address, schema, clock=Ticking())
        assert SECRET not in repr(database)
        assert SECRET not in repr(database.engine)
        with pytest.raises(DatabaseUnreachableError) as caught:
            database.wait()
        assert SECRET not in str(caught.value)
    assert SECRET not in caplog.text


# -- opening ---------------------------------------------------------------------------------


def test_an_unreachable_server_is_given_up_when_patience_ends(schema):
    clock = Ticking()
    database = Database("postgresql://me@127.0.0.1:1/base", schema, clock=clock)
    with pytest.raises(DatabaseUnreachableError, match="DATABASE_URL") as caught:
        database.wait()
    assert caught.value.exit_code == 5
    assert 3 <= clock.looks <= 6  # tried again, and not for ever


def test_what_waiting_cannot_mend_is_told_at_once(database_url, schema):
    clock = Ticking()
    url = make_conninfo(conninfo(database_url), dbname="no_such_database")
    with pytest.raises(DatabaseUnreachableError, match="no_such_database"):
        Database(url, schema, clock=clock).wait()
    assert clock.looks <= 2


def test_a_stopped_database_waits_no_longer(schema):
    database = Database("postgresql://me@127.0.0.1:1/base", schema)
    database.stopped.set()
    with pytest.raises(DatabaseUnreachableError):
        database.wait()


# -- transactions ----------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [False, True], ids=["through SQLAlchemy", "on the driver's cursor"])
def test_a_write_is_repeated_when_the_server_ends_the_connection(
    database, database_url, table, raw
):
    tries: list[int] = []

    def work(conn: sa.Connection) -> str:
        pid = conn.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        conn.execute(sa.text(f"UPDATE {table} SET n = n + 1"))
        tries.append(pid)
        if len(tries) == 1:
            with admin(database_url) as other:
                other.execute("SELECT pg_terminate_backend(%s)", [pid])
        if raw:
            driver: Any = conn.connection.driver_connection
            driver.cursor().execute("SELECT 1")
        else:
            conn.execute(sa.text("SELECT 1"))
        return "done"

    assert database.write(work) == "done"
    assert len(set(tries)) == 2
    assert numbers(database_url, table) == [1, 1]


def test_a_write_is_repeated_when_the_connection_was_ended_between_two(
    database, database_url, table
):
    pid = database.write(lambda conn: conn.execute(sa.text("SELECT pg_backend_pid()")).scalar())
    with admin(database_url) as other:
        other.execute("SELECT pg_terminate_backend(%s)", [pid])
    database.write(lambda conn: conn.execute(sa.text(f"UPDATE {table} SET n = 5")))
    assert numbers(database_url, table) == [5, 5]


def test_a_connection_that_is_always_lost_ends_the_run(database, database_url, table):
    def work(conn: sa.Connection) -> None:
        pid = conn.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        with admin(database_url) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        conn.execute(sa.text("SELECT 1"))

    with pytest.raises(DatabaseLostError, match="safe") as caught:
        database.write(work)
    assert caught.value.exit_code == 5


def test_a_deadlock_is_resolved_by_trying_again(database, database_url, schema, table):
    other = Database(database_url, schema)
    both_hold_one = threading.Barrier(2, timeout=30)

    def crossing(mine: int, theirs: int, tries: list[int]) -> Any:
        def work(conn: sa.Connection) -> None:
            tries.append(mine)
            conn.execute(sa.text(f"UPDATE {table} SET n = n + 1 WHERE id = {mine}"))
            if len(tries) == 1:
                both_hold_one.wait()
            conn.execute(sa.text(f"UPDATE {table} SET n = n + 1 WHERE id = {theirs}"))

        return work

    first: list[int] = []
    second: list[int] = []
    thread = threading.Thread(target=lambda: other.write(crossing(2, 1, second)))
    thread.start()
    database.write(crossing(1, 2, first))
    thread.join(timeout=30)
    assert len(first) + len(second) >= 3
    assert numbers(database_url, table) == [2, 2]
    other.close()


def test_an_error_in_the_work_rolls_back_and_is_not_repeated(database, database_url, table):
    tries = []

    def work(conn: sa.Connection) -> None:
        tries.append(1)
        conn.execute(sa.text(f"UPDATE {table} SET n = 9"))
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        database.write(work)
    assert len(tries) == 1
    assert numbers(database_url, table) == [0, 0]
    database.write(lambda conn: conn.execute(sa.text(f"UPDATE {table} SET n = 1")))
    assert numbers(database_url, table) == [1, 1]


def test_a_mistake_in_sql_is_raised_as_it_is(database, table):
    with pytest.raises(sa.exc.ProgrammingError):
        database.write(lambda conn: conn.execute(sa.text("SELECT nonsense")))


# -- refusals --------------------------------------------------------------------------------


def test_a_read_only_database_is_refused_with_a_hint(database_url, schema, table):
    url = make_conninfo(conninfo(database_url), options="-c default_transaction_read_only=on")
    database = Database(url, schema)
    with pytest.raises(DatabaseError, match="primary server"):
        database.write(lambda conn: conn.execute(sa.text(f"UPDATE {table} SET n = 1")))
    database.close()


def test_missing_rights_are_told_with_a_hint(database_url, schema, table):
    name = f"weak_{os.getpid()}"
    with admin(database_url) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")
    url = make_conninfo(conninfo(database_url), user=name, password=SECRET)
    database = Database(url, schema)
    try:
        with pytest.raises(DatabaseError, match="rights of the role") as caught:
            database.write(lambda conn: conn.execute(sa.text(f"UPDATE {table} SET n = 1")))
        assert caught.value.exit_code == 5
        assert SECRET not in str(caught.value)
    finally:
        database.close()
        with admin(database_url) as conn:
            conn.execute(f"DROP ROLE {name}")


# -- the lock --------------------------------------------------------------------------------


def test_the_lock_of_a_schema_has_one_holder_and_ends_with_close(database, database_url, schema):
    database.lock()
    second = Database(database_url, schema)
    with pytest.raises(AlreadyRunningError, match=schema) as caught:
        second.lock()
    assert caught.value.exit_code == 4
    second.close()
    database.close()
    third = Database(database_url, schema)
    third.lock()
    third.close()


def test_the_locks_of_two_schemas_are_independent(database, database_url, schema):
    database.lock()
    other = Database(database_url, schema + "_other")
    other.lock()
    other.close()


def test_a_lock_does_not_keep_its_holder_from_writing(database, database_url, table):
    database.lock()
    database.write(lambda conn: conn.execute(sa.text(f"UPDATE {table} SET n = 3")))
    assert numbers(database_url, table) == [3, 3]


def test_the_lock_ends_when_its_process_is_gone(database, database_url, schema):
    database.lock()
    with admin(database_url) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks"
            " WHERE locktype = 'advisory' AND granted"
            " AND pid IN (SELECT pid FROM pg_stat_activity"
            "             WHERE application_name = 'intercom-warehouse')"
        )
    second = Database(database_url, schema)
    second.lock()
    second.close()
