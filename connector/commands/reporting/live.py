"""What is said of the live mirror: what waits, when it last heard, which topics never came."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from connector.resources import RESOURCES
from connector.warehouse.state import inbox

NAMED = 8  # topics in a sentence


def facts(conn: sa.Connection) -> dict[str, Any] | None:
    """What waits and what came; None where no notification ever did."""
    came = {row["topic"]: row["received"] for row in inbox.topics(conn)}
    if not came:
        return None
    waits = inbox.backlog(conn)
    return {
        "backlog": waits.waiting,
        "oldest_seconds": waits.oldest_seconds,
        "last_notification_at": waits.last_notification_at,
        "received": came,
        "unseen_topics": [topic for topic in declared() if topic not in came],
    }


def declared() -> list[str]:
    """The topics that are worth subscribing, each once."""
    return list(dict.fromkeys(topic for one in RESOURCES for topic in one.notified.topics))


def sentences(found: dict[str, Any]) -> Iterator[str]:
    """The same in words."""
    last = f"{found['last_notification_at']:%Y-%m-%d %H:%M:%S %Z}"
    oldest = found["oldest_seconds"]
    waits = f"{found['backlog']:,} hints wait"
    if oldest is not None:
        waits += f", the oldest for {oldest:,.0f} s"
    yield f"last notification {last}; {waits}"
    if unseen := found["unseen_topics"]:
        more = f" and {len(unseen) - NAMED} more" if len(unseen) > NAMED else ""
        named = ", ".join(unseen[:NAMED]) + more
        yield f"topics that never came: {named}; are they subscribed in the Developer Hub?"
