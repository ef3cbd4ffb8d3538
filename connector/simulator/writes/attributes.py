"""Checks custom attributes against the catalogue: unknown is an error, archived is ignored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connector.simulator.records.workspace import Record, Workspace
from connector.simulator.writes.values import invalid


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_KINDS: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "options": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": _is_whole,
    "date": _is_whole,
    "datetime": _is_whole,
    "float": _is_number,
}


def of_contacts(space: Workspace, name: str, value: Any) -> Record:
    """The custom attributes of a contact that are written."""
    return _written(space, "contact", value)


def of_companies(space: Workspace, name: str, value: Any) -> Record:
    """The custom attributes of a company that are written."""
    return _written(space, "company", value)


def _written(space: Workspace, model: str, values: Any) -> Record:
    if not isinstance(values, dict):
        raise invalid("custom_attributes must be an object")
    known = {
        one["name"]: one for one in space.data_attributes if one["model"] == model and one["custom"]
    }
    return {name: value for name, value in values.items() if _is_written(known, name, value)}


def _is_written(known: dict[str, Record], name: str, value: Any) -> bool:
    attribute = known.get(name)
    if attribute is None:
        raise invalid(f"Custom attribute '{name}' does not exist")
    if attribute["archived"]:
        return False
    fits = _KINDS.get(attribute["data_type"])
    if value is not None and fits is not None and not fits(value):
        raise invalid(f"Custom attribute '{name}' must be of type {attribute['data_type']}")
    return True
