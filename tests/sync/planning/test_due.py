"""Which full passes a run makes, by what they cost and how long ago they were."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from connector.sync.planning.schedule import Candidate, choose
from connector.sync.planning.spare import AT_EVERY_RUN


def candidate(name: str, requests: int, days: float, within: float = 7) -> Candidate:
    return Candidate(name, requests, timedelta(days=days), within)


def test_what_cannot_wait_is_read_whatever_it_costs():
    large, small = candidate("large", 9_000, 7.1), candidate("small", 100, 1)
    assert choose([small, large], 2_000) == ["large"]
    assert choose([large], 0) == ["large"]


def test_nothing_waits_longer_than_the_days_when_runs_are_nightly():
    assert choose([candidate("a", 9_000, 6.0)], 2_000) == []
    assert choose([candidate("a", 9_000, 6.99)], 2_000) == ["a"]


def test_the_stalest_that_fit_are_read_first():
    one, two, three = (candidate(n, 900, d) for n, d in (("one", 1), ("two", 3), ("three", 2)))
    assert choose([one, two, three], 2_000) == ["two", "three"]
    assert choose([candidate("big", 3_000, 4), one], 2_000) == ["one"]


def test_a_night_lies_between_two_passes():
    assert choose([candidate("a", 900, 0.5)], 2_000) == []
    assert choose([candidate("a", 900, 0.9)], 2_000) == ["a"]


def test_what_costs_next_to_nothing_is_read_at_every_run():
    assert choose([candidate("a", 3, 0), candidate("b", 30, 0)], 2_000) == ["a", "b"]
    assert choose([candidate("a", 30, 0.1), candidate("b", 30, 0)], 2_000) == ["a"]
    assert choose([candidate("a", 3, 0)], 0) == []


def test_zero_days_are_always():
    assert choose([candidate("a", 9_000, 0, within=0)], 0) == ["a"]


@given(
    st.lists(st.tuples(st.integers(1, 5_000), st.floats(0, 20, allow_nan=False)), max_size=6),
    st.integers(0, 5_000),
    st.integers(0, 10),
)
def test_what_could_wait_never_costs_more_than_the_budget(passes, requests, days):
    candidates = [candidate(str(n), cost, age, days) for n, (cost, age) in enumerate(passes)]
    chosen = [one for one in candidates if one.name in choose(candidates, requests)]
    limit = timedelta(days=days) - timedelta(hours=20)
    spent = sum(one.requests for one in chosen if one.age <= limit)
    assert spent <= requests
    assert all(one in chosen for one in candidates if one.age > limit)
    young = sum(o.requests for o in chosen if o.age <= limit and o.age < timedelta(hours=20))
    assert young <= AT_EVERY_RUN
