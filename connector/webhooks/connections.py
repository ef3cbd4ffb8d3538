"""Closes connections that hold a place and say nothing.

A request begins with a connection and a head, and aiohttp waits for both for a minute and more; so
does whoever has vanished without a word.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from aiohttp import web

MOST_CONNECTIONS = 2_000
SECONDS_IDLE = 75.0  # between two requests of a connection
SECONDS_FOR_REQUEST = 10.0  # from a connection, or its first byte, to the head of a request
GLANCE = 1.0  # seconds between two looks at connections that say nothing


class Connections:
    """When each connection last said something whole, and which are being answered."""

    def __init__(self) -> None:
        self._heard: dict[Any, float] = {}
        self._first_seen: dict[Any, float] = {}
        self._busy: set[Any] = set()

    @contextmanager
    def answering(self, transport: Any) -> Iterator[None]:
        """A request of this connection is being answered."""
        self._busy.add(transport)
        try:
            yield
        finally:
            self._busy.discard(transport)
            self._heard[transport] = asyncio.get_running_loop().time()

    async def watch(self, server: web.Server) -> None:
        """Close connections that say nothing whole for long, and some where there are too many."""
        while True:
            await asyncio.sleep(GLANCE)
            open_now = [one.transport for one in server.connections if one.transport is not None]
            for transport in self._superfluous(open_now, asyncio.get_running_loop().time()):
                transport.abort()

    def _superfluous(self, open_now: list[Any], now: float) -> list[Any]:
        """The silent ones; and where too many are left, those that were silent for longest."""
        self._first_seen = {one: self._first_seen.get(one, now) for one in open_now}
        self._heard = {one: self._heard[one] for one in open_now if one in self._heard}
        idle = sorted((one for one in open_now if one not in self._busy), key=self._rank)
        silent = [one for one in idle if self._is_silent(one, now)]
        others = [one for one in idle if not self._is_silent(one, now)]
        too_many = len(open_now) - len(silent) - most_connections()
        return silent + others[: max(0, too_many)]

    def _rank(self, transport: Any) -> tuple[bool, float]:
        heard = self._heard.get(transport)
        return heard is not None, heard or self._first_seen[transport]

    def _is_silent(self, transport: Any, now: float) -> bool:
        heard = self._heard.get(transport)
        if heard is None:
            return now - self._first_seen[transport] > SECONDS_FOR_REQUEST
        return now - heard > SECONDS_IDLE + SECONDS_FOR_REQUEST


def most_connections() -> int:
    """How many there may be; each takes one of the files that this process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_CONNECTIONS if files < 0 else min(MOST_CONNECTIONS, files * 3 // 4)
