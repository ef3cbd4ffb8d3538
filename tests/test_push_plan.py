"""What a plan finds to be different, and what it puts into the outbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pushing import contact, outbox, plan
from tests.warehouse import Warehouse, opened


@pytest.fixture
def warehouse(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as own:
        yield own


def test_only_differences_are_written(warehouse):
    contact(warehouse, "a", external_id="1", email="ada@x.io", name="Ada")
    contact(warehouse, "b", external_id="2", name="Bob", phone="+49 30 1")
    made = plan(
        warehouse,
        "SELECT * FROM (VALUES ('1', 'Ada', NULL), ('2', 'Bo', '+49301'), ('3', 'Cy', '1'))"
        " v (external_id, name, phone)",
    )
    assert (made.rows, made.creates, made.updates, made.unchanged) == (3, 1, 1, 1)
    first, second = outbox(warehouse)
    assert first["body"] == {"name": "Bo"}
    assert first["before"] == {"name": "Bob"}
    assert (first["op"], first["role"], first["object_id"], first["external_id"]) == (
        "upsert",
        "user",
        "b",
        "2",
    )
    assert second["body"] == {"name": "Cy", "phone": "1", "role": "user"}
    assert (second["before"], second["object_id"], second["external_id"]) == (None, None, "3")
    assert first["state"] == "waiting"
    assert first["model"].startswith("SELECT * FROM (VALUES")
