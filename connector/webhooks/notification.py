"""What a notification tells: which objects may have changed; pure.

Nothing of its content is kept. Where an object stands in a notification differs from topic to
topic and is documented for few of them, so it is looked for by what resources say their objects
are called (``Resource.notified``), never by the name of a topic. Only fields that this needs are
decoded: a body may be large, and as objects it would be twenty times as large.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from msgspec import Struct

from connector.jsontext import Buffer, decode, fields
from connector.resources import RESOURCES
from connector.resources.hint import WHOLE_LIST, Hint
from connector.resources.resource import Notified

LONGEST_ID = 200
LARGEST_ID = 2**63  # of those that are sent as numbers
LONGEST_TIME = 40
LONGEST_TEXT = 10_000  # of a value, as it is sent: each character may be escaped
SECONDS_UNTIL = 10**11  # what lies later is no time of an object
MILLISECONDS_FROM = 10**12
UNNAMED = "(no topic)"
GONE = ("deleted", "archived")  # fields that say so


class Notification(Struct, frozen=True):
    """Its topic, the workspace that it comes from, and the objects that it names."""

    topic: str
    app_id: str | None
    hints: tuple[Hint, ...] = ()


def read(body: Buffer) -> Notification:
    """What the body tells; ValueError if it is no JSON object."""
    envelope = fields(body, _NAMES)
    topic, app_id = _value(envelope.get("topic")), _value(envelope.get("app_id"))
    topic = topic if _is_name(topic) else UNNAMED
    data = _fields(envelope.get("data"))
    item = _fields(data.get("item")) if data else None
    hints = tuple(dict.fromkeys(_hints(topic, item))) if item is not None else ()
    return Notification(topic, app_id if isinstance(app_id, str) else None, hints)


# -- which objects it names ------------------------------------------------------------------

_KINDS: Mapping[str, tuple[str, Notified]] = {
    kind: (resource.hinted_as, resource.notified)
    for resource in RESOURCES
    for kind in resource.notified.kinds
}


_PATHS = {path for _, notified in _KINDS.values() for path in (*notified.keys, notified.at, *GONE)}
_NAMES = tuple(
    sorted(
        {"topic", "app_id", "data", "item", "type", *_KINDS}
        | {name for path in _PATHS for name in path.split(".")}
    )
)
"""All that is looked at, on whatever level."""

Found = Mapping[str, Buffer]


def _hints(topic: str, item: Found) -> Iterator[Hint]:
    """The item itself where it says what it is; else what it wraps; else what the topic says."""
    kind = _value(item.get("type"))
    own = _hint(kind, item, topic)
    if own:
        yield own
        return
    wrapped = [found for name in item if (found := _wrapped(name, item, topic))]
    yield from wrapped
    if not wrapped and not isinstance(kind, str):
        guessed = _hint(topic.split(".")[0], item, topic)
        if guessed:
            yield guessed


def _wrapped(name: str, item: Found, topic: str) -> Hint | None:
    """The object under a key; what is merely mentioned, such as a tag or an admin, is none."""
    if name not in _KINDS or _KINDS[name][1].whole_list:
        return None
    value = _fields(item[name])
    if value is None:
        return None
    return _hint(name, item if _KINDS[name][1].beside else value, topic)


def _hint(kind: Any, found: Found, topic: str) -> Hint | None:
    if not isinstance(kind, str) or kind not in _KINDS:
        return None
    table, notified = _KINDS[kind]
    if notified.whole_list:
        return Hint(table, WHOLE_LIST)
    ids = (_id(_at(found, key)) for key in notified.keys)
    id = next((one for one in ids if one is not None), None)
    if id is None:
        return None
    gone = any(_value(found.get(name)) is True for name in GONE)
    gone = gone or topic == f"{kind}.deleted"  # an article tells it by its topic alone
    return Hint(table, id, _seconds(_at(found, notified.at)), gone)


def _at(found: Found, path: str) -> Any:
    *outer, last = path.split(".")
    for name in outer:
        found = _fields(found.get(name)) or {}
    return _value(found.get(last))


def _fields(text: Buffer | None) -> Found | None:
    """The texts of an object's fields; None if it is none."""
    try:
        return None if text is None else fields(text, _NAMES)
    except ValueError:
        return None


def _value(text: Buffer | None) -> Any:
    """What a short text means; what is longer can be no id, time or name."""
    if text is None or memoryview(text).nbytes > LONGEST_TEXT:
        return None
    return decode(bytes(text))


# A word alone would be another path of the API: /companies/scroll.
_ID = re.compile(r"(?=.*[0-9]|.{16})[A-Za-z0-9_-]+")


def _id(value: Any) -> str | None:
    """The id as text; None if it is none that Intercom could have given."""
    if type(value) is int:
        return str(value) if 0 <= value < LARGEST_ID else None
    return value if _is_name(value) and _ID.fullmatch(value) else None


def _is_name(value: Any) -> TypeGuard[str]:
    """Whether it is a short text that any database takes and a terminal can show."""
    short = isinstance(value, str) and 0 < len(value) <= LONGEST_ID
    return short and value.isascii() and value.isprintable()


# -- times -----------------------------------------------------------------------------------


def _seconds(value: Any) -> int | None:
    """Whole Unix seconds of a time, rounded down: REST gives no fractions to compare with."""
    if isinstance(value, str):
        return _seconds_of_text(value) if len(value) <= LONGEST_TIME else None
    if type(value) not in (int, float) or not 0 <= value < SECONDS_UNTIL * 1000:
        return None
    return _whole(value // 1000 if value >= MILLISECONDS_FROM else value)


def _seconds_of_text(text: str) -> int | None:
    try:
        return _seconds(float(text))
    except ValueError:
        return _whole(_iso(text))


def _whole(seconds: float | None) -> int | None:
    return int(seconds) if seconds is not None and 0 <= seconds < SECONDS_UNTIL else None


def _iso(text: str) -> float | None:
    try:
        parsed = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
