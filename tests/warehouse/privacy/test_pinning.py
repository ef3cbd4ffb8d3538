"""What is kept out of a schema is what whole runs say, whatever other shells are set to."""

from __future__ import annotations

from typing import Any

import pytest

from connector.errors import SettingsError
from connector.resources import BY_NAME, RESOURCES
from connector.simulator import Workspace
from connector.sync.on_demand.verify import verify
from connector.sync.outcome import Outcome
from connector.sync.run import refetch
from connector.warehouse.encode.exclusions import Exclusions, Privacy
from connector.warehouse.privacy import cleaning, pinning
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from connector.warehouse.state import mapping
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

KEY = "0123456789abcdef0123456789abcdef"
OTHER_KEY = KEY[::-1]
DAY = 86_400.0
MARK = "s3cr3t"

# Something of every way of reading: searches, whole objects by id, lists read beside contacts,
# events, the scroll, catalogues, logs, links, parts, and maps.
EVERYWHERE = (
    "contacts.email,contacts.custom_attributes.plan_tier,contact_tags.applied_by_type,"
    "contact_notes.body,events.metadata,events.email,companies.name,companies.website,"
    "conversations.source_body,conversations.title,conversation_parts.body,"
    "conversation_part_attachments.name,conversation_tags.applied_by_type,tickets.ticket_attributes,"
    "ticket_parts.body,calls.phone,macros.body,articles.title,activity_logs.metadata,tags.name,"
    "segments.name,admins.email,news_items.body,contact_merges.source_contact_role"
)


def excluding(text: str, key: str = KEY) -> Privacy:
    return Privacy(parse(text, key))


def lively(harness: Harness) -> str:
    """A workspace with something in every excluded field; the contact that has most."""
    small: dict[str, Any] = {
        "events": 30, "tickets": 6, "articles": 4, "macros": 3, "calls": 4, "news_items": 3,
    }  # fmt: skip
    harness.simulate(
        Workspace.generate(1, contacts=40, companies=24, conversations=12, **small, now=int(NOW))
    )
    control = harness.control
    key = next(c["id"] for c in control.truth("contacts") if c["role"] == "user")
    lead = next(c["id"] for c in control.truth("contacts") if c["role"] == "lead")
    control.update_contact(key, email=f"{MARK}@example.com", custom_attributes={"plan_tier": MARK})
    control.add_note(key, body=MARK)
    control.track_event(key, "bought", metadata={"card": MARK})
    conversation = control.create_conversation(key, body=MARK)
    control.reply(conversation, body=MARK)
    control.merge_contacts(lead, key)
    harness.pass_time(3600)
    return key


async def whole(harness: Harness, **options: Any) -> Outcome:
    outcome = await harness.sync(**options)
    assert outcome.exit_code == 0, outcome.error
    return outcome


def filled(harness: Harness) -> dict[str, int]:
    """How many rows hold something in each excluded column."""
    return {
        name: harness.query(f'SELECT count("{name.split(".")[1]}") AS n FROM {name.split(".")[0]}')[
            0
        ]["n"]
        for name in EVERYWHERE.split(",")
        if name.count(".") == 1
    }


# -- lifting ---------------------------------------------------------------------------------


async def test_every_value_comes_back_when_its_exclusion_is_lifted(harness: Harness) -> None:
    lively(harness)
    await whole(harness, privacy=excluding(EVERYWHERE))
    assert set(filled(harness).values()) == {0}
    harness.pass_time(DAY)
    await whole(harness, lift_exclusions=True)
    missing = [name for name, rows in filled(harness).items() if not rows]
    assert missing == []
    assert differences(harness) == []


async def test_what_is_excluded_for_one_night_is_whole_again_after_it(harness: Harness) -> None:
    lively(harness)
    await whole(harness)
    before = filled(harness)
    harness.pass_time(DAY)
    await whole(harness, privacy=excluding(EVERYWHERE))
    assert set(filled(harness).values()) == {0}
    harness.pass_time(DAY)
    await whole(harness, lift_exclusions=True)
    after = filled(harness)
    for name in ("events.email", "events.metadata"):  # some are past the days that Intercom lists
        assert 0 < after.pop(name) <= before.pop(name)
    assert after == before
    assert differences(harness) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("stage", ["pinned", "half clean", "clean"])
