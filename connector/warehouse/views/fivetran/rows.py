"""The rows of the shape, as what follows FROM; executes nothing.

Without history they are the rows of a table as they are now. With it the active ones are the same,
and those that were are the versions that have ended, so that what is active never depends on
whether history is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from connector.resources import RESOURCES
from connector.resources.resource import Child, Table
from connector.warehouse.schema import versions
from connector.warehouse.schema.versions import Linked
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.sql.rows import apart, living
from connector.warehouse.state.tables import STATE
from connector.warehouse.views.fivetran.columns import ACTIVE, END, LAST, START, counted, utc


class Rows(Struct, frozen=True):
    """Which rows of a table: with what they were if ``kept``, one for each of the ``links``."""

    table: Table
    kept: bool = False
    link: Linked | None = None

    def source(self, names: Names) -> str:
        """All rows, called o, with their columns and what ``columns.history`` reads."""
        if not self.kept:
            return f"({self._now(names)}) o"
        return f"({self._now(names)} UNION ALL {self._past(names)}) o"

    def _columns(self, other: str) -> str:
        if self.link:
            return f"t.id, t.updated_at, {other} AS {quote(self.link.other)}"
        own = [*(column.name for column in self.table.columns), *counted(self.table)]
        return ", ".join(f"t.{quote(name)}" for name in own)

    def _now(self, names: Names) -> str:
        """Each object once, as it is; deleted ones only if no version tells of them."""
        own, past = names(self.table.name), names(versions.name_of(self.table))
        changed = _changed(self.table, "t")
        start = f"coalesce(v.valid_from, {changed})" if self.kept else changed
        query = f"SELECT {self._columns('l.' + quote(self.link.other) if self.link else '')}"
        query += f", {_lasting('t', start)} FROM {own} t"
        if self.kept:
            query += f" LEFT JOIN {past} v ON v.id = t.id AND v.valid_to IS NULL"
        if self.link:
            query += f" JOIN {names(self.link.table)} l ON l.{quote(self.link.own)} = t.id"
        query += f" WHERE NOT t._placeholder AND {apart(names, self.table, 't')}"
        if self.kept:
            told = f"EXISTS (SELECT FROM {past} w WHERE w.id = t.id)"
            query += f" AND (t._deleted_at IS NULL OR NOT {told})"
        return query

    def _past(self, names: Names) -> str:
        """Each version that has ended, a millisecond before the next, if one follows at once."""
        past = names(versions.name_of(self.table))
        follows = f"EXISTS (SELECT FROM {past} n WHERE n.id = t.id AND n.valid_from = t.valid_to)"
        before = "greatest(t.valid_to - interval '1 millisecond', t.valid_from)"
        query = (
            f"SELECT {self._columns('a.id')}, false AS {ACTIVE}, t.valid_from AS {START},"
            f" CASE WHEN {follows} THEN {before} ELSE t.valid_to END AS {END} FROM {past} t"
        )
        if self.link:
            query += f" CROSS JOIN LATERAL unnest(t.{quote(self.link.name)}) a (id)"
        return f"{query} WHERE t.valid_to IS NOT NULL AND {apart(names, self.table, 't')}"


def parts(names: Names, parent: Table, child: Child) -> str:
    """The living elements of a parent's list, called o; what is deleted is left out."""
    own = ", ".join(f"t.{quote(column.name)}" for column in child.table.columns)
    key = f"t.{quote(child.parent)}"
    start = _changed(child.table, "t")
    return (
        f"(SELECT {own}, {key}, p.updated_at AS parent_updated_at, {_lasting('p', start)}"
        f" FROM {names(child.table.name)} t JOIN {names(parent.name)} p ON p.id = {key}"
        f" WHERE {living('t')} AND {apart(names, parent, 'p')}) o"
    )


def _changed(table: Table, row: str) -> str:
    updated = f"{row}.updated_at, " if table.has_updated_at else ""
    return f"coalesce({updated}{row}.created_at, {row}._changed_at)"


def _lasting(row: str, start: str) -> str:
    """Whether the row, or what it belongs to, lives, since when, and until when."""
    return (
        f"{row}._deleted_at IS NULL AS {ACTIVE}, {start} AS {START},"
        f" coalesce({row}._deleted_at, {LAST}) AS {END}"
    )


def confirmed(names: Names, table: Table) -> str:
    """When the last sync that confirmed the table began: of several resources the oldest."""
    listed = ", ".join(literal(name) for name in confirming(table))
    oldest = "CASE WHEN bool_and(s.fresh_as_of IS NOT NULL) THEN min(s.fresh_as_of) END"
    return f"(SELECT {utc(oldest)} FROM {names(STATE.name)} s WHERE s.resource IN ({listed}))"


def confirming(table: Table) -> Sequence[str]:
    """The resources whose passes read the objects of the table themselves."""
    own = [resource for resource in RESOURCES if resource.table is table]
    return [r.name for r in own if r.discriminator or r.name == table.name]
