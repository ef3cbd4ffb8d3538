"""Custom attributes as typed columns of the live views: right, appended, and never swapped."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.commands import views as command
from connector.errors import ViewsInUseError
from connector.simulator import Workspace
from connector.warehouse.migrate import migrate
from connector.warehouse.sql import locks
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.views import custom_columns
from connector.warehouse.views.casts import sql_type
from connector.warehouse.views.custom_columns import LONGEST, Attribute, CustomColumn, choose, fold
from tests.support.harness import NOW, Harness
from tests.support.records import attribute, list_attributes
from tests.support.warehouse import Warehouse, opened

pytestmark = pytest.mark.in_turn(2)

CONTACTS = ("contacts_live", "users", "leads")


@pytest.fixture
def warehouse(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as own:
        yield own


def columns(place: Warehouse | Harness, view: str) -> list[str]:
    found = place.query(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
        " ORDER BY attnum",
        f'"{place.schema}"."{view}"',
    )
    return [row["attname"] for row in found]


def custom(place: Warehouse | Harness, view: str = "contacts_live") -> list[str]:
    names = columns(place, view)
    return [n for n in names if n.startswith("custom_") and n != "custom_attributes"]


def types(warehouse: Warehouse, view: str) -> dict[str, str]:
    found = warehouse.query(
        "SELECT attname, format_type(atttypid, atttypmod) AS type FROM pg_attribute"
        " WHERE attrelid = %s::regclass AND attnum > 0",
        view,
    )
    return {row["attname"]: row["type"] for row in found}


def set_raw(warehouse: Warehouse, key: str, value: str) -> None:
    """A contact with one custom attribute, whose JSON text is given."""
    text = "{" + json.dumps(key) + ": " + value + "}"
    warehouse.query(
        "INSERT INTO contacts (id, role, custom_attributes) VALUES ('c', 'user', %s::jsonb)"
        " ON CONFLICT (id) DO UPDATE SET custom_attributes = excluded.custom_attributes"
        " RETURNING id",
        text,
    )


# -- values ----------------------------------------------------------------------------------

EPOCH_DAY = datetime(2026, 1, 31, tzinfo=UTC)
VALUES = [
    ("string", '"pro"', "pro"),
    ("string", '""', ""),
    ("string", "7", "7"),
    ("string", "true", "true"),
    ("string", '{"a": 1}', None),
    ("string", "[1]", None),
    ("string", "null", None),
    ("integer", "42", 42),
    ("integer", "-1", -1),
    ("integer", "42.0", 42),
    ("integer", "9223372036854775807", 2**63 - 1),
    ("integer", "-9223372036854775808", -(2**63)),
    ("integer", "9223372036854775808", None),
    ("integer", "1.5", None),
    ("integer", "1e400", None),
    ("integer", '"42"', None),
    ("integer", "true", None),
    ("integer", "{}", None),
    ("float", "1.25", Decimal("1.25")),
    ("float", "3", Decimal(3)),
    ("float", "1e400", None),
    ("float", "-1e400", None),
    ("float", '"NaN"', None),
    ("float", '"Infinity"', None),
    ("float", "false", None),
    ("boolean", "true", True),
    ("boolean", "false", False),
    ("boolean", '"true"', None),
    ("boolean", "1", None),
    ("date", "1769817600", EPOCH_DAY),
    ("date", "1769817600.5", EPOCH_DAY.replace(microsecond=500_000)),
    ("date", "1769817600123", EPOCH_DAY.replace(microsecond=123_000)),
    ("date", "0", datetime(1970, 1, 1, tzinfo=UTC)),
    ("date", "-62135596800", datetime(1, 1, 1, tzinfo=UTC)),
    ("date", "253402300799000", datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC)),
    ("date", "253402300800000", None),
    ("date", "200016000000", datetime(1976, 5, 4, tzinfo=UTC)),
    ("date", "-200016000000", datetime(1963, 8, 31, tzinfo=UTC)),
    ("date", "99999999999", datetime(5138, 11, 16, 9, 46, 39, tzinfo=UTC)),
    ("date", "100000000000", datetime(1973, 3, 3, 9, 46, 40, tzinfo=UTC)),
    ("date", "-100000000000", datetime(1966, 10, 31, 14, 13, 20, tzinfo=UTC)),
    ("date", '"200016000000"', datetime(1976, 5, 4, tzinfo=UTC)),
    ("date", '"-200016000000.0"', datetime(1963, 8, 31, tzinfo=UTC)),
    ("date", '"1769817600.5"', EPOCH_DAY.replace(microsecond=500_000)),
    ("date", '"99999999999999999999"', None),
    ("date", "-62135596800000", datetime(1, 1, 1, tzinfo=UTC)),
    ("date", "-62135596800001", None),
    ("date", "-62135596801", None),
    ("date", "-99999999999", None),
    ("date", "1e400", None),
    ("date", "true", None),
    ("date", '""', None),
    ("date", '"now"', None),
    ("date", '"infinity"', None),
    ("date", '"2026-01-31"', EPOCH_DAY),
    ("date", '"2026-01-31T00:00:00Z"', EPOCH_DAY),
    ("date", '"2026-01-31T00:00:00"', EPOCH_DAY),
    ("date", '"2026-01-31 02:00:00.000+02:00"', EPOCH_DAY),
    ("date", '"2026-01-30T16:00-0800"', EPOCH_DAY),
    ("date", '"2026-01-31T00:00:00.1234567890Z"', EPOCH_DAY.replace(microsecond=123_457)),
    ("date", '"2024-02-29"', datetime(2024, 2, 29, tzinfo=UTC)),
    ("date", '"2000-02-29"', datetime(2000, 2, 29, tzinfo=UTC)),
    ("date", '"0012-03-04"', datetime(12, 3, 4, tzinfo=UTC)),
    ("date", '"1900-02-29"', None),
    ("date", '"2026-02-29"', None),
    ("date", '"2026-04-31"', None),
    ("date", '"2026-13-01"', None),
    ("date", '"0000-01-01"', None),
    ("date", '"0000-02-29"', None),
    ("date", '"99999-01-01"', None),
    ("date", '"2026-01-31T25:00:00Z"', None),
    ("date", '"2026-01-31T10:00:00+16:00"', None),
    ("date", '"9999-12-31T23:59:59.9999999"', None),
    ("date", '"9999-12-31T23:59:59-05:00"', None),
    ("date", '"0001-01-01T00:00:00+05:00"', None),
    ("date", '"2026-01-31\\n"', None),
    ("datetime", '"2026-01-31T00:00:00Z"', EPOCH_DAY),
    ("list", '"Low"', "Low"),
    ("list", '["a", 1]', '["a", 1]'),
    ("relationship", '{"id": "1"}', '{"id": "1"}'),
]


@pytest.fixture(scope="module")
def typed(database_url: str) -> Iterator[Warehouse]:
    """Contacts with one attribute of each type, named for it."""
    with opened(database_url) as warehouse:
        kinds = dict.fromkeys(kind for kind, _, _ in VALUES)
        list_attributes(warehouse, *(attribute(kind, kind) for kind in kinds))
        yield warehouse


@pytest.mark.parametrize(("kind", "value", "expected"), VALUES)
def test_a_value_is_typed_or_null_and_never_raises(typed, kind, value, expected):
    set_raw(typed, kind, value)
    [row] = typed.query("SELECT * FROM users")
    assert row[f"custom_{kind}"] == expected
    assert isinstance(row[f"custom_{kind}"], type(expected))
    assert kind in row["custom_attributes"]


def test_an_instant_does_not_depend_on_the_session(typed):
    set_raw(typed, "date", '"2026-01-02"')
    try:
        typed.execute("SET timezone = 'Asia/Kolkata'; SET datestyle = 'ISO, DMY'")
        [row] = typed.query("SELECT custom_date FROM users")
    finally:
        typed.execute("SET timezone = 'UTC'; SET datestyle = 'ISO, MDY'")
    assert row["custom_date"] == datetime(2026, 1, 2, tzinfo=UTC)


def test_the_columns_have_the_types_of_the_attributes(typed):
    names = {"timestamptz": "timestamp with time zone"}
    for view in CONTACTS:
        held = types(typed, view)
        for kind in dict.fromkeys(kind for kind, _, _ in VALUES):
            wanted = sql_type(kind)
            assert held[f"custom_{kind}"] == names.get(wanted, wanted), (view, kind)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
DATELIKE = st.from_regex(
    r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?"
    r"(Z|[+-][0-9]{2}:?[0-9]{2})?)?\Z"
)


@given(values=st.lists(JSON | DATELIKE | st.floats(-1e13, 1e13) | st.integers(), min_size=20))
def test_no_value_makes_a_view_raise(typed, values):
    held = [json.dumps(v).replace("\\u0000", "").encode().decode() for v in values]
    kinds = dict.fromkeys(kind for kind, _, _ in VALUES)
    maps = ["{" + ", ".join(f'"{kind}": {v}' for kind in kinds) + "}" for v in held]
    maps = [text for text in maps if "\\ud" not in text]
    typed.execute("DELETE FROM contacts")
    typed.query(
        "WITH new AS (INSERT INTO contacts (id, custom_attributes)"
        " SELECT n::text, m::jsonb FROM unnest(%s::text[]) WITH ORDINALITY u (m, n) RETURNING 1)"
        " SELECT count(*) FROM new",
        maps,
    )
    assert len(typed.query("SELECT * FROM contacts_live")) == len(maps)


def test_every_custom_column_tells_what_it_is(warehouse):
    plan = attribute("plan", label="Plan's tier", description="What they pay for.")
    list_attributes(warehouse, plan)
    [row] = warehouse.query(
        "SELECT col_description('contacts_live'::regclass, a.attnum) AS live,"
        " (SELECT col_description('users'::regclass, u.attnum) FROM pg_attribute u"
        "  WHERE u.attrelid = 'users'::regclass AND u.attname = a.attname) AS users"
        " FROM pg_attribute a"
        " WHERE a.attrelid = 'contacts_live'::regclass AND a.attname = 'custom_plan'"
    )
    assert row["live"].startswith("Plan's tier: What they pay for. Custom attribute of a contact")
    assert "type string" in row["live"]
    assert "custom_attributes under 'plan'" in row["live"]
    assert row["users"] == row["live"]


def test_a_new_label_is_a_new_comment(warehouse):
    list_attributes(warehouse, attribute("plan", label="Old"))
    list_attributes(warehouse, attribute("plan", label="New"))
    comments = warehouse.query(
        "SELECT DISTINCT split_part(d.description, '.', 1) AS label FROM pg_attribute a"
        " JOIN pg_description d ON d.objoid = a.attrelid AND d.objsubid = a.attnum"
        " WHERE a.attname = 'custom_plan' AND a.attrelid = ANY(%s::regclass[])",
        list(CONTACTS),
    )
    assert comments == [{"label": "New"}]
    assert custom(warehouse) == ["custom_plan"]


def test_who_may_only_read_the_view_can_use_it(warehouse, database_url):
    list_attributes(warehouse, attribute("since", "date"), attribute("seats", "integer"))
    set_raw(warehouse, "since", '"not a date"')
    role = f"reader_{os.getpid()}"
    warehouse.execute(f"CREATE ROLE {role}")
    try:
        warehouse.execute(f'GRANT USAGE ON SCHEMA "{warehouse.schema}" TO {role}')
        warehouse.execute(f"GRANT SELECT ON contacts_live TO {role}")
        warehouse.execute(f"SET ROLE {role}")
        [row] = warehouse.query("SELECT * FROM contacts_live")
        assert row["custom_since"] is None
    finally:
        warehouse.execute(f"RESET ROLE; DROP OWNED BY {role}; DROP ROLE {role}")


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "folded"),
    [
        ("plan_tier", "plan_tier"),
        ("Favourite colour ✨", "favourite_colour"),
        ("Größe (m²)", "grosse_m2"),
        ("émigré", "emigre"),
        ("__a--b__", "a_b"),
        ("Город", ""),
        ("✨", ""),
        ("", ""),
    ],
)
def test_names_are_folded(name, folded):
    assert fold(name) == folded


@given(name=st.text(), again=st.text(max_size=3), data_type=st.text(max_size=30))
def test_every_name_becomes_a_plain_identifier_of_its_own(name, again, data_type):
    taken: set[str] = {"custom_attributes"}
    own: list[CustomColumn] = []
    for kind in ("string", data_type, "date"):
        one = Attribute(name, name, kind, "", True, None)
        chosen = choose(one, own, taken)
        assert chosen == choose(one, own, taken)
        assert chosen not in taken
        assert chosen.isascii()
        assert chosen.isidentifier()
        assert chosen == chosen.lower()
        assert chosen.startswith("custom_")
        assert len(chosen.encode()) <= LONGEST
        taken.add(chosen)
        own.append(CustomColumn(name, kind, name, chosen, None))
        other = choose(Attribute(again, again, "string", "", True, None), [], taken)
        assert other not in taken


def test_names_are_never_swapped(warehouse):
    list_attributes(warehouse, attribute("Plan", created_at=2_000))
    list_attributes(warehouse, attribute("plan", created_at=1_000))
    named = "SELECT name, column_name FROM custom_columns ORDER BY column_name"
    before = warehouse.query(named)
    assert [tuple(row.values()) for row in before] == [
        ("Plan", "custom_plan"),
        ("plan", "custom_plan_2"),
    ]
    list_attributes(warehouse, attribute("Plan", archived=True))
    list_attributes(warehouse, attribute("PLAN"))
    assert warehouse.query(named) == [*before, {"name": "PLAN", "column_name": "custom_plan_3"}]
    warehouse.write(
        "contacts", {"id": "c", "custom_attributes": {"Plan": "1", "plan": "2", "PLAN": "3"}}
    )
    row = warehouse.one("contacts_live", "c")
    assert [row[name] for name in custom(warehouse)] == ["1", "2", "3"]


def test_attributes_of_companies_and_conversations_have_columns_too(warehouse):
    company = attribute("arr", "float", model="company")
    severity = {"model": "conversation", "full_name": "Severity", "name": "Severity", "id": 3}
    list_attributes(warehouse, company, {**severity, "data_type": "list", "archived": False})
    warehouse.write("companies", {"id": "c", "custom_attributes": {"arr": 1.5}})
    warehouse.write("conversations", {"id": "c", "custom_attributes": {"Severity": "Low"}})
    assert warehouse.one("companies_live", "c")["custom_arr"] == Decimal("1.5")
    assert warehouse.one("conversations_live", "c")["custom_severity"] == "Low"
    assert custom(warehouse) == []


def test_attributes_of_intercoms_own_have_none(warehouse):
    own = {"model": "contact", "full_name": "email", "name": "email", "custom": False}
    list_attributes(warehouse, {**own, "data_type": "string"})
    assert custom(warehouse) == []


# -- what changes ----------------------------------------------------------------------------


def test_columns_are_appended_and_a_view_on_top_goes_on_working(warehouse):
    list_attributes(warehouse, attribute("b"))
    warehouse.execute("CREATE VIEW mine AS SELECT id, custom_b FROM users")
    before = columns(warehouse, "contacts_live")
    list_attributes(warehouse, attribute("a"), attribute("c"))
    for view in CONTACTS:
        assert columns(warehouse, view) == [*before, "custom_a", "custom_c"]
    warehouse.write("contacts", {"id": "c", "role": "user", "custom_attributes": {"b": "x"}})
    assert warehouse.query("SELECT * FROM mine") == [{"id": "c", "custom_b": "x"}]


def test_an_archived_attribute_keeps_its_column(warehouse):
    archived = "SELECT archived_at IS NOT NULL AS archived FROM custom_columns"
    list_attributes(warehouse, attribute("a"))
    for state in (True, False):
        list_attributes(warehouse, attribute("a", archived=state))
        assert warehouse.query(archived) == [{"archived": state}]
        assert custom(warehouse) == ["custom_a"]
    list_attributes(warehouse, attribute("never seen alive", archived=True))
    assert custom(warehouse) == ["custom_a"]


@pytest.mark.parametrize("archived_first", [True, False])
def test_a_name_that_was_archived_and_given_again_keeps_its_column(warehouse, archived_first):
    def listed(read: int, **changes: Any) -> None:
        """A night's list: the first attribute of that name is archived, the second in use."""
        old = attribute("a", archived=True, created_at=1_000, updated_at=9_000) | {"id": 1}
        new = attribute("a", created_at=2_000, updated_at=2_000) | {"id": 2} | changes
        records = (old, new) if archived_first else (new, old)
        warehouse.write("data_attributes", *records, read=read)
        assert command.grow(warehouse.database) is False

    def state() -> list[Any]:
        [kept] = warehouse.query("SELECT archived_at IS NULL AS lives FROM custom_columns")
        [row] = warehouse.query("SELECT id, archived FROM data_attributes")
        return [kept["lives"], row["id"], row["archived"]]

    warehouse.write("data_attributes", attribute("a", created_at=1_000, updated_at=1_000))
    assert command.grow(warehouse.database) is False
    listed(read=100)
    assert custom(warehouse) == ["custom_a"]
    assert state() == [True, "2", False]
    before = warehouse.versions()["data_attributes"]
    listed(read=200)
    assert warehouse.versions()["data_attributes"] == before
    listed(read=300, archived=True, updated_at=10_000)
    assert state() == [False, "2", True]
    # The first one again, whose updated_at is older than that of what is stored.
    warehouse.write("data_attributes", attribute("a", created_at=1_000, updated_at=9_500), read=400)
    assert command.grow(warehouse.database) is False
    assert state() == [True, "1", False]


