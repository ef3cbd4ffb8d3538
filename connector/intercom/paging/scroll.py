"""Reads all companies by Intercom's scroll; knows the scroll's rules, not what a company is.

One scroll per app, or per workspace, closed only by a minute of idleness; it goes on with the
access token that opened it. Each page is delivered once: a reply
that was not read to its end may have moved the scroll on, so the scroll begins again.
"""

import logging
from collections.abc import AsyncGenerator

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import (
    BadAnswerError,
    IntercomError,
    NotFoundError,
    RetryExhaustedError,
    ScrollBrokenError,
    ScrollExistsError,
    TokenGoneError,
)
from connector.intercom.client import Client
from connector.intercom.paging.page import Page, fetch
from connector.intercom.retry import ONCE, Retry

log = logging.getLogger(__name__)

_BREAKS = (RetryExhaustedError, BadAnswerError, NotFoundError, TokenGoneError)


class Scroll(Struct, frozen=True):
    """GET with ``scroll_param``; ``wait_step`` and ``wait_total`` in seconds for a foreign scroll.

    Between two pages the consumer must take less than a minute, or the scroll expires.
    """

    path: str = "/companies/scroll"
    key: str = "data"
    wait_step: float = 20.0
    wait_total: float = 300.0
    restarts: int = 5
    at_one_page: int = 3  # so often it may break at the same page: then that page is the reason
    max_pages: int = 1_000_000
    version: str | None = None

    async def read(self, client: Client, retry: Retry | None = None) -> AsyncGenerator[Page, None]:
        """Every page; after a break all of them again, the first one marked ``restarted``.

        A list without any record gives one empty page. Raises ScrollExistsError when another
        scroll stays open, ScrollBrokenError after too many restarts.
        """
        async with client.scroll_lock:
            param: str | None = None
            restarts = number = 0
            broke_at: list[int] = []
            chain = client.chain()
            for _ in range(self.max_pages):
                try:
                    page = await self._next(chain, param, retry)
                except _BREAKS as error:
                    if param is None:
                        raise
                    chain = client.chain()
                    restarts += 1
                    broke_at.append(number)
                    spoilt = broke_at.count(number) >= self.at_one_page
                    self._check_restarts(restarts, error, spoilt)
                    param, number = None, 0
                    continue
                number += 1
                if not page.is_empty or param is None:
                    yield replace(page, restarted=restarts > 0 and param is None)
                if page.is_empty:
                    return
                param = page.envelope["scroll_param"]
            raise ScrollBrokenError("the scroll does not end", method="GET", path=self.path)

    def _check_restarts(self, restarts: int, error: IntercomError, spoilt: bool) -> None:
        if spoilt or restarts > self.restarts:
            raise ScrollBrokenError(
                f"broke off {restarts} times, last: {error.message}",
                method="GET",
                path=self.path,
                status=error.status,
                code=error.code,
                request_id=error.request_id,
            ) from error
        log.warning("the scroll broke off and begins again: %s", error)

    async def _next(self, client: Client, param: str | None, retry: Retry | None) -> Page:
        if param is None:
            return await self._open(client, retry)
        return await self._page(client, param, ONCE)

    async def _open(self, client: Client, retry: Retry | None) -> Page:
        # A scroll of our own that broke off stays open for up to a minute: it looks like a
        # foreign one. So opening may be repeated at will, the worst is to wait here.
        waited = 0.0
        while True:
            try:
                return await self._page(client, None, retry)
            except ScrollExistsError:
                if waited >= self.wait_total:
                    raise
            level = logging.INFO if waited else logging.WARNING
            log.log(level, "a scroll of companies is open in this workspace; waiting for its end")
            await client.sleep(self.wait_step)
            waited += self.wait_step

    async def _page(self, client: Client, param: str | None, retry: Retry | None) -> Page:
        params = {"scroll_param": param} if param else None
        page = await fetch(
            client, "GET", self.path, self.key, params=params, version=self.version, retry=retry
        )
        token = page.envelope.get("scroll_param")
        if page.is_empty or (isinstance(token, str) and token):
            return page
        raise BadAnswerError("no scroll_param in the reply", method="GET", path=self.path)
