"""Are the lists that records embed what they are taken for? A sample of each run is compared.

Records embed the first elements of some lists and say whether there are others. If they said so
wrongly, links would be missing and nothing would show it. So of the records that a run reads those
that embed most are remembered, and at its end their complete lists are asked for.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from connector.errors import IntercomError, TokenRefusedError
from connector.intercom.client import Client
from connector.jsontext import decode
from connector.resources import lists
from connector.resources.lists import Record
from connector.resources.resource import Link, Resource, Table
from connector.sync.fetch_by_id import read_list, read_objects, relied_on
from connector.tools.tasks import gather
from connector.warehouse.values.instants import instant

SIZE = 20  # lists that a run asks for at most, which embed something
EMPTY = 5  # and so many that embed nothing, of those that records embed in halves
AT_FIRST = 50  # so many of these in a first load, which would else have asked for each of them
LONGEST = 3  # records of each submission that are looked at: the longest embed most


@dataclass(frozen=True, order=True)
class Embedded:
    """A list that a record embeds, and says to be complete: the ids of its elements."""

    number: int
    link: str  # the link table that it makes
    owner: str  # id of the record
    ids: frozenset[str] = field(compare=False)


class ListSample:
    """The embedded lists of a run that hold most elements and are said to be complete."""

    def __init__(self) -> None:
        self._found: list[Embedded] = []  # a heap
        self._empty: list[Embedded] = []

    def offer(
        self,
        table: Table,
        records: Sequence[Record | bytes],
        known: Collection[str],
        *,
        first: bool = False,
    ) -> None:
        """Look at some of these records, but not at those that are known as they are."""
        if not table.has_complete_lists:
            return
        most = AT_FIRST if first else EMPTY
        for text in heapq.nlargest(LONGEST, (r for r in records if isinstance(r, bytes)), key=len):
            record = decode(text)
            key = str(record.get("id"))
            if key in known:
                continue
            for link, elements in embedded(table, record):
                self._add(Embedded(len(elements), link.table, key, frozenset(_ids(elements))))
                if link.halves and not elements and len(self._empty) < most:
                    self._empty.append(Embedded(0, link.table, key, frozenset()))

    def _add(self, one: Embedded) -> None:
        if not one.number or one in self._found:
            return
        heapq.heappush(self._found, one)
        if len(self._found) > SIZE:
            heapq.heappop(self._found)

    def take(self) -> list[Embedded]:
        """Those that hold most; afterwards there are none."""
        found = [*sorted(self._found, reverse=True), *self._empty]
        self._found, self._empty = [], []
        return found


def embedded(table: Table, record: Record) -> Iterator[tuple[Link, list[Any]]]:
    """The lists of a record that say they are complete, and could be asked for."""
    for link in table.links:
        wrapper, elements = lists.embedded(link, record)
        if link.complete and elements is not None and lists.is_complete(wrapper, elements):
            yield link, elements


async def compare(client: Client, resource: Resource, sample: ListSample) -> None:
    """Ask for the complete lists of the sample; what differs twice refutes the fact."""
    links, name = {link.table: link for link in resource.table.links}, resource.table.name

    async def look(one: Embedded) -> None:
        try:
            if await _differs(client, resource, one, links[one.link]):
                detail = f"{name}: a complete list of {one.link} has what its record lacks"
                client.facts.refute(relied_on(links[one.link]), detail, resource.name)
        except TokenRefusedError:
            raise
        except IntercomError:
            return  # what cannot be asked for tells nothing

    await gather(*map(look, sample.take()))


async def _differs(client: Client, resource: Resource, one: Embedded, link: Link) -> bool:
    """Whether a complete list has what its record does not embed, and not because it changed.

    Asked for once more, both differ again, and nothing moved updated_at in between.
    """
    assert link.complete
    if _ids(await read_list(client, one.owner, link.complete)) <= one.ids:
        return False
    before = await _read(client, resource, one.owner)
    complete = await read_list(client, one.owner, link.complete)
    after = await _read(client, resource, one.owner)
    if before is None or after is None:
        return False
    moved = instant(before.get("updated_at")) != instant(after.get("updated_at"))
    return not moved and not _holds(after, resource.table, link, complete)


async def _read(client: Client, resource: Resource, key: str) -> Mapping[str, Any] | None:
    found = await read_objects(client, resource, [key])
    text, _ = found.records.get(key, (None, None))
    record: Mapping[str, Any] | None = None if text is None else decode(text)
    return record


def _holds(record: Record, table: Table, link: Link, complete: Sequence[Any]) -> bool:
    """Whether a list that is said to be complete holds all that the complete one does."""
    for one, elements in embedded(table, record):
        if one is link:
            return _ids(complete) <= _ids(elements)
    return True


def _ids(elements: Sequence[Any]) -> set[str]:
    return {str(one.get("id")) for one in elements if isinstance(one, Mapping)}
