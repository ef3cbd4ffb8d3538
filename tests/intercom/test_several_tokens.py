"""A client with several tokens over the simulator, in one process and in simulated time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable

import httpx
import pytest

from connector.errors import (
    BadRequestError,
    NotFoundError,
    NotPermittedError,
    TokenGoneError,
    TokenRefusedError,
    WrongWorkspaceError,
)
from connector.intercom.client import Client
from connector.intercom.clock import Clock
from connector.intercom.paging.search import compare
from connector.intercom.paging.styles import CursorList, CursorSearch, Scroll, pages
from connector.intercom.tokens.tokens import tokens_of
from connector.simulator import Request, Simulator, SimulatorTransport, Workspace
from connector.sync import tenure
from tests.intercom.virtual_time import START, Time

SECRETS = ("dG9rOmZpcnN0", "dG9rOnNlY29uZA", "dG9rOnRoaXJk")
ALL = compare("created_at", ">", 0)


class Place:
    """A workspace, and a client with so many tokens of it; replies take 0.1 to 0.3 seconds."""

    def __init__(self, number: int = 2, per_minute: int | None = None, **options: object) -> None:
        self.time, self.secrets = Time(), SECRETS[:number]
        space = Workspace.generate(
            2, contacts=310, companies=230, conversations=20, macros=5, now=int(START)
        )
        self.simulator = Simulator(space, token=self.secrets, clock=self.time, **options)  # type: ignore[arg-type]
        self.control = self.simulator.control
        self.asked: Counter[tuple[int, str]] = Counter()
        self.tokens = tokens_of(
            self.secrets, clock=Clock(self.time), per_minute=per_minute, sleep=self.time.sleep
        )
        self.client = Client(
            token=self.tokens,
            base_url="http://127.0.0.1",
            sleep=self.time.sleep,
            transport=SimulatorTransport(self.simulator, latency=self._latency),
            concurrency=self.tokens.in_flight,
        )

    async def _latency(self, request: Request) -> None:
        sent = (request.header("authorization") or "").removeprefix("Bearer ")
        self.asked[self.secrets.index(sent) + 1, request.path] += 1
        await self.time.sleep(0.1 + 0.2 * (self.asked.total() * 7 % 10) / 10)

    def run(self, work: Callable[[], Awaitable[None]]) -> None:
        """Do it, in as much simulated time as it takes; what it raises is raised."""

        async def all_of_it() -> None:
            task = asyncio.ensure_future(work())
            await self.time.run(task)
            task.result()

        asyncio.run(all_of_it())

    def crossed(self) -> int:
        """Requests that went on with what was given to another token."""
        return sum(app.crossed for app in self.simulator.gate.apps)


def ids(place: Place, number: int) -> list[str]:
    return [one["id"] for one in place.control.truth("contacts")][:number]


# -- pace ------------------------------------------------------------------------------------


def seconds_for(place: Place, number: int) -> float:
    """Simulated seconds until so many objects are read by id."""
    known = ids(place, 100)

    async def work() -> None:
        async def read(key: str) -> None:
            await place.client.request("GET", f"/contacts/{key}")

        await asyncio.gather(*(read(known[n % len(known)]) for n in range(number)))

    place.run(work)
    return place.time.now - START


def test_two_tokens_read_twice_as_much_in_the_same_time_from_both_budgets() -> None:
    limits = {"rate_limit": 167, "workspace_limit": 417}
    one, two = (Place(n, 2_000, **limits) for n in (1, 2))
    began = 1_950
    alone, together = seconds_for(one, began), seconds_for(two, began)
    assert together <= 0.55 * alone
    told = two.control.stats()
    full = list(told["windows"].values())[:-1]
    assert min(full) >= 0.95 * 2_000 / 6
    used = [token["requests"] for token in told["tokens"].values()]
    assert min(used) >= 0.95 * began / 2
    assert told["rate_limited"] <= 5


def test_a_pool_that_others_use_up_slows_it_down_and_fails_nothing() -> None:
    place = Place(2, 2_000, rate_limit=167, workspace_limit=417)
    place.control.share(300)
    seconds = seconds_for(place, 800)
    assert 60 <= seconds <= 400
    told = place.control.stats()
    assert told["statuses"]["200"] == 800
    assert told["rate_limited"] <= 4 * place.tokens.in_flight
    windows = list(told["windows"].values())
    assert max(windows[3:]) <= 117  # what others leave; some of it stays free


# -- what stays with its token ---------------------------------------------------------------


async def read(client: Client, style: CursorSearch | CursorList | Scroll) -> list[str]:
    return [str(h.id) async for page in pages(client, style) for h in page.heads if not _done(page)]


def _done(page: object) -> bool:
    page.release()  # type: ignore[attr-defined]
    return False


SEARCH = CursorSearch("/contacts/search", "data", {"query": ALL}, per_page=10)
LISTED = CursorList("/conversations", "conversations", per_page=3)


def test_page_tokens_and_the_scroll_stay_with_the_token_that_began_them() -> None:
    place = Place(3, rate_limit=60)
    found: list[list[str]] = []

    async def work() -> None:
        styles = (SEARCH, LISTED, SEARCH, Scroll(), LISTED, SEARCH)
        found.extend(await asyncio.gather(*(read(place.client, style) for style in styles)))

    place.run(work)
    assert [len(set(one)) for one in found] == [310, 20, 310, len(set(found[3])), 20, 310]
    assert len(found[3]) > 100  # the second page of the scroll was read
    assert place.crossed() == 0
    scrolls = [n for (_, path), n in place.asked.items() if path == "/companies/scroll"]
    assert len(scrolls) == 1
    assert len({position for position, _ in place.asked}) == 3


def revoke_the_caller(place: Place, path: str) -> None:
    """After the second request of this path its token is revoked."""

    def revoke() -> None:
        place.simulator.gate.caller.revoked = True

    place.control.when({"path": path}, revoke, after=1)


@pytest.mark.parametrize("style", [LISTED, Scroll()])
def test_a_list_whose_token_is_revoked_on_the_way_is_read_again_with_another(
    style: CursorList | Scroll, caplog: pytest.LogCaptureFixture
) -> None:
    place = Place()
    revoke_the_caller(place, style.path)
    found: list[str] = []

    async def work() -> None:
        found.extend(await read(place.client, style))

    place.run(work)
    listed = [one for one in place.control.truth("companies") if not one["_hidden"]]
    assert len(set(found)) == (20 if style is LISTED else len(listed))
    assert len(found) > len(set(found))
    assert place.crossed() == 0
    assert "drops out" in caplog.text
    assert not any(secret in caplog.text for secret in SECRETS)


def test_a_search_whose_token_is_revoked_on_the_way_says_that_it_must_begin_again() -> None:
    place = Place()
    revoke_the_caller(place, SEARCH.path)

    async def work() -> None:
        with pytest.raises(TokenGoneError, match="which began this, was refused"):
            await read(place.client, SEARCH)
        assert len(set(await read(place.client, SEARCH))) == 310

    place.run(work)
    assert place.crossed() == 0


def test_a_token_that_dropped_out_is_not_asked_because_the_last_one_is_revoked() -> None:
    place = Place()
    _, second = place.tokens

    async def read_one(key: str) -> None:
        with pytest.raises(TokenRefusedError):
            await place.client.request("GET", f"/contacts/{key}")

    async def work() -> None:
        # Refused when it was asked for its workspace: nobody knows which one it opens.
        assert place.tokens.drop(second, TokenRefusedError("gone"))
        place.control.revoke_token(token=1)
        await asyncio.gather(*map(read_one, ids(place, 20)))

    place.run(work)
    assert {position for position, _ in place.asked} == {1}


def test_a_token_that_dropped_out_comes_back_to_its_own_workspace_only() -> None:
    place = Place()
    first, second = place.tokens

    async def work() -> None:
        place.control.revoke_token(token=2)
        await tenure.opened_by(place.client)
        assert place.tokens.living == [first]
        place.control.revoke_token(False, token=2)
        place.control.install_elsewhere(2, "other")
        with pytest.raises(WrongWorkspaceError):
            await tenure.opened_by(place.client)
        assert place.tokens.living == [first]
        place.control.install_elsewhere(2, None)
        place.control.revoke_token(token=1)
        await tenure.opened_by(place.client)
        assert place.tokens.living == [second]
        place.control.revoke_token(token=2)
        with pytest.raises(TokenRefusedError):
            await tenure.opened_by(place.client)
        assert place.tokens.living == [second]

    place.run(work)


def test_what_an_earlier_run_left_is_read_on_with_the_same_token() -> None:
    place = Place()
    kept = CursorList("/conversations", "conversations", per_page=3, kept=True)

    async def work() -> None:
        for _ in range(3):
            await read(place.client, kept)

    place.run(work)
    assert {position for position, _ in place.asked} == {1}


# -- scopes ----------------------------------------------------------------------------------


def test_a_token_without_the_scope_is_asked_once_and_the_other_reads_all() -> None:
    place = Place()
    place.control.deny("^/contacts/[0-9a-f]+$", token=1)
    known = ids(place, 30)

    async def work() -> None:
        for key in known:
            await place.client.request("GET", f"/contacts/{key}")

    place.run(work)
    asked = Counter(position for position, _ in place.asked.elements())
    assert asked == {1: 1, 2: 30}


@pytest.mark.parametrize("status", [401, 403])
def test_where_none_has_the_scope_it_is_the_refusal_of_a_single_token(status: int) -> None:
    told = []
    for number in (1, 2, 3):
        place = Place(number)
        place.control.deny("^/tags", status)

        async def work(place: Place = place) -> None:
            for _ in range(5):
                with pytest.raises(NotPermittedError) as caught:
                    await place.client.request("GET", "/tags")
                caught.value.request_id = None
                told.append(str(caught.value))

        place.run(work)
        assert place.control.stats()["endpoints"]["GET /tags"] == 5 + number - 1
    assert len(set(told)) == 1


def test_an_object_that_is_refused_to_all_closes_nothing() -> None:
    place = Place()
    known = ids(place, 20)
    place.control.deny(f"^/contacts/{known[0]}$")

    async def work() -> None:
        with pytest.raises(NotPermittedError):
            await place.client.request("GET", f"/contacts/{known[0]}")
        for key in known[1:]:
            await place.client.request("GET", f"/contacts/{key}")

    place.run(work)
    asked = Counter(position for position, path in place.asked if not path.endswith(known[0]))
    assert min(asked.values()) >= 8


def test_other_refusals_are_of_what_was_asked_and_ask_no_other_token() -> None:
    place = Place()

    async def work() -> None:
        with pytest.raises(NotFoundError):
            await place.client.request("GET", "/contacts/" + "0" * 24)
        with pytest.raises(BadRequestError):
            await place.client.request("POST", "/contacts/search", json={"query": {"field": "x"}})

    place.run(work)
    assert place.asked.total() == 2


# -- revoked tokens --------------------------------------------------------------------------


def test_all_revoked_is_a_refused_token() -> None:
    place = Place(3)
    for position in (1, 2, 3):
        place.control.revoke_token(token=position)

    async def work() -> None:
        for _ in range(2):
            with pytest.raises(TokenRefusedError):
                await place.client.request("GET", "/tags")

    place.run(work)


def test_requests_under_way_with_a_revoked_token_are_sent_with_the_other() -> None:
    place = Place()
    place.control.when({"path": "^/contacts/"}, "revoke_token", {"token": 2}, after=40)
    assert seconds_for(place, 300) < 60
    assert place.control.stats()["statuses"]["200"] >= 300
    assert [token.position for token in place.tokens.living] == [1]


# -- secrets ---------------------------------------------------------------------------------


def test_whichever_token_a_proxy_repeats_it_is_hidden() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        error = {"code": SECRETS[1], "message": f"you sent {' '.join(SECRETS)}"}
        return httpx.Response(400, json={"type": "error.list", "errors": [error]})

    async def work() -> None:
        client = Client(
            token=tokens_of(SECRETS, clock=Clock()),
            base_url="http://127.0.0.1",
            transport=httpx.MockTransport(handler),
        )
        async with client:
            with pytest.raises(BadRequestError) as caught:
                await client.request("GET", "/tags")
        for shown in (str(caught.value), repr(caught.value), repr(client), repr(client.tokens)):
            assert not any(secret in shown for secret in SECRETS)

    asyncio.run(work())
