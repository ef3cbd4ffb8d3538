"""A conversation while it is being written: parts are appended and its summary follows.

Knows the shapes of conversations and parts; not who decides what happens next, and no HTTP.
"""

from __future__ import annotations

from typing import Any

from connector.simulator.encoding import decode, is_signed, render
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Record, Workspace

_TIMES_TO = (
    "time_to_assignment time_to_admin_reply time_to_first_close time_to_last_close"
    " median_time_to_reply"
)
_MOMENTS = (
    "first_contact_reply_at first_assignment_at first_admin_reply_at first_close_at"
    " last_assignment_at last_assignment_admin_reply_at last_contact_reply_at"
    " last_admin_reply_at last_close_at last_closed_by_id"
)


def empty_statistics() -> Record:
    """The statistics of a conversation in which nothing has happened: nulls throughout."""
    return {
        "type": "conversation_statistics",
        **dict.fromkeys(_TIMES_TO.split()),
        **dict.fromkeys(_MOMENTS.split()),
        "count_reopens": 0,
        "count_assignments": 0,
        "count_conversation_parts": 1,
        "assigned_team_first_response_time": [],
        "assigned_team_first_response_time_in_office_hours": [],
        "handling_time": 0,
        "adjusted_handling_time": None,
    }


def admin_author(admin: Record) -> Record:
    """An admin or a bot as the author of a part."""
    bot = str(admin["email"]).startswith("operator+")
    author = {name: admin[name] for name in ("id", "name", "email")}
    if not bot:
        return {"type": "admin", **author}
    return {"type": "bot", **author, "from_ai_agent": True, "is_ai_answer": False}


def contact_author(item: Item) -> Record:
    """A contact as the author of a part: its type is its role."""
    record = decode(item.body)
    return {
        "type": item.group,
        "id": item.id,
        "name": record["name"],
        "email": record["email"] or "",
    }


def contact_reference(item: Item) -> Record:
    """A contact as conversations list it."""
    external = decode(item.body)["external_id"]
    return {"type": "contact", "id": item.id, "external_id": external}


def add_participant(record: Record, item: Item) -> bool:
    """One more contact of a conversation or a ticket; False if it is there already."""
    contacts = record["contacts"]["contacts"]
    if any(one["id"] == item.id for one in contacts):
        return False
    contacts.append(contact_reference(item))
    return True


def remove_participant(record: Record, id: str) -> None:
    """One contact less of a conversation or a ticket."""
    contacts = record["contacts"]["contacts"]
    contacts[:] = [one for one in contacts if one["id"] != id]