def test_lists_in_two_batches_let_the_attribute_in_use_count(warehouse):
    living = attribute("a", updated_at=2_000) | {"id": 2}
    archived = attribute("a", archived=True, updated_at=9_000)
    for records in ([living, archived], [archived, living]):
        for record in records:
            warehouse.write("data_attributes", record, read=100)
        assert warehouse.query("SELECT id FROM data_attributes") == [{"id": "2"}]
        warehouse.execute("DELETE FROM data_attributes")


# -- tickets ---------------------------------------------------------------------------------


def ticket_type(key: str, *attributes: tuple[str, str], **more: Any) -> dict[str, Any]:
    """A type of tickets with its attributes, as Intercom lists it."""
    listed = [
        {"id": f"{key}{n}", "name": name, "data_type": kind, "archived": False, "description": ""}
        for n, (name, kind) in enumerate(attributes)
    ]
    data = {"type": "list", "data": listed}
    return {"id": key, "name": key, "ticket_type_attributes": data, "created_at": int(key)} | more


def list_types(warehouse: Warehouse, *records: dict[str, Any]) -> None:
    warehouse.write("ticket_types", *records)
    assert command.grow(warehouse.database) is False


def test_attributes_of_tickets_have_columns_by_name_and_type(warehouse):
    list_types(
        warehouse,
        ticket_type("1", ("_default_title_", "string"), ("Cost €", "decimal"), ("Due", "datetime")),
        ticket_type("2", ("_default_title_", "string"), ("Cost €", "integer"), ("Files", "files")),
    )
    assert custom(warehouse, "tickets_live") == [
        "custom_cost",
        "custom_cost__integer",
        "custom_default_title",
        "custom_due",
        "custom_files",
    ]
    held = types(warehouse, "tickets_live")
    assert held["custom_cost"] == "numeric"
    assert held["custom_cost__integer"] == "bigint"
    assert held["custom_due"] == "timestamp with time zone"
    warehouse.write(
        "tickets",
        {
            "id": "t",
            "ticket_attributes": {
                "_default_title_": "Broken",
                "Cost €": 12.5,
                "Due": 1769817600,
                "Files": [{"name": "a.txt"}],
            },
        },
        {"id": "u", "ticket_attributes": {"Cost €": 7, "Due": "soon"}},
    )
    row, other = warehouse.one("tickets_live", "t"), warehouse.one("tickets_live", "u")
    assert row["custom_default_title"] == "Broken"
    assert (row["custom_cost"], row["custom_cost__integer"]) == (Decimal("12.5"), None)
    assert (other["custom_cost"], other["custom_cost__integer"]) == (Decimal(7), 7)
    assert (row["custom_due"], other["custom_due"]) == (EPOCH_DAY, None)
    assert json.loads(row["custom_files"]) == [{"name": "a.txt"}]
    [told] = warehouse.query(
        "SELECT col_description('tickets_live'::regclass, attnum) AS text FROM pg_attribute"
        " WHERE attrelid = 'tickets_live'::regclass AND attname = 'custom_cost'"
    )
    assert "attribute of a ticket, at Intercom of type decimal" in told["text"]
    assert "from ticket_attributes under 'Cost €'" in told["text"]


