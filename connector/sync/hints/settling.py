"""Hints that are due are read, each kind of object in its own way, and settled as they are merged.

What a hint means is declared (``Resource.notified``): an object to be read by id, a short list to
be read whole, or what can only be had of one contact. A copy that is older than what was told, and
an object that was told to be gone and is still shown, is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from functools import partial
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field

from connector.errors import ConnectorError, NotPermittedError
from connector.intercom.budget import spending
from connector.intercom.refusals import MANY as REFUSED
from connector.jsontext import head
from connector.resources.readings import PerContact
from connector.resources.resource import Resource
from connector.sync.fetch_by_id import Found, read_in_batches
from connector.sync.hints import by_search
from connector.sync.hints.effects import PostponeHints, SettleHints
from connector.sync.passes import Passes
from connector.sync.readings.by_id import answers_of, of_found
from connector.sync.readings.dispatch import run_pass
from connector.sync.readings.per_contact import read_contacts
from connector.sync.resource_pass import BATCH_BYTES, BATCH_OBJECTS, Pass, is_older
from connector.sync.steps import STOPS
from connector.tools.tasks import gather, task_group
from connector.warehouse import state
from connector.warehouse.state import inbox, reads
from connector.warehouse.state.inbox import Waiting

logger = logging.getLogger(__name__)

AT_ONCE = 300  # hints that are read before others are looked for
GLANCE = 1.0  # seconds between two looks at what is due, beside the passes of a run
MANY = 2_000  # due hints of one table, from which they are settled by searches
STEP = 5.0  # seconds for which one look at what is due begins readings
OVERTIME = 3.0  # seconds that those may still take
SLOW = 20.0  # seconds for which an object is left alone that was not answered by then
LONGEST_ASIDE = 600.0
LONGEST_PAUSE = 60.0  # seconds for which a table is left alone that cannot be read

Decide = Callable[[Resource, Sequence[str], bool], Awaitable[None]]
"""Marks deleted, of these ids, what was found to be gone, whether or not that was told as well."""


class Pauses(Struct):
    """Tables that Intercom fails for are left alone for a while, each time twice as long.

    So are single objects whose answers do not come, which would hold up all others.
    """

    until: dict[str, tuple[float, float]] = field(default_factory=dict)
    aside: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    searched: by_search.Searched = field(default_factory=dict)

    def failed(self, table: str) -> None:
        """It failed once more."""
        pause = min(2 * self.until.get(table, (0.0, 0.5))[1], LONGEST_PAUSE)
        self.until[table] = (time.monotonic() + pause, pause)

    def put_aside(self, table: str, ids: Iterable[str]) -> None:
        """These were asked for, and no answer came in time."""
        for key in ids:
            pause = min(2 * self.aside.get((table, key), (0.0, SLOW / 2))[1], LONGEST_ASIDE)
            self.aside[table, key] = (time.monotonic() + pause, pause)

    def still_aside(self) -> set[tuple[str, str]]:
        """The objects that are left alone now; those long past are forgotten."""
        now = time.monotonic()
        self.aside = {
            one: (at, pause) for one, (at, pause) in self.aside.items() if at + 2 * pause > now
        }
        return {one for one, (at, _) in self.aside.items() if at > now}

    def is_over(self, table: str) -> bool:
        """Whether it can be tried."""
        return self.until.get(table, (0.0, 0.0))[0] <= time.monotonic()


class Settling(Struct):
    """Settles the hints of one run. ``delay`` is what a hint waits for others, in seconds."""

    passes: Passes
    decide: Decide
    delay: float
    pauses: Pauses = field(default_factory=Pauses)
    tried: set[tuple[str, str]] = field(default_factory=set)  # and still due, by table and id
    error: ConnectorError | None = None  # why the last reading of some kind failed
    cut: bool = False  # whether some were not answered in time
    answered: int = 0  # objects
    _deadline: float = math.inf

    # -- in a run ----------------------------------------------------------------------------

    @asynccontextmanager
    async def beside(self, told_before: datetime) -> AsyncIterator[None]:
        """Settle hints while the block does; at its end all that was told before was tried."""
        over = asyncio.Event()
        async with task_group() as group:
            group.create_task(self._until(over, told_before))
            yield
            over.set()

    async def _until(self, over: asyncio.Event, told_before: datetime) -> None:
        while not over.is_set():
            if await self.step(told_before):
                continue
            try:
                async with asyncio.timeout(GLANCE):
                    await over.wait()
            except TimeoutError:
                continue
        while await self.step(told_before, only=True):
            pass

    def drop_foreign(self, conn: sa.Connection) -> None:
        """What was told of tables that this warehouse does not have read goes."""
        inbox.drop_others(conn, list(self._readers()))

    async def step(
        self, told_before: datetime | None = None, *, only: bool = False, seconds: float = STEP
    ) -> int:
        """Read what is due once; how many hints that were, none if there was nothing to do.

        What was told before is due too, unless it was tried since; ``only``: nothing else is.
        After so many seconds nothing more is asked for, and a little later not waited for.
        """
        self._deadline = time.monotonic() + seconds
        names = [name for name in self._readers() if self.pauses.is_over(name)]
        hints = await self._waiting(names, told_before, only) if names else []
        settled = 0
        try:
            async with asyncio.timeout(seconds + OVERTIME):
                if len(hints) == AT_ONCE:
                    settled, hints = await self._by_search(hints)
                kinds = defaultdict[str, list[Waiting]](list)
                for hint in hints:
                    kinds[hint.resource].append(hint)
                await gather(*(self._try(name, some) for name, some in kinds.items()))
        except TimeoutError:  # what was not committed by then stays due
            self.cut = True
        return settled + len(hints)

    async def _waiting(
        self, names: Sequence[str], told_before: datetime | None, only: bool
    ) -> list[Waiting]:
        aside = self.pauses.still_aside()
        return await self.passes.steps.writer.look(
            lambda conn: inbox.waiting(
                conn, names, AT_ONCE, told_before, self.tried, only=only, without=aside
            )
        )

    # -- which ----------------------------------------------------------------------------------

    def _readers(self) -> dict[str, Resource]:
        return readers(self.passes.selected())

    async def _by_search(self, hints: list[Waiting]) -> tuple[int, list[Waiting]]:
        """Settle by searches what very many hints wait of; how many that were, and what is left."""
        writer, searched, settled = self.passes.steps.writer, self.pauses.searched, 0
        for name, resource in self._readers().items():
            if not by_search.is_possible(resource) or not any(h.resource == name for h in hints):
                continue
            due = await writer.look(partial(inbox.count_due, resource=name))
            if due <= MANY:
                continue

            async def search(work: Pass, due: int = due) -> None:
                nonlocal settled
                settled += await by_search.settle(work, searched, due, self.delay)

            await self._account(resource, search)
            hints = [h for h in hints if h.resource != name or by_search.is_left(h, searched, due)]
        return settled, hints

    # -- how ---------------------------------------------------------------------------------

    async def _try(self, name: str, hints: Sequence[Waiting]) -> None:
        """Read the hints of one table; where Intercom fails altogether they stay due."""
        resource = self._readers()[name]
        if resource.notified.whole_list:
            await self._account(resource, lambda work: self._list(work, hints))
        elif isinstance(resource.reading, PerContact):
            await self._account(resource, lambda work: self._of_contacts(work, hints))
        else:
            await self._account(resource, lambda work: self._by_id(work, hints))

    async def _account(self, resource: Resource, read: Callable[[Pass], Awaitable[None]]) -> None:
        """Read, and count it; what fails is tried again after a while, what is refused is said."""
        steps, name = self.passes.steps, resource.hinted_as
        tally = steps.tally(resource)
        work = self.passes.of(resource, tally, await self.passes.progress(resource))
        try:
            with spending(tally):
                await read(work)
            self.pauses.until.pop(name, None)
        except STOPS:
            raise
        except NotPermittedError as error:
            self.pauses.failed(name)
            logger.warning("what was told of %s may not be read and is dropped: %s", name, error)
            await steps.writer.do(lambda conn: inbox.drop(conn, [name]))
        except ConnectorError as error:
            self.error = error
            self.pauses.failed(name)
            logger.info("what was told of %s could not be read: %s", name, error)
        except Exception:
            self.pauses.failed(name)
            logger.exception("what was told of %s could not be read", name)

    async def _list(self, work: Pass, hints: Sequence[Waiting]) -> None:
        await run_pass(work, full=False)
        await work.writer.commit(SettleHints(hints, self.delay))

    async def _of_contacts(self, work: Pass, hints: Sequence[Waiting]) -> None:
        reading = work.resource.reading
        assert isinstance(reading, PerContact)
        gone = set(await read_contacts(work, reading, [one.id for one in hints]))
        name, names = work.resource.name, work.writer.loader.names
        told = {one.id: one.announced for one in hints if one.announced and one.id not in gone}
        unseen = await work.writer.look(lambda conn: reads.unseen(conn, names, name, told))
        await work.writer.commit(
            SettleHints([one for one in hints if one.id not in unseen], self.delay),
            self._later(
                work, [h for h in hints if h.id in unseen], state.STALE, by_search.SHOWN_AFTER
            ),
        )

    async def _by_id(self, work: Pass, hints: Sequence[Waiting]) -> None:
        """Objects by id; those that were not found are decided on at once."""
        by_id, begun, whole = {one.id: one for one in hints}, set[str](), Found()
        answered = self.answered

        def ids() -> Iterator[str]:
            for key in by_id:
                if time.monotonic() < self._deadline:
                    begun.add(key)
                    yield key

        batches = read_in_batches(
            work.client, work.resource, ids(), BATCH_OBJECTS, BATCH_BYTES, patient=True, prompt=True
        )
        try:
            async with aclosing(batches):
                async for found in batches:
                    whole.failed |= found.failed
                    begun -= {*found.records, *found.gone, *found.failed}
                    found.failed = {}
                    whole.gone |= found.gone
                    whole.archived |= found.archived
                    self.answered += len(found)
                    await self._submit(work, found, by_id)
        except asyncio.CancelledError:
            self.pauses.put_aside(work.resource.hinted_as, begun)
            raise
        if len(whole.failed) >= REFUSED and answered == self.answered:
            raise next(iter(whole.failed.values()))  # it fails for each of many
        await self._postpone(work, whole, by_id)
        for told in (True, False):
            gone = [key for key in (*whole.gone, *whole.archived) if by_id[key].gone is told]
            if gone:
                await self.decide(work.resource, gone, told)

    async def _postpone(self, work: Pass, found: Found, hints: dict[str, Waiting]) -> None:
        """What failed is read again later."""
        reasons = defaultdict[str, list[Waiting]](list)
        for key, error in found.failed.items():
            reasons[str(error)].append(hints[key])
        await work.writer.commit(*(self._later(work, s, reason) for reason, s in reasons.items()))

    async def _submit(self, work: Pass, found: Found, hints: dict[str, Waiting]) -> None:
        """Submit what was read, and settle or postpone its hints with it."""
        left_out = found.without(work.accepts) if work.leaves_out else []
        late = {key for key in found.records if _is_late(found, hints[key])}
        settled = [key for key in found.ids() if key not in late]
        answers = await answers_of(work, found, ())
        submission = of_found(work, found)
        submission.effects = (
            answers,
            SettleHints([hints[key] for key in (*settled, *left_out)], self.delay),
            self._later(work, [hints[key] for key in sorted(late)], state.STALE),
        )
        await work.submit(submission, settles=settled)

    def _later(
        self, work: Pass, hints: Sequence[Waiting], reason: str, at_least: float = 0.0
    ) -> PostponeHints:
        """These are read again later, and not once more by this run for being old."""
        self.tried |= {(one.resource, one.id) for one in hints}
        return PostponeHints(hints, work.resource.name, reason, work.now(), at_least)


def readers(selected: Iterable[Resource]) -> dict[str, Resource]:
    """By the table that hints name the selected resource that reads what they tell."""
    found: dict[str, Resource] = {}
    for resource in selected:
        if resource.notified.kinds:
            found.setdefault(resource.hinted_as, resource)
    return found


def _is_late(found: Found, hint: Waiting) -> bool:
    """Whether what was read is not yet what was told."""
    if hint.gone and hint.id not in found.archived:
        return True
    record: Any = head(found.records[hint.id][0])
    return is_older(record.updated_at, hint.announced)
