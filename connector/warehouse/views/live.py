"""Brings the views for analysts up to date, and never touches what somebody else made of them.

A view only ever grows at its end: analysts' own views hang on it, and PostgreSQL lets
CREATE OR REPLACE VIEW append columns but neither move nor drop them. ``rebuild`` alone prunes.
"""

from __future__ import annotations

from collections.abc import Iterable

import psycopg
import sqlalchemy as sa
from msgspec import Struct

from connector.errors import ViewsInUseError
from connector.resources import TABLES
from connector.warehouse.schema.relations import made
from connector.warehouse.sql import locks
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.views import custom_columns, grants, standing, suites
from connector.warehouse.views.definitions import Around, customized, makers, metrics, selects_from
from connector.warehouse.views.standing import Stored, StoredColumn
from connector.warehouse.views.suites import APART, OWN, Suite
from connector.warehouse.views.view import Shown, View

__all__ = ["Grown", "behind", "grow", "makers", "needed", "rebuild", "refresh_views"]

BUSY = "others are reading it"
NOT_OURS = "it is not the view that this connector made; rename it or drop it to get that one"


class Grown(Struct, frozen=True):
    """What came of bringing a view up to date: made, its new columns, or why it was not done."""

    columns: tuple[str, ...] = ()  # of a view that was there before
    made: bool = False  # it was missing
    refused: str = ""
    busy: bool = False  # somebody reads it: worth another try


def needed() -> list[str]:
    """The views without which nothing is done: a metric view can be lacking."""
    return [name for name in makers() if name not in metrics()]


# -- one by one ------------------------------------------------------------------------------


def grow(conn: sa.Connection, schema: str, view: str) -> Grown:
    """Make one view, called by its label, if it is missing, or append what it lacks; else no DDL.

    Nothing of it is left behind if the lock is not had within 2 s or Postgres refuses. One view
    for each transaction: who waits for the lock of a second one while holding that of a first
    would meet readers, who lock them the other way round.
    """
    names = Names(schema)
    suite, name = suites.found(view)
    try:
        with locks.briefly(conn):
            return _bring(_around(conn, names, suite, name), suite, name)
    except psycopg.errors.LockNotAvailable:
        return Grown(refused=BUSY, busy=True)
    except psycopg.errors.UndefinedTable:  # one of ours: not the view is wrong
        raise
    except psycopg.ProgrammingError as failure:  # no right, or it cannot be so
        return Grown(refused=_reason(conn, suite.place(names), name, failure))


def _reason(conn: sa.Connection, place: Names, view: str, cause: psycopg.Error) -> str:
    told = " ".join(str(cause).split())
    stored = standing.look(conn, place, [view], noted={}).get(view)
    if stored and isinstance(cause, psycopg.errors.InsufficientPrivilege):
        told += f"; it belongs to the role {stored.owner}"
    return told


def behind(conn: sa.Connection, schema: str) -> list[str]:
    """The views that may lack something, by label, those that they select from first.

    Writes nothing. What those with custom attributes lack is decided as they grow, and here as if
    they did; where that cannot be told they are among them.
    """
    names = Names(schema)
    noted = made(conn, [*makers(), *(suite.mark for suite in APART.values())])
    around = Around(conn, names, standing.look(conn, names, makers(), noted))
    plain = [name for name in makers() if name not in customized()]
    found = {name for name in plain if _is_behind(around, OWN, name)}
    others = [suite for suite in APART.values() if suite.mark in noted]
    late: list[str] = []
    trial = conn.begin_nested()
    try:
        found |= {name for name in customized() if _is_behind(around, OWN, name)}
        for suite in others:
            late += _behind(conn, names, suite)
    except psycopg.ProgrammingError:
        found |= set(customized())
        late = [suite.label(view) for suite in others for view in suite.makers()]
    finally:
        trial.rollback()
    # With a view grow those that select from it.
    own = [name for name in makers() if not found.isdisjoint((name, selects_from().get(name)))]
    return own + late