def test_attributes_of_tickets_come_and_go_as_those_of_contacts(warehouse):
    list_types(warehouse, ticket_type("1", ("A", "string")), ticket_type("2", ("A", "string")))
    before = columns(warehouse, "tickets_live")
    kind = ticket_type("1", ("A", "string"), ("B", "integer"))
    kind["ticket_type_attributes"]["data"][0]["archived"] = True
    warehouse.write("ticket_types", kind, read=1)
    assert command.grow(warehouse.database) is False
    assert columns(warehouse, "tickets_live") == [*before, "custom_b"]
    archived = "SELECT name FROM custom_columns WHERE archived_at IS NOT NULL"
    assert warehouse.query(archived) == []  # tickets of the other type still have it
    other = ticket_type("2", ("A", "string"))
    other["ticket_type_attributes"]["data"][0]["archived"] = True
    warehouse.write("ticket_types", other, read=2)
    assert command.grow(warehouse.database) is False
    assert warehouse.query(archived) == [{"name": "A"}]
    assert columns(warehouse, "tickets_live") == [*before, "custom_b"]
    assert command.run(warehouse.database, rebuild=True) == 0
    assert custom(warehouse, "tickets_live") == ["custom_b"]


@pytest.mark.parametrize("listed", [None, "x", 5, {"data": 1}, {"data": [None, 3, "x", {}, []]}])
def test_types_that_list_no_attributes_are_no_obstacle(warehouse, listed):
    list_types(warehouse, {"id": "1", "ticket_type_attributes": listed})
    assert custom(warehouse, "tickets_live") == []


