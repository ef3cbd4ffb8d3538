"""The catalogues of attributes of contacts, companies and conversations; knows no values."""

from __future__ import annotations

from typing import Any

from connector.simulator.records.workspace import (
    COMPANY_ATTRIBUTES,
    CONTACT_ATTRIBUTES,
    CONVERSATION_ATTRIBUTES,
    Record,
    Workspace,
)

# Default attributes by model: full name, data type, whether the API may write it.
_DEFAULT: dict[str, tuple[tuple[str, str, bool], ...]] = {
    "contact": (
        ("name", "string", True),
        ("owner_id", "integer", True),
        ("email", "string", True),
        ("phone", "string", True),
        ("user_id", "string", True),
        ("role", "string", False),
        ("signed_up_at", "date", True),
        ("last_seen_at", "date", False),
        ("session_count", "integer", False),
        ("unsubscribed_from_emails", "boolean", True),
        ("location.city", "string", False),
        ("location.country", "string", False),
    ),
    "company": (
        ("name", "string", True),
        ("company_id", "string", False),
        ("last_request_at", "date", False),
        ("remote_created_at", "date", True),
        ("user_count", "integer", False),
        ("session_count", "integer", False),
        # Two names are told apart by their paths alone.
        ("plan.name", "string", False),
        ("monthly_spend", "float", True),
    ),
}
_CUSTOM = {"contact": CONTACT_ATTRIBUTES, "company": COMPANY_ATTRIBUTES}
_ARCHIVED = {"contact": {"old_score": "integer"}, "company": {"old_region": "string"}}
_OPTIONS = {"plan_tier": ["free", "pro", "enterprise"]}


def fill(space: Workspace) -> None:
    """Put the attributes into the workspace; archived ones are among them."""
    created = space.app["created_at"]
    for model, defaults in _DEFAULT.items():
        space.data_attributes += [default(model, *row) for row in defaults]
        for name, type in _CUSTOM[model].items():
            record = custom(space, model, name, type, created)
            if name in _OPTIONS:
                record["options"] = list(_OPTIONS[name])
            space.data_attributes.append(record)
        for name, type in _ARCHIVED[model].items():
            record = custom(space, model, name, type, created)
            space.data_attributes.append({**record, "archived": True, "updated_at": created + 99})
    for name, type in CONVERSATION_ATTRIBUTES.items():
        space.conversation_attributes.append(of_conversations(space, name, type, created))
    options = [
        {"id": f"{number:08x}-e5f6-4890-abcd-ef1234567890", "label": label, "archived": number == 3}
        for number, label in enumerate(("Low", "Größer &amp; größer", "Retired"), 1)
    ]
    space.conversation_attributes += [
        of_conversations(space, "Severity", "list", created, options=options),
        of_conversations(
            space,
            "Order",
            "relationship",
            created,
            reference={"type": "many", "object_type_id": "Order"},
        ),
        of_conversations(space, "Old topic", "string", created, archived=True, multiline=True),
    ]


def default(model: str, full_name: str, type: str, writable: bool) -> Record:
    """One of Intercom's own attributes: without id and times."""
    name = full_name.rpartition(".")[2]
    return {
        "type": "data_attribute",
        "name": name,
        "full_name": full_name,
        "label": name.replace("_", " ").capitalize(),
        "description": f"The {name.replace('_', ' ')} of a {model}",
        "data_type": type,
        "api_writable": writable,
        "ui_writable": False,
        "messenger_writable": True,
        "custom": False,
        "archived": False,
        "model": model,
    }


def custom(space: Workspace, model: str, name: str, type: str, created: int) -> Record:
    """An attribute the workspace defined."""
    return {
        **default(model, f"custom_attributes.{name}", type, True),
        "id": space.next_number("data_attribute", 12_879),
        "name": name,
        "label": name,
        "description": "",
        "custom": True,
        "created_at": created,
        "updated_at": created,
        "admin_id": space.me,
    }


def of_conversations(space: Workspace, name: str, type: str, created: int, **more: Any) -> Record:
    """An attribute of conversations, which since 2.16 has a list and a shape of its own."""
    record: Record = {
        "type": "conversation_attribute",
        "id": space.next_number("conversation_attribute"),
        "name": name,
        "description": "",
        "data_type": type,
        "required": False,
        "visible_to_team_ids": [],
        "archived": False,
        "created_at": created,
        "updated_at": created,
        "admin_id": space.me,
        **more,
    }
    if type == "string":
        record.setdefault("multiline", False)
    return record
