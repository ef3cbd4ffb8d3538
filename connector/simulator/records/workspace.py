"""One Intercom workspace: its records and what was deleted; knows no HTTP, no search, no faults."""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from msgspec import Struct, field

from connector.simulator.records.plain import PLAIN
from connector.simulator.records.shelf import Item, Shelf

CONTACT_ATTRIBUTES = {
    "plan_tier": "string",
    "seats": "integer",
    "lifetime_value": "float",
    "is_beta": "boolean",
    "renewal_at": "date",
    "Favourite colour ✨": "string",
}
COMPANY_ATTRIBUTES = {"account_manager": "string", "arr": "float", "churn_risk": "boolean"}
CONVERSATION_ATTRIBUTES = {"Issue type": "string", "Urgent": "boolean", "Copilot used": "boolean"}
SHELVES = ("contacts", "companies", "conversations", "tickets")
# The kinds kept as plain records: their lists do not lag.
DIRECTORIES = frozenset(
    (
        "tags", "segments", "admins", "teams", "subscription_types", "ticket_types",
        "ticket_states", "help_centers", "collections", "articles", "news_items", "newsfeeds",
        "macros", "calls",
    )
)  # fmt: skip

Record = dict[str, Any]


class Applied(NamedTuple):
    """A tag on a contact: which, since when, by which admin."""

    id: str
    at: int
    by: str


class Ties(NamedTuple):
    """What hangs on a contact and is embedded only up to ten."""

    tags: tuple[Applied, ...] = ()
    companies: tuple[str, ...] = ()
    notes: tuple[bytes, ...] = ()
    opted_out: tuple[str, ...] = ()
    opted_in: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()
    merges: tuple[bytes, ...] = ()


NO_TIES = Ties()


class Gone(Struct):
    """What became of a record that no list shows any more."""

    kind: str
    id: str
    how: str
    at: int
    target: str | None = None
    item: Item | None = None
    role: str | None = None
    # Of what came back in silence and went again: since when nobody could see it alive.
    since: int | None = None


class Event(NamedTuple):
    """Something a contact did: when in milliseconds, what, and when lists begin to show it."""

    ms: int
    name: str
    metadata: bytes
    visible_at: float

    @property
    def created_at(self) -> int:
        """The second, which is all that clients are told."""
        return self.ms // 1000


