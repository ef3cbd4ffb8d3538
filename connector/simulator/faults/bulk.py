"""Swells answers as they leave, so that a small workspace looks like one of many gigabytes.

Knows JSON and paths, no resource. Nothing is kept: the same record is swollen alike each time.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from msgspec import Struct

from connector.simulator.encoding import decode, encode
from connector.simulator.messages import Request, Response

_SENTENCE = "The customer’s order has not arrived, and nobody answers the phone. "


class Swell(Struct, frozen=True):
    """Which answers become large, and how.

    ``method`` and ``path`` (a regular expression) choose requests; ``key`` names the list in the
    answer, "" if it is one object. Each record gets ``length`` characters in ``field``; or, where
    ``parts`` names a list in it (dotted), ``number`` elements made of its first, with ids of their
    own, each with ``length`` characters in ``field``. ``every``: only each so manieth id, by hash.
    """

    method: str
    path: str
    key: str = ""
    field: str = "body"
    length: int = 5_000
    parts: str = ""
    number: int = 0
    every: int = 1

    def fits(self, request: Request) -> bool:
        """Whether the answer to this request becomes large."""
        return request.method == self.method and bool(re.fullmatch(self.path, request.path))


def swell(rules: Sequence[Swell], request: Request, response: Response) -> None:
    """Make the answer as large as the first rule that fits says."""
    rule = next((rule for rule in rules if rule.fits(request)), None)
    if rule is None or response.status != 200:
        return
    body = decode(response.body)
    for record in body.get(rule.key, []) if rule.key else [body]:
        if rule.every == 1 or sum(str(record.get("id")).encode()) % rule.every == 0:
            _grow(rule, record)
    response.body = encode(body)


def _grow(rule: Swell, record: dict[str, Any]) -> None:
    if not rule.parts:
        record[rule.field] = text(str(record.get("id")), rule.length)
        return
    *outer, last = rule.parts.split(".")
    wrapper = record
    for name in outer:
        wrapper = wrapper.setdefault(name, {})
    model = next(iter(wrapper.get(last) or []), None) or _part(record)
    wrapper[last] = [_like(rule, model, f"{record['id']}{n:05d}") for n in range(rule.number)]
    if "total_count" in wrapper:
        wrapper["total_count"] = rule.number
    statistics = record.get("statistics")
    if isinstance(statistics, dict):
        statistics["count_conversation_parts"] = rule.number


def _like(rule: Swell, model: dict[str, Any], id: str) -> dict[str, Any]:
    return {**model, "id": id, rule.field: text(id, rule.length), "attachments": []}


def _part(record: dict[str, Any]) -> dict[str, Any]:
    times = {"created_at": record.get("created_at"), "updated_at": record.get("updated_at")}
    return {"part_type": "comment", "author": None, "attachments": [], **times}


def text(id: str, length: int) -> str:
    """So many characters that differ from one id to the next."""
    return (id + " " + _long(length))[:length]


@lru_cache(maxsize=8)
def _long(length: int) -> str:
    return _SENTENCE * (length // len(_SENTENCE) + 1)
