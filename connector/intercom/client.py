"""Makes one request of Intercom and returns its whole reply; knows no path, table or page.

It knows authentication, versions, the request budget, retries and errors; ``transport`` sends.
"""

import asyncio
import importlib.metadata
import logging
import math
import platform
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any, Self, TypeVar
from urllib.parse import urljoin

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    IntercomError,
    NotPermittedError,
    ReplyTooLargeError,
    RetryExhaustedError,
    SettingsError,
    TokenRefusedError,
)
from connector.intercom.address import check_base_url, check_version, origin
from connector.intercom.budget import Budget, Ticket
from connector.intercom.clock import Clock, parse_date
from connector.intercom.memory import Memory, Share, listing
from connector.intercom.observations import Observations
from connector.intercom.responses import Reply, failure
from connector.intercom.retry import Retry, Tries
from connector.intercom.transport import Response, Timeouts, Transport, Wire
from connector.jsontext import encode, is_complete

log = logging.getLogger(__name__)
T = TypeVar("T")

TOKEN = "INTERCOM_ACCESS_TOKEN"  # the setting, where nothing else is said
REDIRECTS = 3
SLOWEST = timedelta(minutes=2)  # a reply takes no longer
DEFAULT_RETRY = Retry()
DEFAULT_TIMEOUTS = Timeouts()


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    url: str
    params: Mapping[str, Any]
    body: bytes | None
    version: str
    most: float = math.inf


