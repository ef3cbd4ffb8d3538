"""Walks sorted index entries page by page with stateless page tokens; knows no filters."""

from __future__ import annotations

import base64
import binascii
from bisect import bisect_left
from typing import Any

from msgspec import Struct

from connector.simulator.encoding import decode, encode
from connector.simulator.messages import ApiError
from connector.simulator.records.shelf import Entry

# A stretch of one sorted list of entries: the list, from, to.
Run = tuple[list[Entry], int, int]


class Selection(Struct, frozen=True):
    """What a query selects: stretches of sorted entries, in one order, without copies."""

    runs: list[Run]
    # Times travel in milliseconds inside a token.
    is_time: bool
    # Entries over a field that may be null sort by (has a value, value).
    nullable: bool = False

    @property
    def total(self) -> int:
        """How many records are selected."""
        return sum(hi - lo for _, lo, hi in self.runs if hi > lo)

    def page(
        self, after: tuple[Any, Any] | None, limit: int, descending: bool
    ) -> tuple[list[Entry], bool]:
        """The next `limit` entries after a position, and whether more follow."""
        chunks = [_chunk(run, after, limit + 1, descending) for run in self.runs]
        if len(chunks) == 1:
            picked = chunks[0]
        else:
            picked = [entry for chunk in chunks for entry in chunk]
            picked.sort(key=lambda entry: entry[:2], reverse=descending)
        return picked[:limit], len(picked) > limit

    def token(self, entry: Entry, page: int) -> str:
        """The token that continues after `entry`: base64 of [sort value, id, next page]."""
        value = entry[0][1] if self.nullable else entry[0]
        if self.is_time and value is not None:
            value *= 1000
        return base64.b64encode(encode([value, entry[1], page])).decode()

    def position(self, token: str) -> tuple[tuple[Any, Any], int]:
        """Where a token points, and the number of the page it asks for."""
        value, key, page = _parse(token)
        if self.is_time and value is not None:
            if not isinstance(value, int):
                raise _bad_token()
            value //= 1000
        position = ((value is not None, value) if self.nullable else value, key)
        self._check(position)
        return position, page

    def _check(self, position: tuple[Any, Any]) -> None:
        sample = next((entries[lo] for entries, lo, hi in self.runs if hi > lo), None)
        if sample is None:
            return
        if not isinstance(position[1], type(sample[1])):
            raise _bad_token()
        if not self.nullable and not isinstance(position[0], type(sample[0])):
            raise _bad_token()


def _chunk(run: Run, after: tuple[Any, Any] | None, limit: int, descending: bool) -> list[Entry]:
    entries, lo, hi = run
    if after is not None and lo < hi:
        try:
            at = bisect_left(entries, after, lo, hi)
        except TypeError as error:
            raise _bad_token() from error
        if descending:
            hi = at
        else:
            lo = at + 1 if at < hi and entries[at][:2] == after else at
    if descending:
        return entries[max(lo, hi - limit) : hi][::-1]
    return entries[lo : min(hi, lo + limit)]


def _parse(token: str) -> tuple[Any, Any, int]:
    try:
        value, key, page = decode(base64.b64decode(token, validate=True))
    except (binascii.Error, ValueError, TypeError) as error:
        raise _bad_token() from error
    if not isinstance(page, int) or page < 1:
        raise _bad_token()
    return value, key, page


def _bad_token() -> ApiError:
    return ApiError(
        400,
        "client_error",
        "Invalid starting_after param. Please try again using a starting_after value from a"
        " paginated response",
    )
