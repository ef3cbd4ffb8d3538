"""Generates companies, some of them without users and so hidden from every list."""

from __future__ import annotations

from random import Random

from connector.simulator.encoding import decode, render
from connector.simulator.generation import texts
from connector.simulator.records.shelf import Item, Shelf
from connector.simulator.records.workspace import Record, Workspace
from connector.simulator.times import ODD_TIMES, History, object_id

MACHINE = "1bb69f9f21"


def company_item(record: Record) -> Item:
    """A company as the shelf keeps it: shown in lists only while it has users."""
    return Item(
        record["id"],
        "company",
        record["created_at"],
        record["updated_at"],
        render(record),
        shown=record["user_count"] > 0,
    )


def new_company(space: Workspace, created: int, name: str, company_id: str) -> Record:
    """A company with nothing set: Intercom omits keys that have no value."""
    id = object_id(created, MACHINE, space.next_number("company", 0x93BA00))
    return {
        "type": "company",
        "company_id": company_id,
        "id": id,
        "app_id": space.app["id_code"],
        "name": name,
        "created_at": created,
        "updated_at": created,
        "monthly_spend": 0,
        "session_count": 0,
        "user_count": 0,
        "tags": {"type": "tag.list", "tags": []},
        "segments": {"type": "segment.list", "segments": []},
        "plan": {},
        "custom_attributes": {},
    }


def tag_reference(space: Workspace, id: str) -> Record:
    """A tag as companies and parts embed it."""
    return {"type": "tag", "id": id, "name": space.tags[id]["name"]}


def fill(space: Workspace, random: Random, count: int, years: float) -> None:
    """Put companies into the workspace; their users are counted when contacts exist."""
    history = History(random, space.now, years)
    items = []
    for number, created in enumerate(sorted(history.created() for _ in range(count))):
        record = new_company(space, created, _name(random), f"customer-{number}")
        record["updated_at"] = history.updated(created)
        _vary(space, random, history, record)
        items.append(company_item(record))
    space.companies = Shelf(items)


def _name(random: Random) -> str:
    return " ".join(random.sample(texts.COMPANY_WORDS, 2))


def _vary(space: Workspace, random: Random, history: History, record: Record) -> None:
    created, updated = record["created_at"], record["updated_at"]
    if random.random() < 0.6:
        record["remote_created_at"] = history.between(created - 10**7, created)
    if random.random() < 0.02:
        record["remote_created_at"] = random.choice(ODD_TIMES)
    if random.random() < 0.7:
        record["last_request_at"] = history.between(created, updated)
    if random.random() < 0.4:
        record["size"] = random.randint(0, 5000)
        record["website"] = f"https://{random.choice(texts.DOMAINS)}/?q=ä&x=1"
    if random.random() < 0.3:
        record["industry"] = random.choice(["Software", "R&amp;D", "Bergbau ⛏", ""])
    if random.random() < 0.5:
        record["plan"] = {"type": "plan", "id": str(random.randint(1, 5)), "name": "Plan ⅓"}
    record["monthly_spend"] = random.choice([0, 49, 155, 2**31 - 1])
    record["session_count"] = random.randint(0, 900)
    if random.random() < 0.6:
        record["custom_attributes"] = {
            "account_manager": texts.full_name(random),
            "arr": round(random.random() * 1e6, 2),
            "churn_risk": random.random() < 0.2,
        }
    count = min(len(space.tags), random.choice([0, 0, 0, 1, 2, 12]))
    tags = random.sample(sorted(space.tags), count)
    record["tags"]["tags"] = [tag_reference(space, id) for id in tags]
    if space.segments and random.random() < 0.3:
        record["segments"]["segments"] = [random.choice(list(space.segments.values()))]


def count_users(space: Workspace) -> None:
    """Write each company's number of users once the contacts are there."""
    counts: dict[str, int] = {}
    for contact in space.contacts.current.values():
        for id in contact.owned.companies:
            counts[id] = counts.get(id, 0) + 1
    items = []
    for item in space.companies.current.values():
        record = decode(item.body)
        record["user_count"] = counts.get(item.id, 0)
        items.append(company_item(record))
    space.companies = Shelf(items)