def test_a_type_change_adds_a_column_and_changing_back_reuses_the_old_one(warehouse):
    warehouse.write("contacts", {"id": "c", "custom_attributes": {"x": 1769817600}})
    expected = {"custom_x": "1769817600", "custom_x__date": EPOCH_DAY, "custom_x__integer": None}
    for kind, names in [
        ("string", ["custom_x"]),
        ("date", ["custom_x", "custom_x__date"]),
        ("string", ["custom_x", "custom_x__date"]),
        ("datetime", ["custom_x", "custom_x__date"]),
        ("integer", ["custom_x", "custom_x__date", "custom_x__integer"]),
    ]:
        list_attributes(warehouse, attribute("x", kind))
        assert custom(warehouse) == names
    expected["custom_x__integer"] = 1769817600
    row = warehouse.one("contacts_live", "c")
    assert {name: row[name] for name in expected} == expected


def test_a_column_that_nothing_explains_any_more_stays_empty(warehouse):
    list_attributes(warehouse, attribute("a", "integer"))
    warehouse.execute("DELETE FROM custom_columns")
    list_attributes(warehouse, attribute("a"))
    assert custom(warehouse) == ["custom_a", "custom_a_2"]
    warehouse.write("contacts", {"id": "c", "custom_attributes": {"a": "x"}})
    row = warehouse.one("contacts_live", "c")
    assert (row["custom_a"], row["custom_a_2"]) == (None, "x")


