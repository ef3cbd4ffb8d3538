"""Leaves out of pages what was merged before and has not changed since, before it is decoded."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct, field

from connector.intercom.paging.page import Page
from connector.resources.resource import Table
from connector.sync.writing.writer import Writer
from connector.warehouse.state import digests
from connector.warehouse.values.fields import tidy
from connector.warehouse.values.signatures import Signatures


class Filtered(Struct):
    """What pages came to: ``pages`` hold only what is new or changed, or cannot be told.

    ``seen`` are the ids of all records, ``digests`` those of the records left (None where a
    record must be looked at each time), ``changed`` the ids of which another digest is stored.
    """

    pages: list[Page] = field(default_factory=list)
    seen: list[str] = field(default_factory=list)
    digests: dict[str, int | None] = field(default_factory=dict)
    changed: set[str] = field(default_factory=set)


async def filter_unchanged(
    writer: Writer, table: Table, salt: bytes, pages: Sequence[Page], has_baseline: bool
) -> Filtered:
    """The pages without the records whose digests are stored; all of them without a baseline."""
    found = Filtered()
    signatures = writer.loader.signatures
    marks = [[_mark(page, place, salt, signatures) for place in range(len(page))] for page in pages]
    found.seen = [key for page in marks for key, _ in page if key is not None]
    stored = await writer.digests(table, found.seen) if has_baseline and found.seen else {}
    for page, marked in zip(pages, marks, strict=True):
        left = [
            place
            for place, (key, mark) in enumerate(marked)
            if key is None or mark is None or stored.get(key) != mark
        ]
        found.pages.append(page.only(left))
        for key, mark in (marked[place] for place in left):
            if key is not None:  # of two different copies neither is known
                found.digests[key] = mark if found.digests.get(key, mark) == mark else None
    found.changed = {key for key in found.digests if key in stored}
    return found


def _mark(
    page: Page, place: int, salt: bytes, signatures: Signatures
) -> tuple[str | None, int | None]:
    key = page.heads[place].id
    if type(key) not in (str, int):
        return None, None
    return tidy(str(key)), digests.digest(page.texts[place], salt, signatures)