async def test_a_run_killed_after_excluding_loses_nothing_and_leaks_nothing(
    harness: Harness, stage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lively(harness)
    await whole(harness)
    monkeypatch.setattr(cleaning, "BATCH", 30)
    kept_out = parse(EVERYWHERE)
    database = Database(harness.database_url, harness.schema)
    database.write(lambda conn: pinning.apply(conn, kept_out, pins=True))
    names = Names(harness.schema)
    steps = {"pinned": 0, "half clean": 6, "clean": 10_000}[stage]
    for _ in range(steps):
        if not database.write(lambda conn: cleaning.step(conn, names, kept_out, 1)):
            break
    database.close()
    # Another shell, which lacks the exclusions: refused, and asked for all the same.
    before = harness.text()
    with pytest.raises(SettingsError, match="no longer excluded"):
        await harness.sync()
    assert harness.text() == before
    await whole(harness, lift_exclusions=True)
    assert differences(harness) == []
    await whole(harness, privacy=Privacy(kept_out))
    assert set(filled(harness).values()) == {0}


async def test_only_what_holds_excluded_fields_is_read_again(harness: Harness) -> None:
    lively(harness)
    await whole(harness)
    harness.pass_time(3600)
    await whole(harness, privacy=excluding("calls.phone,contact_notes.body"))
    full = harness.query("SELECT * FROM sync_state WHERE last_full_pass_at = fresh_as_of")
    assert {row["resource"] for row in full} >= {"calls", "contact_notes"}
    states = {row["resource"]: row for row in harness.query("SELECT * FROM sync_state")}
    for name in ("conversations", "contact_subscriptions", "events"):
        assert states[name]["last_full_pass_at"] < states[name]["fresh_as_of"], name


# -- first loads -----------------------------------------------------------------------------


async def test_a_first_load_killed_under_exclusions_is_whole_without_them(
    harness: Harness,
) -> None:
    lively(harness)
    for path in ("^/contacts/search", "^/conversations/\\d+", "^/events", "^/contacts/[^/]+/notes"):
        harness.control.fail({"path": path}, times=None, after=12, status=500)
    privacy = excluding("contacts.email,conversation_parts.body,events.metadata,contact_notes.body")
    for _ in range(2):
        assert (await harness.sync(privacy=privacy)).exit_code == 1
    harness.control.clear_faults()
    with pytest.raises(SettingsError):
        await harness.sync()
    await whole(harness, lift_exclusions=True)
    assert differences(harness) == []


async def test_a_first_load_by_name_pins_nothing_and_is_made_whole(harness: Harness) -> None:
    lively(harness)
    email = excluding("contacts.email")
    await whole(harness, privacy=email, only=("users",), partial=True)
    assert filled(harness)["contacts.email"] == 0
    await whole(harness)  # the first whole run says what is kept out: nothing
    assert differences(harness) == []
    with pytest.raises(SettingsError, match=r"newly excluded: contacts\.email"):
        await harness.sync(privacy=email, only=("users",), partial=True)


# -- commands that are no whole run ----------------------------------------------------------


async def test_what_writes_under_other_exclusions_is_refused_and_changes_nothing(
    harness: Harness,
) -> None:
    key = lively(harness)
    pinned = f"hash:contacts.email,contacts.phone,contacts.custom_attributes.{MARK}"
    await whole(harness, privacy=excluding(pinned))
    before = harness.text()
    for text, hash_key, said in [
        ("", KEY, "no longer excluded: contacts.custom_attributes.s3cr3t, contacts.email"),
        (f"{pinned},contacts.name", KEY, "newly excluded: contacts.name"),
        (pinned, OTHER_KEY, "hashed with another CONNECTOR_HASH_KEY: contacts.email"),
        (pinned.replace("hash:", ""), KEY, "newly excluded: contacts.email"),
        (pinned.replace("contacts.phone", "hash:contacts.phone"), KEY, "excluded: contacts.phone"),
    ]:
        privacy = excluding(text, hash_key)
        with pytest.raises(SettingsError, match=said) as raised:
            await harness.sync(privacy=privacy, only=("users",), partial=True)
        assert raised.value.exit_code == 2
        assert KEY not in str(raised.value)
        assert OTHER_KEY not in str(raised.value)
        with pytest.raises(SettingsError, match=said):
            await again(harness, key, privacy)
    assert harness.text() == before
    assert (await again(harness, key, excluding(pinned))).exit_code == 0
    assert (await harness.sync(privacy=excluding(pinned), only=("users",))).exit_code == 0


async def again(harness: Harness, key: str, privacy: Privacy) -> Outcome:
    database = Database(harness.database_url, harness.schema)
    try:
        async with harness.client() as client:
            return await refetch(client, database, BY_NAME["users"], [key], privacy)
    finally:
        database.close()


async def test_another_hash_key_needs_to_be_allowed_and_changes_every_hash(
    harness: Harness,
) -> None:
    key = lively(harness)
    text = "hash:contacts.email,hash:events.email,hash:conversation_parts.author_email"
    await whole(harness, privacy=excluding(text))
    first = harness.rows("contacts")[key]["email"]
    other = excluding(text, OTHER_KEY)
    with pytest.raises(SettingsError, match="another CONNECTOR_HASH_KEY"):
        await harness.sync(privacy=other)
    await whole(harness, privacy=other, lift_exclusions=True)
    second = harness.rows("contacts")[key]["email"]
    assert second not in (first, None)
    assert first not in harness.text()
    joined = "SELECT 1 FROM contacts c JOIN events e ON e.contact_id = c.id AND e.email = c.email"
    assert harness.query(joined)


async def test_more_exclusions_take_effect_at_once_and_less_are_named(harness: Harness) -> None:
    lively(harness)
    await whole(harness, privacy=excluding("contacts.email"))
    await whole(harness, privacy=excluding("contacts.email,contacts.name"))
    assert harness.query("SELECT count(name) AS n FROM contacts")[0]["n"] == 0
    for options in ({}, {"full": True}, {"only": ("users",)}):
        with pytest.raises(SettingsError, match=r"no longer excluded: contacts\.email"):
            await harness.sync(privacy=excluding("contacts.name"), **options)
    await whole(harness, privacy=excluding("contacts.name"), lift_exclusions=True)
    assert harness.query("SELECT count(email) AS n FROM contacts")[0]["n"] > 0


async def test_verify_compares_with_what_the_schema_is_pinned_to(harness: Harness) -> None:
    lively(harness)
    pinned = "contacts.phone,hash:contacts.email,hash:conversation_parts.author_email"
    await whole(harness, privacy=excluding(pinned))
    before = harness.text()
    for given in ("", "contacts.name", pinned):
        for key in (KEY, OTHER_KEY):
            database = Database(harness.database_url, harness.schema)
            async with harness.client() as client:
                found = await verify(client, database, None, 500, parse(given, key))
            database.close()
            assert all(not one.differences for one in found.values()), (given, key, found)
    assert harness.text() == before


# -- what an older version left --------------------------------------------------------------


async def test_a_schema_of_an_older_version_is_pinned_to_what_it_holds(harness: Harness) -> None:
    lively(harness)
    await whole(harness, privacy=excluding("contacts.email"))
    harness.query("ALTER TABLE sync_workspace DROP COLUMN exclusions_pinned_at")
    database = Database(harness.database_url, harness.schema)
    try:
        look = lambda conn: pinning.difference(conn, harness.schema, Exclusions())  # noqa: E731
        assert database.write(look).lifted == ("contacts.email",)
    finally:
        database.close()


# -- how rows are made, by resource ----------------------------------------------------------


def test_every_table_is_filled_by_a_resource_and_separate_lists_by_their_own() -> None:
    tables = {
        name
        for resource in RESOURCES
        for part in resource.table.family()
        for name in (part.name, *(link.table for link in part.links))
    }
    assert set().union(*map(mapping.fills, RESOURCES)) == tables
    assert mapping.fills(BY_NAME["contact_notes"]) == {"contact_notes"}
    assert mapping.fills(BY_NAME["contact_subscriptions"]) == {"contact_subscriptions"}
    assert mapping.fills(BY_NAME["contact_segments"]) == {"contact_segments"}
    assert "contact_notes" not in mapping.fills(BY_NAME["users"])
    assert "contact_merges" in mapping.fills(BY_NAME["users"])


def test_rows_are_made_otherwise_only_where_something_of_them_is_excluded() -> None:
    plain, some = mapping.Inputs("2.16"), mapping.Inputs("2.16", parse("contact_notes.body"))
    changed = {r.name for r in RESOURCES if plain.of(r) != some.of(r)}
    assert changed == {"contact_notes"}
    preview = mapping.Inputs("Preview")
    assert all(plain.of(r) != preview.of(r) for r in RESOURCES)
