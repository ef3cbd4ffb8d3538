"""How a load of contacts grows: time a row, memory and requests by the size of the workspace.

``python -m bench.growth [CONTACTS ...]`` (10,000, 50,000 and 200,000 by default): for each size the
real command line loads contacts with their tags and companies into an embedded Postgres, from a
simulator in a process of its own, and then reads them all again in two full passes in which
nothing has changed: the first makes the digests by which the second knows the records. Neither
latency nor a limit: the machine is what is measured.
"""

from __future__ import annotations

import sys
from typing import Any

import psycopg

from bench.runs import Run, Served, postgres, simulated, sync

SIZES = (10_000, 50_000, 200_000)
CONTACTS = ("--only", "leads,users")
FULL = {"CONNECTOR_FULL_PASS_DAYS": "0"}


def workspace(contacts: int) -> dict[str, Any]:
    """Contacts and what they refer to; none with a list that is longer than what is embedded."""
    nothing = dict.fromkeys(("conversations", "events", "tickets", "articles", "calls"), 0)
    return {"contacts": contacts, "companies": 10, "tags": 10, **nothing}


def main(sizes: list[int]) -> None:
    """Load each size and print them below each other."""
    print(
        "| contacts | first load: seconds | rows a second | µs a row | requests | peak memory |"
        " full pass, nothing changed: seconds | rows a second | the next: seconds | rows a second |"
        " rows written |\n|" + "---|" * 11
    )
    with postgres() as database:
        for size in sizes:
            with simulated(workspace(size)) as server:
                schema = f"growth_{size}"
                print_line(size, *load(server, database, schema))
            with psycopg.connect(database, autocommit=True) as connection:
                connection.execute(f"DROP SCHEMA {schema} CASCADE")


def load(server: Served, database: str, schema: str) -> tuple[Run, Run, Run]:
    """A first load, and two full passes after it."""
    sync(server.url, database, schema, "--only", "tags,companies")
    first = sync(server.url, database, schema, *CONTACTS)
    again = sync(server.url, database, schema, *CONTACTS, **FULL)
    return first, again, sync(server.url, database, schema, *CONTACTS, **FULL)


def print_line(size: int, first: Run, again: Run, known: Run) -> None:
    """One size as a row of the table."""
    rate = size / first.work
    print(
        f"| {size:,} | {first.work:.1f} | {rate:,.0f} | {1e6 / rate:.0f} | {first.requests:,} |"
        f" {max(first.peak, again.peak, known.peak):.0f} MB |"
        f" {again.work:.1f} | {size / again.work:,.0f} |"
        f" {known.work:.1f} | {size / known.work:,.0f} | {again.rows + known.rows} |",
        flush=True,
    )


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
