"""Intercom's paging styles, each a value that reads itself page by page; knows no resource.

``pages(client, style)`` is all a caller needs. A style says where a list is and how it goes on.
Whatever form ``pages.next`` takes, only its token or query is used: the request goes to the
configured address, to the style's own path.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Protocol

from msgspec import Struct, field

from connector.errors import BadAnswerError
from connector.intercom.client import Client
from connector.intercom.facts import WHOLE_LISTS
from connector.intercom.paging.list_gaps import back_in_time, skip
from connector.intercom.paging.list_pages import Walk, walk, walk_bound
from connector.intercom.paging.page import Gap, Page
from connector.intercom.paging.scroll import Scroll
from connector.intercom.paging.search_pages import CursorSearch
from connector.intercom.retry import Retry

__all__ = [
    "CursorList",
    "CursorSearch",
    "EventPages",
    "Gap",
    "NumberedPages",
    "OpaqueCursor",
    "Page",
    "Scroll",
    "Style",
    "WholeList",
    "pages",
]


class Style(Protocol):
    """A way to read one list to its end."""

    def read(self, client: Client, retry: Retry | None = None) -> AsyncGenerator[Page, None]:
        """The pages in order."""


def pages(
    client: Client, style: Style, *, retry: Retry | None = None
) -> AsyncGenerator[Page, None]:
    """The pages of a list, in order; ``retry`` bounds each request (the client's own if None).

    Where one page is named by a token of the one before, all are asked for with the access token
    of the first. Raises PagingError when the page tokens cannot be trusted, TokenGoneError when the
    access token of a search was refused, BadAnswerError when the list is missing, and whatever
    ``Client.request`` raises.
    """
    return style.read(client, retry)


class WholeList(Struct, frozen=True):
    """GET, everything in one reply."""

    path: str
    key: str = "data"
    per_page: ClassVar[None] = None
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None

    async def read(self, client: Client, retry: Retry | None = None) -> AsyncGenerator[Page, None]:
        """The one page; the others too, should it be only the first one.

        BadAnswerError where the list counts more than it holds in all.
        """
        number, counted = 0, 0
        async with aclosing(walk(client, Walk("GET", self), retry)) as listed:
            async for page in listed:
                if number:
                    client.facts.refute(WHOLE_LISTS, f"GET {self.path} has another page")
                number, counted = number + len(page) + page.bad, max(counted, page.total or 0)
                yield page
        if counted > number:
            detail = f"GET {self.path} counts {counted} and shows {number}"
            client.facts.refute(WHOLE_LISTS, detail)
            raise BadAnswerError(f"the list counts {counted} and shows {number}")


class CursorList(Struct, frozen=True):
    """GET with ``starting_after``; ends where ``pages.next`` is absent or null.

    ``skips``: where a record spoils its page, an empty page with its ``gap`` is the last one.
    ``kept``: a later run begins at a page token of this one, so both ask with the same token.
    """

    path: str
    key: str = "data"
    per_page: int | None = 150
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None
    skips: bool = False
    kept: bool = False

    def read(self, client: Client, retry: Retry | None = None) -> AsyncGenerator[Page, None]:
        """The pages; CursorRefusedError when Intercom no longer takes its own page token."""
        way = Walk("GET", self, shrinks=True, trusts=self.skips)
        return walk_bound(client, way, retry, steady=self.kept)


class NumberedPages(Struct, frozen=True):
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

    def read(self, client: Client, retry: Retry | None = None) -> AsyncGenerator[Page, None]:
        """The pages."""
        way = Walk(self.method, self, numbered=True)
        return skip(client, way, retry) if self.skips else walk(client, way, retry)


class EventPages(Struct, frozen=True):
    """GET whose ``pages.next`` is a URL that goes back in time (``before``, milliseconds).

    In the place of an event that spoils its pages comes an empty page with its ``gap``.
    """

    path: str = "/events"
    key: str = "events"
    per_page: int | None = 50
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None

    def read(self, client: Client, retry: Retry | None = None) -> AsyncGenerator[Page, None]:
        """The pages, newest first."""
        return back_in_time(client, self, retry)


class OpaqueCursor(Struct, frozen=True):
    """GET with ``cursor``; goes on while ``has_more`` and a ``next_cursor`` is given."""

    path: str
    key: str = "data"
    per_page: int | None = 150
    params: Mapping[str, Any] = field(default_factory=dict)
    version: str | None = None

    def read(self, client: Client, retry: Retry | None = None) -> AsyncGenerator[Page, None]:
        """The pages."""
        return walk_bound(client, Walk("GET", self, opaque=True), retry)
