"""The writing half as the loop sees it: chunks of records in, committed transactions out.

One thread encodes and one writes, so that reading goes on meanwhile; a transaction once begun is
finished, also when the run is interrupted. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from connector.errors import MergedError, NotFoundError
from connector.jsontext import head
from connector.resources import TABLE_BY_NAME
from connector.resources.lists import Record
from connector.resources.resource import Resource, Table
from connector.sync.joint import Joint
from connector.warehouse import absence, cleaning, digests, erasure, foreign_keys, state
from connector.warehouse import told as told_by
from connector.warehouse.batch import Batch
from connector.warehouse.database import Database
from connector.warehouse.encoder import encode, encode_list, row_keys
from connector.warehouse.encoding import Encoding, Made
from connector.warehouse.exclusions import Privacy
from connector.warehouse.loader import Loader, Written
from connector.warehouse.values import tidy

MOST_RECORDS = 3_000  # of several chunks in one transaction
MOST_OBJECTS = 150  # the same of whole conversations, which can be large
MOST_BYTES = 8 << 20  # and of their texts: encoding takes a multiple of them for a while
GRACE = 3.0  # seconds that a transaction may take to end when the run is interrupted

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

INDEX_LAG = timedelta(minutes=10)
"""So long after a change Intercom's lists and searches may still show what was before it."""


@dataclass
class Chunk:
    """Records of one table that are written together, decoded or as JSON text.

    ``completed`` holds complete lists read beside a record, by (record id, link table).
    ``digests`` are what lists showed of the records, by id; None takes a stored digest away.
    ``weight`` is the size of the records in bytes.
    """

    records: list[Record | bytes] = field(default_factory=list)
    read_at: list[datetime] = field(default_factory=list)
    completed: dict[tuple[str, str], Sequence[Any]] = field(default_factory=dict)
    digests: dict[str, int | None] = field(default_factory=dict)
    weight: int = 0

    def add(self, records: Sequence[Record | bytes], read_at: datetime, weight: int = 0) -> None:
        """More records of so many bytes, all asked for at the same time."""
        self.weight += weight
        self.records.extend(records)
        self.read_at.extend([read_at] * len(records))

    def take_in(self, other: Chunk) -> None:
        """The other's records too; of two digests of one record neither is known to hold."""
        self.weight += other.weight
        self.records.extend(other.records)
        self.read_at.extend(other.read_at)
        self.completed |= other.completed
        for key, digest in other.digests.items():
            same = self.digests.get(key, digest) == digest
            self.digests[key] = digest if same else None

    def pieces(self, weight: int, most: int) -> Iterator[Chunk]:
        """The chunk, or as many as it takes that each has no more than so many bytes and records.

        A single record may have more. All copies of one record stand in their order.
        """
        if self.weight <= weight and len(self) <= most:
            yield self
            return
        piece, each = Chunk(), self.weight // max(len(self), 1)
        for record, read_at in zip(self.records, self.read_at, strict=True):
            size = len(record) if isinstance(record, bytes) else each
            if piece.records and (piece.weight + size > weight or len(piece) >= most):
                yield piece
                piece = Chunk()
            piece.add([record], read_at, size)
            key = _id_of(record)
            piece.digests |= {key: self.digests[key]} if key in self.digests else {}
            piece.completed |= {pair: self.completed[pair] for pair in self._lists(key)}
        piece.digests |= {key: None for key in self.digests if self.digests[key] is None}
        yield piece

    def _lists(self, key: str) -> Iterator[tuple[str, str]]:
        return (pair for pair in self.completed if pair[0] == key)

    def __len__(self) -> int:
        return len(self.records)


@dataclass(frozen=True)
class _Merge:
    """A chunk to be merged, what commits with it, and where that is counted."""

    table: Table
    chunk: Chunk
    tally: state.Tally
    by_id: bool
    then: Work[None] | None


