"""Generates the small whole lists: admins, teams, tags, segments, subscription types."""

from __future__ import annotations

from random import Random

from connector.simulator.generation.texts import FIRST, LAST, WORDS
from connector.simulator.records.workspace import Record, Sizes, Workspace
from connector.simulator.times import DAY, object_id

_MACHINE = "5e9d3bffd0"


def fill(space: Workspace, random: Random, sizes: Sizes, years: float) -> None:
    """Put the small lists into the workspace."""
    _admins(space, random, max(2, sizes.admins))
    _teams(space, random, sizes.teams)
    for number in range(sizes.tags):
        _tag(space, random, number)
    for number in range(sizes.segments):
        _segment(space, random, number, years)
    _subscription_types(space)


def admin(id: str, name: str, email: str) -> Record:
    """An admin as lists and reads by id show it."""
    return {
        "type": "admin",
        "id": id,
        "name": name,
        "email": email,
        "job_title": "",
        "away_mode_enabled": False,
        "away_mode_reassign": False,
        "away_status_reason_id": None,
        "has_inbox_seat": True,
        "team_ids": [],
        "avatar": None,
        "team_priority_level": {},
    }


def _admins(space: Workspace, random: Random, count: int) -> None:
    for number in range(count + 2):
        id = str(991_267_000 + number * 7)
        name = f"{random.choice(FIRST)} {random.choice(LAST)}"
        record = admin(id, name, f"agent{number}@example.com")
        record["away_mode_enabled"] = random.random() < 0.2
        record["has_inbox_seat"] = random.random() < 0.9
        # Two of them left long ago; parts still name them.
        target = space.removed_admins if number >= count else space.admins
        target[id] = record
    space.me = next(iter(space.admins))
    bot = admin("991266999", "Fin", f"operator+{space.app['id_code']}@intercom.io")
    bot["has_inbox_seat"] = False
    space.admins[bot["id"]] = bot


def _teams(space: Workspace, random: Random, count: int) -> None:
    people = [id for id, record in space.admins.items() if record["has_inbox_seat"]]
    for number in range(count):
        # The last team is empty: a link table must cope.
        size = 0 if number == count - 1 else random.randint(1, min(5, len(people)))
        members = sorted(random.sample(people, size))
        id = str(5_017_690 + number)
        space.teams[id] = {
            "type": "team",
            "id": id,
            "name": f"Team {number + 1} {random.choice(WORDS[:18])}",
            "admin_ids": [int(member) for member in members],
            "admin_priority_level": {
                "primary_admin_ids": [int(member) for member in members[:1]],
                "secondary_admin_ids": [int(member) for member in members[1:2]],
            },
            "assignment_limit": 10 if number % 2 else None,
            "distribution_method": "round_robin" if number % 2 else None,
        }
        for member in members:
            space.admins[member]["team_ids"].append(int(id))


def _tag(space: Workspace, random: Random, number: int) -> None:
    id = str(7_000_000 + number * 3)
    odd = ("R&amp;D", "émigré", "VIP 🌟", "a,b;c", 'with "quotes"', "back\\slash", "")
    name = odd[number] if number < len(odd) else f"{random.choice(WORDS[:19])} {number}"
    space.tags[id] = {"type": "tag", "id": id, "name": name}


def _segment(space: Workspace, random: Random, number: int, years: float) -> None:
    created = space.now - random.randint(DAY, max(2 * DAY, int(years * 365 * DAY)))
    id = object_id(created, _MACHINE, 0x200000 + number)
    space.segments[id] = {
        "type": "segment",
        "id": id,
        "name": f"Segment {number} {random.choice(WORDS[:19])}",
        "created_at": created,
        "updated_at": random.randint(created, space.now - 900),
        "person_type": random.choice(["user", "contact"]),
    }


def _subscription_types(space: Workspace) -> None:
    rows = (
        ("135", "opt_out", "live", "Newsletters", ["email"]),
        ("136", "opt_in", "live", "SMS alerts", ["sms_message"]),
        ("137", "opt_out", "archived", "Événements", ["email"]),
        ("138", "opt_in", "live", "Product news", ["email", "sms_message"]),
    )
    for id, consent, state, name, content in rows:
        text = {"name": name, "description": f"About: {name}", "locale": "en"}
        space.subscription_types[id] = {
            "type": "subscription",
            "id": id,
            "state": state,
            "consent_type": consent,
            "default_translation": text,
            "translations": [text, {**text, "name": f"{name} (fr)", "locale": "fr"}],
            "content_types": content,
        }