class Thread:
    """A conversation opened for writing; `item` closes it again."""

    def __init__(self, space: Workspace, record: Record, parts: list[bytes]) -> None:
        self.space = space
        self.record = record
        self.parts = parts

    @classmethod
    def start(cls, space: Workspace, id: str, created: int) -> Thread:
        """A conversation with nothing in it."""
        record: Record = {
            "type": "conversation",
            "id": id,
            "created_at": created,
            "updated_at": created,
            "waiting_since": None,
            "snoozed_until": None,
            "source": None,
            "contacts": {"type": "contact.list", "contacts": []},
            "first_contact_reply": None,
            # 2.16 says 0 where earlier versions said null.
            "admin_assignee_id": 0,
            "team_assignee_id": 0,
            "company": None,
            "open": True,
            "state": "open",
            "read": False,
            "tags": {"type": "tag.list", "tags": []},
            "priority": "none",
            "sla_applied": None,
            "statistics": None,
            "conversation_rating": None,
            # The description says `teammates`; live payloads say `admins`.
            "teammates": None,
            "title": None,
            "custom_attributes": {},
            "topics": {},
            "ticket": None,
            "linked_objects": {"type": "list", "data": [], "total_count": 0, "has_more": False},
            "ai_agent": None,
            "ai_agent_participated": False,
            "channel": {"initial": "messenger", "current": "messenger"},
        }
        return cls(space, record, [])

    @classmethod
    def reopen_item(cls, space: Workspace, item: Item) -> Thread:
        """A stored conversation, to go on writing."""
        return cls(space, decode(item.body), list(item.owned))

    def item(self) -> Item:
        """The conversation as the shelf keeps it: the summary, and apart from it every part."""
        record = self.record
        body = render(record)
        return Item(
            record["id"],
            "conversation",
            record["created_at"],
            record["updated_at"],
            body,
            key=int(record["id"]),
            signed=is_signed(body),
            owned=tuple(self.parts),
            shown=not self._is_unanswered_outbound(),
        )

    def part(
        self, kind: str, author: Record, at: int, body: str | None = None, **extra: Any
    ) -> str:
        """Append a part; every part, of whatever type, moves updated_at."""
        id = str(self.space.next_number("part", 269_650_000))
        part: Record = {
            "type": "conversation_part",
            "id": id,
            "part_type": kind,
            "body": body,
            "created_at": at,
            "updated_at": at,
            "notified_at": at,
            "assigned_to": None,
            "author": author,
            "attachments": [],
            "external_id": None,
            "redacted": False,
            "email_message_metadata": None,
            "metadata": {},
            "state": self.record["state"],
            "tags": [],
            "event_details": None,
            "app_package_code": None,
        }
        part.update(extra)
        self.parts.append(render(part))
        self._moved(max(at, part["updated_at"]))
        return id

    def comment(self, author: Record, at: int, body: str, **extra: Any) -> None:
        """A reply of a contact or of a teammate, with what it does to the summary."""
        record, numbers = self.record, self._statistics()
        self.part("comment", author, at, body, **extra)
        if author["type"] in ("user", "lead"):
            numbers["first_contact_reply_at"] = numbers["first_contact_reply_at"] or at
            numbers["last_contact_reply_at"] = at
            record["waiting_since"] = record["waiting_since"] or at
            record["read"] = False
            if record["first_contact_reply"] is None:
                record["first_contact_reply"] = {
                    "created_at": at,
                    "type": "conversation",
                    "url": "https://app.example.com/inbox?x=1&y=ü",
                }
            return
        numbers["first_admin_reply_at"] = numbers["first_admin_reply_at"] or at
        numbers["last_admin_reply_at"] = at
        numbers["time_to_admin_reply"] = numbers["first_admin_reply_at"] - record["created_at"]
        record["waiting_since"] = None
        if author["type"] == "admin":
            self._joined(author["id"])

    def assign(self, by: Record, at: int, admin: Record | None, team: Record | None = None) -> None:
        """Give the conversation to an admin, a team or, with neither, to nobody."""
        target = team if team is not None else admin
        numbers = self._statistics()
        self.record["admin_assignee_id"] = int(admin["id"]) if admin else 0
        self.record["team_assignee_id"] = int(team["id"]) if team else 0
        reference = {"type": target["type"], "id": target["id"]} if target else None
        self.part("assignment", by, at, None, assigned_to=reference)
        numbers["count_assignments"] += 1
        numbers["first_assignment_at"] = numbers["first_assignment_at"] or at
        numbers["last_assignment_at"] = at
        numbers["time_to_assignment"] = numbers["first_assignment_at"] - self.record["created_at"]
        if admin is not None:
            self._joined(admin["id"])

    def close(self, by: Record, at: int) -> None:
        """Close it."""
        numbers, record = self._statistics(), self.record
        record.update(open=False, state="closed", waiting_since=None, snoozed_until=None)
        self.part("close", by, at)
        numbers["first_close_at"] = numbers["first_close_at"] or at
        numbers["last_close_at"] = at
        numbers["time_to_first_close"] = numbers["first_close_at"] - record["created_at"]
        numbers["time_to_last_close"] = at - record["created_at"]
        # A number, although the description says string.
        numbers["last_closed_by_id"] = int(by["id"]) if by["id"].isdigit() else None

    def reopen(self, by: Record, at: int) -> None:
        """Open it again."""
        self.record.update(open=True, state="open")
        self.part("open", by, at)
        self._statistics()["count_reopens"] += 1

    def snooze(self, by: Record, at: int, until: int) -> None:
        """Put it away for a time; it stays open."""
        self.record.update(open=True, state="snoozed", snoozed_until=until)
        self.part("snoozed", by, at)

    def rate(self, rating: int, remark: str | None, at: int, *, silent: bool) -> None:
        """A contact's rating; not every rating leaves a part, and without one nothing moves."""
        contacts = self.record["contacts"]["contacts"]
        teammate = self.record["admin_assignee_id"]
        self.record["conversation_rating"] = {
            "rating": rating,
            "remark": remark,
            "created_at": at - 60,
            "updated_at": at,
            "contact": contacts[0] if contacts else None,
            "teammate": {"type": "admin", "id": str(teammate)} if teammate else None,
        }
        if not silent:
            bot = next(a for a in self.space.admins.values() if a["email"].startswith("operator+"))
            self.part("conversation_rating_changed", admin_author(bot), at)

    def tag(self, tag: Record, by: Record, at: int) -> None:
        """Tag it; the tag sits on a new part."""
        applied = {"applied_at": at, "applied_by": {"type": by["type"], "id": by["id"]}}
        self.record["tags"]["tags"].append({**tag, **applied})
        self.part("conversation_tags_updated", by, at, tags=[dict(tag)])

    def untag(self, tag: str, at: int) -> None:
        """Untag it: no new part, but the part that carried the tag changes."""
        tags = self.record["tags"]["tags"]
        tags[:] = [one for one in tags if one["id"] != tag]
        for number, raw in enumerate(self.parts):
            part = decode(raw)
            kept = [one for one in part["tags"] or [] if one["id"] != tag]
            if len(kept) != len(part["tags"] or []):
                part.update(tags=kept, updated_at=at)
                self.parts[number] = render(part)
        self._moved(at)

    def _is_unanswered_outbound(self) -> bool:
        # A message sent to many is no conversation in any list until somebody answers it.
        source = self.record["source"]
        automated = source is not None and source["delivered_as"] == "automated"
        return automated and self.record["first_contact_reply"] is None

    def _statistics(self) -> Record:
        statistics: Record | None = self.record["statistics"]
        if statistics is None:
            statistics = self.record["statistics"] = empty_statistics()
        return statistics

    def _moved(self, at: int) -> None:
        self.record["updated_at"] = max(self.record["updated_at"], at)
        if self.record["statistics"] is not None:
            # The source counts as a part.
            self.record["statistics"]["count_conversation_parts"] = len(self.parts) + 1

    def _joined(self, admin: str) -> None:
        teammates = self.record["teammates"]
        if teammates is None:
            teammates = self.record["teammates"] = {"type": "admin.list", "admins": []}
        if all(one["id"] != admin for one in teammates["admins"]):
            teammates["admins"].append({"type": "admin", "id": admin})
