"""Counts what ``extra`` holds, key by key, on a sample of each table; shows no value."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from msgspec import Struct

from connector.resources import TABLES
from connector.resources.resource import Table
from connector.warehouse.sql.execute import fetch, scalar
from connector.warehouse.sql.names import Names

SAMPLE = 10_000  # rows of a table that are looked at
MOST_KEYS = 20  # the most frequent ones of a table are told


class Unclaimed(Struct, frozen=True):
    """What stands in ``extra`` of a table: in how many of the rows looked at, by top-level key."""

    table: str
    rows: int
    keys: dict[str, int]


def unclaimed(conn: sa.Connection, schema: str) -> Iterator[Unclaimed]:
    """What each resource and child table holds, in their order; reads a bounded part of each."""
    names = Names(schema)
    for resource_table in TABLES:
        for table in resource_table.family():
            yield _of(conn, names, table)


def _of(conn: sa.Connection, names: Names, table: Table) -> Unclaimed:
    """The sample is of whole blocks, spread over the table by the size that Postgres assumes."""
    size = (
        "SELECT c.reltuples FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = %(table)s"
    )
    assumed = scalar(conn, size, {"schema": names.schema, "table": table.name})
    per_cent = min(100.0, 100.0 * SAMPLE / max(assumed, 1.0))
    statement = f"""
        WITH sample AS MATERIALIZED (
            SELECT extra FROM {names(table.name)} TABLESAMPLE SYSTEM ({per_cent:.9f})
            LIMIT {SAMPLE}
        )
        SELECT (SELECT count(*) FROM sample), k.key, count(*)
        FROM (SELECT 1) one LEFT JOIN (
            SELECT jsonb_object_keys(extra) AS key FROM sample WHERE extra IS NOT NULL
        ) k ON true
        GROUP BY k.key ORDER BY 3 DESC, 2 LIMIT {MOST_KEYS}"""
    found = fetch(conn, statement)
    keys = {key: count for _, key, count in found if key is not None}
    return Unclaimed(table.name, found[0][0], keys)
