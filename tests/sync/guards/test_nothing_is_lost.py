"""What lists wrongly leave out is not deleted, and what is deleted does not come back."""

from __future__ import annotations

from typing import Any

import pytest

from connector.simulator import Workspace
from connector.simulator.encoding import decode, encode
from connector.simulator.messages import Request, Response
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400
ALWAYS: dict[str, Any] = {"full_pass_days": 0}  # a full pass at every run
KINDS = ("contacts", "companies", "conversations", "tickets", "articles", "macros")


@pytest.fixture
def space() -> Workspace:
    return Workspace.generate(61, contacts=70, companies=22, conversations=12, now=int(NOW))


def shown(harness: Harness, kind: str, **fields: Any) -> list[str]:
    """Ids of what lists show of a kind, where these fields have these values."""
    return [
        str(one["id"])
        for one in harness.control.truth(kind)
        if not one.get("_hidden") and fields.items() <= one.items()
    ]


def dead(harness: Harness) -> list[str]:
    """Everything that the warehouse takes for deleted."""
    return [
        f"{kind} {key}"
        for kind in (*KINDS, "tags", "admins", "segments", "teams")
        for key, row in harness.rows(kind).items()
        if row["_deleted_at"]
    ]


# -- nothing is marked deleted because ... ---------------------------------------------------


@pytest.mark.sampled(1)
@pytest.mark.parametrize("told", [True, False])
async def test_a_list_was_cut_short(harness: Harness, space: Workspace, told: bool) -> None:
    await harness.load(space)
    for kind in KINDS:
        harness.control.cut_lists(kind, 5, told)
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == (1 if told else 0), outcome.error
    assert ["search-counts"] * told == [one.fact.id for one in outcome.refuted]
    assert dead(harness) == []
    for kind in KINDS:
        harness.control.cut_lists(kind, None)
    harness.pass_time(DAY)
    assert (await harness.sync(**ALWAYS)).exit_code == 0
    assert differences(harness) == []


async def test_a_list_skipped_rows(harness: Harness, space: Workspace) -> None:
    await harness.load(space)
    for kind in KINDS:
        harness.control.omit(kind, shown(harness, kind)[::2], 2 * DAY)
    for _ in range(2):
        harness.pass_time(DAY)
        outcome = await harness.sync(**ALWAYS)
        assert outcome.exit_code == 0, outcome.error
        assert dead(harness) == []
    for kind in KINDS:
        for key in shown(harness, kind)[:1]:
            _change(harness, kind, key)
    harness.pass_time(DAY)
    assert (await harness.sync(**ALWAYS)).exit_code == 0
    assert differences(harness) == []


def _change(harness: Harness, kind: str, key: str) -> None:
    control = harness.control
    changes: dict[str, Any] = {
        "contacts": lambda: control.update_contact(key, name="Seen again"),
        "companies": lambda: control.update_company(key, name="Seen again"),
        "conversations": lambda: control.reply(key),
        "tickets": lambda: control.reply_ticket(key),
    }
    if kind in changes:
        changes[kind]()
    else:
        control.update_record(kind, key, name="Seen again", title="Seen again")


