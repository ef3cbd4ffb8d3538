"""Of tests with many cases a few are run each day; ``make chaos`` runs the others.

``@pytest.mark.sampled(3)`` runs three of a test's cases, chosen by SAMPLE_SEED, else by the day.
"""

from __future__ import annotations

import os
import random
import time
from collections import defaultdict
from collections.abc import Sequence

import pytest
from hypothesis import HealthCheck, Phase, settings

SEED = "SAMPLE_SEED"


def choose_seed() -> str:
    """What chooses the cases of this run; the same for all of its workers."""
    return os.environ.setdefault(SEED, str(int(time.time() // 86_400)))


def mark_the_rest(items: Sequence[pytest.Item]) -> None:
    """Mark those cases as chaos that the seed does not choose."""
    cases: dict[str, list[pytest.Item]] = defaultdict(list)
    for item in items:
        if item.get_closest_marker("sampled"):
            cases[item.nodeid.split("[")[0]].append(item)
    for name, alike in cases.items():
        mark = alike[0].get_closest_marker("sampled")
        assert mark
        number = min(mark.args[0], len(alike))
        # By name, so that a case more in one test does not change those of another.
        chosen = random.Random(f"{choose_seed()} {name}").sample(range(len(alike)), number)
        for place, item in enumerate(alike):
            if place not in chosen:
                item.add_marker(pytest.mark.chaos)


def short_lives(number: int) -> settings:
    """A test of so many short lives."""
    return settings(
        max_examples=number,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
