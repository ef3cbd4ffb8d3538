"""One conversation as the metrics must show it, computed in plain Python from its record alone.

Nothing of the connector's own computation is used: no SQL, no figure that is stored. Records have
the shape of Intercom's API. ``answers.py`` says what comes together of many.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cached_property
from typing import Any

Record = dict[str, Any]
Row = dict[str, Any]

SIDES = {**dict.fromkeys(("user", "lead", "contact", "visitor"), "contact"), "admin": "admin"}
OUTCOMES = {
    **dict.fromkeys(("confirmed_resolution", "assumed_resolution"), "resolved"),
    **dict.fromkeys(
        ("escalated", "negative_feedback", "procedure_handoff", "routed_to_team"), "escalated"
    ),
}
# What Intercom counts in office hours, and of which type it is.
OFFICE = {
    "time_to_assignment": int, "time_to_admin_reply": int, "time_to_first_close": int,
    "time_to_last_close": int, "median_time_to_reply": int, "first_contact_reply_at": datetime,
    "first_assignment_at": datetime, "first_admin_reply_at": datetime, "first_close_at": datetime,
    "last_assignment_at": datetime, "last_assignment_admin_reply_at": datetime,
    "last_contact_reply_at": datetime, "last_admin_reply_at": datetime, "last_close_at": datetime,
    "last_closed_by_id": str, "count_reopens": int, "count_assignments": int,
    "count_conversation_parts": int, "handling_time": int, "adjusted_handling_time": int,
}  # fmt: skip


@dataclass(frozen=True)
class Told:
    """All that the answers are made of."""

    conversations: Sequence[Record]  # living ones, with those of their parts that are stored
    truncated: Collection[str]  # those of which not all parts are stored
    tickets: Collection[str]
    contacts: Sequence[Record]
    merged: Mapping[str, str]  # a contact that was merged away, into which
    companies: Collection[str]
    tags: Mapping[str, str]
    teams: Mapping[str, str]
    admins: Mapping[str, str]
    removed_admins: Mapping[str, str]  # those who were known
    timezone: str
    now: datetime
    bodies: bool = True  # whether texts of parts are stored
    forgotten: Collection[str] = frozenset()  # contacts whose texts are not


def moment(value: Any) -> datetime | None:
    """Seconds since 1970 as an instant; a null stays one."""
    return None if value is None else datetime.fromtimestamp(value, UTC)


def identifier(value: Any) -> str | None:
    """An id as columns hold it: of whom something is assigned to, 0 is nobody."""
    return None if value in (None, 0, "0") else str(value)


def seconds(since: datetime | None, until: datetime | None) -> int | None:
    """Whole seconds between two instants; nothing if they lie the other way round."""
    if since is None or until is None or until < since:
        return None
    return (until - since) // timedelta(seconds=1)


def median(values: Iterable[int | None]) -> int | None:
    """The middle of what is known, rounded down."""
    known = [Fraction(value) for value in values if value is not None]
    return statistics.median(known).__floor__() if known else None


def average(values: Iterable[int | None]) -> Fraction | None:
    """The mean of what is known."""
    known = [value for value in values if value is not None]
    return Fraction(sum(known), len(known)) if known else None


def share(some: int, of: int) -> Fraction | None:
    """A rate, where there is one."""
    return Fraction(some, of) if of else None


def in_c_order(texts: Iterable[str]) -> list[str]:
    """As ``COLLATE "C"`` sorts."""
    return sorted(texts, key=lambda text: text.encode())


def side(author: Record) -> str:
    """Who speaks."""
    if author.get("from_ai_agent") or author.get("is_ai_answer"):
        return "ai"
    return SIDES.get(author.get("type") or "", "bot")


# -- one conversation ------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """What matters of a part."""

    at: datetime
    kind: str
    side: str
    author: str | None
    team: str | None
    is_reply: bool

    @property
    def is_reopen(self) -> bool:
        return self.kind == "open" or "reopen" in self.kind

    @property
    def is_close(self) -> bool:
        return self.kind.startswith("close")


@dataclass(frozen=True)
class Answer:
    """A reply of an admin's or of the AI's, and how long it was waited for."""

    at: datetime
    seconds: int
    admin: str | None


@dataclass
class Conversation:
    """One conversation, its parts in their order."""

    record: Record
    told: Told
    identify: Callable[[str], str]
    companies_of: Mapping[str, Collection[str]]

    @cached_property
    def id(self) -> str:
        return str(self.record["id"])

    @cached_property
    def created_at(self) -> datetime:
        return datetime.fromtimestamp(self.record["created_at"], UTC)

    @cached_property
    def parts(self) -> list[Part]:
        listed = self.record["conversation_parts"]["conversation_parts"]
        return [self._part(one) for one in sorted(listed, key=_place)]

    @cached_property
    def replies(self) -> list[Part]:
        return [part for part in self.parts if part.is_reply]

    @cached_property
    def opened_by(self) -> str | None:
        author = (self.record["source"] or {}).get("author") or {}
        return side(author) if author.get("type") is not None else None

    @cached_property
    def first_contact_message_at(self) -> datetime | None:
        return self.created_at if self.opened_by == "contact" else self._first(self.of("contact"))

    @cached_property
    def closes(self) -> list[Part]:
        return [part for part in self.parts if part.is_close]

    @cached_property
    def admin_closes(self) -> list[Part]:
        return [part for part in self.closes if part.side == "admin"]

    @cached_property
    def reopens(self) -> list[Part]:
        return [part for part in self.parts if part.is_reopen]

    @cached_property
    def responses(self) -> list[Answer]:
        waiting = self.created_at if self.opened_by == "contact" else None
        found = []
        for reply in self.replies:
            if reply.side == "contact" and waiting is None:
                waiting = reply.at
            if reply.side == "admin":
                waited = seconds(waiting, reply.at)
                if waited is not None:
                    found.append(Answer(reply.at, waited, reply.author))
                waiting = None
        return found

    @cached_property
    def first_response(self) -> Answer | None:
        """The first reply of an admin after the first message of a contact."""
        return self._first_response("admin")

    def _first_response(self, by: str) -> Answer | None:
        """The first reply of a side after it, in the order of parts; none if that is dated before.

        So it is with the first response of an imported conversation, whose opening may be late.
        """
        asked = self.opened_by == "contact"
        for reply in self.replies:
            if asked and reply.side == by:
                waited = seconds(self.first_contact_message_at, reply.at)
                return None if waited is None else Answer(reply.at, waited, reply.author)
            asked = asked or reply.side == "contact"
        return None

    def of(self, who: str) -> list[Part]:
        return [reply for reply in self.replies if reply.side == who]

    @cached_property
    def changes(self) -> list[Part]:
        """What closed or opened it after the opening."""
        changes = [part for part in self.parts if part.is_close or part.is_reopen]
        return [part for part in changes if part.at >= self.created_at]

    @cached_property
    def row(self) -> Row:
        """Its row of conversation_metrics."""
        return self._straight | self._counts | self._times | self._judged | self._tied

    @cached_property
    def _straight(self) -> Row:
        record, source = self.record, self.record["source"] or {}
        author = source.get("author") or {}
        forgets = author.get("id") in self.told.forgotten
        since = moment(record["waiting_since"])
        is_open = record["state"] == "open"
        return {
            "conversation_id": self.id,
            "created_at": self.created_at,
            "updated_at": moment(record["updated_at"]),
            "state": record["state"],
            "title": None if forgets else record["title"],
            "source_type": source.get("type"),
            "source_delivered_as": source.get("delivered_as"),
            "started_by": self.opened_by,
            "parts_truncated": self.id in self.told.truncated,
            "is_closed": record["state"] == "closed",
            "admin_assignee_id": identifier(record["admin_assignee_id"]),
            "team_assignee_id": identifier(record["team_assignee_id"]),
            "company_id": identifier((record["company"] or {}).get("id")),
            "priority": record["priority"],
            "waiting_since": since,
            "snoozed_until": moment(record["snoozed_until"]),
            "waiting_seconds": seconds(since, self.told.now) if is_open else None,
            **{f"office_{name}": self._office(name, of) for name, of in OFFICE.items()},
        }

    def _office(self, name: str, of: type) -> Any:
        value = (self.record["statistics"] or {}).get(name)
        return moment(value) if of is datetime else identifier(value) if of is str else value

    @cached_property
    def _counts(self) -> Row:
        return {
            "parts": len(self.parts),
            "contact_replies": len(self.of("contact")),
            "admin_replies": len(self.of("admin")),
            "ai_replies": len(self.of("ai")),
            "bot_replies": len(self.of("bot")),
            "notes": sum(part.kind.startswith("note") for part in self.parts),
            "assignments": len(self._assignments),
            "reopens": len(self.reopens),
            "closes": len(self.closes),
            "snoozes": sum(part.kind == "snoozed" for part in self.parts),
            "responses": len(self.responses),
        }

    @cached_property
    def _times(self) -> Row:
        admins, contacts, closes = self.of("admin"), self.of("contact"), self.closes
        first, first_ai = self.first_response, self._first_response("ai")
        return {
            "first_contact_message_at": self.first_contact_message_at,
            "first_admin_reply_at": self._first(admins),
            "last_admin_reply_at": self._first(admins[::-1]),
            "last_contact_reply_at": self._first(contacts[::-1]),
            "first_ai_reply_at": self._first(self.of("ai")),
            "first_response_seconds": first.seconds if first else None,
            "first_ai_response_seconds": first_ai.seconds if first_ai else None,
            "median_response_seconds": median(one.seconds for one in self.responses),
            "first_assigned_at": self._first(self._assignments),
            "first_closed_at": self._first(closes),
            "last_closed_at": self._first(closes[::-1]),
            "time_to_first_close_seconds": seconds(self.created_at, self._first(closes)),
            "time_to_last_close_seconds": seconds(self.created_at, self._first(closes[::-1])),
        }

    @cached_property
    def _judged(self) -> Row:
        rating, ai = self.record["conversation_rating"] or {}, self.record["ai_agent"] or {}
        sla = self.record["sla_applied"] or {}
        took_part = self.record["ai_agent_participated"]
        state = ai.get("resolution_state")
        forgets = (rating.get("contact") or {}).get("id") in self.told.forgotten
        return {
            "ai_agent_participated": took_part,
            "ai_agent_resolution_state": state,
            "ai_outcome": OUTCOMES.get(state or "", "unresolved") if took_part else None,
            "rating": rating.get("rating"),
            "rating_remark": None if forgets else rating.get("remark"),
            "rated_at": moment(rating.get("updated_at")),
            "rated_admin_id": identifier((rating.get("teammate") or {}).get("id")),
            "ai_rating": ai.get("rating"),
            "sla_name": sla.get("sla_name"),
            "sla_status": sla.get("sla_status"),
        }

    @cached_property
    def _tied(self) -> Row:
        admins, closes = self.of("admin"), self.admin_closes
        teams = [part.team for part in self._assignments if part.team]
        tags = {str(tag["id"]) for tag in self.record["tags"]["tags"]} & self.told.tags.keys()
        listed = {self.identify(one["id"]) for one in self.record["contacts"]["contacts"]}
        contacts = listed & self.companies_of.keys()
        companies = {one for key in contacts for one in self.companies_of[key]}
        return {
            "first_admin_id": admins[0].author if admins else None,
            "last_admin_id": admins[-1].author if admins else None,
            "first_closed_by_admin_id": closes[0].author if closes else None,
            "last_closed_by_admin_id": closes[-1].author if closes else None,
            "first_team_id": teams[0] if teams else None,
            "last_team_id": teams[-1] if teams else None,
            "tag_names": in_c_order(self.told.tags[tag] for tag in tags),
            "contact_ids": in_c_order(contacts),
            "contact_company_ids": in_c_order(companies),
            "_tags": tags,
        }

    @cached_property
    def _assignments(self) -> list[Part]:
        return [part for part in self.parts if "assign" in part.kind]

    def _first(self, parts: Sequence[Part]) -> datetime | None:
        return parts[0].at if parts else None

    def _part(self, record: Record) -> Part:
        kind, author = record["part_type"] or "", record["author"] or {}
        target, told = record["assigned_to"] or {}, self.told
        has_body = kind in ("comment", "quick_reply")
        if told.bodies:
            has_body = bool(record["body"]) and author.get("id") not in told.forgotten
        return Part(
            datetime.fromtimestamp(record["created_at"], UTC),
            kind,
            side(author),
            identifier(author.get("id")),
            identifier(target.get("id")) if target.get("type") == "team" else None,
            (has_body or bool(record["redacted"])) and not kind.startswith("note"),
        )


def _place(part: Record) -> tuple[int, bool, int, bytes]:
    key = str(part["id"])
    is_number = key.isascii() and key.isdigit()
    return part["created_at"], not is_number, int(key) if is_number else 0, key.encode()