@pytest.mark.sampled(1)
@pytest.mark.parametrize("lag", [300, 900])
async def test_the_index_lagged(harness: Harness, space: Workspace, lag: int) -> None:
    harness.simulate(space, index_lag=lag, user_count_delay=0)
    control = harness.control
    archived = shown(harness, "contacts", role="user")[:3]
    for key in archived:
        control.archive_contact(key)
    empty = control.create_company("Empty so far")
    harness.pass_time(DAY)
    await harness.sync()
    harness.pass_time(DAY)
    for key in archived:
        control.unarchive_contact(key, bump=False)
    control.attach_company(archived[0], empty)
    await harness.sync(**ALWAYS)  # by id the new company is there, and in no list yet
    for key in [control.create_contact("lead") for _ in range(3)]:
        control.create_conversation(key)
        control.create_ticket(contact=key)
    for _ in range(3):
        outcome = await harness.sync(**ALWAYS)
        assert outcome.exit_code == 0, outcome.error
        assert [key for key in dead(harness) if key.split()[1] not in archived] == []
        harness.pass_time(lag / 2)
    harness.pass_time(DAY)
    await harness.sync(**ALWAYS)
    assert differences(harness) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    ("path", "status"),
    [("^/contacts/search", 403), ("^/contacts/[0-9a-f]{24}$", 403), ("^/contacts", 401),
     ("^/conversations", 403), ("^/tickets|^/articles", 403), ("^/companies|^/tags", 401)],
)  # fmt: skip
async def test_a_scope_was_lost(harness: Harness, space: Workspace, path: str, status: int) -> None:
    await harness.load(space)
    for kind in KINDS:
        harness.control.omit(kind, shown(harness, kind)[::3], DAY + 600)
    harness.control.deny(path, status=status)
    harness.pass_time(DAY)
    outcome = await harness.sync(**ALWAYS)
    assert outcome.exit_code == 1
    assert dead(harness) == []
    harness.control.allow_all()
    harness.pass_time(DAY)
    assert (await harness.sync(**ALWAYS)).exit_code == 0
    assert differences(harness) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize(
    "fault",
    [{"kind": "html"}, {"kind": "status", "status": 500}, {"kind": "cut"}, {"kind": "empty"},
     {"kind": "html", "status": 410}, {"kind": "content_type"}],
    ids=str,
)  # fmt: skip
async def test_a_read_by_id_was_spoilt(
    harness: Harness, space: Workspace, fault: dict[str, Any]
) -> None:
    await harness.load(space)
    for kind in KINDS:
        harness.control.omit(kind, shown(harness, kind)[:4], DAY + 600)
    harness.control.fail({"path": r"^/\w+/[0-9a-f]+$"}, times=None, **fault)
    harness.pass_time(DAY)
    await harness.sync(**ALWAYS)
    assert dead(harness) == []
    harness.control.clear_faults()
    harness.pass_time(DAY)
    assert (await harness.sync(**ALWAYS)).exit_code == 0
    assert harness.query("SELECT * FROM sync_pending") == []
    assert differences(harness) == []


# -- implausibly many ------------------------------------------------------------------------


@pytest.mark.sampled(1)
@pytest.mark.parametrize("kind", ["companies", "tickets", "conversations"])
async def test_more_than_the_fuse_allows_is_marked_only_when_allowed(
    harness: Harness, kind: str
) -> None:
    harness.simulate(
        Workspace.generate(
            62, contacts=120, companies=40, conversations=40, tickets=40, now=int(NOW)
        )
    )
    control = harness.control
    control.deny("^/conversations/deleted")
    delete: dict[str, Any] = {
        "companies": control.delete_company,
        "tickets": control.delete_ticket,
        "conversations": control.delete_conversation,
    }
    await harness.sync()
    gone = shown(harness, kind)[:22]
    for key in gone:
        delete[kind](key)
    for _ in range(2):
        harness.pass_time(DAY)
        outcome = await harness.sync(**ALWAYS)
        assert outcome.exit_code == 1
        assert outcome.resources[kind].status == "failed"
        assert "--allow-deletes" in (outcome.resources[kind].error or "")
        assert dead(harness) == []
    harness.pass_time(DAY)
    outcome = await harness.sync(allow_deletes=True, **ALWAYS)
    assert outcome.exit_code == 0, outcome.error
    assert sorted(dead(harness)) == sorted(f"{kind} {key}" for key in gone)
    assert differences(harness) == []


# -- what is deleted stays so ----------------------------------------------------------------


async def test_a_deleted_row_that_a_lagging_search_still_shows_stays_deleted(
    harness: Harness, space: Workspace
) -> None:
    await harness.load(space, index_lag=500)
    harness.pass_time(DAY)
    user, lead = (
        shown(harness, "contacts", role="user")[0],
        shown(harness, "contacts", role="lead")[0],
    )
    conversation = shown(harness, "conversations")[0]
    harness.control.update_contact(user, name="A last time")
    harness.control.reply(conversation)
    harness.pass_time(5)
    harness.control.delete_contact(user)
    harness.control.merge_contacts(lead, shown(harness, "contacts", role="user")[1])
    harness.control.delete_conversation(conversation)
    harness.pass_time(5)
    for _ in range(4):
        assert (await harness.sync(**ALWAYS)).exit_code == 0
        assert harness.rows("contacts")[user]["_deleted_at"] is not None
        assert harness.rows("contacts")[lead]["_deleted_at"] is not None
        assert harness.rows("conversations")[conversation]["_deleted_at"] is not None
        harness.pass_time(120)
    harness.pass_time(DAY)
    await harness.sync(**ALWAYS)
    assert differences(harness) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("bump", [True, False])
