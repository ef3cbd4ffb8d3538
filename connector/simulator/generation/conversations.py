"""Generates conversations: who wrote, what happened, and the oddities of live payloads."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from connector.simulator.encoding import decode
from connector.simulator.generation import texts
from connector.simulator.records.shelf import Item, Shelf
from connector.simulator.records.thread import (
    Thread,
    admin_author,
    contact_author,
    contact_reference,
)
from connector.simulator.records.workspace import Record, Workspace
from connector.simulator.times import DAY, History

# One conversation in this many has more parts than the 500 a read returns.
_LONG_EVERY = 300


def new_id(space: Workspace, long: bool) -> str:
    """A conversation id: a number, with up to fifteen digits."""
    number = space.next_number("conversation")
    return str(215_474_200_000_000 + number * 7919 if long else 10_000 + number * 13)


def source(random: Random, author: Record) -> Record:
    """The message that began a conversation."""
    admin = author["type"] in ("admin", "bot")
    return {
        "type": random.choice(["conversation", "email", "push", "facebook"]),
        "id": str(random.randrange(10**9)),
        "delivered_as": "admin_initiated" if admin else "customer_initiated",
        "subject": random.choice(["", "", f"<p>{texts.words(random, 4)}</p>"]),
        "body": texts.html_body(random),
        "author": {name: author[name] for name in ("type", "id", "name", "email")},
        "attachments": [texts.attachment(random)] if random.random() < 0.05 else [],
        "url": random.choice([None, "https://www.example.com/pricing?a=b&c=%20"]),
        "redacted": False,
    }


def fill(
    space: Workspace, random: Random, count: int, parts: tuple[int, int], years: float
) -> None:
    """Put conversations into the workspace, in the order of their creation."""
    maker = _Maker(space, random, years)
    items = []
    for number, created in enumerate(sorted(maker.history.created() for _ in range(count))):
        amount = random.randint(*parts)
        if number % _LONG_EVERY == 7:
            amount = random.randint(501, 700)
        items.append(maker.conversation(created, amount))
    space.conversations = Shelf(items)


class _Maker:
    def __init__(self, space: Workspace, random: Random, years: float) -> None:
        self.space = space
        self.random = random
        self.history = History(random, space.now, years)
        self.contacts = list(space.contacts.current.values())
        self.admins = list(space.admins.values())
        self.bot = next(a for a in self.admins if a["email"].startswith("operator+"))
        self.people = [a for a in self.admins if a is not self.bot]
        # Old parts name admins that no list knows any more.
        self.writers = [admin_author(a) for a in [*self.people, *space.removed_admins.values()]]
        self.teams = list(space.teams.values())
        self.companies = [item for item in space.companies.current.values() if item.shown]

    def conversation(self, created: int, amount: int) -> Item:
        random = self.random
        thread = Thread.start(self.space, new_id(self.space, random.random() < 0.2), created)
        customer = self._begin(thread)
        last = self.history.updated(created)
        moments = sorted(self.history.between(created, last) for _ in range(amount))
        for at in moments:
            self._step(thread, customer, at)
        self._finish(thread)
        return thread.item()

    def _begin(self, thread: Thread) -> Record:
        random, record = self.random, thread.record
        draw = random.random()
        if self.contacts and draw < 0.97:
            item = random.choice(self.contacts)
            customer = contact_author(item)
            references = [contact_reference(item)]
            if draw < 0.03:
                references += [contact_reference(random.choice(self.contacts))]
        else:
            # A visitor: no list and no search knows it.
            id = f"{record['created_at']:08x}{random.getrandbits(64):016x}"
            customer = {"type": "lead", "id": id, "name": None, "email": ""}
            references = [{"type": "contact", "id": id, "external_id": None}]
        unique = {reference["id"]: reference for reference in references}
        record["contacts"]["contacts"] = list(unique.values())
        if random.random() < 0.95:
            first = customer if random.random() < 0.8 else random.choice(self.writers)
            record["source"] = source(random, first)
        if self.companies and random.random() < 0.2:
            record["company"] = decode(random.choice(self.companies).body)
        return customer

    def _step(self, thread: Thread, customer: Record, at: int) -> None:
        draw = self.random.random()
        steps: tuple[tuple[float, Callable[[Thread, Record, int], None]], ...] = (
            (0.35, self._customer_writes),
            (0.65, self._admin_writes),
            (0.75, self._bot_writes),
            (0.84, self._assigned),
            (0.88, self._attribute_set),
            (0.93, self._opened_or_closed),
            (0.95, self._tagged),
            (0.97, self._team_notes),
            (0.98, self._custom_action),
            (1.0, self._note),
        )
        next(step for limit, step in steps if draw < limit)(thread, customer, at)

    def _customer_writes(self, thread: Thread, customer: Record, at: int) -> None:
        random = self.random
        attachments = [texts.attachment(random) for _ in range(random.choice([0] * 9 + [1, 3]))]
        thread.comment(customer, at, texts.html_body(random), attachments=attachments)

    def _admin_writes(self, thread: Thread, customer: Record, at: int) -> None:
        random = self.random
        # Receipts and edits move a part's updated_at after its creation.
        edited = min(at + random.choice([0, 0, 60, 3600]), self.space.now - 900)
        thread.comment(
            random.choice(self.writers), at, texts.html_body(random), updated_at=max(at, edited)
        )

    def _bot_writes(self, thread: Thread, customer: Record, at: int) -> None:
        author = {**admin_author(self.bot), "is_ai_answer": self.random.random() < 0.7}
        options = [{"text": "Yes ✅", "uuid": "8d30b9f2-1111-4f1e-9a2b-3c4d5e6f7a8b"}]
        metadata = {"quick_reply_options": options} if self.random.random() < 0.2 else {}
        thread.comment(author, at, texts.html_body(self.random), metadata=metadata)

    def _assigned(self, thread: Thread, customer: Record, at: int) -> None:
        random = self.random
        admin = random.choice(self.people) if random.random() < 0.7 else None
        team = random.choice(self.teams) if self.teams and random.random() < 0.4 else None
        thread.assign(random.choice(self.writers), at, admin, team)

    def _attribute_set(self, thread: Thread, customer: Record, at: int) -> None:
        name, value = self.random.choice([("Issue type", "Billing ⅓"), ("Urgent", True)])
        thread.record["custom_attributes"][name] = value
        details = {"attribute": {"name": name}, "value": {"name": str(value)}}
        kind = "conversation_attribute_updated_by_admin"
        thread.part(kind, self.random.choice(self.writers), at, event_details=details)

    def _opened_or_closed(self, thread: Thread, customer: Record, at: int) -> None:
        by = self.random.choice(self.writers)
        if not thread.record["open"]:
            thread.reopen(by, at)
        elif self.random.random() < 0.8:
            thread.close(by, at)
        else:
            thread.snooze(by, at, at + 3 * DAY)

    def _tagged(self, thread: Thread, customer: Record, at: int) -> None:
        tags = list(self.space.tags.values())
        known = {tag["id"] for tag in thread.record["tags"]["tags"]}
        free = [tag for tag in tags if tag["id"] not in known]
        if not free:
            return self._note(thread, customer, at)
        thread.tag(self.random.choice(free), self.random.choice(self.writers), at)

    def _team_notes(self, thread: Thread, customer: Record, at: int) -> None:
        if not self.teams:
            return self._note(thread, customer, at)
        team = self.random.choice(self.teams)
        author = {"type": "team", "id": team["id"], "name": team["name"], "email": ""}
        thread.part("assignment", author, at, None, app_package_code="workflow")

    def _custom_action(self, thread: Thread, customer: Record, at: int) -> None:
        by, package = self.random.choice(self.writers), {"app_package_code": "test-integration"}
        action = {"name": "Jira Create Issue"}
        thread.part("custom_action_started", by, at, event_details={"action": action}, **package)
        action = {**action, "result": "success"}
        thread.part("custom_action_finished", by, at, event_details={"action": action}, **package)

    def _note(self, thread: Thread, customer: Record, at: int) -> None:
        by = self.random.choice(self.writers)
        redacted = self.random.random() < 0.1
        body = None if redacted else f"<p>{texts.words(self.random, 6)}</p>"
        thread.part("note", by, at, body, redacted=redacted)

    def _finish(self, thread: Thread) -> None:
        random, record = self.random, thread.record
        draw = random.random()
        record["read"] = draw < 0.7
        record["priority"] = random.choice(["none", "none", "low", "medium", "high", "urgent"])
        record["title"] = texts.words(random, 3) if draw < 0.3 else random.choice([None, ""])
        if record["state"] == "closed" and draw < 0.4:
            at = record["updated_at"]
            thread.rate(
                random.randint(1, 5), random.choice([None, "", "👍 great"]), at, silent=True
            )
        if draw > 0.8:
            status = random.choice(["hit", "missed", "cancelled", "active"])
            record["sla_applied"] = {
                "type": "conversation_sla_summary",
                "sla_name": "Réponse < 1h",
                "sla_status": status,
            }
        if 0.5 < draw < 0.7:
            self._ai_agent(record)
        if 0.7 < draw < 0.73:
            record["linked_objects"] = _linked(random)
        if 0.73 < draw < 0.76:
            # A young conversation can have no statistics at all.
            record["statistics"] = None

    def _ai_agent(self, record: Record) -> None:
        content = {
            "content_type": "article",
            "url": "https://help.example.com/en/articles/1",
            "title": "Größe & Maß",
            "locale": "de",
        }
        record["ai_agent_participated"] = True
        record["ai_agent"] = {
            "source_type": "workflow",
            "source_title": "Fin 🤖",
            "last_answer_type": self.random.choice(["ai_answer", None]),
            "resolution_state": self.random.choice(["assumed_resolution", "escalated", None]),
            "rating": self.random.choice([None, 4]),
            "rating_remark": None,
            "created_at": record["created_at"],
            "updated_at": record["updated_at"],
            "content_sources": {
                "type": "content_source.list",
                "total_count": 1,
                "content_sources": [content],
            },
        }


def _linked(random: Random) -> Record:
    data = [
        {"type": "ticket", "id": str(random.randrange(10**6)), "category": "Back-office"},
        {"type": "conversation", "id": str(random.randrange(10**6)), "category": None},
    ]
    return {"type": "list", "data": data, "total_count": 2, "has_more": False}