class Store:
    """Writes for one run: every transaction first makes sure that the run is still the one."""

    def __init__(self, database: Database, run_id: int, privacy: Privacy | None = None) -> None:
        privacy = privacy or Privacy()
        self.database, self.run_id, self.exclusions = database, run_id, privacy.exclusions
        self.loader = Loader(database.schema, scrubs_deleted=privacy.scrubs_deleted)
        # While Postgres works on one chunk the next is encoded.
        self._encoding = Encoding(self.exclusions)
        self._encoder = ThreadPoolExecutor(max_workers=1, thread_name_prefix="encoder")
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")
        # One group of chunks is encoded while Postgres works on another.
        self._merges = Joint(self._merge, _may_join, groups=2)
        self._without_keys: set[str] = set()
        self._lookups = Joint(self._look_up, lambda chosen, item: chosen[0][0] is item[0])

    async def do(self, work: Work[T]) -> T:
        """What ``work`` returns, once its transaction is committed; FenceError if taken over."""
        return await self._in_thread(lambda: self.database.write(self._fenced(work)))

    async def clean(self) -> None:
        """Empty what is newly excluded, and who was merged into a forgotten contact."""
        names, exclusions, run_id = self.loader.names, self.exclusions, self.run_id

        def begin(conn: sa.Connection) -> None:
            cleaning.begin(conn, exclusions)
            erasure.follow_merges(conn, names, run_id)

        await self.do(begin)
        while await self.do(lambda conn: cleaning.step(conn, names, exclusions, run_id)):
            pass

    async def take_keys_off(self, resource: Resource) -> None:
        """Take off the foreign keys of its table and links while it is loaded, if possible."""
        names, table = self.loader.names, resource.table
        if await self.do(lambda conn: foreign_keys.lift(conn, names, table)):
            self._without_keys.add(resource.name)

    async def put_keys_on(self, resource: Resource) -> None:
        """Put on again what was taken off, once nothing else is loaded without."""
        if resource.name not in self._without_keys:
            return
        self._without_keys.discard(resource.name)
        if not self._without_keys:
            await self.do(lambda conn: foreign_keys.mend(conn, self.loader.names))

    async def merge(
        self,
        table: Table,
        chunk: Chunk,
        tally: state.Tally,
        *,
        by_id: bool = False,
        then: Work[None] | None = None,
    ) -> None:
        """Encode and merge a chunk; ``then`` commits with it. Counts into ``tally``.

        Chunks of one table that wait at the same time are merged in one transaction.
        """
        *first, last = chunk.pieces(MOST_BYTES, MOST_RECORDS)
        for piece in first:
            await self._merges(_Merge(table, piece, tally, by_id, None))
        await self._merges(_Merge(table, last, tally, by_id, then))

    async def merge_list(
        self,
        table: Table,
        record: Callable[[Sequence[str | None]], Record],
        elements: Collection[str | None],
        read_at: datetime,
        tally: state.Tally,
        *,
        then: Work[None],
    ) -> None:
        """Merge one record that ``record`` makes of its list, however long; see ``encode_list``."""
        chunk = Chunk()
        chunk.add([{}], read_at)

        def made() -> Made:
            return encode_list(table, record, elements, read_at, self.exclusions), []

        await self._write(made, chunk, [_Merge(table, chunk, tally, False, then)])

    async def _merge(self, merges: Sequence[_Merge]) -> None:
        table, chunk = merges[0].table, Chunk()
        for merge in merges:
            chunk.take_in(merge.chunk)

        def made() -> Made:
            return self._encoding.make(table, chunk.records, chunk.read_at, chunk.completed)

        await self._write(made, chunk, merges)

    async def _write(
        self, made: Callable[[], Made], chunk: Chunk, merges: Sequence[_Merge]
    ) -> None:
        """Write what ``made`` makes of a chunk, and what commits with it."""
        table, tally, by_id = merges[0].table, merges[0].tally, merges[0].by_id

        def work(conn: sa.Connection) -> tuple[Written, int]:
            written = self.loader.write(conn, batch, self.run_id, by_id=by_id, lag=INDEX_LAG)
            self._note_digests(conn, table, chunk.digests, written)
            buried = self._bury(conn, told, max(chunk.read_at, default=None))
            for then in [merge.then for merge in merges if merge.then]:
                then(conn)
            return written, buried

        batch, told = await asyncio.get_running_loop().run_in_executor(self._encoder, made)
        written, buried = await self.do(work)
        tally.deleted += buried
        tally.fetched += len(chunk)
        tally.inserted += written.inserted
        tally.updated += written.updated
        tally.unchanged += written.unchanged + len(written.refused)
        tally.warnings += sum(batch.warnings.values())
        for what, times in batch.warnings.items():
            tally.misfits[what] = tally.misfits.get(what, 0) + times

    async def digests(self, table: Table, ids: Sequence[str]) -> dict[str, int]:
        """The stored digests of these objects, and perhaps of others that are asked for too."""
        return await self._lookups((table, ids))

    async def _look_up(self, wanted: Sequence[tuple[Table, Sequence[str]]]) -> dict[str, int]:
        ids = [key for _, some in wanted for key in some]
        return await self.do(lambda conn: digests.stored(conn, wanted[0][0], ids))

    def _note_digests(
        self,
        conn: sa.Connection,
        table: Table,
        seen: Mapping[str, int | None],
        written: Written,
    ) -> None:
        refused = set(written.refused)
        accepted = {key: value for key, value in seen.items() if key not in refused}
        digests.save(conn, table, {k: v for k, v in accepted.items() if v is not None})
        digests.forget(conn, table, [k for k, v in accepted.items() if v is None])

    # -- what is gone ------------------------------------------------------------------------

    def convict(
        self,
        conn: sa.Connection,
        table: Table,
        gone: Mapping[str, NotFoundError | MergedError],
        now: datetime,
    ) -> int:
        """Mark deleted what Intercom, asked by id, says is gone or merged; how many were marked."""
        merged = {
            key: error.merged_into
            for key, error in gone.items()
            if isinstance(error, MergedError) and error.merged_into
        }
        buried = self._bury(conn, told_by.successions(table, merged, now), now)
        live_on = [key for key, error in gone.items() if isinstance(error, MergedError)]
        return buried + self.mark_deleted(conn, table, dict.fromkeys(gone, now), merged=live_on)

    def mark_deleted(
        self,
        conn: sa.Connection,
        table: Table,
        times: Mapping[str, datetime],
        *,
        exact: bool = False,
        merged: Collection[str] = (),
    ) -> int:
        """Mark rows deleted since these times, ``exact`` if they are Intercom's; how many were.

        ``merged`` are those that live on in others.
        """
        marked = self.loader.mark_deleted(
            conn, table, times, self.run_id, exact=exact, lag=INDEX_LAG, merged=merged
        )
        self._let_go(conn, table, marked)
        return len(marked)

    def tell(
        self, conn: sa.Connection, table: Table, rows: Sequence[Record], at: datetime
    ) -> tuple[Written, int]:
        """Write rows that tell of what is gone; and how many rows of other tables that marked."""
        keys = row_keys(table, rows)[0]
        if not keys:
            return Written(), 0
        batch = encode(table, rows, [at] * len(rows))
        written = self.loader.write(conn, batch, self.run_id, lag=INDEX_LAG)
        return written, self._mark_buried(conn, table, keys, at)

    def mark_gone(self, conn: sa.Connection, table: Table, times: Mapping[str, datetime]) -> int:
        """Mark deleted what a telling table's feed says is gone, unless its rows tell of it."""
        told = self.loader.present(conn, table, list(times))
        left = {key: at for key, at in times.items() if key not in told}
        return self.mark_deleted(conn, _subjects(table), left, exact=True) if left else 0

    def _bury(
        self,
        conn: sa.Connection,
        told: Sequence[tuple[Batch, Sequence[str]]],
        at: datetime | None,
    ) -> int:
        number = 0
        for batch, keys in told:
            self.loader.write(conn, batch, self.run_id, lag=INDEX_LAG)
            if batch.table.buries and at is not None:
                number += self._mark_buried(conn, batch.table, keys, at)
        return number

    def _mark_buried(
        self, conn: sa.Connection, telling: Table, keys: Sequence[str], at: datetime
    ) -> int:
        marked = self.loader.bury(conn, telling, keys, at, self.run_id)
        self._let_go(conn, _subjects(telling), marked)
        return len(marked)

    def _let_go(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> None:
        """What is gone is no known copy and not hidden: should it come back, it is read anew."""
        if ids:
            digests.forget(conn, table, ids)
            absence.reveal(conn, table, ids)

    # -- transactions ------------------------------------------------------------------------

    def _fenced(self, work: Work[T]) -> Work[T]:
        def fenced(conn: sa.Connection) -> T:
            state.fence(conn, self.run_id)
            return work(conn)

        return fenced

    async def _in_thread(self, work: Callable[[], T]) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._thread, work)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            # A transaction once begun ends before the run does; if it takes long, by a rollback.
            _, unfinished = await asyncio.wait([running], timeout=GRACE)
            if unfinished:
                self.database.interrupt()
                await asyncio.wait([running])
            raise

    def close(self) -> None:
        """Wait for the last transaction."""
        self._encoder.shutdown(wait=True)
        self._encoding.close()
        self._thread.shutdown(wait=True)


def _may_join(chosen: Sequence[_Merge], other: _Merge) -> bool:
    """Whether a chunk may be merged with these: its like, and not too large together."""
    first = chosen[0]
    alike = other.tally is first.tally and other.table is first.table
    most = MOST_OBJECTS if first.by_id else MOST_RECORDS
    small = sum(len(merge.chunk) for merge in (*chosen, other)) <= most
    light = sum(merge.chunk.weight for merge in (*chosen, other)) <= MOST_BYTES
    # Of two complete lists of one record nobody would know which is the newer.
    apart = all(merge.chunk.completed.keys().isdisjoint(other.chunk.completed) for merge in chosen)
    return alike and other.by_id == first.by_id and small and light and apart


def _id_of(record: Record | bytes) -> str:
    key = head(record).id if isinstance(record, bytes) else record.get("id")
    return str(tidy(str(key)))


def _subjects(telling: Table) -> Table:
    """The table whose rows a telling table says are gone."""
    assert telling.buries
    return TABLE_BY_NAME[telling.column(telling.buries[0]).refers_to]
