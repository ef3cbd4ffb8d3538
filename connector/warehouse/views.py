"""The views for analysts: living rows with custom attributes as columns, contacts also by role.

A view only ever grows at its end: analysts' own views hang on it, and PostgreSQL lets
CREATE OR REPLACE VIEW append columns but neither move nor drop them. ``rebuild`` alone prunes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import psycopg
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError

from connector.errors import ViewsInUseError
from connector.resources import RESOURCES, TABLES
from connector.resources.resource import Resource, Table
from connector.warehouse import custom_columns, identities
from connector.warehouse.schema import metadata
from connector.warehouse.statements import Names, literal, quote

LOCK_TIMEOUT = "2s"  # analysts hold locks for hours, and whoever comes after us waits behind us


@dataclass(frozen=True)
class Shown:
    """One column of a view: its name, the SQL that gives it, its comment."""

    name: str
    expression: str
    comment: str


@dataclass(frozen=True)
class View:
    """A view as it is to be: ``source`` is what follows FROM, ``sentence`` its comment."""

    name: str
    sentence: str
    source: str
    columns: tuple[Shown, ...]


Maker = Callable[[sa.Connection, Names], View]


@cache
def makers() -> dict[str, Maker]:
    """How each view is made, by its name; each comes after those that it selects from."""
    made: dict[str, Maker] = {f"{table.name}_live": partial(_live, table) for table in TABLES}
    made |= {r.name: partial(_by_role, r) for r in RESOURCES if r.owns}
    return made | {"contact_identities": _identities}


def customized() -> list[str]:
    """The views that show custom attributes, each after those that it selects from."""
    names = [f"{table.name}_live" for table in TABLES if table.model]
    return names + [r.name for r in RESOURCES if r.owns and r.table.model]


def _live(table: Table, conn: sa.Connection, names: Names) -> View:
    declared = _declared(table)
    columns = [Shown(c.name, f"o.{quote(c.name)}", c.comment or "") for c in declared]
    view = f"{table.name}_live"
    if table.model:
        taken = {column.name for column in columns}
        custom = custom_columns.settle(conn, table, taken | _foreign(conn, names, table))
        columns += [Shown(c.column_name, c.expression("o"), told) for c, told in custom]
    sentence = f"Rows of {table.name} that are neither deleted nor placeholders."
    if table.apart_from:
        sentence += f" Those that also stand in {table.apart_from} are left out."
    if table.once_for:
        sentence += " What is there under several identities of one contact is shown once."
    source = f"{names.plain(table.name)} o WHERE {_lives(names, table)}"
    return View(view, sentence, source, tuple(columns))


def _lives(names: Names, table: Table) -> str:
    """Which rows of the table, called o, its live view shows."""
    lives = "o._deleted_at IS NULL AND NOT o._placeholder"
    if table.once_for:
        lives += f" AND {identities.is_first(names, table)}"
    if table.apart_from:
        lives += (
            f" AND NOT EXISTS (SELECT FROM {names.plain(table.apart_from)} x WHERE x.id = o.id"
            " AND x._deleted_at IS NULL AND NOT x._placeholder)"
        )
    return lives


def _declared(table: Table) -> list[sa.Column[object]]:
    return list(_metadata().tables[table.name].columns)


@cache
def _metadata() -> sa.MetaData:
    return metadata()


def _foreign(conn: sa.Connection, names: Names, table: Table) -> set[str]:
    """Columns of the live view that nothing stored explains: no attribute may take their names."""
    known = {column.column_name for column in custom_columns.stored(conn, table)}
    return set(_stored(conn, names, f"{table.name}_live").columns) - known


def _by_role(resource: Resource, conn: sa.Connection, names: Names) -> View:
    """Whatever the live view shows now, also if it could not be brought up to date."""
    live = f"{resource.table.name}_live"
    columns = _stored(conn, names, live).columns.values()
    condition = " AND ".join(f"{quote(k)} = {literal(v)}" for k, v in resource.owns)
    return View(
        name=resource.name,
        sentence=f"The {resource.name} among {live}.",
        source=f"{names.plain(live)} WHERE {condition}",
        columns=tuple(Shown(c.name, quote(c.name), c.comment) for c in columns),
    )


def _identities(conn: sa.Connection, names: Names) -> View:
    return View(
        "contact_identities",
        "Each contact's id with the id that it has now, after all merges.",
        identities.everyone(names),
        (
            Shown("contact_id", "i.contact_id", "Id of a contact, living or gone (contacts.id)"),
            Shown(
                "current_contact_id",
                "i.current_contact_id",
                "Id of the contact that it is now: itself, or the last that it was merged into",
            ),
        ),
    )


# -- bringing them up to date ----------------------------------------------------------------


def refresh_views(conn: sa.Connection, schema: str) -> None:
    """Create the views, or append the columns that they lack and renew how all are read."""
    names = Names(schema)
    for make in makers().values():
        _bring(conn, names, make(conn, names), anew=True)


@dataclass(frozen=True)
class Grown:
    """What came of growing a view: the new columns, or why it could not be done."""

    columns: tuple[str, ...] = ()
    refused: str = ""
    busy: bool = False  # somebody reads it: worth another try


def grow(conn: sa.Connection, schema: str, view: str) -> Grown:
    """Append what one view lacks; executes no DDL if it lacks nothing.

    Nothing of it is left behind if the lock is not had within 2 s or Postgres refuses. One view
    for each transaction: who waits for the lock of a second one while holding that of a first
    would meet readers, who lock them the other way round.
    """
    names = Names(schema)
    try:
        with conn.begin_nested():
            conn.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
            return Grown(_bring(conn, names, makers()[view](conn, names)))
    except DBAPIError as failure:
        cause = failure.orig
        if isinstance(cause, psycopg.errors.LockNotAvailable):
            return Grown(refused="others are reading it", busy=True)
        if isinstance(cause, psycopg.ProgrammingError):  # no right, or no view of ours
            return Grown(refused=" ".join(str(cause).split()))
        raise


def rebuild(conn: sa.Connection, schema: str) -> None:
    """Make the views anew with the columns of living attributes only, in their natural order.

    Raises ViewsInUseError, and nothing is changed, if anything else hangs on them or somebody
    reads them.
    """
    names = Names(schema)
    conn.execute(sa.text(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'"))
    grants = _grants(conn, names)
    # By role first: whoever reads them locks them in this order.
    views = ", ".join(names.plain(name) for name in reversed(makers()))
    try:
        with conn.begin_nested():
            _do(conn, f"DROP VIEW IF EXISTS {views}")
    except DBAPIError as failure:
        raise _in_use(failure) from failure
    for table in TABLES:
        if table.model:
            custom_columns.forget(conn, table)
    refresh_views(conn, schema)
    for statement in grants:
        _do(conn, statement)


def _in_use(failure: DBAPIError) -> Exception:
    cause = failure.orig
    if isinstance(cause, psycopg.errors.DependentObjectsStillExist):
        return ViewsInUseError(
            f"nothing was changed: {_joined(cause.diag.message_detail)}; drop what depends on the"
            " views, rebuild, and create it again"
        )
    if isinstance(cause, psycopg.errors.LockNotAvailable):
        return ViewsInUseError("nothing was changed: others are reading the views; try again later")
    return failure


def _joined(detail: str | None) -> str:
    return "; ".join((detail or "other objects depend on the views").splitlines())


def _grants(conn: sa.Connection, names: Names) -> list[str]:
    """What gives the rights on the views again once they were dropped."""
    query = sa.text(
        "SELECT c.relname, a.privilege_type, a.is_grantable,"
        " CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace,"
        " aclexplode(c.relacl) a"
        " WHERE n.nspname = :schema AND c.relkind = 'v' AND c.relname = ANY(:views)"
    )
    rows = conn.execute(query, {"schema": names.schema, "views": list(makers())})
    return [
        f"GRANT {right} ON {names.plain(view)} TO {role}{' WITH GRANT OPTION' if passes_on else ''}"
        for view, right, passes_on, role in rows
    ]


# -- what is stored --------------------------------------------------------------------------


@dataclass(frozen=True)
class _Column:
    name: str
    type: str
    comment: str


@dataclass(frozen=True)
class _Stored:
    """A view as it is: its comment, and its columns by name, in their order."""

    sentence: str
    columns: dict[str, _Column]


def _stored(conn: sa.Connection, names: Names, view: str) -> _Stored:
    query = sa.text(
        "SELECT a.attname, format_type(a.atttypid, a.atttypmod),"
        " coalesce(col_description(c.oid, a.attnum), ''), coalesce(obj_description(c.oid), '')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE n.nspname = :schema AND c.relname = :view ORDER BY a.attnum"
    )
    rows = list(conn.execute(query, {"schema": names.schema, "view": view}))
    columns = {name: _Column(name, kind, comment) for name, kind, comment, _ in rows}
    return _Stored(rows[0][3] if rows else "", columns)


def _bring(conn: sa.Connection, names: Names, view: View, *, anew: bool = False) -> tuple[str, ...]:
    """Make the view as it is to be, stored columns first; the names of those that are new."""
    stored = _stored(conn, names, view.name)
    wanted = {column.name: column for column in view.columns}
    kept = [wanted.get(column.name) or _orphan(column) for column in stored.columns.values()]
    added = [column for column in view.columns if column.name not in stored.columns]
    target = names.plain(view.name)
    if anew or added:
        listed = ", ".join(f"{c.expression} AS {quote(c.name)}" for c in (*kept, *added))
        _do(conn, f"CREATE OR REPLACE VIEW {target} AS SELECT {listed} FROM {view.source}")
    if view.sentence != stored.sentence:
        _do(conn, f"COMMENT ON VIEW {target} IS {literal(view.sentence)}")
    for column in (*kept, *added):
        known = stored.columns.get(column.name)
        if known is None or known.comment != column.comment:
            place = f"{target}.{quote(column.name)}"
            _do(conn, f"COMMENT ON COLUMN {place} IS {literal(column.comment)}")
    return tuple(column.name for column in added)


def _orphan(column: _Column) -> Shown:
    """A column of the view that nothing explains any more: it cannot go, but it can be empty."""
    return Shown(column.name, f"CAST(NULL AS {column.type})", column.comment)


def _do(conn: sa.Connection, statement: str) -> None:
    conn.exec_driver_sql(statement.replace("%", "%%"))
