"""Batches into Postgres, and what is gone out of it; knows the declarations, not HTTP.

Everything happens in the caller's transaction, in which foreign keys are deferred to the commit.
What it did to rows is followed there by whoever was declared to.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from msgspec import Struct, field

from connector.resources.lists import Record
from connector.resources.resource import Table
from connector.warehouse.changes import Changes, Deletion, Follower, follow
from connector.warehouse.encode.batch import Batch
from connector.warehouse.encode.encoder import row_keys
from connector.warehouse.merge import statements
from connector.warehouse.merge.batch_merge import Asked, BatchMerge, Stages
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.merge.stored_rows import Rows
from connector.warehouse.sql.execute import execute, fetch
from connector.warehouse.sql.names import Names
from connector.warehouse.state.runs import Tally
from connector.warehouse.values.signatures import INTERCOM, Signatures

MANY = 300  # rows of a batch that tell that a table is being filled
ALMOST_ALL = 0.9  # of them are new then


class Merged(Struct):
    """What merging a batch came to: its changes, and what else is to be counted.

    ``outdated`` are copies older than what is stored: of these nothing was merged but their derived
    rows, which are batches of their own. ``held`` are, by child table, the owners of which
    implausibly many children were omitted: none was marked.
    ``wrote``: whether anything differed at all.
    """

    table: Table
    changes: Changes
    outdated: tuple[str, ...] = ()
    held: dict[str, Sequence[str]] = field(default_factory=dict)
    wrote: bool = False

    @property
    def inserted(self) -> int:
        """How many rows of the table are new."""
        rows = self.changes.inserted.get(self.table.name)
        return rows.number if rows else 0

    @property
    def updated(self) -> int:
        """How many of them changed."""
        rows = self.changes.updated.get(self.table.name)
        return rows.number if rows else 0

    def count(self, tally: Tally, fetched: int, deleted: int, warnings: Counter[str]) -> None:
        """Count what was done with so many records, and what did not fit."""
        tally.fetched += fetched
        tally.inserted += self.inserted
        tally.updated += self.updated
        tally.unchanged += fetched - self.inserted - self.updated  # other copies too
        tally.deleted += deleted
        tally.warnings += warnings.total()
        for what, times in warnings.items():
            tally.misfits[what] = tally.misfits.get(what, 0) + times

    def add(self, other: Merged) -> None:
        """What another batch of the table came to as well."""
        self.changes.add(other.changes)
        self.outdated += other.outdated
        self.held |= other.held
        self.wrote |= other.wrote


class Loader(Rows):
    """Writes batches into one schema, and lets ``followers`` write what follows from that.

    ``signatures`` tell what of a text is no content.
    """

    def __init__(
        self,
        schema: str,
        *,
        followers: Sequence[Follower] = (),
        signatures: Signatures = INTERCOM,
        fuse: Fuse | None = None,
    ) -> None:
        super().__init__(Names(schema))
        self.followers, self.signatures, self.fuse = followers, signatures, fuse
        self._stages = Stages()
        self._filling = set[str]()  # tables of whose last batch almost all was new

    def merge(
        self,
        conn: sa.Connection,
        batch: Batch,
        run_id: int,
        *,
        by_id: bool = False,
        lag: timedelta = timedelta(0),
    ) -> Merged:
        """Stage, diff and write the batch, then its separate lists; followers write with each.

        ``by_id``: each record was read alone, so it may revive its row. A list
        revives a deleted row only if it was requested later than the deletion plus ``lag``:
        Intercom's lists go on showing a deleted object for a while.
        """
        first, *others = self._divided(conn, batch)
        merged = self._merge(conn, *first, run_id, by_id, lag)
        for other in others:
            merged.add(self._merge(conn, *other, run_id, by_id, lag))
        self._note(batch, merged.inserted)
        if batch.separate_lists:
            merged.add(self._merge(conn, batch.separate_lists, False, run_id, by_id, lag))
        return merged

    def _divided(self, conn: sa.Connection, batch: Batch) -> Sequence[tuple[Batch, bool]]:
        """The batch, or what of it is new and what is stored already; whether it is known as new.

        While a table is filled almost all is new, which need not be compared with anything.
        """
        ids = batch.ids if batch.table.name in self._filling else ()
        known = self.present(conn, batch.table, list(ids)) if ids else set[str]()
        if len(known) > len(ids) * (1 - ALMOST_ALL) or not ids:
            return [(batch, False)]
        if not known:
            return [(batch, True)]
        new, stored = batch.divided(known)
        return [(new, True), (stored, False)]

    def _note(self, batch: Batch, inserted: int) -> None:
        """Whether the table is being filled: so many rows of the batch were new."""
        rows = batch.staged[batch.table.name].rows
        self._filling.discard(batch.table.name)
        if rows >= MANY and inserted >= rows * ALMOST_ALL:
            self._filling.add(batch.table.name)

    def _merge(
        self,
        conn: sa.Connection,
        batch: Batch,
        all_new: bool,
        run_id: int,
        by_id: bool,
        lag: timedelta,
    ) -> Merged:
        root = batch.staged[batch.table.name]
        if not root.rows:
            return Merged(batch.table, Changes(run_id))
        merging = self._batch_merge(conn, batch).stage(by_id, lag)
        found, outdated = (merging.all_new(), []) if all_new else merging.diff(by_id, lag, run_id)
        changes = merging.write(found, run_id)
        follow(conn, self.names, changes, self.followers)
        wrote = bool(found or outdated or merging.held)
        return Merged(batch.table, changes, tuple(outdated), merging.held, wrote)

    def compare(self, conn: sa.Connection, batch: Batch) -> dict[str, list[str]]:
        """For each record's key the columns in which its row differs, [] where none does."""
        if not batch.staged[batch.table.name].rows:
            return {}
        merging = self._batch_merge(conn, batch)
        return merging.stage(by_id=True, lag=timedelta(0)).differences()

    def _batch_merge(self, conn: sa.Connection, batch: Batch) -> BatchMerge:
        asked = Asked(
            children=bool(batch.misfits) or any(one.needs_children for one in self.followers),
            members=any(one.needs_members for one in self.followers),
        )
        return BatchMerge(self.names, self._stages, conn, batch, self.signatures, self.fuse, asked)

    def note_tried(
        self, conn: sa.Connection, table: Table, ids: Collection[str], tries: int = 1
    ) -> None:
        """Count one more try, or several, for placeholders that could not be filled."""
        execute(conn, statements.note_tried(self.names), [table.name, tries, list(ids)])

    # -- what is gone ------------------------------------------------------------------------

    def mark_absent(
        self,
        conn: sa.Connection,
        table: Table,
        present: Sequence[Record],
        began_at: datetime,
        run_id: int,
        *,
        fuse: Fuse | None = None,
        name: str = "",
    ) -> int:
        """Mark deleted what a complete list omits; the number of rows marked.

        Rows that were read or changed after the list was asked for are left alone. Raises
        TooManyDeletesError, and marks nothing, if that is more than the ``fuse`` takes and it is
        not open for the table or the resource ``name``.
        """
        keys, fuse = row_keys(table, present), fuse or Fuse()
        query = statements.count_absent(self.names, table)
        ((omitted, alive),) = fetch(conn, query, [began_at, *keys])
        if not fuse.is_open(table.name, name):
            fuse.check(table.name, omitted, alive, name)
        if omitted:
            statement = statements.mark_absent(self.names, table)
            marked = fetch(conn, statement, [began_at, run_id, began_at, *keys])
            deleted = {key: Deletion(began_at) for (key,) in marked}
            self._follow_deleted(conn, table, deleted, run_id)
        fuse.note(table.name, omitted)
        return int(omitted)

    def mark_deleted(
        self,
        conn: sa.Connection,
        table: Table,
        times: Mapping[str, datetime],
        run_id: int,
        *,
        exact: bool = False,
        lag: timedelta = timedelta(0),
        merged: Collection[str] = (),
    ) -> list[str]:
        """Mark deleted what Intercom says is gone, and since when; the ids that lived until now.

        ``exact``: the times are Intercom's own, not those at which it was found out; they correct
        others, and give way to a copy that was read more than ``lag`` after them. A placeholder
        stays one: it was never seen alive. ``merged`` are those of the ids that live on in another
        contact.
        """
        values = {"run_id": run_id, "exact": exact, "lag": lag}
        values |= {"ids": list(times), "times": list(times.values())}
        found = fetch(conn, statements.mark_deleted(self.names, table), values)
        marked = [key for key, lived in found if lived]
        lived, away = set(marked), set(merged)
        deleted = {key: Deletion(at, key in away, key in lived) for key, at in times.items()}
        self._follow_deleted(conn, table, deleted, run_id)
        return marked

    def mark_merged(
        self, conn: sa.Connection, tombstones: Table, keys: Sequence[str], at: datetime, run_id: int
    ) -> list[str]:
        """Mark placeholders deleted that tombstones say are gone, merged into another; their ids.

        ``at`` is the time for those of which it is not told. Times of what is deleted already
        are corrected; living rows are left to ``living_merged`` and to who decides on them.
        """
        values = {"at": at, "run_id": run_id, "ids": list(keys)}
        found = fetch(conn, statements.mark_merged(self.names, tombstones), values)
        marked = [key for key, lived in found if lived]
        deleted = {key: Deletion(at, merged=True, lived=lived) for key, lived in found}
        self._follow_deleted(conn, statements.subject_of(tombstones), deleted, run_id)
        return marked

    def _follow_deleted(
        self, conn: sa.Connection, table: Table, rows: Mapping[str, Deletion], run_id: int
    ) -> None:
        changes = Changes(run_id)
        changes.add_deleted(table, rows)
        follow(conn, self.names, changes, self.followers)
