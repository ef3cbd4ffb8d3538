"""How far each resource has been read."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from functools import cache
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from connector.resources import RESOURCES
from connector.warehouse.sql.execute import execute, fetch, names_of, scalar
from connector.warehouse.state.tables import HISTORY, STATE


class Progress(Struct, frozen=True):
    """How far one resource has been read; see the comments of sync_state."""

    cursor: datetime | None = None
    fresh_as_of: datetime | None = None
    last_full_pass_at: datetime | None = None
    last_success_at: datetime | None = None
    full_due_since: datetime | None = None
    full_reason: str | None = None
    plan_began_at: datetime | None = None
    plan_since: datetime | None = None
    limited_at: datetime | None = None
    plan_mapping: str | None = None
    mapping: str | None = None
    position: str | None = None
    control_id: str | None = None
    control_updated_at: datetime | None = None


def progress(conn: sa.Connection, resource: str) -> Progress:
    """How far the resource has been read; all None if never."""
    return progress_of(conn, [resource])[resource]


def progress_of(conn: sa.Connection, resources: Sequence[str]) -> dict[str, Progress]:
    """The same of several resources, by their names."""
    columns = ", ".join(Progress.__struct_fields__)
    query = (
        f"SELECT resource, {columns} FROM {names_of(conn)(STATE.name)} WHERE resource = ANY (%s)"
    )
    found = {name: Progress(*values) for name, *values in fetch(conn, query, [list(resources)])}
    return {name: found.get(name, Progress()) for name in resources}


def usable_since(conn: sa.Connection) -> datetime | None:
    """When the first load had brought all but what there is only contact by contact.

    None before. What is optional and was never opened holds nothing up.
    """
    left_out = [r.name for r in RESOURCES if r.comes_last]
    optional = [r.name for r in RESOURCES if r.optional or r.early_signal_of]
    query = (
        "SELECT CASE WHEN bool_and(loaded_at IS NOT NULL) THEN max(loaded_at) END"
        f" FROM {names_of(conn)(STATE.name)} WHERE resource <> ALL (%s)"
        " AND (loaded_at IS NOT NULL OR resource <> ALL (%s))"
    )
    found: datetime | None = scalar(conn, query, [left_out, optional])
    return found


class Outset(Struct, frozen=True):
    """What every run must know before it reads, asked at once.

    ``latest``: an instant, by Intercom's clock, that lies behind; the latest that is known here.
    ``has_history``: whether history of any table was ever kept.
    """

    latest: datetime | None
    has_history: bool


def outset(conn: sa.Connection) -> Outset:
    """What is known at the outset of a run."""
    known = sa.func.greatest(STATE.c.cursor, STATE.c.fresh_as_of, STATE.c.last_success_at)
    history = sa.exists().select_from(HISTORY)
    latest, has_history = conn.execute(sa.select(sa.func.max(known), history)).one()
    return Outset(latest, has_history)


def clock(conn: sa.Connection) -> datetime:
    """The time by the database's clock."""
    found: datetime = scalar(conn, "SELECT now()")
    return found


def advance(conn: sa.Connection, resource: str, **values: Any) -> None:
    """Record progress; neither the cursor nor the freshness goes backwards."""
    now = frozenset(name for name, value in values.items() if isinstance(value, sa.ClauseElement))
    statement = _advance(names_of(conn)(STATE.name), tuple(values), now)
    execute(conn, statement, {"resource": resource, **values})


@cache
def _advance(table: str, names: tuple[str, ...], now: frozenset[str]) -> str:
    """As text, as whatever every pass executes: it is made once. ``now``: what is now()."""
    given = ("now()" if name in now else f"%({name})s" for name in names)
    changes = (
        f"{name} = greatest(t.{name}, EXCLUDED.{name})"
        if name in ("cursor", "fresh_as_of")
        else f"{name} = EXCLUDED.{name}"
        for name in names
    )
    return (
        f"INSERT INTO {table} AS t (resource, {', '.join(names)})"
        f" VALUES (%(resource)s, {', '.join(given)})"
        f" ON CONFLICT (resource) DO UPDATE SET {', '.join(changes)}"
    )
