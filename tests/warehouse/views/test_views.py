"""The views for analysts: living rows only, and columns that are only ever appended."""

from __future__ import annotations

from typing import Any

from connector.resources import RESOURCES, TABLES
from connector.warehouse.views.live import refresh_views
from tests.support.warehouse import BY_TABLE, Warehouse, at, opened


def columns(warehouse: Warehouse, name: str) -> list[str]:
    found = warehouse.query(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = %s AND table_name = %s ORDER BY ordinal_position",
        warehouse.schema,
        name,
    )
    return [row["column_name"] for row in found]


def test_every_resource_and_child_table_has_a_view_with_all_its_columns(warehouse):
    tables = [member for table in TABLES for member in table.family()]
    assert {"conversation_parts", "ticket_parts", "contact_notes"} < {t.name for t in tables}
    for table in tables:
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


def test_the_live_views_of_children_hold_neither_deleted_ones_nor_those_of_deleted_parents(
    warehouse,
):
    def parts(*keys: str) -> dict[str, Any]:
        listed = [{"id": key, "attachments": [{"name": "a"}]} for key in keys]
        return {"conversation_parts": listed}

    warehouse.write(
        "conversations",
        {"id": "c", "conversation_parts": parts("kept", "omitted")},
        {"id": "dead", "conversation_parts": parts("buried")},
        by_id=True,
    )
    warehouse.write(
        "conversations", {"id": "c", "conversation_parts": parts("kept")}, read=1, by_id=True
    )
    warehouse.write(
        "tickets",
        {"id": "t", "ticket_parts": {"ticket_parts": [{"id": "p"}]}},
        {"id": "dead", "ticket_parts": {"ticket_parts": [{"id": "q"}]}},
    )
    warehouse.write("contacts", {"id": "x", "role": "user"}, {"id": "dead", "role": "user"})
    for key in ("x", "dead"):
        warehouse.execute(f"INSERT INTO contact_notes (id, contact_id) VALUES ('n-{key}', '{key}')")
    with warehouse.database.transaction() as conn:
        for name in ("conversations", "tickets", "contacts"):
            warehouse.loader.mark_deleted(conn, BY_TABLE[name], {"dead": at(2)}, 1)
    assert set(warehouse.rows("conversation_parts")) == {"kept", "omitted", "buried"}
    assert set(warehouse.rows("conversation_parts_live")) == {"kept"}
    assert set(warehouse.rows("ticket_parts_live")) == {"p"}
    assert set(warehouse.rows("contact_notes_live")) == {"n-x"}
    attached = warehouse.query("SELECT part_id FROM conversation_part_attachments_live")
    assert attached == [{"part_id": "kept"}]


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
    assert {resource.name for resource in RESOURCES if resource.discriminator} == {"users", "leads"}


def test_refreshing_keeps_the_order_appends_what_is_new_and_breaks_no_view_on_top(database_url):
    with opened(database_url) as own:
        before = columns(own, "contacts_live")
        own.execute("CREATE VIEW mine AS SELECT id, email FROM contacts_live")
        own.execute("DROP VIEW users")
        with own.database.transaction() as conn:
            refresh_views(conn, own.schema)
        assert columns(own, "contacts_live") == before
        assert set(columns(own, "users")) == set(columns(own, "contacts"))
        assert own.query("SELECT * FROM mine") == []


def test_refreshing_twice_changes_nothing(warehouse):
    definitions = "SELECT viewname, definition FROM pg_views WHERE schemaname = %s ORDER BY 1"
    before = warehouse.query(definitions, warehouse.schema)
    with warehouse.database.transaction() as conn:
        refresh_views(conn, warehouse.schema)
    assert warehouse.query(definitions, warehouse.schema) == before
