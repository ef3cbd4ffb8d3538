"""Generates contacts with their tags, companies, notes and choices."""

from __future__ import annotations

from random import Random
from typing import Any

from connector.simulator.generation import texts
from connector.simulator.records.contact import contact_item, new_contact, note
from connector.simulator.records.shelf import Shelf
from connector.simulator.records.workspace import NO_TIES, Applied, Record, Ties, Workspace
from connector.simulator.times import ODD_TIMES, History


def fill(space: Workspace, random: Random, count: int, years: float, hostile: float) -> None:
    """Put contacts into the workspace, in the order of their creation."""
    maker = _Maker(space, random, years)
    items = []
    for created in sorted(maker.history.created() for _ in range(count)):
        record, ties = maker.contact(created)
        if hostile and random.random() < hostile:
            _spoil(random, record)
        items.append(contact_item(record, ties))
    space.contacts = Shelf(items)


def _spoil(random: Random, record: Record) -> None:
    attributes = record["custom_attributes"] = dict(record["custom_attributes"])
    choice = random.randrange(5)
    if choice == 0:
        record["name"] = "NUL \x00 inside"
    elif choice == 1:
        attributes["Favourite colour ✨"] = "lone \ud800 surrogate"
    elif choice == 2:
        attributes["seats"] = 2**70
    elif choice == 3:
        record["signed_up_at"] = 10**15
    else:
        attributes["plan_tier"] = {"unexpected": ["nested", None]}


class _Maker:
    def __init__(self, space: Workspace, random: Random, years: float) -> None:
        self.space = space
        self.random = random
        self.history = History(random, space.now, years)
        self.tags = sorted(space.tags)
        self.segments = sorted(space.segments)
        ids = sorted(space.companies.current)
        # Every tenth company stays without users: alive by id, absent from every list.
        self.companies = [id for number, id in enumerate(ids) if number % 10 != 9]
        self.admins = list(space.admins.values())
        self.owners = [id for id in space.admins if id != "991266999"]
        self.number = 0

    def contact(self, created: int) -> tuple[Record, Ties]:
        random = self.random
        role = "user" if random.random() < 0.7 else "lead"
        record = new_contact(self.space, created, role)
        updated = record["updated_at"] = self.history.updated(created)
        self.number += 1
        self._person(record, role)
        draw = random.random()
        if draw < 0.6:
            self._activity(record, created, updated)
        if draw < 0.3:
            self._place(record)
        if 0.2 < draw < 0.5:
            record["custom_attributes"] = self._attributes(created)
        return record, self._ties(record["id"], created, updated)

    def _person(self, record: Record, role: str) -> None:
        random, number = self.random, self.number
        draw = random.random()
        record["name"] = texts.full_name(random) if draw < 0.85 else None
        # Odd names come in turn, so that a small workspace has them as well.
        if number % 13 == 0:
            record["name"] = texts.ODD_NAMES[number // 13 % len(texts.ODD_NAMES)]
        if draw < 0.9:
            domain = random.choice(texts.DOMAINS)
            # Leads may share an address with anybody.
            local = f"person{number}" if role == "user" or draw < 0.6 else "shared"
            record["email"] = f"{local}@{domain}"
            record["email_domain"] = domain
        if role == "user":
            record["external_id"] = f"u-{number}" if draw < 0.97 else None
            record["signed_up_at"] = record["created_at"] if draw < 0.8 else None
            if number % 29 == 0:
                record["signed_up_at"] = ODD_TIMES[number // 29 % len(ODD_TIMES)]
        else:
            # Leads get an id of their own from Intercom.
            record["external_id"] = f"{number:08x}-0000-4000-8000-{number:012x}"
        if 0.2 < draw < 0.4:
            record["phone"] = f"+1 212 555 {number % 10000:04d}"
        if 0.4 < draw < 0.45:
            record["avatar"] = {"type": "avatar", "image_url": texts.avatar_url(random)}
        if 0.3 < draw < 0.5:
            record["owner_id"] = random.choice(self.owners)
        record["unsubscribed_from_emails"] = 0.5 < draw < 0.6
        record["has_hard_bounced"] = 0.58 < draw < 0.62

    def _activity(self, record: Record, created: int, updated: int) -> None:
        history = self.history
        record["last_seen_at"] = history.between(created, updated)
        record["last_replied_at"] = history.maybe(created, updated, 0.3)
        record["last_contacted_at"] = history.maybe(created, updated, 0.3)
        record["last_email_opened_at"] = history.maybe(created, updated, 0.2)
        record["browser"] = "chrome"
        record["browser_version"] = "126.0.0.0"
        record["browser_language"] = "en-GB"
        record["os"] = "Windows 10"

    def _place(self, record: Record) -> None:
        city, region, country, code, continent = self.random.choice(texts.CITIES)
        record["location"] = {
            "type": "location",
            "country": country,
            "region": region,
            "city": city,
            "country_code": code,
            "continent_code": continent,
        }
        record["utm_source"] = "newsletter"
        record["utm_campaign"] = ""
        record["referrer"] = "https://www.example.com/a?b=c&d=ü"
        record["enabled_push_messaging"] = self.random.random() < 0.5
        record["ios_device"] = "iPhone 15,2"
        record["ios_last_seen_at"] = record["last_seen_at"]
        record["social_profiles"] = {
            "type": "list",
            "data": [{"type": "social_profile", "name": "twitter", "url": "http://twitter.com/x"}],
        }

    def _attributes(self, created: int) -> dict[str, Any]:
        random = self.random
        values: dict[str, Any] = {
            "plan_tier": random.choice(["free", "pro", "enterprise", "", None]),
            "seats": random.choice([0, 1, 5, 250, -1]),
            "lifetime_value": round(random.random() * 10_000, 2),
            "is_beta": random.random() < 0.5,
            "renewal_at": created + 31_536_000,
        }
        if random.random() < 0.1:
            values["Favourite colour ✨"] = texts.words(random, 3)
        return values

    def _ties(self, id: str, created: int, updated: int) -> Ties:
        random = self.random
        draw = random.random()
        if draw < 0.35:
            return NO_TIES
        tags = random.sample(self.tags, _amount(random, 14, len(self.tags)))
        companies = random.sample(self.companies, _amount(random, 13, len(self.companies)))
        notes = range(_amount(random, 12, 12) if draw > 0.6 else 0)
        segments = random.sample(self.segments, min(2, len(self.segments)))
        return Ties(
            tuple(self._applied(tag, created, updated) for tag in tags),
            tuple(companies),
            tuple(self._note(id, created, updated) for _ in notes),
            opted_out=("135",) if 0.5 < draw < 0.55 else (),
            opted_in=("136", "138") if 0.53 < draw < 0.58 else (),
            segments=tuple(segments) if draw > 0.6 else (),
        )

    def _applied(self, tag: str, created: int, updated: int) -> Applied:
        admin = self.random.choice(self.admins)
        return Applied(tag, self.history.between(created, updated), admin["id"])

    def _note(self, contact: str, created: int, updated: int) -> bytes:
        author = self.random.choice(self.admins)
        at = self.history.between(created, updated)
        return note(self.space, contact, author, at, f"<p>{texts.words(self.random, 8)}</p>")


def _amount(random: Random, most: int, available: int) -> int:
    # Mostly none to three; a few per cent more than the ten that are embedded.
    draw = random.random()
    amount = int(draw * 4 / 0.95) if draw < 0.95 else random.randint(most - 4, most)
    return min(amount, available)
