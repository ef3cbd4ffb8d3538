"""Sends one HTTP request and reads the reply to its end; the only importer of httpx.

It knows proxies, certificates and timeouts, and nothing of Intercom. Whatever the libraries below
raise leaves here as a RetryExhaustedError: a lost, stalled or cut-off connection is temporary.

Underneath works aiohttp's connection pool (through httpx-aiohttp): a page of 340 kB takes it 0.5
to 0.7 ms of CPU, where httpx's own pool takes 1.2 ms alone and 6 ms with fifty in flight.
"""

import asyncio
import math
import ssl
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
from msgspec import Struct

from connector.errors import ReplyTooLargeError, RetryExhaustedError, SettingsError
from connector.intercom.memory import Share


@contextmanager
def _without_certificates() -> Iterator[None]:
    """Contexts that are made meanwhile trust nobody, and take no time."""
    # Put before the method that is inherited, and taken away again.
    ssl.SSLContext.set_default_verify_paths = lambda self: None  # type: ignore[method-assign]
    try:
        yield
    finally:
        del ssl.SSLContext.set_default_verify_paths


# aiohttp makes two as it is imported, for connections that are given none: here all are given one.
with _without_certificates():
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

Transport = httpx.AsyncBaseTransport

KEEP_ALIVE = 4.0
"""Seconds an idle connection is kept: less than servers do, so that none is used half-closed."""

