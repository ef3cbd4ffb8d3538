"""The tables as SQLAlchemy metadata, made from the declarations; knows no rows and no HTTP.

Names carry no schema: the configured one is put in front when SQL is made, so that several
workspaces can live in one database.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from connector.resources import TABLES
from connector.resources.resource import UNITS, Child, Column, Link, Table
from connector.warehouse.schema import figures
from connector.warehouse.sql.types import INSTANT, TYPES, plain
from connector.warehouse.state.tables import state_tables

BOOKKEEPING = {
    "_changed_at": "When this row's content, links or children last changed in the warehouse, by"
    " the database's clock",
    "_run_id": "Run that last changed the row (sync_runs.id)",
    "_read_at": "When the stored copy was requested from Intercom, by Intercom's clock",
    "_deleted_at": "When the object was deleted at Intercom, or else when that was found out;"
    " null while it lives",
    "_placeholder": "Whether the row only stands for an object that something refers to and that"
    " has not been read",
}


@cache
def declared() -> Mapping[str, sa.Table]:
    """The tables of ``metadata`` by their names, made once for all who only look at them."""
    kept = {table.name: table for table in (*figures.TABLES, *state_tables())}
    return {**_of_resources().tables, **kept}


def metadata() -> sa.MetaData:
    """Every table of the warehouse: resources, links, children, stored figures, state."""
    meta = _of_resources()
    for table in (*figures.TABLES, *state_tables()):
        table.to_metadata(meta)
    return meta


def _of_resources() -> sa.MetaData:
    meta = sa.MetaData()
    for table in TABLES:
        _add_table(meta, table)
    for table in TABLES:
        _add_links(meta, table)
    return meta


def _add_links(meta: sa.MetaData, table: Table) -> None:
    for link in table.links:
        _add_link(meta, table, link)
    for child in table.children:
        _add_table(meta, child.table, (table, child))
        _add_links(meta, child.table)


def _add_table(meta: sa.MetaData, table: Table, parent: tuple[Table, Child] | None = None) -> None:
    key = () if table.positioned else table.key
    columns = [_column(column) for column in table.columns if column.name not in key]
    head = [_column(table.column(name), primary_key=True) for name in key]
    if parent:
        head.append(_parent(*parent, part_of_key=table.positioned))
    if table.positioned:
        head.append(_position())
    sa.Table(
        table.name,
        meta,
        *head,
        *columns,
        *_derived(table),
        plain("extra", JSONB(), "Whatever Intercom sent that no other column holds, by its key"),
        *_bookkeeping(),
        *([] if table.positioned or not parent else [_index(table.name, parent[1].parent)]),
        *([_index(table.name, table.cut_by)] if table.cut_by else []),
        *(_index(table.name, name) for name in _persons(table)),
        comment=table.comment,
    )


def _persons(table: Table) -> list[str]:
    """Its own columns by which the rows about a contact are found, unless the key begins so."""
    names = {column.name for column in table.columns} - {table.key[0]}
    return sorted(names & {column.personal for column in table.columns})


def _parent(parent: Table, child: Child, *, part_of_key: bool) -> sa.Column[Any]:
    return sa.Column(
        child.parent,
        sa.Text(),
        reference(parent.name),
        primary_key=part_of_key,
        nullable=False,
        comment=f"Row of {parent.name} that this row belongs to",
    )


def _position() -> sa.Column[Any]:
    return sa.Column(
        "position",
        sa.Integer(),
        primary_key=True,
        autoincrement=False,
        comment="Place in the parent's list, from 0",
    )


def _column(column: Column, *, primary_key: bool = False) -> sa.Column[Any]:
    keys = (reference(column.refers_to),) if column.refers_to else ()
    return sa.Column(
        column.name,
        TYPES[column.kind],
        *keys,
        primary_key=primary_key,
        comment=comment(column),
    )


def _derived(table: Table) -> list[sa.Column[Any]]:
    columns: list[sa.Column[Any]] = []
    if table.parts.stored:
        columns.append(
            plain(
                table.parts.stored, sa.BigInteger(), "Number of parts stored here and not deleted"
            )
        )
    if table.parts.truncated:
        columns.append(
            plain(
                table.parts.truncated,
                sa.Boolean(),
                "Whether Intercom returned only the newest parts at the last read",
            )
        )
    return columns


def _bookkeeping() -> list[sa.Column[Any]]:
    now, no = sa.text("now()"), sa.text("false")
    return [
        sa.Column(
            "_changed_at",
            INSTANT,
            nullable=False,
            server_default=now,
            comment=BOOKKEEPING["_changed_at"],
        ),
        plain("_run_id", sa.BigInteger(), BOOKKEEPING["_run_id"]),
        plain("_read_at", INSTANT, BOOKKEEPING["_read_at"]),
        plain("_deleted_at", INSTANT, BOOKKEEPING["_deleted_at"]),
        sa.Column(
            "_placeholder",
            sa.Boolean(),
            nullable=False,
            server_default=no,
            comment=BOOKKEEPING["_placeholder"],
        ),
    ]


def _add_link(meta: sa.MetaData, owner: Table, link: Link) -> None:
    sa.Table(
        link.table,
        meta,
        _key(link.owner, owner.name),
        _key(link.target, link.refers_to),
        *(_column(column) for column in link.columns),
        _index(link.table, link.target),
        comment=link.comment,
    )


def _key(name: str, table: str) -> sa.Column[Any]:
    return sa.Column(
        name, sa.Text(), reference(table), primary_key=True, comment=f"Row of {table} ({table}.id)"
    )


def _index(table: str, column: str) -> sa.Index:
    return sa.Index(f"{table}_{column}_idx", column)


def reference(table: str) -> sa.ForeignKey:
    """A foreign key that a transaction may defer: rows of one batch arrive in any order."""
    return sa.ForeignKey(f"{table}.id", deferrable=True, initially="IMMEDIATE")


def comment(column: Column) -> str:
    """The sentence of a column, with its unit and where it comes from."""
    return f"{column.comment}{UNITS.get(column.kind, '')}. From Intercom's {column.path}."
