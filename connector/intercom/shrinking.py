"""Reads a search to its end, with smaller pages where Intercom fails at large ones.

It knows page sizes and page tokens, not what is searched for. Intercom answers some searches with
502 or not at all at 150 records a page, for ever, and answers them well at fewer.
"""

import logging
import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    CursorRefusedError,
    PagingError,
    ReplyTooLargeError,
    RetryExhaustedError,
)
from connector.intercom.client import Client
from connector.intercom.memory import listing
from connector.intercom.page import Page, Trail, fetch, next_params
from connector.intercom.retry import TWICE, Retry

log = logging.getLogger(__name__)

CALM = 3
"""Pages that must succeed before the page size is doubled again."""


@dataclass(frozen=True, slots=True)
class CursorSearch:
    """POST with ``pagination`` in the body; ``body`` holds the query and its sort."""

    path: str
    key: str
    body: Mapping[str, Any] = field(default_factory=dict)
    per_page: int = 150
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None

    async def read(self, client: Client, retry: Retry | None = None) -> AsyncIterator[Page]:
        """Every page; RetryExhaustedError when even one record cannot be had, naming the place.

        CursorRefusedError when Intercom no longer takes its own page token.
        """
        size = _Size(self.per_page)
        trail = Trail("POST", self.path)
        token: str | None = None
        while True:
            found = [await self._fetch(client, size, token, retry)]
            envelope = found[0].only(())
            yield found.pop()  # whoever takes it decides how long it is held
            token = self._next_token(envelope, client, trail)
            if token is None:
                return
            trail.follow(token)

    async def _fetch(
        self, client: Client, size: "_Size", token: str | None, retry: Retry | None
    ) -> Page:
        memory, name = client.memory, listing("POST", self.path)
        while True:
            patience, number = TWICE if size.now > 1 else retry, memory.per_page(name, size.now)
            try:
                page = await self._ask(client, number, token, patience)
            except ReplyTooLargeError as error:
                # Not even so many bytes are all there are, so the next guess may be too large too.
                memory.learn(name, number, 2 * error.size)
                log.debug("%s; asking for fewer a page", error)
            except (RetryExhaustedError, BadAnswerError) as error:
                if size.now == 1 or error.status == 429:
                    error.message += f" (at {size.now} a page, after page token {token!r})"
                    raise
                size.halve()
                log.warning("%s; asking for %d a page", error, size.now)
            else:
                memory.learn(name, len(page), page.weight)
                size.succeeded()
                return page

    async def _ask(
        self, client: Client, per_page: int, token: str | None, retry: Retry | None
    ) -> Page:
        body = {**self.body, "pagination": _pagination(per_page, token)}
        try:
            return await fetch(
                client,
                "POST",
                self.path,
                self.key,
                params=self.params,
                json=body,
                version=self.version,
                retry=retry,
                most=2 * client.memory.reply if per_page > 1 else math.inf,
            )
        except BadRequestError as error:
            if token is not None and is_cursor_refused(error):
                raise as_cursor_refused(error) from error
            raise

    def _next_token(self, page: Page, client: Client, trail: Trail) -> str | None:
        try:
            params = next_params(page, client.base_url)
        except ValueError as error:
            raise trail.error(str(error)) from error
        if params is None:
            return None
        if "starting_after" not in params:
            raise PagingError("no starting_after in pages.next", method="POST", path=self.path)
        return params["starting_after"]


def is_cursor_refused(error: BadRequestError) -> bool:
    """Whether the request was refused for its page token."""
    return "starting_after" in error.message


def as_cursor_refused(error: BadRequestError) -> CursorRefusedError:
    """The same refusal as what the caller acts on."""
    return CursorRefusedError(
        error.message,
        method=error.method,
        path=error.path,
        status=error.status,
        code=error.code,
        request_id=error.request_id,
    )


def _pagination(per_page: int, token: str | None) -> dict[str, Any]:
    return {"per_page": per_page} | ({"starting_after": token} if token else {})


class _Size:
    """The page size now: halved on failure, doubled after calm."""

    def __init__(self, largest: int) -> None:
        self.now = self._largest = max(1, largest)
        self._calm = 0

    def halve(self) -> None:
        self.now = max(1, self.now // 2)
        self._calm = 0

    def succeeded(self) -> None:
        self._calm += 1
        if self._calm >= CALM and self.now < self._largest:
            self.now = min(self._largest, self.now * 2)
            self._calm = 0
