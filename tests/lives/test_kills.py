"""kill -9 at any moment: the next run goes on where the last was, and ends equal to the truth."""

from __future__ import annotations

import contextlib
import random
import signal
import subprocess
from typing import Any

import pytest

from connector.simulator import Simulator, Workspace
from tests.support.forked import Started
from tests.support.harness import Harness
from tests.support.service import environment, served, start
from tests.support.truth.compared import differences
from tests.support.truth.figures import outdated


def _simulator() -> Simulator:
    space = Workspace.generate(11, contacts=400, companies=40, conversations=80)
    return Simulator(space, rate_limit=None)


@pytest.mark.fault(
    "kill -9 in the middle of a first load of 600 contacts",
    "equal to the truth; all requests together are fewer than three times those of one load",
    times=4,
)
@pytest.mark.parametrize("kills", [4, pytest.param(10, marks=pytest.mark.chaos)])
def test_kills_of_a_first_load_end_equal_to_the_truth(
    harness: Harness, database_url: str, schema: str, injected: Any, kills: int
) -> None:
    dice = random.Random(4)
    harness.simulator = _simulator()
    harness.control = harness.simulator.control
    with served(harness.simulator, latency=0.01) as url:
        environ = environment(url, database_url, schema)
        whole = _requests_of_an_undisturbed_load(harness, url, database_url, schema)
        harness.control.reset_stats()
        killed = 0
        for _ in range(kills):
            process = start(environ, "sync")
            _wait_for_requests(harness, dice.randrange(5, 60), process)
            killed += process.poll() is None
            process.send_signal(signal.SIGKILL)
            process.communicate()
        last = start(environ, "sync", "--json")
        _, errors = last.communicate(timeout=120)
        assert last.returncode == 0, errors
    assert killed == kills
    injected(killed)
    assert differences(harness) == []
    assert outdated(harness) == []
    statuses = [row["status"] for row in harness.query("SELECT status FROM sync_runs ORDER BY id")]
    assert statuses[-1] == "succeeded"
    assert set(statuses[:-1]) <= {"interrupted"}
    # Each kill costs at most the partitions that were being read.
    assert harness.control.stats()["requests"] < whole * 3
    assert harness.query("SELECT * FROM sync_partitions") == []


def _requests_of_an_undisturbed_load(
    harness: Harness, url: str, database_url: str, schema: str
) -> int:
    process = start(environment(url, database_url, f"{schema}_whole"), "sync", "--json")
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    harness.query(f'DROP SCHEMA "{schema}_whole" CASCADE')
    return int(harness.control.stats()["requests"])


def _wait_for_requests(harness: Harness, number: int, process: Started) -> None:
    """Until the process has sent so many more requests, or has ended."""
    before = harness.control.stats()["requests"]
    while harness.control.stats()["requests"] < before + number:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=0.005)
            return
