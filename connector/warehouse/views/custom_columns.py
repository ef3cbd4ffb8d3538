"""Which custom attribute is which column of the views: names are decided once, and stored.

Knows no view. Two attributes never swap names, an attribute that is archived keeps its column,
and one whose type changes gets a second column beside the old one, so that an analyst's query
means tomorrow what it means today.
"""

from __future__ import annotations

import itertools
import logging
import re
import unicodedata
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import cache

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy.dialects.postgresql import JSONB, JSONPATH

from connector.resources.declarations.data_attributes import DATA_ATTRIBUTES
from connector.resources.resource import Table
from connector.warehouse.schema.tables import declared
from connector.warehouse.sql.names import literal
from connector.warehouse.state.tables import CUSTOM_COLUMNS
from connector.warehouse.views.casts import sql_type, typed

logger = logging.getLogger(__name__)

PREFIX = "custom_"
LONGEST = 63  # bytes of an identifier of PostgreSQL
MOST = 1_500  # columns of a view; PostgreSQL ends at 1,600, and tables get new columns too
_TOLD = ("name", "label", "description", "data_type")
_ALIKE = {"datetime": "date"}  # Preview's word for the same type


class Attribute(Struct, frozen=True):
    """A custom attribute as Intercom lists it; ``lives`` if neither archived nor gone."""

    full_name: str
    name: str
    data_type: str
    told: str
    lives: bool
    created_at: datetime | None


class CustomColumn(Struct, frozen=True):
    """One column of the views, as stored in ``custom_columns``."""

    full_name: str
    data_type: str
    name: str
    column_name: str
    archived_at: datetime | None

    def expression(self, table: Table, row: str) -> str:
        """The SQL that reads it from the row of that alias."""
        value = f"({row}.{table.attributes.column} -> {literal(self.name)})"
        return typed(value, self.data_type)

    def comment(self, table: Table, told: str) -> str:
        """What the attribute means, of which type it is, and where it comes from."""
        own = table.attributes
        return (
            f"{told}. Custom attribute of a {own.model}, at Intercom of type {self.data_type},"
            f" read as {sql_type(self.data_type)} from {own.column} under {self.name!r};"
            " null where the value does not fit"
        )


# -- names -----------------------------------------------------------------------------------


def fold(text: str) -> str:
    """The text in lower case with nothing but a-z, 0-9 and single underscores; may be empty."""
    spread = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    plain = "".join(char for char in spread if not unicodedata.combining(char))
    return re.sub("[^a-z0-9]+", "_", plain).strip("_")


def choose(attribute: Attribute, own: Iterable[CustomColumn], taken: Collection[str]) -> str:
    """A name for a new column that is not ``taken``; ``own`` are the attribute's columns so far.

    The first is named for the attribute, one of another type for the first and the type.
    """
    names = [c.column_name.removesuffix(_of_type(c.data_type)) for c in own]
    if names:
        return _free(min(names, key=lambda name: (len(name), name)), taken, attribute.data_type)
    return _free(PREFIX + (fold(attribute.name) or "attribute"), taken)


def _of_type(data_type: str) -> str:
    return f"__{fold(data_type)[:20] or 'other'}"


def _free(stem: str, taken: Collection[str], data_type: str = "") -> str:
    ending = _of_type(data_type) if data_type else ""
    numbers = ("" if number == 1 else f"_{number}" for number in itertools.count(1))
    names = (_cut(stem, ending + number) for number in numbers)
    return next(name for name in names if name not in taken)


def _cut(stem: str, ending: str) -> str:
    return stem[: LONGEST - len(ending)].rstrip("_") + ending


# -- the stored ones -------------------------------------------------------------------------


def settle(
    conn: sa.Connection, table: Table, taken: Collection[str]
) -> list[tuple[CustomColumn, str]]:
    """The custom columns of a table's views with their comments, by name; new ones are stored.

    ``taken`` are the names of all other columns. Writes only what is new: names of living
    attributes that have none, and which attributes are archived or came back.
    """
    found = attributes(conn, table)
    columns = stored(conn, table)
    used = {*taken, *(column.column_name for column in columns)}
    _note_archived(conn, table, found, columns)
    new = _without_column(found, columns)
    room = max(0, MOST - len(used))
    for attribute in new[:room]:
        own = [column for column in columns if column.full_name == attribute.full_name]
        name = choose(attribute, own, used)
        columns.append(_store(conn, table, attribute, name))
        used.add(name)
    if len(new) > room:
        logger.warning(
            "%s_live has %d columns, and PostgreSQL takes few more: %d custom attributes have no"
            " column; 'views --rebuild' drops those of archived ones",
            table.name,
            len(used),
            len(new) - room,
        )
    told = {a.full_name: a.told for a in reversed(found)}
    typed_told = {_key(a): a.told for a in reversed(found)}
    columns.sort(key=lambda column: column.column_name)
    return [
        (c, c.comment(table, typed_told.get(_key(c)) or told.get(c.full_name, c.name)))
        for c in columns
    ]


