"""A few differences of a plan, the same ones at each try."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from connector.push.kinds.digest import CUSTOM
from connector.push.planning.asked import Asked, Sample
from connector.push.planning.compare import OUTCOME
from connector.push.planning.match import ROWS
from connector.push.planning.model.columns import Model
from connector.warehouse.sql.execute import fetch

MOST = 5  # of each kind of change: creates, and each field that changes
LOOKED_AT = 1_000  # rows of each change, the first ones


def samples(conn: sa.Connection, asked: Asked, model: Model, beyond: int) -> tuple[Sample, ...]:
    """The first creates, and for each field the first rows in which it changes or has drifted."""
    key = f"coalesce({', '.join(f'r.{given.stage}' for given in model.keys)})"
    found = [
        Sample("create", name, "", None, body)
        for name, body, _ in _rows(conn, key, "x.body", "x.before", "create", beyond)[:MOST]
    ]
    found += _fields("update", _rows(conn, key, "x.body", "x.before", "update", beyond))
    drifts = _rows(conn, key, "x.drift", "x.drift_before", "", beyond)
    if asked.on_drift != "overwrite":
        found += _fields("drift", drifts)
    return tuple(found)


def _rows(
    conn: sa.Connection, key: str, new: str, old: str, state: str, beyond: int
) -> list[tuple[str, dict[str, Any], dict[str, Any] | None]]:
    """The first rows of a state; without one the first that have drifted."""
    which = f"x.state = '{state}'" if state else "x.drift IS NOT NULL"
    query = (
        f"SELECT {key}, x.new, x.old FROM (SELECT x.n, {new} AS new, {old} AS old FROM {OUTCOME} x"
        f" WHERE {which} AND x.n < %(beyond)s ORDER BY x.n LIMIT {LOOKED_AT}) x"
        f" JOIN {ROWS} r ON r.n = x.n ORDER BY x.n"
    )
    return [(row[0], row[1], row[2]) for row in fetch(conn, query, {"beyond": beyond})]


def _fields(
    change: str, rows: list[tuple[str, dict[str, Any], dict[str, Any] | None]]
) -> list[Sample]:
    """At most so many of each field, in the order of rows and then of names."""
    found: dict[str, list[Sample]] = {}
    for key, new, old in rows:
        before = flat(old or {})
        for field, value in flat(new).items():
            of_field = found.setdefault(field, [])
            if len(of_field) < MOST:
                of_field.append(Sample(change, key, field, before.get(field), value))
    return [sample for field in sorted(found) for sample in found[field]]


def flat(body: dict[str, Any]) -> dict[str, Any]:
    """The fields of a body, custom attributes under their whole names."""
    custom = body.get(CUSTOM.rstrip(".")) or {}
    rest = {name: value for name, value in body.items() if name != CUSTOM.rstrip(".")}
    return rest | {CUSTOM + name: value for name, value in custom.items()}
