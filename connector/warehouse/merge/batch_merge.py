"""One batch on its way through its stages into the tables; knows the declarations, not HTTP.

COPY to the stages, empty what is about forgotten contacts, and one statement that finds what would
change. Copies that are older than what is stored are staged no more, and lists that omit more
children than the fuse takes are staged as incomplete; then the statement is asked again. After that
only what it found: make placeholders for what is referred to, write links and children, and last
the rows. Foreign keys are deferred to the commit, so a row can be written once, after everything
that decides whether it changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from connector.resources.resource import Child, Link, Table
from connector.warehouse.changes import Changes, Deletion, Keys
from connector.warehouse.encode.batch import Batch
from connector.warehouse.merge import diff, statements, write
from connector.warehouse.merge.content import Family, contents, is_separate_list
from connector.warehouse.merge.diff import Diff, Found
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.privacy import erasure
from connector.warehouse.schema import damage
from connector.warehouse.sql import staging
from connector.warehouse.sql.execute import copy, execute, fetch, scalar, scalars
from connector.warehouse.sql.names import Names
from connector.warehouse.values.signatures import Signatures

KEPT = 50  # batches that the stages of a table outlive their last use


class Stages:
    """The stages of a session. Each commit empties all there are, so those out of use must go."""

    def __init__(self) -> None:
        self._batches = 0
        self._used: dict[str, tuple[Table, int]] = {}

    def make(self, conn: sa.Connection, table: Table) -> None:
        """Empty stages for a batch of the table."""
        execute(conn, staging.create_stages(table))
        self._batches += 1
        self._used[table.name] = (table, self._batches)
        for other, last in list(self._used.values()):
            if last < self._batches - KEPT:
                execute(conn, staging.drop_stages(other))
                del self._used[other.name]


class Asked(Struct, frozen=True):
    """Of what the keys are asked for besides: changed children, members that memberships name."""

    children: bool = False
    members: bool = False


class BatchMerge:
    """The steps of one batch, in their order: ``stage``, ``diff``, ``write``."""

    def __init__(
        self,
        names: Names,
        stages: Stages,
        conn: sa.Connection,
        batch: Batch,
        signatures: Signatures,
        fuse: Fuse | None = None,
        asked: Asked | None = None,
    ) -> None:
        self.names, self.stages, self.conn, self.batch = names, stages, conn, batch
        self.signatures, self.fuse = signatures, fuse or Fuse()
        self.asked = asked or Asked()
        self.held: dict[str, Sequence[str]] = {}

    def stage(self, by_id: bool, lag: timedelta) -> BatchMerge:
        """Put the batch into its stages, and take out of them what is about forgotten contacts."""
        self.stages.make(self.conn, self.batch.table)
        filled = {name: staged for name, staged in self.batch.staged.items() if staged.rows}
        for name, staged in filled.items():
            copy(self.conn, staging.copy(name, staged.columns), staged.data)
        table = self.batch.table
        erasure.empty_staged(self.conn, self.names, table, filled, by_id=by_id, lag=lag)
        return self

    # -- what would change -------------------------------------------------------------------

    def diff(self, by_id: bool, lag: timedelta, run_id: int) -> tuple[Diff, list[str]]:
        """What the batch would change, and the keys of copies older than what is stored.

        Those, their links and their children are staged no more. (Derived rows of their records
        are batches of their own, and merged all the same.) Where implausibly many children are
        omitted that are kept for ever, ``held`` names their owners, and nothing counts as omitted.
        """
        found, keys = self._found(by_id, lag, run_id), list[str]()
        if outdated := found.get((self.batch.table.name, "outdated")):
            keys = outdated.ids
            execute(self.conn, write.drop_places(self.batch.table), {"places": outdated.places})
            self._drop_staged(self.batch.table, keys)
            found = self._found(by_id, lag, run_id)
        if self._hold_omitted(self.batch.table, found):
            found = self._found(by_id, lag, run_id)
        return found, keys

    def all_new(self) -> Diff:
        """What there is to do where none of its rows is stored, which the caller knows."""
        ids = list(self.batch.ids)
        return {(self.batch.table.name, "new"): Found(len(ids), None, ids)}

    def _found(self, by_id: bool, lag: timedelta, run_id: int) -> Diff:
        query = diff.diff(self.names, self.batch.table, diff.outline(self.batch))
        values = self._values(by_id, lag, run_id) | {"named": self.asked.children}
        found = fetch(self.conn, query, values)
        return {(name, outcome): Found(*rest) for name, outcome, *rest in found}

    def _drop_staged(self, table: Table, owners: Sequence[str]) -> None:
        for link in table.links:
            execute(self.conn, write.drop_staged(link.table, link.owner), [list(owners)])
        for child in table.children:
            query = write.drop_staged(child.table.name, child.parent, child.table)
            if child.table.positioned:
                execute(self.conn, query, [list(owners)])
            else:
                self._drop_staged(child.table, scalars(self.conn, query, [list(owners)]))

    def _hold_omitted(self, table: Table, found: Diff) -> bool:
        """Stage lists as incomplete that omit too many children; whether any list does.

        So nothing is omitted any more, and their owners have not changed for that alone.
        """
        for child in table.children:
            omitted = found.get((child.table.name, "omitted"))
            if omitted and child.permanent and self._holds(table, child, omitted.ids):
                execute(self.conn, write.stage_incomplete(table, child), [omitted.ids])
                self.held[child.table.name] = omitted.ids
            self._hold_omitted(child.table, found)
        return bool(self.held)

    def _holds(self, table: Table, child: Child, owners: list[str]) -> bool:
        """Whether these owners' lists omit too many children that are kept for ever."""
        name, query = child.table.name, write.count_children(self.names, table, child)
        omitted = int(scalar(self.conn, query, {"owners": owners}))

        def alive() -> int:
            return int(scalar(self.conn, statements.children_alive(self.names, child.table)))

        if self.fuse.holds(name, (table.name,), omitted, alive):
            return True
        self.fuse.note(name, omitted)
        return False

    def differences(self) -> dict[str, list[str]]:
        """For each record the columns in which its stored row differs, [] where none does."""
        query = diff.differences(self.names, self.batch.table, diff.outline(self.batch))
        return dict(fetch(self.conn, query, self._values(True, timedelta(0), run_id=None)))

    def _values(self, by_id: bool, lag: timedelta, run_id: int | None) -> dict[str, Any]:
        """The parameters of what is asked of staged and stored rows."""
        signed = self.signatures.expression
        return {"by_id": by_id, "lag": lag, "run_id": run_id, "signed": signed}

    # -- writing it --------------------------------------------------------------------------

    def write(self, found: Diff, run_id: int) -> Changes:
        """Write what the diff found; what that changed."""
        changes = Changes(run_id, read_at=self.batch.read_at, beside=self._told_beside())
        for (name, outcome), rows in found.items():
            if outcome in ("new", "changed") and not self._is_link(name):
                kind = changes.inserted if outcome == "new" else changes.updated
                kind[name] = Keys(rows.number, rows.ids)
                if rows.revived:
                    changes.revived[name] = rows.revived
        if found:
            self._placeholders(run_id)
            self._write(self.batch.table, found, changes)
        return changes

    def _told_beside(self) -> frozenset[str] | None:
        """The columns that separate lists tell of their objects; None of whole copies."""
        table, staged = self.batch.table, self.batch.staged[self.batch.table.name]
        if not is_separate_list(table, staged.absent):
            return None
        return frozenset(contents(self.names, table, (staged.absent, staged.partial), None))

    def _is_link(self, name: str) -> bool:
        return any(link.table == name for part in self.batch.table.family() for link in part.links)

    def _placeholders(self, run_id: int) -> None:
        """Give everything that is referred to, and not there yet, a row to refer to."""
        staged = frozenset(name for name, part in self.batch.staged.items() if part.rows)
        query = write.placeholders(self.names, self.batch.table, staged)
        if query:
            execute(self.conn, query, {"run_id": run_id})

    def _write(
        self, table: Table, found: Diff, changes: Changes, parent: Family | None = None
    ) -> None:
        """Links and children first, then the rows, some of whose columns count them."""
        for link in table.links:
            self._write_links(table, link, found, changes)
        for child in table.children:
            self._write(child.table, found, changes, (table, child))
            if omitted := found.get((child.table.name, "omitted")):
                query = write.remove_children(self.names, table, child)
                values = {"owners": omitted.ids, "run_id": changes.run_id}
                removed = fetch(self.conn, query, values)
                deleted = {key: Deletion(at) for key, at in removed}
                changes.add_deleted(child.table, deleted)
        self._write_rows(table, found, changes.run_id, parent)

    def _write_rows(self, table: Table, found: Diff, run_id: int, parent: Family | None) -> None:
        staged = self.batch.staged[table.name]
        absence = (staged.absent, staged.partial)
        if new := found.get((table.name, "new")):
            every = new.number == staged.rows
            query = write.insert_rows(self.names, table, absence, parent, every=every)
            written = execute(self.conn, query, {"places": new.places, "run_id": run_id})
            damage.require_kept(self.conn, table.name, new.number, written.rowcount)
        if changed := found.get((table.name, "changed")):
            query = write.replace_rows(self.names, table, absence, parent)
            written = execute(self.conn, query, {"places": changed.places, "run_id": run_id})
            damage.require_kept(self.conn, table.name, changed.number, written.rowcount)

    def _write_links(self, owner: Table, link: Link, found: Diff, changes: Changes) -> None:
        tells, members = self.asked.members and link.is_membership, list[str]()
        if omitted := found.get((link.table, "omitted")):
            query = write.remove_links(self.names, owner, link, tells=tells)
            removed = execute(self.conn, query, [omitted.ids])
            changes.links.add(link.table)
            members += [key for (key,) in removed] if tells else []
        new, changed = found.get((owner.name, "new")), found.get((link.table, "changed"))
        if self.batch.staged[link.table].rows and (new or changed):
            every = number(found, owner, "new") == self.batch.staged[owner.name].rows
            values = {
                "owners": new.ids if new else [],
                "places": changed.places if changed else "{}",
            }
            query = write.add_links(self.names, link, every=every, tells=tells)
            added = execute(self.conn, query, values)
            changes.links.add(link.table)
            members += [key for (key,) in added] if tells else []
        if members:
            changes.members[link.table] = members


def number(found: Diff, table: Table, outcome: str) -> int:
    """How many rows of the table have this outcome."""
    rows = found.get((table.name, outcome))
    return rows.number if rows else 0
