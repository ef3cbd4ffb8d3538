"""Reads the bodies of requests: bounded in size and time, each and all together.

Whoever may not send anything can begin a body and never end it. So a body makes room for others if
it has been read for the longest when all together are too large: those of Intercom come at once.
"""

from __future__ import annotations

import asyncio

from aiohttp import StreamReader

MOST_BYTES = 16 << 20  # of one notification; a long conversation is over a megabyte
MOST_IN_FLIGHT = 48 << 20  # of all bodies that are being read
SECONDS_FOR_BODY = 5.0  # Intercom waits no longer itself


class CrowdedError(Exception):
    """The body had to make room for others."""


class Bodies:
    """All bodies that are being read."""

    def __init__(self) -> None:
        self._reading: dict[asyncio.Timeout, int] = {}  # how much there is of each, oldest first

    async def read(self, content: StreamReader) -> bytearray:
        """The whole body; OverflowError, TimeoutError or CrowdedError where there is none."""
        async with asyncio.timeout(SECONDS_FOR_BODY) as limit:
            self._reading[limit] = 0
            try:
                return await self._read(content, limit)
            except asyncio.CancelledError:
                if limit not in self._reading:
                    raise CrowdedError from None
                raise
            finally:
                self._reading.pop(limit, None)

    async def _read(self, content: StreamReader, limit: asyncio.Timeout) -> bytearray:
        body = bytearray()
        async for piece in content.iter_any():
            body += piece
            if len(body) > MOST_BYTES:
                raise OverflowError
            self._grown(limit, len(body))
        return body  # not copied: it may be large

    def _grown(self, limit: asyncio.Timeout, size: int) -> None:
        if limit not in self._reading:
            raise CrowdedError
        self._reading[limit] = size
        while sum(self._reading.values()) > MOST_IN_FLIGHT:
            oldest = next(iter(self._reading))
            del self._reading[oldest]
            if oldest is limit:
                raise CrowdedError
            oldest.reschedule(0.0)