class Client:
    """Speaks to one workspace of Intercom; an async context manager.

    ``token_name`` is the setting that holds the token. ``concurrency`` requests may be in flight
    at once; how many a minute is the budget's business.
    A ``budget`` that is passed in brings its clock with it.
    """

    def __init__(
        self,
        *,
        token: str,
        token_name: str = TOKEN,
        base_url: str,
        version: str = "2.16",
        budget: Budget | None = None,
        clock: Clock | None = None,
        transport: Transport | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        ca_bundle: str | None = None,
        concurrency: int = 50,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        rng: Callable[[], float] = random.random,
        user_agent: str | None = None,
        retry: Retry = DEFAULT_RETRY,
        allow_http: bool = False,
        memory: Memory | None = None,
    ) -> None:
        """Send nothing yet; SettingsError for a token, address, version or CA bundle of no use."""
        self.base_url = check_base_url(base_url, allow_http)
        self.version = check_version(version)
        if budget and clock and budget.clock is not clock:
            raise ValueError("the budget must go by the client's clock")
        self.clock = clock or (budget.clock if budget else Clock())
        self.budget = budget or Budget(clock=self.clock, sleep=sleep, rng=rng)
        self.memory = memory or Memory()
        self.facts = Observations()
        """What was seen that contradicts what is known of Intercom."""
        self.retry = retry
        self.sleep = sleep
        self.rng = rng
        self._latest_request = datetime.min.replace(tzinfo=UTC)
        self.scroll_lock = asyncio.Lock()
        """One scroll at a time: Intercom allows a workspace no second one."""
        self._token, self._token_name = _check_token(token, token_name), token_name
        self._slots = asyncio.Semaphore(concurrency)
        self._wire = Wire(
            self.base_url,
            local=self.clock.local,
            timeouts=timeouts,
            headers={"Accept": "application/json", "User-Agent": user_agent or _user_agent()},
            transport=transport,
            ca_bundle=ca_bundle,
            connections=concurrency,
        )

    def __repr__(self) -> str:
        return f"Client(base_url={self.base_url!r}, version={self.version!r}, token=[hidden])"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._wire.aclose()

    async def request(
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        version: str | None = None,
        retry: Retry | None = None,
    ) -> Reply:
        """The reply, a whole JSON text (or empty with 202 and 204).

        Temporary failures are repeated as ``retry`` says. Raises TokenRefusedError,
        NotPermittedError, NotFoundError, MergedError, BadRequestError, ScrollExistsError, and
        RetryExhaustedError when the retries are used up.
        """
        _, reply = await self.ask(
            method, path, _check_whole, params=params, json=json, version=version, retry=retry
        )
        return reply

    async def ask(
        self,
        method: str,
        path: str,
        read: Callable[[Reply], T],
        *,
        params: Mapping[str, Any] | None = None,
        json: Any = None,
        version: str | None = None,
        retry: Retry | None = None,
        hold: bool = False,
        most: float = math.inf,
    ) -> tuple[T, Reply]:
        """What ``read`` makes of the reply, and the reply; raises like ``request``.

        ``read`` may raise ValueError (no whole JSON text) or BadAnswerError (not the promised
        shape): both are repeated like a lost connection. ``hold``: this waits for room in memory,
        and the caller gives the reply's share back when it is done with what came. A reply of more
        than ``most`` bytes raises ReplyTooLargeError.
        """
        request = self._build(method, path, params, json, version, most)
        share = await self.memory.begin(listing(method, path), wait=hold)
        try:
            value, reply = await self._persist(request, read, retry or self.retry, share)
        except NotPermittedError as error:
            share.release()
            if error.status == 401:
                await self._tell_if_refused(path, error)
            raise
        except BaseException:
            share.release()
            raise
        if not hold:
            share.release()
        return value, reply

    # Layers, outermost first, each with one job

    def _build(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        json: Any,
        version: str | None,
        most: float,
    ) -> _Request:
        if not path.startswith("/") or path.startswith("//"):
            raise ValueError(f"not a path: {path!r}")
        body = None if json is None else encode(json)
        version = check_version(version) if version else self.version
        url = self.base_url + path
        return _Request(method, path, url, dict(params or {}), body, version, most)

    async def _tell_if_refused(self, path: str, error: NotPermittedError) -> None:
        # Intercom answers 401 to a dead token and to a missing scope alike; /me needs no scope.
        if path == "/me":
            raise self._refused(error) from error
        try:
            await self.request("GET", "/me")
        except NotPermittedError as refusal:
            if (refusal.code or "").startswith("token_"):
                raise self._refused(refusal) from error

    def _refused(self, error: NotPermittedError) -> TokenRefusedError:
        refused = error.retold(TokenRefusedError)
        refused.hint = refused.hint.replace(TOKEN, self._token_name)
        return refused

    async def _persist(
        self, request: _Request, read: Callable[[Reply], T], retry: Retry, share: Share
    ) -> tuple[T, Reply]:
        tries = Tries(retry, self.rng)
        while True:
            async with self._slots:
                ticket = await self.budget.acquire()
                started = self.clock.local()
                try:
                    return await self._once(request, read, ticket, share)
                except ReplyTooLargeError:
                    raise
                except (RetryExhaustedError, BadAnswerError) as error:
                    delay = tries.delay_after(error, self.clock.local() - started)
                    log.debug("%s: again in %.1f s", error, delay)
                finally:
                    self.budget.release(ticket)
            await self.sleep(delay)

    async def _once(
        self, request: _Request, read: Callable[[Reply], T], ticket: Ticket, share: Share
    ) -> tuple[T, Reply]:
        status: int | None = None
        try:
            reply = await self._follow(request, ticket, share)
            status = reply.status
            self._check(request, reply)
            value = read(reply)
            share.read(len(reply.body))
            return value, reply
        except IntercomError as error:
            error.method, error.path = request.method, request.path
            self._hide_token(error)
            raise
        except ValueError as error:
            raise RetryExhaustedError(
                "the reply is empty, cut off or not JSON",
                method=request.method,
                path=request.path,
                status=status,
            ) from error

    def _hide_token(self, error: IntercomError) -> None:
        """A proxy may repeat what it was sent, in any part of its reply."""
        if len(self._token) <= 8:
            return  # a simulator's token may be an ordinary short word, and is no secret
        for name in ("message", "code", "request_id"):
            told = getattr(error, name)
            if told:
                setattr(error, name, told.replace(self._token, "[token]"))
        error.args = (error.message,)

    def _check(self, request: _Request, reply: Reply) -> None:
        error = failure(reply, request.method, request.path)
        if isinstance(error, RetryExhaustedError):
            error.retry_after = self._retry_after(reply.headers) or 0.0
        if error is not None:
            raise error

    async def _follow(self, request: _Request, ticket: Ticket, share: Share) -> Reply:
        url, params = request.url, request.params
        for _ in range(REDIRECTS + 1):
            reply = await self._send(request, url, params, ticket, share)
            if reply.status not in (301, 302, 303, 307, 308):
                return reply
            url, params = self._redirected(request, url, reply), {}
        raise BadRequestError(f"more than {REDIRECTS} redirects", status=reply.status)

    def _redirected(self, request: _Request, url: str, reply: Reply) -> str:
        target = urljoin(url, reply.headers.get("location", ""))
        scheme, host, _ = origin(target)
        if origin(target) != origin(self.base_url):
            raise BadRequestError(
                f"redirected to {scheme}://{host}, which is not asked: the token goes to "
                f"{self.base_url} only",
                status=reply.status,
            )
        if request.method != "GET":
            raise BadRequestError("redirected, and only a GET can follow", status=reply.status)
        return target

    async def _send(
        self,
        request: _Request,
        url: str,
        params: Mapping[str, Any],
        ticket: Ticket,
        share: Share,
    ) -> Reply:
        headers = {
            "Authorization": f"Bearer {self._token}",
            "Intercom-Version": request.version,
        }
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        earlier = self._latest_request
        response = await self._wire.send(
            request.method,
            url,
            params=params,
            headers=headers,
            body=request.body,
            share=share,
            most=request.most,
        )
        self._learn(response, ticket)
        requested_at = self._requested_at(response.sent, earlier)
        return Reply(response.status, response.body, response.headers, requested_at, share)

    def _requested_at(self, sent: float, earlier: datetime) -> datetime:
        """When a request was sent, by Intercom's clock: not before any that was answered by then.

        A slow reply puts the clock back, and what is asked for later would seem the older copy.
        """
        at = self.clock.stamp(sent)
        at = min(max(at, earlier), at + SLOWEST)
        self._latest_request = max(self._latest_request, at)
        return at

    def _learn(self, response: Response, ticket: Ticket) -> None:
        headers = response.headers
        if "html" in headers.get("content-type", ""):
            if response.status != 429:
                return  # a proxy's page: neither its clock nor its silence on limits is Intercom's
        else:
            sent, received = response.sent, response.received
            self.clock.observe(headers.get("date"), sent, received, headers.get("age"))
        limit, reset = _number(headers, "limit"), _number(headers, "reset")
        date = parse_date(headers.get("date"))
        if response.status == 429:
            after = self._retry_after(headers)
            self.budget.refused(ticket, limit=limit, reset=reset, retry_after=after, date=date)
        elif limit is not None or response.status < 500:
            self.budget.observe(ticket, limit, _number(headers, "remaining"), reset, date)

    def _retry_after(self, headers: Mapping[str, str]) -> float | None:
        value = headers.get("retry-after", "").strip()
        try:
            if value.isdigit():
                return float(value)
            date = parse_date(headers.get("date"))
            until = parsedate_to_datetime(value).timestamp()
            return until - (self.clock.edge_now() if date is None else date)
        except (ValueError, OverflowError):
            return None


def _number(headers: Mapping[str, str], name: str) -> int | None:
    try:
        return int(float(headers[f"x-ratelimit-{name}"]))
    except (KeyError, ValueError, OverflowError):
        return None


def _check_whole(reply: Reply) -> None:
    if reply.status in (202, 204) and not reply.body:
        return
    if not is_complete(reply.body):
        raise ValueError("no whole JSON text")


def _check_token(token: str, name: str) -> str:
    token = token.strip()
    if not token:
        raise SettingsError(f"{name} is empty")
    if not token.isascii() or not token.isprintable() or " " in token:
        raise SettingsError(f"{name} holds characters that no token has")
    return token


def _user_agent() -> str:
    try:
        version = importlib.metadata.version("intercom-warehouse")
    except importlib.metadata.PackageNotFoundError:
        version = "0"
    return f"intercom-warehouse/{version} (+python/{platform.python_version()} httpx)"