ENCODINGS = {"Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}

# httpx-aiohttp lets some of aiohttp's own errors through; OSError covers TimeoutError.
_LOST = (httpx.TransportError, httpx.DecodingError, aiohttp.ClientError, OSError)
_UNSENT = (httpx.ConnectError, httpx.ConnectTimeout, aiohttp.ClientConnectorError)


class Timeouts(Struct, frozen=True):
    """Seconds to connect, between two bytes, and for one whole attempt.

    The last ends a body that trickles on without end. Waiting for the budget has no limit.
    """

    connect: float = 10.0
    read: float = 60.0
    attempt: float = 180.0


class Response(Struct, frozen=True):
    """What came back: lower-case header names, local times of sending and of the headers."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    sent: float
    received: float


class _Room(Struct, frozen=True):
    """Where a body may go: as its bytes come, room is made for them."""

    share: Share
    most: float
    patience: asyncio.Timeout

    async def body(self, response: httpx.Response) -> bytes:
        """The whole body; waiting for room is not waiting for the reply."""
        told = response.headers.get("content-length", "")
        if told.isdigit() and "content-encoding" not in response.headers:
            await self._grow(int(told), int(told))
        size, parts = 0, list[bytes]()
        async for part in response.aiter_bytes():
            size += len(part)
            parts.append(part)
            if size > self.share.held:
                await self._grow(size, size + self.share.memory.step)
        return b"".join(parts)

    async def _grow(self, size: int, room: int) -> None:
        if size > self.most:
            error = ReplyTooLargeError(f"the reply has {size} bytes or more")
            error.size = size
            raise error
        began = asyncio.get_running_loop().time()
        await self.share.grow(room)
        waited = asyncio.get_running_loop().time() - began
        until = self.patience.when()
        if waited and until is not None:
            self.patience.reschedule(until + waited)


class Wire:
    """A pool of connections to one host."""

    def __init__(
        self,
        base_url: str,
        *,
        local: Callable[[], float],
        timeouts: Timeouts,
        headers: Mapping[str, str],
        transport: Transport | None = None,
        ca_bundle: str | None = None,
        connections: int = 50,
    ) -> None:
        """Connect nothing yet; SettingsError for a CA bundle or proxy that cannot be used."""
        self._local = local
        self._timeouts = timeouts
        # No httpx.AsyncClient around it: cookies, redirects, a .netrc and proxies must not add
        # themselves, and what it does for each request takes longer than all the rest.
        self._transport = transport or _transport(base_url, ca_bundle, connections)
        timeout = httpx.Timeout(timeouts.read, connect=timeouts.connect, pool=None)
        self._extensions = {"timeout": timeout.as_dict()}
        self._headers = {**ENCODINGS, **headers}

    async def send(
        self,
        method: str,
        url: str,
        *,
        params: Mapping[str, Any],
        headers: Mapping[str, str],
        body: bytes | None,
        share: Share,
        most: float = math.inf,
    ) -> Response:
        """The whole reply, whose bytes ``share`` holds.

        RetryExhaustedError if none came, or not to its end; ReplyTooLargeError if it has more than
        ``most`` bytes.
        """
        request = httpx.Request(
            method,
            url,
            params={name: value for name, value in params.items() if value is not None} or None,
            headers={**self._headers, **headers},
            content=body,
            extensions=self._extensions,
        )
        try:
            async with asyncio.timeout(self._timeouts.attempt) as patience:
                return await self._read(request, _Room(share, most, patience))
        except _LOST as error:
            failure = RetryExhaustedError(_describe(error))
            failure.unsent = isinstance(error, _UNSENT)
            raise failure from error

    async def _read(self, request: httpx.Request, room: "_Room") -> Response:
        sent = self._local()
        response = await self._transport.handle_async_request(request)
        # The Date header is written with the headers; a slow body must not make it look old.
        received = self._local()
        try:
            body = await room.body(response)
        finally:
            await response.aclose()
        headers = {name.lower(): value for name, value in response.headers.items()}
        return Response(response.status_code, headers, body, sent, received)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._transport.aclose()


def _describe(error: BaseException) -> str:
    if isinstance(error, TimeoutError | httpx.TimeoutException) and not str(error):
        return "no whole reply in time"
    return f"no whole reply: {type(error).__name__} {error}".strip()


def _transport(base_url: str, ca_bundle: str | None, connections: int) -> Transport:
    proxy = proxy_for(base_url)  # refused before anything is connected
    is_plain = urlsplit(base_url).scheme == "http" and not ca_bundle and proxy is None
    # Certificates take a moment to load; nobody is trusted where none will be shown.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT) if is_plain else tls_context(ca_bundle)

    def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=connections, keepalive_timeout=KEEP_ALIVE, ssl=context
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            middlewares=(_send_once,),
        )

    return AiohttpTransport(verify=context, client=session, proxy=proxy)


async def _send_once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    # aiohttp quietly sends a GET again when its connection drops. A scroll page that was lost on
    # the way would then be skipped in silence, and the budget would not know of the request.
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientPayloadError(f"connection lost: {error}") from error


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """What certificates are checked by; SettingsError for a bundle that cannot be used."""
    # Without a bundle of our own, httpx honours SSL_CERT_FILE and SSL_CERT_DIR.
    try:
        if ca_bundle:
            return ssl.create_default_context(cafile=ca_bundle)
        return httpx.create_ssl_context(trust_env=True)
    except OSError as error:
        raise SettingsError(f"the CA bundle cannot be read: {error}") from error


def proxy_for(base_url: str) -> httpx.Proxy | None:
    """HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY, as the standard library reads them.

    SettingsError for one that cannot be used; its words quote nothing, it may hold a password.
    """
    parts = urlsplit(base_url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if not proxy or urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    if proxy.partition("://")[0].lower() not in ("http", "https"):
        raise SettingsError("only http:// and https:// proxies can be used, SOCKS cannot")
    try:
        made = httpx.Proxy(proxy)
        usable = bool(urlsplit(proxy).hostname) and urlsplit(proxy).port != 0
    except (httpx.InvalidURL, ValueError):
        usable = False
    if not usable:
        raise SettingsError(
            "the address of the proxy (HTTPS_PROXY, HTTP_PROXY or ALL_PROXY) cannot be read: it"
            " must look like http://user:password@host:3128, and characters such as / @ : # ? in"
            " user and password must be percent-encoded"
        ) from None
    return made
