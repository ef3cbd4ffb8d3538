"""What all parts of sending share: the client, the outbox, what is asked, what was done."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field

from connector.errors import RowRefusedError
from connector.intercom.client import Client
from connector.intercom.paging.styles import Style, pages
from connector.intercom.responses import Reply
from connector.intercom.writes import write
from connector.push.outbox import results
from connector.push.outbox.claims import Terms
from connector.push.outbox.results import Result
from connector.push.outbox.store import Store
from connector.push.sending.directory import Directory

logger = logging.getLogger(__name__)


class Options(Struct, frozen=True):
    """What is asked of a push.

    ``index_lag``: seconds after which Intercom's search and lists show a change. ``trust``: what
    was accepted is done, unread. ``wait``: whether jobs are followed to their end.
    """

    terms: Terms = field(default_factory=Terms)
    trust: bool = False
    wait: bool = True
    unarchive: bool = False
    create_missing: bool = False
    claimed: int = 500  # wishes that are claimed together, to be sent singly
    index_lag: float = 300.0
    hint_delay: float = 2.0


class Tally(Struct):
    """What a push did: wishes by state, requests by kind.

    ``recovered`` are wishes that a push which was killed left, and that became unknown,
    ``refused`` why Postgres did not let be noted what became of a wish.
    """

    touched: set[int] = field(default_factory=set)
    states: Counter[str] = field(default_factory=Counter)
    recovered: list[int] = field(default_factory=list)
    refused: dict[int, RowRefusedError] = field(default_factory=dict)
    writes: int = 0
    reads: int = 0


class Sending(Struct):
    """One push at work; ``clock`` in seconds, whatever they are counted from.

    ``until``: when to begin nothing more, by that clock, because others wait for the lock.
    """

    client: Client
    store: Store
    options: Options
    directory: Directory
    say: Callable[[str], None]
    sleep: Callable[[float], Awaitable[object]]
    clock: Callable[[], float]
    tally: Tally = field(default_factory=Tally)
    until: float = float("inf")

    @property
    def is_over(self) -> bool:
        """Whether nothing more is to be begun."""
        return self.clock() >= self.until

    async def record(
        self, found: Sequence[Result], also: Callable[[sa.Connection], object] | None = None
    ) -> None:
        """Note what became of wishes, and what else commits with it.

        Where Postgres refuses to, as a trigger of others may, each is noted by itself; what stays
        refused is told at the end, and the next push begins with it.
        """

        def note(conn: sa.Connection) -> None:
            if also:
                also(conn)
            results.record(conn, found, self.options.hint_delay)

        if not found:
            return
        try:
            await self.store.do(note)
        except RowRefusedError as error:
            if len(found) == 1:
                self.tally.refused[found[0].wish.id] = error
                return
            for place, one in enumerate(found):
                await self.record([one], None if place else also)
            return
        self.tally.touched.update(one.wish.id for one in found)
        self.tally.states.update(one.state for one in found)

    async def write(
        self, method: str, path: str, body: Any = None, *, repeat: bool = True
    ) -> Reply:
        """Send a write, counted; raises like ``writes.write``."""
        self.tally.writes += 1
        return await write(self.client, method, path, body, repeat=repeat)

    async def listed(self, style: Style) -> list[Mapping[str, Any]]:
        """All records of a list or search, its pages counted; raises like ``pages``."""
        found = list[Mapping[str, Any]]()
        async with aclosing(pages(self.client, style)) as listed:
            async for page in listed:
                self.tally.reads += 1
                found += page.records
                page.release()
        return found

    async def read(self, path: str, **params: Any) -> Reply:
        """Read one object or list, counted; raises like ``Client.request``."""
        self.tally.reads += 1
        return await self.client.request("GET", path, params=params)
