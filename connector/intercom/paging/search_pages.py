"""Reads a search to its end, with smaller pages where Intercom fails at large ones.

It knows page sizes and page tokens, not what is searched for. Intercom answers some searches with
502 or not at all at 150 records a page, for ever, and answers them well at fewer. A record that it
cannot show at all spoils every page that it would stand on, with whatever status.
"""

import logging
import math
from collections.abc import AsyncGenerator, Mapping
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    CursorRefusedError,
    IntercomError,
    PagingError,
    ReplyTooLargeError,
    RetryExhaustedError,
    SpoiltPageError,
)
from connector.intercom.client import Client
from connector.intercom.memory import listing
from connector.intercom.paging.page import Page, Trail, fetch, next_params
from connector.intercom.refusals import is_spoilt
from connector.intercom.retry import ONCE, QUICK, TWICE, Retry

log = logging.getLogger(__name__)
E = TypeVar("E", bound=IntercomError)

CALM = 3
"""Pages that must succeed before the page size is doubled again."""

NEVER = 4_000_000_000
"""A time, in Unix seconds, at which nothing was created."""


class CursorSearch(Struct, frozen=True):
    """POST with ``pagination`` in the body; ``body`` holds the query and its sort.

    Pages begin with ``first`` records. ``proven``: it is known that the search works and that
    single records spoil it, so failures are not repeated for long.
    """

    path: str
    key: str
    body: Mapping[str, Any] = field(default_factory=dict)
    per_page: int = 150
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    first: int | None = None
    proven: bool = False

    async def read(self, client: Client, retry: Retry | None = None) -> AsyncGenerator[Page, None]:
        """Every page; SpoiltPageError when one record cannot be had, naming the place.

        Raises what the client raises when nothing can be had at all, and CursorRefusedError when
        Intercom no longer takes its own page token, or not from the access token that it gave it.
        """
        client = client.chain()
        size = _Size(self.per_page, self.first)
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
        works = self.proven or token is not None
        memory, name = client.memory, listing("POST", self.path)
        while True:
            number = memory.per_page(name, size.now)
            try:
                page = await self._ask(client, number, token, self._patience(number, retry))
            except ReplyTooLargeError as error:
                # Not even so many bytes are all there are, so the next guess may be too large too.
                memory.learn(name, number, 2 * error.size)
                log.debug("%s; asking for fewer a page", error)
            except IntercomError as error:
                if not is_spoilt(error):
                    raise
                if number == 1:
                    raise await self._alone(client, error, token) from error
                if not works and not isinstance(error, RetryExhaustedError | BadAnswerError):
                    works = await self._works(client)
                    if not works:
                        raise  # the request itself is refused
                size.halve(number)
                log.info("%s; asking for %d a page", error, size.now)
            else:
                memory.learn(name, len(page), page.weight)
                size.succeeded()
                return page

    def _patience(self, size: int, retry: Retry | None) -> Retry | None:
        if self.proven:
            return ONCE if size > 1 else QUICK
        return TWICE if size > 1 else retry

    async def _alone(
        self, client: Client, error: IntercomError, token: str | None
    ) -> IntercomError:
        """What the failure of a page with one record is: of the record, or of everything."""
        if self.proven or await self._works(client):
            return as_spoilt(error)
        error.message += f" (at 1 a page, after page token {token!r})"
        return error

    async def _works(self, client: Client) -> bool:
        """Whether the same search succeeds where it finds nothing that could spoil it."""
        never = {"field": "created_at", "operator": ">", "value": NEVER}
        query = self.body.get("query", {"operator": "AND", "value": []})
        wanted = query["value"] if query.get("operator") == "AND" else [query]
        body = {**self.body, "query": {"operator": "AND", "value": [*wanted, never]}}
        try:
            page = await replace(self, body=body)._ask(client, self.per_page, None, TWICE)
            page.release()
        except IntercomError:
            return False
        return True

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
    return error.retold(CursorRefusedError)


def as_spoilt(error: IntercomError) -> SpoiltPageError:
    """The same refusal as what a single record does to its page."""
    return error.retold(SpoiltPageError)


def _pagination(per_page: int, token: str | None) -> dict[str, Any]:
    return {"per_page": per_page} | ({"starting_after": token} if token else {})


class _Size:
    """The page size now: halved on failure, doubled after calm."""

    def __init__(self, largest: int, first: int | None = None) -> None:
        self._largest = max(1, largest)
        self.now = min(self._largest, first or self._largest)
        self._calm = 0

    def halve(self, asked: int) -> None:
        self.now = max(1, asked // 2)
        self._calm = 0

    def succeeded(self) -> None:
        self._calm += 1
        if self._calm >= CALM and self.now < self._largest:
            self.now = min(self._largest, self.now * 2)
            self._calm = 0