def test_postgres_has_a_limit_and_views_stop_before_it(warehouse, monkeypatch, caplog):
    monkeypatch.setattr(custom_columns, "MOST", len(columns(warehouse, "contacts_live")) + 2)
    list_attributes(warehouse, *(attribute(f"n{n}") for n in range(5)))
    assert custom(warehouse) == ["custom_n0", "custom_n1"]
    assert "3 custom attributes have no column" in caplog.text


def test_as_many_columns_as_are_allowed_make_a_view_that_works(warehouse):
    list_attributes(warehouse, *(attribute(f"n{n}", "date") for n in range(1_600)))
    warehouse.write("contacts", {"id": "c", "role": "user", "custom_attributes": {"n0": 0}})
    assert len(columns(warehouse, "users")) == custom_columns.MOST
    assert warehouse.one("users", "c")["custom_n0"] == datetime(1970, 1, 1, tzinfo=UTC)


# -- when ------------------------------------------------------------------------------------


def catalog(harness: Harness) -> list[dict[str, Any]]:
    """The row versions of everything that DDL on the views would write."""
    return harness.query(
        "SELECT c.relname, c.xmin::text AS class, a.attname, a.xmin::text AS column,"
        " r.xmin::text AS rule, d.xmin::text AS comment"
        " FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid"
        " JOIN pg_rewrite r ON r.ev_class = c.oid"
        " LEFT JOIN pg_description d ON d.objoid = c.oid AND d.objsubid = a.attnum"
        " WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'v' ORDER BY 1, a.attnum",
        f'"{harness.schema}"',
    )


