"""Runs and what each did; the fence that lets only the running one write."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field
from msgspec.structs import fields
from sqlalchemy.dialects.postgresql import insert

from connector.errors import FenceError
from connector.warehouse.sql.execute import execute, names_of, scalar
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.session import Guard
from connector.warehouse.state.tables import RUN_RESOURCES, RUNS


class Tally(Struct):
    """What a run did to one resource; the columns of sync_run_resources."""

    status: str = "running"
    requests: int = 0
    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    warnings: int = 0
    seconds: float = 0.0
    error: str | None = None
    parts: int | None = None  # and the next two: of resources whose objects have parts
    incomplete: int | None = None
    truncated: int | None = None
    misfits: dict[str, int] = field(default_factory=dict)
    tolerated: bool = False  # it failed, but that does not make the run fail
    expected: int | None = None  # records that Intercom counts, where a pass knows; or contacts
    asked: int | None = None  # contacts of which lists were read, where those are expected

    def succeed(self) -> None:
        """A step went well; that mends no step that failed."""
        if self.status == "running":
            self.status = "succeeded"

    def figures(self) -> dict[str, Any]:
        """The columns of sync_run_resources."""
        return {name: getattr(self, name) for name in _COLUMNS}


_BESIDE = ("misfits", "tolerated", "expected", "asked")
_COLUMNS = tuple(one.name for one in fields(Tally) if one.name not in _BESIDE)


def last_failures(conn: sa.Connection) -> dict[str, str]:
    """Why resources failed in the last run, by name."""
    last = sa.select(sa.func.max(RUN_RESOURCES.c.run_id)).scalar_subquery()
    query = sa.select(RUN_RESOURCES.c.resource, RUN_RESOURCES.c.error).where(
        RUN_RESOURCES.c.run_id == last, RUN_RESOURCES.c.error.is_not(None)
    )
    return {row.resource: row.error for row in conn.execute(query)}


def failure_before(conn: sa.Connection, run_id: int, resource: str) -> str | None:
    """Why the resource failed in the last run before this one that read it; None if it did not."""
    query = (
        sa.select(RUN_RESOURCES.c.error)
        .where(RUN_RESOURCES.c.resource == resource, RUN_RESOURCES.c.run_id < run_id)
        .order_by(RUN_RESOURCES.c.run_id.desc())
        .limit(1)
    )
    return conn.execute(query).scalar()


WHOLE = ("sync", "backfill")  # commands whose runs read everything that is selected
KILLED = "the process ended without a word; the next run went on from its state"


def start_run(conn: sa.Connection, command: str) -> int:
    """Begin a run; whatever still counts as running was killed and becomes interrupted."""
    _interrupt_killed(conn)
    row = insert(RUNS).values(command=command, status="running", started_at=sa.func.now())
    return int(conn.execute(row.returning(RUNS.c.id)).scalar_one())


def resume_run(conn: sa.Connection, run_id: int) -> bool:
    """Let the last run go on, as its process does; False where there was a later one.

    Whatever still counts as running was killed.
    """
    _interrupt_killed(conn)
    last = sa.select(sa.func.max(RUNS.c.id)).scalar_subquery()
    resumed = conn.execute(
        sa.update(RUNS)
        .where(RUNS.c.id == run_id, RUNS.c.id == last)
        .values(status="running", finished_at=None, error=None)
    )
    return resumed.rowcount == 1


def _interrupt_killed(conn: sa.Connection) -> None:
    conn.execute(
        sa.update(RUNS)
        .where(RUNS.c.status == "running")
        .values(status="interrupted", finished_at=sa.func.now(), error=KILLED)
    )
    conn.execute(
        sa.update(RUN_RESOURCES)
        .where(RUN_RESOURCES.c.status == "running")
        .values(status="interrupted")
    )


def last_sync_at(conn: sa.Connection) -> datetime | None:
    """When a run over everything last succeeded, by the database's clock."""
    query = sa.select(sa.func.max(RUNS.c.finished_at)).where(
        RUNS.c.status == "succeeded", RUNS.c.command.in_(WHOLE)
    )
    return conn.execute(query).scalar()


def forget_runs(conn: sa.Connection, older_than: timedelta) -> int:
    """Delete runs that began longer ago, and what they did; how many.

    The running one and the last that succeeded stay, however old. By the database's clock.
    """
    succeeded = sa.select(sa.func.max(RUNS.c.id)).where(RUNS.c.status == "succeeded")
    old = (
        RUNS.c.started_at < sa.func.now() - older_than,
        RUNS.c.status != "running",
        RUNS.c.id != sa.func.coalesce(succeeded.scalar_subquery(), 0),
    )
    ids = sa.select(RUNS.c.id).where(*old)
    conn.execute(sa.delete(RUN_RESOURCES).where(RUN_RESOURCES.c.run_id.in_(ids)))
    return conn.execute(sa.delete(RUNS).where(*old)).rowcount


def guard(names: Names, run_id: int) -> Guard:
    """Holds the run's row until the transaction ends; FenceError if the run is no longer it.

    A later run marks this one interrupted before it writes anything; it waits for the row.
    """

    def error() -> FenceError:
        return FenceError(f"run {run_id} was taken over by a later run; this one stops")

    query = f"SELECT status FROM {names(RUNS.name)} WHERE id = {run_id:d} FOR SHARE"
    return Guard(query, "running", error)


def fence(conn: sa.Connection, run_id: int) -> None:
    """The same for a transaction that has begun."""
    held = guard(names_of(conn), run_id)
    if scalar(conn, held.query) != held.expected:
        raise held.error()


def finish_run(
    conn: sa.Connection,
    run_id: int,
    status: str,
    error: str | None = None,
    tallies: Mapping[str, Tally] | None = None,
) -> None:
    """End a run that is still the running one; a resource in the middle of its pass ends too.

    ``tallies`` are what it did and nobody has written yet.
    """
    ended = conn.execute(
        sa.update(RUNS)
        .where(RUNS.c.id == run_id, RUNS.c.status == "running")
        .values(status=status, finished_at=sa.func.now(), error=error)
    )
    if ended.rowcount:
        record(conn, run_id, tallies or {})
        conn.execute(
            sa.update(RUN_RESOURCES)
            .where(RUN_RESOURCES.c.run_id == run_id, RUN_RESOURCES.c.status == "running")
            .values(status=status, error=error)
        )


def record(conn: sa.Connection, run_id: int, tallies: Mapping[str, Tally]) -> None:
    """Write what the run did to these resources so far."""
    if tallies:
        statement = _upsert(names_of(conn)(RUN_RESOURCES.name), _KEY, _COLUMNS, len(tallies))
        rows = ((run_id, name, *tally.figures().values()) for name, tally in tallies.items())
        execute(conn, statement, [value for row in rows for value in row])


@cache
def _upsert(table: str, key: tuple[str, ...], names: tuple[str, ...], number: int) -> str:
    """Inserts so many rows of these columns, or updates those of their keys. Parameters: values."""
    columns = [*key, *names]
    row = f"({', '.join(['%s'] * len(columns))})"
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES {', '.join([row] * number)}"
        f" ON CONFLICT ({', '.join(key)})"
        f" DO UPDATE SET {', '.join(f'{name} = EXCLUDED.{name}' for name in names)}"
    )


_KEY = ("run_id", "resource")
