"""How the rows of each kind of resource are read again and compared, for ``verify``.

A row that differs because its object changed after it was read is no fault: the next sync brings
it. Where a list says nothing of when it changed, a difference is told as one.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from contextlib import aclosing
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import sqlalchemy as sa
from msgspec import Struct, field

from connector.intercom.client import Client
from connector.intercom.paging.styles import CursorList, NumberedPages, Page, pages
from connector.jsontext import decode
from connector.resources.lists import Record
from connector.resources.readings import Activities, Catalogue, Log, Members, PerContact, Snapshot
from connector.resources.resource import Resource
from connector.sync.fetch_by_id import at_once, read_complete_lists, read_objects
from connector.sync.readings.feeds import news_of
from connector.sync.readings.lists import catalogue_style, snapshot_pages
from connector.sync.readings.members import read_members
from connector.sync.readings.per_contact import Read, as_records, read_one
from connector.sync.resource_pass import BATCH_RECORDS, release, size
from connector.sync.writing.writer import INDEX_LAG
from connector.tools.prefetch import concurrently
from connector.warehouse.encode import keys
from connector.warehouse.encode.encoder import encode
from connector.warehouse.encode.exclusions import Exclusions
from connector.warehouse.merge.loader import Loader
from connector.warehouse.merge.stored_rows import Known
from connector.warehouse.sql.database import Database
from connector.warehouse.state import reads
from connector.warehouse.values.instants import instant

T = TypeVar("T")
Dated = Sequence[tuple[Mapping[str, Any], datetime]]  # records, and when each was asked for

LOG_RECORDS = 500  # of a log, at least; the newest
FEED_PAGES = 20
MEMBERS = 10_000  # of segments, in one comparison

GONE, UNLISTED = "gone at Intercom", "not in Intercom's list"
STAMPS = ("updated_at", "created_at")
EVER_SINCE = datetime.min.replace(tzinfo=UTC)


class Verified(Struct):
    """What comparing one resource's rows came to."""

    equal: int = 0
    changed_since: int = 0  # at Intercom, after they were read: the next sync brings it
    differences: dict[str, list[str]] = field(default_factory=dict)  # columns, by id
    unread: dict[str, str] = field(default_factory=dict)  # why, by id
    not_compared: str | None = None  # why, where no row was


class Comparison(Struct, dict=True):
    """What comparing one resource needs, and what it came to so far."""

    client: Client
    database: Database
    resource: Resource
    sample: int
    exclusions: Exclusions
    fresh_as_of: datetime | None = None
    outcome: Verified = field(default_factory=Verified)

    def __post_init__(self) -> None:
        self.loader = Loader(self.database.schema, signatures=self.exclusions.signatures)

    async def do(self, work: Callable[[sa.Connection], T]) -> T:
        """What ``work`` returns; it only reads."""
        return self.database.read(work)

    async def compare(self, dated: Dated, newer: Callable[[Record, bool], bool]) -> None:
        """Compare records with their rows.

        ``newer``: whether a record, given whether its row exists, may be newer than what is
        stored: then a difference is a change since.
        """
        table, outcome = self.resource.table, self.outcome
        records = [record for record, _ in dated]
        found = await read_complete_lists(self.client, table, dict(enumerate(records)))
        outcome.unread |= {key: str(error) for key, error in found.failed.items()}
        batch = encode(table, records, [at for _, at in dated], found.lists, self.exclusions)

        def compared(conn: sa.Connection) -> Mapping[str, list[str]]:
            differing = self.loader.compare(conn, batch)
            _roll_back(conn)
            return differing

        differing = self.database.write(compared)
        by_key = {keys.shown(table, record): record for record in records}
        for key, columns in differing.items():
            if not columns:
                outcome.equal += 1
            elif key in by_key and newer(by_key[key], columns[0] != "no row"):
                outcome.changed_since += 1
            else:
                outcome.differences[key] = columns

    def came_later(self, record: Record, exists: bool = False) -> bool:
        """Whether the record is of after the last pass, or may be: then it has no row yet."""
        stamps = [moment for name in STAMPS if (moment := instant(record.get(name)))]
        if not stamps:
            return not exists
        return self.fresh_as_of is None or max(stamps) > self.fresh_as_of - INDEX_LAG

    def changed_after(self, stored: Mapping[str, Known]) -> Callable[[Record, bool], bool]:
        """Whether a record is newer than its stored copy, or than the last pass if it has none."""

        def newer(record: Record, exists: bool) -> bool:
            known = stored.get(keys.shown(self.resource.table, record))
            before = known.updated_at if known else None
            updated_at = instant(record.get("updated_at"))
            if exists and before and updated_at:
                return updated_at > before
            return self.came_later(record, exists)

        return newer

    async def stored(self, ids: Sequence[str]) -> Mapping[str, Known]:
        """The times of rows whose objects say when they changed."""
        table = self.resource.table
        if not table.has_updated_at:
            return {}
        return await self.do(lambda conn: self.loader.known(conn, table, ids))


# -- objects ---------------------------------------------------------------------------------


async def by_id(work: Comparison) -> None:
    """A sample of rows, each object read alone."""
    ids = await work.do(lambda conn: work.loader.sample(conn, work.resource, work.sample))
    stored = await work.stored(ids)
    read = await read_objects(work.client, work.resource, ids)
    work.outcome.unread |= {key: str(error) for key, error in read.failed.items()}
    work.outcome.differences |= {key: [GONE] for key in read.gone}
    dated = [(decode(text), at) for text, at in read.records.values()]
    await work.compare(dated, work.changed_after(stored))
    read.release()


# -- lists -----------------------------------------------------------------------------------


