"""What of the suite is run each day; ``make chaos`` runs the rest.

``@pytest.mark.sampled(3)`` runs three of a test's cases, chosen by SAMPLE_SEED, else by the day.
``pytestmark = pytest.mark.in_turn(2)`` runs of a file that takes long every second test, the others
a day later: that is of those that try one promise in many ways. Who names files runs all of them.
"""

from __future__ import annotations

import os
import random
import re
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, settings

SEED = "SAMPLE_SEED"
NAMED = "TESTS_ARE_NAMED"  # set by whoever starts the workers: files were named


def choose_seed() -> str:
    """What chooses the cases of this run; the same for all of its workers."""
    return os.environ.setdefault(SEED, str(int(time.time() // 86_400)))


def note_what_is_named(config: pytest.Config) -> None:
    """Remember, for the workers too, whether files were named or the whole suite is run."""
    if not hasattr(config, "workerinput"):
        whole = config.args_source is config.ArgsSource.TESTPATHS
        os.environ[NAMED] = "" if whole else "1"


def mark_the_rest(items: Sequence[pytest.Item]) -> None:
    """Mark as chaos what the seed does not choose."""
    _mark_other_cases(items)
    if not os.environ.get(NAMED):
        _mark_other_turns(items)


def _mark_other_turns(items: Sequence[pytest.Item]) -> None:
    turn = sum(map(int, re.findall(r"\d+", choose_seed())))
    places: dict[Path, dict[str, int]] = defaultdict(dict)  # of tests in their file
    for item in items:
        mark = item.get_closest_marker("in_turn")
        if mark:
            within = places[item.path]
            place = within.setdefault(item.nodeid.split("[")[0], len(within))
            if (place + turn) % mark.args[0]:
                item.add_marker(pytest.mark.chaos)


def _mark_other_cases(items: Sequence[pytest.Item]) -> None:
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
