"""What a receiver cannot rely on, made to happen: shares of what is told are spoilt by a seed."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from connector.simulator.records.workspace import Record
from connector.simulator.webhooks.items import iso

FOREIGN_APP = "another1"
UNKNOWN = "contact.aura.changed"
_LARGE = 1_200_000
_OLD_TOPICS = {"contact.user.": "user.", "contact.lead.": "contact."}


class Telling(NamedTuple):
    """One notification to be: its topic, what it is about, whose, and how much later."""

    topic: str
    item: Record
    app_id: str
    later: float = 0.0


class Chaos(Struct, frozen=True):
    """Shares between 0 and 1 of all notifications, and seconds; all nothing unless set.

    `drop` is never sent. `duplicates` come twice, under two ids. `foreign` come from another
    workspace of the app as well, `unknown` under a topic that nobody knows as well. `older` have
    the shape and the topic of another API version, `large` are above 1 MiB. `delay` is how many
    seconds later everything comes, `shuffle` up to how many more each, so that order is lost.
    """

    drop: float = 0.0
    duplicates: float = 0.0
    foreign: float = 0.0
    unknown: float = 0.0
    older: float = 0.0
    large: float = 0.0
    delay: float = 0.0
    shuffle: float = 0.0

    def changed(self, **knobs: float) -> Chaos:
        """The same with other knobs; ValueError for one that is none, or no share."""
        for name, value in knobs.items():
            if name not in self.__struct_fields__:
                raise ValueError(f"{name} is not one of {', '.join(self.__struct_fields__)}")
            if value < 0 or (value > 1 and name not in ("delay", "shuffle")):
                raise ValueError(f"{name} is a share between 0 and 1, or seconds")
        return replace(self, **knobs)

    def spread(self, random: Random, telling: Telling) -> Iterator[Telling]:
        """What is sent for one change: mostly it, or nothing, or more than one."""
        if _happens(random, self.drop):
            return
        if _happens(random, self.older):
            telling = older(telling)
        if _happens(random, self.large):
            telling = telling._replace(item=large(telling.item))
        yield self._late(random, telling)
        if _happens(random, self.duplicates):
            yield self._late(random, telling)
        if _happens(random, self.foreign):
            yield self._late(random, telling._replace(app_id=FOREIGN_APP))
        if _happens(random, self.unknown):
            yield self._late(random, telling._replace(topic=UNKNOWN))

    def _late(self, random: Random, telling: Telling) -> Telling:
        return telling._replace(later=self.delay + random.random() * self.shuffle)


def older(telling: Telling) -> Telling:
    """The same as an app of another API version is told it, where that differs."""
    kind = telling.item.get("type")
    if kind == "contact" and "role" in telling.item:
        return _older_contact(telling)
    if kind == "conversation" and "id" in telling.item:
        return telling._replace(item=_older_conversation(telling.item))
    if telling.topic == "ticket.closed" and "ticket" in telling.item:
        return telling._replace(item=telling.item["ticket"])
    return telling


def large(item: Record) -> Record:
    """The same with a body that makes the notification longer than 1 MiB."""
    return {**item, "body": f"<p>{'ä' * (_LARGE // 2)}</p>"}


def _happens(random: Random, share: float) -> bool:
    return random.random() < share


def _older_contact(telling: Telling) -> Telling:
    item, topic = telling.item, telling.topic
    for prefix, old in _OLD_TOPICS.items():
        topic = topic.replace(prefix, old, 1) if topic.startswith(prefix) else topic
    kind = "user" if item["role"] == "user" else "contact"
    kept = {name: item[name] for name in ("id", "email", "name", "phone", "custom_attributes")}
    record = {"type": kind, **kept, "user_id": item["external_id"], "anonymous": kind != "user"}
    return telling._replace(topic=topic, item=record)


def _older_conversation(item: Record) -> Record:
    contacts = item["contacts"]["contacts"]
    admin = item["admin_assignee_id"]
    kept = ("type", "id", "created_at", "updated_at", "open", "state", "read", "tags")
    record: Record = {name: item[name] for name in kept}
    user = {"type": "user", "id": contacts[0]["id"], "user_id": contacts[0]["external_id"]}
    record["user"] = user if contacts else None
    record["assignee"] = {"type": "admin" if admin else "nobody_admin", "id": str(admin or 0)}
    record["conversation_message"] = item["source"]
    record["conversation_parts"] = item["conversation_parts"]
    record["statistics"] = _texts(item["statistics"])
    return record


def _texts(statistics: Record | None) -> Record | None:
    def text(name: str, value: Any) -> Any:
        return iso(value) if name.endswith("_at") and isinstance(value, int) else value

    return statistics and {name: text(name, value) for name, value in statistics.items()}
