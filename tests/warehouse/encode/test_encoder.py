"""Records to COPY text: where each value goes, and what becomes of values that fit nowhere."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.jsontext import decode, split
from connector.resources.resource import Child, Kind, Link, Table
from connector.warehouse.encode.encoder import encode
from tests.support.records import JSON_VALUES
from tests.support.warehouse import BY_TABLE, T0, at, unix


def wrapped(*elements: Any, key: str = "data", **more: Any) -> dict[str, Any]:
    """A list as Intercom embeds it."""
    return {"type": "list", key: list(elements), "has_more": False} | more


def warned(table: str, *records: dict[str, Any]) -> dict[str, int]:
    return dict(encode(BY_TABLE[table], records, [T0] * len(records)).warnings)


# -- columns ---------------------------------------------------------------------------------


def test_each_kind_of_column_gets_its_value(warehouse):
    warehouse.write(
        "companies",
        {
            "id": "c1",
            "company_id": 42,
            "name": "",
            "created_at": 1734537334,
            "remote_created_at": "2024-12-18T15:55:34Z",
            "size": 7,
            "monthly_spend": 12.5,
            "plan": {"type": "plan", "id": 3, "name": "Pro"},
            "custom_attributes": {"a": [1, None]},
        },
    )
    row = warehouse.one("companies", "c1")
    moment = datetime(2024, 12, 18, 15, 55, 34, tzinfo=UTC)
    assert (row["company_id"], row["name"], row["website"]) == ("42", "", None)
    assert (row["created_at"], row["remote_created_at"]) == (moment, moment)
    assert (row["size"], float(row["monthly_spend"])) == (7, 12.5)
    assert (row["plan_id"], row["plan_name"]) == ("3", "Pro")
    assert row["custom_attributes"] == {"a": [1, None]}
    assert row["extra"] is None
    assert (row["_read_at"], row["_run_id"], row["_placeholder"]) == (T0, 1, False)


@pytest.mark.parametrize("nobody", [0, "0", None])
def test_an_assignee_or_owner_of_zero_is_null(warehouse, nobody):
    warehouse.write("contacts", {"id": "1", "owner_id": nobody})
    warehouse.write(
        "conversations",
        {"id": "1", "admin_assignee_id": nobody, "team_assignee_id": nobody},
    )
    row = warehouse.one("conversations", "1")
    assert warehouse.one("contacts", "1")["owner_id"] is None
    assert (row["admin_assignee_id"], row["team_assignee_id"]) == (None, None)
    assert warehouse.rows("admins") == warehouse.rows("teams") == {}
    assert row["extra"] is None


def test_a_reference_to_an_empty_id_refers_to_nothing_and_is_kept(warehouse):
    warehouse.write("contacts", {"id": "1", "owner_id": ""})
    assert warehouse.one("contacts", "1")["owner_id"] is None
    assert warehouse.one("contacts", "1")["extra"] == {"owner_id": ""}
    assert warehouse.rows("admins") == {}


SPOILT: list[tuple[str, Any, Any, Any]] = [
    ("created_at", 253402300800000, None, 253402300800000),
    ("created_at", -62135596801, None, -62135596801),
    ("name", "a\0b", "ab", "a\\u0000b"),
    ("name", "\ud83d!", "!", "\\ud83d!"),
    ("name", {"first": "A"}, None, {"first": "A"}),
    ("name", ["A"], None, ["A"]),
    ("name", 7, None, 7),
    ("has_hard_bounced", "true", None, "true"),
    ("has_hard_bounced", 1, None, 1),
    ("custom_attributes", ["x"], None, ["x"]),
    ("custom_attributes", "x", None, "x"),
    ("owner_id", {"id": "1"}, None, {"id": "1"}),
    ("email", math.nan, None, "nan"),
    ("created_at", "9999-12-31T23:59:59-01:00", None, "9999-12-31T23:59:59-01:00"),
    ("created_at", True, None, True),
    ("browser", True, None, True),
    ("role", {}, None, {}),
    ("role", [], None, []),
]


@pytest.mark.parametrize(("key", "value", "column", "kept"), SPOILT)
def test_a_value_that_does_not_fit_is_kept_under_its_own_name_and_counted(
    warehouse, key, value, column, kept
):
    record = {"id": "1", "phone": "fine", key: value}
    warehouse.write("contacts", record)
    row = warehouse.one("contacts", "1")
    assert row[key] == column
    assert row["extra"] == {key: kept}
    assert row["phone"] == "fine"
    assert warned("contacts", record) == {f"contacts.{key}: value does not fit": 1}


@pytest.mark.parametrize("value", [2**63, 1.5, "12", math.inf])
def test_a_count_that_does_not_fit_is_kept(warehouse, value):
    warehouse.write("companies", {"id": "1", "size": value})
    row = warehouse.one("companies", "1")
    assert row["size"] is None
    assert row["extra"] == {"size": "inf" if value == math.inf else value}


def test_a_nested_value_that_does_not_fit_is_kept_at_its_path(warehouse):
    warehouse.write("contacts", {"id": "1", "location": {"city": "A\0", "country": "B"}})
    row = warehouse.one("contacts", "1")
    assert (row["location_city"], row["location_country"]) == ("A", "B")
    assert row["extra"] == {"location": {"city": "A\\u0000"}}


def test_inside_a_map_only_the_entry_that_does_not_fit_is_cleaned_and_named(warehouse):
    attributes = {"good": 1, "nul": "a\0", "deep": {"x": ["\ud800"]}, "odd\0key": 2, "n": math.nan}
    record = {"id": "1", "custom_attributes": attributes}
    warehouse.write("contacts", record)
    row = warehouse.one("contacts", "1")
    assert row["custom_attributes"] == {
        "good": 1,
        "nul": "a",
        "deep": {"x": [""]},
        "oddkey": 2,
        "n": None,
    }
    assert row["extra"] == {
        "custom_attributes": {
            "nul": "a\\u0000",
            "deep": {"x": ["\\ud800"]},
            "odd\\u0000key": 2,
            "n": "nan",
        }
    }
    assert warned("contacts", record) == {"contacts.custom_attributes: value does not fit": 4}


def test_numbers_that_no_double_holds_are_kept_as_they_were_sent(warehouse):
    text = b"""{"id": "1", "monthly_spend": 1e400, "size": -1e999, "created_at": 1e400,
        "custom_attributes": {"good": 1.5, "huge": 1e400, "deep": [1e400]}, "later": 1e400}"""
    warehouse.write("companies", decode(text))
    [again] = split(b'{"data": [' + text + b"]}", ("data",), ())[1] or []
    warehouse.write("companies", decode(again) | {"id": "2"})
    kept = {
        "monthly_spend": "1e400",
        "size": "-1e999",
        "created_at": "1e400",
        "custom_attributes": {"huge": "1e400", "deep": ["1e400"]},
        "later": "1e400",
    }
    for row in warehouse.rows("companies").values():
        assert (row["monthly_spend"], row["size"], row["created_at"]) == (None, None, None)
        assert row["custom_attributes"] == {"good": 1.5, "huge": None, "deep": [None]}
        assert row["extra"] == kept
    assert sum(warned("companies", decode(text)).values()) == 5


def test_a_number_past_64_bits_is_no_misfit_in_a_map(warehouse):
    warehouse.write("contacts", {"id": "1", "custom_attributes": {"n": 2**70}})
    row = warehouse.one("contacts", "1")
    assert (row["custom_attributes"], row["extra"]) == ({"n": 2**70}, None)


def test_a_warning_names_only_what_is_declared(warehouse):
    record = {
        "id": "1",
        "custom_attributes": {"the customer's secret": "\0"},
        "tags": wrapped({"id": "9", "applied_at": "never"}, {"id": None}),
    }
    assert set(warned("contacts", record)) == {
        "contacts.custom_attributes: value does not fit",
        "contacts.tags.data: value does not fit",
    }


# -- addresses -------------------------------------------------------------------------------


def test_the_query_of_an_avatar_is_not_compared_even_unsigned(warehouse):
    def write(query: str) -> None:
        avatar = {"type": "avatar", "image_url": f"https://a.example/me{query}"}
        warehouse.write("contacts", {"id": "1", "avatar": avatar}, read=len(query))

    write("?v=1")
    before = warehouse.versions()
    write("?v=22")
    assert warehouse.versions() == before
    assert warehouse.one("contacts", "1")["avatar_image_url"].startswith("https://a.example/me")


# -- what is absent --------------------------------------------------------------------------


def test_an_absent_key_leaves_what_is_stored_and_null_clears_it(warehouse):
    warehouse.write("contacts", {"id": "1", "name": "A", "phone": "5", "location": {"city": "X"}})
    warehouse.write("contacts", {"id": "1", "phone": None}, read=1)
    row = warehouse.one("contacts", "1")
    assert (row["name"], row["phone"], row["location_city"]) == ("A", None, "X")
    warehouse.write("contacts", {"id": "1", "location": None}, read=2)
    assert warehouse.one("contacts", "1")["location_city"] is None


def test_absence_counts_record_by_record(warehouse):
    warehouse.write("contacts", {"id": "1", "name": "A"}, {"id": "2", "name": "B", "phone": "6"})
    warehouse.write("contacts", {"id": "1", "phone": "5"}, {"id": "2", "name": "C"}, read=1)
    one, two = warehouse.one("contacts", "1"), warehouse.one("contacts", "2")
    assert (one["name"], one["phone"]) == ("A", "5")
    assert (two["name"], two["phone"]) == ("C", "6")


def test_a_company_that_omits_a_key_has_it_unset(warehouse):
    full = {"id": "1", "name": "A", "size": 5, "plan": {"id": "1", "name": "P"}, "odd": 1}
    warehouse.write("companies", full)
    warehouse.write("companies", {"id": "1", "name": "A", "plan": {}}, read=1)
    row = warehouse.one("companies", "1")
    assert (row["size"], row["plan_id"], row["plan_name"], row["extra"]) == (None,) * 4


def test_a_company_that_omits_its_tags_keeps_them(warehouse):
    warehouse.write("companies", {"id": "1", "tags": wrapped({"id": "t"}, key="tags")})
    warehouse.write("companies", {"id": "1"}, read=1)
    assert warehouse.links("company_tags") == {("1", "t")}


# -- extra -----------------------------------------------------------------------------------


def test_what_nobody_declared_is_kept_and_wrappers_are_not(warehouse):
    record = {
        "type": "contact",
        "id": "1",
        "brand_new": {"type": "kind", "a": [1, None, {"b": ""}]},
        "nothing": None,
        "location": {"type": "location", "city": "X", "planet": "Earth"},
        "opted_out": wrapped({"type": "sub", "id": "7", "url": "/s/7"}, url="/x", total_count=1),
        "tags": wrapped({"id": "t", "type": "tag", "url": "/t"}, url="/y", total_count=1, seen=3),
    }
    warehouse.write("contacts", record)
    assert warehouse.one("contacts", "1")["extra"] == {
        "brand_new": {"type": "kind", "a": [1, None, {"b": ""}]},
        "nothing": None,
        "location": {"planet": "Earth"},
        "opted_out": {"data": [{"type": "sub", "id": "7"}]},
        "tags": {"seen": 3},
    }


def test_what_a_reference_says_beyond_its_objects_own_row_is_kept(warehouse):
    record = {
        "id": "1",
        "contacts": wrapped({"id": "c", "external_id": "x", "part_in_it": "cc"}, key="contacts"),
        "company": {"id": "k", "name": "copied", "plan": {"id": "p"}, "standing": "new"},
    }
    warehouse.write("conversations", record)
    assert warehouse.one("conversations", "1")["extra"] == {
        "contacts": {"contacts": {"c": {"part_in_it": "cc"}}},
        "company": {"standing": "new"},
    }


def test_elements_of_complete_lists_are_objects_of_their_own_and_no_data(warehouse):
    record = {"id": "1", "companies": wrapped({"id": "a"}, has_more=True)}
    elements = [{"id": "a", "whatever": 1}, {"id": "b", "name": "B", "whatever": 2}]
    warehouse.write("contacts", record, complete_lists={(0, "contact_companies"): elements})
    assert warehouse.links("contact_companies") == {("1", "a"), ("1", "b")}
    assert warehouse.one("contacts", "1")["extra"] is None


def test_kinds_of_authors_are_data(warehouse):
    part = {"id": "p", "author": {"type": "bot", "id": "9", "name": "Fin", "mood": "good"}}
    warehouse.write(
        "conversations",
        {"id": "1", "conversation_parts": wrapped(part, key="conversation_parts")},
    )
    row = warehouse.one("conversation_parts", "p")
    assert (row["author_type"], row["author_id"], row["author_name"]) == ("bot", "9", "Fin")
    assert row["extra"] == {"author": {"mood": "good"}}


# -- hostile shapes --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["text", 5, True, ["list"], [None]])
def test_something_else_in_an_objects_place_is_kept_and_nulls_its_columns(warehouse, shape):
    warehouse.write("contacts", {"id": "1", "location": {"city": "X"}})
    warehouse.write("contacts", {"id": "1", "location": shape}, read=1)
    row = warehouse.one("contacts", "1")
    assert row["location_city"] is None
    assert row["extra"] == {"location": shape}


@pytest.mark.parametrize("shape", ["text", 5, {"a": 1}, True])
def test_something_else_in_a_lists_place_is_kept_and_clears_no_link(warehouse, shape):
    linked = {"id": "1", "teammates": wrapped({"id": "a"}, key="admins")}
    warehouse.write("conversations", linked)
    warehouse.write("conversations", {"id": "1", "teammates": {"admins": shape}}, read=1)
    warehouse.write("conversations", {"id": "2", "teammates": shape}, read=1)
    assert warehouse.links("conversation_teammates") == {("1", "a")}
    assert warehouse.one("conversations", "1")["extra"] == {"teammates": {"admins": shape}}
    if shape != {"a": 1}:
        assert warehouse.one("conversations", "2")["extra"] == {"teammates": shape}


def test_a_wrapper_of_another_shape_says_nothing_of_its_list(warehouse):
    linked = {"id": "1", "teammates": wrapped({"id": "a"}, key="admins")}
    warehouse.write("conversations", linked)
    warehouse.write("conversations", {"id": "1", "teammates": "many"}, read=1)
    assert warehouse.links("conversation_teammates") == {("1", "a")}
    warehouse.write("conversations", {"id": "1", "teammates": None}, read=2)
    assert warehouse.links("conversation_teammates") == set()  # null: nobody took part


@pytest.mark.parametrize("element", ["text", None, 5, [], {}, {"id": None}, {"id": ""}, {"id": []}])
def test_an_element_that_names_nothing_is_kept_and_ends_no_other_link(warehouse, element):
    warehouse.write("contacts", {"id": "1", "tags": wrapped({"id": "a"}, {"id": "b"})})
    warehouse.write("contacts", {"id": "1", "tags": wrapped({"id": "a"}, element)}, read=1)
    assert warehouse.links("contact_tags") == {("1", "a"), ("1", "b")}
    assert warehouse.one("contacts", "1")["extra"] == {"tags": {"data": {"1": element}}}


@pytest.mark.parametrize("element", ["text", None, 5, [], {"body": "x"}, {"id": None}])
def test_a_child_that_is_no_object_with_an_id_is_kept_and_marks_no_other(warehouse, element):
    def record(*parts: Any) -> dict[str, Any]:
        return {"id": "1", "conversation_parts": wrapped(*parts, key="conversation_parts")}

    warehouse.write("conversations", record({"id": "a"}, {"id": "b"}))
    warehouse.write("conversations", record({"id": "a"}, element), read=1)
    parts = warehouse.rows("conversation_parts")
    assert {key: part["_deleted_at"] for key, part in parts.items()} == {"a": None, "b": None}
    kept = {"conversation_parts": {"conversation_parts": {"1": element}}}
    assert warehouse.one("conversations", "1")["extra"] == kept


def test_records_without_an_id_are_counted_and_the_others_land(warehouse):
    none: tuple[Any, ...] = (None, "", [], True, "\0")
    bad: list[dict[str, Any]] = [{}, *({"id": id} for id in none)]
    warehouse.write("tags", *bad, {"id": "1", "name": "good"})
    assert warned("tags", *bad) == {"tags: record without id": len(bad)}
    assert set(warehouse.rows("tags")) == {"1"}


ODD_IDS = ["a\tb", "a\nb", "back\\slash", "qu'ote", 'dou"ble', "\\N", "{a,b}", "ünï😀", " ", "%s"]


def test_odd_characters_in_ids_are_stored_as_they_are(warehouse):
    records = [
        {
            "id": key,
            "tags": wrapped({"id": key}, has_more=True),
            "companies": wrapped(),
            "owner_id": key,
        }
        for key in ODD_IDS
    ]
    complete_lists = {
        (place, "contact_tags"): [{"id": key}, {"id": "t"}] for place, key in enumerate(ODD_IDS)
    }
    warehouse.write("contacts", *records, complete_lists=complete_lists)
    assert set(warehouse.rows("contacts")) == set(warehouse.rows("admins")) == set(ODD_IDS)
    assert warehouse.links("contact_tags") == {(key, tag) for key in ODD_IDS for tag in (key, "t")}
    before = warehouse.versions()
    warehouse.write("contacts", *records, read=1, complete_lists=complete_lists)
    assert warehouse.versions() == before


def test_an_id_that_had_to_be_cleaned_is_kept(warehouse):
    warehouse.write("tags", {"id": "a\0b", "name": "n"})
    assert warehouse.one("tags", "ab")["extra"] == {"id": "a\\u0000b"}


# -- copies of one object in one batch -------------------------------------------------------


def test_of_several_copies_in_one_batch_the_newest_counts(warehouse):
    copies = [
        {"id": "1", "updated_at": 20, "name": "newest"},
        {"id": 1, "updated_at": 10, "name": "older"},
        {"id": "1", "updated_at": 9, "name": "oldest"},
    ]
    assert warehouse.write("contacts", *copies).inserted == 1
    assert warehouse.one("contacts", "1")["name"] == "newest"


def test_of_copies_of_the_same_age_the_one_read_last_counts(warehouse):
    records = [{"id": "1", "updated_at": 5, "name": "late"}, {"id": "1", "updated_at": 5}]
    batch = encode(BY_TABLE["contacts"], records, [at(2), at(1)])
    warehouse.merge(batch)
    assert warehouse.one("contacts", "1")["name"] == "late"


def test_the_age_of_a_copy_does_not_depend_on_how_its_instant_is_written(warehouse):
    newer, older = "2026-01-02T00:00:00Z", unix(0) * 1000
    new = {"id": "1", "updated_at": newer, "name": "new"}
    old = {"id": "1", "updated_at": older, "name": "old"}
    for order in ((new, old), (old, new)):
        warehouse.clear()
        warehouse.write("contacts", *order)
        assert warehouse.one("contacts", "1")["name"] == "new"


def test_links_and_children_that_are_listed_twice_are_stored_once(warehouse):
    part = {"id": "p", "body": "x"}
    warehouse.write(
        "conversations",
        {
            "id": "1",
            "tags": wrapped({"id": "t"}, {"id": "t"}, {"id": 5}, {"id": "5"}, key="tags"),
            "conversation_parts": wrapped(part, part, key="conversation_parts"),
        },
    )
    assert warehouse.links("conversation_tags") == {("1", "t"), ("1", "5")}
    assert set(warehouse.rows("conversation_parts")) == {"p"}
    assert warehouse.one("conversations", "1")["parts_stored"] == 1


# -- anything at all -------------------------------------------------------------------------


def _paths() -> list[tuple[str, str]]:
    """(table, dotted path) of every declared column, link and child that a record can hold."""
    found = []
    for name, table in BY_TABLE.items():
        paths = [column.path for column in table.columns if column.name not in table.key]
        parts: list[Link | Child] = [*table.links, *table.children]
        for part in parts:
            paths += part.path.split("|")
        found += [(name, path) for path in paths]
    return found


PATHS = _paths()


def _nested(path: str, value: Any) -> dict[str, Any]:
    for key in reversed(path.split(".")):
        value = {key: value}
    return value


def _identity(table: Table) -> dict[str, Any]:
    """What a record needs to be a row."""
    kinds = {name: table.column(name).kind for name in table.key}
    return {name: 5 if kind is Kind.INSTANT else "x1" for name, kind in kinds.items()}


def _scalars(value: Any) -> Iterator[Any]:
    """Every string and number inside a value."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _scalars(item)
    elif value is not None:
        yield value