@pytest.fixture
async def synced(harness: Harness) -> Harness:
    """A small workspace, some of whose contacts carry what no column holds, synced once."""
    harness.simulate(
        Workspace.generate(5, contacts=60, companies=8, conversations=10, now=int(NOW), hostile=0.3)
    )
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    return harness


async def test_a_sync_shows_the_attributes_of_the_workspace(synced: Harness):
    assert (
        set(custom(synced, "contacts_live"))
        == set(custom(synced, "users"))
        == {
            "custom_plan_tier",
            "custom_seats",
            "custom_lifetime_value",
            "custom_is_beta",
            "custom_renewal_at",
            "custom_favourite_colour",
        }
    )
    assert "custom_issue_type" in custom(synced, "conversations_live")
    assert "custom_arr" in custom(synced, "companies_live")
    assert set(custom(synced, "tickets_live")) == {
        "custom_default_title",
        "custom_default_description",
        "custom_kosten",
        "custom_retries",
        "custom_urgent",
        "custom_due",
        "custom_area",
        "custom_files",
    }
    rows = synced.rows("contacts_live")
    shown = 0
    for contact in synced.control.truth("contacts"):
        values, row = contact["custom_attributes"], rows[contact["id"]]
        tier = values.get("plan_tier")
        assert row["custom_plan_tier"] == (tier if isinstance(tier, str) else None)
        since = values.get("renewal_at")
        if isinstance(since, int) and 0 < since < 4_000_000_000:
            assert row["custom_renewal_at"] == datetime.fromtimestamp(since, UTC)
            shown += 1
    assert shown


