"""The views for analysts: living rows only, and columns that are only ever appended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.resources import RESOURCES, TABLES
from connector.warehouse.views import refresh_views
from tests.warehouse import BY_TABLE, Warehouse, at, opened


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as warehouse:
        yield warehouse


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    return shared


def columns(warehouse: Warehouse, name: str) -> list[str]:
    found = warehouse.query(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        warehouse.schema,
        name,
    )
    return [row["column_name"] for row in found]


def test_every_resource_table_has_a_view_with_all_its_columns(warehouse):
    for table in TABLES:
        assert columns(warehouse, f"{table.name}_live")[: len(columns(warehouse, table.name))] == (
            columns(warehouse, table.name)
        )


def test_a_live_view_holds_neither_deleted_rows_nor_placeholders(warehouse):
    links = {"data": [{"id": "stand-in"}]}
    warehouse.write("contacts", {"id": "alive", "tags": links}, {"id": "dead"})
    warehouse.write("tags", {"id": "real"})
    with warehouse.database.transaction() as conn:
        warehouse.loader.mark_deleted(conn, BY_TABLE["contacts"], {"dead": at(1)}, 1)
    assert set(warehouse.rows("contacts_live")) == {"alive"}
    assert set(warehouse.rows("tags_live")) == {"real"}


def test_users_and_leads_are_the_living_contacts_of_their_role(warehouse):
    warehouse.write(
        "contacts",
        {"id": "u", "role": "user"},
        {"id": "l", "role": "lead"},
        {"id": "v", "role": "visitor"},
        {"id": "dead", "role": "user"},
    )
    with warehouse.database.transaction() as conn:
        warehouse.loader.mark_deleted(conn, BY_TABLE["contacts"], {"dead": at(1)}, 1)
    assert set(warehouse.rows("users")) == {"u"}
    assert set(warehouse.rows("leads")) == {"l"}
    assert {resource.name for resource in RESOURCES if resource.owns} == {"users", "leads"}


def test_refreshing_keeps_the_order_appends_what_is_new_and_breaks_no_view_on_top(database_url):
    with opened(database_url) as own:
        before = columns(own, "contacts_live")
        own.execute("CREATE VIEW mine AS SELECT id, email FROM contacts_live")
        own.execute("DROP VIEW users")
        own.execute("DROP VIEW tags_live")
        own.execute("CREATE VIEW tags_live AS SELECT name, id FROM tags")
        with own.database.transaction() as conn:
            refresh_views(conn, own.schema)
        assert columns(own, "contacts_live") == before
        assert columns(own, "tags_live")[:2] == ["name", "id"]
        assert set(columns(own, "tags_live")) == set(columns(own, "tags"))
        assert set(columns(own, "users")) == set(columns(own, "contacts"))
        assert own.query("SELECT * FROM mine") == []


def test_refreshing_twice_changes_nothing(warehouse):
    definitions = "SELECT viewname, definition FROM pg_views WHERE schemaname = %s ORDER BY 1"
    before = warehouse.query(definitions, warehouse.schema)
    with warehouse.database.transaction() as conn:
        refresh_views(conn, warehouse.schema)
    assert warehouse.query(definitions, warehouse.schema) == before
