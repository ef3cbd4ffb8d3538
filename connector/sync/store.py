"""The writing half as the loop sees it: chunks of records in, committed transactions out.

One thread encodes and one writes, so that reading goes on meanwhile; a transaction once begun is
finished, also when the run is interrupted. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from connector.errors import MergedError, NotFoundError, RowRefusedError
from connector.intercom.refusals import MANY
from connector.jsontext import decode, head
from connector.resources import TABLES
from connector.resources.lists import Record
from connector.resources.resource import Resource, Table
from connector.sync.tools.coalesce import Joint
from connector.warehouse import state
from connector.warehouse.encode import derived as told_by
from connector.warehouse.encode.batch import Batch
from connector.warehouse.encode.encoder import encode, encode_list, row_keys
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.encode.worker import Encoding, Made
from connector.warehouse.merge import deletions
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.merge.loader import Loader, Written
from connector.warehouse.privacy import cleaning, erasure, pinning
from connector.warehouse.schema import foreign_keys
from connector.warehouse.sql.database import Database
from connector.warehouse.state import candidates, digests
from connector.warehouse.values.fields import tidy

MOST_RECORDS = 3_000  # of several chunks in one transaction
MOST_OBJECTS = 150  # the same of whole conversations, which can be large
MOST_BYTES = 8 << 20  # and of their texts: encoding takes a multiple of them for a while
LONGEST_KEY = 500  # characters of a key that is no id of Intercom's
GRACE = 3.0  # seconds that a transaction may take to end when the run is interrupted

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

INDEX_LAG = timedelta(minutes=10)
"""So long after a change Intercom's lists and searches may still show what was before it."""


@dataclass
class Chunk:
    """Records of one table that are written together, decoded or as JSON text.

    ``completed`` holds complete lists read beside a record, by (its place, link table).
    ``digests`` are what lists showed of the records, by id; None takes a stored digest away.
    ``weight`` is the size of the records in bytes.
    """

    records: list[Record | bytes] = field(default_factory=list)
    read_at: list[datetime] = field(default_factory=list)
    completed: dict[tuple[int, str], Sequence[Any]] = field(default_factory=dict)
    digests: dict[str, int | None] = field(default_factory=dict)
    weight: int = 0

    def add(self, records: Sequence[Record | bytes], read_at: datetime, weight: int = 0) -> None:
        """More records of so many bytes, all asked for at the same time."""
        self.weight += weight
        self.records.extend(records)
        self.read_at.extend([read_at] * len(records))

    def take_in(self, other: Chunk) -> None:
        """The other's records too; of two digests of one record neither is known to hold."""
        before = len(self.records)
        self.weight += other.weight
        self.records.extend(other.records)
        self.read_at.extend(other.read_at)
        for (place, name), elements in other.completed.items():
            self.completed[before + place, name] = elements
        for key, digest in other.digests.items():
            same = self.digests.get(key, digest) == digest
            self.digests[key] = digest if same else None

    def halves(self) -> tuple[Chunk, Chunk]:
        """The same records in two chunks."""
        middle = len(self) // 2
        return self._part(0, middle), self._part(middle, len(self))

    def pieces(self, weight: int, most: int) -> Iterator[Chunk]:
        """The chunk, or as many as it takes that each has no more than so many bytes and records.

        A single record may have more. All copies of one record stand in their order.
        """
        if self.weight <= weight and len(self) <= most:
            yield self
            return
        first, held, each = 0, 0, self.weight // max(len(self), 1)
        for place, record in enumerate(self.records):
            size = len(record) if isinstance(record, bytes) else each
            if place > first and (held + size > weight or place - first >= most):
                yield self._part(first, place, held)
                first, held = place, 0
            held += size
        last = self._part(first, len(self), held)
        last.digests |= {key: None for key, digest in self.digests.items() if digest is None}
        yield last

    def _part(self, first: int, end: int, weight: int = 0) -> Chunk:
        """The records at these places, with what belongs to them."""
        lists = {
            (place - first, name): elements
            for (place, name), elements in self.completed.items()
            if first <= place < end
        }
        records = self.records[first:end]
        ids = {_id_of(record) for record in records}
        digests = {key: digest for key, digest in self.digests.items() if key in ids}
        return Chunk(records, self.read_at[first:end], lists, digests, weight)

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
    resource: str = ""  # under whose name a record that Postgres refuses is pending


