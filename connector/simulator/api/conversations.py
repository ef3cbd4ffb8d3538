"""Serves conversations: lists without parts, reads with the newest 500; knows no contact."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

from connector.simulator.api.searching import Searchable, listing, search
from connector.simulator.encoding import encode
from connector.simulator.faults.falsehoods import BY_SECOND
from connector.simulator.messages import Response
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import CONVERSATION_ATTRIBUTES
from connector.simulator.requests.call import Call, not_found, wrong_version
from connector.simulator.requests.routing import Route
from connector.simulator.search.fields import Fields, conversation_fields
from connector.simulator.search.operators import Dates
from connector.simulator.search.query import Language

# A read returns the newest parts up to this number, and there is no way to page on.
MAX_PARTS = 500
_OPERATORS = frozenset({"=", "!=", ">", "<", ">=", "<=", "IN", "NIN"})


@lru_cache(maxsize=1)
def _fields() -> Fields:
    return conversation_fields(CONVERSATION_ATTRIBUTES)


def _language(call: Call) -> Language:
    dates = Dates(
        by_day=BY_SECOND in call.simulator.false,
        timezone=call.space.timezone,
        inclusive=call.simulator.inclusive,
        operators=_OPERATORS,
    )
    return Language(_fields(), dates)


def _searchable(*groups: str) -> Searchable:
    newest_first = ("updated_at", True)
    key = "conversations"
    return Searchable(key, "conversation.list", key, frozenset(groups), 20, newest_first, _language)


_CONVERSATIONS = _searchable("conversation")
# Customer tickets are conversations too, to a token that may read tickets.
_WITH_TICKETS = _searchable("conversation", "ticket")


def _shown(call: Call) -> Searchable:
    return _WITH_TICKETS if call.simulator.tickets_in_conversations else _CONVERSATIONS


def search_conversations(call: Call) -> Response:
    """POST /conversations/search."""
    return search(call, _shown(call))


def list_conversations(call: Call) -> Response:
    """GET /conversations."""
    return listing(call, _shown(call))


def get_conversation(call: Call) -> Response:
    """GET /conversations/{id}: as it is now, with parts."""
    call.space.settle(call.now)
    item = call.space.conversations.get(call.params[0])
    if item is None or item.group not in _shown(call).groups:
        raise not_found()
    newest = item.owned[-MAX_PARTS:]
    return call.reply(_with(item, call.shortage.left("conversation_parts", newest)))


def with_parts(item: Item, most: int | None) -> bytes:
    """A rendered conversation with its newest parts, oldest of them first."""
    return _with(item, item.owned if most is None else item.owned[-most:])


def _with(item: Item, parts: Sequence[bytes]) -> bytes:
    return b"".join(
        (
            item.body[:-1],
            b',"conversation_parts":{"type":"conversation_part.list","conversation_parts":[',
            b",".join(parts),
            b'],"total_count":%d}}' % len(parts),
        )
    )


def deleted_conversations(call: Call) -> Response:
    """GET /conversations/deleted: the feed of deletions, since 2.16."""
    if not call.is_at_least(16):
        raise wrong_version()
    feed = call.told(call.space.deleted_conversations, "deleted_at")
    newest_first = call.request.query.get("order", "desc") != "asc"
    chunks = [encode(entry) for entry in (reversed(feed) if newest_first else feed)]
    return call.numbered("conversations", "conversations.list", chunks, 20, 60)


ROUTES = [
    Route("GET", "/conversations", list_conversations),
    Route("POST", "/conversations/search", search_conversations),
    Route("GET", "/conversations/deleted", deleted_conversations),
    Route("GET", "/conversations/{}", get_conversation),
]
