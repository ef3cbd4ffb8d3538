"""A first load at Intercom's usual limit: when it is usable, when complete, and what it uses.

``python -m bench.first_load [CONTACTS COMPANIES CONVERSATIONS [LATENCY]]`` loads a workspace from
a simulator that allows 1,667 requests in each window of ten seconds and waits before each reply.
Prints requests and minutes until all is there but notes and events, and until those are, and the
share of the budget used in the windows that the load filled from end to end. The largest sizes
take 20 minutes.
"""

from __future__ import annotations

import statistics
import sys
import time
from typing import Any

import sqlalchemy as sa

from bench.runs import RATE_LIMIT, Run, Served, postgres, simulated, sync
from connector.resources import BY_NAME

SCHEMA = "first_load"
FULL = 0.97  # of the budget: what a window should use


def main(contacts: int, companies: int, conversations: int, latency: float) -> None:
    """One load, as a table of one line."""
    space: dict[str, Any] = {
        "contacts": contacts,
        "companies": companies,
        "conversations": conversations,
        "events": contacts * 2 // 5,
        "now": int(time.time()),
    }
    with (
        postgres() as database,
        simulated(space, latency=latency, rate_limit=RATE_LIMIT) as server,
    ):
        server.control("reset_stats")
        began = time.time()
        run = sync(server.url, database, SCHEMA)
        print_load(run, server, usable_after(database, began))


def usable_after(database: str, began: float) -> float:
    """Seconds from then until all was there but what there is only contact by contact."""
    last = [r.name for r in BY_NAME.values() if r.comes_last]
    engine = sa.create_engine(database.replace("postgresql://", "postgresql+psycopg://", 1))
    with engine.connect() as conn:
        query = sa.text(
            f"SELECT extract(epoch FROM max(loaded_at)) FROM {SCHEMA}.sync_state"
            " WHERE resource <> ALL (:last)"
        )
        at = conn.execute(query, {"last": last}).scalar_one()
    engine.dispose()
    return float(at) - began


def print_load(run: Run, server: Served, usable: float) -> None:
    """The load, and how much of the budget its windows used."""
    tallies = run.report["resources"]
    last = sum(t["requests"] for name, t in tallies.items() if BY_NAME[name].comes_last)
    stats = server.control("stats")
    windows = sorted(stats["windows"].items(), key=lambda one: int(one[0]))
    shares = [number / RATE_LIMIT for _, number in windows[1:-1]]
    used = sum(shares) / len(shares) if shares else 0.0
    low = [f"{share:.0%}" for share in shares if share < FULL]
    print("| | requests | minutes |\n|---|---|---|")
    print(f"| until usable | {run.requests - last:,} | {usable / 60:.1f} |")
    print(f"| until complete | {run.requests:,} | {run.seconds / 60:.1f} |\n")
    print(
        f"{used:.1%} of the budget in {len(shares)} full windows"
        f" (median {statistics.median(shares) if shares else 0:.1%}); below {FULL:.0%}:"
        f" {', '.join(low) or 'none'}; {stats['rate_limited']} refused (429);"
        f" {run.cpu:.0f} s of CPU, {run.peak:.0f} MB\n"
    )
    for name, tally in tallies.items():
        print(f"- {name}: {tally['requests']:,} requests, {tally['seconds']:.1f} s")


if __name__ == "__main__":
    given = [float(size) for size in sys.argv[1:]]
    sizes = given + [10_000, 500, 5_000, 0.1][len(given) :]
    main(int(sizes[0]), int(sizes[1]), int(sizes[2]), sizes[3])