class Store:
    """Writes for one run: every transaction first makes sure that the run is still the one."""

    def __init__(
        self,
        database: Database,
        run_id: int,
        privacy: Privacy | None = None,
        fuse: Fuse | None = None,
        lag: timedelta = INDEX_LAG,
    ) -> None:
        privacy = privacy or Privacy()
        self.fuse, self.lag = fuse or Fuse(), lag
        self.doubts = set[str]()  # tables of which there may be deletion candidates
        self.database, self.run_id, self.exclusions = database, run_id, privacy.exclusions
        self.loader = Loader(
            database.schema,
            scrubs_deleted=privacy.scrubs_deleted,
            signatures=self.exclusions.signatures,
            fuse=self.fuse,
        )
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

    async def clean(self, *, pins: bool) -> None:
        """Empty what is newly excluded, and who was merged into a forgotten contact.

        ``pins``: the exclusions are those of this schema from now on.
        """
        names, exclusions, run_id = self.loader.names, self.exclusions, self.run_id

        def begin(conn: sa.Connection) -> None:
            pinning.apply(conn, exclusions, pins=pins)
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
        resource: str = "",
    ) -> None:
        """Encode and merge a chunk; ``then`` commits with it. Counts into ``tally``.

        Chunks of one table that wait at the same time are merged in one transaction. A record
        that Postgres refuses becomes pending under the resource's name (by default the table's);
        RowRefusedError if it refuses many and takes none.
        """
        name = resource or table.name
        *first, last = chunk.pieces(MOST_BYTES, MOST_RECORDS)
        for piece in first:
            await self._merges(_Merge(table, piece, tally, by_id, None, name))
        await self._merges(_Merge(table, last, tally, by_id, then, name))

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
        """Merge one record that ``record`` makes of its list, however long; see ``encode_list``.

        RowRefusedError where Postgres does not take it.
        """
        chunk = Chunk()
        chunk.add([{}], read_at)

        def made() -> Made:
            return encode_list(table, record, elements, read_at, self.exclusions), []

        await self._write(made, chunk, [_Merge(table, chunk, tally, False, then)])

    async def _merge(self, merges: Sequence[_Merge]) -> None:
        try:
            await self._merge_together(merges)
        except RowRefusedError as error:
            if len(merges) > 1:
                for merge in merges:
                    await self._merge([merge])
            else:
                await self._merge_apart(merges[0], error)

    async def _merge_apart(self, merge: _Merge, error: RowRefusedError) -> None:
        """Merge what Postgres takes of a chunk, and then what commits with it."""
        refused: dict[str, RowRefusedError] = {}
        alone = replace(merge, then=None)
        taken = await self._halved(alone, error, refused) if len(merge.chunk) else 0
        if not merge.chunk.records or (len(refused) >= MANY and not taken):
            raise error
        now = max(merge.chunk.read_at)

        def finish(conn: sa.Connection) -> None:
            if merge.then:
                merge.then(conn)
            digests.forget(conn, merge.table, refused)
            for key, refusal in refused.items():
                state.postpone(conn, merge.resource, [key], str(refusal), now)

        await self.do(finish)

    async def _halved(
        self, merge: _Merge, error: RowRefusedError, refused: dict[str, RowRefusedError]
    ) -> int:
        """Merge the halves of what Postgres refuses as one; how many records it takes."""
        if len(merge.chunk) == 1:
            refused[pending_key(merge.table, merge.chunk.records[0])] = error
            return 0
        taken = 0
        for half in merge.chunk.halves():
            part = replace(merge, chunk=half)
            try:
                await self._merge_together([part])
                taken += len(half)
            except RowRefusedError as refusal:
                taken += await self._halved(part, refusal, refused)
        return taken

    async def _merge_together(self, merges: Sequence[_Merge]) -> None:
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
            written = self.loader.write(conn, batch, self.run_id, by_id=by_id, lag=self.lag)
            self._note_digests(conn, table, chunk.digests, written)
            buried = self._bury(conn, told, max(chunk.read_at, default=None))
            for then in [merge.then for merge in merges if merge.then]:
                then(conn)
            self._read_again(conn, table, written, max(chunk.read_at, default=None))
            return written, buried

        batch, told = await asyncio.get_running_loop().run_in_executor(self._encoder, made)
        written, buried = await self.do(work)
        for name in written.held:
            tally.status, tally.error = "failed", self.fuse.error(name)
        tally.deleted += buried
        tally.fetched += len(chunk)
        tally.inserted += written.inserted
        tally.updated += written.updated
        tally.unchanged += written.unchanged + len(written.refused)
        warnings = batch.warnings_of(written.keys)
        tally.warnings += warnings.total()
        for what, times in warnings.items():
            tally.misfits[what] = tally.misfits.get(what, 0) + times

    def _read_again(
        self, conn: sa.Connection, table: Table, written: Written, now: datetime | None
    ) -> None:
        """Whose children were held back is no known copy, and pending."""
        for name, owners in written.held.items():
            assert now is not None
            digests.forget(conn, table, owners)
            waits_under = deletions.reads_children(table, name)
            state.doubt(conn, waits_under, owners, state.HELD, now)

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

    def not_found(
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
        table, names = resource.table, self.loader.names
        state.settle(conn, deletions.keyed_by(table), [*gone, *archived])
        merged = {
            key: error.merged_into
            for key, error in gone.items()
            if isinstance(error, MergedError) and error.merged_into
        }
        told = told_by.successions(table, merged, now, self.exclusions)
        self._bury(conn, told, now)
        live_on = [key for key, error in gone.items() if isinstance(error, MergedError)]
        for what, ids in (
            (candidates.GONE, gone.keys() - set(live_on)),
            (candidates.MERGED, live_on),
            (candidates.ARCHIVED, archived),
        ):
            times = dict.fromkeys(sorted(ids))
            candidates.answer(conn, names, table, resource.name, what, times, now)
        if gone or archived:
            self.doubts.add(table.name)

    def claim(
        self,
        conn: sa.Connection,
        table: Table,
        source: str,
        times: Mapping[str, datetime],
        now: datetime,
        what: str = candidates.TOLD,
    ) -> None:
        """Candidates of what Intercom's feeds and records say, now, is gone since these times.

        Of what does not live here nothing is at stake: its times are corrected at once.
        """
        living = self.loader.living(conn, table, list(times))
        known = {key: at for key, at in times.items() if key in living}
        candidates.answer(conn, self.loader.names, table, source, what, known, now)
        others = {key: at for key, at in times.items() if key not in living}
        if others:
            self.loader.mark_deleted(conn, table, others, self.run_id, exact=True, lag=self.lag)
        if known:
            self.doubts.add(table.name)

    def never_lived(
        self, conn: sa.Connection, table: Table, archived: Collection[str], now: datetime
    ) -> int:
        """Mark deleted what came in only now, and says of itself that it was archived."""
        times = dict.fromkeys(sorted(archived), now)
        return len(self.loader.mark_deleted(conn, table, times, self.run_id, lag=self.lag))

    def tell(
        self, conn: sa.Connection, table: Table, rows: Sequence[Record], at: datetime
    ) -> tuple[Written, int]:
        """Write rows that tell of what is gone; and how many placeholders that marked."""
        keys = row_keys(table, rows)[0]
        if not keys:
            return Written(), 0
        batch = encode(table, rows, [at] * len(rows), None, self.exclusions)
        written = self.loader.write(conn, batch, self.run_id, lag=self.lag)
        return written, self._mark_buried(conn, table, keys, at)

    def tell_gone(
        self,
        conn: sa.Connection,
        resource: Resource,
        times: Mapping[str, datetime],
        now: datetime,
    ) -> None:
        """Candidates of what a telling table's feed says is gone, unless its rows tell of it."""
        told = self.loader.present(conn, resource.table, list(times))
        left = {key: at for key, at in times.items() if key not in told}
        if left:
            self.claim(conn, deletions.subjects(resource.table), resource.name, left, now)

    def _bury(
        self,
        conn: sa.Connection,
        told: Sequence[tuple[Batch, Sequence[str]]],
        at: datetime | None,
    ) -> int:
        number = 0
        for batch, keys in told:
            self.loader.write(conn, batch, self.run_id, lag=self.lag)
            if batch.table.buries and at is not None:
                number += self._mark_buried(conn, batch.table, keys, at)
        return number

    def _mark_buried(
        self, conn: sa.Connection, telling: Table, keys: Sequence[str], at: datetime
    ) -> int:
        table = deletions.subjects(telling)
        marked = self.loader.bury(conn, telling, keys, at, self.run_id)
        deletions.let_go(conn, table, marked)
        living = self.loader.buried(conn, telling, keys)
        if living:
            times = {key: when or at for key, when in living.items()}
            self.claim(conn, table, table.name, times, at, candidates.MERGED)
        return len(marked)

    def decide(
        self, conn: sa.Connection, table: Table, found: Sequence[deletions.Candidate]
    ) -> deletions.Verdict:
        """Mark these candidates deleted, or as many as the fuse allows."""
        return deletions.decide(conn, self.loader, table, found, self.fuse, self.run_id, self.lag)

    async def shown(self, table: Table, ids: Sequence[str], asked_at: datetime) -> None:
        """A list asked for at that time shows these: late enough, they are no candidates."""
        if table.name in self.doubts and ids:
            names = deletions.sources(table)
            await self.do(lambda conn: candidates.dismiss(conn, names, ids, asked_at, self.lag))

    def read_alive(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> None:
        """Reads by id showed these: they are no candidates."""
        if table.name in self.doubts and ids:
            candidates.dismiss(conn, deletions.sources(table), ids)

    async def find_doubts(self) -> None:
        """Remember of which tables there are candidates, so that others cost nothing."""
        doubted = await self.do(candidates.doubted)
        self.doubts |= {t.name for t in TABLES if not doubted.isdisjoint(deletions.sources(t))}

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


def pending_key(table: Table, record: Record | bytes) -> str:
    """The id under which a record is pending: its own, its contact's, or what else is its key."""
    decoded = decode(record) if isinstance(record, bytes) else record
    names = ("contact_id",) if "contact_id" in table.key else table.key
    return " ".join(str(decoded.get(name)) for name in names)[:LONGEST_KEY]


def _may_join(chosen: Sequence[_Merge], other: _Merge) -> bool:
    """Whether a chunk may be merged with these: its like, and not too large together."""
    first = chosen[0]
    alike = other.tally is first.tally and other.table is first.table
    most = MOST_OBJECTS if first.by_id else MOST_RECORDS
    small = sum(len(merge.chunk) for merge in (*chosen, other)) <= most
    light = sum(merge.chunk.weight for merge in (*chosen, other)) <= MOST_BYTES
    return alike and other.by_id == first.by_id and small and light


def _id_of(record: Record | bytes) -> str:
    key = head(record).id if isinstance(record, bytes) else record.get("id")
    return str(tidy(str(key)))
