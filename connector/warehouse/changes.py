"""What was done to rows, by table and key: the one value that followers are given.

Whoever must know what a transaction changed follows it: a declared follower (see
``connector.warehouse.followers``) writes in that transaction, and nothing here knows any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import sqlalchemy as sa
from msgspec import Struct, field

from connector.resources.resource import Table
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.rows import key_text


class Keys(Struct, frozen=True):
    """Rows of a table: how many, and their keys as ``key_text`` writes them; None if not asked."""

    number: int
    keys: Sequence[str] | None = None

    def and_also(self, other: Keys) -> Keys:
        """Both; the keys are known only where those of both are."""
        known = self.keys is not None and other.keys is not None
        keys = [*(self.keys or ()), *(other.keys or ())] if known else None
        return Keys(self.number + other.number, keys)


class Deletion(Struct, frozen=True):
    """Since when a row is gone; ``merged``: into another one, in which it lives on.

    ``lived``: there was a row that was not marked deleted before. ``at`` may be when that was told.
    """

    at: datetime
    merged: bool = False
    lived: bool = True


class Changes(Struct):
    """The rows that were inserted, updated, deleted or erased, by table.

    A row whose links or children changed is updated with them. ``deleted`` also names what was told
    to be gone and had no living row. Placeholders are no content, and in
    none of these. Keys of children are there where a follower asks for them.

    ``revived`` are those of the updated rows that were marked deleted. ``links`` are the link
    tables in which anything changed. ``members`` are, by link table, whom memberships changed of
    that are no change of their own rows, where a follower asks for them. ``read_at`` is when, by
    Intercom's clock, what changed rows was asked for, the last of it. ``beside``, where those are
    lists read beside the objects, whose rows keep their ``_read_at``: the columns that they tell.
    """

    run_id: int
    inserted: dict[str, Keys] = field(default_factory=dict)
    updated: dict[str, Keys] = field(default_factory=dict)
    deleted: dict[str, dict[str, Deletion]] = field(default_factory=dict)
    erased: dict[str, Keys] = field(default_factory=dict)
    revived: dict[str, Sequence[str]] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    members: dict[str, list[str]] = field(default_factory=dict)
    read_at: datetime | None = None
    beside: frozenset[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.inserted or self.updated or self.deleted or self.erased)

    def add(self, other: Changes) -> None:
        """What another batch of the same records changed as well."""
        for mine, its in (
            (self.inserted, other.inserted),
            (self.updated, other.updated),
            (self.erased, other.erased),
        ):
            for name, rows in its.items():
                mine[name] = mine.get(name, Keys(0, ())).and_also(rows)
        for name, others in other.deleted.items():
            self.deleted.setdefault(name, {}).update(others)

    def add_deleted(self, table: Table, rows: Mapping[str, Deletion]) -> None:
        """Rows of the table that are gone as well."""
        if rows:
            self.deleted.setdefault(table.name, {}).update(rows)

    def add_erased(self, table: str, keys: Sequence[str]) -> None:
        """Rows of the table that were emptied as well."""
        if keys:
            more = Keys(len(keys), keys)
            self.erased[table] = self.erased.get(table, Keys(0, ())).and_also(more)

    def written(self, table: str) -> Sequence[str]:
        """The keys of its rows that are new or changed."""
        return [key for keys in (self.new(table), self.changed(table)) for key in keys]

    def new(self, table: str) -> Sequence[str]:
        """The keys of its rows that are new."""
        return self.inserted.get(table, Keys(0)).keys or ()

    def changed(self, table: str) -> Sequence[str]:
        """The keys of its rows that were there and changed."""
        return self.updated.get(table, Keys(0)).keys or ()

    def marked(self, table: str) -> list[str]:
        """The keys of its rows that lived until now."""
        return [key for key, found in self.deleted.get(table, {}).items() if found.lived]

    @property
    def number_erased(self) -> int:
        """How many rows were emptied."""
        return sum(rows.number for rows in self.erased.values())


class Relation(Struct, frozen=True):
    """Rows of a table as something to select FROM, in the transaction that changed them."""

    text: str
    parameters: Mapping[str, Any]


def relation(names: Names, table: Table, keys: Iterable[str]) -> Relation:
    """The stored rows with these keys, under the alias ``r``; not of a table of positions."""
    listed = f"{key_text(table, 'r')} = ANY(%(keys)s)"
    return Relation(
        f"(SELECT r.* FROM {names(table.name)} r WHERE {listed}) r", {"keys": list(keys)}
    )


class Follower(Protocol):
    """Writes what follows from changes, in their transaction.

    ``needs_children``: the keys of children that are inserted or updated are asked for.
    ``needs_members``: those of members of groups are.
    """

    needs_children: bool
    needs_members: bool

    def follow(self, conn: sa.Connection, names: Names, changes: Changes) -> Changes | None:
        """Write; returns the further changes that this made to rows, if any."""


def follow(
    conn: sa.Connection, names: Names, changes: Changes, followers: Iterable[Follower]
) -> None:
    """Let each of them follow the changes, and what others change in following."""
    if not changes:
        return
    for follower in followers:
        further = follower.follow(conn, names, changes)
        if further:
            follow(conn, names, further, followers)
