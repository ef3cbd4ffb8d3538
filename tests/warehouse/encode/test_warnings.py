"""What does not fit is warned of by the run that writes its row, and not night after night."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from connector.resources import TABLE_BY_NAME
from connector.simulator import Workspace
from connector.sync.outcome import Outcome
from connector.warehouse.encode.encoder import encode
from tests.support.harness import NOW, Harness
from tests.support.warehouse import Warehouse

HUGE = 10**30  # no column of ours holds it


def warned(outcome: Outcome) -> dict[str, int]:
    return {name: t.warnings for name, t in outcome.resources.items() if t.warnings}


async def test_a_night_and_a_full_pass_warn_of_no_old_value(harness: Harness) -> None:
    space = Workspace.generate(
        6, contacts=120, companies=15, conversations=20, now=int(NOW), hostile=0.3
    )
    harness.simulate(space)
    first = await harness.sync()
    assert sum(warned(first).values()) > 20
    stored = harness.query("SELECT sum(warnings) AS n FROM sync_run_resources")
    assert stored == [{"n": sum(warned(first).values())}]
    harness.pass_time(86_400)
    assert warned(await harness.sync()) == {}
    harness.pass_time(86_400)
    full = await harness.sync(full=True)
    assert full.exit_code == 0, full.error
    assert sum(t.fetched for t in full.resources.values()) > 200
    assert warned(full) == {}


@pytest.fixture
def warehouse(database_url: str, schema: str) -> Iterator[Warehouse]:
    """A schema of the test's own."""
    warehouse = Warehouse(database_url, schema)
    yield warehouse
    warehouse.close()


def write(warehouse: Warehouse, table: str, second: int, *records: dict[str, Any]) -> int:
    """How many warnings writing these records gives."""
    at = datetime(2026, 5, 1, 12, 0, second, tzinfo=UTC)
    batch = encode(TABLE_BY_NAME[table], records, [at] * len(records))
    with warehouse.database.transaction() as conn:
        written = warehouse.loader.merge(conn, batch, 1, by_id=True)
    return batch.warnings_of(written.changes.written).total()


def test_only_rows_that_are_written_are_warned_of(warehouse: Warehouse) -> None:
    good, bad = {"id": "1", "name": "a"}, {"id": "2", "name": HUGE}
    assert write(warehouse, "tags", 1, good, bad) == 1
    assert write(warehouse, "tags", 2, good | {"name": "b"}, bad) == 0
    assert write(warehouse, "tags", 3, good, bad | {"name": HUGE + 1}) == 1
    assert write(warehouse, "tags", 4, good, {"name": "without an id"}) == 1
    assert write(warehouse, "tags", 0, bad | {"name": HUGE + 2}) == 0  # an older copy is refused


def part(key: str, **more: Any) -> dict[str, Any]:
    return {"type": "conversation_part", "id": key, "part_type": "comment", **more}


def talk(updated_at: int, *parts: dict[str, Any]) -> dict[str, Any]:
    listed = {"conversation_parts": list(parts), "total_count": len(parts)}
    return {"id": "1", "updated_at": updated_at, "conversation_parts": listed}


def test_an_old_part_of_a_conversation_that_goes_on_is_not_warned_of(warehouse: Warehouse) -> None:
    bad, file = part("1", created_at="soon"), {"name": HUGE, "url": "https://x/a"}
    assert write(warehouse, "conversations", 1, talk(100, bad)) == 1
    assert write(warehouse, "conversations", 2, talk(200, bad, part("2"))) == 0
    with_file = part("3", attachments=[file])
    assert write(warehouse, "conversations", 3, talk(300, bad, part("2"), with_file)) == 1
    assert write(warehouse, "conversations", 4, talk(400, bad, part("2"), with_file)) == 0


def test_an_old_event_is_not_warned_of_when_there_is_a_new_one(warehouse: Warehouse) -> None:
    old = {"contact_id": "1", "event_name": "a", "created_at": 100, "metadata": [1], "email": HUGE}
    new = {"contact_id": "1", "event_name": "a", "created_at": 200}
    assert write(warehouse, "events", 1, old) >= 1
    assert write(warehouse, "events", 2, old, new) == 0
