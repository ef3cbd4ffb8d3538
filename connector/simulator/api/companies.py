"""Serves companies by id, by key and in page-number lists; the scroll lives next door."""

from __future__ import annotations

from functools import lru_cache

from connector.simulator.api.searching import Searchable, search
from connector.simulator.encoding import decode
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import COMPANY_ATTRIBUTES
from connector.simulator.requests.call import Call, not_found, wrong_version
from connector.simulator.requests.routing import Route
from connector.simulator.search.fields import Fields, company_fields
from connector.simulator.search.operators import Dates
from connector.simulator.search.query import Language

# The list stops here; only the scroll goes on.
LIST_LIMIT = 10_000
_DEFAULT, _MOST = 15, 60


@lru_cache(maxsize=1)
def _fields() -> Fields:
    return company_fields(COMPANY_ATTRIBUTES)


def _language(call: Call) -> Language:
    return Language(_fields(), Dates(by_day=False, timezone="UTC"))


_COMPANIES = Searchable(
    "companies", "list", "data", frozenset({"company"}), 15, ("created_at", False), _language
)


def get_company(call: Call) -> Response:
    """GET /companies/{id}: as it is now, also without users."""
    call.space.settle(call.now)
    return call.reply(_company(call, call.params[0]).body)


def list_companies(call: Call) -> Response:
    """POST /companies/list: by last request, newest first, at most 10,000."""
    query = call.request.query
    page = call.number(query.get("page"), 1)
    per_page = call.number(query.get("per_page"), _DEFAULT, _MOST)
    if (page - 1) * per_page >= LIST_LIMIT:
        raise ApiError(400, "bad_request", "page limit reached, please use scroll API")
    found = _by_last_request(call, descending=query.get("order", "desc") != "asc")
    start = (page - 1) * per_page
    shown = found[start : min(start + per_page, LIST_LIMIT)]
    chunks = call.bodies(call.shortage.left("companies", shown, start))
    total = call.shortage.total("companies", len(found))
    return call.numbered_page("data", "list", chunks, total, page, per_page)


def retrieve_companies(call: Call) -> Response:
    """GET /companies: one company by its key or name, a list by tag or segment, or everything."""
    query = call.request.query
    if "company_id" in query or "name" in query:
        return _one_of(call, query.get("company_id"), query.get("name"))
    if "tag_id" in query or "segment_id" in query:
        return _tagged(call, query.get("tag_id"), query.get("segment_id"))
    return list_companies(call)


def search_companies(call: Call) -> Response:
    """POST /companies/search, on Preview only."""
    if not call.is_preview:
        raise wrong_version()
    return search(call, _COMPANIES)


def company_segments(call: Call) -> Response:
    """GET /companies/{id}/segments."""
    record = decode(_company(call, call.params[0]).body)
    return call.json({"type": "list", "data": record["segments"]["segments"]})


def _company(call: Call, id: str) -> Item:
    item = call.space.companies.get(id)
    if item is None:
        raise not_found("Company Not Found", "company_not_found")
    return item


def _by_last_request(call: Call, *, descending: bool) -> list[Item]:
    call.space.settle(call.now)
    shelf = call.space.companies
    key = ("companies/list", shelf.generation, descending)
    kept: list[Item] | None = call.simulator.recall(key)
    if kept is None:
        keyed = [
            (decode(item.body).get("last_request_at") or 0, item.id, item)
            for item in shelf.listed()
        ]
        kept = [item for _, _, item in sorted(keyed, reverse=descending)]
        call.simulator.remember(key, kept)
    return kept


def _one_of(call: Call, company_id: str | None, name: str | None) -> Response:
    call.space.settle(call.now)
    for item in call.space.companies.current.values():
        record = decode(item.body)
        if company_id in (None, record["company_id"]) and name in (None, record["name"]):
            return call.reply(item.body)
    raise not_found("Company Not Found", "company_not_found")


def _tagged(call: Call, tag: str | None, segment: str | None) -> Response:
    chunks = []
    for item in _by_last_request(call, descending=True):
        record = decode(item.body)
        tags = {one["id"] for one in record["tags"]["tags"]}
        segments = {one["id"] for one in record["segments"]["segments"]}
        if (tag is None or tag in tags) and (segment is None or segment in segments):
            chunks.append(item.body)
    return call.numbered("data", "list", chunks, _DEFAULT, _MOST)


ROUTES = [
    Route("GET", "/companies", retrieve_companies),
    Route("POST", "/companies/list", list_companies),
    Route("POST", "/companies/search", search_companies),
    Route("GET", "/companies/{}", get_company),
    Route("GET", "/companies/{}/segments", company_segments),
]
