"""What every pass shares: whole records in, one merge, and what commits together with it.

Rows commit together with what they justify, be it a window, a pending entry or the cursor.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from connector.intercom.client import Client
from connector.intercom.paging import CursorSearch, Page
from connector.jsontext import head
from connector.resources.resource import Resource, Search
from connector.sync.ahead import gathered
from connector.sync.known import Sifted, sift
from connector.sync.objects import Found, complete_lists, read_in_lots
from connector.sync.store import INDEX_LAG, Chunk, Store
from connector.warehouse import digests, state
from connector.warehouse.state import Progress, Tally

CHUNK_RECORDS = 750  # five pages: what one transaction takes
CHUNK_BYTES = 4 << 20  # what one transaction takes, however few records that are
CHUNK_OBJECTS = 75  # whole conversations can be large
PLACEHOLDER_TRIES = 3
TOO_FAR = timedelta(days=1)  # before now, where a cursor lies in the future

Then = Callable[[sa.Connection], None]
"""What commits in the same transaction as a write."""


@dataclass
class Pass:
    """What a pass needs to know and to speak to."""

    resource: Resource
    client: Client
    store: Store
    tally: Tally
    began: float  # local time; Intercom's is known better at the end of the pass
    progress: Progress
    lookback: timedelta
    sweep: timedelta  # everything that is read in turn is read again within so long
    timezone: str | None = None  # of the workspace: the days of its searches begin by it
    circumstances: tuple[str, ...] = ()  # beside the mapping, what decides how rows are made
    allow_deletes: bool = False
    changed: Callable[[], None] = lambda: None  # called whenever the tally has moved

    # -- time --------------------------------------------------------------------------------

    def began_at(self) -> datetime:
        """When the pass began, by Intercom's clock as all replies so far bear it out."""
        return self.client.clock.safe_at(self.began)

    def since(self) -> datetime | None:
        """From when on changes are to be read; None before the first load.

        A cursor that lies in Intercom's future skipped what it should not have: a day is read.
        """
        cursor, began_at = self.progress.cursor, self.began_at()
        if cursor is None:
            return None
        if cursor > began_at and self.client.clock.is_borne_out:
            cursor = began_at - TOO_FAR
        return cursor - self.lookback

    def succeeded(self, began_at: datetime, *, full: bool) -> Then:
        """Moves the cursor, in the transaction that writes the last rows of the pass."""
        self.client.clock.warn_if_untold()
        values: dict[str, Any] = {
            "cursor": began_at - INDEX_LAG,
            "fresh_as_of": began_at,
            "last_success_at": self.client.clock.safe_now(),
        }
        if full:
            values |= {
                "last_full_pass_at": began_at,
                "mapping": self.salt.hex(),
                "full_owed_since": None,
                "full_reason": None,
                "plan_began_at": None,
                "plan_since": None,
            }
        name = self.resource.name

        def work(conn: sa.Connection) -> None:
            state.advance(conn, name, **values)
            if full:
                state.drop_windows(conn, name)

        return work

    # -- reading -----------------------------------------------------------------------------

    def search(
        self, reading: Search, body: Mapping[str, Any], per_page: int | None = None
    ) -> CursorSearch:
        """The resource's search with this body."""
        return CursorSearch(
            reading.path,
            reading.key,
            body,
            per_page or reading.per_page,
            params=dict(self.resource.params),
        )

    async def grouped(self, source: AsyncIterator[Page]) -> AsyncGenerator[list[Page], None]:
        """Pages in groups that are worth a transaction, released when the next one is asked for."""
        groups = gathered(source, _is_enough, self.client.memory.short)
        async with aclosing(groups):
            async for group in groups:
                try:
                    yield group
                finally:
                    release(group)

    # -- what is known -----------------------------------------------------------------------

    @cached_property
    def salt(self) -> bytes:
        """What tells digests of this mapping and its circumstances from others."""
        return digests.salt(self.resource.table, *self.circumstances)

    @property
    def may_know(self) -> bool:
        """Whether anything may have been merged before."""
        return self.progress.last_full_pass_at is not None

    async def sift(self, pages: Sequence[Page]) -> Sifted:
        """The pages without what was merged before as it is now."""
        sifted = await sift(self.store, self.resource.table, self.salt, pages, self.may_know)
        left = size(sifted.pages)
        self.tally.fetched += size(pages) - left
        self.tally.unchanged += size(pages) - left
        return sifted

    # -- writing -----------------------------------------------------------------------------

    async def write_changed(self, pages: Sequence[Page], then: Then | None = None) -> list[str]:
        """Of pages of whole records what is not known yet; the ids of all of them."""
        sifted = await self.sift(pages)
        await self.write(sifted.pages, then, sifted.digests)
        return sifted.seen

    async def write(
        self,
        pages: Iterable[Page],
        then: Then | None = None,
        seen: Mapping[str, int | None] | None = None,
        known_lists: Collection[str] = (),
    ) -> None:
        """Pages of whole records, with the lists that they embed only the first ten of.

        ``seen`` are their digests, which are stored with them. The complete lists of
        ``known_lists`` are stored already and not asked for.
        """
        chunk = Chunk(digests=dict(seen or {}))
        for page in pages:
            chunk.add(page.texts, page.requested_at, page.weight)
            self.tally.warnings += page.bad
        await self.write_chunk(chunk, then=then, known_lists=known_lists)

    async def write_chunk(
        self,
        chunk: Chunk,
        *,
        by_id: bool = False,
        settles: Iterable[str] = (),
        then: Then | None = None,
        known_lists: Collection[str] = (),
    ) -> None:
        """A chunk, its lists completed; what cannot be completed becomes pending with it.

        ``settles`` are pending objects that the chunk brings, or shows to be gone.
        """
        table, name = self.resource.table, self.resource.name
        with self.client.memory.urgently():  # who holds records must not wait for room
            chunk.completed, failed = await complete_lists(
                self.client, table, chunk.records, known_lists
            )
        settled = [key for key in settles if key not in failed]
        chunk.digests |= dict.fromkeys(failed)
        now = self.client.clock.safe_now()

        def also(conn: sa.Connection) -> None:
            state.settle(conn, name, settled)
            for key, error in failed.items():
                state.postpone(conn, name, [key], str(error), now)
            if then:
                then(conn)

        await self.store.merge(table, chunk, self.tally, by_id=by_id, then=also)
        self.changed()

    async def read_in_chunks(
        self,
        announced: Mapping[str, Any],
        then: Then | None = None,
        seen: Mapping[str, int | None] | None = None,
    ) -> None:
        """Read objects by id and merge them; ``announced`` is each one's updated_at by search.

        Reading goes on while a chunk is written; ``then`` commits with the last one.
        What cannot be read, or is read older than it was announced, becomes pending; what
        Intercom does not know any more is marked deleted; all with the rows of its chunk.
        ``seen`` are digests of what search showed of them.
        """
        left = len(announced)
        lots = read_in_lots(self.client, self.resource, announced, CHUNK_OBJECTS, CHUNK_BYTES)
        async for found in lots:
            left -= len(found)
            await self._write_found(found, announced, None if left else then, seen or {})
        if not announced and then:
            await self.store.do(then)

    async def _write_found(
        self,
        found: Found,
        announced: Mapping[str, Any],
        then: Then | None,
        seen: Mapping[str, int | None],
    ) -> None:
        resource, table = self.resource, self.resource.table
        stale = [
            key
            for key, (record, _) in found.records.items()
            if _is_older(head(record).updated_at, announced.get(key))
        ]
        chunk = chunk_of(found)
        chunk.digests |= {key: seen.get(key) for key in found.records if key not in stale}
        settled = [key for key in (*found.records, *found.gone) if key not in stale]
        now = self.client.clock.safe_now()
        deleted = 0

        def also(conn: sa.Connection) -> None:
            nonlocal deleted
            state.postpone(conn, resource.name, stale, state.STALE, now)
            for key, error in found.failed.items():
                state.postpone(conn, resource.name, [key], str(error), now)
            deleted = self.store.convict(conn, table, found.gone, now)
            deleted += self.store.mark_deleted(conn, table, dict.fromkeys(found.archived, now))
            if then:
                then(conn)

        await self.write_chunk(chunk, by_id=True, settles=settled, then=also)
        self.tally.deleted += deleted

    async def fill(self, ids: Iterable[str]) -> None:
        """Read placeholders by id; those that Intercom does not show stay, and count a try."""
        lots = read_in_lots(self.client, self.resource, ids, CHUNK_OBJECTS, CHUNK_BYTES)
        async for found in lots:
            await self._fill(found)

    async def _fill(self, found: Found) -> None:
        store, table, now = self.store, self.resource.table, self.client.clock.safe_now()

        def also(conn: sa.Connection) -> None:
            # Reads by id do not lag: what Intercom does not know now it will not know later.
            store.loader.note_tried(conn, table, found.gone, PLACEHOLDER_TRIES)
            store.loader.note_tried(conn, table, found.failed)
            store.convict(conn, table, found.gone, now)
            store.mark_deleted(conn, table, dict.fromkeys(found.archived, now))

        await self.write_chunk(chunk_of(found), by_id=True, then=also)


def chunk_of(found: Found, ids: Iterable[str] | None = None) -> Chunk:
    """What was read by id, or these of it: no digest of a list holds for it."""
    wanted = list(found.records if ids is None else ids)
    chunk = Chunk(digests=dict.fromkeys(wanted))
    for key in wanted:
        record, read_at = found.records[key]
        chunk.add([record], read_at, len(record))
    return chunk


def _is_older(read: Any, announced: Any) -> bool:
    return type(read) is int and type(announced) is int and read < announced


def announced(group: Iterable[Page]) -> dict[str, Any]:
    """The ids that search lists, with the updated_at it gives."""
    return {
        str(head.id): head.updated_at
        for page in group
        for head in page.heads
        if type(head.id) in (str, int)
    }


def release(group: Iterable[Page]) -> None:
    """Give back the bytes in flight that the pages take."""
    for page in group:
        page.release()


def _is_enough(group: list[Page]) -> bool:
    return size(group) >= CHUNK_RECORDS or sum(page.weight for page in group) >= CHUNK_BYTES


def size(group: Iterable[Page]) -> int:
    """How many records the pages hold."""
    return sum(len(page) for page in group)
