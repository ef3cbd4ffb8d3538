"""The sync's memory: cursors, pending objects, runs and the fence between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from connector.errors import FenceError
from connector.warehouse import state
from connector.warehouse.sql.database import Database
from connector.warehouse.state.partitions import Span
from connector.warehouse.state.runs import Tally
from connector.warehouse.state.tables import PENDING, RUN_RESOURCES, RUNS, WORKSPACE
from connector.warehouse.state.workspace import Workspace
from tests.support.warehouse import Warehouse, at, opened


@pytest.fixture
def conn(shared: Warehouse) -> Iterator[sa.Connection]:
    """A transaction on empty state, rolled back afterwards."""
    with shared.database.engine.connect() as conn:
        yield conn
        conn.rollback()


# -- cursors ---------------------------------------------------------------------------------


def test_a_cursor_never_goes_backwards(conn):
    for seconds, expected in [(10, 10), (5, 10), (None, 10), (11, 11)]:
        moment = at(seconds) if seconds is not None else None
        state.advance(conn, "users", cursor=moment)
        assert state.progress(conn, "users").cursor == at(expected)


def test_what_is_not_told_of_progress_stays(conn):
    state.advance(conn, "users", cursor=at(1), plan_began_at=at(2))
    state.advance(conn, "users", fresh_as_of=at(3), plan_began_at=None)
    progress = state.progress(conn, "users")
    assert (progress.cursor, progress.fresh_as_of, progress.plan_began_at) == (at(1), at(3), None)
    assert state.progress(conn, "leads") == state.Progress()


def test_the_workspace_is_pinned_once_and_its_names_follow(conn):
    assert state.pinned(conn) is None
    state.pin(conn, Workspace("abc", "Old", "US", "Europe/Berlin", "2.16"))
    state.pin(conn, Workspace("abc", "New", "US", "Europe/Berlin", "2.16"))
    assert state.pinned(conn) == Workspace("abc", "New", "US", "Europe/Berlin", "2.16")
    assert conn.execute(sa.select(sa.func.count()).select_from(WORKSPACE)).scalar() == 1


# -- partitions ---------------------------------------------------------------------------------


def test_partitions_are_open_until_they_are_finished_and_finer_ones_take_their_place(conn):
    coarse, left, right = Span(at(0), at(10)), Span(at(0), at(5)), Span(at(5), at(10))
    state.replace_partitions(conn, "users", [], [coarse])
    state.replace_partitions(conn, "users", [coarse], [right, left])
    assert state.all_spans(conn, "users", finished=False) == [left, right]
    state.finish_partition(conn, "users", left)
    assert state.all_spans(conn, "users", finished=False) == [right]
    assert state.all_spans(conn, "users", finished=True) == [left]
    assert state.all_spans(conn, "leads") == []
    state.drop_partitions(conn, "users")
    assert state.all_spans(conn, "users") == []


# -- pending objects -------------------------------------------------------------------------


def test_a_pending_object_waits_longer_after_each_failure(conn):
    waits = []
    for _ in range(9):
        state.postpone(conn, "users", ["1"], "broken", at(100))
        [pending] = state.pending(conn)
        waits.append((pending.not_before - at(100)) / timedelta(minutes=1))
    assert waits == [0, 0, 1, 4, 16, 64, 256, 360, 360]
    assert (pending.attempts, pending.reason, pending.first_seen_at) == (9, "broken", at(100))


@given(st.integers(1, 10_000))
def test_a_delay_never_shrinks_and_is_never_longer_than_six_hours(attempts):
    assert state.delay(attempts) <= state.delay(attempts + 1) <= timedelta(hours=6)


def test_only_due_objects_are_offered_and_settled_ones_are_gone(conn):
    state.postpone(conn, "users", ["b", "a", "a"], "x", at(0))
    state.postpone(conn, "leads", ["a"], "y", at(-5))
    for _ in range(2):
        state.postpone(conn, "users", ["b"], "again", at(0))
    due = [(item.resource, item.id) for item in state.pending(conn, at(0))]
    assert due == [("leads", "a"), ("users", "a")]
    assert len(state.pending(conn, at(60))) == 3
    state.settle(conn, ["users"], ["a", "nobody"])
    state.settle(conn, ["users"], [])
    assert [(item.resource, item.id) for item in state.pending(conn)] == [
        ("leads", "a"),
        ("users", "b"),
    ]


# -- runs ------------------------------------------------------------------------------------


def runs(conn: sa.Connection) -> dict[int, Any]:
    rows = conn.execute(sa.select(RUNS)).mappings()
    return {row["id"]: row for row in rows}


def test_a_killed_run_is_visible_until_the_next_marks_it_interrupted(conn):
    first = state.start_run(conn, "sync")
    state.record(conn, first, {"users": Tally(fetched=3)})
    assert (runs(conn)[first]["status"], runs(conn)[first]["finished_at"]) == ("running", None)
    second = state.start_run(conn, "sync")
    row = runs(conn)[first]
    assert (row["status"], row["finished_at"] is None, bool(row["error"])) == (
        "interrupted",
        False,
        True,
    )
    statuses = conn.execute(sa.select(RUN_RESOURCES.c.status)).scalars().all()
    assert statuses == ["interrupted"]
    assert runs(conn)[second]["status"] == "running"


def test_a_run_that_was_taken_over_cannot_end_itself(conn):
    first = state.start_run(conn, "sync")
    second = state.start_run(conn, "sync")
    state.finish_run(conn, first, "succeeded")
    state.finish_run(conn, second, "failed", "why")
    assert runs(conn)[first]["status"] == "interrupted"
    assert (runs(conn)[second]["status"], runs(conn)[second]["error"]) == ("failed", "why")


def test_a_resource_is_recorded_again_and_again_in_one_row(conn):
    run = state.start_run(conn, "sync")
    state.record(conn, run, {"users": Tally(fetched=1, misfits={"a": 1})})
    state.record(conn, run, {"users": Tally(status="succeeded", fetched=2, seconds=1.5)})
    [row] = conn.execute(sa.select(RUN_RESOURCES)).mappings().all()
    assert (row["status"], row["fetched"], float(row["seconds"])) == ("succeeded", 2, 1.5)


def test_old_runs_are_forgotten_but_for_the_running_and_the_last_that_succeeded(conn):
    ended = []
    for status in ("succeeded", "failed", "succeeded", "failed", "interrupted"):
        ended.append(state.start_run(conn, "sync"))
        state.record(conn, ended[-1], {"tags": Tally()})
        state.finish_run(conn, ended[-1], status)
    running = state.start_run(conn, "sync")
    conn.execute(sa.update(RUNS).values(started_at=sa.func.now() - timedelta(days=10)))
    young = ended[-1]
    conn.execute(
        sa.update(RUNS)
        .where(RUNS.c.id == young)
        .values(started_at=sa.func.now() - timedelta(days=9))
    )
    assert state.forget_runs(conn, timedelta(days=9, hours=12)) == 3
    kept = set(conn.execute(sa.select(RUNS.c.id)).scalars())
    assert kept == {ended[2], young, running}
    told = set(conn.execute(sa.select(RUN_RESOURCES.c.run_id)).scalars())
    assert told == {ended[2], young}
    assert state.forget_runs(conn, timedelta(days=9, hours=12)) == 0


def test_the_fence_lets_only_the_latest_run_through(conn):
    first = state.start_run(conn, "sync")
    state.fence(conn, first)
    second = state.start_run(conn, "sync")
    state.fence(conn, second)
    for stale in (first, second + 1):
        with pytest.raises(FenceError):
            state.fence(conn, stale)
    state.finish_run(conn, second, "succeeded")
    with pytest.raises(FenceError) as caught:
        state.fence(conn, second)
    assert caught.value.exit_code == 4


def test_a_later_run_waits_for_the_open_transaction_of_the_earlier_one(database_url):
    with opened(database_url) as warehouse:
        late = Database(database_url, warehouse.schema)
        first = warehouse.database.write(lambda conn: state.start_run(conn, "sync"))
        started: list[tuple[int, datetime]] = []

        def take_over() -> None:
            def work(conn: sa.Connection) -> int:
                run = state.start_run(conn, "sync")
                written = conn.execute(sa.select(PENDING.c.id)).scalars().all()
                assert written == ["1"]  # what the earlier run committed last is seen
                return run

            started.append((late.write(work), at(0)))

        taking_over = threading.Thread(target=take_over)
        with warehouse.database.transaction() as conn:
            state.fence(conn, first)
            taking_over.start()
            _wait_for_lock(warehouse)
            assert started == []
            state.postpone(conn, "users", ["1"], "x", at(0))
        taking_over.join(timeout=30)
        assert len(started) == 1
        with pytest.raises(FenceError), warehouse.database.transaction() as conn:
            state.fence(conn, first)
        late.close()


def _wait_for_lock(warehouse: Warehouse) -> None:
    """Return once a session waits for a row; the test's own limit ends a wait in vain."""
    waiting = "SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE NOT l.granted"
    while not warehouse.query(waiting):
        pass
