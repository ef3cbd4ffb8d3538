"""What a run costs when nothing has changed, with 100 ms of latency and Intercom's usual limit.

``python -m bench.idle [CONTACTS COMPANIES CONVERSATIONS]`` loads a workspace without latency and
then syncs it again from a simulator that waits 100 ms before each reply: twice when neither a full
pass nor a sweep is due, and twice with full passes. Prints requests, seconds as the clock on the
wall has them from the start of the process to its end, and objects written, as Markdown.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from bench.runs import RATE_LIMIT, Run, postgres, simulated, sync

LATENCY = 0.1
NOTHING_DUE = {"CONNECTOR_FULL_PASS_REQUESTS": "0", "CONNECTOR_EVENTS_SWEEP_DAYS": "3650"}
FULL_PASSES = {**NOTHING_DUE, "CONNECTOR_FULL_PASS_DAYS": "0"}


def main(contacts: int, companies: int, conversations: int) -> None:
    """Load once, and let nothing happen."""
    space: dict[str, Any] = {
        "contacts": contacts,
        "companies": companies,
        "conversations": conversations,
        "events": contacts * 2 // 5,
        "calls": 20,
        "now": int(time.time()),  # two simulators show the same workspace
    }
    print("| run | requests | seconds | written |\n|" + "---|" * 4)
    with postgres() as database:
        with simulated(space) as server:
            for name in ("first load, no latency", "idle, no latency"):
                print_line(name, sync(server.url, database, "idle", **NOTHING_DUE))
        with simulated(space, latency=LATENCY, rate_limit=RATE_LIMIT) as server:
            for name in ("idle", "idle again"):
                print_line(name, sync(server.url, database, "idle", **NOTHING_DUE))
            for name in ("full passes", "full passes again"):
                print_line(name, sync(server.url, database, "idle", **FULL_PASSES))


def print_line(name: str, run: Run) -> None:
    """One run as a row of the table."""
    print(f"| {name} | {run.requests:,} | {run.seconds:.1f} | {run.rows:,} |", flush=True)


if __name__ == "__main__":
    given = [int(size) for size in sys.argv[1:]]
    main(*(given + [4_000, 200, 500][len(given) :]))
