"""Reads single objects and complete lists, side by side; knows no table of the warehouse.

One object that cannot be read never holds up the rest: it is named, and the caller makes it
pending. Only when Intercom fails for all of many objects is that a failure of the resource.
"""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    IntercomError,
    MergedError,
    NotFoundError,
    RetryExhaustedError,
)
from connector.intercom.client import Client
from connector.intercom.memory import Share
from connector.intercom.paging import NumberedPages, Style, WholeList, pages
from connector.intercom.replies import Reply
from connector.intercom.retry import QUICK
from connector.jsontext import decode, escaped, head, is_complete
from connector.resources.lists import Record, incomplete_links, may_be_cut
from connector.resources.resource import Complete, Resource, Table
from connector.sync.ahead import gathered, side_by_side, together

MANY = 10  # so many objects, none of which can be read, are not bad luck
AT_ONCE = 50  # objects that one reader reads at the same time

UNREADABLE = (RetryExhaustedError, BadAnswerError, BadRequestError)


@dataclass
class Found:
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

    Raises TokenRefusedError and NotPermittedError as the client does.
    """
    found = Found()
    with client.memory.urgently():  # it holds all that came
        async for some in read_in_lots(client, resource, ids, 1):
            found.add(some)
    _give_up_on_all(found.failed, len(found))
    return found


async def read_in_lots(
    client: Client, resource: Resource, ids: Iterable[str], size: int, weight: float = math.inf
) -> AsyncIterator[Found]:
    """The objects, read side by side and handed over in lots of that size as they come.

    A lot of so many bytes is complete too, and each one where memory is short. Its bytes in flight
    are given back when the next one is asked for. Raises like ``read_objects``, if Intercom fails
    for each of one lot.
    """

    async def wanted() -> AsyncIterator[str]:
        for key in dict.fromkeys(ids):
            yield key

    def is_full(lot: list[Found]) -> bool:
        return len(lot) >= size or sum(one.weight for one in lot) >= weight

    each = side_by_side(wanted(), lambda key: _read_object(client, resource, key), AT_ONCE)
    async for some in gathered(each, is_full, client.memory.short):
        lot = Found()
        for one in some:
            lot.add(one)
        _give_up_on_all(lot.failed, len(lot))
        try:
            yield lot
        finally:
            lot.release()


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
    except UNREADABLE as error:
        found.failed[key] = error
    return found


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


async def complete_lists(
    client: Client, table: Table, records: Sequence[Record | bytes], known: Collection[str] = ()
) -> tuple[dict[tuple[str, str], Sequence[Any]], dict[str, IntercomError]]:
    """The complete lists of records that embed only the first ten elements of one.

    Returns them by (record id, link table), and the failures by record id. Nothing is asked for
    the records that are ``known``: of the lists that they embed in part no link is taken away.
    """
    lists: dict[tuple[str, str], Sequence[Any]] = {}
    failed: dict[str, IntercomError] = {}
    wanted: list[tuple[str, str, Complete]] = []
    completable = any(link.complete for link in table.links)
    for given in records if completable else ():
        if isinstance(given, bytes) and not may_be_cut(given):
            continue
        record = decode(given) if isinstance(given, bytes) else given
        for link in incomplete_links(table, record):
            if link.complete and _asks(record.get("id"), known):
                wanted.append((str(record["id"]), link.table, link.complete))

    async def read(key: str, name: str, complete: Complete) -> None:
        try:
            lists[key, name] = await _read_list(client, key, complete)
        except NotFoundError:
            pass  # gone since: the pass that finds it gone says so
        except MergedError:
            pass
        except UNREADABLE as error:
            failed[key] = error

    await together(*(read(*item) for item in wanted))
    _give_up_on_all(failed, len({key for key, _, _ in wanted}))
    return lists, failed


def _asks(key: Any, known: Collection[str]) -> bool:
    return type(key) in (str, int) and str(key) not in known


async def _read_list(client: Client, key: str, complete: Complete) -> list[Any]:
    path = complete.path.format(id=quote(key, safe=""))
    style: Style = WholeList(path, complete.key)
    if complete.numbered:
        style = NumberedPages(path, complete.key, per_page=60)
    return [record async for page in pages(client, style, retry=QUICK) for record in page.records]


def _give_up_on_all(failed: Mapping[str, IntercomError], wanted: int) -> None:
    if wanted >= MANY and len(failed) == wanted:
        raise next(iter(failed.values()))
