"""When the simulator sends a notification, sends it again, or never: by an injected clock."""

from __future__ import annotations

import asyncio
import hmac
import json
import os
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha1
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from connector.cli import main
from connector.simulator import Simulator, live, send, serve
from connector.simulator.webhooks.delivery import Attempt
from tests.support.listening import NOW, SECRET, workspace
from tests.support.service import start

MINUTE = 60.0


class Receiver:
    """A simulator whose clock stands still, and one subscription to what it tells."""

    def __init__(self) -> None:
        self.now = float(NOW)
        self.simulator = Simulator(workspace(), clock=lambda: self.now)
        self.webhooks, self.control = self.simulator.webhooks, self.simulator.control
        self.subscription = self.webhooks.subscribe(SECRET)

    def change(self, n: int = 1) -> list[str]:
        """So many notifications are told; their ids."""
        return [self.control.create_company(f"company {number}") for number in range(n)]

    def due(self) -> list[Attempt]:
        return self.webhooks.due()

    def answer(self, status: int | None) -> list[dict[str, Any]]:
        """Answer everything that is due; returns what was posted."""
        posted: list[dict[str, Any]] = []

        def post(_: dict[str, str], body: bytes) -> int | None:
            posted.append(json.loads(body))
            return status

        self.webhooks.deliver(post)
        return posted

    def pass_time(self, seconds: float) -> None:
        self.now += seconds

    @property
    def stats(self) -> dict[str, Any]:
        [stats] = self.control.webhook_stats()
        return stats


@pytest.fixture
def receiver() -> Receiver:
    return Receiver()


def about(posted: list[dict[str, Any]]) -> list[str]:
    return [one["data"]["item"]["id"] for one in posted]


@pytest.mark.parametrize("status", [200, 202, 204, 299])
def test_any_2xx_is_success(receiver: Receiver, status: int | None) -> None:
    receiver.change()
    assert len(receiver.answer(status)) == 1
    receiver.pass_time(3_600)
    assert receiver.due() == []
    assert receiver.stats["answered"] == {str(status): 1}
    assert receiver.stats["lost"] == 0


@pytest.mark.parametrize("status", [None, 301, 400, 401, 404, 500, 503])
def test_one_retry_after_a_minute_then_lost(receiver: Receiver, status: int | None) -> None:
    receiver.change()
    [first] = receiver.answer(status)
    assert receiver.webhooks.next_due_at() == NOW + MINUTE
    receiver.pass_time(MINUTE - 1)
    assert receiver.due() == []
    receiver.pass_time(1)
    [second] = receiver.answer(status)
    assert (second["delivery_attempts"], second["delivery_status"]) == (2, "retry")
    assert second["first_sent_at"] == first["first_sent_at"] == NOW
    assert (second["id"], second["data"]) == (first["id"], first["data"])
    receiver.pass_time(86_400)
    assert receiver.due() == []
    assert (receiver.stats["sent"], receiver.stats["retried"], receiver.stats["lost"]) == (2, 1, 1)
    assert receiver.webhooks.next_due_at() is None


def test_a_retry_is_signed_anew(receiver: Receiver) -> None:
    receiver.change()
    [attempt] = receiver.due()
    first, _ = attempt.request()
    receiver.webhooks.answered(attempt, None)
    receiver.pass_time(MINUTE)
    [again] = receiver.due()
    headers, body = again.request()
    assert headers["X-Hub-Signature"] != first["X-Hub-Signature"]
    digest = hmac.new(SECRET.encode(), body, sha1).hexdigest()
    assert headers["X-Hub-Signature"] == f"sha1={digest}"


def test_what_came_too_late_to_be_answered_comes_twice(receiver: Receiver) -> None:
    [id] = receiver.change()
    first = receiver.answer(None)
    receiver.pass_time(MINUTE)
    assert about(first) == about(receiver.answer(200)) == [id]
    assert receiver.stats["answered"] == {"none": 1, "200": 1}


def test_what_is_due_is_handed_out_once(receiver: Receiver) -> None:
    receiver.change(3)
    assert len(receiver.webhooks.due(2)) == 2
    assert receiver.stats["in_flight"] == 2
    assert len(receiver.due()) == 1
    assert receiver.due() == []


def test_an_outage_of_the_receiver_longer_than_a_minute_loses_for_good(receiver: Receiver) -> None:
    receiver.change(5)
    receiver.answer(503)
    receiver.pass_time(MINUTE)
    receiver.answer(503)
    receiver.pass_time(MINUTE)
    [id] = receiver.change()
    assert about(receiver.answer(200)) == [id]
    assert receiver.stats["lost"] == 5


def test_many_errors_in_a_row_pause_and_lose_what_comes_then(receiver: Receiver) -> None:
    receiver.change(1_000)
    receiver.answer(500)
    assert not receiver.stats["paused"]
    receiver.change()
    receiver.answer(500)
    assert receiver.stats["paused"]
    receiver.pass_time(899)
    receiver.change()
    assert receiver.due() == []
    assert receiver.stats["lost"] == 1
    receiver.pass_time(1)
    [id] = receiver.change()
    posted = receiver.answer(200)
    # The retries waited for the end; the newest goes first.
    assert len(posted) == 1_002
    assert about(posted)[0] == id
    assert not receiver.stats["paused"]


