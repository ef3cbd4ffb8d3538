"""Posts a simulator's notifications to a listener over HTTP; knows no topic and no rule."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import aiohttp

from connector.simulator.simulator import Simulator

if TYPE_CHECKING:
    from connector.simulator.webhooks.delivery import Attempt

# How long no answer is waited for, how many posts are under way at once, how often it is looked
# whether something is due: the simulator's clock can be moved at any time.
TIMEOUT = 5.0
AT_ONCE = 64
_GLANCE = 0.02
_AGAIN = 1.0


async def send(
    simulator: Simulator,
    url: str,
    *,
    secret: str | None = None,
    topics: Iterable[str] | None = None,
    timeout: float = TIMEOUT,
    at_once: int = AT_ONCE,
    waiting: Callable[[], None] | None = None,
) -> None:
    """Post what is due until cancelled, after the listener answered a HEAD with 2xx.

    With a secret it subscribes then, so that what happens before is not told. `waiting` is called
    once if the first HEAD fails; it is repeated until one is answered.
    """
    limits = aiohttp.ClientTimeout(total=timeout)
    connector = aiohttp.TCPConnector(limit=at_once, ssl=ssl.create_default_context())
    async with aiohttp.ClientSession(timeout=limits, connector=connector) as session:
        while not await validates(session, url):
            if waiting is not None:
                waiting()
                waiting = None
            await asyncio.sleep(_AGAIN)
        if secret is not None:
            simulator.webhooks.subscribe(secret, topics)
        await _Sender(simulator, session, url, at_once).run()


async def validates(session: aiohttp.ClientSession, url: str) -> bool:
    """Whether a HEAD of the address is answered with 2xx, as Intercom demands on saving it."""
    try:
        async with session.head(url, allow_redirects=False) as answer:
            return 200 <= answer.status < 300
    except (aiohttp.ClientError, OSError, TimeoutError):
        return False


class _Sender:
    def __init__(
        self, simulator: Simulator, session: aiohttp.ClientSession, url: str, at_once: int
    ) -> None:
        self._simulator = simulator
        self._session = session
        self._url = url
        self._at_once = at_once
        self._posts: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        try:
            while True:
                self._begin()
                await self._rest()
        finally:
            for post in self._posts:
                post.cancel()

    def _begin(self) -> None:
        for attempt in self._simulator.webhooks.due(self._at_once - len(self._posts)):
            post = asyncio.create_task(self._post(attempt))
            self._posts.add(post)

    async def _rest(self) -> None:
        if not self._posts:
            await asyncio.sleep(_GLANCE)
            return
        done, self._posts = await asyncio.wait(
            self._posts, timeout=_GLANCE, return_when=asyncio.FIRST_COMPLETED
        )
        for post in done:
            post.result()

    async def _post(self, attempt: Attempt) -> None:
        headers, body = attempt.request()
        status: int | None = None
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, allow_redirects=False
            ) as answer:
                status = answer.status
        except (aiohttp.ClientError, OSError, TimeoutError):
            pass  # Whether the listener has it nobody knows.
        self._simulator.webhooks.answered(attempt, status)
