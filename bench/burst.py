"""Very many contacts told of at once: how long until all rows are right, and in how many requests.

``python -m bench.burst [CONTACTS ...]`` changes every contact of a workspace and puts the hints of
it into the inbox of a running ``serve``, as the echo of a bulk write would. The simulator replies
after 100 ms, allows 1,667 requests in ten seconds, and shows changes in searches after a minute.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench.live import SCHEMA, Living, running, wait_for
from bench.runs import RATE_LIMIT, postgres
from connector.resources.hint import Hint
from connector.simulator import Simulator, Workspace
from connector.warehouse.sql.database import Database
from connector.warehouse.state import inbox

SETTINGS = {"CONNECTOR_RESOURCES": "tags,companies,leads,users", "CONNECTOR_SYNC_EVERY": "0"}


def main(sizes: Sequence[int]) -> None:
    """A line for each size."""
    print("| contacts | seconds | requests | by id | searches | rows that differ |")
    print("|---" * 6 + "|", flush=True)
    for contacts in sizes:
        with postgres() as url, tempfile.TemporaryDirectory() as directory:
            harness = Living(url, SCHEMA)
            space = Workspace.generate(1, contacts=contacts, companies=20, conversations=0)
            harness.simulator = Simulator(space, rate_limit=RATE_LIMIT)
            harness.control = harness.simulator.control
            with running(harness, Path(directory), **SETTINGS):
                line(harness, contacts)
            harness.close()


def line(harness: Living, contacts: int) -> None:
    """Change them all, tell of it, wait until nothing waits."""
    ids = list(harness.simulator.workspace.contacts.current)
    for key in ids:
        harness.control.update_contact(key, name="Renamed")
    harness.control.reset_stats()
    began = time.monotonic()
    tell(harness, ids)
    wait_for(lambda: not harness.query("SELECT 1 AS one FROM sync_inbox LIMIT 1"), 400.0)
    seconds, stats = time.monotonic() - began, harness.control.stats()
    differ = harness.query(
        "SELECT count(*) AS n FROM contacts WHERE _deleted_at IS NULL AND name <> 'Renamed'"
    )
    by_id = sum(n for name, n in stats["endpoints"].items() if name.endswith("contacts/{id}"))
    searches = stats["endpoints"].get("POST /contacts/search", 0)
    print(
        f"| {contacts:,} | {seconds:.0f} | {stats['requests']:,} | {by_id:,} | {searches:,} |"
        f" {differ[0]['n']:,} |",
        flush=True,
    )


def tell(harness: Living, ids: Sequence[str]) -> None:
    """Put the hints of them into the inbox."""
    database, shelf = Database(harness.database_url, harness.schema), harness.simulator.workspace
    stamps = {key: item.updated_at for key, item in shelf.contacts.current.items()}
    for start in range(0, len(ids), 5_000):
        hints = [Hint("contacts", key, stamps[key]) for key in ids[start : start + 5_000]]
        database.write(partial(inbox.tell, told=hints, delay=2.0))
    database.close()


if __name__ == "__main__":
    main([int(word) for word in sys.argv[1:]] or [10_000, 100_000])
