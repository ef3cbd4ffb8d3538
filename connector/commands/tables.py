"""Every table as Markdown, from the declarations; ``python -m connector.commands.tables`` prints.

A pure function of what is declared: knows no database, so that docs/tables.md can be compared.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from connector.resources import RESOURCES, TABLES
from connector.resources.resource import Link, Table
from connector.warehouse.schema import figures, versions
from connector.warehouse.schema.relations import VERSION_TABLE
from connector.warehouse.schema.tables import BOOKKEEPING, metadata
from connector.warehouse.sql.names import Names
from connector.warehouse.state.tables import state_tables
from connector.warehouse.views.definitions import IDENTITIES, live, metrics, views_of

DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]

HEAD = """\
# The tables

Made from the declarations by `python -m connector.commands.tables > docs/tables.md`; the same
sentences stand in the database as comments (`\\d+ conversations` in psql). All tables are in one
schema per Intercom workspace, `intercom` unless `INTERCOM_SCHEMA` says otherwise."""

COMMON = """\
Foreign keys always hold: an object that something refers to and that has not been read has a row
with nothing but its key and `_placeholder`. Every table but the link and state tables also has the
columns of this list; they are left out below."""


def tables_markdown() -> str:
    """The whole document."""
    meta = metadata()
    blocks = [HEAD, *_contents(), *_diagram(meta), *_common(meta)]
    blocks.append("## Resources")
    for table in TABLES:
        blocks += _table(meta, table, parent="")
    blocks += _metrics()
    blocks += _versions()
    blocks += _state(meta)
    return "\n\n".join(blocks) + "\n"


def _contents() -> Iterator[str]:
    yield "## What there is"
    rows = []
    for table in TABLES:
        family = list(table.family())
        others = [child.name for child in family[1:]]
        others += [link.table for member in family for link in member.links]
        views = ", ".join(_code(view) for member in family for view in views_of(member))
        rows.append((_anchor(table.name), ", ".join(map(_anchor, others)), views))
    yield _grid(("table", "children and links", "views of living rows"), rows)


def _diagram(meta: sa.MetaData) -> Iterator[str]:
    yield "## How they hang together"
    yield "A line is a foreign key, named by its column; an open circle says that it can be null."
    lines = ["erDiagram"]
    for table in meta.tables.values():
        if not _is_state(table):
            lines += _entity(table)
    for table in meta.tables.values():
        for column, target in _references(table):
            end = "o|" if column.nullable else "||"
            lines.append(f'    {table.name} }}o--{end} {target} : "{column.name}"')
    yield "```mermaid\n" + "\n".join(lines) + "\n```"


def _entity(table: sa.Table) -> Iterator[str]:
    """The table with its keys; the other columns would hide the shape of the whole."""
    yield f"    {table.name} {{"
    for column in table.columns:
        marks = ["PK"] if column.primary_key else []
        marks += ["FK"] if column.foreign_keys else []
        if marks:
            yield f"        {_type(column).split()[0]} {column.name} {','.join(marks)}"
    yield "    }"


def _common(meta: sa.MetaData) -> Iterator[str]:
    yield "## In every table"
    yield COMMON
    columns = meta.tables[TABLES[0].name].columns
    yield _columns([columns["extra"], *(columns[name] for name in BOOKKEEPING)])


def _table(meta: sa.MetaData, table: Table, parent: str) -> Iterator[str]:
    """A resource or child table, then what belongs to it."""
    stored = meta.tables[table.name]
    yield f"### {table.name}"
    yield table.comment + (f" Child of {_anchor(parent)}." if parent else "")
    if not parent:
        yield from _read_by(table)
    common = {"extra", *BOOKKEEPING}
    yield _columns([column for column in stored.columns if column.name not in common])
    yield from _personal(table)
    yield from _belongings(table)
    for link in table.links:
        yield from _link(meta, table, link)
    for child in table.children:
        yield from _table(meta, child.table, table.name)


def _read_by(table: Table) -> Iterator[str]:
    resources = [resource.name for resource in RESOURCES if resource.table is table]
    if resources != [table.name]:
        yield f"Read by the resources {', '.join(map(_code, resources))}."


def _personal(table: Table) -> Iterator[str]:
    names = [_code(column.name) for column in table.columns if column.personal]
    if names:
        yield f"Personal, and emptied where the contact is forgotten: {', '.join(names)}."


def _belongings(table: Table) -> Iterator[str]:
    """The children, links and views, one line each."""
    lines = [
        f"- Child: {_anchor(child.table.name)}"
        + (", never deleted" if child.permanent else "")
        + (f"; Intercom returns the newest {child.cap}" if child.cap else "")
        for child in table.children
    ]
    lines += [f"- Link: {_anchor(link.table)} to {_anchor(link.refers_to)}" for link in table.links]
    lines += [f"- View: {_code(view)}: {_told(table, view)}" for view in views_of(table)]
    if lines:
        yield "\n".join(lines)


def _told(table: Table, view: str) -> str:
    for resource in RESOURCES:
        if resource.discriminator and resource.name == view:
            condition = " and ".join(
                f"`{name} = '{value}'`" for name, value in resource.discriminator
            )
            return f"the rows of `{live(table)}` with {condition}"
    if view == IDENTITIES:
        return "`contact_id` of every contact with its `current_contact_id`, after all merges"
    sentence = "rows that are neither deleted nor placeholders"
    if table not in TABLES:
        sentence += ", nor belong to what is deleted"
    if table.once_for:
        sentence += ", once for all identities of a contact"
    if table.apart_from:
        sentence += f", without those that also stand in {_anchor(table.apart_from)}"
    if table.attributes:
        sentence += f"; then a column `custom_...` for each entry of `{table.attributes.column}`"
    return sentence


def _link(meta: sa.MetaData, owner: Table, link: Link) -> Iterator[str]:
    yield f"### {link.table}"
    yield f"{link.comment} Link from {_anchor(owner.name)} to {_anchor(link.refers_to)}."
    yield _columns(list(meta.tables[link.table].columns))


def _state(meta: sa.MetaData) -> Iterator[str]:
    yield "## State"
    yield "What the sync knows about itself, in the same schema."
    for table in meta.tables.values():
        if _is_state(table) and table.name not in figures.NAMES:
            yield from _plain(table)
    yield f"### {VERSION_TABLE}"
    yield "How far the schema has been migrated: one row."
    version = sa.Column[Any](
        "version_num",
        sa.String(32),
        primary_key=True,
        comment="Newest migration that has been applied",
    )
    yield _columns([version])
    yield "## Stored figures"
    yield "What the metric views are made of, in the same schema."
    for name in figures.NAMES:
        yield from _plain(meta.tables[name])


def _plain(table: sa.Table) -> Iterator[str]:
    yield f"### {table.name}"
    yield table.comment or ""
    yield _columns(list(table.columns))


def _metrics() -> Iterator[str]:
    yield "## Metric views"
    yield "What their columns mean exactly: [metrics.md](metrics.md)."
    for name, make in metrics().items():
        view = make(Names(""))
        yield f"- View: {_code(name)}: {view.sentence}"
        rows = [(_code(column.name), column.comment) for column in view.columns]
        yield _grid(("column", "what it is"), rows)


def _versions() -> Iterator[str]:
    yield "## Versions"
    yield (
        "Made where `CONNECTOR_HISTORY` names the table: all columns of its rows but bookkeeping,"
        " `valid_from`, `valid_to`, and links as arrays (docs/history.md)."
    )
    rows = [
        (_code(versions.name_of(table)), _anchor(name), ", ".join(_code(o.name) for o in linked))
        for name, table in versions.VERSIONED.items()
        for linked in [versions.linked(table)]
    ]
    yield _grid(("table", "versions of", "arrays"), rows)


def _is_state(table: sa.Table) -> bool:
    return table.name in figures.NAMES or table.name in _state_tables()


@cache
def _state_tables() -> frozenset[str]:
    return frozenset(table.name for table in state_tables())


def _columns(columns: list[sa.Column[Any]]) -> str:
    rows = []
    for column in columns:
        target = next((fk.column.table.name for fk in column.foreign_keys), "")
        key = " (key)" if column.primary_key else ""
        reference = _anchor(target) if target else ""
        rows.append((_code(column.name) + key, _type(column), reference, column.comment or ""))
    return _grid(("column", "type", "refers to", "what it is"), rows)


def _references(table: sa.Table) -> Iterator[tuple[sa.Column[Any], str]]:
    for column in table.columns:
        for key in column.foreign_keys:
            yield column, key.column.table.name


def _type(column: sa.Column[Any]) -> str:
    """The type as Postgres spells it, the long name of timestamptz cut."""
    name = column.type.compile(dialect=DIALECT).lower()
    return {"timestamp with time zone": "timestamptz"}.get(name, name)


def _grid(head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head)]
    cells = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    return "\n".join(f"| {' | '.join(row)} |" for row in lines + cells)


def _code(name: str) -> str:
    return f"`{name}`"


def _anchor(name: str) -> str:
    return f"[`{name}`](#{name})"


if __name__ == "__main__":
    sys.stdout.write(tables_markdown())
