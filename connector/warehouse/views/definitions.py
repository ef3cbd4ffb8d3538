"""The views as they are to be: living rows with custom attributes as columns, contacts by role.

Executes nothing but what decides the names of custom columns. What stands in the schema, and how
it becomes what is to be, is known elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache, partial
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field

from connector.resources import RESOURCES, TABLES
from connector.resources.resource import Child, Resource, Table
from connector.warehouse.schema.tables import declared
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import apart, living, owned
from connector.warehouse.views import custom_columns, identities
from connector.warehouse.views.metrics import calendar, conversations, duplicates, groups
from connector.warehouse.views.standing import Stored
from connector.warehouse.views.view import Shown, View

IDENTITIES = "contact_identities"


class Around(Struct, frozen=True):
    """What a view is made from: the connection, the names, the views as they are stored.

    ``names`` are those of the tables. ``known`` is what makers of several views ask only once.
    """

    conn: sa.Connection
    names: Names
    stored: Mapping[str, Stored]
    known: dict[str, Any] = field(default_factory=dict)


Maker = Callable[[Around], View]
Line = tuple[tuple[Table, Child], ...]  # what a table is a child of: its parent, theirs, ...


@cache
def makers() -> dict[str, Maker]:
    """How each view is made, by its name; each comes after those that it selects from."""
    made: dict[str, Maker] = {
        live(member): partial(_live, member, line)
        for table in TABLES
        for member, line in _families(table)
    }
    made |= {r.name: partial(_by_role, r) for r in RESOURCES if r.discriminator}
    made[IDENTITIES] = _identities
    return made | {name: partial(_metric, make) for name, make in metrics().items()}


@cache
def metrics() -> dict[str, Callable[[Names], View]]:
    """How each metric view is made, by its name."""
    single = {
        conversations.NAME: conversations.conversation_metrics,
        "conversations_by_day": calendar.conversations_by_day,
        "ai_agent_metrics": calendar.ai_agent_metrics,
        "contact_duplicates": duplicates.contact_duplicates,
    }
    return single | groups.makers()


def _metric(make: Callable[[Names], View], around: Around) -> View:
    return make(around.names)


def live(table: Table) -> str:
    """The name of the view of a table's living rows."""
    return f"{table.name}_live"


@cache
def selects_from() -> dict[str, str]:
    """The views that select from another one of ours, and from which."""
    return {r.name: live(r.table) for r in RESOURCES if r.discriminator}


@cache
def customized() -> frozenset[str]:
    """The views whose columns depend on what Intercom lists."""
    names = {live(table) for table in TABLES if table.attributes}
    return frozenset(names | {r.name for r in RESOURCES if r.discriminator and r.table.attributes})


def views_of(table: Table) -> list[str]:
    """All views of a resource table's rows."""
    by_role = [r.name for r in RESOURCES if r.table is table and r.discriminator]
    return [live(table), *by_role, *([IDENTITIES] if table.tombstone else [])]


def _families(table: Table, line: Line = ()) -> Iterator[tuple[Table, Line]]:
    yield table, line
    for child in table.children:
        yield from _families(child.table, ((table, child), *line))


def _live(table: Table, line: Line, around: Around) -> View:
    columns = [Shown(c.name, f"o.{quote(c.name)}", c.comment or "") for c in _declared(table)]
    if table.attributes:
        taken = {column.name for column in columns} | _foreign(around, table)
        custom = custom_columns.settle(around.conn, table, taken)
        columns += [Shown(c.column_name, c.expression(table, "o"), told) for c, told in custom]
    from_ = source(around.names, table, line)
    return View(live(table), sentence(table, line), from_, tuple(columns))


def sentence(table: Table, line: Line = ()) -> str:
    """The comment of the view of a table's living rows."""
    told = f"Rows of {table.name} that are neither deleted nor placeholders."
    if line:
        told += f" Those of deleted {' or '.join(parent.name for parent, _ in line)} are left out."
    if table.apart_from:
        told += f" Those that also stand in {table.apart_from} are left out."
    if table.once_for:
        told += " What is there under several identities of one contact is shown once."
    return told


def source(names: Names, table: Table, line: Line = ()) -> str:
    """What follows FROM in the view of a table's living rows."""
    return f"{names(table.name)} o WHERE {_lives(names, table)}{_under(names, line)}"


def _lives(names: Names, table: Table) -> str:
    """Which rows of the table, called o, its live view shows."""
    lives = living("o")
    if table.once_for:
        lives += f" AND {identities.is_first(names, table)}"
    if table.apart_from:
        lives += f" AND {apart(names, table, 'o')}"
    return lives


def _under(names: Names, line: Line, row: str = "o", depth: int = 1) -> str:
    """Nothing that the row belongs to is deleted."""
    if not line:
        return ""
    (parent, child), *rest = line
    above = f"p{depth}"
    return (
        f" AND EXISTS (SELECT FROM {names(parent.name)} {above}"
        f" WHERE {above}.id = {row}.{quote(child.parent)} AND {above}._deleted_at IS NULL"
        f"{_under(names, tuple(rest), above, depth + 1)})"
    )


def _declared(table: Table) -> list[sa.Column[object]]:
    return list(declared()[table.name].columns)


def _foreign(around: Around, table: Table) -> set[str]:
    """Columns of the live view that nothing stored explains: no attribute may take their names."""
    stored = around.stored.get(live(table))
    known = {column.column_name for column in custom_columns.stored(around.conn, table)}
    return set(stored.columns) - known if stored else set()


def _by_role(resource: Resource, around: Around) -> View:
    """Whatever the live view shows now, also if it could not be brought up to date."""
    base = live(resource.table)
    stored = around.stored.get(base)
    columns = stored.columns.values() if stored else ()
    return View(
        name=resource.name,
        sentence=f"The {resource.name} among {base}.",
        source=f"{around.names(base)} WHERE {owned(resource)}",
        columns=tuple(Shown(c.name, quote(c.name), c.comment) for c in columns),
    )


def _identities(around: Around) -> View:
    return View(
        IDENTITIES,
        "Each contact's id with the id that it has now, after all merges.",
        identities.everyone(around.names),
        (
            Shown("contact_id", "i.contact_id", "Id of a contact, living or gone (contacts.id)"),
            Shown(
                "current_contact_id",
                "i.current_contact_id",
                "Id of the contact that it is now: itself, or the last that it was merged into",
            ),
        ),
    )
