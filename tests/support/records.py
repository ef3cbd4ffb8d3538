"""Records as Intercom shows them, for tests that say only what matters of one."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from connector.commands import views as command
from tests.support.warehouse import Warehouse, unix


def listed(*ids: str, **more: Any) -> dict[str, Any]:
    """A list of references as Intercom embeds it."""
    return {"type": "list", "data": [{"type": "x", "id": key} for key in ids]} | more


def contact(key: str = "1", updated: int = 0, **more: Any) -> dict[str, Any]:
    return {"type": "contact", "id": key, "updated_at": unix(updated)} | more


def part(key: str, body: str = "text", files: int = 0) -> dict[str, Any]:
    attachments = [{"type": "upload", "name": f"f{n}", "url": f"/{n}"} for n in range(files)]
    return {"type": "conversation_part", "id": key, "body": body, "attachments": attachments}


def conversation(*parts: dict[str, Any], updated: int = 0, **more: Any) -> dict[str, Any]:
    wrapper = {"type": "conversation_part.list", "conversation_parts": list(parts)}
    record = {"id": "1", "updated_at": unix(updated), "conversation_parts": wrapper}
    return record | more


def attribute(name: str, data_type: str = "string", **more: Any) -> dict[str, Any]:
    """A custom attribute of contacts, as Intercom lists it."""
    return {
        "model": "contact",
        "full_name": f"custom_attributes.{name}",
        "name": name,
        "label": name,
        "description": "",
        "data_type": data_type,
        "custom": True,
        "archived": False,
        "id": 1,
        **more,
    }


def list_attributes(warehouse: Warehouse, *records: dict[str, Any]) -> None:
    """Intercom lists these, and the views grow."""
    warehouse.write("data_attributes", *records)
    assert command.grow(warehouse.database) is False


JSON_VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.floats(),
        st.text(st.characters(codec=None)),
        st.sampled_from(["https://f.example/a.png?expires=1&signature=2", "\0", "\ud800", 2**90]),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.text(st.characters(codec=None), max_size=8), inner, max_size=4),
    ),
    max_leaves=12,
)
