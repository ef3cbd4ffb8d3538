"""The writing half as the loop sees it: chunks of records in, committed transactions out.

One thread writes, so that reading goes on meanwhile; what it has begun it finishes, also when the
run is interrupted. Knows no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

import sqlalchemy as sa

from connector.resources.resource import Table
from connector.warehouse import cleaning, erasure, state
from connector.warehouse.batch import Batch
from connector.warehouse.database import Database
from connector.warehouse.encoder import encode
from connector.warehouse.exclusions import Privacy
from connector.warehouse.loader import Loader, Written

GRACE = 3.0  # seconds that a transaction may take to end when the run is interrupted

T = TypeVar("T")
Work = Callable[[sa.Connection], T]

INDEX_LAG = timedelta(minutes=10)
"""So long after a change Intercom's lists and searches may still show what was before it."""


@dataclass
class Chunk:
    """Records of one table that are written together.

    ``completed`` holds complete lists read beside a record, by (record id, link table).
    """

    records: list[Mapping[str, Any]] = field(default_factory=list)
    read_at: list[datetime] = field(default_factory=list)
    completed: dict[tuple[str, str], Sequence[Any]] = field(default_factory=dict)

    def add(self, records: Sequence[Mapping[str, Any]], read_at: datetime) -> None:
        """More records, all asked for at the same time."""
        self.records.extend(records)
        self.read_at.extend([read_at] * len(records))

    def __len__(self) -> int:
        return len(self.records)


class Store:
    """Writes for one run: every transaction first makes sure that the run is still the one."""

    def __init__(self, database: Database, run_id: int, privacy: Privacy | None = None) -> None:
        privacy = privacy or Privacy()
        self.database, self.run_id, self.exclusions = database, run_id, privacy.exclusions
        self.loader = Loader(database.schema, scrubs_deleted=privacy.scrubs_deleted)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="writer")

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

    async def merge(
        self,
        table: Table,
        chunk: Chunk,
        tally: state.Tally,
        *,
        by_id: bool = False,
        then: Work[None] | None = None,
    ) -> Written:
        """Encode and merge a chunk; ``then`` commits with it. Counts into ``tally``."""

        def whole() -> tuple[Batch, Written]:
            batch = encode(table, chunk.records, chunk.read_at, chunk.completed, self.exclusions)

            def work(conn: sa.Connection) -> Written:
                written = self.loader.write(conn, batch, self.run_id, by_id=by_id, lag=INDEX_LAG)
                if then:
                    then(conn)
                return written

            return batch, self.database.write(self._fenced(work))

        batch, written = await self._in_thread(whole)
        tally.fetched += len(chunk)
        tally.inserted += written.inserted
        tally.updated += written.updated
        tally.unchanged += written.unchanged + len(written.refused)
        tally.warnings += sum(batch.warnings.values())
        for what, times in batch.warnings.items():
            tally.misfits[what] = tally.misfits.get(what, 0) + times
        return written

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
        self._thread.shutdown(wait=True)
