"""Lists that Intercom shows for one contact at a time: each contact is read in its turn.

Whose turn it is ``turns`` says.
"""

from __future__ import annotations

import logging
from collections.abc import (
    AsyncGenerator,
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Mapping,
    Sequence,
)
from contextlib import ExitStack, aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from connector.errors import (
    IntercomError,
    MergedError,
    NotFoundError,
)
from connector.intercom.client import Client
from connector.intercom.facts import NOTES_COUNTED
from connector.intercom.memory import Share
from connector.intercom.paging.styles import (
    EventPages,
    NumberedPages,
    Page,
    Style,
    WholeList,
    pages,
)
from connector.intercom.refusals import MANY, Asked, Meaning, meaning
from connector.intercom.retry import QUICK
from connector.jsontext import decode
from connector.resources import PERSONS
from connector.resources.readings import PerContact
from connector.sync.fetch_by_id import at_once
from connector.sync.planning.turns import since_of, turns_of
from connector.sync.readings.in_turn import Lack, began_at_of, holding
from connector.sync.resource_pass import BATCH_BYTES, Pass
from connector.sync.writing.effects import NoteRead, Postpone, Queue
from connector.tools.prefetch import batched, concurrently
from connector.warehouse import state
from connector.warehouse.merge import deletions
from connector.warehouse.state import candidates, reads
from connector.warehouse.state.reads import Short, Turn
from connector.warehouse.values.instants import instant

logger = logging.getLogger(__name__)

BATCH_CONTACTS = 100  # contacts whose answers are written together
PIECE = 1 << 19  # bytes of one contact's rows that are written before its list has ended
DOUBTED_READS = 1  # so often a list that is shorter than counted is not believed to be complete
READS_SOON = 2  # so often the very next run asks for it again, then ever more rarely
READS_MOST = 6  # after so many the count is taken to be wrong


async def per_contact(work: Pass, reading: PerContact, *, full: bool) -> None:
    """Read the contacts whose turn it is."""
    began_at = await began_at_of(work, full)
    await _expect(work, reading)
    turns = turns_of(work, reading, began_at, full)
    async with aclosing(_read_all(work, reading, turns, full=full)) as batches:
        async for found in batches:
            await _submit(work, reading, found)
            if work.tally.asked is not None:
                work.tally.asked += len(found)
    await work.writer.commit(work.succeeded(began_at, full=full))


async def _expect(work: Pass, reading: PerContact) -> None:
    """In a first load: how many contacts are to be read, for whoever watches."""
    if work.has_baseline or reading.embedded:
        return
    names, name = work.writer.loader.names, work.resource.name
    column = reading.counted[2] if reading.counted else ""
    work.tally.expected = await work.writer.look(
        lambda conn: reads.unread(conn, names, name, column)
    )
    work.tally.asked = 0


async def read_contacts(work: Pass, reading: PerContact, ids: Sequence[str]) -> list[str]:
    """Read these contacts, whether or not it is their turn; those that Intercom does not know."""

    async def named() -> AsyncGenerator[list[Turn], None]:
        yield [Turn(key) for key in ids]

    gone: list[str] = []
    async with aclosing(_read_all(work, reading, named())) as batches:
        async for found in batches:
            await _submit(work, reading, found)
            gone += found.gone
    return gone


class Read:
    """What a number of contacts answered: their lists, and those that could not be read.

    ``lists`` hold what is not written yet, as JSON texts; ``numbers`` are how many elements each
    list had, ``shares`` the bytes in flight that the texts take.
    """

    def __init__(self) -> None:
        self.lists: dict[str, tuple[list[bytes], datetime]] = {}
        self.parts: dict[str, tuple[list[bytes], datetime]] = {}  # what could be had of the failed
        self.numbers: dict[str, int] = {}
        self.gone: dict[str, IntercomError] = {}
        self.failed: dict[str, IntercomError] = {}
        self.shares: list[Share] = []
        self.in_part: set[str] = set()  # whose lists were read as far as they could hold news

    def __len__(self) -> int:
        return len(self.lists) + len(self.gone) + len(self.failed)

    @property
    def weight(self) -> int:
        """Bytes of the lists."""
        return sum(len(text) for texts, _ in self.lists.values() for text in texts)

    def add(self, other: Read) -> None:
        """What the others answered as well."""
        self.lists |= other.lists
        self.parts |= other.parts
        self.numbers |= other.numbers
        self.gone |= other.gone
        self.failed |= other.failed
        self.shares += other.shares
        self.in_part |= other.in_part

    def release(self) -> None:
        """Give back the bytes in flight that the lists take."""
        for share in self.shares:
            share.release()


