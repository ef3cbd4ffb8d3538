"""What is pure about notifications: whose they are, and which objects they name."""

from __future__ import annotations

import hmac
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from connector.resources import RESOURCES
from connector.resources.hint import Hint
from connector.webhooks.notification import LONGEST_ID, UNNAMED, Notification, read
from connector.webhooks.signature import is_signed
from tests.simulator.webhooks.changes import SILENT, TOLD
from tests.support.listening import Listener

BODY = b'{"topic": "ping"}'
FIRST, SECOND = b"first", "zweites-ü".encode()
CONTACT = "65a0c0ffee"
AT = "2026-01-10T04:39:55.465+00:00"
SECOND_OF_AT = 1_768_019_995


# -- signatures ------------------------------------------------------------------------------


def signature(secret: bytes, body: bytes = BODY, digest: str = "sha1") -> str:
    return f"{digest}={hmac.new(secret, body, digest).hexdigest()}"


def test_any_of_the_secrets_will_do() -> None:
    for secret in (FIRST, SECOND):
        assert is_signed(BODY, signature(secret), [FIRST, SECOND])
        assert is_signed(BODY, signature(secret), [secret])
    assert not is_signed(BODY, signature(b"third"), [FIRST, SECOND])
    assert not is_signed(BODY, signature(FIRST), [])


@pytest.mark.parametrize(
    "given",
    [
        None,
        "",
        "sha1",
        "sha1=",
        "sha1=é",
        "sha1=\udcff",
        "sha1=" + "ß" * 40,
        "sha1=" + "0" * 40,
        signature(FIRST)[:-1],
        signature(FIRST) + "0",
        signature(FIRST).removeprefix("sha1="),
        signature(FIRST, digest="sha256"),
        signature(FIRST, digest="sha256").replace("sha256", "sha1"),
        signature(FIRST, BODY + b" "),
    ],
)
def test_what_is_no_signature_of_the_body_is_refused(given: str | None) -> None:
    assert not is_signed(BODY, given, [FIRST, SECOND])


def test_upper_case_is_the_same_number() -> None:
    given = "sha1=" + signature(FIRST).removeprefix("sha1=").upper()
    assert is_signed(BODY, given, [FIRST])


@given(st.binary(max_size=200), st.binary(max_size=30), st.text(max_size=80))
def test_nothing_that_is_sent_as_a_signature_raises(body: bytes, secret: bytes, sent: str) -> None:
    assert not is_signed(body, f"sha1={sent}", [secret])
    assert is_signed(body, signature(secret, body), [b"other", secret])


# -- what is told ----------------------------------------------------------------------------


def told(topic: str, item: Any, **more: Any) -> tuple[Hint, ...]:
    """The hints of a notification about an item."""
    data = {"type": "notification_event_data", "item": item}
    envelope = {"type": "notification_event", "app_id": "abc", "topic": topic, "data": data}
    return read(json.dumps(envelope | more).encode()).hints


def contact(**fields: Any) -> dict[str, Any]:
    whole = {"type": "contact", "id": CONTACT, "role": "user", "updated_at": AT}
    lists = {"tags": {"type": "list", "data": [{"type": "tag", "id": "1"}]}, "companies": {}}
    return whole | lists | fields


