"""What Intercom lists only contact by contact or segment by segment, and changes in silence."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.simulator import Workspace
from connector.sync.guards.embedded_lists import EMPTY, SIZE
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

DAY = 86_400.0


def small() -> Workspace:
    return Workspace.generate(21, contacts=150, companies=10, conversations=5, now=int(NOW))


def requests(harness: Harness, path: str) -> int:
    """How many requests of that kind were sent since the counts were reset."""
    return sum(n for name, n in harness.control.stats()["endpoints"].items() if path in name)


async def test_notes_subscriptions_and_members_are_complete_after_the_first_sync(
    harness: Harness,
) -> None:
    await harness.load(small())
    assert differences(harness) == []
    for table in ("contact_notes", "contact_subscriptions", "contact_segments"):
        assert harness.query(f"SELECT count(*) AS n FROM {table}")[0]["n"] > 0


async def test_an_immediate_second_run_reads_no_contact_again(harness: Harness) -> None:
    await harness.load(small())
    harness.control.reset_stats()
    await harness.sync()
    assert requests(harness, "/notes") == 0
    assert requests(harness, "/subscriptions") <= SIZE + EMPTY  # a sample of what records embed


async def test_notes_are_read_where_the_count_differs(harness: Harness) -> None:
    await harness.load(small())
    contact = harness.control.truth("contacts")[3]["id"]
    admin = harness.control.truth("admins")[0]["id"]
    harness.control.add_note(contact, "<p>a word</p>", admin)
    harness.control.update_contact(contact, name="seen again")
    harness.pass_time(3_600)
    harness.control.reset_stats()
    await harness.sync()
    assert requests(harness, "/notes") == 2  # and one contact whose turn it is
    assert differences(harness) == []
    assert harness.rows("contacts")[contact]["_run_id"] == 2


async def test_silent_changes_are_found_within_the_days_of_a_sweep(harness: Harness) -> None:
    await harness.load(small())
    contacts = [c["id"] for c in harness.control.truth("contacts")][:20]
    types = [t["id"] for t in harness.control.truth("subscription_types")]
    admin = harness.control.truth("admins")[0]["id"]
    for contact in contacts:
        harness.control.add_note(contact, "<p>silent</p>", admin)
        harness.control.subscribe_contact(contact, types[0], subscribed=False)
    harness.control.reset_stats()
    nights = 8
    for _ in range(nights):
        harness.pass_time(DAY)
        outcome = await harness.sync(refresh_interval=timedelta(days=7))
        assert outcome.exit_code == 0, outcome.error
    # Spread over the days: a seventh of all contacts each night, not all at once.
    assert requests(harness, "/subscriptions") <= 150 * nights / 7 + nights
    notes = harness.query("SELECT contact_id FROM contact_notes WHERE body = '<p>silent</p>'")
    assert {row["contact_id"] for row in notes} == set(contacts)
    wanted = {
        (c["id"], s["id"])
        for c in harness.control.truth("contacts")
        for s in c["subscriptions"]["data"]
    }
    stored = harness.query("SELECT * FROM contact_subscriptions")
    assert {(row["contact_id"], row["subscription_type_id"]) for row in stored} == wanted


async def test_members_of_segments_come_and_go(harness: Harness) -> None:
    await harness.load(small())
    segments = [s["id"] for s in harness.control.truth("segments") if s["person_type"] != "company"]
    contacts = [c["id"] for c in harness.control.truth("contacts")]
    harness.control.set_segments(contacts[0], segments)
    harness.control.set_segments(contacts[1], [])
    harness.pass_time(DAY)
    await harness.sync()
    assert differences(harness) == []


async def test_a_note_that_a_complete_list_omits_is_marked_and_stays(harness: Harness) -> None:
    await harness.load(small())
    note = harness.query("SELECT id, contact_id FROM contact_notes ORDER BY id LIMIT 1")[0]
    item = harness.simulator.workspace.shelf("contacts").current[note["contact_id"]]
    kept = tuple(n for n in item.owned.notes if f'"id":"{note["id"]}"' not in n.decode())
    object.__setattr__(item, "owned", item.owned._replace(notes=kept))
    for _ in range(3):
        harness.pass_time(3 * DAY)
        await harness.sync(refresh_interval=timedelta(days=5))
    row = harness.rows("contact_notes")[note["id"]]
    assert row["_deleted_at"] is not None
    assert row["body"]


async def test_one_contact_that_cannot_be_read_is_pending_and_the_rest_goes_on(
    harness: Harness,
) -> None:
    harness.simulate(small())
    contact = harness.control.truth("contacts")[5]["id"]
    harness.control.falsify("subscriptions-embedded")
    harness.control.fail({"path": f"/contacts/{contact}/subscriptions"}, times=None, status=500)
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert [(p.resource, p.id) for p in outcome.overdue] == [("contact_subscriptions", contact)]
    harness.control.clear_faults()
    assert (await harness.sync()).exit_code == 0
    assert differences(harness) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("contacts", [20, 45])
async def test_a_sweep_ends_however_few_contacts_there_are(harness: Harness, contacts: int) -> None:
    harness.simulate(
        Workspace.generate(3, contacts=contacts, companies=3, conversations=2, now=int(NOW))
    )
    await harness.sync()
    harness.pass_time(DAY)
    for contact in harness.control.truth("contacts"):
        harness.control.track_event(contact["id"], "silent", {})
    for _ in range(31):
        harness.pass_time(DAY)
        await harness.sync(only=("events",))
    [row] = harness.query("SELECT count(*) AS n FROM events WHERE event_name = 'silent'")
    assert row["n"] == contacts


async def test_a_forced_full_pass_reads_every_contact_again(harness: Harness) -> None:
    await harness.load(small(), index_lag=0)
    key = harness.control.truth("contacts")[7]["id"]
    for one in harness.control.truth("subscription_types"):
        harness.control.subscribe_contact(key, one["id"], one["consent_type"] == "opt_in")
    harness.pass_time(DAY)
    await harness.sync(full=True)
    assert differences(harness) == []
