"""Reads single objects and complete lists, side by side; knows no table of the warehouse.

One object that cannot be read never holds up the rest: it is named, and the caller makes it
pending. Only when Intercom fails for all of many objects is that a failure of the resource.
"""

from __future__ import annotations

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
from connector.intercom.paging import NumberedPages, Style, WholeList, pages
from connector.intercom.replies import Reply
from connector.intercom.retry import QUICK
from connector.jsontext import decode
from connector.resources.lists import Record, incomplete_links, may_be_cut
from connector.resources.resource import Complete, Link, Resource, Table
from connector.sync.ahead import side_by_side, together

MANY = 10  # so many objects, none of which can be read, are not bad luck
AT_ONCE = 50  # objects that one reader reads at the same time

UNREADABLE = (RetryExhaustedError, BadAnswerError, BadRequestError)


@dataclass
class Found:
    """What reading objects by id came to, by their ids.

    ``archived`` are those among ``records`` that say of themselves that they were archived.
    """

    records: dict[str, tuple[Mapping[str, Any], datetime]] = field(default_factory=dict)
    archived: set[str] = field(default_factory=set)
    gone: dict[str, NotFoundError | MergedError] = field(default_factory=dict)
    failed: dict[str, IntercomError] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.records) + len(self.gone) + len(self.failed)

    def add(self, other: Found) -> None:
        """What the other came to as well."""
        self.records |= other.records
        self.archived |= other.archived
        self.gone |= other.gone
        self.failed |= other.failed


async def read_objects(client: Client, resource: Resource, ids: Iterable[str]) -> Found:
    """The objects, read one GET each; raises if Intercom fails for each of many.

    Raises TokenRefusedError and NotPermittedError as the client does.
    """
    found = Found()
    async for some in read_in_lots(client, resource, ids, 1):
        found.add(some)
    _give_up_on_all(found.failed, len(found))
    return found


async def read_in_lots(
    client: Client, resource: Resource, ids: Iterable[str], size: int
) -> AsyncIterator[Found]:
    """The objects, read side by side and handed over in lots of that size as they come.

    Raises like ``read_objects``, if Intercom fails for each of one lot.
    """

    async def wanted() -> AsyncIterator[str]:
        for key in dict.fromkeys(ids):
            yield key

    lot = Found()
    async for one in side_by_side(
        wanted(), lambda key: _read_object(client, resource, key), AT_ONCE
    ):
        lot.add(one)
        if len(lot) >= size:
            _give_up_on_all(lot.failed, len(lot))
            yield lot
            lot = Found()
    if len(lot):
        _give_up_on_all(lot.failed, len(lot))
        yield lot


async def _read_object(client: Client, resource: Resource, key: str) -> Found:
    found = Found()
    path = resource.by_id.format(id=quote(key, safe=""))
    try:
        params = dict(resource.params)
        record, reply = await client.ask("GET", path, _read_record, params=params, retry=QUICK)
        if record.get("archived") is True and not resource.table.has_column("archived"):
            found.archived.add(key)
            record = {name: value for name, value in record.items() if name != "archived"}
        found.records[key] = (record, reply.requested_at)
    except (NotFoundError, MergedError) as error:
        found.gone[key] = error
    except UNREADABLE as error:
        found.failed[key] = error
    return found


def _read_record(reply: Reply) -> Mapping[str, Any]:
    record = reply.json()
    if type(record) is not dict or "id" not in record:
        raise BadAnswerError("the reply is no object with an id", status=reply.status)
    return record


async def complete_lists(
    client: Client, table: Table, records: Sequence[Record | bytes], known: Collection[str] = ()
) -> tuple[dict[tuple[int, str], Sequence[Any]], dict[str, IntercomError]]:
    """The complete lists of records that embed only the first ten elements of one.

    Returns them by (place of the record, link table), and the failures by record id. What several
    copies of a record embed in part is asked for once. Nothing is asked for
    the records that are ``known``: of the lists that they embed in part no link is taken away.
    """
    lists: dict[tuple[int, str], Sequence[Any]] = {}
    failed: dict[str, IntercomError] = {}
    wanted: dict[tuple[str, Link], list[int]] = {}
    completable = any(link.complete for link in table.links)
    for place, given in enumerate(records if completable else ()):
        if isinstance(given, bytes) and not may_be_cut(given):
            continue
        record = decode(given) if isinstance(given, bytes) else given
        for link in incomplete_links(table, record):
            if _asks(record.get("id"), known):
                wanted.setdefault((str(record["id"]), link), []).append(place)

    async def read(key: str, link: Link, places: Sequence[int]) -> None:
        assert link.complete
        try:
            elements = await _read_list(client, key, link.complete)
            lists.update({(place, link.table): elements for place in places})
        except NotFoundError:
            pass  # gone since: the pass that finds it gone says so
        except MergedError:
            pass
        except UNREADABLE as error:
            failed[key] = error

    await together(*(read(*item, places) for item, places in wanted.items()))
    _give_up_on_all(failed, len({key for key, _ in wanted}))
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
