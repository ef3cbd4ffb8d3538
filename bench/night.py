"""What a first load, an idle run and nights with changes cost, over HTTP, checked for equality.

``python -m bench.night [CONTACTS COMPANIES CONVERSATIONS [RESOURCES]]`` runs the real command
line against the simulator and an embedded Postgres, compares every row and link with the truth
after each run (of workspaces up to 25,000 contacts: the comparison holds all in memory), and
prints requests by resource, rows written and seconds as Markdown. RESOURCES are names, separated
by commas.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from connector.simulator import Simulator, Workspace
from connector.warehouse.sql import embedded
from tests.support.harness import Harness
from tests.support.service import environment, served, spawn
from tests.support.truth.compared import differences

SCHEMA = "bench"
CHANGED = 0.01
COMPARED = 25_000  # contacts
NO_FULL_PASSES = {"CONNECTOR_FULL_PASS_REQUESTS": "0"}
FULL_PASSES = {"CONNECTOR_FULL_PASS_DAYS": "0"}


def main(contacts: int, companies: int, conversations: int, resources: str = "") -> None:
    """Run the four and print them side by side."""
    space = Workspace.generate(
        1, contacts=contacts, companies=companies, conversations=conversations
    )
    with tempfile.TemporaryDirectory() as directory:
        server = embedded.start(Path(directory) / "data")
        harness = Harness(server.get_uri(), SCHEMA)
        harness.simulator = Simulator(space, rate_limit=None)
        harness.control = harness.simulator.control
        try:
            with served(harness.simulator) as url:
                print_runs(
                    runs(
                        harness,
                        environment(
                            url, harness.database_url, SCHEMA, CONNECTOR_RESOURCES=resources
                        ),
                    )
                )
        finally:
            harness.close()
            server.cleanup()


def runs(harness: Harness, environ: dict[str, str]) -> dict[str, dict[str, Any]]:
    """The outcome of each run, in order."""
    found = {"first load": run(harness, environ)}
    before = harness.versions()
    found["idle"] = run(harness, environ)
    if harness.versions() != before:
        raise SystemExit("the idle run wrote row versions")
    changed = harness.control.change(fraction=CHANGED, seed=5)
    harness.control.advance(1_800)
    name = "night with 1 % changed, no full pass due"
    found[name] = run(harness, environ | NO_FULL_PASSES)
    told = ", ".join(f"{len(ids)} {kind}" for kind, ids in changed.items())
    print(f"changed in each night: {told}\n")
    harness.control.change(fraction=CHANGED, seed=6)
    harness.control.advance(1_800)
    found["night with 1 % changed and full passes"] = run(harness, environ | FULL_PASSES)
    return found


def run(harness: Harness, environ: dict[str, str]) -> dict[str, Any]:
    """One sync by the command line; the rows must equal the truth after it."""
    began = time.monotonic()
    process = spawn(environ, "sync", "--json")
    output, errors = process.communicate()
    if process.returncode:
        raise SystemExit(errors)
    outcome: dict[str, Any] = json.loads(output)
    outcome["wall"] = time.monotonic() - began
    small = len(harness.simulator.workspace.contacts) <= COMPARED
    small = small and not environ["CONNECTOR_RESOURCES"]
    wrong = differences(harness) if small else []
    if wrong:
        raise SystemExit("not equal to the truth:\n" + "\n".join(wrong))
    return outcome


def print_runs(found: dict[str, dict[str, Any]]) -> None:
    """Markdown: requests and rows written by resource and run."""
    print("| resource | " + " | ".join(f"{name}: requests | written" for name in found) + " |")
    print("|---" * (1 + 2 * len(found)) + "|")
    for name in next(iter(found.values()))["resources"]:
        cells = []
        for outcome in found.values():
            tally = outcome["resources"][name]
            cells += [f"{tally['requests']:,}", f"{tally['inserted'] + tally['updated']:,}"]
        print(f"| {name} | " + " | ".join(cells) + " |")
    totals = [sum(t["requests"] for t in o["resources"].values()) for o in found.values()]
    seconds = [outcome["wall"] for outcome in found.values()]
    pairs = zip(totals, seconds, strict=True)
    print("| **all** | " + " | ".join(f"{n:,} | {s:.1f} s" for n, s in pairs) + " |")


if __name__ == "__main__":
    given = sys.argv[1:] or ["20000", "2000", "3000"]
    main(int(given[0]), int(given[1]), int(given[2]), *given[3:])
