"""Intercom's time, seen through Date headers that are cut to seconds and come late."""

import logging
import time
from datetime import UTC, datetime
from email.utils import formatdate

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.intercom.client import Client
from connector.intercom.clock import Clock, parse_date

NOW = 1_779_000_000.0


def date(seconds: float) -> str:
    return formatdate(int(seconds), usegmt=True)


def clock(now: float = NOW) -> Clock:
    return Clock(local=lambda: now)


def test_without_any_date_nothing_is_taken_from_the_local_time() -> None:
    seen = clock()
    for header in (None, "", "yesterday", "Mon, 99 Foo 2026"):
        seen.observe(header, NOW, NOW)
    assert not seen.is_borne_out
    assert seen.now() == seen.safe_now() == datetime(2011, 8, 1, tzinfo=UTC)
    assert seen.likely_now() == datetime.fromtimestamp(NOW, UTC)


def test_without_any_date_what_has_changed_is_a_lower_bound() -> None:
    seen = clock()
    seen.witness([None, "x", NOW - 500, *(int(NOW) - 100 * n for n in range(50, 30, -1))])
    # The tenth of the newest: a few that bear times in the future prove nothing.
    assert seen.now() == datetime.fromtimestamp(NOW - 4000, UTC)
    seen.witness(int(NOW) + 86_400 * n for n in range(9))
    assert seen.now() == datetime.fromtimestamp(NOW - 3100, UTC)
    seen.witness(int(NOW) + 86_400 * n for n in range(9, 20))
    assert seen.now() == datetime.fromtimestamp(NOW, UTC)  # never beyond the local clock


def test_without_any_date_what_was_known_before_is_a_lower_bound() -> None:
    now = [NOW]
    seen = Clock(lambda: now[0])
    seen.prove(datetime.fromtimestamp(NOW - 300, UTC))
    now[0] += 20
    assert seen.now() == seen.safe_now() == datetime.fromtimestamp(NOW - 280, UTC)
    seen.observe(date(NOW + 20), NOW + 20, NOW + 20)
    assert seen.now() == datetime.fromtimestamp(NOW + 20, UTC)


@pytest.mark.parametrize("local", [0.0, 3e6, 3.8e9])
def test_a_machine_in_another_decade_believes_what_replies_say(local: float) -> None:
    seen = Clock(lambda: local)
    seen.witness(int(NOW) - 3600 * n for n in range(20))
    for _ in range(3):
        seen.observe(date(NOW), local, local)
    assert seen.is_borne_out
    assert seen.now() == datetime.fromtimestamp(NOW, UTC)
    assert datetime.fromtimestamp(NOW - 40_000, UTC) <= seen.safe_now() <= seen.now()


@pytest.mark.parametrize("wrong", [-7200.0, -900_000.0, -1.7e9, 15.0, 50_000.0])
@pytest.mark.parametrize("first", [0, 1, 4])
def test_one_date_in_five_moves_no_time_of_a_read(wrong: float, first: int) -> None:
    now = [NOW]
    seen, stamps = Clock(lambda: now[0]), []
    for n in range(200):
        now[0] += 0.3
        said = now[0] + (wrong if n % 5 == first else 0.0)
        seen.observe(date(said), now[0] - 0.1, now[0])
        stamps.append(seen.stamp(now[0]).timestamp())
    assert all(abs(stamp - NOW - 0.3 * (n + 1)) <= 2 for n, stamp in enumerate(stamps) if n > 4)
    assert abs(seen.edge_offset) <= 1.1
    # The cursor believes what lies a few hours back, and no wrong year.
    assert seen.offset == pytest.approx(min(0.0, wrong if wrong > -86_400 else 0.0), abs=1.1)


@pytest.mark.parametrize("jump", [-10_000.0, 10_000.0])
def test_dates_that_jump_during_a_run_move_no_time_of_a_read(jump: float) -> None:
    now = [NOW]
    seen, stamps = Clock(lambda: now[0]), []
    for n in range(400):
        now[0] += 0.1
        seen.observe(date(now[0] + (jump if n > 100 else 0.0)), now[0], now[0])
        stamps.append(seen.stamp(now[0]).timestamp() - now[0])
    assert max(stamps[40:]) - min(stamps[40:]) <= 1.0
    assert seen.offset <= min(jump, 0.0) + 1