async def test_an_idle_run_executes_no_ddl(synced: Harness):
    before = catalog(synced)
    assert before
    synced.pass_time(86_400)
    assert (await synced.sync()).exit_code == 0
    assert catalog(synced) == before


async def test_a_run_appends_what_it_found(synced: Harness):
    before = columns(synced, "users")
    synced.control.create_data_attribute("contact", "Region", "string")
    synced.control.remove_data_attribute("contact", "seats")
    synced.control.update_data_attribute("contact", "is_beta", archived=True)
    synced.control.update_data_attribute("contact", "lifetime_value", data_type="integer")
    synced.pass_time(86_400)
    assert (await synced.sync()).exit_code == 0
    assert columns(synced, "users") == [*before, "custom_lifetime_value__integer", "custom_region"]
    archived = synced.query("SELECT column_name FROM custom_columns WHERE archived_at IS NOT NULL")
    assert {row["column_name"] for row in archived} == {"custom_seats", "custom_is_beta"}


@contextlib.contextmanager
def read_by_an_analyst(harness: Harness, view: str) -> Iterator[None]:
    """Somebody has a transaction open that has read the view."""
    with psycopg.connect(conninfo(harness.database_url)) as reader:
        reader.execute(f'SELECT count(*) FROM "{harness.schema}"."{view}"')
        yield