HINT = Hint("contacts", CONTACT, SECOND_OF_AT)
COMPANY = {"id": "5c", "company_id": "x", "updated_at": AT}
SHAPES: list[tuple[str, dict[str, Any], set[Hint]]] = [
    ("contact.user.updated", contact(), {HINT}),
    ("contact.lead.created", contact(role="lead", external_id="uuid"), {HINT}),
    ("contact.merged", contact(), {HINT}),
    (
        "contact.deleted",
        {"type": "contact", "id": CONTACT, "external_id": "42", "deleted": True},
        {Hint("contacts", CONTACT, None, True)},
    ),
    (
        "contact.archived",
        {"type": "contact", "id": CONTACT, "archived": True},
        {Hint("contacts", CONTACT, None, True)},
    ),
    ("contact.unarchived", contact(), {HINT}),
    ("contact.user.updated", contact(deleted=False, archived=None), {HINT}),
    ("user.updated", {"type": "user", "id": CONTACT, "user_id": "42"}, {Hint("contacts", CONTACT)}),
    (
        "contact.user.tag.created",
        {"type": "contact_tag", "created_at": 1, "tag": {"id": "9"}, "contact": contact()},
        {HINT},
    ),
    (
        "granular.unsubscribe",
        {
            "type": "contact_unsubscribe",
            "contact": contact(),
            "subscription_types": {"type": "list", "data": []},
            "created_at": 5,
        },
        {HINT, Hint("contact_subscriptions", CONTACT)},
    ),
    (
        "company.updated",
        {"type": "company", **COMPANY, "plan": None, "tag_ids": []},
        {Hint("companies", "5c", SECOND_OF_AT)},
    ),
    (
        "company.deleted",
        {"type": "company", "id": "5c", "deleted": True},
        {Hint("companies", "5c", None, True)},
    ),
    (
        "company.contact.attached",
        {"company": COMPANY, "contact": contact()},
        {HINT, Hint("companies", "5c", SECOND_OF_AT)},
    ),
    (
        "conversation.user.replied",
        {
            "type": "conversation",
            "id": "215",
            "updated_at": 1_768_000_000,
            "source": {"author": {"type": "user", "id": "other"}},
            "contacts": {"contacts": [{"type": "contact", "id": "other"}]},
            "statistics": {"last_close_at": AT},
        },
        {Hint("conversations", "215", 1_768_000_000)},
    ),
    ("conversation.read", {"type": "conversation", "id": "215"}, {Hint("conversations", "215")}),
    (
        "conversation.deleted",
        {"type": "conversation", "conversation_id": "215"},
        {Hint("conversations", "215", None, True)},
    ),
    (
        "conversation.contact.attached",
        {
            "conversation": {
                "parts": [{"id": 3, "deleted": False}],
                "options": {},
                "model": {"id": 215, "app_id": 7, "deleted": False},
            },
            "contact": contact(),
        },
        {HINT, Hint("conversations", "215")},
    ),
    (
        "ticket.state.updated",
        {"type": "ticket", "id": "21", "ticket_id": "12", "updated_at": "1768000000"},
        {Hint("tickets", "21", 1_768_000_000)},
    ),
    ("ticket.closed", {"ticket": {"type": "ticket", "id": "21"}}, {Hint("tickets", "21")}),
    (
        "ticket.contact.detached",
        {"ticket": {"id": 21}, "contact": contact()},
        {HINT, Hint("tickets", "21")},
    ),
    (
        "article.updated",
        {"type": "article", "id": "77", "updated_at": AT},
        {Hint("articles", "77", SECOND_OF_AT)},
    ),
    (
        "article.deleted",
        {"type": "article", "id": "77", "updated_at": AT},
        {Hint("articles", "77", SECOND_OF_AT, True)},
    ),
    (
        "event.created",
        {"type": "event", "id": "uuid", "intercom_user_id": CONTACT, "created_at": 9},
        {Hint("events", CONTACT, 9)},
    ),
    ("admin.away_mode_updated", {"type": "admin", "id": 814}, {Hint("admins", "*")}),
    ("call.ended", {"type": "call", "id": 3}, {Hint("calls", "3")}),
    ("ping", {"type": "ping", "message": "hello"}, set()),
    ("content_stat.banner", {"type": "content_stat", "id": "5", "admin": {"id": 3}}, set()),
    ("conversation.unheard.of", {"id": "8", "updated_at": 4}, {Hint("conversations", "8", 4)}),
    ("nobody.knows.it", {"type": "letter", "contact": contact()}, {HINT}),
]


@pytest.mark.parametrize(("topic", "item", "hints"), SHAPES, ids=[s[0] for s in SHAPES])
def test_a_notification_names_these_objects(
    topic: str, item: dict[str, Any], hints: set[Hint]
) -> None:
    found = told(topic, item, id=None, delivery_status=None, links={})
    assert set(found) == hints
    assert len(found) == len(hints)


