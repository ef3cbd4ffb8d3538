"""Commits for one run: submissions in, transactions out; never asks Intercom.

Submissions that wait at the same time are one transaction. One thread encodes (or waits for the
subprocess that does) and one writes, so that reading goes on meanwhile; see ``transactions``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import sqlalchemy as sa
from msgspec.structs import replace

from connector.errors import RowRefusedError
from connector.intercom.refusals import MANY
from connector.jsontext import decode
from connector.resources.lists import Record
from connector.resources.resource import Resource, Table
from connector.sync.writing.effects import Effect, Postpone, may_be_lost
from connector.sync.writing.submission import Submission, pending_key, together
from connector.sync.writing.transactions import Transactions, Work
from connector.tools.coalesce import Coalescer
from connector.warehouse import followers, state
from connector.warehouse.changes import Follower, follow
from connector.warehouse.encode.encoder import encode_list, row_keys
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.encode.pieces import Made
from connector.warehouse.encode.worker import Encoding
from connector.warehouse.merge import deletions
from connector.warehouse.merge.deletion_tracker import DeletionTracker
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.merge.loader import Loader, Merged
from connector.warehouse.privacy import cleaning, erasure, pinning
from connector.warehouse.schema import foreign_keys
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import need_not_be_safe
from connector.warehouse.state import digests

if TYPE_CHECKING:
    from connector.warehouse.history.kept import History

MOST_RECORDS = 3_000  # of several submissions in one transaction
MOST_OBJECTS = 150  # the same of whole conversations, which can be large
MOST_BYTES = 8 << 20  # and of their texts: encoding takes a multiple of them for a while
INDEX_LAG = timedelta(minutes=10)
"""So long after a change Intercom's lists and searches may still show what was before it."""


