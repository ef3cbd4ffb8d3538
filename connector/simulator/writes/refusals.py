"""Makes chosen items fail, in bulk as in requests of their own, with one and the same reason."""

from __future__ import annotations

from zlib import crc32

from msgspec import Struct

from connector.simulator.messages import ApiError

_PARTS = 10_000


class Refused(Struct, frozen=True):
    """Which items fail and what is said of them; `share` of all falls on the same ones always."""

    share: float
    ids: frozenset[str]
    external_ids: frozenset[str]
    message: str
    status: int
    code: str

    def fits(self, id: str | None, key: str | None) -> bool:
        """Whether it is about the item with this id and this key of the client's own."""
        if id in self.ids or key in self.external_ids:
            return True
        return crc32((key or id or "").encode()) % _PARTS < self.share * _PARTS


class Refusals:
    """The refusals in force."""

    def __init__(self) -> None:
        self.rules: list[Refused] = []

    def check(self, id: str | None, key: str | None) -> None:
        """Raise what is said of this item, if it is one of those."""
        for rule in self.rules:
            if rule.fits(id, key):
                raise ApiError(rule.status, rule.code, rule.message)
