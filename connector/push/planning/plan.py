"""Makes a plan: from a model to rows of the outbox, in one transaction."""

from __future__ import annotations

from collections.abc import Collection

import sqlalchemy as sa

from connector.push.kinds import EVENTS, Kind
from connector.push.planning.asked import Asked, Plan
from connector.push.planning.compare import OUTCOME, UNCHANGED, compare
from connector.push.planning.events import plan_events
from connector.push.planning.lists import compare_lists
from connector.push.planning.match import ROWS, match
from connector.push.planning.model.checks import check_objects, check_rows
from connector.push.planning.model.columns import Model
from connector.push.planning.model.stage import stage
from connector.push.planning.own import overlay
from connector.push.planning.samples import samples
from connector.push.planning.write import WRITTEN, write
from connector.warehouse.sql.execute import execute, fetch, names_of, scalar
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.rows import living

FUSE_SHARE, FUSE_LEAST = 10, 20  # per cent of all objects, and rows that always pass
_SETTINGS = "SET LOCAL jit = off; SET LOCAL work_mem = '64MB'"  # whole tables are joined
ENDLESS = 2**62  # a row number beyond all


def make(conn: sa.Connection, asked: Asked, excluded: Collection[str] = ()) -> Plan:
    """Compare the model with the mirror and put the differences into the outbox.

    Nothing is written in a dry run, or where the plan's ``fuse`` says why. ``excluded`` are names
    of what the warehouse leaves out. Raises SettingsError for a model that is wrong. Needs a
    transaction that may write, also in a dry run: temporary tables.
    """
    names = names_of(conn)
    execute(conn, _SETTINGS)
    model = stage(conn, asked, excluded)
    rows = check_rows(conn, asked, model)
    if asked.kind is EVENTS:
        return plan_events(conn, names, asked, model, rows)
    match(conn, names, model)
    check_objects(conn, asked, ROWS)
    overlay(conn, names, model)
    compare(conn, names, asked, model, compare_lists(conn, names, model))
    return _decided(conn, names, asked, model, rows)


def _decided(conn: sa.Connection, names: Names, asked: Asked, model: Model, rows: int) -> Plan:
    """The plan, carried out if it may be."""
    beyond = _beyond(conn, asked.limit)
    counts, drifted = _counts(conn, beyond)
    creates, updates = counts.pop("create", 0), counts.pop("update", 0)
    counts.pop(UNCHANGED, None)  # those alone of which something else is to be said
    unchanged = rows - creates - updates - sum(counts.values())
    fuse = None if asked.yes else _fuse(conn, names, asked.kind, creates + updates)
    reported = 0
    if not (asked.dry_run or fuse):
        reported = write(conn, names, asked, model, beyond, creates + updates)
    return Plan(
        rows,
        creates,
        updates,
        unchanged,
        drifted,
        skipped=counts,
        failed={"drift": reported} if reported else {},
        samples=samples(conn, asked, model, beyond),
        fuse=fuse,
        dry_run=asked.dry_run,
    )


def _beyond(conn: sa.Connection, limit: int | None) -> int:
    """The first row that the limit leaves out."""
    if limit is None:
        return ENDLESS
    query = f"SELECT x.n FROM {OUTCOME} x WHERE {WRITTEN} ORDER BY x.n OFFSET %(limit)s LIMIT 1"
    found = scalar(conn, query, {"limit": limit})
    return ENDLESS if found is None else int(found)


def _counts(conn: sa.Connection, beyond: int) -> tuple[dict[str, int], int]:
    """Rows by state, those that differ beyond the limit as such, and how many have drifted."""
    query = (
        f"SELECT CASE WHEN {WRITTEN} AND x.n >= %(beyond)s THEN 'beyond the limit'"
        " ELSE x.state END, count(*), count(*) FILTER (WHERE x.drift IS NOT NULL AND x.state IN"
        f" ('update', 'unchanged')) FROM {OUTCOME} x GROUP BY 1 ORDER BY 1"
    )
    found = fetch(conn, query, {"beyond": beyond})
    return {state: number for state, number, _ in found}, sum(drifted for *_, drifted in found)


def _fuse(conn: sa.Connection, names: Names, kind: Kind, touched: int) -> str | None:
    """Why the plan stops; None if it is small enough."""
    assert kind.table
    if touched <= FUSE_LEAST:
        return None
    count = f"SELECT count(*) FROM {names(kind.table.name)} c WHERE {living('c')}"
    stored = int(scalar(conn, count))
    if touched * 100 <= stored * FUSE_SHARE:
        return None
    return (
        f"the plan touches {touched:,} {kind.name}, and the mirror holds {stored:,}: more than"
        f" {FUSE_SHARE} % of them; --yes lets it pass, --limit N takes the first N"
    )
