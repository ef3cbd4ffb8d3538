"""One JSON value to one field of COPY text, by kind."""

from __future__ import annotations

import json
import math
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector import jsontext
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.values import fields
from connector.warehouse.values.fields import NULL, MisfitError
from tests.support.records import JSON_VALUES

LAST_SECOND = 253402300799


@pytest.fixture(scope="module")
def connection(database_url: str) -> Any:
    with psycopg.connect(conninfo(database_url)) as connection:
        connection.execute("SET timezone = 'UTC'")
        connection.execute(
            "CREATE TEMP TABLE field (number int, body text, doc jsonb, moment timestamptz)"
        )
        yield connection


def copied(connection: psycopg.Connection[Any], column: str, *fields: str) -> list[Any]:
    """What Postgres makes of these fields of COPY text."""
    connection.execute("DELETE FROM field")
    with connection.cursor().copy(f"COPY field (number, {column}) FROM STDIN") as copy:
        copy.write("".join(f"{n}\t{field}\n" for n, field in enumerate(fields)).encode())
    return [row[0] for row in connection.execute(f"SELECT {column} FROM field ORDER BY number")]


def misfit(convert: Any, value: Any) -> str:
    """What the column gets instead of a value that does not fit."""
    with pytest.raises(MisfitError) as caught:
        convert(value)
    return caught.value.cleaned


# -- text ------------------------------------------------------------------------------------


@settings(max_examples=300, deadline=None)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))))
def test_any_text_that_postgres_holds_survives_copy_unchanged(connection, texts):
    assert copied(connection, "body", *map(fields.text, texts)) == texts


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from("ab\\nNtr\t\n\r\x0b\x7f.'\"\u2028\U0001f600")))
def test_backslashes_and_separators_survive_copy_unchanged(connection, text):
    assert copied(connection, "body", fields.text(text)) == [text]


@pytest.mark.parametrize("text", ["\\N", "\\.", "\\", "a\\\tb", "\r\n", " ", ""])
def test_what_copy_itself_means_by_a_text_is_text_all_the_same(connection, text):
    assert copied(connection, "body", fields.text(text)) == [text]


def test_an_empty_text_stays_empty():
    assert fields.text("") == ""


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [("a\0b", "ab"), ("\ud83d!", "!"), ("\0", ""), ("x\0\ty", "x\\ty"), ("\udfff\\", "\\\\")],
)
def test_characters_that_postgres_cannot_hold_are_left_out_and_told(text, cleaned):
    assert misfit(fields.text, text) == cleaned


@pytest.mark.parametrize("value", [1, 1.5, True, [], {}, ["a"], {"a": 1}])
def test_what_is_no_text_does_not_fit_a_text_column(value):
    assert misfit(fields.text, value) == NULL


def test_an_id_sent_as_a_number_is_its_digits():
    assert fields.identifier(215474207312016) == "215474207312016"
    assert fields.identifier(2**80) == str(2**80)
    assert fields.identifier("0042") == "0042"


@pytest.mark.parametrize("value", [True, 1.0, [], {"id": "1"}])
def test_what_is_no_id_does_not_fit_an_id_column(value):
    assert misfit(fields.identifier, value) == NULL


# -- numbers and flags -----------------------------------------------------------------------


def test_flags_are_only_true_and_false():
    assert (fields.flag(True), fields.flag(False)) == ("t", "f")
    others: tuple[Any, ...] = (0, 1, "true", "", [], {})
    for value in others:
        assert misfit(fields.flag, value) == NULL


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, -(2**63)])
def test_a_count_holds_64_bits(value):
    assert fields.count(value) == str(value)


@pytest.mark.parametrize(
    "value", [2**63, -(2**63) - 1, 10**30, 1.5, math.nan, math.inf, 1e300, True, "7", [], {}]
)
def test_what_is_no_whole_number_of_64_bits_does_not_fit_a_count(value):
    assert misfit(fields.count, value) == NULL


def test_a_whole_number_written_with_a_point_is_a_count():
    assert fields.count(3.0) == "3"


@pytest.mark.parametrize("value", [0, 12.5, -3, 10**30, 1e300, 5e-324])
def test_money_is_any_finite_number(value):
    assert fields.money(value) == repr(value)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, True, "12.50", [], {}])
def test_what_is_no_finite_number_is_no_money(value):
    assert misfit(fields.money, value) == NULL


