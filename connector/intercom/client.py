"""Makes one request of Intercom and returns its whole reply; knows no path, table or page.

It knows authentication, versions, the request budget, retries and errors; ``transport`` sends.
"""

import asyncio
import copy
import importlib.metadata
import logging
import math
import platform
import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Self, TypeVar
from urllib.parse import urljoin

from msgspec import Struct

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    IntercomError,
    NotPermittedError,
    ReplyTooLargeError,
    RetryExhaustedError,
    TokenRefusedError,
)
from connector.intercom.address import check_base_url, check_version, origin
from connector.intercom.budget import Budget
from connector.intercom.clock import Clock
from connector.intercom.memory import Memory, Share, listing
from connector.intercom.observations import Observations
from connector.intercom.rate_headers import learn, retry_after
from connector.intercom.responses import Reply, failure
from connector.intercom.retry import Retry, Tries
from connector.intercom.tokens.chain import FREE, Chain
from connector.intercom.tokens.queue import Grant
from connector.intercom.tokens.token import Token, checked
from connector.intercom.tokens.tokens import Tokens
from connector.intercom.transport import Response, Timeouts, Transport, Wire
from connector.jsontext import encode, is_complete

log = logging.getLogger(__name__)
T = TypeVar("T")

TOKEN = "INTERCOM_ACCESS_TOKEN"  # the setting, where nothing else is said
REDIRECTS = 3
SLOWEST = timedelta(minutes=2)  # a reply takes no longer
LONG_AGO = datetime.min.replace(tzinfo=UTC)
DEFAULT_RETRY = Retry()
DEFAULT_TIMEOUTS = Timeouts()


class _Request(Struct, frozen=True):
    method: str
    path: str
    url: str
    params: Mapping[str, Any]
    body: bytes | None
    version: str
    listing: str
    most: float = math.inf


class _Latest(Struct):
    """When the latest request was sent of all that were answered, by Intercom's clock."""

    at: datetime = LONG_AGO


