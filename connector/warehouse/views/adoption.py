"""Recognizes the views of versions that did not note what they made; changes nothing.

A view is theirs if its query is the one that they wrote for the columns it has. What was theirs
and has been replaced by somebody is noted as well, so that it is known and left alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator

import psycopg
import sqlalchemy as sa

from connector.resources import TABLES
from connector.resources.resource import Table
from connector.warehouse.schema.relations import Made
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.views import casts, custom_columns, definitions, standing
from connector.warehouse.views.definitions import Around
from connector.warehouse.views.standing import Stored, StoredColumn
from connector.warehouse.views.view import Shown, View


def views_over(tables: Collection[str]) -> Iterator[str]:
    """The views that those versions made over these tables."""
    for table in TABLES:
        if table.name in tables:
            yield from definitions.views_of(table)


def adopt(conn: sa.Connection, names: Names, tables: Collection[str]) -> dict[str, Made]:
    """What is to be noted of each of their views that is there."""
    standing.use_no_foreign_names(conn)
    expected = list(views_over(tables))
    stored = standing.look(conn, names, expected, noted={})
    around = Around(conn, names, stored)
    return {
        name: _made(around, name, table)
        for table in TABLES
        for name in definitions.views_of(table)
        if name in expected and name in stored and stored[name].kind == "v"
    }


def _made(around: Around, name: str, table: Table) -> Made:
    stored = around.stored[name]
    view = _as_it_was(around, name, table)
    query = f"SELECT {', '.join(_columns(around, view, table, stored))} FROM {view.source}"
    shown = standing.fingerprint(around.conn, stored.oid) if _same(around, stored, query) else ""
    comments = dict(_comments(view, stored, table))
    return Made("v", standing.portable(around.names, query), shown, comments)


def _same(around: Around, stored: Stored, query: str) -> bool:
    """Whether the view has this query; if that cannot be told now, it is asked when it grows."""
    try:
        return standing.same_query(around.conn, stored.oid, query)
    except psycopg.errors.InsufficientPrivilege:
        return False


def _as_it_was(around: Around, name: str, table: Table) -> View:
    """The view over what the table's columns are now, and no other, for its source and comments."""
    if name != definitions.live(table):
        return definitions.makers()[name](around)
    own = standing.look(around.conn, around.names, [table.name], noted={})[table.name]
    columns = tuple(Shown(c.name, f"o.{quote(c.name)}", c.comment) for c in own.columns.values())
    sentence = definitions.sentence(table)
    return View(name, sentence, definitions.source(around.names, table), columns)


def _columns(around: Around, view: View, table: Table, stored: Stored) -> Iterator[str]:
    """The columns in the order in which the view has them."""
    known = {column.name: column.expression for column in view.columns}
    if table.attributes and view.name == definitions.live(table):
        for custom in custom_columns.stored(around.conn, table):
            value = f"(o.{table.attributes.column} -> {literal(custom.name)})"
            known.setdefault(custom.column_name, _typed(value, custom.data_type))
    for column in stored.columns.values():
        expression = known.get(column.name, f"CAST(NULL AS {column.type})")
        yield f"{expression} AS {quote(column.name)}"


def _comments(view: View, stored: Stored, table: Table) -> Iterator[tuple[str, str]]:
    """The comments that they put; those of others are not among them."""
    if stored.sentence == view.sentence:
        yield "", stored.sentence
    known = {column.name: column.comment for column in view.columns}
    for column in stored.columns.values():
        if column.comment and (known.get(column.name) == column.comment or _told(column, table)):
            yield column.name, column.comment


def _told(column: StoredColumn, table: Table) -> bool:
    """Whether the comment is that of a custom column."""
    return (
        f". Custom attribute of a {table.attributes.model}, at Intercom of type " in column.comment
    )


# -- casts as they were -----------------------------------------------------------------------

_DAY = (
    "(?!0000)([0-9]{4}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)"
    "|02-(0[1-9]|1[0-9]|2[0-8]))|([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]"
    "|[13579][26])00)-02-29)"
)
_TIME = r"[T ]([01][0-9]|2[0-3]):[0-5][0-9](:[0-5][0-9]([.][0-9]{1,12})?)?"
_BETWEEN = (
    "BETWEEN timestamptz '0001-01-01 00:00:00Z' AND timestamptz '9999-12-31 23:59:59.999999Z'"
)


def _typed(value: str, data_type: str) -> str:
    """As ``casts.typed``, but for what has changed since."""
    if data_type not in ("date", "datetime"):
        return casts.typed(value, data_type)
    number, text = f"({value})::numeric", f"({value} #>> '{{}}')"
    local, absolute = f"{text}::timestamp AT TIME ZONE 'UTC'", f"{text}::timestamptz"
    return (
        f"CASE jsonb_typeof({value}) WHEN 'number' THEN CASE"
        f" WHEN {number} BETWEEN -62135596800 AND 253402300799 THEN to_timestamp({number})"
        f" WHEN {number} BETWEEN 946684800000 AND 4102444799999"
        f" THEN to_timestamp({number} / 1000) END"
        f" WHEN 'string' THEN CASE"
        f" WHEN {text} ~ '^{_DAY}({_TIME})?$' THEN CASE WHEN {local} {_BETWEEN} THEN {local} END"
        f" WHEN {text} ~ '^{_DAY}{_TIME} ?(Z|[+-](0[0-9]|1[0-5])(:?[0-5][0-9])?)$'"
        f" THEN CASE WHEN {absolute} {_BETWEEN} THEN {absolute} END END END"
    )