def test_a_success_in_between_forgives_errors(receiver: Receiver) -> None:
    for status in (500, 200, 500):
        receiver.change(600)
        receiver.answer(status)
    assert not receiver.stats["paused"]


def test_errors_far_apart_do_not_pause(receiver: Receiver) -> None:
    for _ in range(4):
        receiver.change(400)
        receiver.answer(500)
        receiver.subscription._waiting.clear()
        receiver.pass_time(600)
    assert not receiver.stats["paused"]


def test_410_disables_until_somebody_sets_it_live(receiver: Receiver) -> None:
    receiver.change(3)
    [one, *others] = receiver.due()
    receiver.change(2)
    receiver.webhooks.answered(one, 410)
    for other in others:
        receiver.webhooks.answered(other, 500)
    receiver.change()
    receiver.pass_time(86_400)
    assert receiver.due() == []
    assert receiver.stats["disabled"] == "410"
    assert receiver.stats["lost"] == 6
    receiver.control.webhook_set_live()
    [id] = receiver.change()
    assert about(receiver.answer(200)) == [id]


def test_a_week_of_errors_suspends(receiver: Receiver) -> None:
    for _ in range(9):
        receiver.change()
        receiver.answer(500)
        receiver.pass_time(86_400)
    assert receiver.stats["disabled"] == "suspended"


def test_429_delays_everything_from_a_minute_to_two_hours(receiver: Receiver) -> None:
    delays = []
    receiver.change()
    for _ in range(9):
        receiver.change()
        receiver.answer(429)
        at = receiver.webhooks.next_due_at()
        assert at is not None
        delays.append((at - receiver.now) / MINUTE)
        receiver.pass_time(at - receiver.now)
    assert delays == [1, 2, 4, 8, 16, 32, 64, 120, 120]
    assert receiver.stats["dropped"] > 0


def test_after_429_the_newest_comes_first_and_what_is_too_old_never(receiver: Receiver) -> None:
    old = receiver.change(2)
    receiver.answer(429)
    receiver.pass_time(30)
    assert receiver.change()
    assert receiver.due() == []
    receiver.pass_time(2 * 3_600 - 29)
    [new] = receiver.change()
    posted = about(receiver.answer(200))
    assert posted[0] == new
    assert not set(old) & set(posted)
    assert receiver.stats["dropped"] == 2
    receiver.change()
    receiver.answer(429)
    assert receiver.webhooks.next_due_at() == receiver.now + MINUTE


def test_answers_under_way_do_not_make_a_delay_longer(receiver: Receiver) -> None:
    receiver.change(50)
    receiver.answer(429)
    assert receiver.webhooks.next_due_at() == NOW + MINUTE
    receiver.pass_time(MINUTE)
    again = receiver.answer(200)
    assert len(again) == 50
    assert {one["delivery_status"] for one in again} == {"retry"}
    assert receiver.stats["lost"] == 0


def test_after_an_outage_of_intercom_the_newest_comes_first(receiver: Receiver) -> None:
    receiver.control.webhook_outage(600)
    ids = receiver.change(5)
    assert receiver.due() == []
    receiver.pass_time(600)
    assert about(receiver.answer(200)) == ids[::-1]
    ids = receiver.change(3)
    assert about(receiver.answer(200)) == ids


def test_a_backlog_is_delivered_newest_first_while_more_comes(receiver: Receiver) -> None:
    receiver.control.webhook_outage(60)
    old = receiver.change(4)
    receiver.pass_time(60)
    taken = receiver.webhooks.due(2)
    new = receiver.change(1)
    taken += receiver.webhooks.due(3)
    found = [json.loads(one.body)["data"]["item"]["id"] for one in taken]
    assert found == [old[3], old[2], new[0], old[1], old[0]]


def test_a_delay_holds_back_everything(receiver: Receiver) -> None:
    receiver.control.webhook_chaos(delay=20)
    receiver.change()
    assert receiver.due() == []
    receiver.pass_time(20)
    [posted] = receiver.answer(200)
    assert (posted["created_at"], posted["first_sent_at"]) == (NOW, NOW + 20)


def test_neither_stats_nor_repr_show_the_secret(receiver: Receiver) -> None:
    receiver.change()
    shown = f"{receiver.stats} {receiver.subscription!r} {receiver.due()!r}"
    assert SECRET not in shown


# -- over HTTP ----------------------------------------------------------------------------------


