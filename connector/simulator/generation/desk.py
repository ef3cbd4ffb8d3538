"""Generates the conversations of a support desk that answers: office hours, topics, an AI agent.

The other generator looks for oddities; this one makes figures that somebody could meet at work.
"""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from connector.simulator.encoding import decode
from connector.simulator.generation import texts
from connector.simulator.generation.companies import company_item
from connector.simulator.generation.conversations import new_id
from connector.simulator.generation.office import HOUR, Office
from connector.simulator.records.shelf import Item, Shelf
from connector.simulator.records.thread import (
    Thread,
    admin_author,
    contact_author,
    contact_reference,
)
from connector.simulator.records.workspace import Record, Workspace
from connector.simulator.times import DAY

WEEKS = 20  # for which the desk has been there
SLA = "First reply within an hour"
_LATEST = 900  # seconds before now in which nothing happens: indexes have caught up


class Topic(NamedTuple):
    """What contacts write about, which team answers, and how often the AI agent can."""

    tag: str
    team: str
    asks: str
    fin: float


TOPICS = (
    Topic("billing", "Billing", "Why is there a second invoice?", 0.35),
    Topic("bug", "Support", "The export stops halfway.", 0.1),
    Topic("how-to", "Support", "How do I add a seat?", 0.7),
    Topic("onboarding", "Onboarding", "Where do we begin?", 0.5),
    Topic("feature request", "Success", "Could it do that by itself?", 0.2),
)
LABELS = ("VIP", "trial", "beta", "partner", "press", "reseller", "at risk")
TEAMS = ("Support", "Billing", "Onboarding", "Success")
PLANS = (("Starter", 49), ("Team", 155), ("Business", 490))
REMARKS = {
    1: "Nobody answered for days.", 2: "It took three tries.", 3: None, 4: "", 5: "Quick, thanks!",
}  # fmt: skip
_ARTICLES = ("Add a seat", "Read your invoice", "Import your data")


def name(space: Workspace) -> None:
    """Teams and tags by what they are for, before anything refers to them."""
    for team, word in zip(space.teams.values(), TEAMS, strict=False):
        team["name"] = word
    words = (*(topic.tag for topic in TOPICS), *LABELS)
    for tag, word in zip(space.tags.values(), words, strict=False):
        tag["name"] = word


def price(space: Workspace) -> None:
    """Give each company a name, a plan and what it pays for it."""
    items = []
    for number, item in enumerate(space.companies.current.values()):
        record, (plan, spend) = decode(item.body), PLANS[number % len(PLANS)]
        word = texts.COMPANY_WORDS[number % len(texts.COMPANY_WORDS)]
        record["name"] = word if number < len(texts.COMPANY_WORDS) else f"{word} {number}"
        record["plan"] = {"type": "plan", "id": str(number % len(PLANS) + 1), "name": plan}
        record["monthly_spend"] = spend
        items.append(company_item(record))
    space.companies = Shelf(items)


def fill(space: Workspace, random: Random, count: int) -> None:
    """Put conversations into the workspace, in the order of their creation."""
    desk = _Desk(space, random)
    moments = sorted(desk.moment() for _ in range(count if desk.contacts else 0))
    space.conversations = Shelf(desk.conversation(at) for at in moments)


