"""Checks single values of contacts and companies; knows no object as a whole.

A value of the wrong kind is a 400. Two are put right in silence instead: a language that Intercom
does not have becomes null, and amounts lose what they have behind the point.
"""

from __future__ import annotations

import re
from typing import Any
from zlib import crc32

from connector.simulator.messages import ApiError
from connector.simulator.records.workspace import Record, Workspace

_LANGUAGES = (
    "ar bg bs ca cs da de de-form el en es et fa fi fr he hi hr hu id it ja ko lt lv mn ms nb nl"
    " pl pt-BR pt-PT ro ru sl sr sv sw th tr uk vi zh-CN zh-TW"
)
LANGUAGES = frozenset(_LANGUAGES.split())
MOST_SPENT = 2**31 - 1
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")


def invalid(message: str) -> ApiError:
    """The 400 for a value."""
    return ApiError(400, "parameter_invalid", message)


def text(space: Workspace, name: str, value: Any) -> str | None:
    """A text or null; keys that come as numbers are taken as texts."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if value is not None and not isinstance(value, str):
        raise invalid(f"{name} must be a string")
    return value or None


def email(space: Workspace, name: str, value: Any) -> str | None:
    """An address or null."""
    address = text(space, name, value)
    if address is not None and not _EMAIL.fullmatch(address):
        raise invalid("Email is invalid")
    return address


def integer(space: Workspace, name: str, value: Any) -> int | None:
    """A whole number or null."""
    if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
        raise invalid(f"{name} must be an integer")
    return value


def boolean(space: Workspace, name: str, value: Any) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise invalid(f"{name} must be a boolean")
    return value


def owner(space: Workspace, name: str, value: Any) -> str | None:
    """An admin who is still there, or null."""
    id = text(space, name, value)
    if id is not None and id not in space.admins:
        raise invalid(f"{name} {id} is not a member of this workspace")
    return id


def language(space: Workspace, name: str, value: Any) -> str | None:
    """A language that Intercom has; any other value is null, and nobody is told."""
    return value if isinstance(value, str) and value in LANGUAGES else None


def avatar(space: Workspace, name: str, value: Any) -> Record | None:
    """An address of an image, as contacts show it."""
    url = value.get("image_url") if isinstance(value, dict) else text(space, name, value)
    return None if url is None else {"type": "avatar", "image_url": url}


def role(space: Workspace, name: str, value: Any) -> str:
    """User or lead."""
    if value not in ("user", "lead"):
        raise invalid("role must be either user or lead")
    return str(value)


def amount(space: Workspace, name: str, value: Any) -> int:
    """An amount of money: what is behind the point is cut off, and so is what is too much."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise invalid(f"{name} must be a number")
    return min(int(value), MOST_SPENT)


def plan(space: Workspace, name: str, value: Any) -> Record:
    """A plan by its name; null is none."""
    named = text(space, name, value)
    if named is None:
        return {}
    return {"type": "plan", "id": str(1000 + crc32(named.encode()) % 9000), "name": named}
