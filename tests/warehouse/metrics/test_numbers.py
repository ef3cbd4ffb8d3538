"""docs/numbers.md: why Intercom's first response time differs, a conversation for each cause."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from connector.commands.demonstration import cookbook
from connector.simulator import Workspace
from connector.simulator.records.shelf import Item, Shelf
from connector.simulator.records.thread import (
    Thread,
    admin_author,
    contact_author,
    contact_reference,
    empty_statistics,
)
from tests.support.harness import NOW, Harness
from tests.support.places import ROOT

PAGE = (ROOT / "docs/numbers.md").read_text(encoding="utf-8")
(QUERY,) = cookbook.queries(PAGE)
MINUTE, HOUR = 60, 3_600
BEGAN = int(NOW) - 30 * 86_400


class Written:
    """Conversations written by hand; each begins with the customer at second 0 unless told."""

    def __init__(self) -> None:
        self.space = Workspace.generate(
            1, contacts=40, companies=4, conversations=0, tickets=0, events=0, now=int(NOW)
        )
        contacts = list(self.space.contacts.current.values())
        self.item = next(one for one in contacts if one.group == "user")
        self.lead = next(one for one in contacts if one.group == "lead")
        self.customer = contact_author(self.item)
        people = [admin_author(one) for one in self.space.admins.values()]
        self.admin = next(one for one in people if one["type"] == "admin")
        self.bot = next(one for one in people if one["type"] == "bot")
        self.items: list[Item] = []
        self.expected: dict[str, str] = {}

    def add(
        self,
        cause: str,
        write: Callable[[Thread], object],
        counted: tuple[int, int] | None,
        *,
        by: dict[str, Any] | None = None,
        of: Item | None = None,
    ) -> None:
        """One whose figures differ by the cause: Intercom counts (which second, how many)."""
        item, author = of or self.item, by or self.customer
        thread = Thread.start(self.space, str(70_000 + len(self.items)), BEGAN)
        thread.record["contacts"]["contacts"] = [contact_reference(item)]
        thread.record["source"] = {
            "type": "conversation",
            "id": "1",
            "delivered_as": "customer_initiated",
            "subject": "",
            "body": "<p>hello</p>",
            "author": {name: author[name] for name in ("type", "id", "name", "email")},
            "attachments": [],
            "url": None,
            "redacted": False,
        }
        write(thread)
        numbers = thread.record["statistics"] or empty_statistics()
        at, seconds = counted or (None, None)
        numbers["first_admin_reply_at"] = None if at is None else BEGAN + at
        numbers["time_to_admin_reply"] = seconds
        thread.record["statistics"] = numbers
        self.items.append(thread.item())
        self.expected[str(thread.record["id"])] = cause

    def finish(self) -> Workspace:
        self.space.conversations = Shelf(self.items)
        return self.space


def _written() -> Written:
    desk = Written()
    add, admin, bot, customer = desk.add, desk.admin, desk.bot, desk.customer

    def answered(thread: Thread, at: int = HOUR) -> None:
        thread.comment(admin, BEGAN + at, "<p>answer</p>")

    def noted(thread: Thread) -> None:
        thread.part("note", admin, BEGAN + MINUTE, "<p>note</p>")
        answered(thread)

    def botted(thread: Thread) -> None:
        thread.comment({**bot, "is_ai_answer": True}, BEGAN + MINUTE, "<p>an article</p>")
        answered(thread)

    def only_botted(thread: Thread) -> None:
        thread.comment(bot, BEGAN + MINUTE, "<p>an article</p>")

    def begun(thread: Thread) -> None:
        thread.comment(customer, BEGAN + HOUR, "<p>thanks</p>")
        answered(thread, 2 * HOUR)

    def early(thread: Thread) -> None:
        answered(thread, MINUTE)
        begun(thread)

    def closed_with_text(thread: Thread) -> None:
        thread.part("close", admin, BEGAN + HOUR, "<p>done</p>")
        answered(thread, 2 * HOUR)

    def long(thread: Thread) -> None:
        answered(thread, MINUTE)
        for number in range(505):
            thread.part("note", admin, BEGAN + HOUR + number, "<p>note</p>")
        answered(thread, 2 * HOUR)

    add("", answered, (HOUR, HOUR))
    add("", lambda thread: None, None)
    add("office hours", answered, (HOUR, 10 * MINUTE))
    add("office hours", answered, (HOUR, 0))
    add("a note came first", noted, (MINUTE, MINUTE))
    add("a bot or the AI agent answered first", botted, (MINUTE, MINUTE))
    add("a bot or the AI agent answered first", only_botted, (MINUTE, MINUTE))
    add("an admin began it", begun, (2 * HOUR, 2 * HOUR), by=admin)
    add("an admin wrote before the customer", early, (MINUTE, MINUTE), by=bot)
    add("a later reply was counted", closed_with_text, (2 * HOUR, 2 * HOUR))
    add("older parts are missing", long, (MINUTE, MINUTE))
    add("no figure at Intercom", answered, None)
    add("newer at Intercom", lambda thread: None, (HOUR, HOUR))
    add("merged contact", answered, (MINUTE, MINUTE), of=desk.lead)
    add("unknown", answered, (MINUTE, MINUTE))
    add("unknown", answered, (HOUR, 2 * HOUR))
    return desk


async def test_each_cause_is_named_and_what_agrees_is_not_listed(harness: Harness) -> None:
    written = _written()
    # The contact of all others is not the one into whom the lead is merged.
    users = [one for one in written.space.contacts.current.values() if one.group == "user"]
    await harness.load(written.finish())
    harness.control.merge_contacts(written.lead.id, users[1].id)
    harness.pass_time(HOUR)
    assert (await harness.sync()).exit_code == 0
    rows = harness.query(QUERY)
    found = {row["conversation_id"]: row["cause"] for row in rows}
    assert found == {id: cause for id, cause in written.expected.items() if cause}
    often = [row["as_often"] for row in rows if row["cause"] == "office hours"]
    assert often == [2, 2]


def test_every_cause_stands_in_the_table_and_is_tried() -> None:
    named = set(re.findall(r"(?:THEN|ELSE) '([^']+)'", QUERY))
    described = set(re.findall(r"^\| `([^`]+)` \|", PAGE, re.MULTILINE))
    assert named == described == set(_written().expected.values()) - {""}