class Sizes(NamedTuple):
    """How many of each kind to generate; None is a modest number by the number of contacts."""

    contacts: int
    companies: int
    conversations: int
    tags: int
    segments: int
    admins: int
    teams: int
    events: int | None = None
    tickets: int | None = None
    articles: int | None = None
    news_items: int | None = None
    macros: int | None = None
    calls: int | None = None
    activity_logs: int | None = None

    def settled(self) -> Sizes:
        """The same with a number for every kind."""
        contacts = self.contacts
        modest = {
            "events": min(2 * contacts, 40_000),
            "tickets": min(contacts // 5, 4000),
            "articles": min(contacts // 5, 400),
            "news_items": min(contacts // 10, 60),
            "macros": min(contacts // 10, 200),
            "calls": min(contacts // 5, 1000),
            "activity_logs": min(contacts // 2, 2000),
        }
        return self._replace(**{k: n for k, n in modest.items() if getattr(self, k) is None})


def new_app(seed: int, now: int, timezone: str, years: float) -> Record:
    """The workspace as GET /me tells it."""
    return {
        "type": "app",
        "id_code": f"sim{seed:05d}",
        "name": "Simulated Workspace & Söhne",
        "created_at": now - int(years * 365.25 * 86_400),
        "secure": False,
        "identity_verification": False,
        "timezone": timezone,
        "region": "US",
    }


class Workspace(Struct):
    """All records of one workspace, kind by kind."""

    seed: int
    now: int
    app: Record
    me: str = ""
    admins: dict[str, Record] = field(default_factory=dict)
    teams: dict[str, Record] = field(default_factory=dict)
    tags: dict[str, Record] = field(default_factory=dict)
    segments: dict[str, Record] = field(default_factory=dict)
    subscription_types: dict[str, Record] = field(default_factory=dict)
    contacts: Shelf = field(default_factory=Shelf)
    companies: Shelf = field(default_factory=Shelf)
    conversations: Shelf = field(default_factory=Shelf)
    tickets: Shelf = field(default_factory=Shelf)
    # By contact, each list oldest first.
    events: dict[str, list[Event]] = field(default_factory=dict)
    data_attributes: list[Record] = field(default_factory=list)
    conversation_attributes: list[Record] = field(default_factory=list)
    ticket_types: dict[str, Record] = field(default_factory=dict)
    ticket_states: dict[str, Record] = field(default_factory=dict)
    help_centers: dict[str, Record] = field(default_factory=dict)
    collections: dict[str, Record] = field(default_factory=dict)
    articles: dict[str, Record] = field(default_factory=dict)
    news_items: dict[str, Record] = field(default_factory=dict)
    newsfeeds: dict[str, Record] = field(default_factory=dict)
    macros: dict[str, Record] = field(default_factory=dict)
    calls: dict[str, Record] = field(default_factory=dict)
    # Of the plain lists that have no name above.
    plain: dict[str, dict[str, Record]] = field(default_factory=dict)
    # Oldest first; entries are only ever added.
    activity_logs: list[Record] = field(default_factory=list)
    # Admins that left: no list names them, old parts still do.
    removed_admins: dict[str, Record] = field(default_factory=dict)
    gone: dict[str, dict[str, Gone]] = field(default_factory=dict)
    # What came back in silence, and when it had gone.
    returned: dict[str, int] = field(default_factory=dict)
    activities: list[Record] = field(default_factory=list)
    deleted_conversations: list[Record] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    _jobs: list[tuple[float, int, Callable[[int], None]]] = field(default_factory=list)
    _busy: bool = False

    @classmethod
    def generate(
        cls,
        seed: int = 1,
        *,
        contacts: int = 200,
        companies: int = 40,
        conversations: int = 100,
        tags: int = 30,
        segments: int = 12,
        admins: int = 12,
        teams: int = 4,
        events: int | None = None,
        tickets: int | None = None,
        articles: int | None = None,
        news_items: int | None = None,
        macros: int | None = None,
        calls: int | None = None,
        activity_logs: int | None = None,
        now: int | None = None,
        timezone: str = "America/New_York",
        parts: tuple[int, int] = (1, 14),
        years: float = 3,
        hostile: float = 0.0,
        lifelike: bool = False,
    ) -> Workspace:
        """A workspace of the given size; the same arguments give the same workspace.

        `now` is the latest moment of its history (default: the present). `hostile` is the share of
        contacts that carry values no Postgres column holds: NUL characters, lone surrogates,
        integers past 64 bits, years past 9999. Events, tickets and what follows them come in
        modest numbers by the number of contacts unless a number is given. In a `lifelike` one a
        support desk has answered the conversations for the last weeks, within office hours.
        """
        # Imported here: the generators import this module.
        from connector.simulator.generation.whole import populate

        moment = int(time.time()) if now is None else now
        space = cls(seed=seed, now=moment, app=new_app(seed, moment, timezone, years))
        sizes = Sizes(
            contacts, companies, conversations, tags, segments, admins, teams, events, tickets,
            articles, news_items, macros, calls, activity_logs,
        )  # fmt: skip
        populate(space, sizes.settled(), parts, years, hostile, lifelike)
        return space

    @property
    def timezone(self) -> str:
        """The workspace's timezone, by which contacts are searched."""
        return str(self.app["timezone"])

    def shelf(self, kind: str) -> Shelf:
        """The shelf of contacts, companies, conversations or tickets."""
        shelf: Shelf = {
            "contacts": self.contacts,
            "companies": self.companies,
            "conversations": self.conversations,
            "tickets": self.tickets,
        }[kind]
        return shelf

    def directory(self, kind: str) -> dict[str, Record]:
        """The whole list of one of the kinds that are kept as plain records."""
        if kind in DIRECTORIES:
            records: dict[str, Record] = getattr(self, kind)
            return records
        if kind not in PLAIN:
            raise KeyError(kind)
        return self.plain.setdefault(kind, {})

    def next_number(self, name: str, start: int = 1) -> int:
        """The next number of a named sequence."""
        number = self.counters.get(name, start - 1) + 1
        self.counters[name] = number
        return number

    def bury(self, gone: Gone) -> None:
        """Remember what became of a record."""
        self.gone.setdefault(gone.kind, {})[gone.id] = gone

    def later(self, at: float, job: Callable[[int], None]) -> None:
        """Do something at a time: Intercom counts a company's users asynchronously."""
        heapq.heappush(self._jobs, (at, self.next_number("job"), job))

    def catch_up(self, now: float) -> None:
        """Do what is due, in the order of its time; nothing begins before the last has ended."""
        if self._busy:
            return
        self._busy = True
        try:
            while self._jobs and self._jobs[0][0] <= now:
                at, _, job = heapq.heappop(self._jobs)
                job(int(at))
        finally:
            self._busy = False

    def settle(self, now: float) -> None:
        """Do what is due, then let the indexes catch up."""
        self.catch_up(now)
        self.contacts.settle(now)
        self.companies.settle(now)
        self.conversations.settle(now)
        self.tickets.settle(now)
