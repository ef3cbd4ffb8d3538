"""The process is killed, interrupted, started twice: the next run goes on from what was kept."""

from __future__ import annotations

import contextlib
import json
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from connector.simulator import Simulator
from tests.support.harness import Harness
from tests.support.places import ROOT
from tests.support.postgres.locks import held_up_by
from tests.support.service import environment, run, served, small, start
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

LATENCY = 0.004  # of each reply, so that kills find work under way


class Killer:
    """Runs commands against one simulator and kills them at moments that nobody chose."""

    def __init__(self, harness: Harness, environ: dict[str, str], seed: int) -> None:
        self.harness, self.environ = harness, environ
        self.dice = random.Random(seed)
        self.kills = 0

    def finish(self, *words: str) -> dict[str, Any]:
        """What an undisturbed run reports; it must succeed, equal to the truth."""
        process = start(self.environ, *words, "--json")
        out, err = process.communicate(timeout=120)
        assert process.returncode == 0, err + out
        assert differences(self.harness) == []
        return dict(json.loads(out))

    def kill(self, *words: str, within: float) -> bool:
        """Start the command and kill -9 it at any moment; whether it was still at work."""
        process = start(self.environ, *words)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(timeout=self.dice.uniform(min(0.25, within / 2), within))
        killed = process.poll() is None
        process.send_signal(signal.SIGKILL)
        out, err = process.communicate()
        assert killed or process.returncode == 0, err + out
        self.kills += killed
        return killed

    def strike(self, *words: str, within: float) -> None:
        """The same, and sooner where the command had ended already, as on a fast machine."""
        any(self.kill(*words, within=within / 2**sooner) for sooner in range(4))

    def round(self, times: int) -> None:
        """Kills in a migration, a first load, a night and a full pass, each then completed."""
        harness = self.harness
        harness.query(f'DROP SCHEMA IF EXISTS "{harness.schema}" CASCADE')
        for _ in range(times):
            self.strike("migrate", within=1.3)
        for _ in range(times):
            self.strike("sync", within=3.0)
        self.finish("sync")
        harness.control.change(fraction=0.1)
        harness.control.advance(3_600)
        for _ in range(times):
            self.strike("sync", within=1.5)
        self.finish("sync")
        for _ in range(times):
            self.strike("backfill", within=2.5)
        self.finish("backfill")
        self.leaves_nothing_behind()

    def leaves_nothing_behind(self) -> None:
        harness = self.harness
        assert harness.query("SELECT * FROM sync_partitions") == []
        assert harness.query("SELECT * FROM sync_pending") == []
        runs = harness.query("SELECT status, count(*) AS n FROM sync_runs GROUP BY 1")
        assert {run["status"] for run in runs} <= {"succeeded", "interrupted"}
        left = harness.query("SELECT * FROM sync_run_resources WHERE status = 'running'")
        assert left == []


@contextlib.contextmanager
def killer(harness: Harness, simulator: Simulator, seed: int) -> Any:
    harness.simulator, harness.control = simulator, simulator.control
    with served(simulator, latency=LATENCY) as url:
        yield Killer(harness, environment(url, harness.database_url, harness.schema), seed)


@pytest.mark.fault(
    "kill -9 at any moment of a migration, a first load, a night and a full pass",
    "the next run goes on from what was committed and ends equal to the truth",
    times=3,
)
def test_kills_in_every_phase_end_equal_to_the_truth(harness: Harness, injected: Any) -> None:
    with killer(harness, small(contacts=150, conversations=60), seed=1) as it:
        it.round(1)
        injected(it.kills)


@pytest.mark.chaos
@pytest.mark.fault("the same, again and again", "the same", times=200)
def test_two_hundred_kills_in_every_phase_end_equal_to_the_truth(
    harness: Harness, injected: Any
) -> None:
    with killer(harness, small(), seed=2) as it:
        while it.kills < 200:
            it.round(8)
        injected(it.kills)


@pytest.mark.chaos
@pytest.mark.fault(
    "kill -9 while conversations are read for the first time, one by one",
    "what stands in finished partitions is not asked for again",
    times=10,
)
def test_a_kill_costs_no_more_than_unfinished_partitions(harness: Harness, injected: Any) -> None:
    simulator = small(conversations=2_500)
    asked = _listen(simulator)
    with killer(harness, simulator, seed=3) as it:
        again = 0
        for _ in range(14):
            if not it.kill("sync", "--only", "conversations", within=4.0):
                break
            done = _in_finished_partitions(harness)
            asked.clear()
            it.kill("sync", "--only", "conversations", within=4.0)
            again += len(done & set(asked))
        assert again == 0
        injected(it.kills)
        it.finish("sync")


def _listen(simulator: Simulator) -> list[str]:
    """The ids of the conversations that are asked for, one by one, from now on."""
    asked: list[str] = []
    respond = simulator.respond

    def listening(request: Any) -> Any:
        found = re.fullmatch(r"/conversations/(\d+)", request.path)
        if found:
            asked.append(found[1])
        return respond(request)

    simulator.respond = listening  # type: ignore[method-assign]
    return asked


def _in_finished_partitions(harness: Harness) -> set[str]:
    exists = harness.query(
        "SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'sync_partitions'",
        harness.schema,
    )
    rows = exists and harness.query(
        "SELECT c.id FROM conversations c JOIN sync_partitions w ON w.resource = 'conversations'"
        " AND c.created_at >= w.lower_bound AND c.created_at < w.upper_bound"
        " WHERE w.finished_at IS NOT NULL AND NOT c._placeholder"
    )
    return {row["id"] for row in rows}


