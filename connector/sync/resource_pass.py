"""What every pass shares: what it knows, whole records in, submissions out.

A pass reads and completes; what is to commit it hands to the writer, with what that justifies.
"""

from __future__ import annotations

from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field

from connector.intercom.client import Client
from connector.intercom.facts import Fact
from connector.intercom.paging.styles import CursorSearch, Page
from connector.jsontext import decode
from connector.resources import RESOURCES, embedded_in
from connector.resources.lists import Record, doubtful, embedded
from connector.resources.readings import Search
from connector.resources.resource import Resource, Table
from connector.sync.fetch_by_id import distrusted_links, read_complete_lists
from connector.sync.filter_unchanged import Filtered, filter_unchanged
from connector.sync.guards.control import MOST, Control
from connector.sync.guards.embedded_lists import ListSample
from connector.sync.planning.spare import Spare
from connector.sync.writing.effects import (
    Advance,
    Effect,
    NoteOmitted,
    Postpone,
    Settle,
    WantRead,
)
from connector.sync.writing.submission import Submission, pending_key
from connector.sync.writing.writer import INDEX_LAG, Writer
from connector.tools.prefetch import batched
from connector.warehouse import state
from connector.warehouse.merge import deletions
from connector.warehouse.state import candidates
from connector.warehouse.state.cursors import Progress
from connector.warehouse.state.partitions import Span
from connector.warehouse.state.runs import Tally
from connector.warehouse.values.instants import instant

BATCH_RECORDS = 750  # five pages: what one submission takes
BATCH_BYTES = 4 << 20  # what one submission takes, however few records that are
BATCH_OBJECTS = 75  # whole conversations can be large
TOO_FAR = timedelta(days=1)  # before now, where a cursor lies in the future


