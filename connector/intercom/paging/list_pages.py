"""Walks from page to page of a list that a GET shows; knows how lists go on, and no style by name.

A refused page of a list by cursor is asked for again with fewer records on it.
"""

import logging
import math
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Protocol

from msgspec import Struct, field
from msgspec.structs import replace

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    IntercomError,
    ReplyTooLargeError,
    RetryExhaustedError,
    SpoiltPageError,
    TokenGoneError,
)
from connector.intercom.client import Client
from connector.intercom.memory import listing
from connector.intercom.paging.page import Gap, Page, Trail, fetch, gap_page, next_params
from connector.intercom.paging.search_pages import as_cursor_refused, as_spoilt, is_cursor_refused
from connector.intercom.refusals import is_spoilt
from connector.intercom.retry import TWICE, Retry

log = logging.getLogger(__name__)

EMPTY_PAGES = 100
"""So many empty pages in a row, each with a next, are no list but a loop."""


class Listed(Protocol):
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


class Walk(Struct, frozen=True):
    """How a list is gone through: by numbers, or by tokens that say nothing."""

    method: str
    style: Listed
    numbered: bool = False
    opaque: bool = False
    shrinks: bool = False  # whether the next page may have another size
    more: Mapping[str, Any] = field(default_factory=dict)  # parameters beside the style's
    trusts: bool = False  # a refusal of the first page may be for what stands on it

    def first_params(self) -> dict[str, Any]:
        sized = {} if self.style.per_page is None else {"per_page": self.style.per_page}
        return {**self.style.params, **sized, **self.more}

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


async def walk(client: Client, way: Walk, retry: Retry | None) -> AsyncGenerator[Page, None]:
    """The pages of a list, one after the other; raises what asking for one raises."""
    trail = Trail(way.method, way.style.path)
    params = way.first_params()
    number, empty, place = 1, 0, 1
    while True:
        try:
            page = await _fetch_shrinking(client, way, params, number, retry)
        except SpoiltPageError as error:
            if not getattr(way.style, "skips", False):
                raise
            yield gap_page(Gap(place, error, rest=True), client.clock.now())
            return
        yield page
        empty, place = empty + 1 if page.is_empty else 0, place + len(page)
        try:
            following = way.next_params(page, number, client.base_url)
        except ValueError as error:
            raise trail.error(str(error)) from error
        if following is None:
            return
        if empty >= EMPTY_PAGES:
            raise trail.error(f"{empty} empty pages in a row")
        trail.follow(repr(sorted(following.items())))
        params = {**way.first_params(), **following, **_sized(params, way)}
        number += 1


async def walk_bound(
    client: Client, way: Walk, retry: Retry | None, *, steady: bool = False
) -> AsyncGenerator[Page, None]:
    """As ``walk``, with one access token; all pages again where that one is refused on the way.

    Then the first page that comes once more is marked ``restarted``. ``steady``: see
    ``Client.chain``.
    """
    restarted = False
    while True:
        try:
            async for page in walk(client.chain(steady=steady), way, retry):
                yield replace(page, restarted=True) if restarted else page
                restarted = False
            return
        except TokenGoneError as error:
            log.warning("%s begins again: %s", way.style.path, error)
            restarted = True


def _sized(params: Mapping[str, Any], way: Walk) -> dict[str, Any]:
    """The page size, where it had to be made smaller."""
    return {"per_page": params["per_page"]} if way.shrinks and "per_page" in params else {}


async def _fetch_shrinking(
    client: Client, way: Walk, params: dict[str, Any], number: int, retry: Retry | None
) -> Page:
    """The page, of fewer records where it is spoilt; SpoiltPageError if one alone is.

    The size in ``params`` becomes what could be had.
    """
    patience = retry
    while True:
        try:
            return await fetch_page(client, way, params, number, patience)
        except IntercomError as error:
            size = params.get("per_page")
            if not way.shrinks or not is_spoilt(error) or type(size) is not int:
                raise
            passing = isinstance(error, RetryExhaustedError | BadAnswerError)
            if number == 1 and not passing and not way.trusts:
                raise  # the list itself is refused
            if size == 1:
                raise error if number == 1 else as_spoilt(error) from error
            params["per_page"], patience = size // 2, TWICE


async def fetch_page(
    client: Client, way: Walk, params: Mapping[str, Any], number: int, retry: Retry | None
) -> Page:
    """One page with these parameters, with fewer records where they are large and that is allowed.

    CursorRefusedError when Intercom no longer takes its own page token.
    """
    try:
        if way.shrinks and "per_page" in params:
            return await _fetch_fitting(client, way, params, retry)
        return await _ask(client, way, params, retry)
    except BadRequestError as error:
        if number > 1 and is_cursor_refused(error):
            raise as_cursor_refused(error) from error
        raise


async def _fetch_fitting(
    client: Client, way: Walk, params: Mapping[str, Any], retry: Retry | None
) -> Page:
    memory, name = client.memory, listing(way.method, way.style.path)
    while True:
        number = memory.per_page(name, int(params["per_page"]))
        most = 2 * memory.reply if number > 1 else math.inf
        try:
            page = await _ask(client, way, {**params, "per_page": number}, retry, most)
        except ReplyTooLargeError as error:
            memory.learn(name, number, 2 * error.size)
        else:
            memory.learn(name, len(page), page.weight)
            return page


async def _ask(
    client: Client,
    way: Walk,
    params: Mapping[str, Any],
    retry: Retry | None,
    most: float = math.inf,
) -> Page:
    style = way.style
    return await fetch(
        client,
        way.method,
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
