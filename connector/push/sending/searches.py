"""Contacts by their ids, external ids or emails, 150 a request: what Intercom's search shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from connector.intercom.paging import search
from connector.intercom.paging.styles import CursorSearch
from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending

SIZE = 150  # records of a page, and so ids of a search


def named_by(wish: Wish) -> tuple[str, str]:
    """The field of a search that finds the object, and its value there."""
    if wish.object_id:
        return "id", wish.object_id
    if wish.external_id and wish.wished_role == "user":
        return "external_id", wish.external_id
    return "email", (wish.email or "").lower()


async def find(sending: Sending, wishes: Sequence[Wish]) -> dict[int, Mapping[str, Any]]:
    """The records that a search shows of contacts, by the wishes' ids."""
    fields = dict[str, dict[str, list[Wish]]]()
    for wish in wishes:
        field, value = named_by(wish)
        fields.setdefault(field, {}).setdefault(value, []).append(wish)
    found = dict[int, Mapping[str, Any]]()
    for field, by_value in fields.items():
        for record in await records(sending, [search.compare(field, "IN", list(by_value))]):
            value = str(record.get(field) or "")
            for wish in by_value.get(value.lower() if field == "email" else value, ()):
                if field == "id" or record.get("role") == wish.wished_role:
                    found[wish.id] = record
    return found


async def records(
    sending: Sending, filters: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """All contacts that a search shows; raises like ``pages``."""
    body = {
        "query": {"operator": "AND", "value": list(filters)},
        "sort": {"field": "created_at", "order": "ascending"},
    }
    return await sending.listed(CursorSearch("/contacts/search", "data", body, SIZE))
