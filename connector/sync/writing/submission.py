"""Records on their way to the writer, with what commits with them; knows no SQL, sends nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from connector.jsontext import decode, head
from connector.resources.lists import Record
from connector.resources.resource import Table
from connector.sync.writing.effects import Effect
from connector.warehouse.state.runs import Tally
from connector.warehouse.values.fields import tidy

LONGEST_KEY = 500  # characters of a key that is no id of Intercom's


class Submission(Struct):
    """Records of one table that are handed over at once, decoded or as JSON text.

    Too many for one transaction are cut; ``effects`` commit with the last of them. What
    is written is counted into ``tally``. Under the name of ``resource`` a record is pending that
    Postgres refuses. ``by_id``: each was read alone.
    ``complete_lists`` are by (place of the record, link table): what was read where a record embeds
    only the first ten elements. ``digests`` are what lists showed of the records, by id; None takes
    a stored digest away. ``weight`` is the size of the records in bytes.
    """

    table: Table
    tally: Tally
    resource: str
    by_id: bool = False
    records: list[Record | bytes] = field(default_factory=list)
    read_at: list[datetime] = field(default_factory=list)
    complete_lists: dict[tuple[int, str], Sequence[Any]] = field(default_factory=dict)
    digests: dict[str, int | None] = field(default_factory=dict)
    weight: int = 0
    effects: tuple[Effect, ...] = ()

    def add(self, records: Sequence[Record | bytes], read_at: datetime, weight: int = 0) -> None:
        """More records of so many bytes, all asked for at the same time."""
        self.weight += weight
        self.records.extend(records)
        self.read_at.extend([read_at] * len(records))

    def take_in(self, other: Submission) -> None:
        """The other's records and effects too.

        Of two digests of one record neither is known to hold.
        """
        before = len(self.records)
        self.weight += other.weight
        self.records.extend(other.records)
        self.read_at.extend(other.read_at)
        for (place, name), elements in other.complete_lists.items():
            self.complete_lists[before + place, name] = elements
        for key, digest in other.digests.items():
            same = self.digests.get(key, digest) == digest
            self.digests[key] = digest if same else None
        self.effects += other.effects

    def is_like(self, other: Submission) -> bool:
        """Whether the other's records may be merged with these."""
        alike = self.tally is other.tally and self.table is other.table
        return alike and self.by_id == other.by_id

    def empty(self) -> Submission:
        """The same without records and effects."""
        return Submission(self.table, self.tally, self.resource, self.by_id)

    def halves(self) -> tuple[Submission, Submission]:
        """The same records in two, without the effects."""
        middle = len(self) // 2
        return self._part(0, middle), self._part(middle, len(self))

    def pieces(self, weight: int, most: int) -> Iterator[Submission]:
        """This one, or as many as it takes that each has no more than so many bytes and records.

        A single record may have more. All copies of one record stand in their order. The effects
        go with the last one.
        """
        if self.weight <= weight and len(self) <= most:
            yield self
            return
        first, held, each = 0, 0, self.weight // max(len(self), 1)
        for place, record in enumerate(self.records):
            size = len(record) if isinstance(record, bytes) else each
            if place > first and (held + size > weight or place - first >= most):
                yield self._part(first, place, held)
                first, held = place, 0
            held += size
        last = self._part(first, len(self), held)
        last.digests |= {key: None for key, digest in self.digests.items() if digest is None}
        yield replace(last, effects=self.effects)

    def _part(self, first: int, end: int, weight: int = 0) -> Submission:
        """The records at these places, with what belongs to them."""
        part = self.empty()
        part.records, part.read_at = self.records[first:end], self.read_at[first:end]
        part.complete_lists = {
            (place - first, name): elements
            for (place, name), elements in self.complete_lists.items()
            if first <= place < end
        }
        ids = {_id_of(record) for record in part.records}
        part.digests = {key: digest for key, digest in self.digests.items() if key in ids}
        part.weight = weight
        return part

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to commit."""
        return not self.records and all(effect.is_empty for effect in self.effects)

    def __len__(self) -> int:
        return len(self.records)


def together(submissions: Sequence[Submission]) -> Submission:
    """All of them as one."""
    if len(submissions) == 1:
        return submissions[0]
    whole = submissions[0].empty()
    for one in submissions:
        whole.take_in(one)
    return whole


def pending_key(table: Table, record: Record | bytes) -> str:
    """The id under which a record is pending: its own, its contact's, or what else is its key."""
    decoded: Mapping[str, Any] = decode(record) if isinstance(record, bytes) else record
    names = ("contact_id",) if "contact_id" in table.key else table.key
    return " ".join(str(decoded.get(name)) for name in names)[:LONGEST_KEY]


def _id_of(record: Record | bytes) -> str:
    key = head(record).id if isinstance(record, bytes) else record.get("id")
    return str(tidy(str(key)))
