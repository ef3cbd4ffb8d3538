"""POSTs the report of a run to a URL of the user's. It can make no run fail: it warns.

The URL may be a secret (a path that opens a channel, a user and password): of it no warning
shows more than scheme and host, and no redirect leads it on.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import httpx

from connector.errors import SettingsError
from connector.intercom.transport import proxy_for, tls_context

logger = logging.getLogger(__name__)

TRIES, PAUSE = 3, 1.0  # seconds after the first try, and double that after the second
CONNECT, READ, ATTEMPT = 5.0, 10.0, 15.0  # seconds; the last ends an answer that trickles on
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})

Sleep = Callable[[float], Awaitable[object]]


def notify(
    url: str,
    report: dict[str, Any],
    *,
    ca_bundle: str | None = None,
    tries: int = TRIES,
    sleep: Sleep = asyncio.sleep,
) -> bool:
    """Whether the report was taken; if not, a warning says why."""
    try:
        reason = asyncio.run(_deliver(url, report, ca_bundle, tries, sleep))
    except Exception as error:  # whatever a URL or an answer may hold: no run fails for it
        reason = _describe(error)
    if reason:
        logger.warning("the report of the run could not be delivered to %s: %s", shown(url), reason)
    return reason is None


async def _deliver(
    url: str, report: dict[str, Any], ca_bundle: str | None, tries: int, sleep: Sleep
) -> str | None:
    """None once it is delivered, else the reason of the last failure."""
    body = json.dumps(report, default=str).encode()
    reason: str | None = None
    async with _client(url, ca_bundle) as client:
        for attempt in range(tries):
            if attempt:
                await sleep(PAUSE * attempt)
            reason, may_pass = await _try(client, url, body)
            if not may_pass:
                break
    return reason


async def _try(client: httpx.AsyncClient, url: str, body: bytes) -> tuple[str | None, bool]:
    """Why it was not taken, and whether trying again may help."""
    try:
        async with asyncio.timeout(ATTEMPT), client.stream("POST", url, content=body) as reply:
            status = reply.status_code  # what else the answer holds is not read
    except (httpx.TransportError, OSError) as error:
        return _describe(error), not isinstance(error, httpx.UnsupportedProtocol)
    if 200 <= status < 300:
        return None, False
    return f"it answers {status}", status in AGAIN


def _client(url: str, ca_bundle: str | None) -> httpx.AsyncClient:
    # httpx would log the whole URL of each request.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return httpx.AsyncClient(
        verify=tls_context(ca_bundle),
        proxy=proxy_for(url),
        trust_env=False,
        follow_redirects=False,
        timeout=httpx.Timeout(READ, connect=CONNECT),
        headers={"Content-Type": "application/json", "User-Agent": "intercom-warehouse"},
    )


def _describe(error: BaseException) -> str:
    """The failure in words of ours: those of a library may quote the URL."""
    if isinstance(error, httpx.ConnectError):
        return "it cannot be reached"
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no answer in time"
    if isinstance(error, httpx.RemoteProtocolError):
        return "its answer is no HTTP"
    if isinstance(error, SettingsError):  # of the CA bundle or the proxy
        return str(error)
    if isinstance(error, httpx.InvalidURL | ValueError):
        return "the address is no URL"
    return type(error).__name__


def shown(url: str) -> str:
    """Scheme and host of a URL, and nothing of what may be secret in it."""
    try:
        parts = urlsplit(url)
        host = (parts.hostname or "").encode("utf-8", "backslashreplace").decode()
    except ValueError:
        host = None
    return f"{parts.scheme}://{host}" if host else "the address in CONNECTOR_NOTIFY_URL"