async def _read_all(
    work: Pass, reading: PerContact, turns: AsyncIterator[list[Turn]], *, full: bool = True
) -> AsyncGenerator[Read, None]:
    async def each_turn() -> AsyncGenerator[Turn, None]:
        async for some in turns:
            for turn in some:
                yield turn

    def measure(one: Read) -> tuple[int, int]:
        return 1, one.weight

    async def read(turn: Turn) -> Read:
        submit = None if reading.within else partial(_submit_piece, work, reading, turn.id)
        since = since_of(work, turn, full) if reading.backwards else None
        return await read_one(work.client, reading, turn.id, submit, since)

    most, short = at_once(work.client), work.client.memory.short
    each = concurrently(each_turn(), read, most)
    async with aclosing(batched(each, measure, BATCH_CONTACTS, BATCH_BYTES, short)) as batches:
        async for some in batches:
            found = Read()
            for one in some:
                found.add(one)
            try:
                yield _checked(found)
            finally:
                found.release()


def _checked(found: Read) -> Read:
    """What was found; raises if none of many could be read, or none of them is said to exist."""
    if len(found) >= MANY and not found.lists:
        raise next(iter((found.failed or found.gone).values()))
    return found


Submit = Callable[[Sequence[bytes], datetime], Awaitable[None]]


async def read_one(
    client: Client,
    reading: PerContact,
    key: str,
    submit: Submit | None = None,
    since: datetime | None = None,
) -> Read:
    """What one contact answers; a long list is given to ``submit`` piece by piece as it comes.

    One that goes back in time is read to what is older than ``since``, else to its end.
    """
    found = Read()
    texts: list[bytes] = []
    number = 0
    read_at: datetime | None = None
    memory = client.memory
    try:
        with ExitStack() as stack:
            async with aclosing(pages(client, _style(reading, key), retry=QUICK)) as listed:
                async for page in listed:
                    if read_at is None:
                        read_at = page.requested_at
                        # Who holds the beginning of a list must not wait for room for the rest.
                        stack.enter_context(memory.urgently())
                    if page.gap:
                        found.failed[key] = page.gap.error
                    texts += page.texts
                    number += len(page)
                    found.shares += [page.share] if page.share else []
                    if submit and (sum(map(len, texts)) >= PIECE or memory.short.is_set()):
                        await submit(texts, page.requested_at)
                        texts = []
                        found.release()
                    if since is not None and _goes_back_behind(page, since):
                        found.in_part.add(key)
                        break
    except (NotFoundError, MergedError) as error:
        found.gone[key] = error
    except IntercomError as error:
        if meaning(error, Asked.LIST_OF_ONE) is not Meaning.PENDING:
            raise
        found.failed[key] = error
    if key not in found.failed and key not in found.gone:
        found.lists[key] = (texts, read_at or client.clock.now())
        found.numbers[key] = number
    elif read_at and not reading.within:  # rows of their own: the others need not wait
        found.parts[key] = (texts, read_at)
    return found


async def _submit_piece(
    work: Pass, reading: PerContact, key: str, texts: Sequence[bytes], read_at: datetime
) -> None:
    """Rows of a long list: they are right whatever becomes of the rest.

    That the list was read is noted with its last ones.
    """
    submission = work.submission()
    submission.add(as_records(reading, key, texts), read_at, sum(map(len, texts)))
    await work.writer.submit(submission)
    work.changed()


