"""Digests of records: what they tell apart, and what they do not."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connector.jsontext import decode, head, split
from connector.resources.declarations.companies import TABLE as COMPANIES
from connector.resources.declarations.contacts import TABLE as CONTACTS
from connector.resources.lists import doubtful
from connector.warehouse.state.digests import digest, salt
from connector.warehouse.values.signatures import Signatures

SALT = salt(CONTACTS, "2.16")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def text(**fields: object) -> bytes:
    return json.dumps({"id": "1", **fields}).encode()


def test_another_content_has_another_digest():
    assert digest(text(name="a"), SALT) == digest(text(name="a"), SALT)
    assert digest(text(name="a"), SALT) != digest(text(name="b"), SALT)


def test_a_signature_is_no_content_but_any_other_query_is():
    def found(host: str, query: str) -> int | None:
        return digest(text(url=f"https://{host}/a.png?{query}"), SALT)

    one, other = "expires=1&signature=x", "expires=2&signature=y"
    assert found("static.intercomassets.com", one) == found("static.intercomassets.com", other)
    assert found("static.example.com", one) != found("static.example.com", other)
    hosts = Signatures(["example.com"])
    record = text(url=f"https://static.example.com/a.png?{one}")
    assert digest(record, SALT, hosts) == digest(record.replace(b"=x", b"=y"), SALT, hosts)


@pytest.mark.parametrize("write", [json.dumps, lambda value: json.dumps(value, ensure_ascii=False)])
@pytest.mark.parametrize(("plain", "spelled"), [("&", "\\u0026"), ("/", "\\/"), ("=", "\\u003d")])
def test_a_signature_is_no_content_however_the_server_spells_it(write, plain, spelled):
    def found(signature: str) -> int | None:
        file = f"https://downloads.intercomcdn.com/i/ü.png?expires=1&signature={signature}&req=a%3D"
        body = f'<img src="{file}"> and ({file.replace("&", "&amp;")}).'
        record = write({"id": "1", "url": file, "body": body, "after": 1})
        return digest(record.replace(plain, spelled).encode(), SALT)

    assert found("x") == found("y")
    assert found("x") is not None


def test_a_record_with_a_cut_list_has_no_digest():
    assert digest(text(tags={"has_more": True}), SALT) is None
    assert digest(b'{"id":"1","tags":{"has_more":true}}', SALT) is None
    assert digest(text(tags={"has_more": False}), SALT) is not None


def test_another_mapping_version_or_exclusion_knows_nothing():
    salts = {salt(CONTACTS, "2.16"), salt(CONTACTS, "Preview"), salt(COMPANIES, "2.16")}
    salts.add(salt(CONTACTS, "2.16", "contacts.email"))
    assert len({digest(text(name="a"), one) for one in salts}) == 4


@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4), max_size=4), st.booleans())
def test_the_records_of_a_page_are_the_same_however_they_are_decoded(records, odd):
    body = json.dumps({"total": 1, "data": records}).encode()
    if odd:  # what the fast decoder refuses
        body = body[:-1] + b', "rest": NaN}'
    envelope, texts = split(body, ("data",), ("total", "next"))
    assert texts is not None
    assert envelope == {"total": 1}
    assert [decode(one) for one in texts] == decode(body)["data"]


@given(st.dictionaries(st.sampled_from(["id", "created_at", "updated_at", "x"]), JSON))
def test_a_head_is_what_the_whole_record_says(record):
    found = head(json.dumps(record).encode())
    assert (found.id, found.created_at, found.updated_at) == (
        record.get("id"),
        record.get("created_at"),
        record.get("updated_at"),
    )


def test_what_is_no_object_and_no_list_is_told():
    assert split(b"[1]", ("data",), ()) == (None, None)
    assert split(b'{"a": 1, "b": 2}', ("data",), ("a",)) == ({"a": 1}, None)
    for other in (b"{}", b"null", b'"x"', b"7"):
        assert split(b'{"data": %s, "a": [{}]}' % other, ("data",), ("a",)) == ({"a": [{}]}, None)
    assert split(b'{"data": [1]}', ("tags", "data"), ()) == ({}, [b"1"])
    assert split(b'{"data": [1], "tags": [2]}', ("tags", "data"), ()) == ({}, [b"2"])
    with pytest.raises(ValueError, match="Expecting"):
        split(b'{"data": [{"id": "1"', ("data",), ())


WHOLE = {"total_count": 1, "has_more": False}
LISTS = ("tags", "companies", "opted_out_subscription_types", "opted_in_subscription_types")


def wrapping(**told: Any) -> bytes:
    """A contact's text: all its lists are whole, and its tags as told."""
    lists = {name: {"data": [{"id": "1"}], **WHOLE} for name in LISTS}
    return text(**lists | {"tags": {"data": [{"id": "1"}], **told}})


def test_records_that_say_of_each_list_that_it_is_whole_are_not_decoded():
    assert doubtful(CONTACTS, [wrapping(**WHOLE)]) == {}
    assert doubtful(CONTACTS, [wrapping(**WHOLE).replace(b" ", b"")]) == {}
    assert doubtful(COMPANIES, [text(), {"id": "1"}]) == {}


@pytest.mark.parametrize(
    "record",
    [
        wrapping(**WHOLE | {"has_more": True}),
        wrapping(**WHOLE | {"has_more": None}),
        wrapping(**WHOLE | {"has_more": 0}),
        wrapping(total_count=11),
        wrapping(total_count=2, has_more=False),
        wrapping(has_more=False),
        text(**{name: {"data": [], **WHOLE} for name in LISTS}),
        text(tags=None),
        text(tags=[]),
        text(**{name: {"data": [], **WHOLE} for name in LISTS[:3]}),  # nothing of what it opted in
        text(**{name: {"data": [], **WHOLE} for name in LISTS}, subscriptions={"complete": []}),
        text(**{name: {"data": [], **WHOLE} for name in LISTS[:3]}, **{LISTS[3]: WHOLE}),
        text(**{name: {"data": None if name == LISTS[2] else [], **WHOLE} for name in LISTS}),
        wrapping(**WHOLE).replace(b'"id"', b'"n": NaN, "id"', 1),
    ],
)
def test_records_that_do_not_say_so_are_looked_at(record):
    whole, other = wrapping(**WHOLE), {"id": "2"}
    found = doubtful(CONTACTS, [whole, record.replace(b" ", b""), whole, record, other])
    assert found == {1: decode(record), 3: decode(record), 4: other}
