"""The live mirror under load: from a notification to the committed row, and what it costs.

``python -m bench.live [CHANGES_A_SECOND [SECONDS [CONTACTS]]]`` runs ``serve`` against the
simulator, which changes at that rate in every way it can, replies after 100 ms, allows 1,667
requests in ten seconds, and sends each notification late by up to two seconds, in any order, one in
ten twice. Prints how long notifications waited for their row (``CONNECTOR_LIVE_DELAY`` of 2 seconds
included), reads for each changed object, and what differs from the truth afterwards.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.runs import RATE_LIMIT, postgres
from connector.commands.demonstration.live import free_port
from connector.simulator import Simulator, Workspace, send, serve
from tests.support.harness import Harness
from tests.support.service import environment
from tests.support.truth import told

SCHEMA, SECRET = "bench", "bench-secret"
LATENCY = 0.1
PATIENCE = 120.0  # seconds until nothing may wait any more
WATCHED = """
CREATE TABLE "{0}".watched (resource text, id text, seconds float8);
CREATE FUNCTION "{0}".watch() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  INSERT INTO "{0}".watched VALUES
    (OLD.resource, OLD.id, extract(epoch FROM clock_timestamp() - OLD.first_told_at));
  RETURN OLD; END $$;
CREATE TRIGGER watch AFTER DELETE ON "{0}".sync_inbox FOR EACH ROW EXECUTE FUNCTION "{0}".watch();
"""


def main(
    rate: float = 100.0, seconds: float = 60.0, contacts: int = 5_000, beside: str = ""
) -> None:
    """One load; ``beside`` it a sync of another process, whose words these are."""
    space = Workspace.generate(
        1, contacts=contacts, companies=contacts // 10, conversations=contacts // 5, tickets=300
    )
    with postgres() as database_url, tempfile.TemporaryDirectory() as directory:
        harness = Living(database_url, SCHEMA)
        harness.simulator = Simulator(space, rate_limit=RATE_LIMIT, user_count_delay=0.0)
        harness.control = harness.simulator.control
        with running(harness, Path(directory)) as port:
            watch(database_url)
            begin_to_listen(harness, port)
            before = health(port)["backlog"]
            harness.control.reset_stats()
            other = another(harness, beside) if beside else None
            live(harness, rate, seconds)
            if other:
                print(f"the sync beside ended with {other.wait(600)}")
            ended = settle(harness)
            report(harness, rate, seconds, ended, before)


class Living(Harness):
    """A workspace that is served, and changes, in a loop of its own."""

    loop: asyncio.AbstractEventLoop
    over: asyncio.Event
    environ: dict[str, str]


@contextmanager
def running(harness: Living, directory: Path, **settings: str) -> Iterator[int]:
    """``serve``, after its first load, and the simulator that it reads; its port."""
    loop, started, ready = asyncio.new_event_loop(), list[str](), threading.Event()
    harness.loop, harness.over = loop, asyncio.Event()

    async def simulate() -> None:
        async with serve(harness.simulator, latency=LATENCY) as url:
            started.append(url)
            ready.set()
            await harness.over.wait()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()

    simulating = threading.Thread(target=lambda: loop.run_until_complete(simulate()), daemon=True)
    simulating.start()
    ready.wait()
    port = free_port()
    harness.environ = environ = environment(
        started[0],
        harness.database_url,
        SCHEMA,
        INTERCOM_CLIENT_SECRET=SECRET,
        CONNECTOR_LISTEN=f"127.0.0.1:{port}",
        CONNECTOR_EVENTS_SWEEP_DAYS="3650",
        **settings,
    )
    with (directory / "serve.log").open("w+") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "connector", "serve"], env=environ, stdout=log, stderr=log
        )
        try:
            wait_for(lambda: health(port).get("last_sync_at"), 600.0)
            yield port
        finally:
            process.terminate()
            code = process.wait(20)
            log.seek(0)
            print(*log.read().splitlines()[-5:] if code else (), sep="\n", end="")
            loop.call_soon_threadsafe(harness.over.set)
            simulating.join()


def watch(database_url: str) -> None:
    """Note how long each hint waited."""
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(WATCHED.format(SCHEMA))


def begin_to_listen(harness: Living, port: int) -> None:
    """Let the simulator send what happens from now on."""
    url = f"http://127.0.0.1:{port}/"
    harness.control.webhook_chaos(duplicates=0.1, shuffle=2.0)
    asyncio.run_coroutine_threadsafe(
        send(harness.simulator, url, secret=SECRET),
        harness.loop,
    )
    wait_for(lambda: harness.control.webhook_stats())


def another(harness: Living, words: str) -> subprocess.Popen[bytes]:
    """A sync of another process."""
    command = [sys.executable, "-m", "connector", *words.split()]
    return subprocess.Popen(command, env=harness.environ, stdout=subprocess.DEVNULL)


def live(harness: Living, rate: float, seconds: float) -> None:
    """Changes at that rate."""
    began, made = time.monotonic(), 0
    while (now := time.monotonic() - began) < seconds:
        due = int(now * rate) - made
        for _ in range(due):
            harness.loop.call_soon_threadsafe(harness.control.live)
        made += due
        time.sleep(0.02)


def settle(harness: Living) -> float:
    """Seconds until nothing waits but what was archived and came back: that is asked for rarely."""
    began = time.monotonic()
    time.sleep(3.0)
    wait_for(lambda: not harness.query("SELECT 1 FROM sync_inbox WHERE NOT gone OR attempts < 3"))
    return time.monotonic() - began


def report(harness: Living, rate: float, seconds: float, ended: float, before: int) -> None:
    """The figures, and what differs."""
    stats = harness.control.stats()
    sent = harness.control.webhook_stats()[0]
    waited = waits(harness, "resource <> 'events'")
    events = waits(harness, "resource = 'events'")
    reads, number = stats["requests"], len(waited) + len(events)
    print(f"{rate:g} changes a second for {seconds:g} s; all settled {ended:.1f} s after the last")
    print(f"notifications {sent['told']:,}, answered {sent['answered']}, hints {number:,}")
    print(f"objects waited: {quantiles(waited)}")
    print(f"events, which lists show after the lag of a minute: {quantiles(events)}")
    print(f"requests {reads:,}, {reads / number:.2f} for each hint: {stats['endpoints']}")
    hinted = {(row["resource"], row["id"]) for row in harness.query("SELECT * FROM watched")}
    wrong = told.wrong(harness, hinted)
    print(f"{len(wrong)} differences", *wrong[:40], sep="\n  ")


def waits(harness: Living, which: str) -> list[float]:
    """How many seconds these hints waited."""
    return [row["seconds"] for row in harness.query(f"SELECT seconds FROM watched WHERE {which}")]


def quantiles(seconds: list[float]) -> str:
    """How many, and three quantiles."""
    cuts = statistics.quantiles(seconds, n=100) if len(seconds) > 1 else [0.0] * 99
    return f"{len(seconds):,}; p50 {cuts[49]:.2f} s, p95 {cuts[94]:.2f} s, p99 {cuts[98]:.2f} s"


def health(port: int) -> dict[str, Any]:
    """What ``/health`` says."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            found: dict[str, Any] = json.load(reply)
            return found
    except OSError:
        return {}


def wait_for(what: Callable[[], Any], patience: float = PATIENCE) -> None:
    """Wait until it is so, at most so many seconds."""
    deadline = time.monotonic() + patience
    while not what():
        if time.monotonic() > deadline:
            raise SystemExit("it did not come")
        time.sleep(0.2)


if __name__ == "__main__":
    given = [*sys.argv[1:], *("100", "60", "5000", "")[len(sys.argv) - 1 :]]
    main(float(given[0]), float(given[1]), int(given[2]), given[3])
