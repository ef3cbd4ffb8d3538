"""Whether the stored figures are those that their rows have: computed apart, and not kept."""

from __future__ import annotations

from connector.warehouse.metrics import compute
from connector.warehouse.schema import figures
from connector.warehouse.sql.names import Names
from tests.support.harness import Harness


def outdated(harness: Harness) -> list[str]:
    """What is stored and would not be computed now, or the other way round, as text."""
    names = Names(harness.schema)
    every = f"ARRAY(SELECT id FROM {names(compute.TABLE.name)})"
    stored = _all(harness, names)
    harness.query("BEGIN")
    try:
        for table in figures.TABLES:
            harness.query(f"DELETE FROM {names(table.name)}")
        harness.query(compute.add(names).replace("%(keys)s", every))
        return sorted(stored ^ _all(harness, names))
    finally:
        harness.query("ROLLBACK")


def _all(harness: Harness, names: Names) -> set[str]:
    return {
        f"{table.name} {row['text']}"
        for table in figures.TABLES
        for row in harness.query(f"SELECT t::text AS text FROM {names(table.name)} t")
    }
