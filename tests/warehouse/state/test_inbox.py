"""What is told and not yet read: one row for each object, whatever came in whichever order."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from psycopg.conninfo import make_conninfo

from connector.resources.hint import Hint
from connector.warehouse import state
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.sql.execute import execute, fetch, names_of
from connector.warehouse.state import inbox
from connector.warehouse.state.inbox import Waiting
from connector.warehouse.state.workspace import Workspace
from tests.support.postgres.locks import held_up_by
from tests.support.warehouse import Warehouse

NOW = 1_768_000_000
Row = dict[str, Any]


@pytest.fixture
def conn(shared: Warehouse) -> Iterator[sa.Connection]:
    """A transaction on an empty inbox, rolled back afterwards: in it now() stands still."""
    with shared.database.engine.connect() as conn:
        yield conn
        conn.rollback()


def rows(conn: sa.Connection) -> list[Row]:
    """The inbox; times as seconds from the transaction's beginning."""
    names = ("resource", "id", "version", "announced", "gone", "attempts", "due", "first", "last")
    found = fetch(
        conn,
        "SELECT resource, id, version, extract(epoch FROM announced)::bigint, gone, attempts,"
        " extract(epoch FROM not_before - now())::float8,"
        " extract(epoch FROM first_told_at - now())::float8,"
        " extract(epoch FROM told_at - now())::float8"
        f" FROM {names_of(conn)('sync_inbox')} ORDER BY resource, id",
    )
    return [dict(zip(names, row, strict=True)) for row in found]


def row(conn: sa.Connection) -> Row:
    [found] = rows(conn)
    return found


def age(conn: sa.Connection, seconds: float) -> None:
    """So much time passes."""
    execute(
        conn,
        f"UPDATE {names_of(conn)('sync_inbox')} SET not_before = not_before - make_interval(secs =>"
        " %(s)s), first_told_at = first_told_at - make_interval(secs => %(s)s),"
        " told_at = told_at - make_interval(secs => %(s)s)",
        {"s": float(seconds)},
    )


def due(conn: sa.Connection, *resources: str) -> list[Waiting]:
    return inbox.waiting(conn, resources or ("contacts",), 100)


A = Hint("contacts", "a")


# -- told ------------------------------------------------------------------------------------


def test_many_tellings_are_one_row(conn):
    inbox.tell(conn, [A, Hint("contacts", "a", NOW), A, Hint("companies", "a")], 2.0)
    inbox.tell(conn, [Hint("contacts", "a", NOW - 5, True)], 2.0)
    inbox.tell(conn, [], 2.0)
    assert [(r["resource"], r["id"], r["announced"], r["gone"]) for r in rows(conn)] == [
        ("companies", "a", None, False),
        ("contacts", "a", NOW, True),
    ]


def test_it_is_due_after_its_first_telling_and_later_ones_never_put_it_off(conn):
    inbox.tell(conn, [A], 2.0)
    assert row(conn)["due"] == 2.0
    assert due(conn) == []
    assert inbox.seconds_to_next(conn, ["contacts"]) == 2.0
    for _ in range(3):
        age(conn, 0.9)
        inbox.tell(conn, [A], 2.0)
    found = row(conn)
    assert found["due"] == pytest.approx(2.0 - 3 * 0.9)
    assert found["first"] == pytest.approx(-2.7)
    assert found["last"] == 0.0
    assert [one.id for one in due(conn)] == ["a"]
    assert inbox.seconds_to_next(conn, ["contacts"]) == 0.0


def test_another_telling_begins_the_attempts_anew(conn):
    inbox.tell(conn, [A], 0.0)
    for _ in range(3):
        inbox.postpone(conn, due_now(conn))
    assert row(conn)["attempts"] == 3
    assert row(conn)["due"] > 50
    inbox.tell(conn, [A], 2.0)
    assert row(conn)["attempts"] == 0
    assert row(conn)["due"] == 2.0


def due_now(conn: sa.Connection) -> list[Waiting]:
    """Everything, as if it were due."""
    execute(conn, f"UPDATE {names_of(conn)('sync_inbox')} SET not_before = now()")
    return due(conn)


def test_the_version_changes_at_each_telling(conn):
    seen = []
    for _ in range(50):
        inbox.tell(conn, [A], 0.0)
        seen.append(row(conn)["version"])
    assert seen == sorted(set(seen))
    execute(conn, f"UPDATE {names_of(conn)('sync_inbox')} SET version = version + 10^15::bigint")
    ahead = row(conn)["version"]  # the clock went back
    inbox.tell(conn, [A], 0.0)
    assert row(conn)["version"] == ahead + 1