def _goes_back_behind(page: Page, since: datetime) -> bool:
    """Whether all that a page shows last is older."""
    moments = [instant(one.created_at) for one in page.heads]
    return bool(moments) and moments[-1] is not None and moments[-1] < since


def _style(reading: PerContact, key: str) -> Style:
    path, params = reading.path.format(id=quote(key, safe="")), dict(reading.params)
    if reading.param:
        params[reading.param] = key
    if reading.backwards:
        return EventPages(path, reading.key, params=params)
    if reading.numbered:
        return NumberedPages(path, reading.key, 60, params=params)
    return WholeList(path, reading.key, params)


async def _submit(work: Pass, reading: PerContact, found: Read) -> None:
    """The lists; a contact that lists show, and of which this one does not exist, is doubted.

    It becomes pending itself, so that the end of the run asks whether it is gone.
    """
    name, now = work.resource.name, work.now()
    short = await _short(work, reading, found, now)
    submission = work.submission()
    for key, (texts, read_at) in (found.lists | found.parts).items():
        records = as_records(reading, key, texts, short.get(key))
        submission.add(records, read_at, sum(map(len, texts)))
    read = {key: read_at for key, (_, read_at) in found.lists.items()}
    doubted, unlisted = await _doubted(work, found)
    read |= dict.fromkeys(unlisted, now)  # no list shows them either: they have nothing to list
    reasons = dict.fromkeys(sorted(doubted), state.CONTRADICTION)
    reasons |= {key: str(error) for key, error in found.failed.items()}
    submission.effects = (
        NoteRead(
            name,
            read,
            short={key: lack.noted for key, lack in short.items()},
            shown_for=reading.shown_for,
            in_part=found.in_part,
        ),
        Queue(PERSONS.name, doubted, state.CONTRADICTION, now),
        Postpone(name, reasons, now),
    )
    await work.writer.submit(submission)
    work.changed()


async def _doubted(work: Pass, found: Read) -> tuple[Collection[str], Collection[str]]:
    """Contacts that are said not to exist: those of which that is news, those that lists omit."""
    if not found.gone:
        return (), ()
    names, table, loader = deletions.sources(PERSONS), PERSONS, work.writer.loader
    gone = list(found.gone)

    def look(conn: sa.Connection) -> tuple[set[str], set[str]]:
        living = loader.living(conn, table, gone) - candidates.answered(conn, names, gone)
        unlisted = living & candidates.unlisted(conn, table, gone)
        return living - unlisted, unlisted

    return await work.writer.look(look)


async def _short(work: Pass, reading: PerContact, found: Read, now: datetime) -> dict[str, Lack]:
    """Contacts whose lists are shorter than counted: asked for again soon, then more rarely."""
    if not reading.counted or not found.lists:
        return {}
    names, name, column = work.writer.loader.names, work.resource.name, reading.counted[2]
    lacking = await work.writer.look(
        lambda conn: reads.shortages(conn, names, name, column, found.numbers)
    )
    if lacking:
        logger.warning("%s: %d lists are shorter than Intercom counts", name, len(lacking))
    if wrong := sum(before == READS_MOST - 1 for _, before in lacking.values()):
        detail = f"{name}: a list was shorter than counted {READS_MOST} times"
        work.refute(NOTES_COUNTED, detail, wrong)
    return {
        key: Lack(counted, before >= DOUBTED_READS, Short(before + 1, now + _again_after(before)))
        for key, (counted, before) in lacking.items()
        if before < READS_MOST
    }


def _again_after(before: int) -> timedelta:
    """When a list that was too short so often before is asked for again: soon, then rarely."""
    return timedelta(days=2.0 ** (before - READS_SOON)) if before >= READS_SOON else timedelta()


def as_records(
    reading: PerContact, key: str, texts: Sequence[bytes], lack: Lack | None = None
) -> list[Mapping[str, Any]]:
    """Rows of their own with the contact's id, or a record of the contact that holds the list."""
    elements = [decode(text) for text in texts]
    if reading.within:
        return [holding(key, reading.within, elements, lack)]
    return [{**element, "contact_id": key} for element in elements]