def test_the_age_that_a_cache_tells_is_added() -> None:
    seen = clock()
    seen.observe(date(NOW - 500), NOW, NOW, "500")
    seen.observe(date(NOW), NOW, NOW, "a while")
    assert seen.offset == seen.edge_offset == 0.0


def test_what_is_between_two_readings_is_measured_by_a_clock_that_nobody_sets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = Clock()
    before = seen.local()
    monkeypatch.setattr(time, "time", lambda: 0.0)
    assert 0 <= seen.local() - before < 60
    assert abs(Clock().local()) < 60


@given(
    st.floats(-80_000, 80_000),
    st.lists(st.tuples(st.floats(0, 50), st.floats(0, 5), st.floats(0, 5)), min_size=1),
)
def test_its_time_is_never_early_and_the_edges_are_near(
    truth: float, replies: list[tuple[float, float, float]]
) -> None:
    seen = clock()
    for start, there, back in replies:
        written = NOW + start + there
        seen.observe(date(written + truth), NOW + start, written + back)
    assert seen.offset <= truth + 1e-6
    assert seen.edge_offset <= truth + 1e-6
    assert seen.edge_offset >= truth - 1 - min(back for _, _, back in replies) - 1e-6
    assert seen.safe_now() <= min(seen.now(), datetime.fromtimestamp(NOW, UTC))


def test_a_date_a_day_ahead_is_not_believed(caplog: pytest.LogCaptureFixture) -> None:
    seen = clock()
    with caplog.at_level(logging.WARNING):
        seen.observe(date(NOW + 90_000), NOW, NOW)
        seen.observe(date(NOW + 90_000), NOW, NOW)
    assert not seen.is_borne_out
    assert seen.edge_offset == 0.0
    assert len(caplog.records) == 1


def test_a_local_clock_that_is_off_is_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    seen = clock()
    with caplog.at_level(logging.WARNING):
        seen.observe(date(NOW - 4000), NOW, NOW)
        seen.observe(date(NOW - 4000), NOW, NOW)
    assert seen.now() == datetime.fromtimestamp(NOW - 4000, UTC)
    assert seen.safe_now() == seen.now()
    assert len(caplog.records) == 1


def test_a_clock_that_is_set_is_noticed_by_the_edges() -> None:
    seen = clock()
    seen.observe(date(NOW + 100), NOW, NOW)
    seen.observe(date(NOW), NOW, NOW)
    assert seen.edge_offset == 0.0
    assert seen.offset == 0.0


def test_times_are_never_before_the_epoch() -> None:
    seen = clock(-5.0)
    seen.observe(date(0), -5.0, 1.0)
    assert seen.now() == datetime.fromtimestamp(0, UTC)
    assert parse_date("Thu, 01 Jan 1970 00:00:10 -0000") == 10.0


async def test_a_reply_says_when_it_was_asked_for_by_intercoms_clock() -> None:
    def handler(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json={}, headers={"Date": date(NOW - 50)})

    transport = httpx.MockTransport(handler)
    async with Client(
        token="t", base_url="https://api.intercom.io", transport=transport, clock=clock()
    ) as intercom:
        reply = await intercom.request("GET", "/tags")
    assert reply.requested_at == datetime.fromtimestamp(NOW - 50, UTC)


async def test_a_proxys_page_says_nothing_about_intercoms_clock() -> None:
    replies = iter(
        [
            httpx.Response(502, html="<html>", headers={"Date": date(NOW - 5000)}),
            httpx.Response(200, json={}, headers={"Date": date(NOW)}),
        ]
    )

    async def nap(seconds: float) -> None:
        pass

    transport = httpx.MockTransport(lambda request: next(replies))
    async with Client(
        token="t", base_url="https://api.intercom.io", transport=transport, clock=clock(), sleep=nap
    ) as intercom:
        reply = await intercom.request("GET", "/tags")
    assert reply.requested_at == datetime.fromtimestamp(NOW, UTC)
