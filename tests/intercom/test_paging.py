"""Every paging style read to its end, and what must stop it before."""

import itertools
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    CursorRefusedError,
    PagingError,
    RetryExhaustedError,
    ScrollBrokenError,
    ScrollExistsError,
)
from connector.intercom.client import Client
from connector.intercom.clock import Clock
from connector.intercom.paging.styles import (
    CursorList,
    CursorSearch,
    EventPages,
    NumberedPages,
    OpaqueCursor,
    Page,
    Scroll,
    Style,
    WholeList,
    pages,
)

BASE = "https://api.eu.intercom.io"
Answer = Callable[[httpx.Request], httpx.Response]


class Server:
    """Answers by function or by a list of replies; notes queries, bodies and naps."""

    def __init__(self, *replies: Any) -> None:
        self._replies = replies
        self.asked: list[dict[str, str]] = []
        self.bodies: list[Any] = []
        self.naps: list[float] = []
        self.now = 1_779_000_000.0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(dict(request.url.params))
        self.bodies.append(json.loads(request.content) if request.content else None)
        assert request.url.host == "api.eu.intercom.io"
        reply = self._replies[min(len(self.asked), len(self._replies)) - 1]
        reply = reply(request) if callable(reply) else reply
        if isinstance(reply, Exception):
            raise reply
        if isinstance(reply, dict):
            return httpx.Response(200, json=reply)
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    async def nap(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.now += seconds

    async def read(self, style: Style) -> list[Page]:
        transport = httpx.MockTransport(self)
        async with Client(
            token="t",
            base_url=BASE,
            transport=transport,
            clock=Clock(lambda: self.now),
            sleep=self.nap,
            rng=lambda: 0.5,
        ) as client:
            return [page async for page in pages(client, style)]

    async def ids(self, style: Style) -> list[str]:
        return [record["id"] for page in await self.read(style) for record in page.records]


def listing(ids: str, key: str = "data", **more: Any) -> dict[str, Any]:
    return {"type": "list", key: [{"id": one} for one in ids], **more}


def after(token: Any) -> dict[str, Any]:
    return {"type": "pages", "next": {"page": 2, "starting_after": token}}


def told(status: int, code: str, message: str = "m") -> httpx.Response:
    errors = [{"code": code, "message": message}]
    return httpx.Response(status, json={"type": "error.list", "errors": errors})


SERVER_ERROR = told(502, "server_error")


# Lists


async def test_a_whole_list_is_one_page() -> None:
    server = Server(listing("ab", "tags"))
    [page] = await server.read(WholeList("/tags", "tags", {"include_count": True}))
    assert [record["id"] for record in page.records] == ["a", "b"]
    assert [json.loads(text) for text in page.texts] == page.records
    assert page.requested_at.tzinfo is not None
    assert server.asked == [{"include_count": "true"}]


@pytest.mark.parametrize(
    "end",
    [
        {},
        {"pages": None},
        {"pages": {}},
        {"pages": {"next": None, "total_pages": 9}},
        {"pages": {"next": {}}},
        {"pages": after(None)},
        {"pages": {"total_pages": 9}},
    ],
)
async def test_a_cursor_list_ends_in_each_of_intercoms_ways(end: dict[str, Any]) -> None:
    server = Server(listing("ab", pages=after("A"), total_count=3), listing("c", **end))
    read = await server.read(CursorList("/contacts", per_page=2, params={"x": 1}))
    assert [page.total for page in read] == [3, None]
    assert server.asked == [
        {"x": "1", "per_page": "2"},
        {"x": "1", "per_page": "2", "starting_after": "A"},
    ]


async def test_numbers_go_on_by_the_links_query_alone() -> None:
    server = Server(
        listing("a", pages={"next": "https://api.intercom.io/other?page=2&per_page=1"}),
        listing("b", pages={"next": "http://api.intercom.test/companies/list?page=3"}),
        listing("c", pages={"next": None, "total_pages": 9}),
    )
    style = NumberedPages("/companies/list", method="POST", per_page=1)
    assert await server.ids(style) == ["a", "b", "c"]
    assert [asked.get("page") for asked in server.asked] == [None, "2", "3"]


async def test_numbers_go_on_by_themselves_where_no_next_is_shown() -> None:
    server = Server(
        listing("a", pages={"page": 1, "total_pages": 3}),
        listing("b", pages={"page": 2, "total_pages": 3}),
        listing("c", pages={"page": 3, "total_pages": 3}),
    )
    assert await server.ids(NumberedPages("/articles")) == ["a", "b", "c"]


async def test_an_empty_numbered_page_is_the_end_whatever_total_pages_says() -> None:
    server = Server(listing("a", pages={"total_pages": 99}), listing("", pages={"total_pages": 99}))
    assert await server.ids(NumberedPages("/articles")) == ["a"]


async def test_events_follow_links_back_in_time() -> None:
    link = "https://api.intercom.io/events?per_page=2&before=1389913941064&type=user"
    server = Server(listing("ab", "events", pages={"next": link}), listing("c", "events", pages={}))
    assert await server.ids(EventPages(params={"intercom_user_id": "x"})) == ["a", "b", "c"]
    assert server.asked[1]["before"] == "1389913941064"
    assert server.asked[1]["intercom_user_id"] == "x"


async def test_an_opaque_cursor_goes_on_while_there_is_more() -> None:
    server = Server(
        listing("a", has_more=True, next_cursor="N"),
        listing("b", has_more=False, next_cursor="M"),
    )
    assert await server.ids(OpaqueCursor("/contacts/1/merge_history")) == ["a", "b"]
    assert server.asked[1]["cursor"] == "N"


@pytest.mark.parametrize(
    "style",
    [CursorList("/contacts"), CursorSearch("/contacts/search", "data"), NumberedPages("/c")],
    ids=["list", "search", "numbers"],
)
@pytest.mark.parametrize(
    "following",
    [{"starting_after": "A"}, "https://evil.example/x?starting_after=B", 7],
    ids=["same token", "foreign host", "odd type"],
)
async def test_page_tokens_that_cannot_be_trusted_stop_the_reading(
    style: Style, following: Any
) -> None:
    server = Server(listing("a", pages={"next": following}))
    with pytest.raises(PagingError):
        await server.read(style)
    assert len(server.asked) <= 2


async def test_pages_that_go_in_circles_stop_the_reading() -> None:
    server = Server(*[listing("a", pages=after(token)) for token in "ABABAB"])
    with pytest.raises(PagingError, match="came again"):
        await server.read(CursorList("/contacts"))


async def test_empty_pages_without_end_stop_the_reading() -> None:
    count = iter(range(10**6))
    server = Server(lambda request: listing("", pages=after(str(next(count)))))
    with pytest.raises(PagingError, match="empty pages"):
        await server.read(CursorList("/contacts"))


@pytest.mark.parametrize("bad", [{"data": None}, {"data": {}}, {"errors": []}, {}])
async def test_a_missing_list_is_asked_for_again_and_then_named(bad: dict[str, Any]) -> None:
    server = Server(bad, listing("a"))
    assert await server.ids(CursorList("/contacts")) == ["a"]
    server = Server(bad)
    with pytest.raises(BadAnswerError, match="GET /contacts"):
        await server.read(CursorList("/contacts"))
    assert [asked["per_page"] for asked in server.asked[:8]] == ["150"] * 8
    assert len(server.asked) == 8 + 2 * 7  # and twice at each smaller size


async def test_data_stands_in_for_the_named_key_and_bad_elements_are_counted() -> None:
    server = Server({"data": [{"id": "a"}, None, "b", [1]]})
    [page] = await server.read(CursorList("/conversations", "conversations"))
    assert page.records == [{"id": "a"}]
    assert page.bad == 3


# Search


async def test_a_search_pages_in_its_body() -> None:
    server = Server(listing("ab", pages=after("A")), listing("c"))
    body = {"query": {"field": "x"}, "sort": {"field": "id"}}
    style = CursorSearch("/contacts/search", "data", body, 2, params={"m": "1"}, version="Preview")
    assert await server.ids(style) == ["a", "b", "c"]
    assert server.bodies == [
        {**body, "pagination": {"per_page": 2}},
        {**body, "pagination": {"per_page": 2, "starting_after": "A"}},
    ]
    assert server.asked == [{"m": "1"}] * 2


def sizes(server: Server) -> list[int]:
    return [body["pagination"]["per_page"] for body in server.bodies]


async def test_pages_that_fail_twice_are_halved_and_grow_again() -> None:
    def answer(request: httpx.Request) -> Any:
        pagination = json.loads(request.content)["pagination"]
        start = int(pagination.get("starting_after", 0))
        if start < 100 and pagination["per_page"] > 40:
            return SERVER_ERROR
        stop = start + pagination["per_page"]
        records = [{"id": str(n)} for n in range(start, min(stop, 1000))]
        return {"data": records, "pages": after(str(stop)) if stop < 1000 else {}}

    server = Server(answer)
    ids = await server.ids(CursorSearch("/conversations/search", "conversations"))
    assert ids == [str(n) for n in range(1000)]
    assert sizes(server)[:5] == [150, 150, 75, 75, 37]
    assert sizes(server)[-1] == 150
    assert max(server.naps) <= 0.5


async def test_a_stalled_or_cut_search_is_halved_too() -> None:
    slow, cut = httpx.ReadTimeout("slow"), httpx.Response(200, content=b'{"data": [')
    server = Server(slow, cut, listing("a"))
    assert await server.ids(CursorSearch("/tickets/search", "tickets", per_page=20)) == ["a"]
    assert sizes(server) == [20, 20, 10]


async def test_one_record_that_fails_for_ever_is_named() -> None:
    server = Server(listing("ab", pages=after("A")), SERVER_ERROR)
    with pytest.raises(RetryExhaustedError, match="at 1 a page, after page token 'A'"):
        await server.read(CursorSearch("/contacts/search", "data"))
    assert sizes(server).count(1) == 8


@pytest.mark.parametrize("kind", ["search", "list"])
async def test_a_refused_page_token_is_for_the_caller(kind: str) -> None:
    message = "Invalid starting_after param. Please try again"
    server = Server(listing("a", pages=after("A")), told(400, "client_error", message))
    style: Style = CursorSearch("/x", "data") if kind == "search" else CursorList("/x")
    with pytest.raises(CursorRefusedError, match="Invalid starting_after"):
        await server.read(style)


async def test_a_refused_search_is_no_matter_of_size() -> None:
    server = Server(told(400, "parameter_invalid", "Per Page is too big"))
    with pytest.raises(BadRequestError):
        await server.read(CursorSearch("/x", "data", per_page=500))
    assert sizes(server) == [500, 500]  # the second time for nothing that could spoil the page


# The scroll


def rolled(ids: str, param: str | None = "S") -> dict[str, Any]:
    return listing(ids, pages=None, total_count=None, scroll_param=param)


EXISTS = told(400, "scroll_exists", "scroll already exists for this workspace")
EXPIRED = told(404, "not_found", "scroll parameter not found")
BROKEN = {
    "500": told(500, "server_error", "Request failed due to an internal network error."),
    "expired": EXPIRED,
    "page": httpx.Response(404, html="<html>"),
    "empty": httpx.Response(200),
    "cut": httpx.Response(200, content=b'{"data": ['),
    "no list": {"scroll_param": "S"},
    "no param": rolled("z", None),
    "dropped": httpx.ReadError("reset"),
    "stalled": httpx.ReadTimeout("slow"),
}


async def test_a_scroll_ends_with_an_empty_page() -> None:
    server = Server(rolled("ab"), rolled("cd"), rolled(""))
    assert await server.ids(Scroll()) == ["a", "b", "c", "d"]
    assert server.asked == [{}, {"scroll_param": "S"}, {"scroll_param": "S"}]


@pytest.mark.parametrize("name", BROKEN)
async def test_a_scroll_page_is_never_asked_for_twice(name: str) -> None:
    server = Server(
        rolled("ab"), BROKEN[name], EXISTS, rolled("ab", "T"), rolled("cd", "T"), rolled("")
    )
    read = await server.read(Scroll())
    assert ["".join(record["id"] for record in page.records) for page in read] == ["ab", "ab", "cd"]
    assert [page.restarted for page in read] == [False, True, False]
    assert [asked.get("scroll_param") for asked in server.asked] == [
        None,
        "S",
        None,
        None,
        "T",
        "T",
    ]
    assert 20.0 in server.naps


async def test_a_refusal_for_the_budget_does_not_break_the_scroll() -> None:
    server = Server(rolled("ab"), told(429, "rate_limit_exceeded"), rolled("cd"), rolled(""))
    read = await server.read(Scroll())
    assert [page.restarted for page in read] == [False, False]


async def test_a_foreign_scroll_is_waited_for_but_not_for_ever() -> None:
    server = Server(EXISTS, EXISTS, rolled(""))
    [page] = await server.read(Scroll())
    assert page.is_empty
    server = Server(EXISTS)
    with pytest.raises(ScrollExistsError):
        await server.read(Scroll())
    assert sum(server.naps) == 300


async def test_a_scroll_that_always_breaks_is_given_up() -> None:
    server = Server(*[rolled("ab"), BROKEN["500"]] * 9)
    with pytest.raises(ScrollBrokenError, match="broke off 3 times"):
        await server.read(Scroll())
    assert len(server.asked) == 6


async def test_a_scroll_that_breaks_at_other_pages_each_time_is_given_more_tries() -> None:
    pages = [rolled(text) for text in ("ab", "cd", "ef")]
    breaks = [[*pages[:n], BROKEN["500"]] for n in (1, 2, 3, 1, 2, 3)]
    server = Server(*itertools.chain(*breaks))
    with pytest.raises(ScrollBrokenError, match="broke off 6 times"):
        await server.read(Scroll())


async def test_a_restarted_scroll_that_is_empty_says_so() -> None:
    server = Server(rolled("ab"), BROKEN["cut"], rolled(""))
    read = await server.read(Scroll())
    assert [(page.is_empty, page.restarted) for page in read] == [(False, False), (True, True)]


async def test_one_scroll_at_a_time() -> None:
    server = Server(rolled("a"))
    async with Client(
        token="t", base_url=BASE, transport=httpx.MockTransport(server), sleep=server.nap
    ) as client:
        first: AsyncIterator[Page] = pages(client, Scroll())
        await anext(first)
        assert client.scroll_lock.locked()
        await first.aclose()  # type: ignore[attr-defined]
        assert not client.scroll_lock.locked()
