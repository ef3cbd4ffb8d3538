"""What a reply of Intercom means: fine, try again, or which error; knows no connection.

Intercom's own errors are ``{"type": "error.list", "errors": [{"code", "message"}]}``. Proxies and
load balancers answer with HTML pages under any status: those prove nothing about the object asked
for, so everything that is not Intercom's JSON is temporary, but for 413.
"""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from connector.errors import (
    BadRequestError,
    IntercomError,
    MergedError,
    NotFoundError,
    NotPermittedError,
    RetryExhaustedError,
    ScrollExistsError,
)
from connector.intercom.memory import Share
from connector.jsontext import decode

_MERGED_LINK = re.compile(r"</contacts/([^/>?]+)[^>]*>\s*;\s*rel=\"?canonical", re.IGNORECASE)
_MESSAGE_LENGTH = 300


class Reply(Struct, frozen=True):
    """A reply read to its end; ``requested_at`` is when it was asked for, by Intercom's clock.

    ``headers`` has lower-case names. ``share`` are the bytes in flight that it takes; they are
    given back by who asked, if he said so, else already.
    """

    status: int
    body: bytes
    headers: Mapping[str, str]
    requested_at: datetime
    share: Share | None = None

    def json(self) -> Any:
        """The body as a value; ValueError if it is not JSON."""
        return decode(self.body)


class _Told(Struct, frozen=True):
    """What an error body says; ``kind`` is list (Intercom's own), json or other."""

    kind: str
    code: str | None = None
    message: str = ""
    request_id: str | None = None


def failure(reply: Reply, method: str, path: str) -> IntercomError | None:
    """The error this reply stands for, None if it is none; a RetryExhaustedError is temporary.

    A 401 comes back as NotPermittedError: whether the token is dead is for the client to find out.
    """
    if reply.status == 200 and b'"error.list"' not in reply.body[:64]:
        return None
    if 200 < reply.status < 300:
        return None
    told = _read(reply.body)
    error = _kind(reply, told)(
        told.message or _describe(reply),
        method=method,
        path=path,
        status=reply.status,
        code=told.code,
        request_id=told.request_id or reply.headers.get("x-request-id"),
    )
    if isinstance(error, MergedError):
        error.merged_into = merged_into(reply.headers.get("link"))
    return error


def merged_into(link: str | None) -> str | None:
    """The surviving contact's id from ``Link: </contacts/{id}>; rel="canonical"``."""
    found = _MERGED_LINK.search(link or "")
    return found.group(1) if found else None


def _kind(reply: Reply, told: _Told) -> type[IntercomError]:
    status, code = reply.status, told.code or ""
    if status == 413:  # whoever says so, it is of what was sent
        return BadRequestError
    if status in (408, 425, 429) or status >= 500 or status == 200 or told.kind == "other":
        return RetryExhaustedError
    if code == "scroll_exists" or "scroll already exists" in told.message.lower():
        return ScrollExistsError
    if status in (401, 402, 403):
        return NotPermittedError
    if status == 410 and code == "contact_merged":
        return MergedError
    if status == 404:
        return _kind_of_absence(told)
    return BadRequestError


def _kind_of_absence(told: _Told) -> type[IntercomError]:
    if told.kind != "list":
        return RetryExhaustedError
    code = told.code or ""
    return NotFoundError if code == "not_found" or code.endswith("_not_found") else BadRequestError


def _read(body: bytes) -> _Told:
    try:
        value = decode(body)
    except ValueError:
        return _Told("other")
    if not isinstance(value, dict):
        return _Told("other")
    errors = value.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    if not isinstance(first, dict):
        # A malformed body is answered with {"status": 400, "error": "..."}.
        return _Told("json", message=_text(value.get("message") or value.get("error")) or "")
    kind = "list" if value.get("type") == "error.list" else "json"
    message = _text(first.get("message")) or ""
    return _Told(kind, _text(first.get("code")), message, _text(value.get("request_id")))


def _text(value: object) -> str | None:
    return None if value is None else str(value)[:_MESSAGE_LENGTH]


def _describe(reply: Reply) -> str:
    if not reply.body.strip():
        return "empty reply"
    start = reply.body[:80].decode("utf-8", "replace")
    return f"not an answer of Intercom's: {start!r}"
