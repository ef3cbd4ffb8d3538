"""Reads single objects and complete lists, concurrently; knows no table of the warehouse.

One object that cannot be read never holds up the rest: it is named, and the caller makes it
pending. Only when Intercom fails for all of many objects is that a failure of the resource.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import aclosing
from datetime import datetime
from typing import Any
from urllib.parse import quote

from msgspec import Struct, field

from connector.errors import BadAnswerError, IntercomError, MergedError, NotFoundError
from connector.intercom.client import Client
from connector.intercom.facts import EMBEDDED_LISTS, SUBSCRIPTIONS_EMBEDDED, Fact
from connector.intercom.memory import Share
from connector.intercom.observations import Observations
from connector.intercom.paging.styles import NumberedPages, Style, WholeList, pages
from connector.intercom.refusals import MANY, Asked, Meaning, meaning
from connector.intercom.responses import Reply
from connector.intercom.retry import QUICK
from connector.jsontext import decode, escaped, head, is_complete
from connector.resources.lists import Record, incomplete_links
from connector.resources.resource import Complete, Link, Resource, Table
from connector.tools.prefetch import batched, concurrently
from connector.tools.tasks import gather

AT_ONCE = 50  # objects that one reader reads at the same time with a single token


def at_once(client: Client) -> int:
    """How many objects one reader reads at the same time: more where more may be in flight."""
    return max(AT_ONCE, client.concurrency)


class Found(Struct):
    """What reading objects by id came to, by their ids.

    ``records`` are their JSON texts and when they were asked for; ``archived`` are those among them
    that say of themselves that they were archived; ``shares`` the bytes in flight that they take.
    """

    records: dict[str, tuple[bytes, datetime]] = field(default_factory=dict)
    archived: set[str] = field(default_factory=set)
    gone: dict[str, NotFoundError | MergedError] = field(default_factory=dict)
    failed: dict[str, IntercomError] = field(default_factory=dict)
    shares: list[Share] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.records) + len(self.gone) + len(self.failed)

    def ids(self) -> list[str]:
        """Those that were answered, one way or the other."""
        return [*self.records, *self.gone]

    def without(self, accepts: Callable[[Mapping[str, Any]], bool]) -> list[str]:
        """Leave out the records that are not accepted; their ids."""
        left_out = [key for key, (record, _) in self.records.items() if not accepts(decode(record))]
        for key in left_out:
            del self.records[key]
        self.archived -= set(left_out)
        return left_out

    def add(self, other: Found) -> None:
        """What the other came to as well."""
        self.records |= other.records
        self.archived |= other.archived
        self.gone |= other.gone
        self.failed |= other.failed
        self.shares += other.shares

    @property
    def weight(self) -> int:
        """Bytes of the records."""
        return sum(len(record) for record, _ in self.records.values())

    def release(self) -> None:
        """Give back the bytes in flight that they take."""
        for share in self.shares:
            share.release()


async def read_objects(client: Client, resource: Resource, ids: Iterable[str]) -> Found:
    """The objects, read one GET each; raises if Intercom fails for each of many.

    Raises TokenRefusedError as the client does.
    """
    found = Found()
    with client.memory.urgently():  # it holds all that came
        async with aclosing(read_in_batches(client, resource, ids, 1)) as batches:
            async for some in batches:
                found.add(some)
    _give_up_on_all(found.failed, len(found))
    return found


async def read_in_batches(
    client: Client,
    resource: Resource,
    ids: Iterable[str],
    size: int,
    weight: float = math.inf,
    *,
    patient: bool = False,
    prompt: bool = False,
) -> AsyncGenerator[Found, None]:
    """The objects, read concurrently and handed over in batches of that size as they come.

    A batch of so many bytes is complete too, and each one where memory is short; if ``prompt``
    each one as soon as another must be waited for. Its bytes in flight are given back when the
    next one is asked for. Raises like ``read_objects``, if Intercom fails for each of one batch;
    not if ``patient``. ``ids`` are taken one by one as there is room to read them.
    """
    short = client.memory.short
    if prompt:
        short = asyncio.Event()
        short.set()

    async def wanted() -> AsyncGenerator[str, None]:
        seen = set[str]()
        for key in ids:
            if key not in seen:
                seen.add(key)
                yield key

    def measure(one: Found) -> tuple[int, int]:
        return 1, one.weight

    each = concurrently(wanted(), lambda key: _read_object(client, resource, key), at_once(client))
    async with aclosing(batched(each, measure, size, weight, short)) as batches:
        async for some in batches:
            found = Found()
            for one in some:
                found.add(one)
            _give_up_on_all(found.failed, 0 if patient else len(found))
            try:
                yield found
            finally:
                found.release()


async def _read_object(client: Client, resource: Resource, key: str) -> Found:
    found = Found()
    path = resource.by_id.format(id=quote(key, safe=""))
    try:
        params = dict(resource.params)
        record, reply = await client.ask(
            "GET", path, _read_record, params=params, retry=QUICK, hold=True
        )
        if b'"archived"' in record and not resource.table.has_column("archived"):
            record, archived = _without_archived(record)
            found.archived |= {key} if archived else set()
        found.records[key] = (record, reply.requested_at)
        found.shares += [reply.share] if reply.share else []
    except (NotFoundError, MergedError) as error:
        found.gone[key] = error
    except IntercomError as error:
        found.failed[key] = _pending(error, Asked.OBJECT)
    return found


def _pending(error: IntercomError, asked: Asked) -> IntercomError:
    """The error, if it is a matter of the one that was asked for; else it is raised."""
    if meaning(error, asked) is Meaning.PENDING:
        return error
    raise error


def _read_record(reply: Reply) -> bytes:
    try:
        known = head(reply.body).id is not None
    except ValueError:
        if not is_complete(reply.body):
            raise
        known = False
    if not known:
        raise BadAnswerError("the reply is no object with an id", status=reply.status)
    return reply.body


def _without_archived(text: bytes) -> tuple[bytes, bool]:
    """The record without what it says of its archiving, and whether it was archived."""
    record = decode(text)
    if record.get("archived") is not True:
        return text, False
    del record["archived"]
    return escaped(record), True


class CompleteLists(Struct):
    """Complete lists by (place of the record, link table); what failed, by record id.

    ``missing`` are records of which Intercom, asked for their lists, says that they do not exist.
    """

    lists: dict[tuple[int, str], Sequence[Any]] = field(default_factory=dict)
    failed: dict[str, IntercomError] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


async def read_complete_lists(
    client: Client, table: Table, records: Mapping[int, Record], known: Collection[str] = ()
) -> CompleteLists:
    """The complete lists of records, given by their places, that embed only a part of one.

    Where records were seen to embed less than they say, of all of these. What several copies of a
    record embed in part is asked for once. Nothing is asked for the records that are ``known``: of
    the lists that they embed in part no link is taken away.
    """
    found = CompleteLists()
    wanted: dict[tuple[str, Link], list[int]] = {}
    distrusted = distrusted_links(client.facts, table)
    for place, record in records.items():
        for link in incomplete_links(table, record, distrusted):
            if _asks(record.get("id"), known):
                wanted.setdefault((str(record["id"]), link), []).append(place)

    async def read(key: str, link: Link, places: Sequence[int]) -> None:
        assert link.complete
        try:
            elements = await read_list(client, key, link.complete)
            found.lists.update({(place, link.table): elements for place in places})
        except (NotFoundError, MergedError):
            found.missing.add(key)
        except IntercomError as error:
            found.failed[key] = _pending(error, Asked.LIST_OF_ONE)

    await gather(*(read(*item, places) for item, places in wanted.items()))
    _give_up_on_all(found.failed, len({key for key, _ in wanted}))
    return found


def relied_on(link: Link) -> Fact:
    """What is known of Intercom that makes an embedded list of this link stand for the whole."""
    return SUBSCRIPTIONS_EMBEDDED if link.halves else EMBEDDED_LISTS


def distrusted_links(facts: Observations, table: Table) -> set[Link]:
    """The links of which records were seen to embed less than they say."""
    return {link for link in table.links if link.complete and facts.is_refuted(relied_on(link))}


def _asks(key: Any, known: Collection[str]) -> bool:
    return type(key) in (str, int) and str(key) not in known


async def read_list(client: Client, key: str, complete: Complete) -> list[Any]:
    """The complete list of one object; raises what the client raises."""
    path = complete.path.format(id=quote(key, safe=""))
    style: Style = WholeList(path, complete.key)
    if complete.numbered:
        style = NumberedPages(path, complete.key, per_page=60)
    async with aclosing(pages(client, style, retry=QUICK)) as listed:
        return [record async for page in listed for record in page.records]


def _give_up_on_all(failed: Mapping[str, IntercomError], wanted: int) -> None:
    if wanted >= MANY and len(failed) == wanted:
        raise next(iter(failed.values()))
