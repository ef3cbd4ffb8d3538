"""Conversations with all their parts under Intercom's real limit: what is used of each window.

``python -m bench.pace [CONVERSATIONS [LATENCY ...]]`` loads them from a simulator that allows 1,667
requests in each window of ten seconds and waits before each reply: 0.1 seconds, or ``recorded``, as
long as Intercom's own replies took. Prints the share of the budget used in the windows that the
load filled from end to end, the requests refused (429) and conversations for each second.
"""

from __future__ import annotations

import statistics
import sys
from typing import Any

from bench.growth import workspace
from bench.runs import RATE_LIMIT, postgres, simulated, sync

CEILING = RATE_LIMIT / 10 * 150
"""Contacts a second: 150 in each request."""
LATENCIES: tuple[float | str, ...] = (0.1, "recorded")


def main(conversations: int, latencies: tuple[float | str, ...] = LATENCIES) -> None:
    """A load for each latency, a line for each load."""
    space = {"contacts": 2_000, "companies": 200, "conversations": conversations, "events": 0}
    print(
        "| latency | conversations | parts | seconds | a second | full windows |"
        " used of the budget in each | median | 429s | peak memory |\n|" + "---|" * 10
    )
    with postgres() as database:
        for latency in latencies:
            with simulated(space, latency=latency, rate_limit=RATE_LIMIT) as server:
                schema = f"pace_{str(latency).replace('.', '_')}"
                sync(server.url, database, schema, "--only", "tags,admins,leads,users")
                server.control("reset_stats")
                run = sync(server.url, database, schema, "--only", "conversations")
                print_line(latency, run.report["resources"]["conversations"], server, run.peak)


def contacts(number: int, latency: float | str) -> None:
    """A first load of contacts with their tags and companies under the same limit."""
    print(
        "| contacts | seconds | rows a second | of Intercom's ceiling | requests | 429s | memory |"
    )
    print("|---" * 7 + "|")
    with (
        postgres() as database,
        simulated(workspace(number), latency=latency, rate_limit=RATE_LIMIT) as server,
    ):
        sync(server.url, database, "pace", "--only", "tags,companies")
        run = sync(server.url, database, "pace", "--only", "leads,users")
        refused = server.control("stats")["rate_limited"]
    rate = number / run.work
    print(
        f"| {number:,} | {run.work:.1f} | {rate:,.0f} | {rate / CEILING:.0%} |"
        f" {run.requests:,} | {refused} | {run.peak:.0f} MB |",
        flush=True,
    )


def print_line(latency: float | str, tally: dict[str, Any], server: Any, peak: float) -> None:
    """One load as a row of the table."""
    stats = server.control("stats")
    # The first and the last window were used in part, and so was what began or ended in them.
    sent = [number for _, number in sorted(stats["windows"].items(), key=lambda w: int(w[0]))]
    full = sent[1:-1]
    shares = [number / RATE_LIMIT for number in full]
    told = ", ".join(f"{share:.1%}" for share in shares)
    median = f"{statistics.median(shares):.1%}" if shares else "-"
    name = latency if isinstance(latency, str) else f"{latency * 1000:.0f} ms"
    print(
        f"| {name} | {tally['inserted']:,} | {tally.get('parts') or 0:,} | {tally['seconds']:.1f} |"
        f" {tally['inserted'] / tally['seconds']:.1f} | {len(full)} | {told} | {median} |"
        f" {stats['rate_limited']} | {peak:.0f} MB |",
        flush=True,
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 8_000
    given = tuple(x if x == "recorded" else float(x) for x in sys.argv[2:])
    main(number, given or LATENCIES)