@pytest.mark.parametrize("read", ["contacts_live", "users"])
async def test_a_view_that_is_being_read_grows_at_the_next_run(
    synced: Harness, read: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(locks, "WAIT", 0.05)
    synced.control.create_data_attribute("contact", "Region")
    synced.control.create_data_attribute("company", "Region")
    with read_by_an_analyst(synced, read):
        assert (await synced.sync()).exit_code == 0
    assert "contacts_live lacks new columns: others are reading it" in caplog.text
    assert caplog.text.count("lacks new columns") == 1
    assert "custom_region" not in custom(synced, "users")
    assert "custom_region" in custom(synced, "companies_live")
    assert (await synced.sync()).exit_code == 0
    for view in CONTACTS:
        assert "custom_region" in custom(synced, view)


async def test_a_role_without_ddl_syncs_and_migrate_appends(
    synced: Harness, caplog: pytest.LogCaptureFixture
):
    role = f"sync_{os.getpid()}"
    synced.query(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        for grant in (
            f'USAGE ON SCHEMA "{synced.schema}"',
            f'SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{synced.schema}"',
        ):
            synced.query(f"GRANT {grant} TO {role}")
        synced.control.create_data_attribute("contact", "Region")
        owner, synced.database_url = (
            synced.database_url,
            psycopg.conninfo.make_conninfo(
                conninfo(synced.database_url), user=role, password="secret"
            ),
        )
        assert (await synced.sync()).exit_code == 0
        synced.database_url = owner
        assert caplog.text.count("lacks new columns") == 1
        assert "run 'intercom-warehouse migrate'" in caplog.text
        assert "custom_region" not in custom(synced)
        assert synced.query("SELECT FROM custom_columns WHERE name = 'Region'") == []
        with opened_at(synced) as database:
            assert migrate(database) is False
            assert command.grow(database) is False
        assert "custom_region" in custom(synced, "users")
    finally:
        synced.query(f"DROP OWNED BY {role}")
        synced.query(f"DROP ROLE {role}")


@contextlib.contextmanager
def opened_at(harness: Harness) -> Iterator[Any]:
    from connector.warehouse.sql.database import Database

    database = Database(harness.database_url, harness.schema)
    try:
        yield database
    finally:
        database.close()


# -- making them anew ------------------------------------------------------------------------


def test_a_rebuild_shows_living_attributes_in_their_order(warehouse):
    list_attributes(warehouse, attribute("b"), attribute("z", "integer"))
    list_attributes(warehouse, attribute("a"), attribute("b", archived=True), attribute("z"))
    assert custom(warehouse) == ["custom_b", "custom_z", "custom_a", "custom_z__string"]
    warehouse.execute("GRANT SELECT ON users TO PUBLIC")
    natural = columns(warehouse, "contacts")
    assert command.run(warehouse.database, rebuild=True) == 0
    for view in CONTACTS:
        assert columns(warehouse, view) == [*natural, "custom_a", "custom_z__string"]
    named = warehouse.query("SELECT column_name FROM custom_columns ORDER BY 1")
    assert [row["column_name"] for row in named] == ["custom_a", "custom_z__string"]
    assert warehouse.query("SELECT has_table_privilege('public', 'users', 'SELECT') AS may") == [
        {"may": True}
    ]
    assert command.run(warehouse.database, rebuild=False) == 0
    assert custom(warehouse) == ["custom_a", "custom_z__string"]


def test_a_rebuild_refuses_while_other_views_hang_on_ours(warehouse):
    list_attributes(warehouse, attribute("a"))
    list_attributes(warehouse, attribute("a", archived=True))
    warehouse.execute("CREATE VIEW mine AS SELECT id FROM users")
    warehouse.execute("CREATE MATERIALIZED VIEW kept AS SELECT id FROM contacts_live")
    with pytest.raises(ViewsInUseError, match=r"mine.*kept|kept.*mine") as caught:
        command.run(warehouse.database, rebuild=True)
    assert caught.value.exit_code == 1
    assert custom(warehouse) == ["custom_a"]
    assert warehouse.query("SELECT * FROM mine") == []
    assert len(warehouse.query("SELECT * FROM custom_columns")) == 1


def test_a_rebuild_does_not_wait_for_readers(warehouse, database_url, monkeypatch):
    monkeypatch.setattr(locks, "WAIT", 0.05)
    list_attributes(warehouse, attribute("a"))
    list_attributes(warehouse, attribute("a", archived=True))
    with psycopg.connect(conninfo(database_url)) as reader:
        reader.execute(f'SELECT count(*) FROM "{warehouse.schema}".leads')
        with pytest.raises(ViewsInUseError, match="others are reading"):
            command.run(warehouse.database, rebuild=True)
    assert command.run(warehouse.database, rebuild=True) == 0


def test_a_name_that_is_no_view_of_ours_is_told(warehouse, capsys):
    warehouse.execute("DROP VIEW leads; CREATE TABLE leads (id text)")
    assert command.run(warehouse.database, rebuild=False) == 1
    assert "leads was left as it is" in capsys.readouterr().err
