"""Writes the versions that follow from changes of rows, in their transaction."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from connector.resources.resource import Table
from connector.warehouse.changes import Changes
from connector.warehouse.history import write
from connector.warehouse.history.kept import History
from connector.warehouse.schema import versions
from connector.warehouse.sql.execute import execute, scalars
from connector.warehouse.sql.names import Names
from connector.warehouse.values.signatures import INTERCOM, Signatures


class KeepVersions:
    """Keeps history of these tables. What is erased is emptied in its versions by ``privacy``."""

    needs_children = False

    def __init__(self, kept: Mapping[str, History], signatures: Signatures = INTERCOM) -> None:
        self.kept, self.signatures = kept, signatures
        # What a first load reads of memberships comes at its end.
        self.needs_members = any(one.linked_at and _groups(one.table) for one in kept.values())

    def follow(self, conn: sa.Connection, names: Names, changes: Changes) -> None:
        """Begins and ends versions; asks the database nothing where none of its tables changed."""
        for name, history in self.kept.items():
            if new := changes.new(name):
                self._add_new(conn, names, history, new, changes)
            if changed := self._changed(conn, names, history, changes):
                self._write(conn, names, history, changed, changes)
            if members := self._members(history, changes):
                links = frozenset(_groups(history.table))
                self._write(conn, names, history, members, changes, links)
            if gone := changes.deleted.get(name):
                execute(conn, write.close(names, history.table), {"keys": list(gone)})

    def _changed(
        self, conn: sa.Connection, names: Names, history: History, changes: Changes
    ) -> Sequence[str]:
        """The rows that changed: of lists read beside them those that are not as they were."""
        keys, table = changes.changed(history.table_name), history.table
        if not keys or changes.beside is None:
            return keys
        query = write.differing(names, table, changes.beside, _links(table, changes))
        values = {"keys": list(keys), "signed": self.signatures.expression}
        return scalars(conn, query, values)

    def _members(self, history: History, changes: Changes) -> list[str]:
        if not history.linked_at:
            return []
        found = (changes.members.get(link, ()) for link in _groups(history.table))
        return list(dict.fromkeys(key for keys in found for key in keys))

    def _add_new(
        self,
        conn: sa.Connection,
        names: Names,
        history: History,
        keys: Sequence[str],
        changes: Changes,
    ) -> None:
        query = write.add_new(names, history.table, _links(history.table, changes))
        values = {"keys": list(keys), "read_at": _read_at(changes)}
        added = execute(conn, query, values | {"floor": history.floor}).rowcount
        if added < len(keys):  # somebody removed rows: versions of them are here
            self._write(conn, names, history, keys, changes)

    def _write(
        self,
        conn: sa.Connection,
        names: Names,
        history: History,
        keys: Sequence[str],
        changes: Changes,
        members_of: frozenset[str] = frozenset(),
    ) -> None:
        values = {
            "keys": list(keys),
            "revived": list(changes.revived.get(history.table_name, ())),
            "read_at": changes.read_at if members_of else _read_at(changes),
            "floor": history.floor,
            "signed": self.signatures.expression,
        }
        links = members_of or _links(history.table, changes)
        execute(conn, write.write_changed(names, history.table, links), values)


def _read_at(changes: Changes) -> datetime | None:
    """When what changed was asked for, where the rows do not tell it."""
    return None if changes.beside is None else changes.read_at


def _links(table: Table, changes: Changes) -> frozenset[str]:
    """The link tables of the table itself in which anything changed."""
    return frozenset(link.table for link in table.links if link.table in changes.links)


def _groups(table: Table) -> list[str]:
    """The link tables that tell to which groups its rows belong."""
    return [one.table for one in versions.linked(table) if one.is_membership]