class Writer(Transactions):
    """Writes for one run; ``tracker`` keeps track of what it finds to be gone.

    ``has_history``: history of some table is kept, or was before.
    """

    def __init__(
        self,
        database: Database,
        run_id: int,
        privacy: Privacy | None = None,
        fuse: Fuse | None = None,
        lag: timedelta = INDEX_LAG,
    ) -> None:
        super().__init__(database, run_id)
        privacy = privacy or Privacy()
        self.fuse, self.lag = fuse or Fuse(), lag
        self.exclusions, self._scrubs_deleted = privacy.exclusions, privacy.scrubs_deleted
        self.loader = Loader(
            database.schema,
            followers=self._followers({}),
            signatures=self.exclusions.signatures,
            fuse=self.fuse,
        )
        self.tracker = DeletionTracker(self.loader, self.exclusions, self.fuse, run_id, lag)
        self.has_history = False
        self.told = set[str]()  # of what the run has warned, where once is enough
        self._encoding = Encoding(self.exclusions)
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        # While Postgres works on one transaction the next is encoded.
        self._submissions = Coalescer(self._commit_together, _may_join, at_once=2)
        self._lookups = Coalescer(self._look_up, lambda chosen, item: chosen[0][0] is item[0])
        self._without_keys: set[str] = set()

    # -- records, and what commits with them -------------------------------------------------

    async def submit(self, submission: Submission) -> Collection[str]:
        """Encode, merge and commit the records and their effects; counts into their tally.

        A record that Postgres refuses becomes pending; their ids are returned. RowRefusedError if
        it refuses many and takes none, or an effect.
        """
        refused = set[str]()
        if submission.is_empty:
            return refused
        for piece in submission.pieces(MOST_BYTES, MOST_RECORDS):
            if refused:
                piece.effects = tuple(effect.without(refused) for effect in piece.effects)
            refused |= await self._submissions.do(piece)
        if not refused:
            return refused
        # Submissions that waited with this one were committed with it: of what was refused of all
        # of them, only its own records are the caller's.
        own = {pending_key(submission.table, one) for one in submission.records}
        return refused & own

    async def submit_list(
        self,
        submission: Submission,
        record: Callable[[Sequence[str | None]], Record],
        elements: Collection[str | None],
        read_at: datetime,
    ) -> None:
        """The same of one record that ``record`` makes of its list, however long it is.

        RowRefusedError where Postgres does not take it. See ``encode_list``.
        """
        submission.add([{}], read_at)

        def encoded() -> Made:
            return encode_list(submission.table, record, elements, read_at, self.exclusions), []

        await self._encode_and_commit(submission, encoded)

    async def commit(self, *effects: Effect) -> int:
        """Effects that no records come with; how many rows they marked deleted."""
        if all(effect.is_empty for effect in effects):
            return 0
        return await self.do(lambda conn: self._apply_alone(conn, effects))

    async def commit_unless(
        self, look: Work[list[str]], first: Sequence[Effect], last: Sequence[Effect]
    ) -> list[str]:
        """The first effects, and the last ones too unless ``look`` finds something after those.

        All in one transaction; returns what it finds.
        """

        def work(conn: sa.Connection) -> list[str]:
            self._apply(conn, first)
            if not (found := look(conn)):
                self._apply(conn, last)
                self._let_be_lost(conn, [*first, *last])
            return found

        return await self.do(work)

    async def _commit_together(self, submissions: Sequence[Submission]) -> set[str]:
        """One transaction of them all; where Postgres refuses a row, one of each, then of parts.

        Returns the pending keys of what it refuses.
        """
        try:
            await self._encode_and_commit(together(submissions))
        except RowRefusedError as error:
            if len(submissions) == 1:
                return await self._commit_in_parts(submissions[0], error)
            return {key for one in submissions for key in await self._commit_together([one])}
        return set()

    async def _commit_in_parts(self, submission: Submission, error: RowRefusedError) -> set[str]:
        """Commit what Postgres takes of the records, then their effects in a transaction apart.

        Each effect says what of it still holds without the rows that were refused.
        """
        refused: dict[str, RowRefusedError] = {}
        alone = replace(submission, effects=())
        taken = await self._halved(alone, error, refused) if len(alone) else 0
        if not len(alone) or (len(refused) >= MANY and not taken):
            raise error
        reasons = {key: str(refusal) for key, refusal in refused.items()}
        pending = Postpone(submission.resource, reasons, max(submission.read_at))
        effects = [effect.without(refused) for effect in submission.effects]

        def finish(conn: sa.Connection) -> int:
            digests.forget(conn, submission.table, refused)
            return self._apply(conn, (*effects, pending))

        submission.tally.deleted += await self.do(finish)
        return set(refused)

    async def _halved(
        self, submission: Submission, error: RowRefusedError, refused: dict[str, RowRefusedError]
    ) -> int:
        """Merge the halves of what Postgres refuses as one; how many records it takes."""
        if len(submission) == 1:
            refused[pending_key(submission.table, submission.records[0])] = error
            return 0
        taken = 0
        for half in submission.halves():
            try:
                await self._encode_and_commit(half)
                taken += len(half)
            except RowRefusedError as refusal:
                taken += await self._halved(half, refusal, refused)
        return taken

    async def _encode_and_commit(
        self, submission: Submission, encoded: Callable[[], Made] | None = None
    ) -> None:
        """Encode the records, then merge and commit them with their effects.

        In the transaction: the records and their followers, digests, derived rows and what
        tombstones say is gone (with their followers), effects, owners of held children.
        """
        table, tally, read_at = submission.table, submission.tally, submission.read_at
        if not submission.records:
            tally.deleted += await self.commit(*submission.effects)
            return

        def encode() -> Made:
            return self._encoding.make(
                table, submission.records, read_at, submission.complete_lists
            )

        def work(conn: sa.Connection) -> tuple[Merged, int]:
            by_id, at = submission.by_id, max(read_at, default=None)
            merged = self.loader.merge(conn, batch, self.run_id, by_id=by_id, lag=self.lag)
            digests.note(conn, table, submission.digests, merged.outdated)
            deleted = self.tracker.merge_derived(conn, derived, at)
            deleted += self.tracker.believe_tombstones(conn, table, tombstones, at)
            deleted += self._apply(conn, submission.effects)
            self._queue_held(conn, table, merged, at)
            if not (merged.wrote or submission.digests or derived or tombstones or deleted):
                self._let_be_lost(conn, submission.effects)
            return merged, deleted

        loop = asyncio.get_running_loop()
        tombstones = _keys(submission) if table.tombstone else []
        batch, derived = await loop.run_in_executor(self._encoder, encoded or encode)
        merged, deleted = await self.do(work)
        for name in merged.held:
            tally.status, tally.error = "failed", self.fuse.error(name)
        warnings = batch.warnings_of(merged.changes.written)
        merged.count(tally, len(submission), deleted, warnings)

    def _apply(self, conn: sa.Connection, effects: Sequence[Effect]) -> int:
        return sum(effect.apply(conn, self.tracker) for effect in effects if not effect.is_empty)

    def _apply_alone(self, conn: sa.Connection, effects: Sequence[Effect]) -> int:
        deleted = self._apply(conn, effects)
        if not deleted:
            self._let_be_lost(conn, effects)
        return deleted

    def _let_be_lost(self, conn: sa.Connection, effects: Sequence[Effect]) -> None:
        if may_be_lost(effects):
            need_not_be_safe(conn)

    def _queue_held(
        self, conn: sa.Connection, table: Table, merged: Merged, read_at: datetime | None
    ) -> None:
        """Whose children were held back is no known copy, and pending."""
        for name, owners in merged.held.items():
            assert read_at is not None
            digests.forget(conn, table, owners)
            waits_under = deletions.reads_children(table, name)
            state.doubt(conn, waits_under, owners, state.HELD, read_at)

    # -- what is known -----------------------------------------------------------------------

    async def digests(self, table: Table, ids: Sequence[str]) -> dict[str, int]:
        """The stored digests of these objects, and perhaps of others that are asked for too."""
        return await self._lookups.do((table, ids))

    async def _look_up(self, wanted: Sequence[tuple[Table, Sequence[str]]]) -> dict[str, int]:
        ids = [key for _, some in wanted for key in some]
        return await self.look(lambda conn: digests.stored(conn, wanted[0][0], ids))

    async def dismiss_listed(self, table: Table, ids: Sequence[str], asked_at: datetime) -> None:
        """A list asked for at that time shows these: late enough, they are no candidates."""
        if table.name in self.tracker.tables and ids:
            await self.do(lambda conn: self.tracker.listed(conn, table, ids, asked_at))

    # -- around the passes -------------------------------------------------------------------

    def keep_history(self, histories: Mapping[str, History]) -> None:
        """Have versions written of these tables, from now on; none where it only ended."""
        self.has_history = True
        self.loader.followers = self._followers(histories)

    def _followers(self, histories: Mapping[str, History]) -> Sequence[Follower]:
        return followers.declared(
            scrubs_deleted=self._scrubs_deleted,
            history=histories,
            signatures=self.exclusions.signatures,
        )

    async def clean(self, *, pins: bool) -> None:
        """Empty what is newly excluded, and who was merged into a forgotten contact.

        ``pins``: the exclusions are those of this schema from now on.
        """
        names, exclusions, run_id = self.loader.names, self.exclusions, self.run_id

        def begin(conn: sa.Connection) -> bool:
            pinning.apply(conn, exclusions, pins=pins)
            erased = erasure.forget_merged(conn, names, run_id)
            follow(conn, names, erased, self.loader.followers)
            self.tracker.find_tables(conn)
            return cleaning.is_needed(conn)

        if await self.do(begin):
            while await self.do(lambda conn: cleaning.step(conn, names, exclusions, run_id)):
                pass
            await self.do(self.tracker.find_tables)

    async def drop_foreign_keys(self, resource: Resource) -> None:
        """Drop the foreign keys of its table and links while it is loaded, if possible."""
        names, table = self.loader.names, resource.table
        if await self.do(lambda conn: foreign_keys.drop(conn, names, table)):
            self._without_keys.add(resource.name)

    async def restore_foreign_keys(self, resource: Resource) -> None:
        """Restore what was dropped, once nothing else is loaded without."""
        if resource.name not in self._without_keys:
            return
        self._without_keys.discard(resource.name)
        if not self._without_keys:
            await self.do(lambda conn: foreign_keys.restore(conn, self.loader.names))

    def close(self) -> None:
        """End both threads and the encoder subprocess, after their last work."""
        self._encoder.shutdown(wait=True)
        self._encoding.close()
        super().close()


def _keys(submission: Submission) -> list[str]:
    """The keys of its records, decoded."""
    records = [decode(one) if isinstance(one, bytes) else one for one in submission.records]
    return row_keys(submission.table, records)[0]


def _may_join(chosen: Sequence[Submission], other: Submission) -> bool:
    """Whether a submission may be merged with these: its like, and not too large together."""
    first = chosen[0]
    most = MOST_OBJECTS if first.by_id else MOST_RECORDS
    small = sum(map(len, (*chosen, other))) <= most
    light = sum(one.weight for one in (*chosen, other)) <= MOST_BYTES
    return first.is_like(other) and small and light
