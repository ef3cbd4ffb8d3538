"""The views as they stand in the schema, and whether they are still the ones that were made.

What was made is noted in ``sync_relations``: the query of each view and the comments that were put
on it. A view whose query PostgreSQL shows otherwise than right after it was made is compared once
more with the noted query, made as a temporary view: another version of PostgreSQL, a restored dump
or a renamed schema show the same query in other words.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import psycopg
import sqlalchemy as sa
from msgspec import Struct, field

from connector.warehouse.schema.relations import Made, made, note
from connector.warehouse.sql.execute import execute, fetch, scalar
from connector.warehouse.sql.names import Names, quote

_SCHEMA = "{schema}."  # stands in noted queries for the schema's name
_PROBE = "_intercom_warehouse_probe"
_ABOUT = "{0}.objoid = c.oid AND {0}.classoid = c.tableoid AND {0}.objsubid"


class StoredColumn(Struct, frozen=True):
    """One column as it is."""

    name: str
    type: str
    comment: str


class Stored(Struct):
    """A relation as it is under the name of a view; ``made`` is what is noted under ``label``."""

    label: str
    oid: int
    kind: str  # pg_class.relkind
    owner: str
    options: tuple[str, ...]
    sentence: str
    made: Made | None
    columns: dict[str, StoredColumn] = field(default_factory=dict)


def look(
    conn: sa.Connection,
    names: Names,
    views: Iterable[str],
    noted: Mapping[str, Made] | None = None,
    mark: str = "",
) -> dict[str, Stored]:
    """What is stored under these names, with the columns in their order.

    ``noted`` is what was noted, by label: the name behind ``mark``.
    """
    query = (
        "SELECT c.relname, c.oid, c.relkind::text, pg_get_userbyid(c.relowner),"
        " coalesce(c.reloptions, '{}'), coalesce(s.description, ''),"
        " a.attname, format_type(a.atttypid, a.atttypmod), coalesce(d.description, '')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        f" LEFT JOIN pg_description s ON {_ABOUT.format('s')} = 0"
        f" LEFT JOIN pg_description d ON {_ABOUT.format('d')} = a.attnum"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(views)s) ORDER BY c.oid, a.attnum"
    )
    noted = made(conn, [mark + view for view in views]) if noted is None else noted
    found: dict[str, Stored] = {}
    for name, oid, kind, owner, options, sentence, column, of, comment in fetch(
        conn, query, {"schema": names.schema, "views": list(views)}
    ):
        stored = found.get(name)
        if stored is None:
            label = mark + name
            about = noted.get(label)
            stored = Stored(label, oid, kind, owner, tuple(options), sentence, about)
            found[name] = stored
        if column is not None:
            stored.columns[column] = StoredColumn(column, of, comment)
    return found


def use_no_foreign_names(conn: sa.Connection) -> None:
    """For the rest of the transaction no function or type that somebody planted is found."""
    execute(conn, "SET LOCAL search_path = pg_catalog, pg_temp")


# -- what was made ---------------------------------------------------------------------------


def is_as_made(stored: Stored, names: Names, query: str) -> bool:
    """Whether this very query is noted of the view."""
    return stored.made is not None and stored.made.definition == portable(names, query)


def is_ours(conn: sa.Connection, names: Names, stored: Stored) -> bool:
    """Whether the view is the one that was made; executed where ``use_no_foreign_names``.

    ``names`` are those of the tables that it selects from.
    """
    if stored.made is None or stored.kind != "v":
        return False
    shown = fingerprint(conn, stored.oid)
    if shown == stored.made.fingerprint:
        return True
    query = stored.made.definition.replace(_SCHEMA, _prefix(names))
    if not same_query(conn, stored.oid, query):
        return False
    note(conn, stored.label, Made("v", stored.made.definition, shown, stored.made.comments))
    return True


def note_view(
    conn: sa.Connection, label: str, target: str, query: str, comments: dict[str, str]
) -> None:
    """Note the view of that qualified name as it was just made, by a portable query."""
    note(conn, label, Made("v", query, fingerprint(conn, _oid(conn, target)), comments))


def portable(names: Names, query: str) -> str:
    """The query as it is noted: a schema may be renamed, a dump restored into another one."""
    return query.replace(_prefix(names), _SCHEMA)


def _prefix(names: Names) -> str:
    return f"{quote(names.schema)}."


def fingerprint(conn: sa.Connection, oid: int) -> str:
    """What PostgreSQL shows as the view's query, in short."""
    query = "SELECT md5(pg_get_viewdef(%(oid)s::oid))"
    return str(scalar(conn, query, {"oid": oid}))


def _oid(conn: sa.Connection, name: str) -> int:
    """The oid of a relation by its qualified name."""
    return int(scalar(conn, "SELECT %(name)s::regclass::oid", {"name": name}))


def same_query(conn: sa.Connection, oid: int, query: str) -> bool:
    """Whether the view has this query, however PostgreSQL shows it; leaves nothing behind.

    Raises InsufficientPrivilege where the role may not make temporary views.
    """
    savepoint = conn.begin_nested()
    try:
        execute(conn, f"CREATE TEMP VIEW {quote(_PROBE)} AS {query}")
        probe = _oid(conn, f"pg_temp.{_PROBE}")
        return fingerprint(conn, oid) == fingerprint(conn, probe)
    except psycopg.errors.InsufficientPrivilege:
        raise
    except psycopg.ProgrammingError:  # of a column that is gone
        return False
    finally:
        savepoint.rollback()