class Pass(Struct):
    """What a pass needs to know and to speak to."""

    resource: Resource
    client: Client
    writer: Writer
    tally: Tally
    began: float  # local time; Intercom's is known better at the end of the pass
    progress: Progress
    lookback: timedelta
    refresh_interval: timedelta  # what is read in turn is read again within so long
    timezone: str | None = None  # of the workspace: the days of its searches begin by it
    salt: bytes = b""  # what stands for how its rows are made
    is_limited: bool = False  # it is part of what leaves older objects out: no full pass counts
    run_began: float | None = None  # local time, where it is a pass of a run
    spare: Spare = field(default_factory=Spare)
    only_active: bool = False  # who was not active waits for the refresh interval
    leaves_out: tuple[Resource, ...] = ()  # resources over the same table that are not selected
    changed: Callable[[], None] = lambda: None  # called whenever the tally has moved
    tried: set[str] = field(default_factory=set)  # pending ids that this run tried already
    control: Control = field(default_factory=Control)  # what the next search must show
    late: list[datetime] = field(default_factory=list)  # changes that the pass before missed
    sample: ListSample = field(default_factory=ListSample)  # of lists that records embed

    # -- time --------------------------------------------------------------------------------

    def began_at(self) -> datetime:
        """When the pass began, by Intercom's clock as all replies so far bear it out."""
        return self.client.clock.safe_at(self.began)

    def run_began_at(self) -> datetime:
        """The same of the run, so that no pass of it seems to have begun before."""
        began = self.began if self.run_began is None else self.run_began
        return self.client.clock.safe_at(began)

    def now(self) -> datetime:
        """The time by Intercom's clock, as all replies so far bear it out."""
        return self.client.clock.safe_now()

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

    def succeeded(self, began_at: datetime, *, full: bool) -> Advance:
        """Moves the cursor, in the transaction that writes the last rows of the pass."""
        self.client.clock.warn_if_untold()
        values: dict[str, Any] = {
            "cursor": began_at - INDEX_LAG,
            "fresh_as_of": began_at,
            "last_success_at": self.now(),
        }
        if not self.has_baseline:
            values["loaded_at"] = self.now()
        if full:
            values |= {
                "mapping": self.salt.hex(),
                "full_due_since": None,
                "full_reason": None,
                "plan_began_at": None,
                "plan_mapping": None,
            }
        if full and not self.is_limited:
            values["last_full_pass_at"] = began_at
        if isinstance(self.resource.reading, Search):
            values |= self.control.values()
        divided = isinstance(self.resource.reading, Search)  # others have no partitions
        return Advance(self.resource.name, values, ends_plan=full and divided)

    # -- what shows that Intercom is as it is known to be ------------------------------------

    async def choose_control(self) -> None:
        """The row that changed last is what the next search must show."""
        loader, resource = self.writer.loader, self.resource
        found = await self.writer.look(lambda conn: loader.newest(conn, resource, MOST + 1))
        self.control = Control.among(found)

    def refute(self, fact: Fact, detail: str, times: int = 1) -> None:
        """The fact was seen to be false; see ``Observations``."""
        self.client.facts.refute(fact, detail, self.resource.name, times)

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

    async def batched(self, source: AsyncIterator[Page]) -> AsyncGenerator[list[Page], None]:
        """Pages in batches worth a transaction, released when the next one is asked for."""
        short = self.client.memory.short
        batches = batched(source, _measure, BATCH_RECORDS, BATCH_BYTES, short)
        async with aclosing(batches):
            async for batch in batches:
                try:
                    yield batch
                finally:
                    release(batch)

    # -- what is known -----------------------------------------------------------------------

    @property
    def has_baseline(self) -> bool:
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
        loader, table = self.writer.loader, self.resource.table
        here = await self.writer.look(lambda conn: loader.present(conn, table, old, filled=True))
        out = set(old) - here
        return [
            page.only([n for n, head in enumerate(page.heads) if str(head.id) not in out])
            for page in pages
        ]

    async def filter_unchanged(self, pages: Sequence[Page], unsaid: bytes = b"") -> Filtered:
        """The pages without what was merged before as it is now.

        ``unsaid`` stands for what else decides how their records become rows.
        """
        writer, table = self.writer, self.resource.table
        distrusted = bool(distrusted_links(self.client.facts, table))
        baseline = self.has_baseline and not distrusted
        filtered = await filter_unchanged(writer, table, self.salt + unsaid, pages, baseline)
        asked_at = min((page.requested_at for page in pages), default=None)
        if asked_at is not None:
            await writer.dismiss_listed(table, filtered.seen, asked_at)
        left = size(filtered.pages)
        self.tally.fetched += size(pages) - left
        self.tally.unchanged += size(pages) - left
        return filtered

    def omitted(
        self, seen: Iterable[str], asked_at: datetime, span: Span | None = None
    ) -> tuple[Effect, ...]:
        """What a list asked for at that time omits; in a first pass nothing can be missed.

        ``span`` is of ``created_at``, or of ``updated_at`` where a limit is set to that.
        """
        if not self.has_baseline:
            return ()
        before = (self.progress.plan_began_at or self.began_at()) - INDEX_LAG
        by = "updated_at" if self.progress.plan_since else self.resource.table.cut_by
        return (NoteOmitted(self.resource, seen, asked_at, before, span, by),)

    async def contradicted(
        self, ids: Collection[str], asked_at: datetime | None
    ) -> Collection[str]:
        """Those of the ids that a list asked for at that time shows too late to be merely stale.

        What is deleted here already is not, unless the list was asked for ``lag`` after that;
        nor is what is a deletion candidate, which such a list would have dismissed.
        """
        table, writer = self.resource.table, self.writer

        def look(conn: sa.Connection) -> tuple[dict[str, datetime], set[str]]:
            names = deletions.sources(table)
            dead = writer.loader.dead_since(conn, table, list(ids))
            return dead, candidates.answered(conn, names, ids)

        dead, suspects = await writer.look(look)
        return [
            key
            for key in ids
            if key not in suspects
            and (key not in dead or (asked_at is not None and asked_at > dead[key] + writer.lag))
        ]

    @property
    def readers(self) -> tuple[str, ...]:
        """Under which names pending objects stand that a read by id of one of these settles."""
        table = self.resource.table
        return (*(r.name for r in RESOURCES if r.table is table and r.by_id), table.name)

    def owns(self, text: bytes) -> bool:
        """Whether the record, as JSON text, is one of this resource."""
        record = decode(text)
        return all(record.get(name) == value for name, value in self.resource.discriminator)

    def accepts(self, record: Mapping[str, Any]) -> bool:
        """Whether the record belongs to a selected resource: it says so itself."""
        return not any(
            other.discriminator
            and all(record.get(column) == value for column, value in other.discriminator)
            for other in self.leaves_out
        )

    # -- handing over ------------------------------------------------------------------------

    def submission(self, *, by_id: bool = False) -> Submission:
        """One of this pass, empty yet."""
        return Submission(self.resource.table, self.tally, self.resource.name, by_id)

    async def submit_changed(self, pages: Sequence[Page]) -> list[str]:
        """Of pages of whole records what is not known yet; the ids of all of them."""
        filtered = await self.filter_unchanged(pages)
        await self.submit_pages(filtered.pages, digests=filtered.digests)
        return filtered.seen

    async def submit_pages(
        self,
        pages: Iterable[Page],
        *effects: Effect,
        digests: Mapping[str, int | None] | None = None,
        known_lists: Collection[str] = (),
    ) -> Collection[str]:
        """Pages of whole records, with the lists that they embed only the first ten of.

        ``digests`` are stored with them. The complete lists of ``known_lists`` are stored already
        and not asked for. Returns what ``submit`` does.
        """
        submission = self.submission()
        submission.digests, submission.effects = dict(digests or {}), effects
        for page in pages:
            submission.add(page.texts, page.requested_at, page.weight)
            self.tally.warnings += page.bad
        return await self.submit(submission, known_lists=known_lists)

    async def submit(
        self,
        submission: Submission,
        *,
        settles: Iterable[str] = (),
        known_lists: Collection[str] = (),
        whole: bool = True,
    ) -> Collection[str]:
        """Complete the lists of the records and submit them; what cannot be completed is pending.

        ``settles`` are pending objects that they bring, or show to be gone. Records that are not
        ``whole`` say nothing of lists that they leave out. Returns under which ids records are
        pending that Postgres refuses.
        """
        table, name = self.resource.table, self.resource.name
        if not self.resource.by_id:  # only its list can bring what is pending
            settles = [*settles, *(pending_key(table, one) for one in submission.records)]
        looked_at = self._doubtful(submission.records)
        with self.client.memory.urgently():  # who holds records must not wait for room
            lists = await read_complete_lists(self.client, table, looked_at, known_lists)
        first = not self.has_baseline
        self.sample.offer(table, submission.records, known_lists, first=first)
        submission.complete_lists, failed = lists.lists, lists.failed
        asked_at = min(submission.read_at, default=None)
        missing = await self.contradicted(lists.missing, asked_at) if lists.missing else ()
        settled = [key for key in settles if key not in failed and key not in missing]
        submission.digests |= dict.fromkeys((*failed, *lists.missing))
        reasons = {key: str(error) for key, error in failed.items()}
        reasons |= dict.fromkeys(sorted(missing), state.CONTRADICTION)
        submission.effects = (
            Settle((*self.readers, name), settled),
            Postpone(name, reasons, self.now()),
            *(_lacking(table, looked_at.values()) if whole else ()),
            *submission.effects,
        )
        refused = await self.writer.submit(submission)
        self.changed()
        return refused

    def _doubtful(self, records: Sequence[Record | bytes]) -> Mapping[int, Record]:
        """By their places, those whose lists are looked at: all, once records embed too little."""
        if distrusted_links(self.client.facts, self.resource.table):
            decoded = (decode(one) if isinstance(one, bytes) else one for one in records)
            return dict(enumerate(decoded))
        return doubtful(self.resource.table, records)


