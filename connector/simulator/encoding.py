"""Turns records into bytes and back; knows JSON and signed addresses, no object of Intercom."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import msgspec

# Attachment, avatar and inline image addresses expire, so Intercom signs them at every read.
# Records are rendered once with a mark in that place, which is replaced when they are served.
MARK = "?~signed~"
# Inside an HTML body the ampersand of an address is escaped.
HTML_MARK = "?~signed-html~"
_MARK = MARK.encode()
_HTML_MARK = HTML_MARK.encode()
_ANY_MARK = b"?~signed"


def encode(value: Any) -> bytes:
    """Render as JSON, also what the fast encoder refuses: lone surrogates."""
    try:
        return msgspec.json.encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":")).encode()


def render(value: Any) -> bytes:
    """Encode a record to be kept: as JSON, in no more memory than it needs."""
    return bytes(memoryview(encode(value)))


def decode(body: bytes) -> Any:
    """Parse JSON, also what the fast decoder refuses (see encode)."""
    try:
        return msgspec.json.decode(body)
    except msgspec.DecodeError:
        return json.loads(body)


def is_signed(body: bytes) -> bool:
    """True when the rendered record holds an address that must be signed when served."""
    return _ANY_MARK in body


def signer(expires: int, signature: str) -> Callable[[bytes], bytes]:
    """A function that puts an expiry and a signature in the place of every mark."""
    plain = f"?expires={expires}&signature={signature}".encode()
    html = f"?expires={expires}&amp;signature={signature}".encode()
    return lambda body: body.replace(_MARK, plain).replace(_HTML_MARK, html)


def unsign(body: bytes) -> bytes:
    """Drop every mark: addresses as a workspace without signed addresses shows them."""
    return body.replace(_MARK, b"").replace(_HTML_MARK, b"")