def _without_column(found: Iterable[Attribute], columns: Iterable[CustomColumn]) -> list[Attribute]:
    """Living attributes that have no column by their name and type, one of each."""
    new = {_key(a): a for a in reversed(list(found)) if a.lives}
    for column in columns:
        new.pop(_key(column), None)
    return list(reversed(new.values()))


def forget(conn: sa.Connection, table: Table) -> None:
    """Forget the columns that show no living attribute by its present type."""
    living = {_key(a) for a in attributes(conn, table) if a.lives}
    for column in stored(conn, table):
        if _key(column) not in living:
            conn.execute(sa.delete(CUSTOM_COLUMNS).where(_is(table, column)))


def stored(conn: sa.Connection, table: Table) -> list[CustomColumn]:
    """The columns that are stored for a table."""
    names = CustomColumn.__struct_fields__
    query = sa.select(*(CUSTOM_COLUMNS.c[name] for name in names))
    rows = conn.execute(query.where(CUSTOM_COLUMNS.c.model == table.attributes.model)).mappings()
    return [CustomColumn(**row) for row in rows]


def attributes(conn: sa.Connection, table: Table) -> list[Attribute]:
    """The custom attributes of a table's objects, the oldest first.

    Several can share a name where each kind of object has attributes of its own.
    """
    rows = (
        _described(conn, *table.attributes.described_by)
        if table.attributes.described_by
        else _listed(conn, table)
    )
    found = [_attribute(row) for row in rows]
    found.sort(key=lambda a: (a.created_at is None, a.created_at, a.full_name))
    return found


def _listed(conn: sa.Connection, table: Table) -> sa.MappingResult:
    """Rows of ``data_attributes``."""
    known = _data_attributes()
    # Attributes of conversations do not say that they are custom; Intercom's own have no id.
    custom = sa.func.coalesce(known.c.custom, known.c.id.is_not(None))
    query = sa.select(known).where(known.c.model == table.attributes.model, custom)
    return conn.execute(query).mappings()


def _described(conn: sa.Connection, name: str, column: str) -> sa.MappingResult:
    """What the rows of another table list as the attributes of the objects they describe."""
    kinds = declared()[name]
    each = sa.func.jsonb_path_query(kinds.c[column], sa.cast("$[*]", JSONPATH), type_=JSONB())
    rows = sa.select(
        kinds.c["_deleted_at"], kinds.c["created_at"], each.label("element")
    ).subquery()
    told = {key: rows.c["element"][key].astext for key in (*_TOLD, "archived")}
    query = sa.select(
        *(told[key].label(key) for key in _TOLD),
        told["name"].label("full_name"),
        (told["archived"] == "true").label("archived"),
        rows.c["_deleted_at"],
        rows.c["created_at"],
    )
    return conn.execute(query.where(told["name"] != "")).mappings()


@cache
def _data_attributes() -> sa.Table:
    return declared()[DATA_ATTRIBUTES.table.name]


def _attribute(row: sa.RowMapping) -> Attribute:
    name = row["name"] or row["full_name"].removeprefix("custom_attributes.")
    label, description = row["label"] or name, (row["description"] or "").rstrip(". ")
    return Attribute(
        full_name=row["full_name"],
        name=name,
        data_type=row["data_type"] or "unknown",
        told=f"{label}: {description}" if description else label,
        lives=not (row["archived"] or row["_deleted_at"]),
        created_at=row["created_at"],
    )


def _key(one: Attribute | CustomColumn) -> tuple[str, str]:
    return one.full_name, _ALIKE.get(one.data_type, one.data_type)


def _is(table: Table, column: CustomColumn) -> sa.ColumnElement[bool]:
    return sa.and_(
        CUSTOM_COLUMNS.c.model == table.attributes.model,
        CUSTOM_COLUMNS.c.column_name == column.column_name,
    )


def _store(conn: sa.Connection, table: Table, attribute: Attribute, name: str) -> CustomColumn:
    column = CustomColumn(
        attribute.full_name, attribute.data_type, attribute.name, name, archived_at=None
    )
    conn.execute(sa.insert(CUSTOM_COLUMNS).values(model=table.attributes.model, **asdict(column)))
    return column


def _note_archived(
    conn: sa.Connection,
    table: Table,
    found: Iterable[Attribute],
    columns: Iterable[CustomColumn],
) -> None:
    living = {attribute.full_name for attribute in found if attribute.lives}
    for column in columns:
        lives = column.full_name in living
        if lives == (column.archived_at is not None):
            when = None if lives else sa.func.now()
            update = sa.update(CUSTOM_COLUMNS).where(_is(table, column))
            conn.execute(update.values(archived_at=when))
