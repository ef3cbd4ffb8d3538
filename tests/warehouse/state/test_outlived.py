"""What waits for an object ends with its reason, and what has a reason goes on waiting."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from connector.simulator import Workspace
from connector.warehouse import state
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400
NEVER: dict[str, Any] = {"full_pass_days": 10_000}
ALWAYS: dict[str, Any] = {"full_pass_days": 0}


def workspace(seed: int = 81, **sizes: Any) -> Workspace:
    sizes = {"contacts": 50, "companies": 6, "conversations": 12, **sizes}
    return Workspace.generate(seed, **sizes, now=int(NOW))


def contacts(harness: Harness, role: str) -> list[str]:
    return [c["id"] for c in harness.control.truth("contacts") if c["role"] == role]


def pending(harness: Harness) -> set[tuple[str, str]]:
    rows = harness.query("SELECT resource, id FROM sync_pending")
    return {(row["resource"], row["id"]) for row in rows}


def asked(harness: Harness, path: str) -> int:
    return int(harness.control.stats()["endpoints"].get(path, 0))


# -- pending entries -------------------------------------------------------------------------


@pytest.mark.sampled(1)
@pytest.mark.parametrize("how", ["deleted", "merged", "archived"])
async def test_what_waits_for_a_contact_goes_with_it(harness: Harness, how: str) -> None:
    harness.simulate(workspace())
    harness.control.falsify("subscriptions-embedded")
    key = contacts(harness, "lead" if how == "merged" else "user")[0]
    harness.control.fail({"path": f"^/contacts/{key}/(notes|subscriptions)"}, times=None)
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert ("contact_subscriptions", key) in pending(harness)
    harness.pass_time(DAY)
    if how == "deleted":
        harness.control.delete_contact(key)
    elif how == "archived":
        harness.control.archive_contact(key)
    else:
        harness.control.merge_contacts(key, contacts(harness, "user")[0])
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == set()
    assert harness.rows("contacts")[key]["_deleted_at"] is not None


async def test_what_an_older_version_left_pending_of_a_deleted_contact_goes(
    harness: Harness,
) -> None:
    await harness.load(workspace())
    key = contacts(harness, "user")[0]
    harness.control.delete_contact(key)
    harness.pass_time(DAY)
    await harness.sync()
    harness.query(
        "INSERT INTO sync_pending (resource, id, reason, not_before, first_seen_at)"
        " VALUES ('events', %s, '500', now(), now())",
        key,
    )
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == set()


async def test_what_is_pending_of_a_resource_left_out_waits_until_it_is_selected(
    harness: Harness,
) -> None:
    harness.simulate(workspace())
    talk = harness.control.truth("conversations")[0]["id"]
    harness.control.fail({"path": f"^/conversations/{talk}$"}, times=None)
    assert (await harness.sync()).exit_code == 1
    outcome = await harness.sync(only=("tags", "users"))
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == {("conversations", talk)}
    harness.control.clear_faults()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == set()
    assert differences(harness) == []


async def test_a_pending_lead_that_became_a_user_is_settled(harness: Harness) -> None:
    harness.simulate(workspace(companies=14))
    lead = contacts(harness, "lead")[0]
    for company in harness.control.truth("companies"):
        harness.control.attach_company(lead, company["id"])
    harness.pass_time(DAY)
    harness.control.fail({"path": f"^/contacts/{lead}/companies"}, times=None)
    assert (await harness.sync()).exit_code == 1
    assert pending(harness) == {("leads", lead)}
    harness.control.convert_lead(lead)
    harness.control.clear_faults()
    harness.pass_time(DAY)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == set()
    assert differences(harness) == []


@pytest.mark.parametrize("others", ["some", "only users", "none"])
async def test_a_contact_whose_lists_are_not_found_is_asked_for_itself(
    harness: Harness, others: str
) -> None:
    harness.simulate(workspace(), index_lag=0)
    harness.control.deny("^/contacts/activities")
    key, *rest = contacts(harness, "user")
    others_die = {"some": [], "only users": contacts(harness, "lead")}
    for one in others_die.get(others, [*rest, *contacts(harness, "lead")]):
        harness.control.delete_contact(one)
    await harness.sync()
    harness.control.track_event(key, "opened", {}, server_side=False)
    harness.pass_time(DAY)
    harness.control.when({"path": "^/contacts/search"}, "delete_contact", {"id": key}, times=1)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == set()


async def test_what_waits_for_a_segment_goes_with_it(harness: Harness) -> None:
    harness.simulate(workspace())
    segment = max(harness.members())
    search = {"path": "^/contacts/search", "body": f'"{segment}"'}
    harness.control.fail(search, times=None, status=500)
    assert (await harness.sync()).exit_code == 1
    assert pending(harness) == {("contact_segments", segment)}
    harness.control.delete_segment(segment)
    harness.pass_time(DAY)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert pending(harness) == set()


async def test_a_contact_that_is_gone_fails_no_run_that_may_not_mark_it(harness: Harness) -> None:
    harness.simulate(workspace(), index_lag=0)
    harness.control.deny("^/contacts/activities")
    await harness.sync()
    key = contacts(harness, "user")[0]
    harness.control.delete_contact(key)
    for _ in range(8):  # until its turn has come
        harness.pass_time(DAY)
        outcome = await harness.sync(left_out=("users",), **NEVER)
        assert outcome.exit_code == 0, outcome.error
        assert pending(harness) == set()
    assert harness.rows("contacts")[key]["_deleted_at"] is None
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_a_living_contact_whose_notes_are_not_found_is_named_and_tried(
    harness: Harness,
) -> None:
    harness.simulate(workspace())
    harness.control.falsify("subscriptions-embedded")
    key = contacts(harness, "user")[0]
    harness.control.fail(
        {"path": f"^/contacts/{key}/subscriptions"}, times=None, status=404, code="not_found"
    )
    for _ in range(2):
        outcome = await harness.sync(**NEVER)
        assert outcome.exit_code == 1
        assert pending(harness) == {("contact_subscriptions", key)}
        assert [p.reason for p in outcome.overdue] == [state.CONTRADICTION]
        harness.pass_time(DAY)
    harness.control.clear_faults()
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


# -- placeholders ----------------------------------------------------------------------------


async def test_placeholders_whose_reads_failed_and_that_do_not_exist_are_settled(
    harness: Harness,
) -> None:
    harness.simulate(workspace(conversations=60))  # somebody who left wrote parts of them
    harness.control.fail({"path": r"^/admins/\d+$"}, times=None, status=500)
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert {name for name, _ in pending(harness)} == {"admins"}
    harness.control.clear_faults()
    for _ in range(2):
        harness.pass_time(DAY)
        outcome = await harness.sync()
        assert outcome.exit_code == 0, outcome.error
        assert pending(harness) == set()


async def test_placeholders_whose_reads_fail_are_named_and_filled_when_they_heal(
    harness: Harness,
) -> None:
    harness.simulate(workspace())
    contact = contacts(harness, "user")[0]
    company = harness.control.create_company("Unlisted")
    harness.control.attach_company(contact, company)
    harness.pass_time(DAY)
    harness.control.omit("companies", [company], 100 * DAY)
    harness.control.fail({"path": f"^/companies/{company}$"}, times=None)
    for _ in range(4):
        outcome = await harness.sync()
        assert outcome.exit_code == 1
        assert ("companies", company) in {(p.resource, p.id) for p in outcome.overdue}
        assert harness.rows("companies")[company]["_placeholder"]
        harness.pass_time(DAY)
    harness.control.clear_faults()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert not harness.rows("companies")[company]["_placeholder"]
    assert differences(harness) == []


async def test_a_placeholder_that_does_not_exist_is_asked_for_once(harness: Harness) -> None:
    await harness.load(workspace())
    harness.query("INSERT INTO companies (id, _placeholder) VALUES ('nobody', true)")
    counts = []
    for _ in range(3):
        harness.control.reset_stats()
        assert (await harness.sync(**NEVER)).exit_code == 0
        counts.append(asked(harness, "GET /companies/{id}"))
    assert counts == [counts[1] + 1, counts[1], counts[1]]
    assert harness.rows("companies")["nobody"]["_placeholder"]


# -- resources left out ----------------------------------------------------------------------


async def test_leads_that_are_not_selected_stay_placeholders_until_they_are(
    harness: Harness,
) -> None:
    harness.simulate(workspace(conversations=25))
    only = tuple(
        name for name in ("users", "conversations", "segments", "contact_segments", "companies")
    )
    leads = set(contacts(harness, "lead"))
    counts = []
    for night in range(3):
        harness.control.reset_stats()
        outcome = await harness.sync(only=only, **NEVER)
        assert outcome.exit_code == 0, outcome.error
        rows = harness.rows("contacts")
        assert {rows[key]["_placeholder"] for key in leads & set(rows)} == {True}
        assert all(not rows[key]["_placeholder"] for key in contacts(harness, "user"))
        counts.append(asked(harness, "GET /contacts/{id}"))
        for key in list(leads)[:5]:
            harness.control.update_contact(key, name=f"Night {night}")
        harness.pass_time(DAY)
    assert counts[1:] == [0, 0]
    harness.pass_time(DAY)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_rows_of_leads_stay_as_they_are_when_they_are_no_longer_selected(
    harness: Harness,
) -> None:
    await harness.load(workspace())
    lead = contacts(harness, "lead")[0]
    before = {k: v for k, v in harness.rows("contacts").items() if v["role"] == "lead"}
    harness.control.update_contact(lead, name="Other")
    harness.control.delete_contact(contacts(harness, "lead")[1])
    harness.pass_time(DAY)
    assert (await harness.sync(only=("users", "conversations"))).exit_code == 0
    after = {k: v for k, v in harness.rows("contacts").items() if v["role"] == "lead"}
    assert after == before
    harness.pass_time(DAY)
    assert (await harness.sync(**ALWAYS)).exit_code == 0
    assert differences(harness) == []


# -- lists shorter than counted --------------------------------------------------------------


async def test_a_note_that_is_counted_and_not_listed_is_asked_for_again(harness: Harness) -> None:
    harness.simulate(workspace(contacts=40))
    noted = [c for c in harness.control.truth("contacts") if c["notes"]["total_count"]]
    key = noted[0]["id"]
    harness.control.fail({"path": f"^/contacts/{key}/notes"}, times=1, status=404, code="not_found")
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 1  # it is there, and its notes are not
    assert pending(harness) == {("contact_notes", key)}
    harness.pass_time(3_600)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_a_list_shorter_than_counted_marks_nothing_and_is_tried_ever_more_rarely(
    harness: Harness,
) -> None:
    await harness.load(workspace(contacts=40))
    note = harness.query("SELECT id, contact_id FROM contact_notes ORDER BY id LIMIT 1")[0]
    key = note["contact_id"]
    harness.query("UPDATE sync_reads SET read_at = read_at - interval '60 days' WHERE id = %s", key)
    harness.query(
        "UPDATE contacts SET notes_total_count = notes_total_count + 1 WHERE id = %s", key
    )
    item = harness.simulator.workspace.shelf("contacts").current[key]
    kept = tuple(n for n in item.owned.notes if f'"id":"{note["id"]}"' not in n.decode())
    object.__setattr__(item, "owned", item.owned._replace(notes=kept))
    marked, short = [], []
    for _ in range(7):
        harness.pass_time(DAY)
        outcome = await harness.sync(refresh_interval=timedelta(days=10_000), **NEVER)
        assert outcome.exit_code == 0, outcome.error
        marked.append(harness.rows("contact_notes")[note["id"]]["_deleted_at"] is not None)
        [row] = harness.query(
            "SELECT short_reads FROM sync_reads WHERE resource = 'contact_notes' AND id = %s", key
        )
        short.append(row["short_reads"])
    assert marked[:2] == [False, True]  # twice the same is believed
    assert short[:3] == [1, 2, 3]
    assert short == [1, 2, 3, 4, 4, 5, 5]  # not every night for ever