class _Desk:
    def __init__(self, space: Workspace, random: Random) -> None:
        self.space, self.random = space, random
        self.office = Office(space.timezone)
        self.end = space.now - _LATEST
        self.contacts = [c for c in space.contacts.current.values() if c.owned.companies]
        people = [admin_author(a) for a in space.admins.values()]
        self.bot = next(a for a in people if a["type"] == "bot")
        self.people = [a for a in people if a["type"] == "admin"]
        self.teams = {team["name"]: team for team in space.teams.values()}
        self.tags = {tag["name"]: tag for tag in space.tags.values()}

    # -- time --------------------------------------------------------------------------------

    def moment(self) -> int:
        """When somebody writes: more of them lately, most while the desk is open."""
        while True:
            at = self.end - int(WEEKS * 7 * DAY * self.random.random() ** 1.3)
            if self.random.random() < (1.0 if self.office.is_open(at) else 0.12):
                return at

    def _soon(self, at: int, hours: float) -> int:
        """When somebody of the desk gets to it: mostly about so many office hours later."""
        return self.office.later(at, HOUR * hours * self.random.lognormvariate(0, 0.9))

    # -- a conversation ----------------------------------------------------------------------

    def conversation(self, created: int) -> Item:
        """One from its first message to its last, as far as the present allows."""
        random = self.random
        topic = random.choice(TOPICS)
        item = self.contacts[int(len(self.contacts) * random.random() ** 2)]
        thread = Thread.start(self.space, new_id(self.space, random.random() < 0.2), created)
        outbound = random.random() < 0.06
        admin = random.choice(self.people)
        self._begin(thread, topic, item, admin if outbound else contact_author(item))
        self._happens(thread, topic, contact_author(item), admin, outbound)
        self._count(thread)
        return thread.item()

    def _begin(self, thread: Thread, topic: Topic, item: Item, author: Record) -> None:
        record, random = thread.record, self.random
        record["contacts"]["contacts"] = [contact_reference(item)]
        company = self.space.companies.get(item.owned.companies[0])
        record["company"] = decode(company.body) if company else None
        by_mail = random.random() < 0.3
        admin = author["type"] == "admin"
        record["source"] = {
            "type": "email" if by_mail else "conversation",
            "id": str(random.randrange(10**9)),
            "delivered_as": "admin_initiated" if admin else "customer_initiated",
            "subject": f"<p>{topic.asks}</p>" if by_mail else "",
            "body": f"<p>{topic.asks}</p>",
            "author": {key: author[key] for key in ("type", "id", "name", "email")},
            "attachments": [],
            "url": None,
            "redacted": False,
        }
        record["title"] = topic.asks
        record["priority"] = random.choice(["none"] * 8 + ["high", "urgent"])
        record["waiting_since"] = None if admin else record["created_at"]

    def _happens(
        self, thread: Thread, topic: Topic, customer: Record, admin: Record, outbound: bool
    ) -> None:
        random, at = self.random, thread.record["created_at"]
        if outbound:
            at = self._soon(at, 3)
            if random.random() < 0.4 or not self._says(thread, customer, at, "Good to hear."):
                return
        team = self.teams.get(topic.team)
        if team and at + 5 <= self.end:
            thread.assign(self.bot, at + 5, None, team)
        if not outbound and random.random() < 0.45 and self._fin(thread, topic, at):
            return
        if random.random() < 0.04:
            return  # overlooked
        at = self._answered(thread, topic, customer, admin, at)
        if at <= self.end:
            self._ends(thread, customer, admin, at)

    def _fin(self, thread: Thread, topic: Topic, at: int) -> bool:
        """The AI agent answers first; whether that was all."""
        random, record = self.random, thread.record
        answer = {**self.bot, "is_ai_answer": True}
        if not self._says(thread, answer, at + 12, "This article explains it."):
            return False
        if topic.tag in self.tags and random.random() < 0.7:
            thread.tag(dict(self.tags[topic.tag]), self.bot, at + 13)
        resolved = random.random() < topic.fin
        asked_on = random.random() < 0.7
        closed = at + DAY
        if resolved and closed <= self.end:
            thread.close(self.bot, closed)
        article = random.choice(_ARTICLES)
        record["ai_agent_participated"] = True
        record["ai_agent"] = {
            "source_type": "workflow",
            "source_title": "Fin",
            "last_answer_type": "ai_answer",
            "resolution_state": (
                random.choice(["assumed_resolution", "confirmed_resolution"])
                if resolved
                else "escalated"
                if asked_on
                else None
            ),
            "rating": random.choice([None, None, 5 if resolved else 2]),
            "rating_remark": None,
            "created_at": at + 12,
            "updated_at": record["updated_at"],
            "content_sources": {
                "type": "content_source.list",
                "total_count": 1,
                "content_sources": [
                    {
                        "content_type": "article",
                        "url": f"https://help.example.com/en/articles/{article.lower()}",
                        "title": article,
                        "locale": "en",
                    }
                ],
            },
        }
        return resolved

    def _answered(
        self, thread: Thread, topic: Topic, customer: Record, admin: Record, at: int
    ) -> int:
        """A person answers, and again as long as something is asked; when that was last."""
        random, tag = self.random, self.tags.get(topic.tag)
        at = self._soon(at, 1.5 if topic.team == "Support" else 3)
        if random.random() < 0.2 and at <= self.end:
            noted = max(thread.record["created_at"] + 60, at - 600)
            thread.part("note", random.choice(self.people), noted, "<p>Who knows this one?</p>")
        if not self._says(thread, admin, at, "Let me look into that."):
            return at
        if tag and not thread.record["tags"]["tags"] and random.random() < 0.85:
            thread.tag(dict(tag), admin, at + 20)
        for _ in range(random.choice([0, 0, 1, 1, 2, 3])):
            at += random.randint(300, 9 * HOUR)
            if not self._says(thread, customer, at, "That is not it yet."):
                return at
            at = self._soon(at, 1)
            if not self._says(thread, admin, at, "Please try it once more."):
                return at
        return at

    def _ends(self, thread: Thread, customer: Record, admin: Record, at: int) -> None:
        """It is put off or closed, perhaps opened again, perhaps rated."""
        random = self.random
        if random.random() < 0.25:
            if at + 60 <= self.end:
                thread.snooze(admin, at + 60, at + 3 * DAY)
            at += 3 * DAY
            if at > self.end:
                return
            thread.reopen(self.bot, at)
        at = self._soon(at, 2)
        if at > self.end:
            return
        thread.close(admin, at)
        if random.random() < 0.15:
            again = at + random.randint(HOUR, 2 * DAY)
            if again > self.end:
                return
            thread.reopen(customer, again)
            self._says(thread, customer, again, "It happens again.")
            at = self._soon(again, 1)
            if not self._says(thread, admin, at, "Found it."):
                return
            at = self._soon(at, 2)
            if at > self.end:
                return
            thread.close(admin, at)
        if random.random() < 0.35 and at + HOUR <= self.end:
            rating = random.choice([1, 2, 3, 4, 4, 5, 5, 5, 5])
            thread.record["admin_assignee_id"] = int(admin["id"])
            thread.rate(rating, REMARKS[rating], at + HOUR, silent=False)

    def _says(self, thread: Thread, author: Record, at: int, text: str) -> bool:
        """Write a reply, unless that would be later than now; whether it was written."""
        if at <= self.end:
            thread.comment(author, at, f"<p>{text}</p>")
        return at <= self.end

    def _count(self, thread: Thread) -> None:
        """Intercom's own statistics, which count office hours only; and what was promised."""
        record = thread.record
        numbers, created = record["statistics"], record["created_at"]
        replied = numbers["first_admin_reply_at"] if numbers else None
        for name, moment in (
            ("time_to_admin_reply", replied),
            ("time_to_first_close", numbers and numbers["first_close_at"]),
            ("time_to_last_close", numbers and numbers["last_close_at"]),
        ):
            if moment:
                numbers[name] = self.office.seconds(created, moment)
        if self.random.random() < 0.4:
            late = bool(replied) and numbers["time_to_admin_reply"] > HOUR
            status = "active" if not replied else "missed" if late else "hit"
            record["sla_applied"] = {
                "type": "conversation_sla_summary",
                "sla_name": SLA,
                "sla_status": status,
            }