TABLES = {resource.hinted_as for resource in RESOURCES if resource.notified.kinds}


@pytest.mark.parametrize("name", sorted(TOLD))
def test_whatever_the_simulator_tells_is_understood(name: str) -> None:
    listener = Listener()
    listener.control.webhook_chaos(unknown=0.3, older=0.3)
    TOLD[name][0](listener)
    sent = listener.heard()
    assert sent
    for envelope in sent:
        came = read(json.dumps(envelope).encode())
        assert came.topic == envelope["topic"]
        assert came.app_id == listener.space.app["id_code"]
        assert {hint.resource for hint in came.hints} <= TABLES
        assert came.hints or came.topic.startswith("admin.")
        assert all(isinstance(hint.id, str) for hint in came.hints)
        told_gone = came.topic.endswith((".deleted", ".archived")) and ".tag." not in came.topic
        assert {hint.gone for hint in came.hints} <= {told_gone}


def test_a_change_hints_at_what_changed() -> None:
    listener = Listener()
    contact, company = listener.untied()
    listener.control.attach_company(contact, company)
    hints = [hint for one in listener.heard() for hint in read(json.dumps(one).encode()).hints]
    assert {(hint.resource, hint.id) for hint in hints} == {
        ("contacts", contact),
        ("companies", company),
    }
    truth = listener.control.truth_one("contacts", contact)["updated_at"]
    assert {hint.announced for hint in hints if hint.resource == "contacts"} == {truth}


def test_pings_and_what_is_silent_name_nothing() -> None:
    listener = Listener()
    listener.simulator.webhooks.ping()
    [ping] = listener.heard()
    assert read(json.dumps(ping).encode()).hints == ()
    assert SILENT.keys().isdisjoint(TOLD)


# -- odd bodies ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [b"", b"nothing", b"[]", b"null", b"1", b'"text"', b"[{}]", b"{", b"\xff\xfe", b"[" * 100_000],
)
def test_what_is_no_object_is_a_value_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        read(body)


@pytest.mark.parametrize("depth", [1_000, 100_000])
def test_deeply_nested_bodies_raise_nothing_else(depth: int) -> None:
    for inner in (b'{"contact":' * depth + b"1" + b"}" * depth, b"[" * depth + b"]" * depth):
        try:
            read(b'{"topic":"contact.user.updated","data":{"item":' + inner + b"}}")
        except ValueError:
            continue


@pytest.mark.parametrize(
    "envelope",
    [
        {},
        {"data": None},
        {"data": []},
        {"data": {"item": None}},
        {"data": {"item": []}},
        {"data": {"item": [{"type": "contact", "id": "1"}]}},
        {"data": {"item": {"type": None, "id": "1"}}},
        {"data": {"item": {"type": ["contact"], "id": "1"}}},
        {"data": {"item": {"contact": [contact()], "company": "5c", "ticket": None}}},
        {"data": {"item": {"type": "contact", "id": {"id": "1"}}}},
        {"topic": 7, "app_id": {"a": 1}, "data": {"item": {"type": "contact"}}},
    ],
)
def test_foreign_shapes_name_nothing(envelope: dict[str, Any]) -> None:
    assert read(json.dumps(envelope).encode()) == Notification(UNNAMED, None)


@pytest.mark.parametrize(
    "id",
    [
        "", "a\x00b", "a\nb", "x" * 10_000, "x" * (LONGEST_ID + 1), "ü", "\ud800", "*", "..",
        True, False, None, -1, 1.5, 10**30, 10**4_000, [], {}, ["1"],
    ],
)  # fmt: skip
def test_what_can_be_no_id_is_none(id: Any) -> None:
    assert told("contact.user.updated", contact(id=id)) == ()
    odd = {"conversation": {"model": {"id": id}}, "contact": contact()}
    assert told("conversation.contact.attached", odd) == (HINT,)


