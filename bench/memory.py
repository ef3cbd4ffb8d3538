"""Peak memory of first loads by what is large: ``python -m bench.memory [CASE[=SIZE] ...]``.

For each case the real command line loads a workspace into an embedded Postgres, over HTTP from a
simulator in a process of its own that makes the large texts as it serves them. What is added up
are the peaks (VmHWM) of the sync and of its encoder process; the server is not counted. SIZE is
the number of objects (of the case ``contacts`` how many contacts, and so on).
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import Any

import psycopg

from bench.runs import Run, postgres, simulated, sync

BOUND = 600
"""MB that all processes of a sync may take at any workspace."""

NOTHING = dict.fromkeys(
    ("conversations", "events", "tickets", "articles", "calls", "macros", "news_items"), 0
)
SMALL = {"contacts": 50, "companies": 5, "tags": 5, "activity_logs": 0, **NOTHING}


@dataclass(frozen=True)
class Case:
    """One kind of large workspace: its usual size, what is loaded, and what is swollen.

    ``made`` is how many of each kind the simulator generates for one of the size.
    """

    size: int
    only: str
    made: dict[str, float]
    swells: list[dict[str, Any]] = field(default_factory=list)

    def workspace(self, size: int) -> dict[str, Any]:
        """What the simulator generates."""
        made = {kind: int(size * each) for kind, each in self.made.items()}
        return SMALL | made | ({"segments": 1} if "contact_segments" in self.only else {})


def _search(kind: str, **more: Any) -> dict[str, Any]:
    return {"method": "POST", "path": f"/{kind}/search", "key": kind, **more}


def _one(kind: str, **more: Any) -> dict[str, Any]:
    return {"method": "GET", "path": rf"/{kind}/\d+", **more}


PARTS = "ticket_parts.ticket_parts"
TALK = "conversation_parts.conversation_parts"
CASES = {
    "tickets": Case(
        3_000, "tickets", {"tickets": 1},
        [_search("tickets", parts=PARTS, number=50, length=5_000)],
    ),
    "conversations": Case(
        2_000, "conversations", {"conversations": 1},
        [_one("conversations", parts=TALK, number=500, length=4_000)],
    ),
    # Two contacts in five are in the segment.
    "segment": Case(300_000, "segments,contact_segments", {"contacts": 2.5}),
    "contacts": Case(1_000_000, "leads,users", {"contacts": 1}),
    "pages": Case(
        600, "tickets", {"tickets": 1},
        [_search("tickets", parts=PARTS, number=3, length=350_000)],
    ),
    "object": Case(
        60, "conversations", {"conversations": 1},
        [_one("conversations", parts=TALK, number=500, length=120_000, every=10)],
    ),
    "macros": Case(
        600, "macros", {"macros": 1},
        [{"method": "GET", "path": "/macros", "key": "data", "length": 1_000_000}],
    ),
    "articles": Case(
        600, "articles", {"articles": 1},
        [{"method": "GET", "path": "/articles", "key": "data", "length": 1_000_000}],
    ),
    "companies": Case(
        3_000, "companies", {"companies": 1, "contacts": 3},
        [{"method": "GET", "path": "/companies/scroll", "key": "data", "length": 200_000,
          "field": "notes_text"}],
    ),
    "events": Case(100_000, "leads,users,events", {"events": 1, "contacts": 0.00001}),
}  # fmt: skip


def main(words: list[str]) -> None:
    """Load each case and print a line for it."""
    print("| case | objects | seconds | requests | rows | peak memory | of 600 MB |")
    print("|---" * 7 + "|", flush=True)
    with postgres() as database:
        for word in words or CASES:
            name, _, size = word.partition("=")
            case = CASES[name]
            print_line(name, int(size) if size else case.size, case, database)


def print_line(name: str, size: int, case: Case, database: str) -> None:
    """Load one case, print it as a row of the table, and drop what was loaded."""
    schema = f"memory_{name}"
    with simulated(case.workspace(size), swells=case.swells) as server:
        run: Run = sync(server.url, database, schema, "--only", case.only)
    print(
        f"| {name} | {size:,} | {run.work:.1f} | {run.requests:,} | {run.rows:,} |"
        f" {run.peak:.0f} MB | {run.peak / BOUND:.0%} |",
        flush=True,
    )
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(f"DROP SCHEMA {schema} CASCADE")


if __name__ == "__main__":
    main(sys.argv[1:])
