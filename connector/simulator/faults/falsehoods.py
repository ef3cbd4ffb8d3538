"""An Intercom that is not as it is known to be: one fact at a time is made false.

Most are made false in the reply as it leaves; what searches and changes do otherwise they ask for
here. Knows paths and shapes, not who relies on what.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from typing import Any

from connector.simulator.encoding import decode, encode
from connector.simulator.messages import Request, Response, error_body

BY_DAY, BY_SECOND, SORTED = "search-by-day", "search-by-second", "search-sorted"
COUNTS, MOVES, LAG = "search-counts", "updated-at-moves", "index-lag"
LONG_LAG = 3 * 3600.0
PARTS = 3  # parts that are shown of a conversation
PAGE = 4  # elements of a list that should come whole
EVENTS = 2  # events that are shown of a contact

Distortion = Callable[[Request, Any], Any]
_LISTS = ("tags", "segments", "admins", "teams", "subscription_types", "ticket_types")
_LISTS_OF_ONE = re.compile(r"/contacts/[^/]+/(tags|subscriptions)$")
_CUT = re.compile(
    rb'("url":"/contacts/[^"]+/(?:tags|companies)","total_count":)\d+,"has_more":true'
)


class Falsehoods:
    """The facts that are false now."""

    def __init__(self) -> None:
        self.ids: set[str] = set()

    def __contains__(self, fact: str) -> bool:
        return fact in self.ids

    def distort(self, request: Request, response: Response) -> Response:
        """The response as it leaves."""
        for fact in self.ids:
            if fact in _WHOLE:
                response = _WHOLE[fact](request, response)
            elif fact in _BODIES and response.status == 200:
                pattern, change = _BODIES[fact]
                if re.search(pattern, request.path):
                    response.body = encode(change(request, decode(response.body)))
        return response


def is_chosen(id: str, one_in: int) -> bool:
    """Whether an object is one of those that a falsehood falls on."""
    return zlib.crc32(id.encode()) % one_in == 0


# -- whole responses -------------------------------------------------------------------------


def _embedded(request: Request, response: Response) -> Response:
    if request.path.startswith("/contacts"):
        response.body = _CUT.sub(rb'\g<1>10,"has_more":false', response.body)
    return response


def _absent(request: Request, response: Response) -> Response:
    found = re.fullmatch(r"/conversations/(\d+)", request.path)
    if found and request.method == "GET" and is_chosen(found[1], 9) and response.status == 200:
        body = error_body("not_found", "Resource Not Found", "")
        return Response(404, body, {**response.headers})
    return response


def _without(name: str) -> Callable[[Request, Response], Response]:
    def change(request: Request, response: Response) -> Response:
        response.headers = {k: v for k, v in response.headers.items() if not k.startswith(name)}
        return response

    return change


def _broken_scroll(request: Request, response: Response) -> Response:
    if request.path == "/companies/scroll" and "scroll_param" in request.query:
        body = error_body("not_found", "scroll parameter not found", "")
        return Response(404, body, {**response.headers})
    return response


_WHOLE: dict[str, Callable[[Request, Response], Response]] = {
    "embedded-lists": _embedded,
    "absent-is-gone": _absent,
    "merged-is-told": _without("Link"),
    "rate-limit": _without("X-RateLimit"),
    "date-header": _without("Date"),
    "scroll": _broken_scroll,
}


# -- bodies ----------------------------------------------------------------------------------


def _paged(request: Request, body: Any) -> Any:
    key = next(key for key, value in body.items() if isinstance(value, list))
    page, whole = int(request.query.get("page", 1)), body[key]
    body[key] = whole[(page - 1) * PAGE : page * PAGE]
    if len(whole) > page * PAGE:
        body["pages"] = {"next": f"https://api.intercom.io{request.path}?page={page + 1}"}
    return body


def _few_parts(request: Request, body: Any) -> Any:
    for one in _objects(body):
        for key in ("conversation_parts", "ticket_parts"):
            if isinstance(one.get(key), dict):
                one[key]["total_count"] = len(one[key][key])
                one[key][key] = one[key][key][-PARTS:]
    return body


def _more_counted(request: Request, body: Any) -> Any:
    for one in _objects(body):
        if one.get("statistics"):
            one["statistics"]["count_conversation_parts"] += 3
    return body


def _recreated(request: Request, body: Any) -> Any:
    for one in _objects(body):
        if "created_at" in one and one.get("updated_at", 0) > one["created_at"]:
            one["created_at"] += one["updated_at"] % 60
    return body


def _stale(request: Request, body: Any) -> Any:
    if is_chosen(body["id"], 7):
        body["updated_at"] -= 86_400
    return body


def _nothing(request: Request, body: Any) -> Any:
    for key, value in body.items():
        if isinstance(value, list):
            body[key] = []
    return body | {"pages": {"type": "pages", "next": None}}


def _notes(request: Request, body: Any) -> Any:
    for one in _objects(body):
        if isinstance(one.get("notes"), dict) and one["notes"]["total_count"]:
            one["notes"]["total_count"] += 2
    return body


def _no_subscriptions(request: Request, body: Any) -> Any:
    for one in _objects(body):
        one.pop("opted_in_subscription_types", None)
        one.pop("opted_out_subscription_types", None)
    return body


def _no_merges(request: Request, body: Any) -> Any:
    for one in _objects(body):
        one.pop("merge_history", None)
    return body


def _visitors(request: Request, body: Any) -> Any:
    if b'"role"' in request.body:
        body["data"] = [one for one in body["data"] if not is_chosen(one["id"], 15)]
    for one in _objects(body):
        if one.get("type") == "contact" and is_chosen(one["id"], 15):
            one["role"] = "visitor"
    return body


def _last_events(request: Request, body: Any) -> Any:
    body["events"] = body["events"][:EVENTS]
    body["pages"].pop("next", None)
    return body


def _objects(body: Any) -> list[Any]:
    """The records of a list, or the one record."""
    for key in ("data", "conversations", "tickets"):
        if isinstance(body.get(key), list):
            return list(body[key])
    return [body]


_CONTACTS = r"^/contacts(/search|/[0-9a-f]{24})?$"
_BODIES: dict[str, tuple[str, Distortion]] = {
    "whole-lists": (rf"^/({'|'.join(_LISTS)})$|{_LISTS_OF_ONE.pattern}", _paged),
    "parts-shown": (r"^/(conversations|tickets)/(\d+|search)$", _few_parts),
    "parts-counted": (r"^/conversations", _more_counted),
    "created-at-fixed": (_CONTACTS, _recreated),
    "by-id-is-current": (r"^/conversations/\d+$", _stale),
    "deletions-fed": (r"^/conversations/deleted$", _nothing),
    "contact-activities": (r"^/contacts/activities$", _nothing),
    "notes-counted": (_CONTACTS, _notes),
    "subscriptions-embedded": (_CONTACTS, _no_subscriptions),
    "merge-history": (_CONTACTS, _no_merges),
    "roles": (_CONTACTS, _visitors),
    "events-kept": (r"^/events$", _last_events),
}

FALSEHOODS = frozenset({*_WHOLE, *_BODIES, BY_DAY, BY_SECOND, SORTED, COUNTS, MOVES, LAG})