# -- instants --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0, "1970-01-01"),
        (1734537334, "2024-12-18 15:55:34"),
        (1734537334000, "2024-12-18 15:55:34"),
        (1734537334123, "2024-12-18 15:55:34.123"),
        (1734537334000.0, "2024-12-18 15:55:34"),
        (1734537334.5, "2024-12-18 15:55:34.5"),
        ("1734537334", "2024-12-18 15:55:34"),
        ("2024-12-18T15:55:34Z", "2024-12-18 15:55:34"),
        ("2024-12-18T15:55:34.250+02:00", "2024-12-18 13:55:34.25"),
        ("2024-12-18T15:55:34", "2024-12-18 15:55:34"),
        ("2024-12-18", "2024-12-18"),
        (-1, "1969-12-31 23:59:59"),
        (-62135596800, "0001-01-01"),
        (-62135596800000, "0001-01-01"),
        (LAST_SECOND * 1000 + 999, "9999-12-31 23:59:59.999"),
        (200016000000, "1976-05-04"),
        (-200016000000, "1963-08-31"),
        (200016000000.0, "1976-05-04"),
        ("200016000000", "1976-05-04"),
        ("-200016000000", "1963-08-31"),
        ("1734537334.5", "2024-12-18 15:55:34.5"),
        (10**11 - 1, "5138-11-16 09:46:39"),
        (10**11 - 0.5, "5138-11-16 09:46:39.5"),
        (10**11, "1973-03-03 09:46:40"),
        (str(10**11 - 1), "5138-11-16 09:46:39"),
        (str(10**11), "1973-03-03 09:46:40"),
        (-(10**11), "1966-10-31 14:13:20"),
        ("9999-12-31T23:59:59Z", "9999-12-31 23:59:59"),
    ],
)
def test_seconds_milliseconds_and_iso_texts_are_instants(connection, value, expected):
    [stored] = copied(connection, "moment", fields.instant(value))
    assert stored == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "value",
    [
        (LAST_SECOND + 1) * 1000,
        (LAST_SECOND + 1) * 1000.0,
        str((LAST_SECOND + 1) * 1000),
        -62135596801,
        -62135596800001,
        -(10**11) + 1,
        str(-(10**11) + 1),
        -62135596800.5,
        -99999999999.75,
        10**18,
        -(10**18),
        2**70,
        math.nan,
        math.inf,
        True,
        "",
        "yesterday",
        "--5",
        "\u00b2",
        "10000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-01:00",
        "0001-01-01T00:00:00+01:00",
        "2024-12-18T15:55:34Z\0",
        [],
        {},
    ],
)
def test_what_names_no_instant_of_the_first_ten_thousand_years_does_not_fit(value):
    assert misfit(fields.instant, value) == NULL


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.integers(), st.floats(), st.text(), st.datetimes().map(str)))
def test_any_value_is_an_instant_that_postgres_reads_or_does_not_fit(connection, value):
    try:
        field = fields.instant(value)
    except MisfitError:
        return
    [stored] = connection.execute("SELECT %s::timestamptz::text", [field]).fetchone()
    assert stored


# -- documents -------------------------------------------------------------------------------


@settings(max_examples=400, deadline=None)
@given(JSON_VALUES)
def test_any_json_value_becomes_a_document_that_postgres_reads(connection, value):
    try:
        field = fields.document(value)
    except MisfitError as caught:
        field = caught.cleaned
    copied(connection, "doc", field, fields.leftovers({"a": value}))


@settings(max_examples=300, deadline=None)
@given(
    st.recursive(
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(-(2**80), 2**80),
            st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
        ),
        lambda inner: st.lists(inner) | st.dictionaries(st.text("ab\\\"\t'\u00e9"), inner),
        max_leaves=10,
    )
)
def test_a_document_that_jsonb_holds_comes_back_as_it_was(connection, value):
    [stored] = copied(connection, "doc", fields.document(value))
    assert stored == value
    [stored] = copied(connection, "doc", fields.leftovers({"k": value}))
    assert stored == {"k": value}


def test_inside_a_document_only_what_does_not_fit_is_cleaned():
    value = {"good": "x", "nul": "a\0b", "half": "\ud83d", "nan": math.nan, "null": None}
    cleaned = json.loads(misfit(fields.document, value))
    assert cleaned == {"good": "x", "nul": "ab", "half": "", "nan": None, "null": None}


def test_an_original_is_kept_in_a_form_that_jsonb_holds():
    kept = json.loads(
        fields.leftovers({"a": "x\0y", "b": "\ud83d", "c": math.inf, "d": 2**70}).replace(
            "\\\\", "\\"
        )
    )
    assert kept == {"a": "x\\u0000y", "b": "\\ud83d", "c": "inf", "d": 2**70}


def test_a_key_that_had_to_be_cleaned_takes_no_other_keys_place():
    assert json.loads(misfit(fields.document, {"a": 1, "a\0": 2})) == {"a": 1}
    assert json.loads(misfit(fields.document, {"a\0": 2, "a": 1})) == {"a": 1}


def test_a_backslash_before_u0000_is_no_nul(connection):
    value = {"path": "C:\\u0000dir", "more": ["\\\\u0000"]}
    assert copied(connection, "doc", fields.document(value)) == [value]


@pytest.mark.parametrize("depth", [300, 700, 900])
@pytest.mark.parametrize("inner", ["1", '"https://x.example/a.png?expires=1"', '"\\ud800"', "NaN"])
def test_no_depth_of_nesting_stops_a_document(connection, depth, inner):
    value = jsontext.decode(b"[" * depth + inner.encode() + b"]" * depth)
    try:
        field = fields.document(value)
    except MisfitError as caught:
        field = caught.cleaned
    copied(connection, "doc", field, fields.leftovers({"a": value, "b\0": 1}))


@pytest.mark.parametrize("value", [[], "", 1, True, [{}]])
def test_a_map_holds_only_objects(value):
    assert misfit(fields.mapping, value) == NULL
    assert fields.mapping({}) == "{}"


def test_links_are_text_like_any_other():
    for link in (
        "https://shop.example.com/index.php?route=order&token=55&id=7",
        "https://downloads.intercomcdn.com/a.png?expires=1&signature=2",
    ):
        assert fields.text(link) == fields.url(link) == link
        assert json.loads(fields.document({link: [link]})) == {link: [link]}
        assert json.loads(fields.leftovers({"e": link})) == {"e": link}
        assert json.loads(misfit(fields.document, {"k": link, "bad": "\0"}))["k"] == link
