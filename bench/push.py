"""What it costs to write back: a hundred contacts in each request against one request each.

``python -m bench.push [CONTACTS [SINGLES [LATENCY]]]`` loads a workspace of 100,000 contacts
from a simulator that allows 1,667 requests in ten seconds, changes an attribute of every contact by
a model, and pushes it by the command line. In the same run a plain sender (asyncio, fifty requests
at a time, the same limit, no mirror) writes as many of them as SINGLES says, one by one.

Intercom carries out what a bulk request holds on computers of its own, the simulator on the one
that sends. So it does that twenty seconds later, when all requests should have been sent; how much
CPU it takes for the whole push, with reading back, stands beside that of the push itself.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg

from bench.growth import workspace
from bench.runs import RATE_LIMIT, Served, postgres, simulated, sync
from tests.support.service import environment

SCHEMA = "push"
JOB_DELAY = 10.0  # seconds, and as long again until their end
MODEL = f"SELECT id, 'Pushed ' || id AS name FROM {SCHEMA}.contacts_live"
AT_ONCE = 50


def main(contacts: int, singles: int, latency: float) -> None:
    """A line for each way."""
    print(
        "| | contacts | write requests | seconds of writing | other requests | seconds in all |"
        " CPU of the push | of the simulator |"
    )
    print("|---" * 8 + "|", flush=True)
    space = workspace(contacts)
    with postgres() as database, simulated(space, latency=latency, rate_limit=RATE_LIMIT) as server:
        sync(server.url, database, SCHEMA, "--only", "tags,companies,leads,users")
        server.control("writing", job_delay=JOB_DELAY)
        with psycopg.connect(database) as conn:
            found = conn.execute(f"SELECT id FROM {SCHEMA}.contacts ORDER BY id LIMIT {singles}")
            one_by_one(server, [key for (key,) in found])
        for name in ("push", "the same model again"):
            line(name, contacts, push(server, database))


@dataclass
class Pushed:
    """A push: its report, when it wrote, how long it took, and the CPU of both sides in seconds."""

    report: dict[str, Any]
    times: list[float]
    seconds: float
    own: float
    simulator: float


def push(server: Served, database: str) -> Pushed:
    """Push the model by the command line; it must succeed."""
    before, cpu = len(server.control("writes")), server.cpu
    own, began = _children(), time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "connector", "push", "contacts", "--from", MODEL, "--yes", "--json"],
        env=environment(server.url, database, SCHEMA),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    seconds = time.monotonic() - began
    if done.returncode:
        raise SystemExit(f"push ended with {done.returncode}: {done.stdout}{done.stderr}")
    own, simulator = _children() - own, server.cpu - cpu
    times = [one["at"] for one in server.control("writes")[before:]]
    return Pushed(json.loads(done.stdout), times, seconds, own, simulator)


def _children() -> float:
    """Seconds of processor time of all processes that this one began and that have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def line(name: str, contacts: int, done: Pushed) -> None:
    """One push as a row of the table."""
    times, reads = done.times, done.report["reads"]
    writing = max(times) - min(times) if times else 0.0
    print(
        f"| {name} | {contacts:,} | {len(times):,} | {writing:.1f} | {reads:,} |"
        f" {done.seconds:.0f} | {done.own:.1f} s | {done.simulator:.1f} s |",
        flush=True,
    )


def one_by_one(server: Served, ids: list[str]) -> None:
    """A plain sender: a request for each contact, and after a 429 a pause."""
    waiting, requests = list(ids), 0

    async def sender(client: httpx.AsyncClient) -> None:
        nonlocal requests
        while waiting:
            key = waiting.pop()
            while True:
                requests += 1
                reply = await client.put(f"/contacts/{key}", json={"name": f"Single {key}"})
                if reply.status_code != 429:
                    break
                await asyncio.sleep(1.0)

    async def all_of_them() -> None:
        headers = {"authorization": "Bearer sim-token", "intercom-version": "2.16"}
        async with httpx.AsyncClient(base_url=server.url, headers=headers, timeout=60) as client:
            await asyncio.gather(*(sender(client) for _ in range(AT_ONCE)))

    began = time.monotonic()
    asyncio.run(all_of_them())
    seconds = time.monotonic() - began
    print(
        f"| one by one | {len(ids):,} | {requests:,} | {seconds:.1f} | 0 | {seconds:.0f} | | |",
        flush=True,
    )


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        int(given[0]) if given else 100_000,
        int(given[1]) if len(given) > 1 else 5_000,
        float(given[2]) if len(given) > 2 else 0.05,
    )