async def snapshot(work: Comparison, reading: Snapshot) -> None:
    """The whole lists; what they omit is gone."""
    dated: list[tuple[Mapping[str, Any], datetime]] = []
    async with aclosing(snapshot_pages(work.client, reading)) as shown:
        async for page, records in shown:
            dated += [(record, page.requested_at) for record in records]
            page.release()
    await work.compare(dated, work.changed_after({}))
    table = work.resource.table
    listed = {keys.shown(table, record) for record, _ in dated}
    living = await work.do(lambda conn: work.loader.all_living(conn, work.resource))
    work.outcome.differences |= {key: [UNLISTED] for key in sorted(living - listed)}


async def catalogue(work: Comparison, reading: Catalogue) -> None:
    """The whole list; a sample of what it omits is asked for by id, as a sync does."""
    listed: set[str] = set()
    source = pages(work.client, catalogue_style(reading))
    async with aclosing(_grouped(source)) as groups:
        async for group in groups:
            dated = _dated(group)
            ids = [keys.shown(work.resource.table, record) for record, _ in dated]
            listed.update(ids)
            await work.compare(dated, work.changed_after(await work.stored(ids)))
    living = await work.do(lambda conn: work.loader.all_living(conn, work.resource))
    omitted = sorted(living - listed)[: work.sample]
    read = await read_objects(work.client, work.resource, omitted)
    work.outcome.differences |= {key: [GONE] for key in (*read.gone, *read.archived)}
    work.outcome.unread |= {key: str(error) for key, error in read.failed.items()}


async def log(work: Comparison, reading: Log) -> None:
    """The newest entries: they never change, so the older ones are as good."""
    most, number = max(work.sample, LOG_RECORDS), 0
    style = NumberedPages(reading.path, reading.key, None, params={reading.since: 0})
    async with aclosing(pages(work.client, style)) as listed:
        async for page in listed:
            dated = _dated([page])[: most - number]
            await work.compare(dated, work.came_later)
            page.release()
            number += len(dated)
            if number >= most:
                break


async def merges(work: Comparison, reading: Activities) -> None:
    """What the feed says was merged, from its beginning."""
    params: dict[str, str] = {}
    style = CursorList(reading.path, reading.key, reading.per_page, params, reading.version)
    number = 0
    async with aclosing(pages(work.client, style)) as listed:
        async for page in listed:
            merged = [(record, page.requested_at) for record in news_of(page, reading).merged]
            await work.compare(merged, _merged_later(work))
            page.release()
            number += 1
            if number == FEED_PAGES:
                break


def _merged_later(work: Comparison) -> Callable[[Record, bool], bool]:
    def newer(record: Record, exists: bool) -> bool:
        at = instant(record.get("merged_at"))
        return at is None or work.fresh_as_of is None or at > work.fresh_as_of - INDEX_LAG

    return newer


# -- what is read contact by contact, group by group -----------------------------------------


async def per_contact(work: Comparison, reading: PerContact) -> None:
    """The lists of a sample of contacts."""
    names, resource = work.loader.names, work.resource
    sample = partial(reads.sample, embedded=reading.embedded)
    read_at = await work.do(lambda conn: sample(conn, names, resource.name, work.sample))
    async with aclosing(_read(work.client, reading, read_at)) as batches:
        async for found in batches:
            work.outcome.unread |= {key: str(error) for key, error in found.failed.items()}
            for key, (texts, asked_at) in found.lists.items():
                records = as_records(reading, key, texts)
                newest = max((_stamp(decode(text)) for text in texts), default=None)
                since = newest is not None and newest > read_at[key] - INDEX_LAG
                dated = [(record, asked_at) for record in records]
                await work.compare(dated, _always if since else _never)
            found.release()


async def _read(
    client: Client, reading: PerContact, contacts: Mapping[str, datetime]
) -> AsyncGenerator[Read, None]:
    async def ids() -> AsyncGenerator[str, None]:
        for key in contacts:
            yield key

    async with aclosing(
        concurrently(ids(), lambda key: read_one(client, reading, key), at_once(client))
    ) as results:
        async for one in results:
            yield one


def _stamp(element: Any) -> datetime:
    moment = instant(element.get("created_at")) if type(element) is dict else None
    return moment or EVER_SINCE


async def members(work: Comparison, reading: Members) -> None:
    """The members of a sample of groups; of which they were when is nowhere told."""
    names, resource = work.loader.names, work.resource
    ids = await work.do(lambda conn: work.loader.sample(conn, resource, work.sample))
    groups = await work.do(lambda c: reads.groups(c, names, resource.name, resource.table.name))
    left = MEMBERS
    for group in groups:
        if group.id in ids and group.read_at and group.elements <= left:
            left -= group.elements
            record, asked_at, _ = await read_members(work.client, reading, group.id)
            await work.compare([(record, asked_at)], _never)


def _always(record: Record, exists: bool) -> bool:
    return True


def _never(record: Record, exists: bool) -> bool:
    return False


# -- helpers ---------------------------------------------------------------------------------


async def _grouped(source: AsyncIterator[Page]) -> AsyncGenerator[list[Page], None]:
    """Pages in groups that are worth a comparison, released when the next one is asked for."""
    group: list[Page] = []
    async for page in source:
        group.append(page)
        if size(group) >= BATCH_RECORDS:
            yield group
            release(group)
            group = []
    if group:
        yield group
        release(group)


def _dated(group: Sequence[Page]) -> Dated:
    return [(record, page.requested_at) for page in group for record in page.records]


def _roll_back(conn: sa.Connection) -> None:
    transaction = conn.get_transaction()
    if transaction is not None:
        transaction.rollback()
