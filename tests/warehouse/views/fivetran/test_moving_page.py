"""docs/moving.md: its SQL finds seeded differences, exactly, and unites two histories."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from connector.warehouse.views.fivetran import shape
from tests.support.places import ROOT
from tests.warehouse.historian import Historian
from tests.warehouse.views.fivetran import helpdesk
from tests.warehouse.views.fivetran import models as package
from tests.warehouse.views.fivetran.by_hand import ANSWERS, KEYS, earlier
from tests.warehouse.views.fivetran.helpdesk import naive, wall

PAGE = (ROOT / "docs/moving.md").read_text(encoding="utf-8")
FUNCTIONS, SUMMARY, DETAILS, AIRBYTE, OF_AIRBYTE, UNITE, UNITED = re.findall(
    r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL
)


class Move:
    """A warehouse beside the schema of an older tool."""

    def __init__(self, desk: Historian) -> None:
        self.desk = desk
        self.old, self.new = f"{desk.schema}_old", f"{desk.schema}_fivetran"
        self.whole = f"{desk.schema}_whole"

    def query(self, statement: str) -> list[tuple[Any, ...]]:
        """The rows of a statement of the page."""
        for name, own in (
            ("intercom_old", self.old),
            ("intercom_fivetran", self.new),
            ("intercom_whole", self.whole),
            ("airbyte_shape", f"{self.old}_shape"),
            ("airbyte.", f"{self.old}."),
        ):
            statement = statement.replace(name, own)
        done = self.desk._reader.execute(statement)
        return [tuple(row.values()) for row in done.fetchall()] if done.description else []

    def copy(self) -> None:
        """The old tool has loaded the same, as tables, with types of its own."""
        self.query("CREATE SCHEMA intercom_old")
        for view in shape.makers():
            self.query(
                f"CREATE TABLE intercom_old.{view} AS SELECT * FROM intercom_fivetran.{view}"
            )
        times = (
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'intercom_old' AND data_type = 'timestamp without time zone'"
        )
        zoned = "timestamptz USING {0} AT TIME ZONE 'UTC'"
        types = [(table, column, zoned.format(column)) for table, column in self.query(times)]
        types += [
            ("tag", "id", "bigint USING id::bigint"),
            ("contact_tag_history", "tag_id", "bigint USING tag_id::bigint"),
            ("company_history", "monthly_spend", "double precision"),
            ("conversation_history", "custom_attributes", "text"),
        ]
        for table, column, kind in types:
            self.query(f"ALTER TABLE intercom_old.{table} ALTER COLUMN {column} TYPE {kind}")

    def close(self) -> None:
        self.query("SET timezone = 'UTC'")
        for name in ("intercom_whole", "intercom_old", "airbyte_shape"):
            self.query(f"DROP SCHEMA IF EXISTS {name} CASCADE")
        for row in self.desk.query(
            "SELECT p.oid::regprocedure::text AS name FROM pg_proc p"
            " WHERE p.pronamespace = pg_my_temp_schema()"
        ):
            self.query(f"DROP FUNCTION {row['name']}")


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Historian]:
    desk = Historian(database_url, f"moving_{os.getpid()}")
    try:
        yield desk
    finally:
        helpdesk.empty(desk)
        desk.drop()


@pytest.fixture
def move(shared: Historian) -> Iterator[Move]:
    helpdesk.empty(shared)
    shared.follow()
    move = Move(shared)
    yield move
    move.close()


def test_equal_schemas_differ_in_nothing(move: Move) -> None:
    helpdesk.fill(move.desk)
    helpdesk.shape(move.desk)
    move.copy()
    move.query(FUNCTIONS)
    for zone in ("UTC", "America/New_York"):
        move.query(f"SET timezone = '{zone}'")
        assert move.query(SUMMARY) == []
    move.query("SET timezone = 'UTC'")


def test_exactly_what_was_seeded_is_found(move: Move) -> None:
    helpdesk.fill(move.desk)
    helpdesk.shape(move.desk)
    move.copy()
    move.query(
        "DELETE FROM intercom_old.tag WHERE id = 21;"
        "INSERT INTO intercom_old.contact_history (id, name, created_at, _fivetran_active)"
        " VALUES ('u9', 'Uli', '2026-02-03 23:59Z', true), ('u8', 'Ulf', NULL, false);"
        "UPDATE intercom_old.contact_history SET name = 'Umma', role = 'lead' WHERE id = 'u1';"
        "UPDATE intercom_old.company_history SET monthly_spend = 99.25 WHERE id = 'co1';"
        "DELETE FROM intercom_old.conversation_part_history WHERE id IN ('p3', 'q3');"
        "UPDATE intercom_old.conversation_part_history SET body = NULL WHERE id = 'p2';"
        "DELETE FROM intercom_old.team_admin WHERE team_id = '10' AND admin_id = '2';"
        "UPDATE intercom_old.admin SET name = 'Cid' WHERE id = '3';"  # who is deleted
        "INSERT INTO intercom_old.conversation_tag_history"
        " (conversation_id, tag_id, conversation_updated_at) VALUES ('c3', '21', '2026-01-07');"
        "DROP TABLE intercom_old.help_center_history"
    )
    move.query(FUNCTIONS)
    new_year = date(2026, 1, 1)
    assert move.query(SUMMARY) == [
        ("company_history", new_year, 0, 0, 1, "monthly_spend"),
        ("contact_history", new_year, 0, 0, 1, "name, role"),
        ("contact_history", date(2026, 2, 3), 1, 0, 0, None),
        ("conversation_part_history", new_year, 0, 2, 1, "body"),
        ("conversation_tag_history", date(2026, 1, 7), 1, 0, 0, None),
        ("tag", None, 0, 1, 0, None),
        ("team_admin", None, 0, 1, 0, None),
    ]
    found = move.query(DETAILS)
    assert [row[:3] for row in found] == [
        ("differently", "u1", ["name", "role"]),
        ("only there", "u9", []),
    ]
    assert (found[0][3]["name"], found[0][4]["name"]) == ("Umma", "Uma")
    assert found[1][4] is None


def test_what_changed_since_is_no_difference(move: Move) -> None:
    helpdesk.fill(move.desk)
    helpdesk.shape(move.desk)
    move.copy()
    move.query(
        "UPDATE intercom_old.contact_history SET name = 'x', updated_at = '2026-03-01'"
        " WHERE id = 'u1';"
        "UPDATE intercom_old.contact_history SET name = 'y' WHERE id = 'u2'"
    )
    move.query(FUNCTIONS)
    query = "SELECT key FROM pg_temp.compared('intercom_old', 'intercom_fivetran', '2026-02-01')"
    assert move.query(query) == [("u2",)]


def test_other_tools_are_compared_through_a_view(move: Move) -> None:
    helpdesk.fill(move.desk)
    helpdesk.shape(move.desk)
    move.query("CREATE SCHEMA intercom_old")
    move.query(
        "CREATE TABLE airbyte.contacts AS SELECT id, role, name, email,"
        " admin_id::bigint AS owner_id,"
        " extract(epoch FROM created_at)::bigint AS created_at,"
        " extract(epoch FROM updated_at)::bigint AS updated_at, '[]'::jsonb AS tags"
        " FROM intercom_fivetran.contact_history WHERE _fivetran_active;"
        "UPDATE airbyte.contacts SET owner_id = 2 WHERE id = 'u1';"
        "DELETE FROM airbyte.contacts WHERE id = 'l1'"
    )
    move.query(FUNCTIONS)
    move.query(AIRBYTE)
    assert move.query(OF_AIRBYTE) == [
        ("differently", "u1", ["admin_id"]),
        ("only here", "l1", []),
    ]


def test_two_histories_become_one(move: Move) -> None:
    desk, moment = move.desk, wall(2026, 6, 1)
    desk.keep()
    earlier(desk)
    helpdesk.fill(desk)
    helpdesk.shape(desk)
    move.copy()
    move.query(
        "INSERT INTO intercom_old.contact_history (id, name, _fivetran_active, _fivetran_start,"
        " _fivetran_end) VALUES ('u1', 'Eldest', false, '2020-01-01', '2025-12-31 23:59:59.999'),"
        " ('u7', 'Long gone', false, '2019-01-01', '2021-01-01');"
        "INSERT INTO intercom_old.conversation_part_history (id, conversation_id, part_type)"
        " VALUES ('first', 'c1', 'comment'), ('other', 'c3', 'comment')"
    )
    desk.write(  # after both ran
        "contacts",
        {"id": "u1", "role": "user", "name": "Newest", "updated_at": 1_785_000_000},
        read=20_000_000,
    )
    desk.execute("UPDATE conversations SET parts_truncated = true WHERE id = 'c1'")
    move.query(UNITE)
    move.query(UNITED)
    move.query("SET timezone = 'America/New_York'")
    query = (
        "SELECT name, _fivetran_active, _fivetran_start, _fivetran_end"
        " FROM intercom_whole.contact_history WHERE id = '{}' ORDER BY 3"
    )
    changed = datetime.fromtimestamp(1_785_000_000, UTC).replace(tzinfo=None)
    ms = timedelta(milliseconds=1)
    assert move.query(query.format("u1")) == [
        ("Eldest", False, wall(2020, 1, 1), wall(2025, 12, 31, 23, 59, 59, 999_000)),
        ("Old", False, naive(10), naive(20) - ms),
        ("Uma", False, naive(20), moment - ms),
        ("Uma", False, moment, changed - ms),
        ("Newest", True, changed, wall(9999, 12, 31, 23, 59, 59, 999_000)),
    ]
    assert move.query(query.format("u7")) == [
        ("Long gone", False, wall(2019, 1, 1), wall(2021, 1, 1))
    ]
    parts = "SELECT id FROM intercom_whole.conversation_part_history WHERE part_type = 'comment'"
    assert sorted(move.query(parts)) == [("first",), ("p2",), ("p3",), ("q1",), ("q3",)]
    for view, key in KEYS.items():
        several = f"SELECT {key} FROM intercom_whole.{view} WHERE _fivetran_active GROUP BY {key}"
        assert move.query(f"{several} HAVING count(*) > 1") == []
    for query in (package.COMPANY_PROFILES, package.ARTICLES):
        assert move.query(query.replace("{f}", "intercom_whole")) == ANSWERS[query]
    admins = move.query(package.ADMINS.replace("{f}", "intercom_whole"))
    assert [row[7] for row in admins] == [None, Decimal("6.00"), Decimal("6.00")]  # (7 + 5) / 2
