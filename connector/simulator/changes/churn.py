"""A day's worth of life: many changes of every kind at once, chosen by a seed."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from connector.simulator.changes.companies import CompanyChanges
from connector.simulator.changes.conversations import ConversationChanges
from connector.simulator.changes.everything import EverythingElse, share
from connector.simulator.generation import texts

Changed = dict[str, list[str]]
_KINDS = ("contacts", "companies", "conversations")


class Churn(EverythingElse, CompanyChanges, ConversationChanges):
    """Random changes; each moves updated_at, or not, as its own method says."""

    def change(
        self,
        fraction: float = 0.01,
        seed: int | str | None = None,
        everything: bool = False,
    ) -> Changed:
        """Change a share of contacts, companies and conversations, at least one of each.

        With `everything` also events, notes, segments, subscriptions, tickets, articles, macros,
        news, calls and the log. Returns the ids by kind; what hangs on a contact goes by its id.
        """
        dice = str(self._space.next_number("churn") if seed is None else seed)
        random = Random(dice)
        pool = self._pool()
        changed: dict[str, set[str]] = {kind: set() for kind in _KINDS}
        for _ in range(share(len(pool["contacts"]), fraction)):
            self._change_contact(random, pool, changed)
        for _ in range(share(len(pool["companies"]), fraction)):
            id = random.choice(pool["companies"])
            if self.update_company(id, monthly_spend=random.randrange(10**6)):
                changed["companies"].add(id)
        for _ in range(share(len(pool["conversations"]), fraction)):
            self._change_conversation(random, pool, changed)
        if everything:
            for kind, ids in self._change_everything(Random(f"{dice}-all"), fraction).items():
                changed.setdefault(kind, set()).update(ids)
        return {kind: sorted(ids) for kind, ids in changed.items()}

    def _pool(self) -> dict[str, list[str]]:
        # Copied once for many changes: a workspace may hold a million contacts.
        shelves = {kind: self._space.shelf(kind).current for kind in _KINDS}
        return {
            kind: [id for id, item in current.items() if item.group != "ticket"]
            for kind, current in shelves.items()
        }

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
