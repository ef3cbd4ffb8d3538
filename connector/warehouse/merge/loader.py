"""Batches into Postgres, and what is known of the rows there; knows the declarations, not HTTP.

Everything happens in the caller's transaction, in which foreign keys are deferred to the commit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.resources.lists import EMBEDDED, Record
from connector.resources.resource import Resource, Table
from connector.warehouse.encode.batch import Batch
from connector.warehouse.encode.encoder import row_keys
from connector.warehouse.merge import statements
from connector.warehouse.merge.batch_merge import Stages, Transfer, number, written_keys
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.privacy import erasure
from connector.warehouse.sql.execute import execute, fetch, scalar, scalars
from connector.warehouse.sql.names import Names
from connector.warehouse.state.runs import Tally
from connector.warehouse.values.signatures import INTERCOM, Signatures


@dataclass
class Written:
    """What a batch did: rows inserted, updated, unchanged, and copies refused as older.

    ``keys`` are those of the rows that were written, by table, where anything in it did not fit.
    ``held`` are, by child table, the owners of which implausibly many children were omitted: none
    was marked.
    """

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: tuple[str, ...] = ()
    keys: Mapping[str, Collection[str]] = field(default_factory=dict)
    held: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def count(self, tally: Tally, fetched: int, deleted: int, warnings: Counter[str]) -> None:
        """Count what was written of so many records, and what did not fit."""
        tally.fetched += fetched
        tally.inserted += self.inserted
        tally.updated += self.updated
        tally.unchanged += self.unchanged + len(self.refused)
        tally.deleted += deleted
        tally.warnings += warnings.total()
        for what, times in warnings.items():
            tally.misfits[what] = tally.misfits.get(what, 0) + times

    def add(self, other: Written) -> None:
        """What another batch did as well."""
        self.inserted += other.inserted
        self.updated += other.updated
        self.unchanged += other.unchanged
        self.refused += other.refused
        self.held = {**self.held, **other.held}
        both = {*self.keys, *other.keys}
        self.keys = {name: {*self.keys.get(name, ()), *other.keys.get(name, ())} for name in both}


class Loader:
    """Writes batches into one schema.

    ``scrubs_deleted``: of a contact that is deleted at Intercom, only the row stays, emptied.
    ``signatures`` tell what of a text is no content.
    """

    def __init__(
        self,
        schema: str,
        *,
        scrubs_deleted: bool = False,
        signatures: Signatures = INTERCOM,
        fuse: Fuse | None = None,
    ) -> None:
        self.names, self.fuse = Names(schema), fuse
        self.scrubs_deleted, self.signatures = scrubs_deleted, signatures
        self._stages = Stages()

    def write(
        self,
        conn: sa.Connection,
        batch: Batch,
        run_id: int,
        *,
        by_id: bool = False,
        lag: timedelta = timedelta(0),
    ) -> Written:
        """Merge the batch. ``by_id``: each record was read alone, so it may revive its row.

        A list read revives a deleted row only if it was requested later than the deletion plus
        ``lag``: Intercom's lists go on showing a deleted object for a while.
        """
        written = self._write(conn, batch, run_id, by_id, lag)
        if batch.beside:
            written.add(self._write(conn, batch.beside, run_id, by_id, lag))
        return written

    def _write(
        self, conn: sa.Connection, batch: Batch, run_id: int, by_id: bool, lag: timedelta
    ) -> Written:
        table, root = batch.table, batch.staged[batch.table.name]
        if not root.rows:
            return Written()
        transfer = self._transfer(conn, batch)
        found, refused = transfer.stage(by_id, lag).survey(by_id, lag, run_id)
        transfer.merge(found, run_id)
        inserted, updated = (number(found, table, fate) for fate in ("new", "changed"))
        unchanged = root.rows - len(refused) - inserted - updated
        keys = written_keys(found) if batch.misfits else {}
        return Written(inserted, updated, unchanged, tuple(refused), keys, transfer.held)

    def compare(self, conn: sa.Connection, batch: Batch) -> dict[str, list[str]]:
        """For each record's key the columns in which its row differs, [] where none does."""
        if not batch.staged[batch.table.name].rows:
            return {}
        transfer = self._transfer(conn, batch)
        return transfer.stage(by_id=True, lag=timedelta(0)).differences()

    def _transfer(self, conn: sa.Connection, batch: Batch) -> Transfer:
        return Transfer(self.names, self._stages, conn, batch, self.signatures, self.fuse)

    def sample(self, conn: sa.Connection, resource: Resource, size: int) -> list[str]:
        """Ids of so many living rows of the resource, chosen by chance."""
        return scalars(conn, statements.sample(self.names, resource), [size])

    def others(self, conn: sa.Connection, table: Table, ids: Sequence[str], size: int) -> list[str]:
        """Ids of so many living rows of the table, chosen by chance, that are not among these."""
        return scalars(conn, statements.others(self.names, table), [list(ids), size])

    def known(
        self, conn: sa.Connection, table: Table, ids: Sequence[str]
    ) -> dict[str, tuple[datetime | None, datetime | None]]:
        """(updated_at, time of the request) of the living rows among these ids."""
        found = fetch(conn, statements.known(self.names, table), [list(ids)])
        return {key: (updated_at, read_at) for key, updated_at, read_at in found}

    def alive(self, conn: sa.Connection, resource: Resource) -> int:
        """How many living rows the resource has in its table."""
        return int(scalar(conn, statements.alive(self.names, resource)))

    def cut(self, conn: sa.Connection, resource: Resource) -> int:
        """How many lists of living rows Intercom embeds only a part of: a request for each."""
        return sum(
            int(scalar(conn, statements.cut(self.names, resource, link), [EMBEDDED]))
            for link in resource.table.links
            if link.complete
        )

    def present(
        self, conn: sa.Connection, table: Table, keys: Sequence[str], *, filled: bool = False
    ) -> set[str]:
        """Which of these keys the table has rows for; ``filled``: that are no placeholders."""
        query = statements.present(self.names, table) + (" AND NOT _placeholder" if filled else "")
        return set(scalars(conn, query, [list(keys)]))

    def all_living(self, conn: sa.Connection, resource: Resource) -> set[str]:
        """The keys of all its living rows, as ``compare`` names them."""
        return set(scalars(conn, statements.all_living(self.names, resource)))

    def filled(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> set[str]:
        """Which of these ids have a row that is no placeholder, deleted ones included."""
        return set(scalars(conn, statements.filled(self.names, table), [list(ids)]))

    def owned(self, conn: sa.Connection, resource: Resource, ids: Sequence[str]) -> set[str]:
        """Which of these ids have a row that is the resource's own."""
        return set(scalars(conn, statements.owned(self.names, resource), [list(ids)]))

    def oldest_read(self, conn: sa.Connection, table: Table) -> datetime | None:
        """When the oldest copy that is stored was requested; None if there is none."""
        found: datetime | None = scalar(conn, f"SELECT min(_read_at) FROM {self.names(table.name)}")
        return found

    def unfilled(
        self,
        conn: sa.Connection,
        table: Table,
        tries: int,
        most: int,
        readers: Sequence[str] = (),
        referring: Sequence[tuple[str, str]] | None = None,
    ) -> list[str]:
        """Placeholders that were asked for by id fewer than ``tries`` times, at most ``most``.

        What is pending under one of the names of ``readers`` is left out. ``referring``: only
        those that one of these (table, column) refers to.
        """
        values = [table.name, tries, list(readers), most]
        return scalars(conn, statements.unfilled(self.names, table, referring), values)

    def note_tried(
        self, conn: sa.Connection, table: Table, ids: Collection[str], tries: int = 1
    ) -> None:
        """Count one more try, or several, for placeholders that could not be filled."""
        execute(conn, statements.note_tried(self.names), [table.name, tries, list(ids)])

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
        ((gone, alive),) = fetch(conn, query, [began_at, *keys])
        if not fuse.is_open(table.name, name):
            fuse.check(table.name, gone, alive, name)
        if gone:
            statement = statements.mark_absent(self.names, table)
            execute(conn, statement, [began_at, run_id, began_at, *keys])
        fuse.note(table.name, gone)
        return int(gone)

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
        contact: if deleted contacts are emptied, only their own row is.
        """
        values = {"run_id": run_id, "exact": exact, "lag": lag}
        values |= {"ids": list(times), "times": list(times.values())}
        found = fetch(conn, statements.mark_deleted(self.names, table), values)
        marked = [key for key, lived in found if lived]
        if self.scrubs_deleted and table.holds_persons:
            self._scrub(conn, times, merged, run_id)
        return marked

    def _scrub(
        self,
        conn: sa.Connection,
        times: Mapping[str, datetime],
        merged: Collection[str],
        run_id: int,
    ) -> None:
        for at in sorted(set(times.values())):
            now = [key for key in times if times[key] == at]
            gone = [key for key in now if key not in merged]
            erasure.forget(conn, self.names, gone, erasure.DELETED, at, run_id)
            left = [key for key in now if key in merged]
            erasure.forget(conn, self.names, left, erasure.MERGED, at, run_id)

    def bury(
        self, conn: sa.Connection, telling: Table, keys: Sequence[str], at: datetime, run_id: int
    ) -> list[str]:
        """Mark placeholders deleted that these rows of a telling table say are gone; their ids.

        ``at`` is the time for those of which it is not told. Times of what is deleted already
        are corrected; living rows are left to ``buried`` and to who decides on them.
        """
        values = {"at": at, "run_id": run_id, "ids": list(keys)}
        found = fetch(conn, statements.bury(self.names, telling), values)
        marked = [key for key, lived in found if lived]
        if self.scrubs_deleted:
            erasure.forget(conn, self.names, marked, erasure.MERGED, at, run_id)
        return marked

    def buried(
        self, conn: sa.Connection, telling: Table, keys: Sequence[str]
    ) -> dict[str, datetime | None]:
        """The living rows that these rows of a telling table say are gone, and since when."""
        return dict(fetch(conn, statements.buried(self.names, telling), [list(keys)]))

    def living(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> set[str]:
        """Which of these rows live."""
        return set(scalars(conn, statements.living(self.names, table), [list(ids)]))

    def dead_since(
        self, conn: sa.Connection, table: Table, ids: Sequence[str]
    ) -> dict[str, datetime]:
        """When those of these rows were deleted that are."""
        return dict(fetch(conn, statements.dead_since(self.names, table), [list(ids)]))
