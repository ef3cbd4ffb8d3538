"""Night after night: nothing grows that should not, neither here nor in the database."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
from collections import Counter
from datetime import timedelta
from typing import Any

import pytest

from connector.resources import RESOURCES
from connector.simulator import Workspace
from tests.support.harness import NOW, Harness
from tests.support.service import FEWEST
from tests.support.truth.compared import differences

DAY = 86_400.0
KEPT = 5  # days of runs


def held() -> dict[str, int]:
    """What this process holds: objects of the connector, tasks, threads, open files."""
    gc.collect()
    kinds = Counter(str(type(found).__module__) for found in gc.get_objects())
    ours = {
        name: number
        for name, number in kinds.items()
        if name.startswith("connector.") and not name.startswith("connector.simulator")
    }
    # Values made at first use stay (the SQL of a shape of payload, the tables): few, not more.
    return {
        "objects": sum(ours.values()),
        "tasks": len(asyncio.all_tasks()),
        "threads": threading.active_count(),
        "files": len(os.listdir("/dev/fd")),
    }


def stored(harness: Harness) -> dict[str, int]:
    """Rows of the state tables, and what sessions left in the database."""
    names = harness.query(
        "SELECT tablename FROM pg_tables WHERE schemaname = %s AND tablename LIKE 'sync\\_%%'",
        harness.schema,
    )
    found = {
        row["tablename"]: harness.query(f'SELECT count(*) AS n FROM "{row["tablename"]}"')[0]["n"]
        for row in names
    }
    found["connections"] = harness.query(
        "SELECT count(*) AS n FROM pg_stat_activity WHERE application_name = 'intercom-warehouse'"
    )[0]["n"]
    found["stages"] = harness.query(
        "SELECT count(*) AS n FROM pg_class WHERE relname LIKE '\\_stage\\_%%'"
    )[0]["n"]
    return found


async def nights(harness: Harness, number: int, warm: int) -> None:
    sizes = FEWEST | {"contacts": 60, "companies": 15, "conversations": 25, "now": int(NOW)}
    harness.simulate(Workspace.generate(41, **sizes))
    before: dict[str, int] = {}
    for night in range(number):
        outcome = await harness.sync(keep_runs=timedelta(days=KEPT))
        assert outcome.exit_code == 0, outcome.error
        if night == warm:
            before = held()
        harness.control.change(fraction=0.02, seed=night)
        harness.pass_time(DAY)
        harness.query("UPDATE sync_runs SET started_at = started_at - interval '1 day'")
    await harness.sync(keep_runs=timedelta(days=KEPT))
    assert differences(harness) == []
    after, rows = held(), stored(harness)
    assert after["objects"] <= before["objects"] * 1.05 + 50
    for name in ("tasks", "threads", "files"):
        assert after[name] <= before[name] + 1, name
    _holds_no_more_than_needed(harness, rows)
    unchanged = harness.versions()
    await harness.sync(keep_runs=timedelta(days=KEPT))
    assert harness.versions() == unchanged


def _holds_no_more_than_needed(harness: Harness, rows: dict[str, int]) -> None:
    assert rows["sync_partitions"] == rows["sync_pending"] == 0
    assert rows["sync_runs"] <= KEPT + 2
    assert rows["sync_run_resources"] == rows["sync_runs"] * len(RESOURCES)
    assert rows["sync_state"] == len(RESOURCES)
    contacts, segments = len(harness.rows("contacts")), len(harness.rows("segments"))
    assert rows["sync_reads"] <= 3 * contacts + segments
    tried = harness.query(
        "SELECT count(*) AS n FROM sync_placeholders p WHERE NOT EXISTS"
        " (SELECT FROM contacts c WHERE c.id = p.id AND c._placeholder)"
        " AND p.table_name = 'contacts'"
    )
    assert tried == [{"n": 0}]
    deadline = 50
    while stored(harness)["connections"] and deadline:  # a server ends its session a little later
        deadline -= 1
        threading.Event().wait(0.1)
    left = stored(harness)
    assert (left["connections"], left["stages"]) == (0, 0)


@pytest.mark.fault(
    "eight nights in a row",
    "no growth in connections, threads, open files, objects, state rows, stages, old runs",
    times=8,
)
async def test_eight_nights_leave_nothing_behind(harness: Harness, injected: Any) -> None:
    await nights(harness, 8, warm=3)
    injected(8)


@pytest.mark.chaos
@pytest.mark.fault("two hundred nights in a row", "the same", times=200)
async def test_two_hundred_nights_leave_nothing_behind(harness: Harness, injected: Any) -> None:
    await nights(harness, 200, warm=20)
    injected(200)