def _lacking(table: Table, records: Collection[Record]) -> Iterator[Effect]:
    """Whose records do not embed a list that they should, so that it is asked for by contact."""
    for resource, link in embedded_in(table):
        found = [record.get("id") for record in records if embedded(link, record)[1] is None]
        ids = {str(key) for key in found if type(key) in (str, int)}
        if ids:
            yield WantRead(resource.name, ids)


def _is_before(updated_at: Any, limit: datetime) -> bool:
    return type(updated_at) is int and updated_at < limit.timestamp()


def is_older(read: Any, announced: Any) -> bool:
    """Whether the first of two values of updated_at is older; not where one of them is none."""
    mine, theirs = as_instant(read), as_instant(announced)
    return mine is not None and theirs is not None and mine < theirs


def as_instant(value: Any) -> datetime | None:
    """The instant that a value of updated_at names, as Intercom sends it or as it is kept."""
    return value if isinstance(value, datetime) else instant(value)


def announced(pages: Iterable[Page]) -> dict[str, Any]:
    """The ids that search lists, with the updated_at it gives."""
    return {
        str(head.id): head.updated_at
        for page in pages
        for head in page.heads
        if type(head.id) in (str, int)
    }


def release(pages: Iterable[Page]) -> None:
    """Give back the bytes in flight that the pages take."""
    for page in pages:
        page.release()


def _measure(page: Page) -> tuple[int, int]:
    return len(page), page.weight


def size(pages: Iterable[Page]) -> int:
    """How many records the pages hold."""
    return sum(len(page) for page in pages)
