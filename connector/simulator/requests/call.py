"""One admitted request on its way to a handler, and the shapes every handler answers in.

Knows versions, page parameters and envelopes; not which resource is asked for.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from msgspec import Struct

from connector.simulator.encoding import decode, encode, is_signed
from connector.simulator.faults.shortage import Shortage
from connector.simulator.messages import ApiError, Request, Response
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Record, Workspace

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator

# Where production's page links point, whatever host was asked; clients must rebase them.
LINK_HOST = "https://api.intercom.io"
_JSON = "application/json; charset=utf-8"


class MalformedBodyError(Exception):
    """The request's body is not JSON; Intercom answers this in a shape of its own."""


class Call(Struct):
    """A request with what the gate found out about it."""

    simulator: Simulator
    request: Request
    version: str
    now: float
    params: tuple[str, ...] = ()

    @property
    def space(self) -> Workspace:
        """The workspace the token opens."""
        return self.simulator.workspace

    @property
    def shortage(self) -> Shortage:
        """What lists wrongly leave out."""
        return self.simulator.shortage

    @property
    def is_preview(self) -> bool:
        """True when the caller speaks the Preview version."""
        return self.version == "Preview"

    def is_at_least(self, minor: int) -> bool:
        """True when the version is 2.`minor` or later."""
        if self.is_preview:
            return True
        major, _, number = self.version.partition(".")
        return major == "2" and int(number) >= minor

    def body(self) -> dict[str, Any]:
        """The JSON body; nothing counts as an empty object."""
        if not self.request.body:
            return {}
        try:
            body = decode(self.request.body)
        except ValueError as error:
            raise MalformedBodyError(str(error)) from error
        if not isinstance(body, dict):
            raise ApiError(400, "bad_request", "The body must be a JSON object")
        return body

    def number(self, value: Any, default: int, most: int | None = None) -> int:
        """A positive number out of a query string or a body, within Intercom's limit."""
        if value is None:
            return default
        try:
            number = int(value)
        except (TypeError, ValueError) as error:
            raise ApiError(400, "parameter_invalid", f"{value!r} is not a number") from error
        if number < 1:
            raise ApiError(400, "parameter_invalid", "Page and Per Page must be positive")
        if most is not None and number > most:
            raise ApiError(400, "parameter_invalid", "Per Page is too big")
        return number

    def reply(self, body: bytes, *, signed: bool = True) -> Response:
        """A 200 with a rendered body, its addresses signed and fit for the caller's version."""
        if signed and is_signed(body):
            body = self.simulator.signer()(body)
        if not self.is_at_least(16):
            # Before 2.16 nobody was null, not 0.
            body = body.replace(b'"admin_assignee_id":0,', b'"admin_assignee_id":null,')
            body = body.replace(b'"team_assignee_id":0,', b'"team_assignee_id":null,')
        return Response(200, body, {"Content-Type": _JSON})

    def json(self, value: Any) -> Response:
        """A 200 with a value to be rendered."""
        return self.reply(encode(value))

    def listed(self, kind: str) -> list[Record]:
        """The records of a directory as its list shows them: what is left out for now is not."""
        omitted = self.simulator.shortage.omitted(kind, self.now)
        return [one for id, one in self.space.directory(kind).items() if id not in omitted]

    def told(self, feed: list[Record], at: str) -> list[Record]:
        """The entries of a feed that are old enough to be told; they are in the order of time."""
        lag = self.simulator.feed_lag
        if not lag:
            return feed
        return feed[: bisect_right(feed, self.now - lag, key=lambda entry: entry[at])]

    def bodies(self, items: Iterable[Item]) -> list[bytes]:
        """Rendered records; only those that hold signed addresses are touched."""
        sign = self.simulator.signer()
        return [sign(item.body) if item.signed else item.body for item in items]

    def numbered(
        self, key: str, type: str, chunks: list[bytes], default: int, most: int
    ) -> Response:
        """A page of a whole list in page-number style, `next` being an address or null."""
        query = self.request.query
        page = self.number(query.get("page"), 1)
        per_page = self.number(query.get("per_page"), default, most)
        start = (page - 1) * per_page
        return self.numbered_page(
            key, type, chunks[start : start + per_page], len(chunks), page, per_page
        )

    def numbered_page(
        self, key: str, type: str, chunks: list[bytes], total: int, page: int, per_page: int
    ) -> Response:
        """The envelope of one page in page-number style."""
        pages = self.pages(total, page, per_page)
        pages["next"] = None
        if page < pages["total_pages"]:
            query = {**self.request.query, "per_page": per_page, "page": page + 1}
            pages["next"] = f"{LINK_HOST}{self.request.path}?{urlencode(query)}"
        head = b'{"type":"%s","%s":[' % (type.encode(), key.encode())
        tail = b'],"total_count":%d,"pages":%s}' % (total, encode(pages))
        return self.reply(wrap(head, chunks, tail))

    def pages(self, total: int, page: int, per_page: int) -> dict[str, Any]:
        """The `pages` object without `next`: cursor style leaves it out on the last page."""
        total_pages = -(-total // per_page)
        return {"type": "pages", "page": page, "per_page": per_page, "total_pages": total_pages}


def wrap(head: bytes, chunks: list[bytes], tail: bytes) -> bytes:
    """Rendered records with what stands before and after them, copied once."""
    if not chunks:
        return head + tail
    chunks = chunks.copy()
    chunks[0] = head + chunks[0]
    chunks[-1] += tail
    return b",".join(chunks)


def not_found(message: str = "Resource Not Found", code: str = "not_found") -> ApiError:
    """Intercom's 404."""
    return ApiError(404, code, message)


def wrong_version() -> ApiError:
    """The 400 for a resource that the requested version does not have."""
    message = "Requested resource is not available in current API version."
    return ApiError(400, "intercom_version_invalid", message)