@pytest.mark.parametrize(("ahead", "kept"), [(0, True), (200, True), (400, False)])
def test_a_time_that_lies_ahead_of_the_clock_is_none(conn, ahead, kept):
    second = int(state.clock(conn).timestamp()) + ahead
    inbox.tell(conn, [Hint("contacts", "a", second)], 0.0)
    assert row(conn)["announced"] == (second if kept else None)
    inbox.tell(conn, [Hint("contacts", "b", 10**11 - 1)], 0.0)
    assert rows(conn)[1]["announced"] is None


HINTS = [
    Hint("contacts", "a"),
    Hint("contacts", "a", NOW),
    Hint("contacts", "a", NOW + 3),
    Hint("contacts", "a", None, True),
]


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
def test_the_order_of_tellings_does_not_matter(conn, order):
    for number in order:
        inbox.tell(conn, [HINTS[number]], 0.0)
    inbox.tell(conn, [Hint("contacts", "b", h.announced, h.gone) for h in HINTS], 0.0)
    assert {(r["announced"], r["gone"]) for r in rows(conn)} == {(NOW + 3, True)}


def test_topics_are_counted(conn):
    inbox.count_topics(conn, {"ping": (2, 2), "contact.deleted": (1, 0)})
    inbox.count_topics(conn, {"ping": (3, 0)})
    inbox.count_topics(conn, {})
    found = {one["topic"]: (one["received"], one["ignored"]) for one in inbox.topics(conn)}
    assert found == {"ping": (5, 2), "contact.deleted": (1, 0)}


def test_the_backlog_is_what_waits(conn):
    assert inbox.backlog(conn) == inbox.Backlog(0, None, None, None)
    inbox.tell(conn, [A, Hint("tickets", "1")], 5.0)
    age(conn, 30)
    inbox.count_topics(conn, {"ping": (1, 1)})
    found = inbox.backlog(conn)
    assert (found.waiting, found.oldest_seconds, found.untried_seconds) == (2, 30.0, 30.0)
    inbox.postpone(conn, inbox.waiting(conn, ["contacts", "tickets"], 9))
    assert inbox.backlog(conn).untried_seconds is None
    assert found.last_notification_at == state.clock(conn)
    assert inbox.count(conn) == 2


def test_the_longest_waiting_come_first_and_only_of_these_tables(conn):
    for seconds, id in enumerate("abc"):
        inbox.tell(conn, [Hint("contacts", id), Hint("admins", "*")], float(seconds))
    age(conn, 10)
    assert [one.id for one in due(conn)] == ["a", "b", "c"]
    assert [one.id for one in inbox.waiting(conn, ["contacts"], 2)] == ["a", "b"]
    assert {one.resource for one in due(conn, "contacts", "admins")} == {"contacts", "admins"}
    assert inbox.count_due(conn, "contacts") == 3


def test_what_was_told_before_a_moment_is_due_unless_it_was_tried_since(conn):
    inbox.tell(conn, [A, Hint("contacts", "b")], 60.0)
    age(conn, 1)
    moment = state.clock(conn)
    assert [one.id for one in inbox.waiting(conn, ["contacts"], 9, moment)] == ["a", "b"]
    [first, _] = inbox.waiting(conn, ["contacts"], 9, moment)
    inbox.postpone(conn, [first])
    tried = {("contacts", "a")}
    left = inbox.waiting(conn, ["contacts"], 9, moment, tried, only=True)
    assert [one.id for one in left] == ["b"]
    inbox.tell(conn, [Hint("contacts", "b")], 60.0)
    assert inbox.waiting(conn, ["contacts"], 9, moment, tried, only=True) == []


# -- settled ---------------------------------------------------------------------------------


def test_settling_deletes_what_was_not_told_again(conn):
    inbox.tell(conn, [A, Hint("contacts", "b"), Hint("tickets", "a")], 2.0)
    age(conn, 5)
    read = due(conn)
    inbox.tell(conn, [Hint("contacts", "b", NOW)], 2.0)
    inbox.settle(conn, read, 2.0)
    found = {(r["resource"], r["id"]): r for r in rows(conn)}
    assert found.keys() == {("contacts", "b"), ("tickets", "a")}
    again = found["contacts", "b"]
    assert again["due"] == 2.0  # anew: it was told when it was being read
    assert again["first"] == 0.0
    assert found["tickets", "a"]["due"] == -3.0


