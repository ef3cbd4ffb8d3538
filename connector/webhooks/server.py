"""The HTTP server that Intercom sends its notifications to.

It answers 200 only for what is committed, and 503 where that failed: Intercom then tries once more
after a minute, while 410 would end the subscription and 429 hold all of it up. Sizes and times are
bounded before a signature is known to be right.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from connector.webhooks import bodies, connections
from connector.webhooks.bodies import Bodies, CrowdedError
from connector.webhooks.connections import Connections
from connector.webhooks.notification import Notification, read
from connector.webhooks.signature import HEADER, is_signed

logger = logging.getLogger(__name__)

SECONDS_TO_COMMIT = 4.0
SECONDS_TO_DRAIN = 2.0  # that a body is read on which is refused, so that the answer arrives
SECONDS_TO_END = 1.5  # for requests that are being answered when the server is to end

Accept = Callable[[Notification], Awaitable[None]]
Health = Callable[[], Awaitable[tuple[bool, Mapping[str, Any]]]]


class RefusedError(Exception):
    """The request is answered with this status and no more."""

    def __init__(self, status: int, why: str, *, unread: bool = False) -> None:
        super().__init__(why)
        self.status, self.why, self.unread = status, why, unread


class Server:
    """Receives notifications; ``accept`` keeps one or raises, ``health`` says how things are."""

    def __init__(self, secrets: Sequence[str], accept: Accept, health: Health) -> None:
        self._secrets = [secret.encode() for secret in secrets]
        self._accept, self._health = accept, health
        self._bodies, self._connections = Bodies(), Connections()

    def __repr__(self) -> str:
        return "Server(secrets=[hidden])"

    @asynccontextmanager
    async def listening(self, host: str, port: int) -> AsyncIterator[int]:
        """Serve while the block does; the port, for 0 the one that was free. Raises OSError."""
        server = web.Server(
            self.respond,
            access_log=None,
            logger=_quiet(),
            keepalive_timeout=connections.SECONDS_IDLE,
            lingering_time=SECONDS_TO_DRAIN,
            auto_decompress=False,
        )
        runner = web.ServerRunner(server, shutdown_timeout=SECONDS_TO_END)
        await runner.setup()
        watch: asyncio.Task[None] | None = None
        try:
            site = web.TCPSite(runner, host, port, backlog=1024)
            await site.start()
            watch = asyncio.ensure_future(self._connections.watch(server))
            yield runner.addresses[0][1]
        finally:
            if watch is not None:
                watch.cancel()
            await runner.cleanup()

    async def respond(self, request: web.BaseRequest) -> web.Response:
        """The answer to one request."""
        with self._connections.answering(request.transport):
            try:
                return await self._respond(request)
            except RefusedError as refused:
                return _refusal(refused)
            except OSError:  # who asked has gone
                return web.Response(status=400)
            except Exception:
                logger.exception("a fault of intercom-warehouse itself; nothing is lost")
                return web.Response(status=503)

    async def _respond(self, request: web.BaseRequest) -> web.Response:
        if request.method == "HEAD":  # sent unsigned, when the address is saved
            return web.Response()
        if request.method == "GET" and request.path == "/health":
            available, facts = await self._health()
            return web.json_response(dict(facts), status=200 if available else 503)
        if request.method != "POST":
            raise RefusedError(405, "notifications are POSTed", unread=True)
        await self._keep(await self._receive(request))
        return web.Response(text="ok\n")

    async def _receive(self, request: web.BaseRequest) -> Notification:
        """What was sent, if Intercom signed it; its body is not held any longer."""
        signature = request.headers.get(HEADER)
        if signature is None:
            raise RefusedError(401, f"no {HEADER}", unread=True)
        body = await self._read(request)
        if not is_signed(body, signature, self._secrets):
            raise RefusedError(401, "the signature is not that of this body")
        try:
            return read(body)
        except (ValueError, RecursionError):
            raise RefusedError(400, "not a JSON object") from None

    async def _read(self, request: web.BaseRequest) -> bytearray:
        if (request.content_length or 0) > bodies.MOST_BYTES:
            raise RefusedError(413, "too large", unread=True)
        if request.headers.get("Expect", "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        try:
            return await self._bodies.read(request.content)
        except OverflowError:
            raise RefusedError(413, "too large", unread=True) from None
        except TimeoutError:
            raise RefusedError(408, "too slow", unread=True) from None
        except CrowdedError:
            raise RefusedError(503, "too much at once", unread=True) from None
        except (ValueError, web.HTTPException, web.RequestPayloadError):  # chunks that are none
            raise RefusedError(400, "not readable", unread=True) from None

    async def _keep(self, notification: Notification) -> None:
        try:
            async with asyncio.timeout(SECONDS_TO_COMMIT):
                await self._accept(notification)
        except Exception as failure:  # whatever it was: it is not committed
            logger.debug("not committed: %s", type(failure).__name__)
            raise RefusedError(503, "not committed") from None


def _refusal(refused: RefusedError) -> web.Response:
    """The answer; the connection closes after it if the body was not read to its end."""
    response = web.Response(status=refused.status, text=f"{refused.why}\n")
    if refused.status == 405:
        response.headers["Allow"] = "POST, HEAD"
    if refused.unread:
        response.force_close()
    return response


def _quiet() -> logging.Logger:
    """Where aiohttp writes of requests that are none: anybody could fill the log with them."""
    found = logging.getLogger(f"{__name__}.requests")
    found.setLevel(logging.CRITICAL)
    return found
