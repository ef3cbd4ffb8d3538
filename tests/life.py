"""A small workspace and what happens in it, day by day, chosen by a seed.

Every kind of change that the simulator knows comes often enough over a year. ``log`` tells what
happened when, so that a failing night can be understood.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from connector.simulator import Workspace
from connector.simulator.shelf import Item
from tests.harness import NOW, Harness

DAY = 86_400
TIMEZONES = ("America/New_York", "Pacific/Kiritimati", "America/Los_Angeles", "UTC", "Asia/Kolkata")

Change = Callable[[], str | None]
"""Does something and returns what it did; None if there was nothing to do it to."""


def small_workspace(seed: int, scale: float = 1.0) -> Workspace:
    """About sixty contacts, twelve companies, twenty-five conversations, ten tickets."""
    sizes = {"contacts": 60, "companies": 12, "conversations": 25, "tickets": 10}
    scaled = {kind: max(3, round(size * scale)) for kind, size in sizes.items()}
    return Workspace.generate(
        seed, **scaled, tags=14, segments=6, admins=6, teams=3, events=60, articles=6,
        news_items=3, macros=4, calls=4, activity_logs=6, parts=(1, 5), now=int(NOW),
    )  # fmt: skip


class Life:
    """What happens in the workspace of a harness; all chance comes from the seed."""

    def __init__(self, harness: Harness, seed: int) -> None:
        self.harness, self.control = harness, harness.control
        self.space = harness.simulator.workspace
        self.random = Random(seed)
        self.nights = 0
        self.log: list[str] = []
        self.sizes = {kind: len(self.space.shelf(kind)) for kind in ("contacts", "companies")}
        self.sizes |= {kind: len(self.space.shelf(kind)) for kind in ("conversations", "tickets")}
        self.changes = [*_Contacts(self).changes(), *_Companies(self).changes()]
        self.changes += [*_Conversations(self).changes(), *_Tickets(self).changes()]
        self.meanwhile = list(self.changes)
        self.changes += _Directories(self).changes()

    def night(self, changes: int = 30) -> None:
        """A day of changes, spread over it, some of them moments before its end."""
        self.nights += 1
        moments = sorted(self._moment() for _ in range(changes))
        last = 0.0
        for moment in moments:
            self.harness.pass_time(moment - last)
            last = moment
            self.change(self.changes)
        self.harness.pass_time(DAY - last)

    def disturb(self, most: int = 4, requests: int = 80) -> None:
        """Let a few changes happen while the next sync reads."""
        self.control.clear_hooks()
        for _ in range(self.random.randint(0, most)):
            after = self.random.randrange(requests)
            self.control.when(None, self._meanwhile, after=after)

    def change(self, changes: Sequence[tuple[int, Change]]) -> None:
        """One change that finds something to do."""
        weights = [weight for weight, _ in changes]
        for _ in range(50):
            [(_, change)] = self.random.choices(changes, weights)
            done = change()
            if done is not None:
                self._note(done)
                return

    def told(self, *about: str, last: int = 40) -> str:
        """The end of the log; only what is about these, if any are named."""
        lines = [line for line in self.log if not about or any(one in line for one in about)]
        return "\n".join(lines[-last:])

    def _meanwhile(self) -> None:
        self.harness.pass_time(self.random.randint(0, 20))
        self.log.append("(while the sync reads)")
        self.change(self.meanwhile)

    def _moment(self) -> float:
        # A tenth of the changes comes in the last minutes, when lists cannot show them in time.
        if self.random.random() < 0.1:
            return DAY - self.random.uniform(0, 900)
        return self.random.uniform(0, DAY)

    def _note(self, done: str) -> None:
        at = datetime.fromtimestamp(int(self.harness.now), UTC)
        self.log.append(f"{self.nights} {at:%m-%d %H:%M:%S} {int(self.harness.now)} {done}")


class _Kind:
    """What the changes to one kind of object share."""

    def __init__(self, life: Life) -> None:
        self.life, self.control, self.space = life, life.control, life.space
        self.random = life.random

    def items(self, kind: str, *, shown: bool | None = None) -> list[Item]:
        found = self.space.shelf(kind).current.values()
        return [item for item in found if shown is None or item.shown == shown]

    def any(self, kind: str) -> str | None:
        return self.one([item.id for item in self.items(kind)])

    def one(self, ids: Sequence[Any]) -> Any:
        return self.random.choice(ids) if ids else None

    def some_record(self, kind: str) -> str | None:
        return self.one(list(self.space.directory(kind)))

    def admin(self) -> str:
        return str(self.random.choice(self.teammates()))

    def teammates(self) -> list[str]:
        admins = self.space.admins.values()
        return [str(one["id"]) for one in admins if not one["email"].startswith("operator+")]

    def word(self) -> str:
        return f"w{self.random.randrange(10**6)}"

    def is_crowded(self, kind: str) -> bool:
        """Whether there are more than there were, so that some may go."""
        return len(self.space.shelf(kind)) > 0.8 * self.life.sizes[kind]


class _Contacts(_Kind):
    def changes(self) -> list[tuple[int, Change]]:
        """What happens to contacts, and how often."""
        return [
            (6, self.create), (10, self.update), (5, self.update_silently), (6, self.tag),
            (4, self.untag), (2, self.tag_a_lot), (6, self.attach), (4, self.detach),
            (5, self.note), (5, self.subscribe), (6, self.move), (3, self.convert),
            (3, self.merge), (1, self.merge_by_hand), (2, self.archive), (1, self.unarchive),
            (3, self.delete), (6, self.server_event), (4, self.browser_event),
        ]  # fmt: skip

    def group(self, role: str) -> list[str]:
        return [item.id for item in self.items("contacts") if item.group == role]

    def create(self) -> str | None:
        if len(self.space.contacts) > 1.3 * self.life.sizes["contacts"]:
            return None
        role, name = self.random.choice(["user", "lead"]), self.word()
        fields = {"external_id": name} if role == "user" else {}
        id = self.control.create_contact(role, name=name, email=f"{name}@example.com", **fields)
        if self.random.random() < 0.3:
            self.control.tag_contact(id, self.some_record("tags") or "")
        return f"create contact {id} {role}"

    def update(self) -> str | None:
        id = self.any("contacts")
        fields: dict[str, Any] = self.random.choice(
            [
                {"name": self.word()},
                {"email": f"{self.word()}@example.com"},
                {"custom_attributes": {"seats": self.random.randrange(100)}},
                {"owner_id": int(self.admin())},
                {"last_seen_at": int(self.life.harness.now)},
            ]
        )
        return (
            f"update contact {id} {fields}" if self.control.update_contact(id, **fields) else None
        )

    def update_silently(self) -> str:
        id, browser = self.any("contacts"), self.word()
        self.control.update_contact_silently(str(id), browser=browser)
        return f"silently update contact {id} browser {browser}"

    def tag(self) -> str | None:
        id, tag = self.any("contacts"), self.some_record("tags")
        return f"tag contact {id} {tag}" if self.control.tag_contact(str(id), str(tag)) else None

    def untag(self) -> str | None:
        item = self.one([one for one in self.items("contacts") if one.owned.tags])
        if item is None:
            return None
        tag = self.one(item.owned.tags[-1:] if self.random.random() < 0.5 else item.owned.tags).id
        self.control.untag_contact(item.id, tag)
        return f"untag contact {item.id} {tag}"

    def tag_a_lot(self) -> str:
        id = str(self.any("contacts"))
        for tag in list(self.space.tags):
            self.control.tag_contact(id, tag)
        return f"tag contact {id} with everything"

    def attach(self) -> str | None:
        id, company = self.any("contacts"), self.any("companies")
        if company is None or not self.control.attach_company(
            str(id), company, bump=self.random.random() < 0.5
        ):
            return None
        return f"attach contact {id} to company {company}"

    def detach(self) -> str | None:
        item = self.one([one for one in self.items("contacts") if one.owned.companies])
        if item is None:
            return None
        company = self.one(item.owned.companies)
        self.control.detach_company(item.id, company, bump=self.random.random() < 0.5)
        return f"detach contact {item.id} from company {company}"

    def note(self) -> str:
        id = str(self.any("contacts"))
        return f"note {self.control.add_note(id, admin=self.admin())} on contact {id}"

    def subscribe(self) -> str:
        id, type = str(self.any("contacts")), str(self.some_record("subscription_types"))
        self.control.subscribe_contact(id, type, self.random.random() < 0.5)
        return f"subscribe contact {id} {type}"

    def move(self) -> str:
        id, segments = str(self.any("contacts")), sorted(self.space.segments)
        chosen = self.random.sample(segments, self.random.randint(0, min(3, len(segments))))
        self.control.set_segments(id, chosen)
        return f"move contact {id} into {chosen}"

    def convert(self) -> str | None:
        id = self.one(self.group("lead"))
        if id is not None:
            self.control.convert_lead(id)
        return id and f"convert contact {id}"

    def merge(self) -> str | None:
        lead, user = self.one(self.group("lead")), self.one(self.group("user"))
        if lead is None or user is None or not self.is_crowded("contacts"):
            return None
        self.control.merge_contacts(lead, user)
        return f"merge contact {lead} into {user}"

    def merge_by_hand(self) -> str | None:
        users = self.group("user")
        merged = {i.id for i in self.items("contacts") if i.owned.merges}
        # Preferably one into whom others were merged: so chains arise.
        source = self.one([id for id in users if id in merged] or users)
        target = self.one([id for id in users if id != source])
        if target is None or not self.is_crowded("contacts"):
            return None
        self.control.merge_contacts(source, target, by_hand=True)
        return f"merge contact {source} into {target} by hand"

    def archive(self) -> str | None:
        id = self.any("contacts")
        if id is None or not self.is_crowded("contacts"):
            return None
        self.control.archive_contact(id)
        return f"archive contact {id}"

    def unarchive(self) -> str | None:
        graves = self.space.gone.get("contacts", {}).values()
        id, bump = (
            self.one([g.id for g in graves if g.how == "archived"]),
            self.random.random() < 0.5,
        )
        if id is not None:
            self.control.unarchive_contact(id, bump)
        return id and f"unarchive contact {id} bump={bump}"

    def delete(self) -> str | None:
        id = self.any("contacts")
        if id is None or not self.is_crowded("contacts"):
            return None
        self.control.delete_contact(id)
        return f"delete contact {id}"

    def server_event(self) -> str:
        id, name = str(self.any("contacts")), f"server-{self.random.randrange(4)}"
        self.control.track_event(id, name, {"n": self.random.randrange(9)})
        return f"event {name} of contact {id}"

    def browser_event(self) -> str:
        id = str(self.any("contacts"))
        self.control.track_event(id, "visit", server_side=False)
        return f"event visit of contact {id}"


class _Companies(_Kind):
    def changes(self) -> list[tuple[int, Change]]:
        """What happens to companies, and how often."""
        return [
            (2, self.create), (4, self.update), (2, self.tag), (2, self.untag),
            (2, self.empty), (3, self.regain), (1, self.delete),
        ]  # fmt: skip

    def create(self) -> str | None:
        if len(self.space.companies) > 1.3 * self.life.sizes["companies"]:
            return None
        id = self.control.create_company(self.word())
        if self.random.random() < 0.7:
            self.control.attach_company(str(self.any("contacts")), id)
        return f"create company {id}"

    def update(self) -> str | None:
        id, spend = str(self.any("companies")), self.random.randrange(10**6)
        fields = {"monthly_spend": spend, "website": self.one([None, "https://example.com/x"])}
        return f"update company {id}" if self.control.update_company(id, **fields) else None

    def tag(self) -> str:
        id, tag = str(self.any("companies")), str(self.some_record("tags"))
        self.control.tag_company(id, tag)
        return f"tag company {id} {tag}"

    def untag(self) -> str:
        id, tag = str(self.any("companies")), str(self.some_record("tags"))
        self.control.untag_company(id, tag)
        return f"untag company {id} {tag}"

    def empty(self) -> str:
        id = str(self.any("companies"))
        for item in self.items("contacts"):
            self.control.detach_company(item.id, id, bump=self.random.random() < 0.5)
        return f"empty company {id}"

    def regain(self) -> str | None:
        item = self.one(self.items("companies", shown=False))
        contact = self.any("contacts")
        if item is None or not self.control.attach_company(str(contact), item.id):
            return None
        return f"company {item.id} regains contact {contact}"

    def delete(self) -> str | None:
        id = self.any("companies")
        if id is None or not self.is_crowded("companies"):
            return None
        self.control.delete_company(id)
        return f"delete company {id}"


class _Conversations(_Kind):
    def changes(self) -> list[tuple[int, Change]]:
        """What happens to conversations, and how often."""
        return [
            (4, self.create), (2, self.send_outbound), (2, self.answer_outbound), (5, self.reply),
            (4, self.answer), (3, self.close), (2, self.reopen), (1, self.snooze),
            (3, self.assign), (2, self.rate), (3, self.rate_silently), (3, self.tag),
            (3, self.untag), (4, self.mark_read), (1, self.redact), (2, self.update),
            (2, self.update_silently), (3, self.delete),
        ]  # fmt: skip

    def listed(self) -> str:
        return str(self.one([item.id for item in self.items("conversations", shown=True)]))

    def create(self) -> str | None:
        if len(self.space.conversations) > 1.3 * self.life.sizes["conversations"]:
            return None
        contact = self.any("contacts")
        return f"create conversation {self.control.create_conversation(contact)} of {contact}"

    def send_outbound(self) -> str | None:
        if len(self.items("conversations", shown=False)) > 8:
            return None
        contact = str(self.any("contacts"))
        return f"create outbound conversation {self.control.send_outbound(contact)} to {contact}"

    def answer_outbound(self) -> str | None:
        item = self.one(self.items("conversations", shown=False))
        if item is not None:
            self.control.reply(item.id)
        return item and f"answer outbound conversation {item.id}"

    def reply(self) -> str:
        id = self.listed()
        self.control.reply(id, self.random.randint(1, 3))
        return f"reply to conversation {id}"

    def answer(self) -> str:
        id, admin = self.listed(), self.admin()
        self.control.reply(id, 1, admin)
        return f"admin {admin} replies to conversation {id}"

    def close(self) -> str:
        id = self.listed()
        self.control.close(id, self.admin())
        return f"close conversation {id}"

    def reopen(self) -> str:
        id = self.listed()
        self.control.reopen(id)
        return f"reopen conversation {id}"

    def snooze(self) -> str:
        id = self.listed()
        self.control.snooze(id, int(self.life.harness.now) + DAY)
        return f"snooze conversation {id}"

    def assign(self) -> str:
        id = self.listed()
        team = self.some_record("teams") if self.random.random() < 0.4 else None
        admin = self.admin() if team is None and self.random.random() < 0.7 else None
        self.control.assign(id, admin, team)
        return f"assign conversation {id} to admin {admin} team {team}"

    def rate(self) -> str:
        id = self.listed()
        self.control.rate(id, self.random.randint(1, 5))
        return f"rate conversation {id}"

    def rate_silently(self) -> str:
        id = self.listed()
        self.control.rate(id, self.random.randint(1, 5), self.word(), silent=True)
        return f"silently rate conversation {id}"

    def tag(self) -> str:
        id, tag = self.listed(), str(self.some_record("tags"))
        self.control.tag_conversation(id, tag)
        return f"tag conversation {id} {tag}"

    def untag(self) -> str | None:
        tagged = [i for i in self.items("conversations", shown=True) if b'"applied_at"' in i.body]
        if not tagged:
            return None
        id = self.one(tagged).id
        tag = self.control.truth_one("conversations", id)["tags"]["tags"][0]["id"]
        self.control.untag_conversation(id, tag)
        return f"untag conversation {id} {tag}"

    def mark_read(self) -> str:
        id, read = self.listed(), self.random.random() < 0.5
        self.control.mark_read(id, read)
        return f"mark conversation {id} read={read}"

    def redact(self) -> str | None:
        id = self.listed()
        try:
            return f"redact part {self.control.redact_part(id)} of conversation {id}"
        except KeyError:
            return None

    def update(self) -> str:
        id = self.listed()
        self.control.update_conversation(id, custom_attributes={"Issue type": self.word()})
        return f"update conversation {id}"

    def update_silently(self) -> str:
        id, title = self.listed(), self.word()
        self.control.update_conversation_silently(id, title=title)
        return f"silently update conversation {id} title {title}"

    def delete(self) -> str | None:
        id = self.any("conversations")
        if id is None or not self.is_crowded("conversations"):
            return None
        self.control.delete_conversation(id, self.random.random() < 0.5)
        return f"delete conversation {id}"


class _Tickets(_Kind):
    def changes(self) -> list[tuple[int, Change]]:
        """What happens to tickets, and how often."""
        return [
            (2, self.create), (3, self.reply), (4, self.move), (2, self.assign),
            (2, self.set_attribute), (1, self.redact), (2, self.update_silently), (1, self.delete),
        ]  # fmt: skip

    def ticket(self) -> str:
        return str(self.any("tickets"))

    def create(self) -> str | None:
        if len(self.space.tickets) > 1.3 * self.life.sizes["tickets"]:
            return None
        kinds = [id for id, one in self.space.ticket_types.items() if not one["archived"]]
        contact = self.any("contacts")
        id = self.control.create_ticket(self.one(kinds), contact, self.word())
        return f"create ticket {id} of contact {contact}"

    def reply(self) -> str:
        id, admin = self.ticket(), self.one([None, self.admin()])
        self.control.reply_ticket(id, 1, admin, note=admin is not None)
        return f"reply to ticket {id}"

    def move(self) -> str:
        states = [id for id, one in self.space.ticket_states.items() if not one["archived"]]
        id, state = self.ticket(), self.one(states)
        self.control.set_ticket_state(id, state, self.admin())
        return f"move ticket {id} to {state}"

    def assign(self) -> str:
        id, admin = self.ticket(), self.one([None, self.admin()])
        self.control.assign_ticket(id, admin)
        return f"assign ticket {id} to {admin}"

    def set_attribute(self) -> str:
        id, value = self.ticket(), self.random.randrange(99)
        self.control.set_ticket_attribute(id, "_default_title_", f"title {value}")
        return f"set title of ticket {id} to {value}"

    def redact(self) -> str | None:
        id = self.ticket()
        try:
            return f"redact part {self.control.redact_ticket_part(id)} of ticket {id}"
        except KeyError:
            return None

    def update_silently(self) -> str:
        id, shared = self.ticket(), self.random.random() < 0.5
        self.control.update_ticket_silently(id, is_shared=shared)
        return f"silently update ticket {id} is_shared={shared}"

    def delete(self) -> str | None:
        id = self.ticket()
        if not self.is_crowded("tickets"):
            return None
        self.control.delete_ticket(id)
        return f"delete ticket {id}"


class _Directories(_Kind):
    def changes(self) -> list[tuple[int, Change]]:
        """What happens to the small lists and to content, and how often."""
        small = [
            (2, self.create_tag), (2, self.rename_tag), (1, self.delete_tag),
            (1, self.create_segment), (1, self.update_segment), (1, self.delete_segment),
            (1, self.create_admin), (1, self.update_admin), (1, self.remove_admin),
            (1, self.change_team), (1, self.replace_team), (1, self.change_timezone),
            (1, self.create_attribute), (1, self.archive_attribute),
        ]  # fmt: skip
        content = [
            (2, self.create_record), (4, self.update_record), (2, self.delete_record),
            (1, self.translate), (2, self.call), (2, self.log_activity),
        ]  # fmt: skip
        return small + content

    def create_tag(self) -> str | None:
        if len(self.space.tags) > 18:
            return None
        return f"create tag {self.control.create_tag(self.word())}"

    def rename_tag(self) -> str:
        id, name = str(self.some_record("tags")), self.word()
        self.control.rename_tag(id, name)
        return f"rename tag {id} {name}"

    def delete_tag(self) -> str | None:
        id = self.some_record("tags")
        if id is None or len(self.space.tags) < 12:
            return None
        self.control.delete_tag(id)
        return f"delete tag {id}"

    def create_segment(self) -> str | None:
        if len(self.space.segments) > 8:
            return None
        return f"create segment {self.control.create_segment(self.word())}"

    def update_segment(self) -> str:
        id = str(self.some_record("segments"))
        self.control.update_segment(id, name=self.word())
        return f"update segment {id}"

    def delete_segment(self) -> str | None:
        id = self.some_record("segments")
        if id is None or len(self.space.segments) < 4:
            return None
        self.control.delete_segment(id)
        return f"delete segment {id}"

    def create_admin(self) -> str | None:
        name = self.word()
        if len(self.space.admins) > 8:
            return None
        return f"create admin {self.control.create_admin(name, f'{name}@example.com')}"

    def update_admin(self) -> str:
        id = self.admin()
        self.control.update_admin(id, name=self.word(), away_mode_enabled=self.one([True, False]))
        return f"update admin {id}"

    def remove_admin(self) -> str | None:
        id = self.one([one for one in self.teammates() if one != self.space.me])
        if id is None or len(self.space.admins) < 5:
            return None
        self.control.remove_admin(id)
        return f"remove admin {id}"

    def change_team(self) -> str | None:
        id, admins = self.some_record("teams"), self.teammates()
        chosen = self.random.sample(admins, self.random.randint(0, len(admins)))
        if id is not None:
            self.control.update_team(id, name=self.word(), admin_ids=[int(one) for one in chosen])
        return id and f"change team {id} to {chosen}"

    def replace_team(self) -> str:
        id = self.some_record("teams")
        if id is not None and len(self.space.teams) > 2:
            self.control.delete_team(id)
            return f"delete team {id}"
        return f"create team {self.control.create_team(self.word(), [self.admin()])}"

    def change_timezone(self) -> str:
        zone = self.random.choice(TIMEZONES)
        self.control.set_timezone(zone)
        return f"move the workspace to {zone}"

    def create_attribute(self) -> str | None:
        if len(self.space.data_attributes) > 60:
            return None
        model = self.random.choice(["contact", "company", "conversation"])
        return f"create attribute {self.control.create_data_attribute(model, self.word())}"

    def archive_attribute(self) -> str | None:
        custom = [one for one in self.space.data_attributes if one.get("custom")]
        one = self.one(custom)
        if one is None:
            return None
        archived = not one["archived"]
        self.control.update_data_attribute(one["model"], one["name"], archived=archived)
        return f"attribute {one['name']} of {one['model']} archived={archived}"

    def create_record(self) -> str:
        create = {
            "article": self.control.create_article, "macro": self.control.create_macro,
            "news item": self.control.create_news_item, "newsfeed": self.control.create_newsfeed,
            "collection": self.control.create_collection,
        }  # fmt: skip
        name = self.random.choice(sorted(create))
        return f"create {name} {create[name](self.word())}"

    def update_record(self) -> str | None:
        kind, title = self.random.choice(
            [("articles", "title"), ("macros", "name"), ("news_items", "title"),
             ("newsfeeds", "name"), ("collections", "name"), ("calls", "ended_reason")]
        )  # fmt: skip
        id = self.some_record(kind)
        if id is None:
            return None
        update = self.one([self.control.update_record, self.control.update_record_silently])
        update(kind, id, **{title: self.word()})
        return f"{update.__name__} {kind} {id}"

    def delete_record(self) -> str | None:
        kind = self.random.choice(["articles", "macros", "news_items", "newsfeeds", "collections"])
        id = self.some_record(kind)
        if id is None or len(self.space.directory(kind)) < 3:
            return None
        self.control.delete_record(kind, id)
        return f"delete {kind} {id}"

    def translate(self) -> str | None:
        id = self.some_record("articles")
        if id is not None:
            self.control.translate_article(id, self.one(["fr", "de"]), title=self.word())
        return id and f"translate articles {id}"

    def call(self) -> str | None:
        if len(self.space.calls) > 30:
            return None
        return f"create call {self.control.create_call(contact_id=self.any('contacts'))}"

    def log_activity(self) -> str:
        return f"log activity {self.control.log_activity(admin=self.admin())}"
