"""Answers the cursor-style lists and searches of every resource alike.

Knows bodies, sorting, tokens and envelopes; the resource brings its fields and its shelf.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from connector.simulator.encoding import encode
from connector.simulator.faults.falsehoods import COUNTS, SORTED, is_chosen
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.shelf import Item, Shelf
from connector.simulator.requests.call import Call, wrap
from connector.simulator.search.operators import invalid
from connector.simulator.search.query import Language, Plan, compile_query, select
from connector.simulator.search.results import Selection

MOST = 150


class Searchable(Struct, frozen=True):
    """What a resource brings to a search."""

    kind: str
    envelope: str
    key: str
    groups: frozenset[str]
    default_size: int
    # The order when none is asked for: field and whether descending.
    default_sort: tuple[str, bool]
    language: Callable[[Call], Language]

    def shelf(self, call: Call) -> Shelf:
        """The shelf, caught up with what is old enough to be seen."""
        call.space.settle(call.now)
        return call.space.shelf(self.kind)


Join = Callable[[Call, Iterable[Item]], list[bytes]]


def _plain(call: Call, items: Iterable[Item]) -> list[bytes]:
    return call.bodies(items)


def search(call: Call, resource: Searchable, join: Join = _plain) -> Response:
    """POST /…/search."""
    body = call.body()
    language = resource.language(call)
    pagination = body.get("pagination") or {}
    if not isinstance(pagination, dict):
        raise invalid("pagination must be an object")
    per_page = call.number(pagination.get("per_page"), resource.default_size, MOST)
    field, descending = _sort(body.get("sort"), resource, language)
    if SORTED in call.simulator.false:
        field, descending = resource.default_sort
    selection = _selection(call, resource, language, body.get("query"), field)
    token = pagination.get("starting_after")
    return _page(call, resource, join, selection, token, per_page, descending)


def listing(
    call: Call,
    resource: Searchable,
    join: Join = _plain,
    keep: Callable[[Item], bool] | None = None,
) -> Response:
    """GET /… in cursor style: everything (that `keep` lets pass), in the default order."""
    query = call.request.query
    per_page = call.number(query.get("per_page"), resource.default_size, MOST)
    field, descending = resource.default_sort
    plan = Plan() if keep is None else Plan(tests=[lambda probe: keep(probe.item)])
    shelf = resource.shelf(call)
    selection = select(shelf, plan, field, resource.groups, resource.language(call).fields)
    token = query.get("starting_after") or None
    return _page(call, resource, join, selection, token, per_page, descending)


def _sort(sort: Any, resource: Searchable, language: Language) -> tuple[str, bool]:
    if sort is None:
        return resource.default_sort
    if not isinstance(sort, dict):
        raise invalid("sort must be an object")
    field = sort.get("field")
    order = sort.get("order", "descending")
    if order not in ("ascending", "descending"):
        message = f"Invalid sort order '{order}'. Must be one of: ascending, descending"
        raise ApiError(400, "invalid_sort_order", message)
    if field is None:
        return resource.default_sort[0], order == "descending"
    known = language.fields.get(field) if isinstance(field, str) else None
    if known is None or known.type in ("tag", "reference", "text"):
        raise ApiError(400, "invalid_sort_field", f"{field} is not a valid sort field")
    return field, order == "descending"


def _selection(
    call: Call, resource: Searchable, language: Language, query: Any, sort: str
) -> Selection:
    shelf = resource.shelf(call)
    # The pages of one search ask for the same records: a scan or a sort is done once, until the
    # index moves.
    key = (resource.kind, shelf.generation, sort, encode(query), language.dates)
    kept: Selection | None = call.simulator.recall(key)
    if kept is None:
        plan = compile_query(query, language)
        kept = select(shelf, plan, sort, resource.groups, language.fields)
        call.simulator.remember(key, kept)
    return kept


def _page(
    call: Call,
    resource: Searchable,
    join: Join,
    selection: Selection,
    token: Any,
    per_page: int,
    descending: bool,
) -> Response:
    after, page = None, 1
    if token is not None:
        after, page = selection.position(str(token))
    entries, more = selection.page(after, per_page, descending)
    shown = call.shortage.left(resource.kind, entries, (page - 1) * per_page)
    leaves_out = COUNTS in call.simulator.false
    total = call.shortage.total(resource.kind, selection.total)
    pages = call.pages(total, page, per_page)
    if more and len(shown) == len(entries):
        following = selection.token(entries[-1], page + 1)
        pages["next"] = {"page": page + 1, "starting_after": following}
    head = b'{"type":"%s","%s":[' % (resource.envelope.encode(), resource.key.encode())
    tail = b'],"total_count":%d,"pages":%s}' % (total, encode(pages))
    items = [entry[2] for entry in shown if not (leaves_out and is_chosen(entry[2].id, 6))]
    chunks = join(call, items)
    return call.reply(wrap(head, chunks, tail), signed=False)
