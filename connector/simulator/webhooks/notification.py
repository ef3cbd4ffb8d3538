"""The envelope of a notification, and the headers that sign it; knows no object and no rule."""

from __future__ import annotations

import hmac
from hashlib import sha1
from typing import Any

from msgspec import Struct

from connector.simulator.encoding import encode

_USER_AGENT = "intercom-parrot-service-client/1.0"


class Notification(Struct, frozen=True):
    """One change, told about once: `number` is its place among all, `item` rendered."""

    number: int
    topic: str
    id: str | None
    app_id: str
    created_at: int
    item: bytes

    def body(self, attempt: int, first_sent_at: int) -> bytes:
        """What is posted; it says which attempt this is."""
        status = "pending" if attempt == 1 else "retry"
        head = {"type": "notification_event", "app_id": self.app_id}
        tail: dict[str, Any] = {
            "links": {},
            "id": self.id,
            "topic": self.topic,
            "delivery_status": None if self.topic == "ping" else status,
            "delivery_attempts": attempt,
            "delivered_at": 0,
            "first_sent_at": first_sent_at,
            "created_at": self.created_at,
            "self": None,
        }
        data = b'"data":{"type":"notification_event_data","item":%s}' % self.item
        return b"%s,%s,%s" % (encode(head)[:-1], data, encode(tail)[1:])


def headers(secret: str, body: bytes) -> dict[str, str]:
    """What goes with a body, its signature among it; there is no time in it."""
    digest = hmac.new(secret.encode(), body, sha1).hexdigest()
    return {
        "Content-Type": "application/json; charset=utf-8",
        "User-Agent": _USER_AGENT,
        "X-Hub-Signature": f"sha1={digest}",
    }
