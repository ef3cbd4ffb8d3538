"""Connections: patience that ends, transactions that are repeated, the lock, and no secrets."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

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
from connector.warehouse.sql import database as module
from connector.warehouse.sql import refusals, session
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.sql.execute import execute

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


def answers(database: Database) -> None:
    """It can be connected to; the connection with which that was found out does not stay."""
    database.wait()
    database.close()


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
        answers(Database(written, schema))


def test_keywords_and_values_are_accepted(database_url, schema):
    answers(Database(make_conninfo(conninfo(database_url)), schema))


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


@pytest.mark.parametrize(
    ("added", "named"),
    [
        ("?sslmod=require", "sslmod, which libpq does not know: take it out, or write sslmode"),
        ("?sslmode=prefer&nonsense=1&other_tool=2", "parameters nonsense, other_tool"),
        ("?sslaccept=accept_invalid_certs", "parameter sslaccept"),
    ],
)
def test_a_parameter_that_libpq_does_not_know_is_named(added, named):
    with pytest.raises(SettingsError, match=named) as caught:
        Database(f"postgresql://me:{SECRET}@server/base{added}", "s")
    assert SECRET not in str(caught.value)
    with pytest.raises(SettingsError, match=r"parameter pasword.*write password") as caught:
        Database(f"host=server pasword={SECRET}", "s")
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://me:s3cr3t/x?y@server/base?z=1",  # libpq takes "me" for the server
        "postgresql://me:x@server/base?first=1&s3cr3t@x=1",
        "host=server password=new s3cr3t=1",  # the password may be two words
    ],
)
def test_what_may_be_a_part_of_a_password_is_not_named(url):
    with pytest.raises(SettingsError, match="DATABASE_URL") as caught:
        Database(url, "s")
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize(
    "others",
    [
        "pgbouncer=true",
        "schema=public&connection_limit=1&pool_timeout=0",
        "__extra__=%7B%22sslmode%22%3A+%22prefer%22%7D",
        "supa=base-pooler.x&workaround=supabase-pooler.vercel",
        "charset=utf8&serverVersion=16",
    ],
)
def test_parameters_of_other_tools_are_ignored(database_url, schema, others):
    parts = {k: str(v) for k, v in conninfo_to_dict(conninfo(database_url)).items()}
    base = "postgresql:///?" + urlencode(parts)
    for url in (f"{base}&{others}", f"{base.replace('?', f'?{others}&')}"):
        database = Database(url, schema)
        database.wait()
        database.close()
    words = others.replace("&", " ")
    answers(Database(f"{make_conninfo('', **parts)} {words}", schema))
    assert conninfo(f"postgresql://a:b%3Fc@d/e?{others}") == "postgresql://a:b%3Fc@d/e"
    assert conninfo(f"postgres://a:b?c@d/e?{others}") == "postgresql://a:b?c@d/e"


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


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """A role that may log in."""
    name = f"door_{os.getpid()}"
    with admin(database_url) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{SECRET}'")
        yield name
        conn.execute(f"DROP ROLE {name}")


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("ALTER ROLE {} NOLOGIN", "ALTER ROLE ... LOGIN"),
        ("ALTER ROLE {} CONNECTION LIMIT 0", "two connections at the same time"),
    ],
)
def test_a_role_that_is_not_let_in_is_told_so_at_once(
    database_url, schema, role, statement, advice
):
    with admin(database_url) as conn:
        conn.execute(statement.format(role))
    clock = Ticking()
    url = make_conninfo(conninfo(database_url), user=role, password=SECRET)
    with pytest.raises(DatabaseUnreachableError, match=advice) as caught:
        Database(url, schema, clock=clock).wait()
    assert clock.looks <= 2
    assert caught.value.exit_code == 5


def test_a_role_with_one_connection_is_told_that_a_sync_needs_two(database_url, schema, role):
    with admin(database_url) as conn:
        conn.execute(f"ALTER ROLE {role} CONNECTION LIMIT 1")
    url = make_conninfo(conninfo(database_url), user=role, password=SECRET)
    database = Database(url, schema, clock=Ticking())
    database.lock()
    with pytest.raises(DatabaseError, match="two connections") as caught:
        database.write(lambda conn: None)
    assert caught.value.exit_code == 5
    database.close()


@pytest.mark.parametrize(
    ("answer", "advice"),
    [
        ('password authentication failed for user "x"', "password"),
        ('no pg_hba.conf entry for host "1.2.3.4", user "x", database "y", no encryption', "SSL"),
        ('no pg_hba.conf entry for host "1.2.3.4", user "x", database "y", SSL off', "SSL"),
        ("connection is insecure (try using `sslmode=require`)", "sslmode=require"),
        ("SSL required", "sslmode=require"),
        ("SSL connection is required. Please specify SSL options and retry.", "sslmode=require"),
        ('permission denied for database "y"\nDETAIL:  ...', "GRANT CONNECT"),
        ('database "y" is not currently accepting connections', "ALLOW_CONNECTIONS"),
        ('too many connections for database "y"', "CONNECTION LIMIT"),
        ("unsupported startup parameter: options", "pooler"),
        ("Tenant or user not found", "user name"),
    ],
)
def test_every_refusal_that_stays_is_known_by_its_words(answer, advice):
    assert advice in (refusals.final(f"connection failed: FATAL:  {answer}") or "")


@pytest.mark.parametrize(
    "answer",
    [
        "the database system is starting up",
        "the database system is shutting down",
        "the database system is not yet accepting connections",
        "sorry, too many clients already",
        "remaining connection slots are reserved for roles with the SUPERUSER attribute",
        "no more connections allowed (max_client_conn)",
        "server closed the connection unexpectedly",
        "Connection refused\n\tIs the server running on that host and accepting connections?",
        'could not translate host name "db" to address: Name or service not known',
        "No such file or directory\n\tIs the server running locally?",
        "connection timeout expired",
    ],
)
def test_what_may_pass_is_waited_for(answer):
    assert refusals.final(f"connection failed: {answer}") is None


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


def test_a_connection_that_died_as_it_idled_is_replaced_without_a_word(
    database_url, schema, table, caplog
):
    url = make_conninfo(conninfo(database_url), options="-c idle_session_timeout=50")
    database = Database(url, schema)
    pids = set()
    for _ in range(3):
        pids.add(database.write(lambda conn: conn.scalar(sa.text("SELECT pg_backend_pid()"))))
        with admin(database_url) as conn:
            _until_gone(conn, pids)
    assert len(pids) == 3
    assert caplog.text == ""
    database.close()


def _until_gone(conn: psycopg.Connection[Any], pids: set[int]) -> None:
    deadline = time.monotonic() + 20
    query = "SELECT count(*) FROM pg_stat_activity WHERE pid = ANY(%s)"
    while conn.execute(query, [list(pids)]).fetchall() != [(0,)]:
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize(("patience", "stopped"), [("PATIENCE", False), ("GRACE", True)])
def test_a_pooler_without_a_server_is_named_and_does_not_hold_up_the_end(
    database_url, schema, monkeypatch, patience, stopped
):
    database = Database(database_url, schema)
    if stopped:
        database.stopped.set()
    silence = property(lambda self: "SELECT pg_sleep(60)")  # the transaction never begins
    began = time.monotonic()
    with monkeypatch.context() as patched:
        patched.setattr(session, patience, 0.1)
        patched.setattr(session.Opening, "statement", silence)
        with pytest.raises(DatabaseError, match="too few connections: a sync needs two") as caught:
            database.write(lambda conn: None)
    assert caught.value.exit_code == 5
    assert time.monotonic() - began < 10
    database.close()


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
    for ask in (execute, lambda conn, statement: conn.execute(sa.text(statement))):
        with pytest.raises(psycopg.errors.UndefinedColumn):
            database.write(lambda conn, ask=ask: ask(conn, "SELECT nonsense"))


# -- refusals --------------------------------------------------------------------------------


def test_a_role_that_only_reads_by_default_is_told_to_write(database_url, schema, table):
    url = make_conninfo(conninfo(database_url), options="-c default_transaction_read_only=on")
    database = Database(url, schema)
    database.write(lambda conn: conn.execute(sa.text(f"UPDATE {table} SET n = 1")))
    assert numbers(database_url, table) == [1, 1]
    with pytest.raises(DatabaseError, match="read-only transaction"):
        database.read(lambda conn: conn.execute(sa.text(f"UPDATE {table} SET n = 2")))
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
        assert caught.value.exit_code == 2
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
