"""A day's worth of life: many changes of every kind at once, chosen by a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from connector.simulator.changes.companies import CompanyChanges
from connector.simulator.changes.contacts import ContactChanges
from connector.simulator.changes.conversations import ConversationChanges
from connector.simulator.generation import texts

Changed = dict[str, list[str]]
_KINDS = ("contacts", "companies", "conversations")


class Churn(ContactChanges, CompanyChanges, ConversationChanges):
    """Random changes; each moves updated_at, or not, as its own method says."""

    def change(self, fraction: float = 0.01, seed: int | str | None = None) -> Changed:
        """Change a share of everything, at least one of each kind. Returns the ids by kind."""
        space = self._space
        random = Random(str(space.next_number("churn") if seed is None else seed))
        # Copied once: a workspace may hold a million contacts.
        pool = {kind: list(space.shelf(kind).current) for kind in _KINDS}
        changed: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        for _ in range(_share(pool["contacts"], fraction)):
            self._change_contact(random, pool, changed)
        for _ in range(_share(pool["companies"], fraction)):
            id = random.choice(pool["companies"])
            if self.update_company(id, monthly_spend=random.randrange(10**6)):
                changed["companies"].add(id)
        for _ in range(_share(pool["conversations"], fraction)):
            self._change_conversation(random, pool, changed)
        return {kind: sorted(ids) for kind, ids in changed.items()}

    def _change_contact(
        self, random: Random, pool: dict[str, list[str]], changed: dict[str, set[str]]
    ) -> None:
        space = self._space
        id = random.choice(pool["contacts"])
        item = space.contacts.current[id]
        draw = random.random()
        did = True
        if draw < 0.4:
            self.update_contact(id, name=texts.full_name(random), last_seen_at=self._now)
        elif draw < 0.6 and space.tags:
            did = self.tag_contact(id, random.choice(list(space.tags)))
        elif draw < 0.7 and item.owned.tags:
            did = self.untag_contact(id, random.choice(item.owned.tags).id)
        elif draw < 0.8 and pool["companies"]:
            company = random.choice(pool["companies"])
            did = self.attach_company(id, company)
            if did:
                changed["companies"].add(company)
        elif draw < 0.85 and item.group == "lead":
            self.convert_lead(id)
        else:
            role = random.choice(["user", "lead"])
            id = self.create_contact(role, name=texts.full_name(random))
            pool["contacts"].append(id)
        if did:
            changed["contacts"].add(id)

    def _change_conversation(
        self, random: Random, pool: dict[str, list[str]], changed: dict[str, set[str]]
    ) -> None:
        space = self._space
        if random.random() < 0.15 and pool["contacts"]:
            id = self.create_conversation(random.choice(pool["contacts"]))
            pool["conversations"].append(id)
        else:
            id = random.choice(pool["conversations"])
            self._change_one(id, random)
        changed["conversations"].add(id)
        # A contact that writes is itself updated.
        for reference in self._thread(id).record["contacts"]["contacts"]:
            item = space.contacts.get(reference["id"])
            if item is not None and item.updated_at == self._now:
                changed["contacts"].add(item.id)

    def _change_one(self, id: str, random: Random) -> None:
        space = self._space
        admin = random.choice(list(space.admins))
        steps: list[Callable[[], object]] = [
            lambda: self.reply(id, random.randint(1, 3)),
            lambda: self.reply(id, 1, admin),
            lambda: self.close(id),
            lambda: self.reopen(id),
            lambda: self.assign(id, admin),
            lambda: self.assign(id),
            lambda: self.rate(id, random.randint(1, 5)),
        ]
        if space.tags:
            tag = random.choice(list(space.tags))
            steps.append(lambda: self.tag_conversation(id, tag))
        random.choice(steps)()


def _share(pool: list[str], fraction: float) -> int:
    return max(1, round(len(pool) * fraction)) if pool else 0
