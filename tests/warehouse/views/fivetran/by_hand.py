"""What the package makes of the helpdesk, worked out by hand."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from tests.support.records import listed
from tests.support.warehouse import unix
from tests.warehouse.historian import Historian
from tests.warehouse.views.fivetran import helpdesk
from tests.warehouse.views.fivetran import models as package

NONE = (None,) * 6


def earlier(desk: Historian) -> None:
    """Objects as they were before."""
    old = {"type": "contact", "role": "lead", "created_at": unix(0), "updated_at": unix(10)}
    old |= {"id": "u1", "name": "Old", "owner_id": 2}
    desk.write("contacts", old | {"tags": listed("22"), "companies": listed("co2")}, read=10)
    company = {"type": "company", "id": "co1", "created_at": unix(0), "updated_at": unix(5)}
    desk.write("companies", company | {"name": "Former", "tags": listed("21", "22")}, read=5)
    before = {"updated_at": unix(100), "state": "open", "admin_assignee_id": 2}
    before |= {"tags": {"tags": [{"id": "21"}]}, "contacts": {"contacts": [{"id": "u2"}]}}
    parts: dict[str, Any] = {"conversation_parts": {"conversation_parts": []}}
    desk.write("conversations", helpdesk.CONVERSATIONS[0] | before | parts, by_id=True, read=100)


BOB = (Decimal(1), 2, Decimal("5.50"), Decimal(5), 0.5, 6.0, 35.0)


ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    package.ADMINS: [
        ("1", "Ada", "Support", "10", "Tier 1", None, *NONE),
        ("2", "Bob", "Support", "10", "Tier 1", *BOB),
        ("2", "Bob", "Support", "11", "Tier 2", *BOB),
    ],
    package.COMPANIES: [("co1", "Acme", 1, Decimal("6.00"), Decimal(5), 1.0, 10.0, 60.0)],
    package.CONTACTS: [
        ("l1", "Lea", "lead", None, None, None),
        ("u1", "Uma", "user", "1", "bug, vip", "Acme"),
        ("u2", "Udo", "user", None, None, "Acme, Beta"),
    ],
    package.COMPANY_PROFILES: [
        ("co1", "Acme", "Pro", Decimal("99.5"), "vip"),
        ("co2", "Beta", None, None, None),
    ],
    package.ARTICLES: [
        ("a1", "How", "Ada", "Sub", "All", "Help"),
        ("a2", "Why", None, None, None, None),
    ],
}


KEYS = {
    "contact_history": "id",
    "company_history": "id",
    "conversation_history": "id",
    "conversation_part_history": "id",
    "contact_company_history": "contact_id, company_id",
    "contact_tag_history": "contact_id, tag_id",
    "company_tag_history": "company_id, tag_id",
    "conversation_tag_history": "conversation_id, tag_id",
    "conversation_contact_history": "conversation_id, contact_id",
    "article_history": "id",
    "collection_history": "id",
    "help_center_history": "id",
}