@pytest.mark.parametrize("digits", ["9" * 5_000, "-" + "9" * 5_000, "1e5000"])
def test_numbers_past_all_bounds_are_no_ids_and_no_times(digits: str) -> None:
    item = '{"type":"contact","id":%s,"updated_at":%s}'
    for id, at, hints in [(digits, "5", ()), ('"1"', digits, (Hint("contacts", "1"),))]:
        body = '{"topic":"t","data":{"item":%s}}' % (item % (id, at))
        assert read(body.encode()).hints == hints


@pytest.mark.parametrize(
    ("at", "second"),
    [
        (AT, SECOND_OF_AT),
        ("2026-01-10T04:39:55.999999999Z", SECOND_OF_AT),
        ("2026-01-10T05:39:55.001+01:00", SECOND_OF_AT),
        ("2026-01-10 04:39:55", SECOND_OF_AT),
        (SECOND_OF_AT, SECOND_OF_AT),
        (SECOND_OF_AT + 0.999, SECOND_OF_AT),
        (SECOND_OF_AT * 1_000 + 999, SECOND_OF_AT),
        (str(SECOND_OF_AT), SECOND_OF_AT),
        (f" {SECOND_OF_AT}.9 ", SECOND_OF_AT),
        (str(SECOND_OF_AT * 1_000 + 999), SECOND_OF_AT),
        (0, 0),
        (-1, None),
        ("-1", None),
        ("1969-12-31T23:59:59Z", None),
        ("0001-01-01T00:00:00+14:00", None),
        ("9999-12-31T23:59:59.999-14:00", None),
        (253_402_300_799, None),
        ("NaN", None),
        ("inf", None),
        ("1e400", None),
        ("9" * 1_000_000, None),
        ("2026-02-30T00:00:00Z", None),
        ("yesterday", None),
        ("\ud800", None),
        ("", None),
        (10**400, None),
        (True, None),
        (None, None),
        ([1], None),
        ({"at": 1}, None),
    ],
    ids=lambda value: str(value)[:32],
)
def test_times_of_any_form_are_floored_to_the_second(at: Any, second: int | None) -> None:
    assert told("contact.user.updated", contact(updated_at=at)) == (
        Hint("contacts", CONTACT, second),
    )


def test_not_a_number_is_no_time() -> None:
    for at in (float("nan"), float("inf"), float("-inf")):
        assert told("x", contact(updated_at=at)) == (Hint("contacts", CONTACT),)


WORDS = st.sampled_from(
    ["type", "id", "contact", "company", "conversation", "model", "tag", "subscription_types",
     "updated_at", "deleted", "event", "intercom_user_id", "item", "data", "topic", "admin"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | WORDS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=6),
    max_leaves=25,
)


@given(topic=st.text(max_size=20) | WORDS, item=JSON)
@example(topic="contact.deleted", item={"type": "contact", "id": 10**400, "updated_at": 10**400})
def test_any_item_raises_nothing_and_hints_at_what_is_declared(topic: str, item: Any) -> None:
    for hint in told(topic, item):
        assert hint.resource in TABLES
        assert 0 < len(hint.id) <= LONGEST_ID
        assert hint.announced is None or 0 <= hint.announced < 10**11
        assert type(hint.gone) is bool


@given(st.binary(max_size=300) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_body_is_read_or_is_a_value_error(body: bytes) -> None:
    try:
        assert isinstance(read(body), Notification)
    except ValueError:
        return


def test_nothing_of_the_content_is_kept() -> None:
    body = json.dumps({"topic": "contact.user.updated", "data": {"item": contact(name="Ada")}})
    assert "Ada" not in repr(read(body.encode()))


@pytest.mark.parametrize("odd", ["", '"\\ud800"', "NaN", '"a\nb"', "9" * 5_000])
def test_what_is_odd_somewhere_changes_nothing_of_what_is_told(odd: str) -> None:
    inner = json.dumps({"contact": contact(), "conversation": {"model": {"id": 215}}, "id": "7"})
    rest = f', "parts": [1, {{"type": "contact", "id": {odd}}}]' if odd else ""
    body = f'{{"topic": "t", "app_id": "a", "data": {{"item": {inner[:-1]}{rest}}}}}}}'
    assert read(body.encode()) == Notification("t", "a", (HINT, Hint("conversations", "215")))
