"""A day's worth of life: many changes of every kind at once, chosen by a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from connector.simulator.changes.companies import CompanyChanges
from connector.simulator.changes.contacts import ContactChanges
from connector.simulator.changes.conversations import ConversationChanges
from connector.simulator.generation import texts

Changed = dict[str, list[str]]


class Churn(ContactChanges, CompanyChanges, ConversationChanges):
    """Random changes; each moves updated_at, or not, as its own method says."""

    def change(self, fraction: float = 0.01, seed: int | str | None = None) -> Changed:
        """Change a share of everything, at least one of each kind. Returns the ids by kind."""
        space = self._space
        random = Random(str(space.next_number("churn") if seed is None else seed))
        changed: dict[str, set[str]] = {"contacts": set(), "companies": set()}
        changed["conversations"] = set()
        for _ in range(_share(len(space.contacts), fraction)):
            self._change_contact(random, changed)
        for _ in range(_share(len(space.companies), fraction)):
            id = random.choice(list(space.companies.current))
            self.update_company(id, monthly_spend=random.randrange(10**6))
            changed["companies"].add(id)
        for _ in range(_share(len(space.conversations), fraction)):
            self._change_conversation(random, changed)
        return {kind: sorted(ids) for kind, ids in changed.items()}

    def _change_contact(self, random: Random, changed: dict[str, set[str]]) -> None:
        space = self._space
        id = random.choice(self._contact_ids())
        draw = random.random()
        if draw < 0.4:
            self.update_contact(id, name=texts.full_name(random), last_seen_at=self._now)
        elif draw < 0.6 and space.tags:
            self.tag_contact(id, random.choice(list(space.tags)))
        elif draw < 0.7:
            tags = space.contacts.current[id].owned.tags
            if tags:
                self.untag_contact(id, random.choice(tags).id)
        elif draw < 0.8 and len(space.companies):
            company = random.choice(list(space.companies.current))
            if self.attach_company(id, company):
                changed["companies"].add(company)
        elif draw < 0.85 and space.contacts.current[id].group == "lead":
            self.convert_lead(id)
        else:
            role = random.choice(["user", "lead"])
            id = self.create_contact(role, name=texts.full_name(random))
        changed["contacts"].add(id)

    def _change_conversation(self, random: Random, changed: dict[str, set[str]]) -> None:
        space = self._space
        id = random.choice(list(space.conversations.current))
        tag = random.choice(list(space.tags)) if space.tags else None
        admin = random.choice(list(space.admins))
        steps: list[Callable[[], object]] = [
            lambda: self.reply(id, random.randint(1, 3)),
            lambda: self.reply(id, 1, admin),
            lambda: self.close(id),
            lambda: self.reopen(id),
            lambda: self.assign(id, admin),
            lambda: self.assign(id),
            lambda: self.rate(id, random.randint(1, 5)),
            lambda: self.tag_conversation(id, tag) if tag else None,
        ]
        if random.random() < 0.15:
            id = self.create_conversation(random.choice(self._contact_ids()))
        else:
            random.choice(steps)()
        changed["conversations"].add(id)
        # A contact that writes is itself updated.
        for reference in self._thread(id).record["contacts"]["contacts"]:
            item = space.contacts.get(reference["id"])
            if item is not None and item.updated_at == self._now:
                changed["contacts"].add(item.id)

    def _contact_ids(self) -> list[str]:
        return list(self._space.contacts.current)


def _share(count: int, fraction: float) -> int:
    return max(1, round(count * fraction)) if count else 0
