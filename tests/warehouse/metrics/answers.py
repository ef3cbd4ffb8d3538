"""What the metric relations must say, computed in plain Python from complete records alone.

A row is a dict by column. ``tests/warehouse/metrics/answered.py`` is the same of one conversation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

from tests.warehouse.metrics.answered import (
    Conversation,
    Row,
    Told,
    average,
    in_c_order,
    median,
    share,
)


@dataclass
class Deeds:
    """What one admin did, ever or in one month."""

    replied: list[str] = field(default_factory=list)  # the conversation of each reply
    closes: int = 0
    closed_last: int = 0
    first_responses: list[int] = field(default_factory=list)
    responses: list[int] = field(default_factory=list)
    ratings: list[int] = field(default_factory=list)

    def row(self) -> Row:
        return {
            "replies": len(self.replied),
            "conversations_replied": len(set(self.replied)),
            "closes": self.closes,
            "conversations_closed_last": self.closed_last,
            "median_first_response_seconds": median(self.first_responses),
            "median_response_seconds": median(self.responses),
            "rating_average": average(self.ratings),
            "ratings": len(self.ratings),
        }


class Answers:
    """Every relation by its name."""

    def __init__(self, told: Told) -> None:
        self.told = told
        try:
            self.zone = ZoneInfo(told.timezone)
        except (KeyError, ValueError):
            self.zone = ZoneInfo("UTC")
        companies = {
            self.identify(one["id"]): {str(c["id"]) for c in one["companies"]["data"]}
            & set(told.companies)
            for one in told.contacts
        }
        self.conversations = [
            Conversation(record, told, self.identify, companies)
            for record in told.conversations
            if record["id"] not in told.tickets
        ]

    def identify(self, contact: str) -> str:
        """Who a contact is after all merges."""
        seen = {contact}
        while (into := self.told.merged.get(contact)) and into not in seen:
            seen.add(contact := into)
        return contact

    def relations(self) -> dict[str, list[Row]]:
        """All of them, each a list of rows."""
        found = {
            "conversation_metrics": [c.row for c in self.conversations],
            "conversations_by_day": list(self._by_day()),
            "admin_metrics": self._admins(),
            "admin_metrics_by_month": self._admins_by_month(),
            "ai_agent_metrics": list(self._ai_agent()),
            "contact_duplicates": list(self._duplicates()),
        }
        for of, living, ids in self._groups():
            key = f"{of}_id"
            found[f"{of}_metrics"] = [
                {key: one, **of_group([c.row for c in self.conversations if one in ids(c)])}
                for one in living
            ]
            found[f"{of}_metrics_by_month"] = [
                {"month": month, key: one, **of_group([c.row for c in within])}
                for (month, one), within in self._by_month(living, ids).items()
            ]
        for name in ("team_metrics", "team_metrics_by_month"):
            found[name] = [row | {"name": self.told.teams[row["team_id"]]} for row in found[name]]
        return found

    def _day(self, at: datetime) -> date:
        return at.astimezone(self.zone).date()

    def _month(self, at: datetime) -> date:
        return self._day(at).replace(day=1)

    def _groups(
        self,
    ) -> Iterator[tuple[str, Collection[str], Callable[[Conversation], Collection[Any]]]]:
        told = self.told
        yield "team", told.teams, lambda c: [c.row["team_assignee_id"]]
        yield "company", told.companies, lambda c: c.row["contact_company_ids"]
        contacts = {self.identify(one["id"]) for one in told.contacts}
        yield "contact", contacts, lambda c: c.row["contact_ids"]
        yield "tag", told.tags, lambda c: c.row["_tags"]

    def _by_month(
        self, living: Collection[str], ids: Callable[[Conversation], Collection[Any]]
    ) -> dict[tuple[date, str], list[Conversation]]:
        found: dict[tuple[date, str], list[Conversation]] = defaultdict(list)
        for one in self.conversations:
            for key in ids(one):
                if key in living:
                    found[self._month(one.created_at), key].append(one)
        return found

    def _by_day(self) -> Iterator[Row]:
        day = min((self._day(c.created_at) for c in self.conversations), default=date.max)
        firsts = self._days((one.at, one) for c in self.conversations if (one := c.first_response))
        closed = self._days((c.closes[0].at, c.row) for c in self.conversations if c.closes)
        opened = self._days((c.created_at, c) for c in self.conversations)
        reopened = self._days((part.at, part) for c in self.conversations for part in c.reopens)
        # Within a day the changes of each conversation stand in their order.
        states = self._days(
            (at, (c.id, is_open))
            for c in self.conversations
            for at, is_open in [(c.created_at, True), *((p.at, not p.is_close) for p in c.changes)]
        )
        backlog: set[str] = set()
        while day <= self._day(self.told.now):
            for id, is_open in states[day]:
                (backlog.add if is_open else backlog.discard)(id)
            yield {
                "day": day,
                "opened": len(opened[day]),
                "closed": len(closed[day]),
                "reopened": len(reopened[day]),
                "backlog": len(backlog),
                "median_first_response_seconds": median(one.seconds for one in firsts[day]),
                "median_time_to_first_close_seconds": median(
                    row["time_to_first_close_seconds"] for row in closed[day]
                ),
            }
            day += timedelta(days=1)

    def _days(self, found: Iterable[tuple[datetime, Any]]) -> dict[date, list[Any]]:
        by_day: dict[date, list[Any]] = defaultdict(list)
        for at, what in found:
            by_day[self._day(at)].append(what)
        return by_day

    def _deeds(self, period: Callable[[datetime | None], Hashable]) -> dict[Any, Deeds]:
        """What admins did, by the period in which they did it and by who they are."""
        found: dict[Any, Deeds] = defaultdict(Deeds)
        for one in self.conversations:
            row = one.row
            for reply in one.of("admin"):
                found[period(reply.at), reply.author].replied.append(one.id)
            for close in one.admin_closes:
                found[period(close.at), close.author].closes += 1
            for close in one.admin_closes[-1:]:
                found[period(close.at), close.author].closed_last += 1
            if first := one.first_response:
                found[period(first.at), first.admin].first_responses.append(first.seconds)
            for answer in one.responses:
                found[period(answer.at), answer.admin].responses.append(answer.seconds)
            if row["rating"] is not None:
                found[period(row["rated_at"]), row["rated_admin_id"]].ratings.append(row["rating"])
        return found

    @cached_property
    def _ever(self) -> dict[str, Deeds]:
        return {admin: deeds for (_, admin), deeds in self._deeds(lambda at: None).items()}

    def _known(self) -> list[str]:
        did = [key for key, deeds in self._ever.items() if key and (deeds.replied or deeds.closes)]
        return sorted({*self.told.admins, *did})

    def _admins(self) -> list[Row]:
        held = [c.row["admin_assignee_id"] for c in self.conversations if c.row["state"] == "open"]
        return [
            self._named(key)
            | {"assigned_open": held.count(key)}
            | self._ever.get(key, Deeds()).row()
            for key in self._known()
        ]

    def _admins_by_month(self) -> list[Row]:
        by_month = self._deeds(lambda at: at and self._month(at))
        return [
            {"month": month, **self._named(key), **deeds.row()}
            for (month, key), deeds in by_month.items()
            if month and key in self._known()
        ]

    def _named(self, admin: str) -> Row:
        living = self.told.admins
        name = {**self.told.removed_admins, **living}.get(admin)
        return {"admin_id": admin, "removed": admin not in living, "name": name}

    def _ai_agent(self) -> Iterator[Row]:
        months = [self._month(c.created_at) for c in self.conversations]
        month = min(months, default=date.max)
        while month <= self._month(self.told.now):
            rows = [c.row for c in self.conversations if self._month(c.created_at) == month]
            involved = [row for row in rows if row["ai_agent_participated"]]
            resolved = sum(row["ai_outcome"] == "resolved" for row in involved)
            yield {
                "month": month,
                "conversations": len(rows),
                "involved": len(involved),
                "involvement_rate": share(len(involved), len(rows)),
                "resolved": resolved,
                "resolution_rate": share(resolved, len(involved)),
                "escalated": sum(row["ai_outcome"] == "escalated" for row in involved),
                "rating_average": average(row["rating"] for row in involved),
                "ai_rating_average": average(row["ai_rating"] for row in involved),
            }
            month = (month + timedelta(days=31)).replace(day=1)

    def _duplicates(self) -> Iterator[Row]:
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        for one in self.told.contacts:
            if one["id"] in self.told.forgotten:
                continue
            digits = "".join(c for c in one["phone"] or "" if c in "0123456789")
            values = {
                "email": (one["email"] or "").lower().strip(),
                "external_id": one["external_id"] or "",
                "phone": digits if len(digits) >= 6 else "",
            }
            for match, value in values.items():
                if value:
                    found[match, value].add(self.identify(one["id"]))
        for (match, value), ids in found.items():
            if len(ids) > 1:
                yield {
                    "match": match,
                    "value": value,
                    "contact_ids": in_c_order(ids),
                    "contacts": len(ids),
                }


def of_group(rows: Sequence[Row]) -> Row:
    """What is told of a group of conversations."""
    ratings = [row["rating"] for row in rows if row["rating"] is not None]
    return {
        "conversations": len(rows),
        "open": sum(row["state"] == "open" for row in rows),
        "closed": sum(row["state"] == "closed" for row in rows),
        "median_first_response_seconds": median(row["first_response_seconds"] for row in rows),
        "median_time_to_first_close_seconds": median(
            row["time_to_first_close_seconds"] for row in rows
        ),
        "rating_average": average(ratings),
        "ratings": len(ratings),
        "ai_involved": sum(bool(row["ai_agent_participated"]) for row in rows),
        "ai_resolved": sum(row["ai_outcome"] == "resolved" for row in rows),
    }
