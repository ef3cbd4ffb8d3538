"""The tables of versions: what the rows of a table were, made from the same declarations.

They are no part of the migrations: a table of versions is made when its history is first kept, and
grows when a later version of the connector declares more. Knows no rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects import postgresql

from connector.resources import TABLES
from connector.resources.resource import Link, Table
from connector.warehouse.schema import relations
from connector.warehouse.schema.tables import BOOKKEEPING, declared
from connector.warehouse.sql.execute import names_of, scalars
from connector.warehouse.sql.types import INSTANT, TEXTS, plain

VERSIONED: Mapping[str, Table] = {table.name: table for table in TABLES if table.versioned}
"""The tables of which history can be kept, by name."""

_RUN = "_run_id"
_MARKS = ("id", _RUN, "valid_from", "valid_to")
_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


class Linked(Struct, frozen=True):
    """What a version holds of a link table: an array of ids, in the column ``name``.

    In the link table ``own`` is the id of the row, ``other`` what stands in the array.
    """

    name: str
    table: str
    own: str
    other: str
    refers_to: str
    is_membership: bool = False


def name_of(table: Table | str) -> str:
    """The name of its table of versions."""
    return f"{table if isinstance(table, str) else table.name}_history"


@cache
def linked(table: Table) -> tuple[Linked, ...]:
    """The links of its rows: its own, and the groups that they are members of."""
    return tuple(_linked(table))


def _linked(table: Table) -> Iterator[Linked]:
    for link in table.links:
        yield Linked(f"{link.target}s", link.table, link.owner, link.target, link.refers_to)
    for owner, link in _memberships():
        if link.refers_to == table.name:
            name = f"{link.owner}s"
            yield Linked(name, link.table, link.target, link.owner, owner.name, is_membership=True)


def _memberships() -> Iterator[tuple[Table, Link]]:
    for table in TABLES:
        for link in table.links:
            if link.is_membership:
                yield table, link


@cache
def content(table: Table) -> tuple[str, ...]:
    """The columns of a row that its versions hold, but for the key: all but bookkeeping."""
    stored = declared()[table.name].columns
    return tuple(c.name for c in stored if c.name not in BOOKKEEPING and c.name not in table.key)


@cache
def versions(table: Table) -> sa.Table:
    """The table of its versions."""
    stored = declared()[table.name].columns
    (key,) = table.key
    name = name_of(table)
    kept = [plain(c, stored[c].type, stored[c].comment or "") for c in content(table)]
    arrays = [
        plain(one.name, TEXTS, f"Ids of its {one.refers_to} ({one.table}), sorted")
        for one in linked(table)
    ]
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column(key, sa.Text(), primary_key=True, comment=stored[key].comment),
        *kept,
        *arrays,
        plain(_RUN, sa.BigInteger(), "Run that wrote the version (sync_runs.id)"),
        sa.Column(
            "valid_from",
            INSTANT,
            primary_key=True,
            comment="Since when it was so, by Intercom's clock: when the object was last updated,"
            " or, where that does not tell, when it was read",
        ),
        plain("valid_to", INSTANT, "Until when, that instant not included; null: it is still so"),
        sa.Index(
            f"{name}_open_idx",
            key,
            unique=True,
            postgresql_where=sa.column("valid_to").is_(None),
        ),
        *_by_contact(table, name),
        comment=f"What the rows of {table.name} were, and from when to when: a version for each"
        " change that was seen. Links are arrays of ids.",
    )


def _by_contact(table: Table, name: str) -> Iterator[sa.Index]:
    """What is about a contact is found by it, also where only an older version names it."""
    if about := persons(table):
        array: sa.ColumnElement[Any] = sa.literal_column(about)
        yield sa.Index(f"{name}_contacts_idx", array, postgresql_using="gin")


@cache
def persons(table: Table) -> str:
    """The contacts that a version is about, as an array in SQL; "" where it is one itself."""
    of = dict.fromkeys(column.personal for column in table.columns if column.personal)
    if not of or table.holds_persons:
        return ""
    arrays = {one.table: one.name for one in linked(table)}
    lists = [f'"{arrays[name]}"' for name in of if name in arrays]
    own = [f'"{name}"' for name in of if name not in arrays]
    single = f"ARRAY[{', '.join(own)}]" if own else ""
    return f"({' || '.join(filter(None, [*lists, single]))})"


def ddl_type(column: sa.Column[object]) -> str:
    """Its type as it stands in SQL."""
    return column.type.compile(dialect=_DIALECT)


def needed(tables: Iterable[str]) -> list[sa.Table]:
    """The tables of versions of these tables."""
    return [versions(VERSIONED[name]) for name in tables]


def there(conn: sa.Connection, tables: Iterable[str]) -> set[str]:
    """Those of these tables that have a table of versions: one with the columns that make it so.

    Somebody else's may have been made where ours was dropped.
    """
    names = names_of(conn)
    asked = {name: names(name_of(name)) for name in tables}
    query = (
        "SELECT n FROM unnest(%(names)s::text[]) n"
        " JOIN pg_class c ON c.oid = to_regclass(n) AND c.relkind IN ('r', 'p')"
        " WHERE %(columns)s::text[] <@ ARRAY(SELECT attname::text FROM pg_attribute"
        " WHERE attrelid = c.oid AND NOT attisdropped)"
    )
    values = {"names": list(asked.values()), "columns": list(_MARKS)}
    found = set(scalars(conn, query, values)) if asked else set()
    return {name for name, qualified in asked.items() if qualified in found}


def ours(conn: sa.Connection) -> list[str]:
    """The tables that have one that is ours, by name."""
    found = there(conn, VERSIONED)
    noted = relations.noted(conn) if found else set()
    return sorted(name for name in found if name_of(name) in noted)


def lacking(conn: sa.Connection, tables: Iterable[str]) -> list[str]:
    """Those of these tables that have no table of versions."""
    found = there(conn, tables)
    return [name for name in tables if name not in found]
