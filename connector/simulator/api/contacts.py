"""Serves contacts and what hangs on them; knows their traps, not how they are searched."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from connector.simulator.api.searching import Searchable, listing, search
from connector.simulator.encoding import encode
from connector.simulator.faults.falsehoods import BY_DAY, BY_SECOND
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import CONTACT_ATTRIBUTES, Gone, Ties
from connector.simulator.requests.call import Call, not_found, wrap
from connector.simulator.requests.routing import Route
from connector.simulator.search.fields import Fields, contact_fields
from connector.simulator.search.operators import Dates
from connector.simulator.search.query import Language

_ROLES = frozenset({"user", "lead"})
_BY_DAY = frozenset({"=", ">", "<"})
_BY_SECOND = frozenset({"=", "!=", ">", "<", ">=", "<="})
# A link to the surviving contact is followed this far.
_HOPS = 3


@lru_cache(maxsize=1)
def _fields() -> Fields:
    return contact_fields(CONTACT_ATTRIBUTES)


def _language(call: Call) -> Language:
    # Preview matches the second; every stable version the day of the workspace's timezone.
    by_day, false = not call.is_preview, call.simulator.false
    if (BY_DAY if by_day else BY_SECOND) in false:
        by_day = not by_day
    dates = Dates(
        by_day=by_day,
        timezone=call.space.timezone,
        operators=_BY_SECOND if call.is_preview else _BY_DAY,
        hole=call.simulator.midnight_hole if by_day else 0,
    )
    return Language(_fields(), dates, _ROLES)


_CONTACTS = Searchable(
    "contacts", "list", "data", _ROLES, 50, ("created_at", False), _language
)  # fmt: skip
_LIST = Searchable("contacts", "list", "data", _ROLES, 10, ("created_at", False), _language)

_COMPANYS = Searchable("contacts", "list", "data", _ROLES, 50, ("created_at", False), _language)


def _wants_merges(call: Call) -> bool:
    return call.request.query.get("include_merge_history") == "true" and call.is_at_least(16)


def _with_merges(call: Call, items: Iterable[Item]) -> list[bytes]:
    sign = call.simulator.signer()
    return [sign(_merged_in(item)) if item.signed else _merged_in(item) for item in items]


def _merged_in(item: Item) -> bytes:
    if item.group != "user":
        return item.body
    return b'%s,"merge_history":[%s]}' % (item.body[:-1], b",".join(item.owned.merges))


def search_contacts(call: Call) -> Response:
    """POST /contacts/search."""
    if _wants_merges(call):
        return search(call, _CONTACTS, _with_merges)
    return search(call, _CONTACTS)


def list_contacts(call: Call) -> Response:
    """GET /contacts: lags like the search, ten to a page unless told otherwise."""
    if _wants_merges(call):
        return listing(call, _LIST, _with_merges)
    return listing(call, _LIST)


def get_contact(call: Call) -> Response:
    """GET /contacts/{id}: as it is now, without lag."""
    item = _contact(call)
    body = _merged_in(item) if _wants_merges(call) else item.body
    if call.simulator.archived_by_id == "marked" and call.space.contacts.get(item.id) is None:
        body = body[:-1] + b',"archived":true}'
    return call.reply(body, signed=item.signed)


def find_by_external_id(call: Call) -> Response:
    """GET /contacts/find_by_external_id/{external_id}: users only."""
    wanted = b'"external_id":%s,' % encode(call.params[0])
    for item in call.space.contacts.current.values():
        if item.group == "user" and wanted in item.body:
            return call.reply(item.body, signed=item.signed)
    raise not_found("User Not Found")


def _contact(call: Call) -> Item:
    id = call.params[0]
    call.space.settle(call.now)
    item = call.space.contacts.get(id)
    if item is not None:
        return item
    gone = call.space.gone.get("contacts", {}).get(id)
    if gone is not None and gone.item is not None and call.simulator.archived_by_id != "missing":
        return gone.item
    raise absent(call, id)


def absent(call: Call, id: str) -> ApiError:
    """How it is said that no living contact has this id: 410 of a merged one, since 2.16."""
    gone = call.space.gone.get("contacts", {}).get(id)
    if gone is not None and gone.how == "merged" and call.is_at_least(16):
        return _merged_away(call, gone)
    return not_found("User Not Found")


def _merged_away(call: Call, gone: Gone) -> ApiError:
    target = gone.target
    for _ in range(_HOPS - 1):
        further = call.space.gone.get("contacts", {}).get(str(target))
        if further is None or further.how != "merged":
            break
        target = further.target
    message = "This contact has been merged. See the 'Link' header for the canonical contact."
    link = {"Link": f'</contacts/{target}>; rel="canonical"'}
    return ApiError(410, "contact_merged", message, headers=link)


def _ties(call: Call) -> Ties:
    ties: Ties = _contact(call).owned
    return ties


def contact_tags(call: Call) -> Response:
    """GET /contacts/{id}/tags: all of them, with when and by whom."""
    return call.json({"type": "list", "data": full_tags(call, _ties(call))})


def full_tags(call: Call, ties: Ties) -> list[dict[str, object]]:
    """Tags as the endpoint shows them; the embedded ones are mere references."""
    tags = call.space.tags
    return [
        {
            **tags[tag.id],
            "applied_at": tag.at,
            "applied_by": {"type": "admin", "id": tag.by},
        }
        for tag in ties.tags
        if tag.id in tags
    ]


def contact_companies(call: Call) -> Response:
    """GET /contacts/{id}/companies: whole companies, page by page."""
    companies = call.space.companies
    found = [companies.get(id) for id in _ties(call).companies]
    return call.numbered("data", "list", [item.body for item in found if item], 50, 60)


def contact_notes(call: Call) -> Response:
    """GET /contacts/{id}/notes: whole notes, page by page, newest first."""
    return call.numbered("data", "list", list(_ties(call).notes)[::-1], 50, 60)


def contact_segments(call: Call) -> Response:
    """GET /contacts/{id}/segments."""
    segments = call.space.segments
    data = [segments[id] for id in _ties(call).segments if id in segments]
    return call.json({"type": "list", "data": data})


def merge_history(call: Call) -> Response:
    """GET /contacts/{id}/merge_history, newest first, by an opaque cursor; since 2.16."""
    if not call.is_at_least(16):
        raise not_found()
    query = call.request.query
    per_page = call.number(query.get("per_page"), 50, 150)
    merges = _ties(call).merges[::-1]
    start = call.number(query.get("cursor"), 1) - 1
    has_more = start + per_page < len(merges)
    cursor = b',"next_cursor":"%d"' % (start + per_page + 1) if has_more else b""
    tail = b'],"has_more":%s%s}' % (b"true" if has_more else b"false", cursor)
    page = list(merges[start : start + per_page])
    return call.reply(wrap(b'{"type":"list","data":[', page, tail))


def company_contacts(call: Call) -> Response:
    """GET /companies/{id}/contacts: whole contacts, by cursor, as the index knows them."""
    company = call.params[0]
    call.space.settle(call.now)
    if call.space.companies.get(company) is None:
        raise not_found("Company Not Found", "company_not_found")
    return listing(call, _COMPANYS, keep=lambda item: company in item.owned.companies)


def contact_subscriptions(call: Call) -> Response:
    """GET /contacts/{id}/subscriptions: explicit choices only."""
    ties, types = _ties(call), call.space.subscription_types
    data = [types[id] for id in (*ties.opted_out, *ties.opted_in) if id in types]
    return call.json({"type": "list", "data": data})


ROUTES = [
    Route("GET", "/contacts", list_contacts),
    Route("POST", "/contacts/search", search_contacts),
    Route("GET", "/contacts/{}", get_contact),
    Route("GET", "/contacts/find_by_external_id/{}", find_by_external_id),
    Route("GET", "/contacts/{}/tags", contact_tags),
    Route("GET", "/contacts/{}/companies", contact_companies),
    Route("GET", "/contacts/{}/notes", contact_notes),
    Route("GET", "/contacts/{}/segments", contact_segments),
    Route("GET", "/contacts/{}/subscriptions", contact_subscriptions),
    Route("GET", "/contacts/{}/merge_history", merge_history),
    Route("GET", "/companies/{}/contacts", company_contacts),
]
