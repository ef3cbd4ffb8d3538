"""What is excluded is nowhere: not in a column, not in extra, not in a warning, not in a log."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connector.errors import RowRefusedError, SettingsError
from connector.resources import BY_NAME, TABLES
from connector.resources.resource import Kind, Table
from connector.sync.on_demand.verify import verify
from connector.sync.run import refetch
from connector.warehouse.encode.encoder import encode
from connector.warehouse.encode.exclusions import Exclusions, Privacy
from connector.warehouse.privacy import cleaning, excludable, pinning
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from tests.support.harness import Harness
from tests.support.postgres.triggers import free, keep
from tests.support.warehouse import BY_TABLE, Warehouse, at, unix

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = KEY[::-1]
MARK = "s3cr3t"


def hashed(text: str, key: str = KEY) -> str:
    """What a hash must be, made without the code under test."""
    return hmac.new(key.encode(), text.encode(), hashlib.sha256).hexdigest()


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    shared.execute("DELETE FROM sync_exclusions")
    return shared


# -- names -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("contacts.emial", "contacts.email"),
        ("contact.email", "contacts.email"),
        ("contacts", "no table.column"),
        ("nonsense", "docs/tables.md"),
        ("contacts.id", "part of the key"),
        ("contacts.owner_id", "refers to admins"),
        ("contacts.role", "apart"),
        ("contacts.updated_at", "new"),
        ("contacts.last_seen_at", "events"),
        ("contacts.notes_total_count", "missing"),
        ("contacts._read_at", "for itself"),
        ("contacts.extra", "extra.NAME"),
        ("contacts.extra.email", "columns of its own"),
        ("contacts.email.x", "no map"),
        ("events.contact_id", "key"),
        ("contact_notes.contact_id", "contacts"),
        ("tags.id", "key"),
        ("contact_tags.tag_id", "key"),
        ("conversation_part_attachments.position", "key"),
        ("conversation_parts.author_id", "wrote"),
        ("conversations.parts_stored", "counts"),
        ("hash:contacts.signed_up_at", "no text"),
        ("hash:contacts.custom_attributes", "no text"),
        ("contacts.email,hash:contacts.email", "with and without"),
    ],
)
def test_what_cannot_be_excluded_is_said_with_its_reason(text: str, said: str) -> None:
    with pytest.raises(SettingsError) as raised:
        parse(text, KEY)
    assert said in str(raised.value)
    assert raised.value.exit_code == 2


def test_everything_after_the_second_dot_is_the_key_of_a_map() -> None:
    exclusions = parse(r" contacts.custom_attributes.tax no. (EU)\, old , contacts.email,")
    assert (
        parse("contacts.email\n\ncontacts.name\n").fingerprint
        == parse("contacts.name,contacts.email").fingerprint
    )
    assert [rule.name for rule in exclusions.rules] == [
        "contacts.custom_attributes.tax no. (EU), old",
        "contacts.email",
    ]
    assert exclusions.rules[0].path == ("custom_attributes", "tax no. (EU), old")


def test_hashes_need_a_key_of_some_length_that_is_never_shown() -> None:
    for key in ("", "short-secret"):
        with pytest.raises(SettingsError, match="CONNECTOR_HASH_KEY") as raised:
            parse("hash:contacts.email", key)
        assert "short-secret" not in str(raised.value)
    exclusions = parse("hash:contacts.email", KEY)
    assert KEY not in repr(exclusions) + exclusions.fingerprint + repr(Privacy(exclusions))


def test_the_fingerprint_is_another_for_other_exclusions_and_for_another_key() -> None:
    texts = ["", "contacts.email", "hash:contacts.email", "contacts.email,contacts.name"]
    prints = [parse(text, KEY).fingerprint for text in texts]
    prints.append(parse("hash:contacts.email", OTHER_KEY).fingerprint)
    assert len(set(prints)) == len(prints)
    assert prints[0] == ""
    assert parse("contacts.name,contacts.email").fingerprint == prints[3]
    assert parse("contacts.email", OTHER_KEY).fingerprint == prints[1]


def test_check_can_name_columns_that_may_hold_the_same_values() -> None:
    others = excludable.alike(parse("contacts.email"))
    assert {"events.email", "conversations.source_author_email"} <= set(others)
    assert "contacts.email" not in others
    assert excludable.alike(parse("contacts.custom_attributes.a")) == []


# -- the encoder -----------------------------------------------------------------------------


def _nested(path: tuple[Any, ...], value: Any) -> Any:
    """The value at a path; [] stands for a list of one element."""
    for key in reversed(path):
        if key == []:
            value = [{"id": "9", **value}] if type(value) is dict else [value]
        else:
            value = {key: value}
    return value


def _standing(table: Table, at: tuple[Any, ...] = ()) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """Each column of a table, its children and links: its name, and its place in a record."""
    for column in table.columns:
        yield f"{table.name}.{column.name}", (*at, *column.keys)
        if column.kind is Kind.MAP:
            yield f"{table.name}.{column.name}.k.e y", (*at, *column.keys, "k.e y")
        if column.refers_to and len(column.keys) > 1 and column.keys[-1] == "id":
            for copied in BY_TABLE[column.refers_to].columns:
                yield (
                    f"{column.refers_to}.{copied.name}",
                    (*at, *column.keys[:-1], *copied.keys),
                )
    for link in table.links:
        for path in link.paths:
            for column in link.columns:
                yield f"{link.table}.{column.name}", (*at, *path, [], *column.keys)
            if link.item == "id" and not link.columns:
                for copied in BY_TABLE[link.refers_to].columns:
                    yield f"{link.refers_to}.{copied.name}", (*at, *path, [], *copied.keys)
    for child in table.children:
        for path in child.paths:
            yield from _standing(child.table, (*at, *path, []))


def _excludable() -> list[tuple[Table, str, tuple[Any, ...]]]:
    found = []
    for table in TABLES:
        for name, place in _standing(table):
            try:
                parse(name)
            except SettingsError:
                continue
            found.append((table, name, place))
    return found


PLACES = _excludable()
SPELLED = st.sampled_from(
    [MARK, f"<p>{MARK}</p>", f"\0{MARK}", f"{MARK}\ud800", f"https://x/{MARK}"]
)
JSON = st.recursive(
    st.one_of(SPELLED, st.none(), st.booleans(), st.integers(), st.floats()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.sampled_from(["id", "type", "data", "body", "email", "total_count", MARK]),
            inner,
            max_size=3,
        ),
    ),
    max_leaves=6,
)


def _record(table: Table, place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    record = dict.fromkeys(table.key, "7")
    if "created_at" in table.key:
        record["created_at"] = "2026-01-01T00:00:00Z"
    return record | _nested(place, value)


def _said(table: Table, record: dict[str, Any], exclusions: Exclusions) -> str:
    batch = encode(table, [record], [at(0)], None, exclusions)
    data = b"".join(staged.data for staged in batch.staged.values()).decode()
    return data + repr(batch.warnings) + repr([s.partial for s in batch.staged.values()])


def test_most_columns_can_be_excluded() -> None:
    assert len({name for _, name, _ in PLACES}) > 250


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(PLACES), JSON)
def test_an_excluded_path_never_appears_in_what_is_encoded(
    where: tuple[Table, str, tuple[Any, ...]], value: Any
) -> None:
    table, name, place = where
    record = _record(table, place, value)
    before = repr(record)
    assert MARK not in _said(table, record, parse(name))
    assert repr(record) == before  # the caller's copy stays
    column = name.partition(".")[2].partition(".")[0]
    if excludable._homes()[name.partition(".")[0]].columns[column].kind in excludable.HASHABLE:
        assert MARK not in _said(table, record, parse(f"hash:{name}", KEY))


def _leads_on(name: str, path: tuple[Any, ...]) -> bool:
    """Whether an object may stand at the path, in which the field is: of some lists a wrapper."""
    end = len(path)
    places = [place for _, other, place in PLACES if other == name and place[:end] == path]
    return any(len(place) > end and place[end] != [] for place in places)


@settings(max_examples=1500, deadline=None)
@given(st.sampled_from(PLACES), st.integers(min_value=1), JSON)
def test_what_stands_where_the_excluded_field_should_be_inside_is_not_stored_either(
    where: tuple[Table, str, tuple[Any, ...]], depth: int, value: Any
) -> None:
    table, name, place = where
    cut = 1 + depth % (len(place) - 1) if len(place) > 1 else 0
    if not cut or cut == len(place) or (type(value) is dict and _leads_on(name, place[:cut])):
        return  # an object there is where the field should be: its other fields are data
    if place[cut] == [] and type(value) is list:
        value = [element for element in value if type(element) is not dict]
    assert MARK not in _said(table, _record(table, place[:cut], value), parse(name))


def test_without_exclusions_the_same_values_do_appear() -> None:
    own = [where for where in PLACES if where[1].startswith(f"{where[0].name}.")]
    shown = sum(MARK in _said(t, _record(t, place, MARK), Exclusions()) for t, _, place in own)
    assert shown > 0.9 * len(own)


def test_other_fields_are_encoded_as_ever() -> None:
    record = {
        "id": "c1",
        "email": MARK,
        "name": "Ann",
        "location": {"city": MARK, "country": "France", "new": 1},
        "custom_attributes": {"vat": MARK, "v\0at": MARK, "plan": "pro"},
    }
    exclusions = parse("contacts.email,contacts.location_city,contacts.custom_attributes.vat")
    said = _said(BY_TABLE["contacts"], record, exclusions)
    assert MARK not in said
    for kept in ("Ann", "France", '"plan":"pro"', '{"location":{"new":1}}'):
        assert kept in said


def test_the_elements_of_lists_that_are_ids_stay() -> None:
    record = {"id": "t1", "name": "Team", "admin_ids": [1, 2]}
    said = _said(BY_TABLE["teams"], record, parse("admins.email,admins.name"))
    assert "t1\t1\nt1\t2" in said


@pytest.mark.parametrize("wrap", [lambda tags: tags, lambda tags: {"tags": tags}])
def test_what_is_told_of_a_tag_of_a_part_can_be_excluded(wrap: Any) -> None:
    tag = {"id": "t1", "name": "x", "applied_by": {"id": MARK, "type": "admin"}, "applied_at": 1}
    part = {"id": "p", "tags": wrap([tag])}
    record = {"id": "c1", "conversation_parts": {"conversation_parts": [part]}}
    exclusions = parse("conversation_part_tags.applied_by_id")
    batch = encode(BY_TABLE["conversations"], [record], [at(0)], None, exclusions)
    assert MARK not in repr(batch)
    assert b"p\tt1\t1970" in batch.staged["conversation_part_tags"].data


@pytest.mark.parametrize("query", ["expires=1&signature=2", "expires=3&signature=4"])
def test_a_hash_is_of_content_so_another_signature_has_the_same(query: str) -> None:
    exclusions = parse("hash:conversation_parts.body", KEY)
    body = f'<img src="https://downloads.intercomcdn.com/a.png?{query}">'
    part = {"id": "p", "body": body}
    record = {"id": "c1", "conversation_parts": {"conversation_parts": [part]}}
    batch = encode(BY_TABLE["conversations"], [record], [at(0)], None, exclusions)
    told = '<img src="https://downloads.intercomcdn.com/a.png">'
    digest = hmac.new(KEY.encode(), told.encode(), hashlib.sha256).hexdigest()
    assert digest.encode() in batch.staged["conversation_parts"].data
    [rule] = exclusions.rules
    assert exclusions.stored(rule, body) == digest


def test_complete_lists_of_a_record_are_searched_too() -> None:
    record = {"id": "c1", "tags": {"data": [], "has_more": True}}
    tag = {"id": "t1", "name": MARK, "applied_by": {"id": MARK, "type": "admin"}, "applied_at": 1}
    exclusions = parse("tags.name,contact_tags.applied_by_id")
    lists = {(0, "contact_tags"): [tag, MARK]}
    batch = encode(BY_TABLE["contacts"], [record], [at(0)], lists, exclusions)
    assert MARK not in repr(batch)
    assert b"c1\tt1\t" in batch.staged["contact_tags"].data
    assert MARK in repr(encode(BY_TABLE["contacts"], [record], [at(0)], lists))


# -- stored rows -----------------------------------------------------------------------------

CONTACT = {
    "id": "c1",
    "role": "user",
    "email": f"{MARK}@example.com",
    "phone": {"odd": MARK},
    "location": f"in {MARK}",
    "custom_attributes": {"tax": MARK, "bad": f"\0{MARK}", "plan": "pro"},
    "notes": {
        "complete": [
            {"id": "n1", "body": MARK, "created_at": 1},
            {"id": "n2", "body": [MARK], "created_at": 1},
            {"body": MARK},
            MARK,
        ]
    },
    "created_at": unix(0),
    "updated_at": unix(0),
}
CONVERSATION = {
    "id": "v1",
    "source": {"body": f"<p>{MARK}</p>", "author": {"id": "c1", "type": "user", "email": MARK}},
    "contacts": {"contacts": [{"id": "c1", "email": MARK}, {"email": MARK}]},
    "conversation_parts": {
        "conversation_parts": [
            {
                "id": "p1",
                "body": {"html": MARK},
                "author": {"id": "c1", "email": f"{MARK}@example.com", "name": MARK},
                "attachments": [{"name": MARK, "url": f"https://f/{MARK}"}, MARK],
            }
        ]
    },
    "created_at": unix(0),
    "updated_at": unix(0),
}
EVENT = {
    "contact_id": "c1",
    "event_name": "bought",
    "created_at": unix(0),
    "email": f"{MARK}@example.com",
    "metadata": {"card": MARK, "more": {"deep": MARK}},
}
ALL = (
    "contacts.email,contacts.phone,contacts.location_city,contacts.custom_attributes.tax,"
    "contacts.custom_attributes.bad,contact_notes.body,conversations.source_body,"
    "conversations.source_author_email,conversation_parts.body,conversation_parts.author_email,"
    "conversation_parts.author_name,conversation_part_attachments.url,"
    "conversation_part_attachments.name,events.email,events.metadata"
)


def load(warehouse: Warehouse, exclusions: Exclusions, read: float = 0) -> None:
    warehouse.write("contacts", CONTACT, read=read, exclusions=exclusions)
    warehouse.write("conversations", CONVERSATION, read=read, exclusions=exclusions)
    warehouse.write("events", EVENT, read=read, exclusions=exclusions)


def clean(warehouse: Warehouse, exclusions: Exclusions) -> None:
    warehouse.database.write(lambda conn: pinning.apply(conn, exclusions, pins=True))
    cleaning.clean(warehouse.database, exclusions, "migrate")


def test_odd_values_in_excluded_fields_are_stored_nowhere(warehouse: Warehouse) -> None:
    load(warehouse, parse(ALL))
    assert MARK not in warehouse.text()
    load(warehouse, Exclusions(), read=9)
    assert warehouse.text().count(MARK) > 15  # where it would have been


def test_newly_excluded_fields_are_cleaned_in_what_is_stored(warehouse: Warehouse) -> None:
    load(warehouse, Exclusions())
    assert MARK in warehouse.text()
    clean(warehouse, parse(ALL))
    assert MARK not in warehouse.text()
    row = warehouse.one("contacts", "c1")
    assert row["custom_attributes"] == {"plan": "pro"}
    assert row["extra"] is None
    run = warehouse.query("SELECT max(id) AS id FROM sync_runs WHERE command = 'migrate'")[0]["id"]
    assert row["_run_id"] == run
    assert warehouse.one("conversations", "v1")["_run_id"] == run  # its parts changed
    before = warehouse.versions()
    clean(warehouse, parse(ALL))
    load(warehouse, parse(ALL), read=5)
    assert MARK not in warehouse.text()
    clean(warehouse, parse(ALL))
    after = warehouse.versions()
    assert {name for name in before if before[name] != after[name]} <= {
        "contacts",  # extra lost more than the excluded, until it was read again
        "conversations",
        "conversation_parts",
        *("_conversation_figures", "_conversation_days"),  # computed with what was read again
    }
    assert warehouse.query("SELECT name FROM sync_exclusions WHERE cleaned_at IS NULL") == []


def test_cleaning_goes_on_where_it_was_interrupted(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cleaning, "BATCH", 3)
    texts = [f"{MARK}{n}@example.com" for n in range(10)]
    contacts = [{"id": f"c{n}", "email": text} for n, text in enumerate(texts)]
    events = [
        {**EVENT, "contact_id": f"c{n}", "email": text, "metadata": {}}
        for n, text in enumerate(texts)
    ]
    warehouse.write("contacts", *contacts)
    warehouse.write("events", *events)
    exclusions, names = parse("hash:contacts.email,hash:events.email", KEY), Names(warehouse.schema)
    database = warehouse.database
    database.write(lambda conn: cleaning.begin(conn, exclusions))
    for _ in range(5):
        assert database.write(lambda conn: cleaning.step(conn, names, exclusions, 1))
        database.write(lambda conn: cleaning.begin(conn, exclusions))  # as the next run does
    assert MARK in warehouse.text()
    clean(warehouse, exclusions)
    assert MARK not in warehouse.text()
    for table in ("contacts", "events"):
        stored = {row["email"] for row in warehouse.query(f"SELECT email FROM {table}")}
        assert stored == {hashed(text) for text in texts}, table


def test_equal_values_have_equal_hashes_in_every_table(warehouse: Warehouse) -> None:
    text = (
        "hash:contacts.email,hash:events.email,hash:conversation_parts.author_email,"
        "hash:contacts.external_id,hash:contacts.custom_attributes.tax"
    )
    for way in ("from the first byte", "newly set"):
        warehouse.clear()
        warehouse.execute("DELETE FROM sync_exclusions")
        exclusions = parse(text, KEY)
        first = exclusions if way == "from the first byte" else Exclusions()
        clean(warehouse, first)
        warehouse.write("contacts", {**CONTACT, "external_id": 17}, exclusions=first)
        warehouse.write(
            "contacts", {"id": "c2", "email": None, "external_id": "x\0y"}, exclusions=first
        )
        warehouse.write("conversations", CONVERSATION, exclusions=first)
        warehouse.write("events", EVENT, exclusions=first)
        clean(warehouse, exclusions)
        row = warehouse.one("contacts", "c1")
        assert row["email"] == hashed(f"{MARK}@example.com"), way
        assert row["external_id"] == hashed("17")
        assert row["custom_attributes"]["tax"] == hashed(MARK)
        assert warehouse.one("contacts", "c2")["email"] is None
        assert warehouse.one("contacts", "c2")["external_id"] == hashed("xy")
        joined = warehouse.query(
            "SELECT p.id FROM contacts c JOIN events e USING (email)"
            " JOIN conversation_parts p ON p.author_email = c.email"
        )
        assert joined == [{"id": "p1"}]
        assert KEY not in warehouse.text()


def test_a_hashed_address_stays_the_same_when_its_signature_changes(warehouse: Warehouse) -> None:
    exclusions = parse("hash:contacts.avatar_image_url", KEY)
    for number, query in enumerate(("?x=1", "?x=2")):
        contact = {"id": "c1", "avatar": {"image_url": f"https://a/b.png{query}"}}
        written = warehouse.write("contacts", contact, read=number, exclusions=exclusions)
    assert (written.inserted, written.updated) == (0, 0)
    assert warehouse.one("contacts", "c1")["avatar_image_url"] == hashed("https://a/b.png")


def test_hashes_of_another_key_are_emptied_so_that_no_join_mixes_keys(warehouse: Warehouse) -> None:
    first, second = (parse("hash:contacts.email", key) for key in (KEY, OTHER_KEY))
    clean(warehouse, first)
    load(warehouse, first)
    clean(warehouse, second)
    assert warehouse.one("contacts", "c1")["email"] is None
    load(warehouse, second, read=5)
    assert warehouse.one("contacts", "c1")["email"] == hashed(f"{MARK}@example.com", OTHER_KEY)


def test_an_exclusion_that_was_lifted_never_makes_a_hash_of_a_hash(warehouse: Warehouse) -> None:
    exclusions = parse("hash:contacts.email", KEY)
    clean(warehouse, exclusions)
    load(warehouse, exclusions)
    clean(warehouse, Exclusions())
    assert warehouse.one("contacts", "c1")["email"] == hashed(f"{MARK}@example.com")
    clean(warehouse, exclusions)
    assert warehouse.one("contacts", "c1")["email"] is None
    clean(warehouse, Exclusions())
    load(warehouse, Exclusions(), read=5)
    assert warehouse.one("contacts", "c1")["email"] == f"{MARK}@example.com"


def test_a_lifted_exclusion_is_cleaned_again_when_it_is_set_again(warehouse: Warehouse) -> None:
    exclusions = parse("contacts.email")
    for read in (0, 5):
        clean(warehouse, Exclusions())
        warehouse.write("contacts", CONTACT, read=read)
        clean(warehouse, exclusions)
        assert warehouse.one("contacts", "c1")["email"] is None


def test_a_record_without_the_key_leaves_what_was_cleaned(warehouse: Warehouse) -> None:
    load(warehouse, Exclusions())
    exclusions = parse(ALL)
    clean(warehouse, exclusions)
    bare = {"id": "c1", "updated_at": unix(9)}
    warehouse.write("contacts", bare, {"id": "c2", "email": MARK}, read=9, exclusions=exclusions)
    assert MARK not in warehouse.text()


def test_what_is_told_of_a_link_can_be_excluded(warehouse: Warehouse) -> None:
    applied = {"id": "t1", "applied_at": 1, "applied_by": {"id": MARK, "type": MARK}}
    contact = {"id": "c1", "tags": {"data": [applied]}}
    exclusions = parse("contact_tags.applied_by_id,hash:contact_tags.applied_by_type", KEY)
    warehouse.write("contacts", contact)
    clean(warehouse, exclusions)
    before = warehouse.versions()
    warehouse.write("contacts", contact, read=5, exclusions=exclusions)
    assert warehouse.versions() == before
    rows = warehouse.query("SELECT applied_by_id, applied_by_type FROM contact_tags")
    assert rows == [{"applied_by_id": None, "applied_by_type": hashed(MARK)}]


def test_a_field_that_no_column_holds_can_be_excluded(warehouse: Warehouse) -> None:
    contact = {"id": "c1", "shoe size": {"eu": MARK}, "hat": 7}
    exclusions = parse("contacts.extra.shoe size")
    warehouse.write("contacts", contact)
    clean(warehouse, exclusions)
    warehouse.write("contacts", {**contact, "hat": 8}, read=5, exclusions=exclusions)
    assert warehouse.one("contacts", "c1")["extra"] == {"hat": 8}


# -- the loop --------------------------------------------------------------------------------


def secret(harness: Harness) -> tuple[str, str]:
    """A contact and a conversation of it, full of what must not be found."""
    harness.simulate()
    contact = next(c["id"] for c in harness.control.truth("contacts") if c["role"] == "user")
    harness.control.update_contact(
        contact, email=f"{MARK}@example.com", custom_attributes={"tax no. 1": MARK}
    )
    harness.control.add_note(contact, body=MARK)
    harness.control.track_event(contact, "bought", metadata={"card": MARK})
    conversation = harness.control.create_conversation(contact, body=MARK)
    harness.control.reply(conversation, body=MARK)
    harness.pass_time(3600)
    return contact, conversation


SYNCED = (
    "contacts.email,contacts.email_domain,contacts.custom_attributes.tax no. 1,contact_notes.body,"
    "events.metadata,events.email,conversations.source_body,conversations.source_author_email,"
    "conversation_parts.body,conversation_parts.author_email"
)


async def test_a_first_load_stores_nothing_that_is_excluded(
    harness: Harness, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level("DEBUG")
    contact, conversation = secret(harness)
    privacy = Privacy(parse(SYNCED))
    outcome = await harness.sync(privacy=privacy)
    assert outcome.exit_code == 0, outcome.error
    assert MARK not in harness.text() + repr(outcome)
    before = harness.versions()
    assert (await harness.sync(privacy=privacy)).exit_code == 0
    assert harness.versions() == before
    database = Database(harness.database_url, harness.schema)
    async with harness.client() as client:
        for name, key in (("users", contact), ("conversations", conversation)):
            await refetch(client, database, BY_NAME[name], [key], privacy)
            database.close()
        found = await verify(client, database, None, 200, privacy.exclusions)
    database.close()
    assert all(not verified.differences for verified in found.values()), found
    assert found["users"].equal > 50
    assert harness.versions() == before
    assert MARK not in harness.text()
    said = capfd.readouterr()
    assert MARK not in caplog.text + said.out + said.err


async def test_excluding_later_cleans_before_anything_is_read(harness: Harness) -> None:
    secret(harness)
    assert (await harness.sync()).exit_code == 0
    assert MARK in harness.text()
    harness.control.fail({"path": "^/(?!me)"}, times=None, status=404, code="not_found")
    await harness.sync(privacy=Privacy(parse(SYNCED)))
    assert MARK not in harness.text()
    harness.control.clear_faults()
    harness.pass_time(86_400)
    assert (await harness.sync(privacy=Privacy(parse(SYNCED)), full=True)).exit_code == 0
    assert MARK not in harness.text()


@pytest.mark.parametrize("table", ["contacts", "contacts_history", "conversation_parts"])
async def test_what_a_trigger_of_others_keeps_is_not_taken_for_cleaned(
    harness: Harness, table: str
) -> None:
    contact, _ = secret(harness)
    assert (await harness.sync(history=("contacts",))).exit_code == 0
    harness.query(keep(table))
    for _ in range(2):
        with pytest.raises(RowRefusedError, match=f"{table} has the trigger keep"):
            await harness.sync(privacy=Privacy(parse(SYNCED)), history=("contacts",))
        assert MARK in harness.text()
    harness.query(free(table))
    outcome = await harness.sync(privacy=Privacy(parse(SYNCED)), history=("contacts",))
    assert outcome.exit_code == 0, outcome.error
    assert MARK not in harness.text()
    assert harness.rows("contacts")[contact]["email"] is None


async def test_a_lifted_exclusion_comes_back_with_the_next_full_pass(harness: Harness) -> None:
    contact, _ = secret(harness)
    await harness.sync(privacy=Privacy(parse(SYNCED)))
    assert harness.rows("contacts")[contact]["email"] is None
    await harness.sync(lift_exclusions=True)
    assert harness.rows("contacts")[contact]["email"] == f"{MARK}@example.com"
