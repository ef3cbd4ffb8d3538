"""Lists that do nothing but list: an entry here is all that the simulator needs of one.

``api/pages.py`` makes the routes from it. Knows paths, envelopes and records, no request.
"""

from __future__ import annotations

from typing import Any

from msgspec import Struct


class PlainList(Struct, frozen=True):
    """A list as its endpoint shows it, and the records that every workspace has in it.

    `per_page` is how many it shows unless it is asked for more, `most` at once, or fewer; 0 shows
    it whole. `by_id`: one record can be read too, at the path and its id. `records` are empty where
    a generator makes them.
    """

    path: str
    key: str = "data"
    type: str = "list"
    per_page: int = 0
    most: int = 50
    by_id: bool = False
    records: tuple[dict[str, Any], ...] = ()


def _subscription(
    id: str, consent: str, state: str, name: str, content: tuple[str, ...]
) -> dict[str, Any]:
    text = {"name": name, "description": f"About: {name}", "locale": "en"}
    return {
        "type": "subscription",
        "id": id,
        "state": state,
        "consent_type": consent,
        "default_translation": text,
        "translations": [text, {**text, "name": f"{name} (fr)", "locale": "fr"}],
        "content_types": list(content),
    }


# By the name of the table that a mirror would keep them in.
PLAIN: dict[str, PlainList] = {
    "help_centers": PlainList("/help_center/help_centers", by_id=True),
    "newsfeeds": PlainList("/news/newsfeeds", per_page=10, by_id=True),
    "subscription_types": PlainList("/subscription_types", records=(
        _subscription("135", "opt_out", "live", "Newsletters", ("email",)),
        _subscription("136", "opt_in", "live", "SMS alerts", ("sms_message",)),
        _subscription("137", "opt_out", "archived", "Événements", ("email",)),
        _subscription("138", "opt_in", "live", "Product news", ("email", "sms_message")),
    )),
}  # fmt: skip
