"""One page of a list as it was received; knows the envelope, not what stands in a record."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from connector.errors import BadAnswerError, PagingError
from connector.intercom.address import link_query
from connector.intercom.client import Client
from connector.intercom.replies import Reply
from connector.intercom.retry import Retry

Params = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A page: its bytes, when it was asked for (by Intercom's clock), and its records.

    ``total`` is what Intercom says the whole list holds (it drifts while one reads), ``bad``
    counts elements that are no objects and were left out of ``records``. ``restarted`` marks the
    first page after a scroll began again: from here on everything comes once more.
    """

    body: bytes
    requested_at: datetime
    records: list[dict[str, Any]]
    total: int | None
    envelope: dict[str, Any]
    bad: int = 0
    restarted: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether the list held nothing at all, not even a bad element."""
        return not self.records and not self.bad


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
) -> Page:
    """One page whose list stands under ``key`` (or ``data``); raises what the client raises."""
    page, _ = await client.ask(
        method,
        path,
        lambda reply: read_page(reply, key),
        params=params,
        json=json,
        version=version,
        retry=retry,
    )
    return page


def read_page(reply: Reply, key: str) -> Page:
    """The page in a reply; ValueError if it is no JSON, BadAnswerError if there is no list."""
    envelope = reply.json()
    if not isinstance(envelope, dict):
        raise BadAnswerError("the reply is not an object", status=reply.status)
    listed = envelope[key] if key in envelope else envelope.get("data")
    if not isinstance(listed, list):
        raise BadAnswerError(f"the reply has no list {key!r}", status=reply.status)
    records = [record for record in listed if isinstance(record, dict)]
    total = envelope.get("total_count")
    return Page(
        body=reply.body,
        requested_at=reply.requested_at,
        records=records,
        total=total if type(total) is int else None,
        envelope=envelope,
        bad=len(listed) - len(records),
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
