"""What happens to a row in time: deletes, merges, archives, and changes that nobody announces."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import format_datetime
from types import SimpleNamespace
from typing import Any

import pytest

from connector.intercom.clock import Clock
from connector.simulator import Workspace
from connector.sync.resource_pass import Pass
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400
ALWAYS: dict[str, Any] = {"full_pass_days": 0}  # a full pass at every run
NEVER: dict[str, Any] = {"full_pass_days": 10_000}


@pytest.fixture
def space() -> Workspace:
    return Workspace.generate(51, contacts=150, companies=12, conversations=30, now=int(NOW))


def contacts(harness: Harness, role: str) -> list[str]:
    return [c["id"] for c in harness.control.truth("contacts") if c["role"] == role]


def instant(seconds: float) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC)


# -- feeds -----------------------------------------------------------------------------------


async def test_a_deleted_contact_is_marked_by_the_feed_at_intercoms_time(
    harness: Harness, space: Workspace
) -> None:
    await harness.load(space)
    gone = contacts(harness, "user")[3]
    harness.pass_time(DAY)
    harness.control.delete_contact(gone)
    deleted_at = instant(harness.now)
    harness.pass_time(30)  # lists still show it
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert sum(tally.deleted for tally in outcome.resources.values()) == 1
    assert harness.rows("contacts")[gone]["_deleted_at"] == deleted_at
    before = harness.versions()
    harness.pass_time(DAY)
    await harness.sync(**NEVER)
    assert harness.versions() == before


async def test_a_deleted_conversation_is_marked_by_its_feed_at_intercoms_time(
    harness: Harness, space: Workspace
) -> None:
    await harness.load(space)
    ids = [c["id"] for c in harness.control.truth("conversations") if not c["_hidden"]]
    harness.pass_time(DAY)
    times = {}
    for key in ids[:3]:
        harness.control.delete_conversation(key)
        times[key] = instant(harness.now)
        harness.pass_time(100)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert outcome.resources["deleted_conversations"].deleted == 3
    rows = harness.rows("conversations")
    assert {key: rows[key]["_deleted_at"] for key in times} == times


async def test_a_merge_is_a_row_and_its_source_is_gone(harness: Harness, space: Workspace) -> None:
    await harness.load(space)
    lead, user = contacts(harness, "lead")[2], contacts(harness, "user")[5]
    harness.pass_time(DAY)
    harness.control.merge_contacts(lead, user)
    merged_at = instant(harness.now)
    harness.pass_time(400)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert sum(tally.deleted for tally in outcome.resources.values()) == 1
    assert differences(harness) == []
    [row] = harness.query("SELECT * FROM contact_merges")
    assert (row["source_contact_id"], row["target_contact_id"]) == (lead, user)
    assert row["merged_at"] == merged_at
    assert harness.rows("contacts")[lead]["_deleted_at"] == merged_at


@pytest.mark.sampled(1)
@pytest.mark.parametrize("status", [400, 403, 404])
async def test_a_refused_feed_is_no_failure_and_full_passes_find_the_same(
    harness: Harness, space: Workspace, status: int
) -> None:
    harness.simulate(space)
    harness.control.fail(
        {"path": "^/contacts/activities"},
        times=None,
        status=status,
        code={400: "intercom_version_invalid", 403: "forbidden", 404: "not_found"}[status],
    )
    assert (await harness.sync()).exit_code == 0
    user, (lead, other) = contacts(harness, "user")[0], contacts(harness, "lead")[:2]
    harness.control.delete_contact(user)
    harness.control.merge_contacts(lead, contacts(harness, "user")[1])
    harness.control.delete_contact(other)
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []
    rows = harness.rows("contacts")
    assert all(rows[key]["_deleted_at"] for key in (user, lead, other))
    assert sum(tally.deleted for tally in outcome.resources.values()) == 3


async def test_the_feed_of_activities_can_be_turned_off(harness: Harness, space: Workspace) -> None:
    harness.simulate(space)
    outcome = await harness.sync(activity_feed=False)
    assert outcome.exit_code == 0
    assert "GET /contacts/activities" not in harness.control.stats()["endpoints"]


async def test_the_feed_is_asked_on_preview_and_the_rest_is_not(
    harness: Harness, space: Workspace
) -> None:
    await harness.load(space)
    assert harness.query("SELECT * FROM sync_workspace")[0]["api_version"] == "2.16"
    assert harness.query("SELECT position FROM sync_state WHERE resource = 'contact_merges'")
    harness.pass_time(DAY)
    for _ in range(400):
        harness.control.create_contact("lead")
    harness.pass_time(DAY)
    await harness.sync(**NEVER)
    first = harness.query("SELECT position FROM sync_state WHERE resource = 'contact_merges'")
    assert first[0]["position"] is not None
    gone = contacts(harness, "lead")[-1]
    harness.control.delete_contact(gone)
    harness.pass_time(DAY)
    harness.control.reset_stats()
    await harness.sync(**NEVER)
    assert harness.control.stats()["endpoints"]["GET /contacts/activities"] == 1
    assert harness.rows("contacts")[gone]["_deleted_at"] is not None


async def test_a_page_token_that_is_no_longer_accepted_begins_the_feed_anew(
    harness: Harness, space: Workspace
) -> None:
    harness.simulate(space)
    for _ in range(200):
        harness.control.create_contact("lead")
    harness.pass_time(DAY)
    await harness.sync()
    harness.control.delete_contact(gone := contacts(harness, "lead")[0])
    harness.control.fail(
        {"path": "^/contacts/activities"},
        status=400,
        code="client_error",
        message="Invalid starting_after param.",
    )
    harness.pass_time(DAY)
    outcome = await harness.sync(**NEVER)
    assert outcome.exit_code == 0, outcome.error
    assert harness.rows("contacts")[gone]["_deleted_at"] is not None


# -- full passes -----------------------------------------------------------------------------


async def test_full_passes_find_what_no_feed_tells(harness: Harness, space: Workspace) -> None:
    await harness.load(space)
    archived = contacts(harness, "user")[7]
    harness.control.archive_contact(archived)
    ticket = harness.control.truth("tickets")[0]["id"]
    harness.control.delete_ticket(ticket)
    company = next(c["id"] for c in harness.control.truth("companies") if not c["_hidden"])
    harness.control.delete_company(company)
    conversation = next(c for c in harness.control.truth("conversations") if not c["_hidden"])
    harness.control.mark_read(conversation["id"], not conversation["read"])
    harness.control.rate(conversation["id"], 3, silent=True)
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    found = [text for text in differences(harness) if archived not in text]
    assert found == []
    assert harness.rows("tickets")[ticket]["_deleted_at"] is not None
    assert harness.rows("companies")[company]["_deleted_at"] is not None


async def test_a_full_pass_of_what_is_known_asks_for_lists_only_and_writes_nothing(
    harness: Harness, space: Workspace
) -> None:
    await harness.load(space)
    before = harness.versions()
    harness.pass_time(DAY)
    harness.control.reset_stats()
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    assert harness.versions() == before
    asked = harness.control.stats()["endpoints"]
    assert "GET /conversations/{id}" not in asked
    assert (
        outcome.resources["conversations"].unchanged == outcome.resources["conversations"].fetched
    )


async def test_a_forced_full_pass_takes_nothing_as_known(
    harness: Harness, space: Workspace
) -> None:
    await harness.load(space)
    key = next(c["id"] for c in harness.control.truth("conversations") if not c["_hidden"])
    harness.query(f"UPDATE conversation_parts SET body = 'x' WHERE conversation_id = '{key}'")
    harness.pass_time(DAY)
    outcome = await harness.sync(full=True)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_a_record_that_embeds_a_cut_list_is_never_taken_as_known(harness: Harness) -> None:
    harness.simulate(
        Workspace.generate(52, contacts=30, companies=3, conversations=3, now=int(NOW))
    )
    user = contacts(harness, "user")[0]
    tags = [tag["id"] for tag in harness.control.truth("tags")]
    for tag in tags[:15]:
        harness.control.tag_contact(user, tag)
    harness.pass_time(DAY)
    await harness.sync()
    eleventh = harness.control.truth_one("contacts", user)["tags"]["data"][10]["id"]
    updated_at = harness.control.truth_one("contacts", user)["updated_at"]
    harness.control.untag_contact(user, eleventh)
    harness.control.update_contact_silently(user, updated_at=updated_at)
    harness.pass_time(DAY)
    await harness.sync(**ALWAYS)
    assert differences(harness) == []


async def test_a_company_without_users_is_hidden_not_deleted_and_asked_for_rarely(
    harness: Harness, space: Workspace
) -> None:
    await harness.load(space)
    company = next(c["id"] for c in harness.control.truth("companies") if not c["_hidden"])
    members = [
        c["id"]
        for c in harness.control.truth("contacts")
        if any(one["id"] == company for one in c["companies"]["data"])
    ]
    for member in members:
        harness.control.detach_company(member, company)
    asked = []
    for _ in range(4):
        harness.pass_time(DAY)
        harness.control.reset_stats()
        assert (await harness.sync()).exit_code == 0
        asked.append(harness.control.stats()["endpoints"].get("GET /companies/{id}", 0))
        assert harness.rows("companies")[company]["_deleted_at"] is None
    assert asked == [1, 1, 0, 0]
    harness.control.attach_company(members[0], company)
    harness.pass_time(DAY)
    await harness.sync()
    assert harness.query("SELECT * FROM sync_unlisted WHERE table_name = 'companies'") == []
    assert differences(harness) == []


async def test_implausibly_many_deletions_fail_the_resource_until_allowed(
    harness: Harness, space: Workspace
) -> None:
    harness.simulate(space)
    await harness.sync(activity_feed=False)
    for key in contacts(harness, "user")[:30]:
        harness.control.delete_contact(key)
    harness.pass_time(DAY)
    for _ in range(2):
        outcome = await harness.sync(activity_feed=False, **ALWAYS)
        assert outcome.exit_code == 1
        assert "--allow-deletes" in (outcome.resources["users"].error or "")
        assert not any(row["_deleted_at"] for row in harness.rows("contacts").values())
        harness.pass_time(DAY)
    outcome = await harness.sync(activity_feed=False, allow_deletes=True)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []


async def test_an_unarchived_contact_lives_again(harness: Harness, space: Workspace) -> None:
    await harness.load(space)
    lead = contacts(harness, "lead")[0]
    harness.query(f"UPDATE contacts SET _deleted_at = _read_at WHERE id = '{lead}'")
    harness.query("DELETE FROM sync_digests")
    harness.pass_time(DAY)
    await harness.sync(**ALWAYS)
    assert harness.rows("contacts")[lead]["_deleted_at"] is None
    assert differences(harness) == []


async def test_a_forced_full_pass_asks_for_what_is_hidden(
    harness: Harness, space: Workspace
) -> None:
    await harness.load(space, index_lag=0)
    company = next(c["id"] for c in harness.control.truth("companies") if not c["_hidden"])
    for contact in harness.control.truth("contacts"):
        harness.control.detach_company(contact["id"], company)
    for _ in range(3):
        harness.pass_time(DAY)
        await harness.sync()
    harness.control.delete_company(company)
    harness.pass_time(DAY)
    await harness.sync(full=True)
    assert harness.rows("companies")[company]["_deleted_at"] is not None


# -- lists that are asked for alone ----------------------------------------------------------


async def test_a_list_that_is_asked_for_alone_asks_for_no_other(harness: Harness) -> None:
    await harness.load(Workspace.generate(61, contacts=200, companies=40, now=int(NOW)))
    harness.pass_time(DAY)
    harness.control.reset_stats()
    only = ("leads", "users", "contact_subscriptions")  # what companies count is not fresh
    outcome = await harness.sync(only=only, full_pass_days=0)
    assert outcome.exit_code == 0, outcome.error
    assert harness.control.stats()["endpoints"]["GET /contacts/{id}/companies"] > 0
    assert outcome.resources["contact_subscriptions"].requests == 0


def test_no_pass_of_a_run_seems_to_have_begun_before_it() -> None:
    local = [1_000.0]
    clock = Clock(lambda: local[0])

    def observe() -> None:  # Date is cut to whole seconds
        date = format_datetime(datetime.fromtimestamp(int(local[0]), UTC), usegmt=True)
        clock.observe(date, local[0], local[0] + 0.01)

    observe()
    work: Any = SimpleNamespace(client=SimpleNamespace(clock=clock), run_began=1_000.0)
    before, work.began = Pass.run_began_at(work), 1_000.1
    local[0] += 0.95
    observe()
    assert Pass.run_began_at(work) < Pass.began_at(work) < before