class Client:
    """Speaks to one workspace of Intercom; an async context manager.

    ``token`` is one, or several of the workspace, which bring their budgets and their clock with
    them; so does a ``budget`` that is passed in. ``token_name`` is the setting that holds them.
    ``concurrency`` requests may be in flight at once; how many a minute is the budgets' business.
    """

    def __init__(
        self,
        *,
        token: str | Tokens,
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
        if isinstance(token, str):
            budget = budget or Budget(clock=clock, sleep=sleep, rng=rng)
            token = Tokens([Token(checked(token), budget)])
        if clock and token.clock is not clock:
            raise ValueError("the budgets must go by the client's clock")
        self.tokens = token
        self.clock = token.clock
        self.memory = memory or Memory()
        self.facts = Observations()
        """What was seen that contradicts what is known of Intercom."""
        self.retry = retry
        self.sleep = sleep
        self.rng = rng
        self.concurrency = concurrency
        self._latest = _Latest()
        self._chain = FREE
        self.scroll_lock = asyncio.Lock()
        """One scroll at a time: Intercom allows a workspace no second one."""
        self._token_name = token_name
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

    def chain(self, *, steady: bool = False) -> Self:
        """The same client for one reading: with whichever token it begins, with that it goes on.

        ``steady``: it begins with the first token that may, as it did in an earlier run. Raises
        TokenGoneError where that one was refused meanwhile.
        """
        return self._with(Chain(steady=steady))

    def using(self, token: Token) -> Self:
        """The same client with this token alone, whatever was seen of it."""
        return self._with(Chain(token, named=True))

    def _with(self, chain: Chain) -> Self:
        # All but the chain is shared: budgets, clock, memory, connections.
        other = copy.copy(self)
        other._chain = chain
        return other

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
        share = await self.memory.begin(request.listing, wait=hold)
        try:
            value, reply = await self._persist(request, read, retry or self.retry, share)
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
        url, kind = self.base_url + path, listing(method, path)
        return _Request(method, path, url, dict(params or {}), body, version, kind, most)

    async def _persist(
        self, request: _Request, read: Callable[[Reply], T], retry: Retry, share: Share
    ) -> tuple[T, Reply]:
        tries, tried = Tries(retry, self.rng), list[Token]()
        while True:
            delay, refusal = 0.0, None
            async with self._slots:
                grant = await self.tokens.acquire(request.listing, self._chain, tried)
                started = self.clock.local()
                try:
                    return await self._once(request, read, grant, share)
                except ReplyTooLargeError:
                    raise
                except NotPermittedError as error:
                    refusal = error
                    tried.append(grant.token)
                except (RetryExhaustedError, BadAnswerError) as error:
                    refusal = None
                    delay = tries.delay_after(error, self.clock.local() - started)
                    log.debug("%s: again in %.1f s", error, delay)
                finally:
                    grant.release()
            if refusal:
                await self._pass_on(request, grant.token, refusal, tried)
            else:
                await self.sleep(delay)

    async def _pass_on(
        self, request: _Request, token: Token, error: NotPermittedError, tried: Sequence[Token]
    ) -> None:
        """Raise what a refusal comes to, unless another token is left to be asked."""
        bound = self._chain.token
        if error.status == 401:
            try:
                await self._tell_if_refused(request.path, token, error)
            except TokenRefusedError as refusal:
                if self._chain.named or not self.tokens.drop(token, refusal):
                    raise
                self._chain.require()
                return
        if not self.tokens.refused(token, request.listing, tried) or bound:
            raise error

    async def _tell_if_refused(self, path: str, token: Token, error: NotPermittedError) -> None:
        # Intercom answers 401 to a dead token and to a missing scope alike; /me needs no scope.
        if path == "/me":
            raise self._refused(error) from error
        if token.refusal and not self._chain.named:
            raise token.refusal
        try:
            await self.using(token).request("GET", "/me")
        except NotPermittedError as refusal:
            if (refusal.code or "").startswith("token_"):
                raise self._refused(refusal) from error

    def _refused(self, error: NotPermittedError) -> TokenRefusedError:
        refused = error.retold(TokenRefusedError)
        refused.hint = refused.hint.replace(TOKEN, self._token_name)
        return refused

    async def _once(
        self, request: _Request, read: Callable[[Reply], T], grant: Grant, share: Share
    ) -> tuple[T, Reply]:
        status: int | None = None
        try:
            reply = await self._follow(request, grant, share)
            status = reply.status
            self._check(request, reply)
            value = read(reply)
            share.read(len(reply.body))
            self.tokens.succeeded(grant.token, request.listing)
            self._chain.bind(grant.token)
            return value, reply
        except IntercomError as error:
            if status is not None:
                share.refused()
            error.method, error.path = request.method, request.path
            self._hide_tokens(error)
            raise
        except ValueError as error:
            raise RetryExhaustedError(
                "the reply is empty, cut off or not JSON",
                method=request.method,
                path=request.path,
                status=status,
            ) from error

    def _hide_tokens(self, error: IntercomError) -> None:
        """A proxy may repeat what it was sent, in any part of its reply."""
        for name in ("message", "code", "request_id"):
            told = getattr(error, name)
            if told:
                setattr(error, name, self.tokens.hide(told))
        error.args = (error.message,)

    def _check(self, request: _Request, reply: Reply) -> None:
        error = failure(reply, request.method, request.path)
        if isinstance(error, RetryExhaustedError):
            error.retry_after = retry_after(reply.headers, self.clock) or 0.0
        if error is not None:
            raise error

    async def _follow(self, request: _Request, grant: Grant, share: Share) -> Reply:
        url, params = request.url, request.params
        for _ in range(REDIRECTS + 1):
            reply = await self._send(request, url, params, grant, share)
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
        grant: Grant,
        share: Share,
    ) -> Reply:
        headers = {
            "Authorization": f"Bearer {grant.token.secret}",
            "Intercom-Version": request.version,
        }
        if request.body is not None:
            headers["Content-Type"] = "application/json"
        earlier = self._latest.at
        response = await self._wire.send(
            request.method,
            url,
            params=params,
            headers=headers,
            body=request.body,
            share=share,
            most=request.most,
        )
        self._tell_time(response)
        learn(grant.token.budget, grant.ticket, response.status, response.headers)
        requested_at = self._requested_at(response.sent, earlier)
        return Reply(response.status, response.body, response.headers, requested_at, share)

    def _requested_at(self, sent: float, earlier: datetime) -> datetime:
        """When a request was sent, by Intercom's clock: not before any that was answered by then.

        A slow reply puts the clock back, and what is asked for later would seem the older copy.
        """
        at = self.clock.stamp(sent)
        at = min(max(at, earlier), at + SLOWEST)
        self._latest.at = max(self._latest.at, at)
        return at

    def _tell_time(self, response: Response) -> None:
        headers = response.headers
        if "html" not in headers.get("content-type", ""):  # a proxy's clock is not Intercom's
            sent, received = response.sent, response.received
            self.clock.observe(headers.get("date"), sent, received, headers.get("age"))


def _check_whole(reply: Reply) -> None:
    if reply.status in (202, 204) and not reply.body:
        return
    if not is_complete(reply.body):
        raise ValueError("no whole JSON text")


def _user_agent() -> str:
    try:
        version = importlib.metadata.version("intercom-warehouse")
    except importlib.metadata.PackageNotFoundError:
        version = "0"
    return f"intercom-warehouse/{version} (+python/{platform.python_version()} httpx)"
