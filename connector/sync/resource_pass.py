"""What every pass shares: whole records in, one merge, and what commits together with it.

Rows commit together with what they justify, be it a window, a pending entry or the cursor.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.errors import MergedError
from connector.intercom.client import Client
from connector.intercom.paging.styles import CursorSearch, Page
from connector.jsontext import head
from connector.resources import RESOURCES
from connector.resources.resource import Resource, Search
from connector.sync.fetch_by_id import Found, complete_lists, read_in_lots
from connector.sync.filter_unchanged import Sifted, sift
from connector.sync.store import INDEX_LAG, Chunk, Store
from connector.sync.tools.prefetch import batched
from connector.warehouse import state
from connector.warehouse.merge import deletions
from connector.warehouse.state import candidates
from connector.warehouse.state.cursors import Progress
from connector.warehouse.state.runs import Tally
from connector.warehouse.values.instants import instant

CHUNK_RECORDS = 750  # five pages: what one transaction takes
CHUNK_BYTES = 4 << 20  # what one transaction takes, however few records that are
CHUNK_OBJECTS = 75  # whole conversations can be large
PLACEHOLDER_TRIES = 3
TOO_FAR = timedelta(days=1)  # before now, where a cursor lies in the future

Then = Callable[[sa.Connection], None]
"""What commits in the same transaction as a write."""

Contradicted = Callable[["Pass", Sequence[str]], Awaitable[Collection[str]]]
"""Of objects that a read by id did not find: those that lists show all the same."""


async def by_nothing(work: Pass, ids: Sequence[str]) -> Collection[str]:
    """Nobody listed them: an answer by id stands."""
    return ()


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
    salt: bytes = b""  # what stands for how its rows are made
    is_limited: bool = False  # it is part of what leaves older objects out: no full pass counts
    run_began_at: datetime | None = None  # by Intercom's clock
    leaves_out: tuple[Resource, ...] = ()  # resources over the same table that are not selected
    changed: Callable[[], None] = lambda: None  # called whenever the tally has moved
    tried: set[str] = field(default_factory=set)  # pending ids that this run tried already

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
                "mapping": self.salt.hex(),
                "full_owed_since": None,
                "full_reason": None,
                "plan_began_at": None,
                "plan_mapping": None,
            }
        if full and not self.is_limited:
            values["last_full_pass_at"] = began_at
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
        groups = batched(source, _is_enough, self.client.memory.short)
        async with aclosing(groups):
            async for group in groups:
                try:
                    yield group
                finally:
                    release(group)

    # -- what is known -----------------------------------------------------------------------

    @property
    def may_know(self) -> bool:
        """Whether anything may have been merged before: a first load has ended."""
        return self.progress.cursor is not None

    async def wanted(self, pages: Sequence[Page]) -> Sequence[Page]:
        """The pages without what is older than the limit of ``backfill --since``, and not here."""
        limit = self.progress.plan_since
        if limit is None:
            return pages
        old = [str(h.id) for page in pages for h in page.heads if _is_before(h.updated_at, limit)]
        if not old:
            return pages
        loader, table = self.store.loader, self.resource.table
        here = await self.store.do(lambda conn: loader.present(conn, table, old, filled=True))
        out = set(old) - here
        return [
            page.only([n for n, head in enumerate(page.heads) if str(head.id) not in out])
            for page in pages
        ]

    async def sift(self, pages: Sequence[Page]) -> Sifted:
        """The pages without what was merged before as it is now."""
        sifted = await sift(self.store, self.resource.table, self.salt, pages, self.may_know)
        asked_at = min((page.requested_at for page in pages), default=None)
        if asked_at is not None:
            await self.store.shown(self.resource.table, sifted.seen, asked_at)
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
            lists = await complete_lists(self.client, table, chunk.records, known_lists)
        chunk.completed, failed = lists.lists, lists.failed
        asked_at = min(chunk.read_at, default=None)
        missing = await self.contradicted(lists.missing, asked_at) if lists.missing else ()
        settled = [key for key in settles if key not in failed and key not in missing]
        chunk.digests |= dict.fromkeys((*failed, *lists.missing))
        now = self.client.clock.safe_now()

        def also(conn: sa.Connection) -> None:
            state.settle(conn, self.readers, settled)
            for key, error in failed.items():
                state.postpone(conn, name, [key], str(error), now)
            state.postpone(conn, name, missing, state.CONTRADICTION, now)
            if then:
                then(conn)

        await self.store.merge(table, chunk, self.tally, by_id=by_id, then=also, resource=name)
        self.changed()

    async def read_in_chunks(
        self,
        announced: Mapping[str, Any],
        then: Then | None = None,
        seen: Mapping[str, int | None] | None = None,
        contradicted: Contradicted = by_nothing,
    ) -> None:
        """Read objects by id and merge them; ``announced`` is each one's updated_at by search.

        Reading goes on while a chunk is written; ``then`` commits with the last one.
        What cannot be read, or is read older than it was announced, becomes pending, and so does
        what Intercom does not know any more while its lists show it; what it does not know
        becomes a deletion candidate; all with the rows of its chunk.
        ``seen`` are digests of what search showed of them.
        """
        left = len(announced)
        lots = read_in_lots(self.client, self.resource, announced, CHUNK_OBJECTS, CHUNK_BYTES)
        async for found in lots:
            left -= len(found)
            last = None if left else then
            await self.write_found(found, announced, last, seen or {}, contradicted)
        if not announced and then:
            await self.store.do(then)

    async def write_found(
        self,
        found: Found,
        announced: Mapping[str, Any],
        then: Then | None,
        seen: Mapping[str, int | None],
        contradicted: Contradicted = by_nothing,
    ) -> None:
        """Merge what was read by id, and note what was not found; see ``read_in_chunks``."""
        resource, table = self.resource, self.resource.table
        stale = [
            key
            for key, (record, _) in found.records.items()
            if _is_older(head(record).updated_at, announced.get(key))
        ]
        chunk = chunk_of(found)
        chunk.digests |= {key: seen.get(key) for key in found.records if key not in stale}
        doubted = await self._doubted(found, contradicted)
        settled = [key for key in found.ids() if key not in doubted and key not in stale]
        lived = await self.store.do(
            lambda conn: self.store.loader.living(conn, table, list(found.archived))
        )
        now = self.client.clock.safe_now()
        deleted = 0

        def also(conn: sa.Connection) -> None:
            nonlocal deleted
            state.postpone(conn, resource.name, stale, state.STALE, now)
            state.postpone(conn, resource.name, doubted, state.CONTRADICTION, now)
            for key, error in found.failed.items():
                state.postpone(conn, resource.name, [key], str(error), now)
            deleted = self._note_gone(conn, found, doubted, lived, now)
            if then:
                then(conn)

        await self.write_chunk(chunk, by_id=True, settles=settled, then=also)
        self.tally.deleted += deleted

    async def _doubted(self, found: Found, contradicted: Contradicted) -> Collection[str]:
        """What was not found, or found archived, while lists show it; a merge is told plainly."""
        missing = [k for k, error in found.gone.items() if not isinstance(error, MergedError)]
        missing += sorted(found.archived)
        return await contradicted(self, missing) if missing else ()

    def _note_gone(
        self,
        conn: sa.Connection,
        found: Found,
        doubted: Collection[str],
        lived: Collection[str],
        now: datetime,
    ) -> int:
        """Candidates of what is gone; how many rows, that came in archived, were marked."""
        table, store = self.resource.table, self.store
        gone = {key: error for key, error in found.gone.items() if key not in doubted}
        archived = [key for key in sorted(found.archived) if key not in doubted]
        alive = [key for key in found.records if key not in found.archived]
        store.read_alive(conn, table, alive)
        known = [key for key in archived if key in lived]
        store.not_found(conn, self.resource, gone, known, now)
        new = [key for key in archived if key not in lived]
        return store.never_lived(conn, table, new, now) if new else 0

    async def write_answers(self, found: Found, then: Then | None = None) -> list[str]:
        """Merge candidates that are there after all, and note the answers about the others.

        Returns the ids of those that live. What failed becomes pending.
        """
        resource, table, store = self.resource, self.resource.table, self.store
        alive = [key for key in found.records if key not in found.archived]
        now = self.client.clock.safe_now()

        def also(conn: sa.Connection) -> None:
            store.read_alive(conn, table, alive)
            store.not_found(conn, resource, found.gone, found.archived, now)
            for key, error in found.failed.items():
                state.postpone(conn, resource.name, [key], str(error), now)
            if then:
                then(conn)

        await self.write_chunk(chunk_of(found, alive), by_id=True, settles=alive, then=also)
        return alive

    async def contradicted(
        self, ids: Collection[str], asked_at: datetime | None
    ) -> Collection[str]:
        """Those of the ids that a list asked for at that time shows too late to be merely stale.

        What is deleted here already is not, unless the list was asked for ``lag`` after that;
        nor is what is a deletion candidate, which such a list would have dismissed.
        """
        table, store = self.resource.table, self.store

        def look(conn: sa.Connection) -> tuple[dict[str, datetime], set[str]]:
            names = deletions.sources(table)
            dead = store.loader.dead_since(conn, table, list(ids))
            return dead, candidates.answered(conn, names, ids)

        dead, suspects = await store.do(look)
        return [
            key
            for key in ids
            if key not in suspects
            and (key not in dead or (asked_at is not None and asked_at > dead[key] + store.lag))
        ]

    @property
    def readers(self) -> tuple[str, ...]:
        """Under which names pending objects stand that a read by id of one of these settles."""
        table = self.resource.table
        return (*(r.name for r in RESOURCES if r.table is table and r.by_id), table.name)

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Whether the record belongs to a selected resource: it says so itself."""
        return not any(
            other.owns and all(record.get(column) == value for column, value in other.owns)
            for other in self.leaves_out
        )

    async def fill(self, ids: Iterable[str]) -> None:
        """Read placeholders by id. Those that Intercom does not know stay, and are not tried again.

        So do those that belong to resources which are not selected. What cannot be read becomes
        pending.
        """
        lots = read_in_lots(self.client, self.resource, ids, CHUNK_OBJECTS, CHUNK_BYTES)
        async for found in lots:
            await self._fill(found)

    async def _fill(self, found: Found) -> None:
        left_out = found.without(self.accepts) if self.leaves_out else []
        table, loader = self.resource.table, self.store.loader

        def also(conn: sa.Connection) -> None:
            # Reads by id do not lag: what Intercom does not know now it will not know later.
            loader.note_tried(conn, table, [*found.gone, *left_out], PLACEHOLDER_TRIES)

        await self.write_found(found, {}, also, {})


def chunk_of(found: Found, ids: Iterable[str] | None = None) -> Chunk:
    """What was read by id, or these of it: no digest of a list holds for it."""
    wanted = list(found.records if ids is None else ids)
    chunk = Chunk(digests=dict.fromkeys(wanted))
    for key in wanted:
        record, read_at = found.records[key]
        chunk.add([record], read_at, len(record))
    return chunk


def _is_before(updated_at: Any, limit: datetime) -> bool:
    return type(updated_at) is int and updated_at < limit.timestamp()


def _is_older(read: Any, announced: Any) -> bool:
    mine, theirs = instant(read), instant(announced)
    return mine is not None and theirs is not None and mine < theirs


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
