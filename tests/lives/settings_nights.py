"""Settings that change between two runs, by a seed; what may be wrong meanwhile, and what not.

A night's settings are those of the night before, but for one or two that change: what is excluded
and how, the hash key, which resources are read, the API version, the lookback, when full passes
come, what becomes of deleted contacts, the activity feed, and of what history is kept, how long.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import timedelta
from random import Random
from typing import Any

from connector.resources import RESOURCES
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.schema import versions
from tests.support.harness import Harness

FIELDS = (
    "contacts.email", "contacts.name", "contacts.custom_attributes.plan_tier",
    "contact_tags.applied_by_type", "contact_notes.body", "events.metadata", "events.email",
    "companies.name", "conversations.source_body", "conversations.source_author_email",
    "conversation_parts.body", "conversation_parts.author_email",
    "conversation_part_attachments.name", "tickets.ticket_attributes", "ticket_parts.body",
    "calls.phone", "macros.body", "articles.title", "activity_logs.metadata", "tags.name",
    "segments.name", "admins.email", "contact_merges.source_contact_role",
)  # fmt: skip
HASHABLE = ("contacts.email", "contacts.name", "events.email", "conversation_parts.author_email",
            "conversations.source_author_email", "contact_notes.body", "tags.name")  # fmt: skip
KEYS = ("0123456789abcdef0123456789abcdef", "fedcba9876543210fedcba9876543210")
LEFT_OUT = tuple(r.name for r in RESOURCES if r.name not in ("tags", "admins", "segments"))


class Settings:
    """What the nightly sync is set to; ``change`` makes it the next night's."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.log: list[str] = []
        self.excluded: dict[str, bool] = {}  # by name, whether it is hashed
        self.key = KEYS[0]
        self.left_out: set[str] = set()
        self.version = "2.16"
        self.scrubs = False
        self.history: tuple[str, ...] = ()
        self.options: dict[str, Any] = {"full_pass_requests": 2_000}

    def change(self) -> None:
        """One or two settings are others from now on."""
        for _ in range(self.random.choice((0, 1, 1, 2))):
            change: Callable[[], str] = self.random.choice(
                (self._exclude, self._exclude, self._lift, self._lift, self._rekey,
                 self._leave_out, self._take_in, self._version, self._pace, self._scrub, self._feed,
                 self._history, self._history)
            )  # fmt: skip
            self.log.append(change())

    def privacy(self) -> Privacy:
        """What is kept out now."""
        text = ",".join(f"hash:{name}" if h else name for name, h in self.excluded.items())
        return Privacy(parse(text, self.key), scrubs_deleted=self.scrubs)

    def of_a_run(self) -> dict[str, Any]:
        """The options of a run."""
        selected = tuple(r.name for r in RESOURCES if r.name not in self.left_out)
        only = selected if self.left_out else None
        own = {"privacy": self.privacy(), "only": only, "history": self.history}
        return {**self.options, **own}

    def calm(self) -> None:
        """Everything is as it is without any setting; of all that can be, history is kept."""
        self.excluded, self.left_out, self.version, self.scrubs = {}, set(), "2.16", False
        self.options, self.history = {"full_pass_days": 0}, tuple(versions.VERSIONED)
        self.log.append("nothing is set but history")

    # -- changes -----------------------------------------------------------------------------

    def _exclude(self) -> str:
        name = self.random.choice(FIELDS)
        self.excluded[name] = name in HASHABLE and self.random.random() < 0.5
        return f"exclude {'hash:' if self.excluded[name] else ''}{name}"

    def _lift(self) -> str:
        for name in (
            self.random.sample(sorted(self.excluded), k=len(self.excluded) // 2 or 1)[
                : len(self.excluded)
            ]
            if self.excluded
            else []
        ):
            del self.excluded[name]
        return f"exclude only {sorted(self.excluded)}"

    def _rekey(self) -> str:
        self.key = self.random.choice(KEYS)
        return f"hash key {KEYS.index(self.key)}"

    def _leave_out(self) -> str:
        self.left_out = set(self.random.sample(LEFT_OUT, k=self.random.randint(1, 4)))
        return f"leave out {sorted(self.left_out)}"

    def _take_in(self) -> str:
        self.left_out = set()
        return "read everything"

    def _version(self) -> str:
        self.version = self.random.choice(("2.16", "Preview"))
        return f"version {self.version}"

    def _pace(self) -> str:
        self.options["lookback"] = timedelta(seconds=self.random.choice((0, 900, 7_200)))
        self.options["full_pass_requests"] = self.random.choice((0, 60, 2_000))
        self.options["full_pass_days"] = self.random.choice((0, 3, 7, 30))
        return f"pace {self.options}"

    def _scrub(self) -> str:
        self.scrubs = not self.scrubs
        return f"deleted contacts are {'emptied' if self.scrubs else 'kept'}"

    def _feed(self) -> str:
        self.options["activity_feed"] = self.random.random() < 0.5
        return f"activity feed {self.options['activity_feed']}"

    def _history(self) -> str:
        every = tuple(versions.VERSIONED)
        some = self.random.sample(every, k=self.random.randint(0, len(every)))
        self.history = tuple(name for name in every if name in some)
        days = self.random.choice((None, None, 3))
        self.options["history_kept"] = timedelta(days=days) if days else None
        return f"history of {self.history}, ended ones for {days} days"


def leaked(harness: Harness, settings: Settings, versioned: Collection[str] = ()) -> list[str]:
    """Columns that hold what is excluded now, also in versions of the rows of these tables."""
    found = []
    for name, hashed in settings.excluded.items():
        table, column, *key = name.split(".")
        value = f"{column} ->> '{key[0]}'" if key else f'"{column}"::text'
        wrong = f"{value} !~ '^[0-9a-f]{{64}}$'" if hashed else f"{value} IS NOT NULL"
        for where in (table, f"{table}_history") if table in versioned else (table,):
            rows = harness.query(f'SELECT 1 FROM "{where}" WHERE {wrong} LIMIT 1')
            found += [f"{name} in {where}"] if rows else []
    return found
