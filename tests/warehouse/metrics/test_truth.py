"""Every row and column of the metric relations, beside what complete records alone say."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import Any

import pytest

from connector.simulator import Workspace
from connector.simulator.encoding import decode, render
from connector.simulator.records.thread import Thread
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.metrics import anew
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from tests.support.harness import Harness
from tests.support.life import Life, small_workspace
from tests.warehouse.forgetting import run_forget
from tests.warehouse.metrics.answered import OUTCOMES, Record, Row, Told
from tests.warehouse.metrics.answers import Answers

DAY = 86_400.0
FULL: dict[str, Any] = {"full": True, "allow_deletes": True}
CAP = 500  # parts that a read by id returns
KEYS = ("conversation_id", "day", "month", "match", "value")
GROUPS = ("admin", "team", "company", "contact", "tag")
STORED = ("_conversation_figures", "_conversation_admins", "_conversation_days")
PARTS_BODY = Privacy(parse("conversation_parts.body"))

# -- conversations of all sorts --------------------------------------------------------------

KINDS = (
    "comment", "comment", "comment", "quick_reply", "open", "close", "close_and_later", "snoozed",
    "assignment", "assign_and_reopen", "assign_and_unsnooze", "note", "note_and_reopen",
    "default_assignment", "timer_unsnooze", "away_mode_assignment", "participant_added", None,
)  # fmt: skip
BODIES = (None, "", " ", "<p>so</p>", "<p>so</p>", "<p>so</p>")
AUTHORS = ("user", "lead", "contact", "visitor", "admin", "admin", "admin", "bot", "team", None)
FLAGS = (None, None, None, None, False, False, False, True)
STATES = (*OUTCOMES, "abandoned", None)


class Variety:
    """Makes threads of a workspace odder than it does itself; all chance comes from a seed."""

    def __init__(self, space: Workspace, seed: int) -> None:
        self.space, self.random = space, Random(seed)
        self.people = [*space.admins, *space.removed_admins]
        self.contacts = list(space.contacts.current)

    def vary(self, ids: Sequence[str], *, renames: bool = False) -> None:
        """Give the parts and the summaries of these conversations other values."""
        for id in ids:
            item = self.space.conversations.get(id)
            if item is None or item.group == "ticket":
                continue
            thread = Thread.reopen_item(self.space, item)
            if len(thread.parts) > CAP and not renames:
                continue  # of its oldest parts nobody can know that they changed
            self._summary(thread.record)
            at = thread.record["created_at"]
            for number, raw in enumerate(thread.parts):
                part, at = self._part(decode(raw), at)
                if renames and self.random.random() < 0.2:
                    part["id"] = self.random.choice(["", "x", "00"]) + part["id"]
                thread.parts[number] = render(part)
            self.space.conversations.put(thread.item(), 0)

    def _summary(self, record: Record) -> None:
        random = self.random
        record["state"] = random.choice(["open", "closed", "snoozed"])
        if record["source"] and random.random() < 0.5:
            record["source"]["author"] |= self._author()
        if record["ai_agent"]:
            record["ai_agent"]["resolution_state"] = random.choice(STATES)
            record["ai_agent"]["rating"] = random.choice([None, 1, 2, 5])
        members = record["contacts"]["contacts"]
        record["admin_assignee_id"] = int(random.choice(["0", *self.people]))
        record["team_assignee_id"] = int(random.choice(["0", *self.space.teams]))
        record["waiting_since"] = random.choice([None, record["created_at"] + 7])
        for tag in random.sample(sorted(self.space.tags), random.choice([0, 0, 1, 3])):
            if all(one["id"] != tag for one in record["tags"]["tags"]):
                record["tags"]["tags"].append(dict(self.space.tags[tag]))
        if random.random() < 0.4:
            self._rate(record)
        if random.random() < 0.2:
            extra = random.choice(self.contacts)
            if all(one["id"] != extra for one in members):
                members.append({"type": "contact", "id": extra, "external_id": None})

    def _rate(self, record: Record) -> None:
        random, at = self.random, record["created_at"] + self.random.randrange(90) * 43_200
        whom = random.choice([None, *self.people])
        record["conversation_rating"] = {
            "rating": random.randint(1, 5),
            "remark": random.choice([None, "", "so"]),
            "created_at": at,
            "updated_at": at + random.choice([0, 60]),
            "contact": random.choice([None, *record["contacts"]["contacts"]]),
            "teammate": whom and {"type": "admin", "id": whom},
        }

    def _part(self, part: Record, at: int) -> tuple[Record, int]:
        """The part with other values, somewhat later than the one before it, if at all."""
        random = self.random
        if random.random() < 0.4:
            at += random.choice([-40, 0, 0, 0, 1, 59, 3_600, 86_400])
            part["created_at"] = at
        if random.random() < 0.5:
            part["part_type"], part["body"] = random.choice(KINDS), random.choice(BODIES)
            part["redacted"] = random.random() < 0.1
            part["author"] = self._author()
            part["assigned_to"] = self._target()
        return part, part["created_at"]

    def _author(self) -> Record:
        random, kind = self.random, self.random.choice(AUTHORS)
        id = random.choice(self.people if kind == "admin" else self.contacts)
        author = {"type": kind, "id": id, "name": "so", "email": "so@example.com"}
        # Never left out: a key that is missing leaves what is stored.
        flags = {key: random.choice(FLAGS) for key in ("from_ai_agent", "is_ai_answer")}
        return author | flags

    def _target(self) -> Record | None:
        teams = [{"type": "team", "id": one} for one in self.space.teams]
        return self.random.choice([None, {"type": "admin", "id": self.people[0]}, *teams])


def various(seed: int, scale: float = 2.0) -> Workspace:
    """A workspace whose conversations are of all sorts, with contacts that look alike."""
    space = small_workspace(seed, scale)
    variety = Variety(space, seed)
    variety.vary(list(space.conversations.current), renames=True)
    return space


def look_alike(harness: Harness) -> None:
    """Give some contacts the email addresses and phones of others, written otherwise."""
    update = harness.control.update_contact
    ids = [one["id"] for one in harness.control.truth("contacts")]
    update(ids[0], email="Twin@Example.com", phone="+1 (212) 555-0100")
    update(ids[1], email=" twin@example.COM", phone="12125550100")
    update(ids[2], email="twin@example.com", phone="12345")
    update(ids[3], email="", phone="1-2345")


# -- comparing -------------------------------------------------------------------------------


def told(harness: Harness, *, bodies: bool = True, forgotten: Collection[str] = ()) -> Told:
    """What the answers are made of: the truth, as far as it can be known."""
    truth, rows = harness.control.truth, harness.rows
    parts, now = rows("conversation_parts"), harness.query("SELECT now() AS now")[0]["now"]
    known = _known(harness, "conversations")
    truncated = set()
    for one in known:
        listed = one["conversation_parts"]["conversation_parts"]
        kept = [p for n, p in enumerate(listed) if n >= len(listed) - CAP or str(p["id"]) in parts]
        one["conversation_parts"]["conversation_parts"] = kept
        if len(kept) < len(listed):
            truncated.add(one["id"])
    admins = {str(one["id"]): one["name"] for one in truth("admins")}
    return Told(
        conversations=known,
        truncated=truncated,
        tickets={one["id"] for one in truth("tickets")},
        contacts=truth("contacts"),
        merged={m["source_contact_id"]: m["target_contact_id"] for m in truth("contact_merges")},
        companies={one["id"] for one in _known(harness, "companies")},
        tags={one["id"]: one["name"] for one in truth("tags")},
        teams={one["id"]: one["name"] for one in truth("teams")},
        admins=admins,
        removed_admins={key: one["name"] for key, one in rows("admins").items()},
        timezone=harness.simulator.workspace.timezone,
        now=now,
        bodies=bodies,
        forgotten=forgotten,
    )


def _known(harness: Harness, kind: str) -> list[Record]:
    """What lives; of what no list shows only what was found by its id."""
    stored = harness.rows(kind)
    seen = {key for key, row in stored.items() if not (row["_placeholder"] or row["_deleted_at"])}
    return [one for one in harness.control.truth(kind) if not one["_hidden"] or one["id"] in seen]


def wrong(harness: Harness, **about: Any) -> list[str]:
    """What metric relations say that is not so, at most a few sentences for each."""
    found = []
    for name, rows in Answers(told(harness, **about)).relations().items():
        found += _compared(name, harness.query(f'SELECT * FROM "{name}"'), rows)[:6]
    return found


def _compared(name: str, stored: Sequence[Row], true: Sequence[Row]) -> list[str]:
    keys = [key for key in _keys(name) if key in {**(stored or true or [{}])[0]}]
    there, wanted = ({tuple(r[k] for k in keys): r for r in rows} for rows in (stored, true))
    if len(there) != len(stored) or len(wanted) != len(true):
        return [f"{name}: {len(stored)} rows, not {len(true)}, or some with equal keys"]
    found = [f"{name}: {key} should not be" for key in there.keys() - wanted.keys()]
    found += [f"{name}: {key} is missing" for key in wanted.keys() - there.keys()]
    for key in there.keys() & wanted.keys():
        columns = {column for column in wanted[key] if not column.startswith("_")}
        if there[key].keys() != columns:
            found.append(f"{name}: differs in columns {sorted(there[key].keys() ^ columns)}")
        found += [
            f"{name} {key}: {column} is {there[key].get(column)!r}, not {wanted[key][column]!r}"
            for column in columns
            if not _equal(column, there[key].get(column), wanted[key][column])
        ]
    return found


def _keys(name: str) -> tuple[str, ...]:
    group = name.split("_")[0]
    return (*KEYS, f"{group}_id") if group in GROUPS else KEYS


def _equal(column: str, stored: Any, true: Any) -> bool:
    if isinstance(true, Fraction):
        return isinstance(stored, Decimal) and bool(
            abs(Fraction(stored) - true) < Fraction(1, 10**9)
        )
    if column == "waiting_seconds" and stored is not None and true is not None:
        return bool(0 <= stored - true <= 120)  # asked later
    if isinstance(true, datetime) or not isinstance(true, date):
        return bool(stored == true)
    return type(stored) is date and stored == true


def figures(harness: Harness) -> dict[str, list[str]]:
    """All stored figures."""
    return {
        name: sorted(row["text"] for row in harness.query(f"SELECT t::text AS text FROM {name} t"))
        for name in STORED
    }


def compute_anew(harness: Harness) -> None:
    """Compute all of them a second time."""
    database = Database(harness.database_url, harness.schema)
    with database.transaction() as conn:
        anew.begin(conn, again=True)
        while anew.step(conn, Names(harness.schema)):
            pass
    database.close()


# -- the tests -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seed", "nights"),
    [(1, 3), *(pytest.param(seed, 8, marks=pytest.mark.chaos) for seed in range(2, 6))],
)
async def test_they_are_right_after_a_first_load_and_every_night(
    harness: Harness, seed: int, nights: int
) -> None:
    space = various(seed)
    harness.simulate(space, merges_move=seed % 2 == 0)
    life, variety = Life(harness, seed), Variety(space, seed + 100)
    look_alike(harness)
    harness.pass_time(3_600)
    for night in range(nights):
        outcome = await harness.sync(**(FULL if night else {}))
        assert outcome.exit_code == 0, f"{outcome.error}\n{life.told()}"
        found = wrong(harness)
        assert not found, "\n".join(found) + f"night {night}\n{life.told(last=10)}"
        life.night(60)
        some = variety.random.sample(sorted(space.conversations.current), 12)
        variety.vary(some)
        for id in some:
            harness.control.update_conversation(id)
        harness.pass_time(3_600)
    before = figures(harness)
    assert all(before.values())
    compute_anew(harness)
    assert figures(harness) == before


async def load(harness: Harness, **options: Any) -> None:
    """A smaller workspace with conversations of all sorts, loaded and right."""
    harness.simulate(various(6, 1.0), tickets_in_conversations=True)
    look_alike(harness)
    harness.pass_time(3_600)
    outcome = await harness.sync(**options)
    assert outcome.exit_code == 0, outcome.error


async def night(harness: Harness, **options: Any) -> None:
    """One more run, a day later."""
    harness.pass_time(DAY)
    outcome = await harness.sync(**options)
    assert outcome.exit_code == 0, outcome.error


async def test_customer_tickets_count_once_and_as_tickets(harness: Harness) -> None:
    await load(harness)
    twice = "SELECT c.id FROM conversations c JOIN tickets t USING (id)"
    found = [row["id"] for row in harness.query(twice)]
    assert found
    assert not {row["id"] for row in harness.query(COUNTED)} & set(found)
    assert wrong(harness) == []
    harness.control.delete_ticket(found[0])
    await night(harness, **FULL)
    assert wrong(harness) == []


COUNTED = "SELECT conversation_id AS id FROM conversation_metrics"


async def test_of_what_is_deleted_nothing_is_told_and_its_conversations_stay(
    harness: Harness,
) -> None:
    await load(harness)
    control, busy = harness.control, BUSIEST.format
    [contact] = harness.query(busy(of="contact"))
    [company] = harness.query(busy(of="company"))
    [tag] = harness.query(busy(of="tag"))
    [admin] = harness.query(
        "SELECT admin_id AS id FROM admin_metrics WHERE NOT removed AND admin_id <> %s"
        " ORDER BY replies DESC, 1 LIMIT 1",
        harness.simulator.workspace.me,
    )
    [team] = harness.query(busy(of="team"))
    before = len(harness.query(COUNTED))
    control.delete_contact(contact["id"])
    control.delete_company(company["id"])
    control.delete_tag(tag["id"])
    control.delete_team(team["id"])
    control.remove_admin(admin["id"])
    await night(harness, **FULL)
    assert wrong(harness) == []
    assert len(harness.query(COUNTED)) == before
    [row] = harness.query("SELECT * FROM admin_metrics WHERE admin_id = %s", admin["id"])
    assert (row["removed"], row["name"] is None) == (True, False)


BUSIEST = (
    "SELECT {of}_id AS id FROM {of}_metrics WHERE conversations > 0"
    " ORDER BY conversations DESC, 1 LIMIT 1"
)


async def test_merged_contacts_count_together(harness: Harness) -> None:
    await load(harness)
    two = harness.query(
        "SELECT contact_id AS id FROM contact_metrics JOIN users u ON u.id = contact_id"
        " WHERE conversations > 0 ORDER BY 1 LIMIT 2"
    )
    source, target = (row["id"] for row in two)
    harness.control.merge_contacts(source, target, by_hand=True)
    await night(harness)
    assert wrong(harness) == []
    assert not harness.query("SELECT FROM contact_metrics WHERE contact_id = %s", source)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Asia/Kolkata"])
async def test_in_another_timezone_all_days_and_months_are_others_after_one_run(
    harness: Harness, zone: str
) -> None:
    await load(harness)
    harness.control.set_timezone(zone)
    before = figures(harness)
    await night(harness)
    assert wrong(harness) == []
    assert figures(harness)["_conversation_days"] != before["_conversation_days"]


async def test_where_texts_are_not_stored_the_kind_of_a_part_tells_of_replies(
    harness: Harness,
) -> None:
    await load(harness, privacy=PARTS_BODY)
    assert wrong(harness, bodies=False) == []
    assert wrong(harness) != []


async def test_texts_that_are_stored_no_longer_tell_no_longer(harness: Harness) -> None:
    await load(harness)
    assert wrong(harness, bodies=False) != []
    await night(harness, privacy=PARTS_BODY)
    assert wrong(harness, bodies=False) == []
    await night(harness, lift_exclusions=True, full=True)
    assert wrong(harness) == []


async def test_what_a_forgotten_contact_wrote_counts_as_a_reply_no_more(harness: Harness) -> None:
    await load(harness)
    [writer] = harness.query(
        "SELECT author_id AS id FROM conversation_parts JOIN users u ON u.id = author_id"
        " WHERE part_type = 'comment' AND body <> '' GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
    )
    assert wrong(harness) == []
    run_forget(harness, writer["id"])
    assert wrong(harness, forgotten={writer["id"]}) == []
    assert wrong(harness) != []
    before = figures(harness)
    compute_anew(harness)
    assert figures(harness) == before
    run_forget(harness, writer["id"], undo=True)
    await night(harness, **FULL)
    assert wrong(harness) == []
