"""One page of a list as it was received; knows the envelope, not what stands in a record.

Records stay JSON text until somebody asks for their values: most of a full pass is known already
and need not be decoded.
"""

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, Self

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import BadAnswerError, IntercomError, PagingError
from connector.intercom.address import link_query
from connector.intercom.client import Client
from connector.intercom.memory import Share
from connector.intercom.responses import Reply
from connector.intercom.retry import Retry
from connector.jsontext import Head, decode, head, split

Params = Mapping[str, Any]

ENVELOPE = ("pages", "total_count", "next_cursor", "has_more", "scroll_param")
"""What stands beside the list and matters."""


class Page(Struct, frozen=True, dict=True):
    """A page: when it was asked for (by Intercom's clock), and the JSON text of its records.

    ``total`` is what Intercom says the whole list holds (it drifts while one reads), ``bad``
    counts elements that are no objects and were left out of ``texts``. ``restarted`` marks the
    first page after a list began again: from here on everything comes once more. ``gap`` stands
    on an empty page in the place of a record that the list cannot show. ``share`` are the bytes in
    flight that it takes.
    """

    requested_at: datetime
    texts: Sequence[bytes]
    total: int | None
    envelope: dict[str, Any]
    bad: int = 0
    restarted: bool = False
    gap: "Gap | None" = None
    share: Share | None = None

    @cached_property
    def records(self) -> list[dict[str, Any]]:
        """The records themselves, decoded when first asked for."""
        return [decode(text) for text in self.texts]

    @cached_property
    def heads(self) -> list[Head]:
        """Id and times of each record, without decoding the rest."""
        return [head(text) for text in self.texts]

    def only(self, wanted: Sequence[int]) -> Self:
        """The same page with none but the records at these places."""
        if len(wanted) == len(self.texts):
            return self
        return replace(self, texts=[self.texts[place] for place in wanted])

    @property
    def weight(self) -> int:
        """Bytes of the records."""
        return sum(map(len, self.texts))

    def release(self) -> None:
        """Its records are written, or of no use: give back the bytes in flight that it takes."""
        if self.share:
            self.share.release()

    @property
    def is_empty(self) -> bool:
        """Whether the list held nothing at all, not even a bad element."""
        return not self.texts and not self.bad

    def __len__(self) -> int:
        return len(self.texts)


async def fetch(
    client: Client,
    method: str,
    path: str,
    key: str,
    *,
    params: Params | None = None,
    json: Any = None,
    version: str | None = None,
    retry: Retry | None = None,
    most: float = math.inf,
) -> Page:
    """One page whose list stands under ``key`` (or ``data``); raises what the client raises.

    Who takes it releases it. ``most`` bytes it may have, else ReplyTooLargeError is raised.
    """
    page, _ = await client.ask(
        method,
        path,
        lambda reply: read_page(reply, key),
        params=params,
        json=json,
        version=version,
        retry=retry,
        hold=True,
        most=most,
    )
    if not client.clock.is_borne_out:
        client.clock.witness(head.updated_at for head in page.heads)
    return page


def read_page(reply: Reply, key: str) -> Page:
    """The page in a reply; ValueError if it is no JSON, BadAnswerError if there is no list."""
    envelope, listed = split(reply.body, (key, "data"), ENVELOPE)
    if envelope is None:
        raise BadAnswerError("the reply is not an object", status=reply.status)
    if listed is None:
        raise BadAnswerError(f"the reply has no list {key!r}", status=reply.status)
    texts = [text for text in listed if text.startswith(b"{")]
    total = envelope.get("total_count")
    return Page(
        requested_at=reply.requested_at,
        texts=texts,
        total=total if type(total) is int else None,
        envelope=envelope,
        bad=len(listed) - len(texts),
        share=reply.share,
    )


def next_params(page: Page, base_url: str) -> dict[str, str] | None:
    """What must be added to the request to get the next page; None at the end.

    Absent, null, empty and a null ``starting_after`` all mean the end: Intercom uses each.
    ValueError for a link that cannot be followed.
    """
    pages = page.envelope.get("pages")
    following = pages.get("next") if isinstance(pages, dict) else None
    if not following:
        return None
    if isinstance(following, str):
        return link_query(following, base_url)
    if isinstance(following, dict):
        token = following.get("starting_after")
        return None if token is None or token == "" else {"starting_after": str(token)}
    raise ValueError(f"pages.next is a {type(following).__name__}")


class Gap(Struct, frozen=True):
    """A record that a list cannot show: its place, from 1; ``rest``: and all that come after it."""

    place: int
    error: IntercomError
    rest: bool = False


def gap_page(gap: Gap, at: datetime) -> Page:
    """A page that shows nothing but the gap."""
    return Page(requested_at=at, texts=[], total=None, envelope={}, gap=gap)


class Trail:
    """The page tokens followed so far; refuses to go in circles."""

    def __init__(self, method: str, path: str) -> None:
        self._method = method
        self._path = path
        self._seen: set[str] = set()

    def follow(self, token: str) -> None:
        """Note the token of the next page; PagingError if it was followed before."""
        if token in self._seen:
            raise self.error(f"the page token {token[:80]!r} came again")
        self._seen.add(token)

    def error(self, message: str) -> PagingError:
        """A PagingError that names this list."""
        return PagingError(message, method=self._method, path=self._path)