class Endpoint:
    """A small listener that checks signatures; it can be slow or refuse."""

    def __init__(self) -> None:
        self.heard: list[dict[str, Any]] = []
        self.methods: Counter[str] = Counter()
        self.unsigned = 0
        self.heads = iter([503])
        self.statuses: list[int] = []
        self.slow = 0.0
        self.at_once = self.most_at_once = 0

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        self.methods[request.method] += 1
        if request.method == "HEAD":
            return web.Response(status=next(self.heads, 200))
        raw = await request.read()
        digest = hmac.new(SECRET.encode(), raw, sha1).hexdigest()
        self.unsigned += request.headers["X-Hub-Signature"] != f"sha1={digest}"
        self.heard.append(json.loads(raw))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await asyncio.sleep(self.slow)
        self.at_once -= 1
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)

    @asynccontextmanager
    async def served(self) -> AsyncIterator[str]:
        runner = web.ServerRunner(web.Server(self))
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
        await runner.cleanup()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.heard) < count or self.at_once:
                await asyncio.sleep(0.01)


@asynccontextmanager
async def sending(receiver: Receiver, url: str, **options: Any) -> AsyncIterator[None]:
    task = asyncio.create_task(send(receiver.simulator, url, **options))
    yield
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_notifications_reach_a_listener_over_http(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connector.simulator.transport.sender._AGAIN", 0.01)
    receiver.webhooks.subscriptions.clear()
    endpoint, waited = Endpoint(), []
    async with (
        serve(receiver.simulator, control=True) as controls,
        aiohttp.ClientSession() as http,
        endpoint.served() as url,
        sending(receiver, url, secret=SECRET, waiting=lambda: waited.append(True)),
    ):
        async with asyncio.timeout(10):
            while not receiver.webhooks.subscriptions:
                await asyncio.sleep(0.01)
        assert (endpoint.methods["HEAD"], waited) == (2, [True])
        endpoint.slow = 0.05
        receiver.change(200)
        await endpoint.until(200)
        async with http.post(f"{controls}/_control/ping") as answer:
            assert answer.status == 200
        await endpoint.until(201)
        assert endpoint.heard[-1]["topic"] == "ping"
        async with http.post(f"{controls}/_control/webhook_stats") as answer:
            text = await answer.text()
    assert SECRET not in text
    assert json.loads(text)[0]["sent"] == 201
    assert endpoint.unsigned == 0
    assert 1 < endpoint.most_at_once <= 64
    assert len({one["id"] for one in endpoint.heard}) == 201


async def test_a_slow_listener_gets_the_same_once_more_over_http(receiver: Receiver) -> None:
    endpoint = Endpoint()
    async with endpoint.served() as url, sending(receiver, url, timeout=0.2):
        endpoint.slow, endpoint.statuses = 0.3, [200]
        receiver.change()
        async with asyncio.timeout(10):
            while receiver.stats["answered"] != {"none": 1}:
                await asyncio.sleep(0.01)
        endpoint.slow = 0.0
        receiver.control.advance(MINUTE)
        await endpoint.until(2)
    first, second = endpoint.heard
    assert (first["id"], first["delivery_attempts"]) == (second["id"], 1)
    assert second["delivery_attempts"] == 2


async def test_a_listener_that_is_away_is_no_error(receiver: Receiver) -> None:
    endpoint = Endpoint()
    async with endpoint.served() as url, sending(receiver, url):
        async with asyncio.timeout(10):
            while not endpoint.methods["HEAD"]:
                await asyncio.sleep(0.01)
    receiver.change()
    async with sending(receiver, url):
        await asyncio.sleep(0.05)
    assert receiver.stats["sent"] == 0


async def test_a_workspace_lives_on_at_its_pace(receiver: Receiver) -> None:
    task = asyncio.create_task(live(receiver.simulator, 500))
    async with asyncio.timeout(10):
        while receiver.stats["told"] < 20:
            await asyncio.sleep(0.01)
    task.cancel()


# -- the command --------------------------------------------------------------------------------

SIZE = ["--port", "0", "--contacts", "30", "--companies", "5", "--conversations", "5"]


async def test_simulate_sends_to_a_listener_while_its_workspace_lives_on() -> None:
    endpoint = Endpoint()
    async with endpoint.served() as url:
        options = ["--webhooks", url, "--secret", SECRET, "--changes", "100"]
        process = start({**os.environ}, "simulate", *SIZE, *options)
        await endpoint.until(30)
        process.terminate()
        out, err = await asyncio.to_thread(process.communicate, timeout=10)
    assert process.returncode == 0, err
    assert "does not answer HEAD" in out
    assert SECRET not in out + err
    assert endpoint.unsigned == 0
    assert len({one["topic"] for one in endpoint.heard}) > 5


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--webhooks", "http://127.0.0.1:1/"], "needs the --secret"),
        (["--webhooks", "ftp://me:pass@host/", "--secret", SECRET], "not an address"),
        (["--webhooks", "http://[::1/pass", "--secret", SECRET], "not an address"),
        (["--changes", "-1"], "--changes"),
        (["--changes", "nan"], "--changes"),
    ],
)
def test_simulate_refuses_what_it_cannot_send(
    options: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["simulate", *SIZE, *options]) == 2
    printed = "".join(capsys.readouterr())
    assert said in printed
    assert "pass" not in printed
    assert SECRET not in printed