def test_settling_twice_or_nothing_does_nothing(conn):
    inbox.tell(conn, [A], 0.0)
    read = due(conn)
    inbox.settle(conn, [], 0.0)
    inbox.settle(conn, read, 0.0)
    inbox.tell(conn, [A], 0.0)
    inbox.settle(conn, read, 0.0)
    assert len(rows(conn)) == 1


def test_what_was_read_in_vain_is_asked_for_after_growing_pauses_and_then_goes(conn):
    inbox.tell(conn, [A], 0.0)
    for seconds in (1, 10, 60, 600):
        before = row(conn)["version"]
        assert inbox.postpone(conn, due_now(conn)) == []
        assert row(conn)["due"] == pytest.approx(seconds, abs=0.9)
        assert row(conn)["version"] == before
    [over] = inbox.postpone(conn, due_now(conn))
    assert (over.id, over.attempts) == ("a", 4)
    assert rows(conn) == []


def test_a_pause_can_be_longer_than_the_attempts_ask_for(conn):
    inbox.tell(conn, [A], 0.0)
    inbox.postpone(conn, due(conn), at_least=90.0)
    assert row(conn)["due"] == pytest.approx(90, abs=0.9)
    assert row(conn)["attempts"] == 1


def test_what_was_told_again_is_not_put_off_by_an_older_reading(conn):
    inbox.tell(conn, [A, Hint("contacts", "b")], 0.0)
    read = [Waiting(*asdict(one).values()) for one in due(conn)]
    inbox.tell(conn, [A], 0.0)
    tired = [Waiting(o.resource, o.id, o.version, None, False, 4, 0.0) for o in read]
    inbox.postpone(conn, tired)
    assert (row(conn)["id"], row(conn)["attempts"]) == ("a", 0)


def test_other_tables_can_be_dropped(conn):
    inbox.tell(conn, [A, Hint("tickets", "1"), Hint("calls", "1")], 0.0)
    inbox.drop_others(conn, ["contacts", "tickets"])
    assert inbox.hinted(conn, "contacts", ["a", "x"]) == {"a"}
    assert inbox.hinted(conn, "calls", ["1"]) == set()
    inbox.drop(conn, ["tickets"])
    assert inbox.hinted(conn, "tickets", ["1"]) == set()


class Model:
    """What the inbox should hold, told by a person."""

    def __init__(self) -> None:
        self.waits: dict[str, tuple[int | None, bool]] = {}
        self.read: dict[str, int] = {}
        self.tellings: dict[str, int] = {}

    def tell(self, id: str, announced: int | None, gone: bool) -> None:
        at, was = self.waits.get(id, (None, False))
        known = [moment for moment in (at, announced) if moment is not None]
        self.waits[id] = (max(known, default=None), was or gone)
        self.tellings[id] = self.tellings.get(id, 0) + 1

    def settle(self) -> None:
        for id, number in self.read.items():
            if self.tellings[id] == number:
                self.waits.pop(id, None)


STEPS = st.lists(
    st.just("look")
    | st.just("settle")
    | st.tuples(
        st.sampled_from("abc"), st.sampled_from([None, NOW, NOW + 1, NOW + 2]), st.booleans()
    ),
    max_size=12,
)


@settings(max_examples=40, deadline=None)
@given(STEPS)
def test_whatever_happens_nothing_told_is_lost(shared: Warehouse, steps: Sequence[Any]) -> None:
    model, read = Model(), list[Waiting]()
    with shared.database.engine.connect() as conn:
        for step in steps:
            if step == "look":
                read = due(conn)
                model.read = {one.id: model.tellings[one.id] for one in read}
            elif step == "settle":
                inbox.settle(conn, read, 0.0)
                model.settle()
            else:
                inbox.tell(conn, [Hint("contacts", *step)], 0.0)
                model.tell(*step)
            found = {r["id"]: (r["announced"], r["gone"]) for r in rows(conn)}
            assert found == model.waits
        conn.rollback()


# -- several at once -------------------------------------------------------------------------


@pytest.fixture
def emptied(shared: Warehouse) -> Iterator[Warehouse]:
    """The same with transactions that are committed."""
    yield shared
    for table in ("sync_inbox", "sync_topics", "sync_workspace"):
        with shared.database.transaction() as conn:
            execute(conn, f"DELETE FROM {names_of(conn)(table)}")


