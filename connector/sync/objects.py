"""Reads single objects and complete lists, side by side; knows no table of the warehouse.

One object that cannot be read never holds up the rest: it is named, and the caller makes it
pending. Only when Intercom fails for all of many objects is that a failure of the resource.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from connector.errors import BadAnswerError, IntercomError, MergedError, NotFoundError
from connector.intercom.client import Client
from connector.intercom.paging import NumberedPages, Style, WholeList, pages
from connector.intercom.refusals import MANY, Asked, Meaning, meaning
from connector.intercom.replies import Reply
from connector.intercom.retry import QUICK
from connector.jsontext import decode
from connector.resources.lists import Record, incomplete_links, may_be_cut
from connector.resources.resource import Complete, Link, Resource, Table
from connector.sync.ahead import side_by_side, together

AT_ONCE = 50  # objects that one reader reads at the same time


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

    def ids(self) -> list[str]:
        """Those that were answered, one way or the other."""
        return [*self.records, *self.gone]

    def without(self, accepts: Callable[[Mapping[str, Any]], bool]) -> list[str]:
        """Leave out the records that are not accepted; their ids."""
        left_out = [key for key, (record, _) in self.records.items() if not accepts(record)]
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


async def read_objects(client: Client, resource: Resource, ids: Iterable[str]) -> Found:
    """The objects, read one GET each; raises if Intercom fails for each of many.

    Raises TokenRefusedError as the client does.
    """
    found = Found()
    async for some in read_in_lots(client, resource, ids, 1):
        found.add(some)
    _give_up_on_all(found.failed, len(found))
    return found


async def read_in_lots(
    client: Client, resource: Resource, ids: Iterable[str], size: int, *, patient: bool = False
) -> AsyncIterator[Found]:
    """The objects, read side by side and handed over in lots of that size as they come.

    Raises like ``read_objects``, if Intercom fails for each of one lot; not if ``patient``.
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
            _give_up_on_all(lot.failed, 0 if patient else len(lot))
            yield lot
            lot = Found()
    if len(lot):
        _give_up_on_all(lot.failed, 0 if patient else len(lot))
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
    except IntercomError as error:
        found.failed[key] = _pending(error, Asked.OBJECT)
    return found


def _pending(error: IntercomError, asked: Asked) -> IntercomError:
    """The error, if it is a matter of the one that was asked for; else it is raised."""
    if meaning(error, asked) is Meaning.PENDING:
        return error
    raise error


def _read_record(reply: Reply) -> Mapping[str, Any]:
    record = reply.json()
    if type(record) is not dict or "id" not in record:
        raise BadAnswerError("the reply is no object with an id", status=reply.status)
    return record


@dataclass
class Completed:
    """Complete lists by (place of the record, link table); what failed, by record id.

    ``missing`` are records of which Intercom, asked for their lists, says that they do not exist.
    """

    lists: dict[tuple[int, str], Sequence[Any]] = field(default_factory=dict)
    failed: dict[str, IntercomError] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)


async def complete_lists(
    client: Client, table: Table, records: Sequence[Record | bytes], known: Collection[str] = ()
) -> Completed:
    """The complete lists of records that embed only the first ten elements of one.

    What several copies of a record embed in part is asked for once. Nothing is asked for the
    records that are ``known``: of the lists that they embed in part no link is taken away.
    """
    found = Completed()
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
            found.lists.update({(place, link.table): elements for place in places})
        except (NotFoundError, MergedError):
            found.missing.add(key)
        except IntercomError as error:
            found.failed[key] = _pending(error, Asked.BESIDE)

    await together(*(read(*item, places) for item, places in wanted.items()))
    _give_up_on_all(found.failed, len({key for key, _ in wanted}))
    return found


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
