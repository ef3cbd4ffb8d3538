"""What notifications are about: contacts, companies, admins, content; no shape is that of REST.

Every function returns a new record. Times of contacts, companies and articles are texts with
milliseconds, which REST never shows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import NAMESPACE_URL, uuid5
from zlib import crc32

from connector.simulator.encoding import decode
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Event, Record, Workspace

_COMPANY = (
    "type", "id", "name", "app_id", "company_id", "remote_created_at", "created_at", "updated_at",
    "last_request_at", "monthly_spend", "session_count", "user_count", "custom_attributes",
)  # fmt: skip
_DETAILS = ("size", "website", "industry")
_ARTICLE = (
    "id", "type", "workspace_id", "parent_ids", "statistics", "tags", "title", "description",
    "body", "body_markdown", "author_id", "state", "created_at", "updated_at", "url",
)  # fmt: skip
_ADMIN = ("type", "id", "name", "email", "away_mode_enabled", "away_mode_reassign")


def iso(second: int, ms: int = 0, zone: str = "Z") -> str | int:
    """A time as a text with milliseconds; as it came past the year 9999."""
    try:
        moment = datetime.fromtimestamp(second, UTC).replace(tzinfo=None)
    except (OverflowError, ValueError, OSError):
        return second
    return f"{moment.isoformat(timespec='seconds')}.{ms:03d}{zone}"


def contact(item: Item) -> Record:
    """A whole contact, its lists embedded up to ten."""
    return _with_texts(decode(item.body))


def contact_gone(item: Item, how: str) -> Record:
    """What is left of a contact that was `deleted` or `archived`."""
    external = decode(item.body)["external_id"]
    known = {} if external is None else {"external_id": external}
    return {"id": item.id, **known, "type": "contact", how: True}


def contact_tag(space: Workspace, item: Item, tag: str, at: int) -> Record:
    """A tag and its contact; the item itself has no id."""
    named = {name: space.tags[tag][name] for name in ("type", "id", "name")}
    return {"type": "contact_tag", "created_at": at, "tag": named, "contact": contact(item)}


def subscription(kind: str, item: Item, types: list[Record], at: int) -> Record:
    """A choice of a contact: what it chose of, and the contact; the item itself has no id."""
    chosen = {"type": "list", "data": [dict(one) for one in types]}
    return {"type": kind, "contact": contact(item), "subscription_types": chosen, "created_at": at}


def event(item: Item, happened: Event) -> Record:
    """An event of a contact, under an id that no list of events shows."""
    who = decode(item.body)
    return {
        "type": "event",
        "event_name": happened.name,
        "id": str(uuid5(NAMESPACE_URL, f"{item.id} {happened.ms} {happened.name}")),
        "intercom_user_id": item.id,
        "user_id": who["external_id"],
        "email": who["email"],
        "metadata": decode(happened.metadata),
        "created_at": happened.created_at,
        "ext_metadata": {},
    }


def company(item: Item) -> Record:
    """A company after an edit: `plan` is null whatever it is, tags are ids."""
    record = decode(item.body)
    details = {name: record.get(name) for name in _DETAILS}
    return {**_company(record), **details, "plan": None}


def company_created(item: Item) -> Record:
    """A new company: the plan has another name than after an edit."""
    record = decode(item.body)
    return {**_company(record), "plan_id": record["plan"].get("id")}


def company_gone(id: str) -> Record:
    """What is left of a deleted company."""
    return {"id": id, "type": "company", "deleted": True}


def company_contact(belonging: Item, member: Item) -> Record:
    """A company and a contact; the item itself has neither type nor id."""
    return {"company": company_created(belonging), "contact": contact(member)}


def admin(record: Record) -> Record:
    """An admin: the id is a number, a job title that is not set null."""
    shown = {name: record[name] for name in _ADMIN}
    return {
        **shown,
        "id": int(record["id"]),
        "job_title": record["job_title"] or None,
        "away_status_reason": "",
        "has_inbox_seat": record["has_inbox_seat"],
        "team_ids": list(record["team_ids"]),
        "avatar": record["avatar"],
    }


def activity(entry: Record) -> Record:
    """An entry of the admins' log."""
    return {"type": "admin_activity_log_event", **entry}


def article(record: Record) -> Record:
    """A whole article without its translations; a deleted one looks no different."""
    shown = {name: record[name] for name in _ARTICLE if name in record}
    return _with_texts({**shown, "content_id": f"17{record['id']}"}, "Z")


def call(record: Record) -> Record:
    """A call, as REST shows it."""
    return dict(record)


def ping(message: str) -> Record:
    """What the test button sends."""
    return {"type": "ping", "message": message}


def _company(record: Record) -> Record:
    shown = {name: record.get(name) for name in _COMPANY}
    return _with_texts({**shown, "tag_ids": [tag["id"] for tag in record["tags"]["tags"]]})


def _with_texts(record: Record, zone: str = "+00:00") -> Record:
    return {name: _text(record["id"], name, value, zone) for name, value in record.items()}


def _text(id: Any, name: str, value: Any, zone: str) -> Any:
    if not name.endswith("_at") or type(value) is not int:
        return value
    # The same time of the same object is always the same text, and never a whole second.
    return iso(value, 1 + crc32(f"{id} {value}".encode()) % 999, zone)