def together(*works: Any) -> list[BaseException]:
    """Do these at the same time; what failed."""
    failures: list[BaseException] = []

    def run(work: Any) -> None:
        try:
            work()
        except BaseException as failure:
            failures.append(failure)

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    return failures


def test_receivers_and_a_reader_at_once_never_wait_in_a_circle(emptied: Warehouse) -> None:
    hints = [Hint(table, str(n)) for n in range(150) for table in ("contacts", "tickets")]
    with emptied.database.transaction() as conn:
        for hint in sorted(hints, key=lambda one: (one.resource, one.id), reverse=True):
            inbox.tell(conn, [hint], 0.0)  # so they do not lie in the order in which they are told

    def receive(order: int) -> None:
        database = emptied.database.another()
        for _ in range(25):
            with database.transaction() as conn:
                inbox.tell(conn, hints[::order], 0.0)
                inbox.count_topics(conn, dict.fromkeys(["a", "b"][::order], (1, 0)))
        database.close()

    def settle() -> None:
        database = emptied.database.another()
        for number in range(40):
            with database.transaction() as conn:
                found = inbox.waiting(conn, ["tickets", "contacts"], 200)[::-1]
                if number % 2:
                    inbox.settle(conn, found, 0.0)
                else:
                    inbox.postpone(conn, found)
        database.close()

    assert together(lambda: receive(1), lambda: receive(-1), settle) == []
    with emptied.database.transaction() as conn:
        assert {one["received"] for one in inbox.topics(conn)} == {50}


def test_a_telling_that_waits_for_the_settling_of_its_row_is_not_lost(
    emptied: Warehouse, database_url: str
) -> None:
    with emptied.database.transaction() as conn:
        inbox.tell(conn, [A], 0.0)
    other = emptied.database.another()

    def tell() -> None:
        with other.transaction() as conn:
            inbox.tell(conn, [A], 0.0)

    teller = threading.Thread(target=tell)
    with emptied.database.transaction() as conn:
        pid = conn.execute(sa.text("SELECT pg_backend_pid()")).scalar_one()
        inbox.settle(conn, due(conn), 0.0)
        teller.start()
        while not held_up_by(pid, database_url):
            pass
    teller.join()
    other.close()
    with emptied.database.transaction() as conn:
        assert [one["id"] for one in rows(conn)] == ["a"]


# -- rights ----------------------------------------------------------------------------------


@pytest.fixture
def teller(emptied: Warehouse, database_url: str) -> Iterator[Database]:
    """The database as a role sees it that has the rights of a receiver and no other."""
    schema, role = emptied.schema, f"{emptied.schema}_teller"
    with psycopg.connect(conninfo(database_url), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE \"{role}\" LOGIN PASSWORD 'secret'")
        admin.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO "{role}"')
        admin.execute(f'GRANT SELECT ON "{schema}".sync_workspace TO "{role}"')
        for table in ("sync_inbox", "sync_topics"):
            admin.execute(f'GRANT SELECT, INSERT, UPDATE ON "{schema}"."{table}" TO "{role}"')
    database = Database(make_conninfo(conninfo(database_url), user=role, password="secret"), schema)
    yield database
    database.close()
    with psycopg.connect(conninfo(database_url), autocommit=True) as admin:
        admin.execute(f'DROP OWNED BY "{role}"')
        admin.execute(f'DROP ROLE "{role}"')


def test_few_rights_are_enough_to_tell(emptied: Warehouse, teller: Database) -> None:
    with emptied.database.transaction() as conn:
        state.pin(conn, Workspace("abc", None, None, None, "2.16"))
    for _ in range(2):
        with teller.transaction() as conn:
            assert state.pinned(conn)
            inbox.tell(conn, [A, Hint("events", "7", NOW)], 1.0)
            inbox.count_topics(conn, {"ping": (1, 1)})
            assert inbox.backlog(conn).waiting == inbox.count(conn) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM sync_inbox",
        "TRUNCATE sync_topics",
        "SELECT 1 FROM contacts",
        "SELECT 1 FROM sync_runs",
        "UPDATE sync_workspace SET name = 'x'",
        "CREATE TABLE mine (x int)",
    ],
)
def test_and_for_nothing_else(teller: Database, statement: str) -> None:
    with teller.transaction() as conn:
        path = f'SET LOCAL search_path = "{teller.schema}"'
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            execute(conn, f"{path}; {statement}")
        conn.rollback()
