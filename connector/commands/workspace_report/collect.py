"""Asks the database for all that the page shows, in one transaction that only reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import psycopg
import sqlalchemy as sa
from msgspec import Struct, field

from connector.commands import status
from connector.commands.workspace_report.charts import nights, workspace
from connector.commands.workspace_report.charts.chart import Chart, Drawn, Row
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import quote


class Asked(Struct, frozen=True):
    """What the command line asks for, and what the settings say of the requests' limit."""

    since: date | None = None
    anonymous: bool = False
    per_minute: int = nights.USUAL


class Found(Struct, frozen=True):
    """What the warehouse answers. ``charts`` by their keys; none where it is empty."""

    facts: Mapping[str, Any]
    asked_at: datetime
    timezone: str = "UTC"  # of the days, weeks, months and hours
    zone: tzinfo = UTC  # in which instants are told: the same, where it is known here
    charts: Mapping[str, Drawn] = field(default_factory=dict)
    runs: Sequence[Row] = ()
    lately: Row = field(default_factory=dict)
    workspace: str | None = None


def collect(conn: sa.Connection, schema: str, asked: Asked) -> Found:
    """All of it."""
    facts = status.collect(conn, schema)
    now: datetime = scalar(conn, "SELECT now()")
    if "resources" not in facts:
        return Found(facts, now)
    path = f"{quote(schema)}, pg_catalog, pg_temp"
    execute(conn, "SELECT set_config('search_path', %(path)s, true)", {"path": path})
    charts = [*nights.CHARTS, *(one for part in workspace.SECTIONS for one in part.charts)]
    pinned = facts["workspace"] or {}
    timezone = scalar(conn, "SELECT timezone FROM sync_metrics") or "UTC"
    return Found(
        facts,
        now,
        timezone,
        _zone(timezone),
        {one.key: _drawn(conn, one, asked) for one in charts},
        _rows(conn, nights.RUNS),
        next(iter(_answer(conn, workspace.LATELY)[0] or ()), {}),
        pinned.get("name") or pinned.get("id_code"),
    )


def _zone(timezone: str) -> tzinfo:
    """The timezone, UTC where this machine does not know it."""
    try:
        return ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return UTC


def _drawn(conn: sa.Connection, chart: Chart, asked: Asked) -> Drawn:
    sql = chart.question(asked.since).replace(nights.LIMIT, str(asked.per_minute))
    rows, why = _answer(conn, sql)
    return Drawn(chart, sql, rows, why)


def _answer(conn: sa.Connection, sql: str) -> tuple[list[Row] | None, str]:
    """The rows, or why there are none: somebody else's view may bear a name, or be forbidden."""
    savepoint = conn.begin_nested()
    try:
        rows = _rows(conn, sql)
    except (psycopg.ProgrammingError, psycopg.DataError) as failure:
        savepoint.rollback()
        return None, failure.diag.message_primary or type(failure).__name__
    savepoint.commit()
    return rows, ""


def _rows(conn: sa.Connection, sql: str) -> list[Row]:
    cursor = execute(conn, sql)
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in cursor]
