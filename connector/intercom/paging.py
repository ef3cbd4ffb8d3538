"""Intercom's paging styles, each a value that reads itself page by page; knows no resource.

``pages(client, style)`` is all a caller needs. A style says where a list is and how it goes on.
Whatever form ``pages.next`` takes, only its token or query is used: the request goes to the
configured address, to the style's own path.
"""

import math
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    IntercomError,
    ReplyTooLargeError,
    RetryExhaustedError,
    SpoiltPageError,
)
from connector.intercom.client import Client
from connector.intercom.memory import listing
from connector.intercom.page import Page, Trail, fetch, next_params
from connector.intercom.refusals import is_spoilt
from connector.intercom.retry import TWICE, Retry
from connector.intercom.scroll import Scroll
from connector.intercom.shrinking import (
    CursorSearch,
    as_cursor_refused,
    as_spoilt,
    is_cursor_refused,
)
from connector.intercom.skipping import SIZE, Gap, Pieces, gap_page

__all__ = [
    "CursorList",
    "CursorSearch",
    "EventPages",
    "NumberedPages",
    "OpaqueCursor",
    "Page",
    "Scroll",
    "Style",
    "WholeList",
    "pages",
]

EMPTY_PAGES = 100
"""So many empty pages in a row, each with a next, are no list but a loop."""


class Style(Protocol):
    """A way to read one list to its end."""

    def read(self, client: Client, retry: Retry | None = None) -> AsyncIterator[Page]:
        """The pages in order."""


def pages(client: Client, style: Style, *, retry: Retry | None = None) -> AsyncIterator[Page]:
    """The pages of a list, in order; ``retry`` bounds each request (the client's own if None).

    Raises PagingError when the page tokens cannot be trusted, BadAnswerError when the list is
    missing, and whatever ``Client.request`` raises.
    """
    return style.read(client, retry)


@dataclass(frozen=True, slots=True)
class WholeList:
    """GET, everything in one reply."""

    path: str
    key: str = "data"
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None

    async def read(self, client: Client, retry: Retry | None = None) -> AsyncIterator[Page]:
        """The one page."""
        yield await fetch(
            client,
            "GET",
            self.path,
            self.key,
            params=self.params,
            version=self.version,
            retry=retry,
        )


@dataclass(frozen=True, slots=True)
class CursorList:
    """GET with ``starting_after``; ends where ``pages.next`` is absent or null.

    ``skips``: where a record spoils its page, an empty page with its ``gap`` is the last one.
    """

    path: str
    key: str = "data"
    per_page: int | None = 150
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    skips: bool = False

    def read(self, client: Client, retry: Retry | None = None) -> AsyncIterator[Page]:
        """The pages; CursorRefusedError when Intercom no longer takes its own page token."""
        return _walk(client, _Walk("GET", self, shrinks=True), retry)


@dataclass(frozen=True, slots=True)
class NumberedPages:
    """Page numbers in the query (also for POST /companies/list).

    ``pages.next`` is a URL, null at the end, or missing altogether (articles, news, calls): then
    ``total_pages`` tells whether there is more. ``skips``: what spoils a page is left out alone,
    and an empty page with its ``gap`` comes in its place.
    """

    path: str
    key: str = "data"
    per_page: int | None = 50
    method: str = "GET"
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    skips: bool = False

    def read(self, client: Client, retry: Retry | None = None) -> AsyncIterator[Page]:
        """The pages."""
        walk = _Walk(self.method, self, numbered=True)
        return _skip(client, walk, retry) if self.skips else _walk(client, walk, retry)


@dataclass(frozen=True, slots=True)
class EventPages:
    """GET whose ``pages.next`` is a URL that goes back in time (``before``, milliseconds)."""

    path: str = "/events"
    key: str = "events"
    per_page: int | None = 50
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None

    def read(self, client: Client, retry: Retry | None = None) -> AsyncIterator[Page]:
        """The pages, newest first."""
        return _walk(client, _Walk("GET", self), retry)


@dataclass(frozen=True, slots=True)
class OpaqueCursor:
    """GET with ``cursor``; goes on while ``has_more`` and a ``next_cursor`` is given."""

    path: str
    key: str = "data"
    per_page: int | None = 150
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None

    def read(self, client: Client, retry: Retry | None = None) -> AsyncIterator[Page]:
        """The pages."""
        return _walk(client, _Walk("GET", self, opaque=True), retry)