def _behind(conn: sa.Connection, names: Names, suite: Suite) -> list[str]:
    """The same of a suite apart; none if it stands nowhere any more."""
    around = Around(conn, names, suites.stored(conn, names, suite))
    if not suites.stands(around.stored):
        return []
    return [suite.label(view) for view in suite.makers() if _is_behind(around, suite, view)]


def _is_behind(around: Around, suite: Suite, name: str) -> bool:
    stored = around.stored.get(name)
    return stored is None or _lacks(suite.makers()[name](around), stored, around.names)


def _lacks(view: View, stored: Stored, names: Names) -> bool:
    """Whether the view is to have another query or other comments than were given to it."""
    if stored.kind != "v" or stored.made is None:
        return True
    as_made = standing.is_as_made(stored, names, _query(view, stored))
    return not as_made or bool(_stale(view, stored))


def refresh_views(conn: sa.Connection, schema: str, suite: Suite = OWN) -> dict[str, str]:
    """Bring all views up to date in this transaction; those that were left as they are, and why."""
    names = Names(schema)
    grown = {
        name: _bring(_around(conn, names, suite, name), suite, name) for name in suite.makers()
    }
    return {suite.label(name): one.refused for name, one in grown.items() if one.refused}


def _around(conn: sa.Connection, names: Names, suite: Suite, view: str) -> Around:
    standing.use_no_foreign_names(conn)
    base = selects_from().get(view) if suite is OWN else None
    return Around(conn, names, suites.stored(conn, names, suite, [view, *([base] if base else [])]))


def _bring(around: Around, suite: Suite, name: str) -> Grown:
    """Make the view as it is to be, stored columns first."""
    conn, names, stored = around.conn, around.names, around.stored.get(name)
    if stored and (stored.kind != "v" or stored.made is None):
        return Grown(refused=NOT_OURS)
    place = suite.place(names)
    view = suite.makers()[name](around)
    query = _query(view, stored)
    if stored is None:
        execute(conn, f"CREATE VIEW {place(name)} AS {query}")
        grants.show_no_more(conn, place, name, view.tells_of)
    else:
        as_made = standing.is_as_made(stored, names, query)
        if as_made and not _stale(view, stored):
            return Grown()
        if not standing.is_ours(conn, names, stored):
            return Grown(refused=NOT_OURS)
        if not as_made:
            _replace(conn, place, stored, name, query)
    put = _comment(conn, place(name), view, stored)
    standing.note_view(conn, suite.label(name), place(name), standing.portable(names, query), put)
    if stored is None:
        return Grown(made=True)
    return Grown(tuple(c.name for c in view.columns if c.name not in stored.columns))


def _replace(conn: sa.Connection, place: Names, stored: Stored, name: str, query: str) -> None:
    """Give the view another query; it keeps what others gave it."""
    before = grants.bases(conn, place, name)
    options = grants.options(stored.options)
    execute(conn, f"CREATE OR REPLACE VIEW {place(name)}{options} AS {query}")
    grants.keep_policies(conn, place, name, before)


def _query(view: View, stored: Stored | None) -> str:
    """The view's query: the columns that it has, in their order, then those that are new."""
    wanted = {column.name: column for column in view.columns}
    there = stored.columns if stored else {}
    kept = [wanted.get(column.name) or _orphan(column) for column in there.values()]
    added = [column for column in view.columns if column.name not in there]
    listed = ", ".join(f"{c.expression} AS {quote(c.name)}" for c in (*kept, *added))
    return f"SELECT {listed} FROM {view.source}"


def _orphan(column: StoredColumn) -> Shown:
    """A column of the view that nothing explains any more: it cannot go, but it can be empty."""
    return Shown(column.name, f"CAST(NULL AS {column.type})", column.comment)


