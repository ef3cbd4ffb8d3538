"""Every resource, from the simulator to Postgres: rows equal, nothing rewritten when idle."""

from __future__ import annotations

from datetime import timedelta

import pytest

from connector.resources import RESOURCES
from connector.resources.readings import FullScan
from connector.simulator import Workspace
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400.0
OPTIONAL = [resource for resource in RESOURCES if resource.optional]


async def test_every_resource_equals_the_truth_and_stays_unwritten_when_idle(
    harness: Harness,
) -> None:
    harness.simulate(
        Workspace.generate(31, contacts=180, companies=20, conversations=30, now=int(NOW))
    )
    contacts = harness.control.truth("contacts")
    lead, user = (next(c["id"] for c in contacts if c["role"] == r) for r in ("lead", "user"))
    harness.control.merge_contacts(lead, user)
    harness.pass_time(120)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness) == []
    for name, tally in outcome.resources.items():
        told = tally.inserted + tally.updated + tally.unchanged
        assert told == tally.fetched, name
        assert tally.unchanged >= 0, name
    before = harness.versions()
    assert all(before.values()), [name for name, rows in before.items() if not rows]
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert harness.versions() == before


@pytest.mark.parametrize("nights", [3, pytest.param(6, marks=pytest.mark.chaos)])
async def test_nights_with_changes_everywhere_equal_the_truth_once_swept(
    harness: Harness, nights: int
) -> None:
    harness.simulate(
        Workspace.generate(33, contacts=200, companies=20, conversations=30, now=int(NOW))
    )
    await harness.sync()
    for night in range(nights):
        harness.control.change(fraction=0.05, seed=night, everything=True)
        harness.pass_time(DAY)
        # A sweep of a day reads every contact's events, notes and subscriptions each night.
        outcome = await harness.sync(refresh_interval=timedelta(days=1))
        assert outcome.exit_code == 0, outcome.error
        # Deleted tickets are told by no list that is read here.
        found = [
            text
            for text in differences(harness)
            if not (text.startswith("ticket") and text.endswith("should not live"))
        ]
        assert found == [], f"night {night}"


async def test_events_are_read_again_when_a_contact_was_active(harness: Harness) -> None:
    harness.simulate(
        Workspace.generate(35, contacts=60, companies=5, conversations=5, now=int(NOW))
    )
    await harness.sync()
    contact = harness.control.truth("contacts")[4]["id"]
    harness.pass_time(DAY)
    harness.control.track_event(contact, "opened", {"where": "app"}, server_side=False)
    harness.pass_time(600)
    harness.control.reset_stats()
    await harness.sync()
    asked = sum(n for k, n in harness.control.stats()["endpoints"].items() if k == "GET /events")
    assert 1 <= asked <= 10
    stored = harness.query(
        "SELECT metadata FROM events WHERE contact_id = %s AND event_name = 'opened'", contact
    )
    assert stored == [{"metadata": {"where": "app"}}]


async def test_a_full_run_reads_the_events_of_every_contact(harness: Harness) -> None:
    harness.simulate(
        Workspace.generate(36, contacts=60, companies=5, conversations=5, now=int(NOW))
    )
    await harness.sync()
    contact = harness.control.truth("contacts")[4]["id"]
    harness.control.track_event(contact, "billed", {}, server_side=True)  # moves nothing
    harness.pass_time(600)
    await harness.sync()
    silent = "SELECT 1 AS one FROM events WHERE event_name = 'billed'"
    assert harness.query(silent) == []
    await harness.sync(full=True)
    assert harness.query(silent) == [{"one": 1}]


async def test_what_a_plan_does_not_open_is_listed_and_fails_nothing(harness: Harness) -> None:
    harness.simulate(
        Workspace.generate(37, contacts=40, companies=5, conversations=5, now=int(NOW))
    )
    for resource in OPTIONAL:
        assert not isinstance(resource.reading, FullScan)  # which has two paths
        harness.control.deny(f"^{resource.reading.path}", 403)
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    refused = {name for name, tally in outcome.resources.items() if tally.status == "failed"}
    assert refused == {resource.name for resource in OPTIONAL} != set()
    harness.control.allow_all()
    assert (await harness.sync()).exit_code == 0
    harness.control.deny("^/calls", 403)
    outcome = await harness.sync()
    assert outcome.exit_code == 1  # it could be read before
    assert "calls" in (outcome.error or "")


async def test_what_was_asked_for_by_name_must_be_readable(harness: Harness) -> None:
    harness.simulate(
        Workspace.generate(37, contacts=40, companies=5, conversations=5, now=int(NOW))
    )
    harness.control.deny("^/calls", 403)
    assert (await harness.sync(only=("calls",))).exit_code == 1


async def test_no_view_counts_a_ticket_twice(harness: Harness) -> None:
    harness.simulate(
        Workspace.generate(38, contacts=80, companies=5, conversations=20, now=int(NOW)),
        tickets_in_conversations=True,
    )
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    both = "SELECT count(*) AS n FROM conversations JOIN tickets USING (id)"
    assert harness.query(both)[0]["n"] > 0
    live = "SELECT count(*) AS n FROM conversations_live JOIN tickets_live USING (id)"
    assert harness.query(live)[0]["n"] == 0


async def test_what_a_catalogue_omits_is_deleted_only_if_a_read_by_id_says_so(
    harness: Harness,
) -> None:
    harness.simulate(
        Workspace.generate(39, contacts=60, companies=5, conversations=5, now=int(NOW))
    )
    await harness.sync()
    gone = harness.control.truth("articles")[0]["id"]
    harness.control.delete_record("articles", gone)
    harness.pass_time(DAY)
    harness.control.fail({"path": f"^/articles/{gone}$"}, times=None, kind="html")
    assert (await harness.sync()).exit_code == 1  # a proxy's 404 confirms nothing
    assert harness.rows("articles")[gone]["_deleted_at"] is None
    harness.control.clear_faults()
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert outcome.resources["articles"].deleted == 1
    assert harness.rows("articles")[gone]["_deleted_at"] is not None
    before = harness.versions()["articles"]
    await harness.sync()
    assert harness.versions()["articles"] == before