@pytest.mark.parametrize("says", ["missing", "marked", "shown"])
async def test_an_archived_contact_is_gone_until_it_is_unarchived(
    harness: Harness, space: Workspace, says: Any, bump: bool
) -> None:
    await harness.load(space, archived_by_id=says)
    key = shown(harness, "contacts", role="user")[0]
    harness.control.archive_contact(key)
    for _ in range(3):
        harness.pass_time(DAY)
        await harness.sync(**ALWAYS)
        assert (harness.rows("contacts")[key]["_deleted_at"] is None) == (says == "shown")
    harness.control.unarchive_contact(key, bump=bump)
    harness.pass_time(DAY)
    await harness.sync(**ALWAYS)
    assert differences(harness) == []


# -- changes that are easily missed ----------------------------------------------------------


async def test_a_silent_change_behind_the_tenth_company_is_found(
    harness: Harness, space: Workspace
) -> None:
    harness.simulate(space)
    key = shown(harness, "contacts", role="user")[0]
    for company in shown(harness, "companies"):
        harness.control.attach_company(key, company)
    harness.pass_time(DAY)
    await harness.sync()
    eleventh = harness.control.truth_one("contacts", key)["companies"]["data"][10]["id"]
    harness.control.detach_company(key, eleventh, bump=False)
    harness.pass_time(DAY)
    await harness.sync(**ALWAYS)
    assert differences(harness) == []


async def test_a_changed_signature_rewrites_nothing(harness: Harness, space: Workspace) -> None:
    await harness.load(space, signed_urls=True)
    before = harness.versions()
    for options in (ALWAYS, {"full": True}, {}):
        harness.pass_time(DAY)
        outcome = await harness.sync(**options)
        assert outcome.exit_code == 0, outcome.error
        assert harness.versions() == before


@pytest.mark.sampled(1)
@pytest.mark.parametrize("full", [True, False])
@pytest.mark.parametrize("page", [0, 3, 6])
async def test_leads_converted_while_contacts_are_read_are_neither_lost_nor_doubled(
    harness: Harness, space: Workspace, page: int, full: bool
) -> None:
    await harness.load(space, index_lag=0)
    harness.pass_time(DAY)
    leads = shown(harness, "contacts", role="lead")
    for number, key in enumerate(leads[:4]):
        harness.control.when(
            {"path": "^/contacts/search"}, "convert_lead", {"id": key}, after=page + number
        )
    options = ALWAYS if full else {"full_pass_days": 10_000}
    outcome = await harness.sync(**options)
    assert outcome.exit_code == 0, outcome.error
    assert dead(harness) == []
    harness.pass_time(DAY)
    await harness.sync(**options)
    assert differences(harness) == []


# -- no link is lost because ... -------------------------------------------------------------


EMBEDDED = ("tags", "companies", "opted_out_subscription_types", "opted_in_subscription_types")


@pytest.mark.parametrize("left", [0, 1])
async def test_a_record_counts_more_than_it_embeds_and_says_that_this_is_all(
    harness: Harness, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    """``left``: how many elements it embeds."""
    simulator = harness.simulate(Workspace.generate(5, contacts=90, companies=20, now=int(NOW)))
    respond, cut = simulator.respond, set[str]()

    def contradict(request: Request) -> Response:
        response = respond(request)
        if request.path == "/contacts/search" and response.status == 200:
            body = decode(response.body)
            for one in body["data"]:
                for name in EMBEDDED:
                    if one[name]["total_count"] > left:
                        one[name] |= {"data": one[name]["data"][:left], "has_more": False}
                        cut.add(name)
            response.body = encode(body)
        return response

    monkeypatch.setattr(simulator, "respond", contradict)
    for options in ({}, {"full": True}, ALWAYS):
        outcome = await harness.sync(**options)
        assert (outcome.exit_code, outcome.refuted) == (0, []), outcome.error
        assert differences(harness) == []
        harness.control.change(fraction=0.2, seed=1)
        harness.pass_time(DAY)
    assert len(cut) >= 3 - left
