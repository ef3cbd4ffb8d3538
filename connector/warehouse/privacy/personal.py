"""What is personal, and about which contact, as declared with the columns; executes nothing."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from msgspec import Struct

from connector.resources import TABLES
from connector.resources.resource import Child, Link, Table
from connector.warehouse.sql.names import Names, literal, quote

Family = tuple[Table, Child]


class Personal(Struct, frozen=True):
    """Columns of one table that are about the same contact, and where that contact's id stands.

    ``of`` is a column or a link table of ``holder``, which is the table itself or its parent.
    """

    table: Table
    parent: Family | None
    columns: tuple[str, ...]
    keys: tuple[str, ...]  # of extra, under which such values could stand; () means all of it
    of: str
    holder: Table
    link: Link | None = None

    @property
    def is_person(self) -> bool:
        return self.of == "id"

    @property
    def key(self) -> str:
        """The column of the row that holds the id of its holder's row."""
        return "id" if self.holder is self.table else self.parent[1].parent if self.parent else ""


@cache
def personal() -> tuple[Personal, ...]:
    """Everything that is about contacts, parents before children."""
    return tuple(part for table in TABLES for part in _personal(table, None))


def _personal(table: Table, parent: Family | None) -> Iterator[Personal]:
    for of in dict.fromkeys(column.personal for column in table.columns if column.personal):
        columns = [column for column in table.columns if column.personal == of]
        holder, link = _held(table, parent, of)
        keys: set[str] = set()
        if link:
            # What did not fit as a part, or as a reference to the contact, stands there too.
            keys = {column.keys[0] for column in columns}
            keys |= {path[0] for child in table.children for path in child.paths}
            keys |= {path[0] for path in link.every_path} if holder is table else set()
        names = tuple(column.name for column in columns)
        yield Personal(table, parent, names, tuple(sorted(keys)), of, holder, link)
    for child in table.children:
        yield from _personal(child.table, (table, child))


def _held(table: Table, parent: Family | None, of: str) -> tuple[Table, Link | None]:
    """Which table has that column or link table: this one or its parent."""
    for holder in (table, *(parent[:1] if parent else ())):
        for link in holder.links:
            if link.table == of:
                return holder, link
        own = {column.name for column in holder.columns}
        if of in own or (holder is table and parent and parent[1].parent == of):
            return holder, None
    raise LookupError(f"{table.name}: personal columns of {of!r}, which is no column or link")


def stored_about(names: Names, part: Personal) -> str:
    """The condition that a stored row is about one of the ids."""
    if part.link:
        owner, target = quote(part.link.owner), quote(part.link.target)
        return (
            f"o.{quote(part.key)} IN (SELECT {owner} FROM {names(part.link.table)}"
            f" WHERE {target} = ANY(%(ids)s))"
        )
    if part.holder is part.table:
        return f"o.{quote(part.of)} = ANY(%(ids)s)"
    return (
        f"o.{quote(part.key)} IN (SELECT id FROM {names(part.holder.name)}"
        f" WHERE {quote(part.of)} = ANY(%(ids)s))"
    )


def emptied(alias: str, part: Personal) -> str:
    """What is set where a row is emptied."""
    sets = [f"{quote(column)} = NULL" for column in part.columns]
    return ", ".join([*sets, f"extra = {_extra(alias, part)}"])


def full(alias: str, part: Personal) -> str:
    """The condition that a row holds anything that would be emptied."""
    some = [f"{alias}.{quote(column)} IS NOT NULL" for column in part.columns]
    return " OR ".join([*some, f"{_extra(alias, part)} IS DISTINCT FROM {alias}.extra"])


def _extra(alias: str, part: Personal) -> str:
    """What stays of extra: nothing of what the contact is or wrote, else only other keys."""
    if not part.keys:
        return "NULL::jsonb"
    keys = ", ".join(map(literal, part.keys))
    return f"nullif({alias}.extra - ARRAY[{keys}]::text[], '{{}}')"
