"""What our reader costs beside a bare HTTP client that sends the same searches.

``python -m bench.reading [CONTACTS]``: 64 chains of page tokens side by side, against a simulator
in a process of its own. The bare client sends what the reader sends and takes from each reply
nothing but the token of the next page. Ours waits for the budget, judges replies, splits them into
records and finds each record's id and times; it decodes them too in the third line. Prints pages
a second and CPU a page, medians of three.
"""

from __future__ import annotations

import asyncio
import re
import statistics
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from bench.growth import workspace
from bench.runs import simulated
from connector.intercom.client import Client
from connector.intercom.paging import search
from connector.intercom.paging.styles import CursorSearch, pages
from connector.jsontext import encode

CHAINS = 64
PATH, KEY = "/contacts/search", "data"
NEXT = re.compile(rb'"starting_after":\s*"([^"]+)"')
HEADERS = {
    "Authorization": "Bearer sim-token",
    "Accept": "application/json",
    "Content-Type": "application/json",
    "Intercom-Version": "2.16",
}

Read = Callable[[dict[str, Any]], Awaitable[int]]


def main(contacts: int) -> None:
    """Measure each and print them below each other."""
    with simulated(workspace(contacts)) as server:
        print("| | pages | pages a second | CPU a page |\n|---|---|---|---|")
        for name, how in (("bare aiohttp", bare), ("reader", ours), ("reader, decoded", decoded)):
            runs = [asyncio.run(measure(server.url, how)) for _ in range(3)]
            number = runs[0][0]
            rate = statistics.median(number / seconds for _, seconds, _ in runs)
            cpu = statistics.median(used / number for _, _, used in runs)
            print(f"| {name} | {number:,} | {rate:,.0f} | {cpu * 1e3:.2f} ms |", flush=True)


def searches() -> list[dict[str, Any]]:
    """Searches that cover three years, in about a hundred ranges of time."""
    now = datetime.now(UTC)
    whole = search.TimeRange(now - timedelta(days=3 * 366), now + timedelta(days=2))
    parts = search.split(whole, 100, "day")
    return [search.query(part, field="created_at", granularity="day") for part in parts]


async def measure(
    url: str, how: Callable[[str], AbstractAsyncContextManager[Read]]
) -> tuple[int, float, float]:
    """Pages, seconds and seconds of CPU of reading every search once."""
    waiting = searches()

    async def chain(read: Read) -> int:
        number = 0
        while waiting:
            number += await read(waiting.pop())
        return number

    async with how(url) as read:
        began, used = time.monotonic(), time.process_time()
        number = sum(await asyncio.gather(*(chain(read) for _ in range(CHAINS))))
        return number, time.monotonic() - began, time.process_time() - used


@asynccontextmanager
async def bare(url: str) -> AsyncIterator[Read]:
    """No more than aiohttp."""
    connector = aiohttp.TCPConnector(limit=CHAINS)
    async with aiohttp.ClientSession(connector=connector, headers=HEADERS) as session:

        async def read(body: dict[str, Any]) -> int:
            number, token = 0, None
            while True:
                paging = {"per_page": 150} | ({"starting_after": token} if token else {})
                sent = encode({**body, "pagination": paging})
                async with session.post(url + PATH, data=sent) as reply:
                    text = await reply.read()
                number += 1
                found = NEXT.search(text[-400:])
                if not found:
                    return number
                token = found[1].decode()

        yield read


@asynccontextmanager
async def ours(url: str, decode: bool = False) -> AsyncIterator[Read]:
    """The reader, as full passes use it."""
    async with Client(token="sim-token", base_url=url, concurrency=CHAINS) as client:

        async def read(body: dict[str, Any]) -> int:
            number = 0
            async for page in pages(client, CursorSearch(PATH, KEY, body)):
                number += 1
                if decode:
                    len(page.records)
                len(page.heads)
            return number

        yield read


def decoded(url: str) -> AbstractAsyncContextManager[Read]:
    """The reader with every record decoded."""
    return ours(url, decode=True)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 50_000)
