"""Columns of the shape, made from those that are declared; executes nothing.

Every expression reads from a row called o, and none can raise, whatever is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from connector.resources.resource import Column, Kind, Table
from connector.warehouse.schema.tables import declared
from connector.warehouse.sql.names import literal, quote
from connector.warehouse.views.view import Shown

NOT_STORED = "[not stored]"
LAST = "timestamptz '9999-12-31 23:59:59.999Z'"
ACTIVE, START, END = "_active", "_start", "_end"
"""What ``rows`` tells of each row besides its columns."""
_SMALLEST, _LARGEST = -(2**31), 2**31 - 1


def utc(instant: str) -> str:
    """An instant as a timestamp without a zone, in UTC."""
    return f"({instant}) AT TIME ZONE 'UTC'"


def told(table: Table, column: Column) -> str:
    """The sentence of a column that shows another one."""
    unit = ", in UTC" if column.kind is Kind.INSTANT else ""
    return f"{column.comment}{unit}. From {table.name}.{column.name}."


def of(table: Table, name: str, as_: str = "") -> Shown:
    """One column of the table, under another name where one is given."""
    column = table.column(name)
    value = f"o.{quote(name)}"
    if column.kind is Kind.INSTANT:
        value = utc(value)
    return Shown(as_ or name, value, told(table, column))


def several(table: Table, *names: str) -> list[Shown]:
    """These columns of the table, under their names."""
    return [of(table, name) for name in names]


def small(table: Table, name: str, as_: str) -> Shown:
    """A whole number as integer; null if it is too large for one."""
    value = f"o.{quote(name)}"
    fits = f"CASE WHEN {value} BETWEEN {_SMALLEST} AND {_LARGEST} THEN {value}::integer END"
    return Shown(as_, fits, told(table, table.column(name)))


def nothing(name: str, of: str, sentence: str) -> Shown:
    """A column that Intercom's lists do not fill."""
    return Shown(name, f"CAST(NULL AS {of})", f"{sentence}; null, for Intercom's lists lack it.")


def constant(name: str, value: str, sentence: str) -> Shown:
    """The same text in every row."""
    return Shown(name, f"{literal(value)}::text", sentence)


def rest(table: Table, shown: Iterable[Shown], replaced: Iterable[str] = ()) -> Iterator[Shown]:
    """All columns of the table that are not shown yet, nor under another name."""
    left = {column.name for column in shown} | set(replaced)
    for column in table.columns:
        if column.name not in left:
            yield of(table, column.name)
    for name in counted(table):
        stored = declared()[table.name].columns[name]
        sentence = f"{stored.comment}. From {table.name}.{name}."
        yield Shown(name, f"o.{quote(name)}", sentence)


def counted(table: Table) -> list[str]:
    """The columns that tell how complete its rows' parts are."""
    return [name for name in (table.parts.stored, table.parts.truncated) if name]


def updated(parent: Table, noun: str) -> Shown:
    """When the owner of a link last changed."""
    return Shown(
        f"{noun}_updated_at",
        utc("o.updated_at"),
        f"When the {noun} last changed at Intercom, in UTC. From {parent.name}.updated_at.",
    )


def history(synced: str, *, versions: bool) -> list[Shown]:
    """What Fivetran tells of each version of a row; ``synced``: when, as SQL."""
    start = "Since when it was so" if versions else "When it last changed: no history is kept"
    return [
        Shown("_fivetran_active", f"o.{ACTIVE}", "Whether it is so now and the object lives."),
        Shown("_fivetran_start", utc(f"o.{START}"), f"{start}, in UTC."),
        Shown(
            "_fivetran_end",
            utc(f"o.{END}"),
            "Until when it was so, that instant included, or when the object was deleted, in UTC;"
            " the end of 9999 while it is so.",
        ),
        _synced(synced),
    ]


def deletion(synced: str, gone: str = "o._deleted_at IS NOT NULL") -> list[Shown]:
    """What Fivetran tells of a row without versions; ``gone``: whether it is deleted, as SQL."""
    return [
        Shown("_fivetran_deleted", gone, "Whether it is gone at Intercom."),
        _synced(synced),
    ]


def _synced(synced: str) -> Shown:
    return Shown(
        "_fivetran_synced",
        synced,
        "When the last sync that confirmed the table began, in UTC. From sync_state.fresh_as_of.",
    )