def _stale(view: View, stored: Stored | None) -> dict[str, str]:
    """The comments to be put, by column; on the view itself under "". Those of others stay."""
    wanted = {"": view.sentence} | {column.name: column.comment for column in view.columns}
    if stored is None:
        return wanted
    there = {"": stored.sentence} | {c.name: c.comment for c in stored.columns.values()}
    put = stored.made.comments if stored.made else {}
    return {
        name: text
        for name, text in wanted.items()
        if name not in there or (there[name] != text and there[name] == put.get(name, ""))
    }


def _comment(conn: sa.Connection, target: str, view: View, stored: Stored | None) -> dict[str, str]:
    """Put the comments; all that were ever put, to be noted."""
    new = _stale(view, stored)
    places = {name: f"COLUMN {target}.{quote(name)}" if name else f"VIEW {target}" for name in new}
    if new:  # one round trip for all of them
        said = (f"COMMENT ON {places[name]} IS {literal(text)}" for name, text in new.items())
        execute(conn, "; ".join(said))
    return (stored.made.comments if stored and stored.made else {}) | new


# -- anew ------------------------------------------------------------------------------------


def rebuild(conn: sa.Connection, schema: str) -> dict[str, str]:
    """Make the views anew with the columns of living attributes only, in their natural order.

    Only views that have others are dropped, and get back all that others gave them. Returns
    those that were left as they are because they are somebody else's, and why. Raises
    ViewsInUseError, and nothing is changed, if anything else hangs on them or somebody reads them.
    """
    names = Names(schema)
    try:
        with locks.briefly(conn):
            standing.use_no_foreign_names(conn)
            for table in TABLES:
                if table.attributes:
                    custom_columns.forget(conn, table)
            left = _rebuild(conn, names, OWN)
            for suite in suites.standing_apart(conn, names):
                left |= _rebuild(conn, names, suite)
            return left
    except psycopg.Error as failure:
        raise _in_use(failure) from failure


def _rebuild(conn: sa.Connection, names: Names, suite: Suite) -> dict[str, str]:
    place = suite.place(names)
    pruned = _to_prune(conn, names, suite)
    dress = grants.take(conn, place, pruned, suite.mark)
    if pruned:
        execute(conn, f"DROP VIEW {', '.join(map(place, reversed(pruned)))}")
    left = refresh_views(conn, names.schema, suite)
    grants.give(conn, place, dress, suite.mark)
    return left


def _to_prune(conn: sa.Connection, names: Names, suite: Suite) -> list[str]:
    """Views of ours whose columns are not those that they would be made with."""
    stored = suites.stored(conn, names, suite)
    fresh: dict[str, Iterable[str]] = {}
    pruned = []
    for name, make in suite.makers().items():
        there = stored.get(name)
        base = selects_from().get(name) if suite is OWN else None
        if base:
            fresh[name] = fresh[base]
        else:
            fresh[name] = [column.name for column in make(Around(conn, names, {})).columns]
        if there and (list(there.columns) != fresh[name] or base in pruned):
            if standing.is_ours(conn, names, there):
                pruned.append(name)
            else:
                fresh[name] = list(there.columns)
    return pruned


def _in_use(failure: psycopg.Error) -> Exception:
    if isinstance(failure, psycopg.errors.DependentObjectsStillExist):
        return ViewsInUseError(
            f"nothing was changed: {_joined(failure.diag.message_detail)}; drop what depends on the"
            " views, rebuild, and create it again"
        )
    if locks.is_busy(failure):
        return ViewsInUseError("nothing was changed: others are reading the views; try again later")
    gone = isinstance(failure, psycopg.errors.UndefinedTable | psycopg.errors.UndefinedColumn)
    if isinstance(failure, psycopg.ProgrammingError) and not gone:
        return ViewsInUseError(f"nothing was changed: {' '.join(str(failure).split())}")
    return failure


def _joined(detail: str | None) -> str:
    return "; ".join((detail or "other objects depend on the views").splitlines())