def _is_among(value: Any, found: set[Any]) -> bool:
    if isinstance(value, str):
        spelled = json.dumps(value)[1:-1]
        return bool(found & {value, spelled})
    if isinstance(value, float) and not math.isfinite(value):
        return str(value) in found
    numbers = {float(item) for item in found if isinstance(item, (int, float, Decimal))}
    return value in found or str(value) in found or float(value) in numbers


@settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(st.sampled_from(PATHS), JSON_VALUES, st.booleans())
def test_any_json_in_any_declared_place_loads_and_can_be_found_again(
    warehouse, place, value, direct
):
    table, path = place
    keys = path.split(".") if direct else path.split(".")[:1]
    record: Any = value
    for key in reversed(keys):
        record = {key: record}
    warehouse.clear()
    warehouse.write(table, _identity(BY_TABLE[table]) | record)
    found = {
        item
        for name in warehouse.tables()
        for row in warehouse.query(f'SELECT * FROM "{name}"')
        for item in _scalars(row)
    }
    column = next((c for c in BY_TABLE[table].columns if list(c.keys) == keys), None)
    if column and (column.kind is Kind.INSTANT or column.zero_is_null):
        return  # an instant is stored in another form, nobody as NULL
    assert [item for item in _scalars(value) if not _is_among(item, found)] == []


def test_a_reference_that_is_nothing_but_what_cannot_be_stored_is_kept(warehouse):
    record = {"conversation_rating": {"contact": {"id": "\0"}}}
    warehouse.write("conversations", _identity(BY_TABLE["conversations"]) | record)
    [row] = warehouse.query("SELECT extra, rating_contact_id FROM conversations")
    assert row["rating_contact_id"] is None
    assert row["extra"] == {"conversation_rating": {"contact": {"id": "\\u0000"}}}
