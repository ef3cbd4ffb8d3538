"""A day's worth of life beyond contacts, companies and conversations, chosen by a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from connector.simulator.changes.content import ContentChanges
from connector.simulator.changes.events import EventChanges
from connector.simulator.changes.tickets import TicketChanges
from connector.simulator.generation import texts
from connector.simulator.generation.events import NAMES, metadata

Sets = dict[str, set[str]]


class EverythingElse(EventChanges, TicketChanges, ContentChanges):
    """Random changes; silent where Intercom is silent: notes, segments, subscriptions, events."""

    def _change_everything(self, random: Random, fraction: float) -> Sets:
        changed: Sets = {}
        contacts = list(self._space.contacts.current)
        for _ in range(share(len(contacts), fraction)):
            self._change_silently(random, random.choice(contacts), changed)
        # Copied before new ones come.
        tickets = list(self._space.tickets.current)
        for _ in range(share(len(tickets), fraction)):
            self._change_ticket(random, tickets, contacts, changed)
        for kind, change in (
            ("articles", self._change_article),
            ("macros", self._change_macro),
            ("news_items", self._change_news),
            ("calls", self._change_call),
        ):
            ids = list(self._space.directory(kind))
            for _ in range(share(len(ids), fraction)):
                id = change(random, random.choice(ids))
                changed.setdefault(kind, set()).add(id)
        for _ in range(share(len(self._space.activity_logs), fraction)):
            changed.setdefault("activity_logs", set()).add(self.log_activity())
        return changed

    def _change_silently(self, random: Random, contact: str, changed: Sets) -> None:
        space, draw = self._space, random.random()
        kind = "events"
        if draw < 0.4:
            name = random.choice(NAMES)
            server_side = random.random() < 0.7
            self.track_event(contact, name, metadata(random, random.randrange(8)), server_side)
            if not server_side:
                changed.setdefault("contacts", set()).add(contact)
        elif draw < 0.6:
            kind = "contact_notes"
            self.add_note(contact, f"<p>{texts.words(random, 6)}</p>")
        elif draw < 0.8:
            kind = "contact_segments"
            segments = sorted(space.segments)
            count = min(len(segments), random.randrange(4))
            self.set_segments(contact, random.sample(segments, count))
        else:
            kind = "contact_subscriptions"
            type = random.choice(sorted(space.subscription_types))
            self.subscribe_contact(contact, type, random.random() < 0.5)
        changed.setdefault(kind, set()).add(contact)

    def _change_ticket(
        self, random: Random, tickets: list[str], contacts: list[str], changed: Sets
    ) -> None:
        draw = random.random()
        touched = changed.setdefault("tickets", set())
        if draw < 0.15 and contacts:
            types = [id for id, one in self._space.ticket_types.items() if not one["archived"]]
            contact = random.choice(contacts)
            touched.add(self.create_ticket(random.choice(types), contact))
            changed.setdefault("contacts", set()).add(contact)
            return
        if draw < 0.2 and len(tickets) > 1:
            id = tickets.pop(random.randrange(len(tickets)))
            self.delete_ticket(id)
            touched.add(id)
            return
        id = random.choice(tickets)
        states = [id for id, one in self._space.ticket_states.items() if not one["archived"]]
        admin = random.choice(list(self._space.admins))
        steps: list[Callable[[], None]] = [
            lambda: self.reply_ticket(id, 2, admin),
            lambda: self.set_ticket_state(id, random.choice(states), admin),
            lambda: self.assign_ticket(id, admin),
            lambda: self.assign_ticket(id),
            lambda: self.set_ticket_attribute(id, "Retries", random.randrange(99)),
        ]
        random.choice(steps)()
        touched.add(id)

    def _change_article(self, random: Random, id: str) -> str:
        draw = random.random()
        if draw < 0.2:
            return self.create_article(texts.words(random, 3))
        if draw < 0.3 and len(self._space.articles) > 1 and id in self._space.articles:
            self.delete_record("articles", id)
        elif id in self._space.articles and draw < 0.5:
            self.translate_article(id, "fr", title=texts.words(random, 2))
        elif id in self._space.articles:
            self.update_record("articles", id, title=texts.words(random, 3))
        return id

    def _change_macro(self, random: Random, id: str) -> str:
        self.update_record("macros", id, name=texts.words(random, 2))
        return id

    def _change_news(self, random: Random, id: str) -> str:
        self.update_record("news_items", id, title=texts.words(random, 3))
        return id

    def _change_call(self, random: Random, id: str) -> str:
        if random.random() < 0.5:
            return self.create_call(contact_id=None)
        # A transcript can come long after the call.
        self.update_record("calls", id, ended_reason=random.choice(["answered", "no_answer"]))
        return id


def share(count: int, fraction: float) -> int:
    """How many of so many to change: one at least, if there are any."""
    return max(1, round(count * fraction)) if count else 0
