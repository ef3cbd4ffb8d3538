"""Conversations with all their parts under Intercom's real limits: what is used of each window.

``python -m bench.pace [CONVERSATIONS [LATENCY ...]] [--tokens N]`` loads them from a simulator that
allows 1,667 requests of each token, 4,167 of all, in each window of ten seconds and waits before
each reply: 0.1 seconds, or ``recorded``, as long as Intercom's own replies took. Prints the share
of the budget used in the windows that the load filled from end to end, the requests refused (429),
conversations for each second, and the processor time of the sync and of the simulator.
"""

from __future__ import annotations

import statistics
import sys

from bench.growth import workspace
from bench.runs import RATE_LIMIT, Run, Served, postgres, simulated, sync
from connector.intercom.tokens.tokens import PER_MINUTE

CEILING = RATE_LIMIT / 10 * 150
"""Contacts a second: 150 in each request."""
LATENCIES: tuple[float | str, ...] = (0.1, "recorded")


def main(
    conversations: int, latencies: tuple[float | str, ...] = LATENCIES, tokens: int = 1
) -> None:
    """A load for each latency, a line for each load."""
    space = {"contacts": 2_000, "companies": 200, "conversations": conversations, "events": 0}
    print(
        "| tokens | latency | conversations | parts | seconds | a second | full windows |"
        " used of the budget in each | median | 429s | peak memory | CPU of the sync |"
        " of the simulator |\n|" + "---|" * 13
    )
    with postgres() as database:
        for latency in latencies:
            with simulated(space, latency=latency, rate_limit=RATE_LIMIT, tokens=tokens) as server:
                schema = f"pace_{str(latency).replace('.', '_')}"
                settings = {"INTERCOM_ACCESS_TOKEN": server.tokens}
                few = "tags,admins,leads,users"
                sync(server.url, database, schema, "--only", few, **settings)
                server.control("reset_stats")
                before = server.cpu
                run = sync(server.url, database, schema, "--only", "conversations", **settings)
                print_line(latency, tokens, run, server, server.cpu - before)


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


def print_line(latency: float | str, tokens: int, run: Run, server: Served, cpu: float) -> None:
    """One load as a row of the table; ``cpu`` is the simulator's, in seconds."""
    stats, tally = server.control("stats"), run.report["resources"]["conversations"]
    budget = min(tokens * RATE_LIMIT, PER_MINUTE / 6) if tokens > 1 else RATE_LIMIT
    # The first and the last window were used in part, and so was what began or ended in them.
    sent = [number for _, number in sorted(stats["windows"].items(), key=lambda w: int(w[0]))]
    full = sent[1:-1]
    shares = [number / budget for number in full]
    told = ", ".join(f"{share:.1%}" for share in shares)
    median = f"{statistics.median(shares):.1%}" if shares else "-"
    name = latency if isinstance(latency, str) else f"{latency * 1000:.0f} ms"
    print(
        f"| {tokens} | {name} | {tally['inserted']:,} | {tally.get('parts') or 0:,} |"
        f" {tally['seconds']:.1f} | {tally['inserted'] / tally['seconds']:.1f} | {len(full)} |"
        f" {told} | {median} | {stats['rate_limited']} | {run.peak:.0f} MB | {run.cpu:.1f} s |"
        f" {cpu:.1f} s |",
        flush=True,
    )


def parse(words: list[str]) -> tuple[int, tuple[float | str, ...], int]:
    """Conversations, latencies and the number of tokens."""
    tokens = 1
    if "--tokens" in words:
        place = words.index("--tokens")
        tokens = int(words[place + 1])
        words = words[:place] + words[place + 2 :]
    number = int(words[0]) if words else 8_000 * tokens
    given = tuple(x if x == "recorded" else float(x) for x in words[1:])
    return number, given or LATENCIES, tokens


if __name__ == "__main__":
    main(*parse(sys.argv[1:]))
