"""What others did to our tables that we cannot work with: what is gone, and what came to them.

Asked once something went wrong, and by ``check``, ``migrate`` and ``views``: a sync of a schema
that is as it was made costs no question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from connector.errors import RowRefusedError, SchemaDamagedError
from connector.warehouse.schema import version
from connector.warehouse.schema.tables import declared
from connector.warehouse.sql.execute import fetch, names_of

NAMED = 5  # findings that a sentence names
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]
_KINDS = {"v": "a view", "m": "a materialized view", "f": "a foreign table", "S": "a sequence"}


def told(conn: sa.Connection, schema: str) -> str:
    """What is not as it was made, and what to do, in a sentence; "" where nothing is."""
    revision = version.present(conn, schema)
    if revision is None:
        return ""
    if revision != version.newest():
        return sentence(schema, [f"it lacks what its revision {revision} made"])
    found = [*missing(conn, schema), *foreign(conn, schema)]
    return sentence(schema, found) if found else ""


def sentence(schema: str, reasons: Sequence[str]) -> str:
    """What is wrong with a schema, and what to do."""
    return (
        f"schema {schema} is not as intercom-warehouse made it: {listed(reasons)}. Take that back,"
        " or restore the schema from a backup; where neither is possible, give the mirror a schema"
        " of its own with INTERCOM_SCHEMA and load it anew"
    )


def listed(reasons: Sequence[str]) -> str:
    """The first of them, and how many more there are."""
    rest = len(reasons) - NAMED
    return "; ".join(reasons[:NAMED]) + (f"; and {rest} more" if rest > 0 else "")


def require_whole(conn: sa.Connection, schema: str) -> None:
    """Raise SchemaDamagedError where something of our tables is gone."""
    if gone := missing(conn, schema):
        raise SchemaDamagedError(sentence(schema, gone))


def missing(conn: sa.Connection, schema: str) -> list[str]:
    """What of our tables is gone, or another thing than it was made."""
    return list(_missing(conn, schema))


def _missing(conn: sa.Connection, schema: str) -> Iterator[str]:
    there = _there(conn, schema)
    for table, wanted in _made().items():
        kind, columns = there.get(table, ("", {}))
        if not kind:
            yield f"the table {table} is gone"
        elif kind not in "rp":
            yield f"{table} is {_KINDS.get(kind, 'no table')}, not a table"
        elif lacking := sorted(wanted.keys() - columns.keys()):
            yield f"{table} lacks the column{'s' * (len(lacking) > 1)} {', '.join(lacking)}"
        else:
            for name in sorted(wanted):
                if columns[name] != wanted[name]:
                    yield f"{table}.{name} is of type {columns[name]}, not {wanted[name]}"


def foreign(conn: sa.Connection, schema: str, table: str | None = None) -> list[str]:
    """Rules and triggers, which are others', on our tables or on one: "outbox has the rule x"."""
    query = (
        "SELECT c.relname, 'rule ' || r.rulename FROM pg_rewrite r"
        " JOIN pg_class c ON c.oid = r.ev_class JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(names)s) AND c.relkind IN ('r', 'p')"
        " UNION ALL SELECT c.relname, 'trigger ' || t.tgname FROM pg_trigger t"
        " JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(names)s) AND NOT t.tgisinternal"
        " ORDER BY 1, 2"
    )
    names = list(_made()) if table is None else [table]
    rows = fetch(conn, query, {"schema": schema, "names": names})
    return [f"{name} has the {what}" for name, what in rows]


def require_kept(conn: sa.Connection, table: str, number: int, kept: int) -> None:
    """Raise RowRefusedError where others let rows be as they were, in silence, of so many."""
    if kept != number:
        raise RowRefusedError(
            f"of {number:,} rows Postgres keeps {kept:,}: {keeping(conn, table)};"
            " take that away and run it again"
        )


def keeping(conn: sa.Connection, table: str) -> str:
    """What may keep rows of a table other than they were written, in words."""
    others = foreign(conn, names_of(conn).schema, table)
    return "; ".join(others) or f"something keeps rows of {table} other than they are written"


def _there(conn: sa.Connection, schema: str) -> dict[str, tuple[str, dict[str, str]]]:
    """What bears the names of our tables: its kind, and the types of its columns by name."""
    query = (
        "SELECT c.relname, c.relkind::text, coalesce(jsonb_object_agg(a.attname,"
        " format_type(a.atttypid, a.atttypmod)) FILTER (WHERE a.attnum IS NOT NULL), '{}')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(names)s) GROUP BY 1, 2"
    )
    rows: list[tuple[Any, ...]] = fetch(conn, query, {"schema": schema, "names": list(_made())})
    return {name: (kind, columns) for name, kind, columns in rows}


@cache
def _made() -> Mapping[str, Mapping[str, str]]:
    """The types of the columns of each table that migrations made, as the server shows them."""
    return {
        table.name: {
            column.name: column.type.compile(dialect=_DIALECT).lower() for column in table.columns
        }
        for table in declared().values()
    }
