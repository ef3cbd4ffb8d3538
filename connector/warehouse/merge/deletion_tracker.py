"""What a run is told of objects that are gone, as it comes; ``deletions`` decides at its end.

Living rows become deletion candidates; ``deletions`` says what is marked at once instead.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from msgspec import Struct, field

from connector.errors import MergedError, NotFoundError
from connector.resources import TABLES
from connector.resources.lists import Record
from connector.resources.resource import Resource, Table
from connector.warehouse import state
from connector.warehouse.encode import derived
from connector.warehouse.encode.batch import Batch
from connector.warehouse.encode.exclusions import Exclusions
from connector.warehouse.merge import deletions
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.merge.loader import Loader
from connector.warehouse.merge.statements import subject_of
from connector.warehouse.state import candidates


class DeletionTracker(Struct):
    """Keeps track, for one run, of what is gone.

    ``tables`` are those that may have deletion candidates.
    """

    loader: Loader
    exclusions: Exclusions
    fuse: Fuse
    run_id: int
    lag: timedelta
    tables: set[str] = field(default_factory=set)

    def find_tables(self, conn: sa.Connection) -> None:
        """Remember of which tables there are candidates, so that others cost nothing."""
        named = candidates.doubted(conn)
        self.tables |= {t.name for t in TABLES if not named.isdisjoint(deletions.sources(t))}

    # -- what is said to be gone -------------------------------------------------------------

    def answered_gone(
        self,
        conn: sa.Connection,
        resource: Resource,
        gone: Mapping[str, NotFoundError | MergedError],
        archived: Collection[str],
        now: datetime,
    ) -> None:
        """Candidates of what Intercom, asked by id, says is gone, merged or archived.

        What was pending of them is answered too, though the mark may wait: for the fuse, or until
        the resource that they belong to is selected.
        """
        table = resource.table
        state.settle(conn, deletions.keyed_by(table), [*gone, *archived])
        merged = {key: error for key, error in gone.items() if isinstance(error, MergedError)}
        survivors = {key: error.merged_into for key, error in merged.items() if error.merged_into}
        self.merge_derived(conn, derived.successions(table, survivors, now, self.exclusions), now)
        for answer, ids in (
            (candidates.GONE, gone.keys() - merged.keys()),
            (candidates.MERGED, merged.keys()),
            (candidates.ARCHIVED, archived),
        ):
            times = dict.fromkeys(sorted(ids))
            names = self.loader.names
            candidates.answer(conn, names, table, resource.name, answer, times, now)
        if gone or archived:
            self.tables.add(table.name)

    def claim(
        self,
        conn: sa.Connection,
        table: Table,
        source: str,
        times: Mapping[str, datetime],
        now: datetime,
        answer: str = candidates.TOLD,
    ) -> None:
        """Candidates of what Intercom's feeds and records say, now, is gone since these times.

        Of what does not live here nothing is at stake: its times are corrected at once.
        """
        living = self.loader.living(conn, table, list(times))
        known = {key: at for key, at in times.items() if key in living}
        candidates.answer(conn, self.loader.names, table, source, answer, known, now)
        others = {key: at for key, at in times.items() if key not in living}
        if others:
            self.loader.mark_deleted(conn, table, others, self.run_id, exact=True, lag=self.lag)
        if known:
            self.tables.add(table.name)

    def claim_untold(
        self,
        conn: sa.Connection,
        resource: Resource,
        times: Mapping[str, datetime],
        now: datetime,
    ) -> None:
        """Candidates of what a feed of tombstones says is gone, unless there are rows of it."""
        told = self.loader.present(conn, resource.table, list(times))
        left = {key: at for key, at in times.items() if key not in told}
        if left:
            self.claim(conn, subject_of(resource.table), resource.name, left, now)

    # -- what is marked at once --------------------------------------------------------------

    def mark_archived(
        self, conn: sa.Connection, table: Table, archived: Collection[str], now: datetime
    ) -> int:
        """Mark deleted what was not alive here before, and says of itself that it is archived."""
        times = dict.fromkeys(sorted(archived), now)
        return len(self.loader.mark_deleted(conn, table, times, self.run_id, lag=self.lag))

    def mark_absent(
        self,
        conn: sa.Connection,
        resource: Resource,
        present: Sequence[Record],
        began_at: datetime,
    ) -> int:
        """Mark deleted what a list that is always complete omits; raises TooManyDeletesError."""
        return self.loader.mark_absent(
            conn,
            resource.table,
            present,
            began_at,
            self.run_id,
            fuse=self.fuse,
            name=resource.name,
        )

    def merge_derived(
        self,
        conn: sa.Connection,
        batches: Sequence[tuple[Batch, Sequence[str]]],
        at: datetime | None,
    ) -> int:
        """Merge derived rows, and believe those that are tombstones; how many that marked deleted.

        ``batches`` come with the keys of their rows. They are no copies of the records that they
        stand in: those of an outdated copy are merged too.
        """
        number = 0
        for batch, keys in batches:
            self.loader.merge(conn, batch, self.run_id, lag=self.lag)
            number += self.believe_tombstones(conn, batch.table, keys, at)
        return number

    def believe_tombstones(
        self, conn: sa.Connection, tombstones: Table, keys: Sequence[str], at: datetime | None
    ) -> int:
        """Mark the placeholders that rows with these keys say are gone, if they are tombstones.

        What lives becomes a candidate. Returns how many were marked.
        """
        if not tombstones.tombstone or at is None or not keys:
            return 0
        table = subject_of(tombstones)
        marked = self.loader.mark_merged(conn, tombstones, keys, at, self.run_id)
        living = self.loader.living_merged(conn, tombstones, keys)
        if living:
            times = {key: when or at for key, when in living.items()}
            self.claim(conn, table, table.name, times, at, candidates.MERGED)
        return len(marked)

    def decide(
        self,
        conn: sa.Connection,
        table: Table,
        found: Sequence[deletions.Candidate],
        fuse: Fuse | None = None,
    ) -> deletions.Verdict:
        """Mark these candidates deleted, or as many as the run's fuse allows, or this one."""
        fuse = fuse or self.fuse
        return deletions.decide(conn, self.loader, table, found, fuse, self.run_id, self.lag)

    # -- what is there after all -------------------------------------------------------------

    def listed(
        self, conn: sa.Connection, table: Table, ids: Sequence[str], asked_at: datetime
    ) -> None:
        """A list asked for at that time shows these: late enough, they are no candidates."""
        candidates.dismiss(conn, deletions.sources(table), ids, asked_at, self.lag)

    def read_alive(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> None:
        """Reads by id showed these: they are no candidates."""
        if table.name in self.tables and ids:
            candidates.dismiss(conn, deletions.sources(table), ids)