# -- signals ---------------------------------------------------------------------------------


def interrupt(it: Killer, number: signal.Signals, *words: str, within: float) -> float | None:
    """Seconds that a command took to end after the signal; None if it had ended before."""
    stats, before = it.harness.simulator.stats, it.harness.control.stats()["requests"]
    process = start(it.environ, *words)
    while process.poll() is None and stats.as_dict()["requests"] == before:
        time.sleep(0.01)  # Python itself is starting
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=it.dice.uniform(0.0, within))
    if process.poll() is not None:
        process.communicate()
        return None
    began = time.monotonic()
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    if process.returncode in (0, -number):
        assert "requests in" in out  # the signal came after the end
        return None
    assert process.returncode == 130, err
    assert "interrupted" in err
    return time.monotonic() - began


def interrupted_often(harness: Harness, injected: Any, times: int, seed: int) -> None:
    with killer(harness, small(), seed=seed) as it:
        for attempt in range(times):
            number = (signal.SIGINT, signal.SIGTERM)[attempt % 2]
            seconds = interrupt(it, number, ("sync", "backfill")[attempt // 2 % 2], within=1.0)
            if seconds is not None:
                assert seconds < 10
                injected()
        it.finish("sync")
        it.leaves_nothing_behind()


@pytest.mark.fault(
    "SIGINT and SIGTERM at any moment of a load",
    "ends within seconds with exit code 130; the next run completes it",
    times=1,
)
def test_signals_at_any_moment_end_a_run_within_seconds(harness: Harness, injected: Any) -> None:
    interrupted_often(harness, injected, 4, seed=5)


@pytest.mark.chaos
@pytest.mark.fault("the same, again and again", "the same", times=15)
def test_sixty_signals_at_any_moment_end_a_run_within_seconds(
    harness: Harness, injected: Any
) -> None:
    interrupted_often(harness, injected, 60, seed=6)


def _stalled(simulator: Simulator) -> Callable[[], bool]:
    simulator.control.fail({"path": "^/tags$"}, times=None, kind="stall")
    return lambda: simulator.faults.struck > 0


def _refused(simulator: Simulator) -> Callable[[], bool]:
    simulator.control.fail({"path": "^/tags$"}, times=None, status=503)
    return lambda: simulator.faults.struck > 3


@pytest.mark.fault(
    "SIGTERM while the run waits: for a reply that does not come, between retries, for a"
    " database that is away",
    "ends within seconds with exit code 130",
    times=3,
    rows=False,
)
def test_a_signal_ends_every_kind_of_waiting(harness: Harness, injected: Any) -> None:
    for prepare in (_stalled, _refused):
        simulator = small()
        waits = prepare(simulator)
        with killer(harness, simulator, seed=0) as it:
            assert _ended_by_a_signal(it.environ, "sync", waits) < 5
            injected()
    with killer(harness, small(), seed=0) as it:
        asked = it.harness.simulator.stats
        environ = it.environ | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/nothing"}
        waits = lambda: asked.as_dict()["requests"] > 0  # noqa: E731
        assert _ended_by_a_signal(environ, "sync", waits) < 5
        injected()


@pytest.mark.fault(
    "SIGTERM while a run waits for a table that an analyst has locked",
    "ends within seconds with exit code 130",
)
def test_a_signal_ends_the_waiting_for_a_locked_table(harness: Harness, injected: Any) -> None:
    with killer(harness, small(), seed=0) as it:
        assert run(it.environ, "migrate").returncode == 0
        [analyst] = harness.query("SELECT pg_backend_pid() AS pid")
        harness.query("BEGIN")
        harness.query("LOCK TABLE sync_runs IN ACCESS EXCLUSIVE MODE")
        try:
            waits = lambda: held_up_by(analyst["pid"], harness.database_url) > 0  # noqa: E731
            assert _ended_by_a_signal(it.environ, "sync", waits) < 10
            injected()
        finally:
            harness.query("ROLLBACK")
        it.finish("sync")


def _ended_by_a_signal(environ: dict[str, str], word: str, waits: Callable[[], bool]) -> float:
    process = start(environ, word)
    deadline = time.monotonic() + 30
    while not waits():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    time.sleep(0.3)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err
    return time.monotonic() - began


# -- two at once -----------------------------------------------------------------------------


@pytest.mark.fault(
    "two runs of one schema started at the same instant",
    "one runs, the other waits its turn; both end with 0 and the rows are right",
    times=2,
)
def test_two_runs_at_once_take_turns(harness: Harness, injected: Any) -> None:
    with killer(harness, small(contacts=150, conversations=60), seed=0) as it:
        for _ in range(2):
            pair = [start(it.environ, "sync", "--only", "tags,leads") for _ in range(2)]
            ended = [(process.communicate()[1], process.returncode) for process in pair]
            assert [code for _, code in ended] == [0, 0], ended
            runs = harness.query("SELECT started_at, finished_at FROM sync_runs ORDER BY id DESC")
            assert runs[1]["finished_at"] <= runs[0]["started_at"]
            injected()
        it.finish("sync")
        it.leaves_nothing_behind()


CAUGHT = """
import sys
from connector import __main__, cli

def interrupted():
    try:
        exec("raise KeyboardInterrupt")  # as where a dataclass is made
    except KeyboardInterrupt:
        print("ended")
    return 3

cli.main = interrupted
sys.exit(__main__.main())
"""


def test_an_interruption_that_was_caught_while_text_was_executed_ends_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", CAUGHT], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (3, "ended\n", "")
