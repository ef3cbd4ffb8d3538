"""Intercom's time, seen through Date headers that are cut to seconds and come late."""

import logging
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


def test_without_any_date_the_local_time_counts() -> None:
    seen = clock()
    for header in (None, "", "yesterday", "Mon, 99 Foo 2026"):
        seen.observe(header, NOW, NOW)
    assert seen.offset == 0.0
    assert seen.now() == datetime.fromtimestamp(NOW, UTC)


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
    assert seen.offset == seen.edge_offset == 0.0
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
    assert clock(-5.0).now() == datetime.fromtimestamp(0, UTC)
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