class _Listed(Protocol):
    """What the styles below the walk have in common."""

    @property
    def path(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def per_page(self) -> int | None: ...
    @property
    def params(self) -> Mapping[str, Any]: ...
    @property
    def version(self) -> str | None: ...


@dataclass(frozen=True, slots=True)
class _Walk:
    method: str
    style: _Listed
    numbered: bool = False
    opaque: bool = False
    shrinks: bool = False  # whether the next page may have another size

    def first_params(self) -> dict[str, Any]:
        sized = {} if self.style.per_page is None else {"per_page": self.style.per_page}
        return {**self.style.params, **sized}

    def next_params(self, page: Page, number: int, base_url: str) -> dict[str, str] | None:
        if self.opaque:
            cursor = page.envelope.get("next_cursor")
            return {"cursor": str(cursor)} if cursor and page.envelope.get("has_more") else None
        listing = page.envelope.get("pages")
        if self.numbered and page.is_empty:
            return None
        if self.numbered and isinstance(listing, dict) and "next" not in listing:
            return _next_number(listing, number)
        return next_params(page, base_url)


async def _walk(client: Client, walk: _Walk, retry: Retry | None) -> AsyncIterator[Page]:
    trail = Trail(walk.method, walk.style.path)
    params = walk.first_params()
    number, empty, place = 1, 0, 1
    while True:
        try:
            page = await _fetch_shrinking(client, walk, params, number, retry)
        except SpoiltPageError as error:
            if not getattr(walk.style, "skips", False):
                raise
            yield gap_page(Gap(place, error, rest=True), client.clock.now())
            return
        yield page
        empty, place = empty + 1 if page.is_empty else 0, place + len(page)
        try:
            following = walk.next_params(page, number, client.base_url)
        except ValueError as error:
            raise trail.error(str(error)) from error
        if following is None:
            return
        if empty >= EMPTY_PAGES:
            raise trail.error(f"{empty} empty pages in a row")
        trail.follow(repr(sorted(following.items())))
        params = {**walk.first_params(), **following, **_sized(params, walk)}
        number += 1


def _sized(params: Mapping[str, Any], walk: _Walk) -> dict[str, Any]:
    """The page size, where it had to be made smaller."""
    return {"per_page": params["per_page"]} if walk.shrinks and "per_page" in params else {}


async def _fetch_shrinking(
    client: Client, walk: _Walk, params: dict[str, Any], number: int, retry: Retry | None
) -> Page:
    """The page, of fewer records where it is spoilt; SpoiltPageError if one alone is.

    The size in ``params`` becomes what could be had.
    """
    patience = retry
    while True:
        try:
            return await _fetch(client, walk, params, number, patience)
        except IntercomError as error:
            size = params.get("per_page")
            if not walk.shrinks or not is_spoilt(error) or type(size) is not int:
                raise
            passing = isinstance(error, RetryExhaustedError | BadAnswerError)
            if number == 1 and not passing and not getattr(walk.style, "skips", False):
                raise  # the list itself is refused
            if size == 1:
                raise error if number == 1 else as_spoilt(error) from error
            params["per_page"], patience = size // 2, TWICE


async def _skip(client: Client, walk: _Walk, retry: Retry | None) -> AsyncIterator[Page]:
    """As ``_walk`` where page numbers go on by one, around what spoils a page."""
    number, size = 1, walk.style.per_page or SIZE

    async def ask(number: int, size: int | None, patience: Retry | None) -> Page:
        sized = {} if size is None else {"per_page": size}
        params = {**walk.style.params, **sized, "page": number}
        return await _fetch(client, walk, params, number, patience)

    pieces, last = Pieces(ask, client.clock.now), None
    while True:
        try:
            page = await ask(number, walk.style.per_page, retry)
        except IntercomError as error:
            if not is_spoilt(error):
                raise
            async for page in pieces.read((number - 1) * size, size, error):
                yield page
            if pieces.ended:
                return
        else:
            if page.texts and page.texts == last:
                raise Trail(walk.method, walk.style.path).error("the same page came again")
            pieces.in_a_row, last = 0, page.texts
            yield page
            if _has_ended(walk, page, number, client.base_url):
                return
        number += 1


def _has_ended(walk: _Walk, page: Page, number: int, base_url: str) -> bool:
    try:
        return walk.next_params(page, number, base_url) is None
    except ValueError as error:
        raise Trail(walk.method, walk.style.path).error(str(error)) from error


async def _fetch(
    client: Client, walk: _Walk, params: Mapping[str, Any], number: int, retry: Retry | None
) -> Page:
    try:
        if walk.shrinks and walk.style.per_page:
            return await _fetch_fitting(client, walk, params, retry)
        return await _ask(client, walk, params, retry)
    except BadRequestError as error:
        if number > 1 and is_cursor_refused(error):
            raise as_cursor_refused(error) from error
        raise


async def _fetch_fitting(
    client: Client, walk: _Walk, params: Mapping[str, Any], retry: Retry | None
) -> Page:
    """The page, with fewer records than are wanted where these are large."""
    memory, name = client.memory, listing(walk.method, walk.style.path)
    while True:
        number = memory.per_page(name, int(params["per_page"]))
        most = 2 * memory.reply if number > 1 else math.inf
        try:
            page = await _ask(client, walk, {**params, "per_page": number}, retry, most)
        except ReplyTooLargeError as error:
            memory.learn(name, number, 2 * error.size)
        else:
            memory.learn(name, len(page), page.weight)
            return page


async def _ask(
    client: Client,
    walk: _Walk,
    params: Mapping[str, Any],
    retry: Retry | None,
    most: float = math.inf,
) -> Page:
    style = walk.style
    return await fetch(
        client,
        walk.method,
        style.path,
        style.key,
        params=params,
        version=style.version,
        retry=retry,
        most=most,
    )


def _next_number(listing: Mapping[str, Any], number: int) -> dict[str, str] | None:
    total = listing.get("total_pages")
    return {"page": str(number + 1)} if isinstance(total, int) and number < total else None
