"""A workspace that lives on by itself: one change after another, of every kind, within bounds."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from connector.simulator.changes.churn import Changed, Churn
from connector.simulator.changes.directory import DirectoryChanges
from connector.simulator.encoding import decode
from connector.simulator.generation import texts
from connector.simulator.records.workspace import SHELVES

Sets = dict[str, set[str]]
# How much larger than at first a workspace may grow before something goes.
_GROWTH, _FEW = 1.05, 3


class Living(Churn, DirectoryChanges):
    """Changes one by one, deletions and merges among them; the size stays about what it was."""

    _first_sizes: dict[str, int] | None = None

    def live(self, n: int = 1, seed: int | str | None = None) -> Changed:
        """Make n changes. Returns the ids by kind; the seed decides which, or the number of calls.

        Whatever has grown by a twentieth since the first call loses one first.
        """
        space = self._space
        if self._first_sizes is None:
            self._first_sizes = {kind: len(space.shelf(kind).current) for kind in SHELVES}
        random = Random(f"{space.next_number('living') if seed is None else seed}-living")
        changed: Sets = {}
        for _ in range(n):
            kind = self._outgrown()
            if kind is not None:
                self._go(kind, random, changed)
            else:
                self._happen(random, changed)
        return {kind: sorted(ids) for kind, ids in changed.items()}

    def _outgrown(self) -> str | None:
        sizes = self._first_sizes or {}
        for kind, size in sizes.items():
            if len(self._space.shelf(kind).current) > size * _GROWTH + _FEW:
                return kind
        return None

    def _happen(self, random: Random, changed: Sets) -> None:
        steps: list[tuple[int, Callable[[Random, Sets], None]]] = [
            (30, self._live_contact),
            (25, self._live_conversation),
            (10, self._live_ticket),
            (10, self._live_company),
            (10, self._live_silently),
            (5, self._live_content),
            (5, self._live_directory),
            (5, self._leave),
        ]
        [(_, step)] = random.choices(steps, [weight for weight, _ in steps])
        step(random, changed)

    def _live_contact(self, random: Random, changed: Sets) -> None:
        pool = self._pool()
        if random.random() < 0.3 and pool["contacts"]:
            id = random.choice(pool["contacts"])
            self._change_rarely(random, id)
            changed.setdefault("contacts", set()).add(id)
        elif pool["contacts"]:
            self._change_contact(random, pool, self._touched(changed))

    def _change_rarely(self, random: Random, id: str) -> None:
        companies = self._space.contacts.current[id].owned.companies
        address = f"living{self._space.next_number('living_email')}@example.com"
        steps: list[Callable[[], object]] = [
            lambda: self.update_contact(id, email=address),
            lambda: self.update_contact(id, unsubscribed_from_emails=random.random() < 0.5),
        ]
        if companies:
            steps.append(lambda: self.detach_company(id, random.choice(companies)))
        random.choice(steps)()

    def _live_conversation(self, random: Random, changed: Sets) -> None:
        pool = self._pool()
        if random.random() < 0.3 and pool["conversations"] and pool["contacts"]:
            id = random.choice(pool["conversations"])
            self._converse_rarely(random, id, random.choice(pool["contacts"]))
            changed.setdefault("conversations", set()).add(id)
        elif pool["conversations"]:
            self._change_conversation(random, pool, self._touched(changed))

    def _converse_rarely(self, random: Random, id: str, contact: str) -> None:
        thread = self._thread(id)
        members = [one["id"] for one in thread.record["contacts"]["contacts"]]
        steps: list[Callable[[], object]] = [
            lambda: self.note(id, f"<p>{texts.words(random, 5)}</p>"),
            lambda: self.snooze(id, self._now + 3_600),
            lambda: self.mark_read(id),
            lambda: self.update_conversation(id, priority=random.choice(["priority", "none"])),
            lambda: self.add_participant(id, contact),
        ]
        if len(members) > 1 and members[-1] in self._space.contacts.current:
            steps.append(lambda: self.remove_participant(id, members[-1]))
        if any(decode(part)["body"] for part in thread.parts):
            steps.append(lambda: self.redact_part(id))
        random.choice(steps)()

    def _live_ticket(self, random: Random, changed: Sets) -> None:
        tickets = list(self._space.tickets.current)
        if tickets:
            self._change_ticket(random, tickets, list(self._space.contacts.current), changed)

    def _live_company(self, random: Random, changed: Sets) -> None:
        ids = list(self._space.companies.current)
        if not ids or random.random() < 0.2:
            id = self.create_company(texts.full_name(random))
        else:
            id = random.choice(ids)
            self.update_company(id, monthly_spend=random.randrange(10**6))
        changed.setdefault("companies", set()).add(id)

    def _live_silently(self, random: Random, changed: Sets) -> None:
        contacts = list(self._space.contacts.current)
        if contacts:
            self._change_silently(random, random.choice(contacts), changed)

    def _live_content(self, random: Random, changed: Sets) -> None:
        kind = random.choice(("articles", "macros", "news_items", "calls"))
        ids = list(self._space.directory(kind))
        if not ids:
            return
        change = {
            "articles": self._change_article,
            "macros": self._change_macro,
            "news_items": self._change_news,
            "calls": self._change_call,
        }[kind]
        changed.setdefault(kind, set()).add(change(random, random.choice(ids)))

    def _live_directory(self, random: Random, changed: Sets) -> None:
        space = self._space
        if random.random() < 0.5 or not space.tags:
            id = random.choice(list(space.admins))
            away = not space.admins[id]["away_mode_enabled"]
            self.update_admin(id, away_mode_enabled=away)
            changed.setdefault("admins", set()).add(id)
        else:
            id = random.choice(list(space.tags))
            self.rename_tag(id, texts.words(random, 1))
            changed.setdefault("tags", set()).add(id)

    def _leave(self, random: Random, changed: Sets) -> None:
        kind = random.choice(SHELVES)
        if len(self._space.shelf(kind).current) > (self._first_sizes or {})[kind] / _GROWTH:
            self._go(kind, random, changed)

    def _go(self, kind: str, random: Random, changed: Sets) -> None:
        pool = self._pool().get(kind) or list(self._space.tickets.current)
        if len(pool) <= _FEW:
            return
        id = random.choice(pool)
        changed.setdefault(kind, set()).add(id)
        if kind == "contacts":
            self._contact_goes(id, random, changed)
        else:
            {
                "companies": self.delete_company,
                "conversations": self.delete_conversation,
                "tickets": self.delete_ticket,
            }[kind](id)

    def _contact_goes(self, id: str, random: Random, changed: Sets) -> None:
        draw, contacts = random.random(), self._space.contacts.current
        users = [one for one, item in contacts.items() if item.group == "user" and one != id]
        if draw < 0.4 and users:
            target = random.choice(users)
            self.merge_contacts(id, target, by_hand=True)
            changed["contacts"].add(target)
        elif draw < 0.7:
            self.archive_contact(id)
            if random.random() < 0.3:
                self.unarchive_contact(id)
        else:
            self.delete_contact(id)

    def _touched(self, changed: Sets) -> Sets:
        for kind in ("contacts", "companies", "conversations"):
            changed.setdefault(kind, set())
        return changed
