"""Lists of which records embed only a part: what tells that the stored ones are still right.

The first ten and the number of all stand in the record; what was exchanged further on shows in
nothing but the complete list, at a request for each. A full pass that is due by its age asks for
those lists alone of which neither a search nor Intercom's own counts confirm what is stored.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from functools import partial
from typing import Any

from connector.errors import IntercomError, TokenRefusedError
from connector.intercom.paging import search
from connector.intercom.paging.styles import Page, pages
from connector.resources import RESOURCES
from connector.resources.lists import EMBEDDED, NAMED, doubtful, embedded, incomplete_links
from connector.resources.readings import Search
from connector.resources.resource import Link
from connector.sync.fetch_by_id import distrusted_links
from connector.sync.planning.schedule import DUE
from connector.sync.resource_pass import Pass
from connector.tools.chunks import chunks
from connector.tools.prefetch import concurrently
from connector.warehouse import state

OWNERS = 20_000  # whose links are held at a time
AT_ONCE = 8  # searches
READ_TOGETHER = 300  # lists that are written together


def may_be_spared(work: Pass) -> bool:
    """Whether the pass asks only for lists that nothing confirms: it is due by its age alone."""
    distrusted = distrusted_links(work.client.facts, work.resource.table)
    return work.has_baseline and work.progress.full_reason == DUE and not distrusted


async def agreeing(work: Pass, listed: Sequence[Page]) -> set[str]:
    """The records whose lists, as far as they embed them, are those that are stored.

    Such a list counts as many, and begins with none but these. One of so few elements that records
    embed all is never among them: ``confirm`` looks at longer ones only.
    """
    cut, loader = defaultdict[Link, dict[str, Any]](dict), work.writer.loader
    table = work.resource.table
    for record in (record for page in listed for record in doubtful(table, page.texts).values()):
        for link in incomplete_links(table, record):
            cut[link][str(record.get("id"))] = embedded(link, record)
    same, differing = set[str](), set[str]()
    for link, lists in cut.items():
        owners = list(lists)
        stored = await work.writer.look(partial(loader.linked, link=link, owners=owners))
        for key, (wrapper, elements) in lists.items():
            agrees = _agrees(wrapper, elements, link, stored.get(key, set()))
            (same if agrees else differing).add(key)
    return same - differing


def _agrees(wrapper: Any, elements: Sequence[Any], link: Link, stored: set[str]) -> bool:
    shown = {str(one.get(link.item)) for one in elements if isinstance(one, dict)}
    return wrapper.get("total_count") == len(stored) > EMBEDDED and shown <= stored


async def confirm(work: Pass, reading: Search) -> None:
    """Ask for the complete lists of which nothing confirms that the stored ones are right."""
    for link in work.resource.table.links:
        if link.complete and link.complete.searched:
            left: Collection[str] = await _unshown(work, reading, link, link.complete.searched)
        elif link.complete:
            counted = link.complete.counted and await _are_counts_fresh(work, link)
            loader, resource = work.writer.loader, work.resource
            left = await work.writer.look(
                partial(loader.cut_owners, resource=resource, link=link, counted=bool(counted))
            )
        else:
            continue
        for some in chunks(sorted(left), READ_TOGETHER):
            await _read(work, link, some)


async def _are_counts_fresh(work: Pass, link: Link) -> bool:
    """Whether all targets were read since the pass was planned, with what they count."""
    names = [r.name for r in RESOURCES if r.table.name == link.refers_to and r.by_id]
    known = await work.writer.look(lambda conn: state.progress_of(conn, names))
    since = min(work.progress.plan_began_at or work.began_at(), work.run_began_at())
    return all(one.fresh_as_of is not None and one.fresh_as_of >= since for one in known.values())


async def _unshown(work: Pass, reading: Search, link: Link, field: str) -> set[str]:
    """Owners that a search for what a stored link names does not show."""
    loader, resource, left = work.writer.loader, work.resource, set[str]()
    refused = False

    async def questions() -> AsyncGenerator[tuple[str, Sequence[str]], None]:
        after = ""
        while True:
            found, after = await work.writer.look(
                partial(loader.cut_links, resource=resource, link=link, after=after, most=OWNERS)
            )
            for target, owners in found.items():
                for some in chunks(owners, NAMED):
                    yield target, some
            if not after:
                return

    async def look(question: tuple[str, Sequence[str]]) -> set[str]:
        nonlocal refused
        target, owners = question
        if refused:
            return set(owners)
        try:
            return set(owners) - await _shown(work, reading, field, target, owners)
        except TokenRefusedError:
            raise
        except IntercomError:
            refused = True  # each list is asked for, as if there were no such search
            return set(owners)

    async with aclosing(concurrently(questions(), look, AT_ONCE)) as answers:
        async for unshown in answers:
            left |= unshown
    return left


async def _shown(
    work: Pass, reading: Search, field: str, target: str, owners: Sequence[str]
) -> set[str]:
    named = [search.compare("id", "IN", list(owners)), search.compare(field, "=", target)]
    body = {
        "query": {"operator": "AND", "value": named},
        "sort": {"field": "created_at", "order": "ascending"},
    }
    shown = set[str]()
    async with aclosing(pages(work.client, work.search(reading, body))) as listed:
        async for page in listed:
            shown |= {str(head.id) for head in page.heads}
            page.release()
            if not shown <= set(owners):  # it answers something else than it was asked
                return set()
    return shown


async def _read(work: Pass, link: Link, owners: Collection[str]) -> None:
    """The complete lists of these owners, as records that hold nothing else."""
    *outer, last = link.told_at
    value: Any = {last: [], "has_more": True}
    for key in reversed(outer):
        value = {key: value}
    submission, now = work.submission(), work.now()
    submission.add([{"id": key, **value} for key in owners], now, 0)
    await work.submit(submission, whole=False)
