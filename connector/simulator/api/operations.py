"""Serves macros, calls and the admins' activity log; each pages in a way of its own."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from connector.simulator.api.pages import by_id, numbered
from connector.simulator.encoding import decode, encode
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import LINK_HOST, Call, not_found, wrong_version
from connector.simulator.requests.routing import Route

_MACROS, _CALLS, _LOGS = 150, 25, 250
_LOG_PAGE = 20


def list_macros(call: Call) -> Response:
    """GET /macros, since 2.16: the last changed first, by cursor; `next` is null at the end."""
    if not call.is_at_least(16):
        raise wrong_version()
    query = call.request.query
    per_page = call.number(query.get("per_page"), 50, _MACROS)
    since = _second(query.get("updated_since"), "updated_since", default=-(2**62))
    keyed = sorted(
        ((_at(one["updated_at"]), one["id"], one) for one in call.listed("macros")),
        key=lambda entry: entry[:2],
        reverse=True,
    )
    found = [entry for entry in call.shortage.left("macros", keyed) if entry[0] > since]
    after = query.get("starting_after")
    if after:
        position = _position(after)
        found = [entry for entry in found if entry[:2] < position]
    page = found[:per_page]
    following = None
    if len(found) > per_page:
        # The token as Intercom makes it: base64 of [updated_at, id].
        token = base64.b64encode(encode([page[-1][0], page[-1][1]])).decode()
        following = {"starting_after": token}
    pages = {"type": "pages", "per_page": per_page, "next": following}
    return call.json({"type": "list", "data": [one for _, _, one in page], "pages": pages})


def get_macro(call: Call) -> Response:
    """GET /macros/{id}, since 2.16."""
    if not call.is_at_least(16):
        raise wrong_version()
    return by_id("macros")(call)


def list_calls(call: Call) -> Response:
    """GET /calls: the newest first; no filter by time."""
    return numbered(call, "calls", call.listed("calls")[::-1], 25, _CALLS)


def get_call(call: Call) -> Response:
    """GET /calls/{id}."""
    return by_id("calls", "Not Found")(call)


def list_activity_logs(call: Call) -> Response:
    """GET /admins/activity_logs: newest first, twenty to a page, `next` being an address."""
    query = call.request.query
    if not query.get("created_at_after"):
        raise ApiError(400, "parameter_not_found", "created_at_after is required")
    found = _logs(call, query.get("created_at_after"), query.get("created_at_before"))
    return _log_page(call, found, call.number(query.get("page"), 1), _LOG_PAGE)


def search_activity_logs(call: Call) -> Response:
    """POST /admins/activity_logs/search, since 2.16: by type as well, up to 250 to a page."""
    if not call.is_at_least(16):
        raise not_found()
    body = call.body()
    if body.get("created_at_after") is None:
        raise ApiError(400, "parameter_not_found", "created_at_after is required")
    types = body.get("event_types")
    if types is not None and not isinstance(types, list):
        raise ApiError(400, "parameter_invalid", "event_types must be an array")
    found = _logs(call, body["created_at_after"], body.get("created_at_before"))
    found = [one for one in found if not types or one["activity_type"] in types]
    per_page = call.number(body.get("per_page"), _LOG_PAGE, _LOGS)
    return _log_page(call, found, call.number(body.get("page"), 1), per_page)


def event_types(call: Call) -> Response:
    """GET /admins/activity_log_event_types: those that occur here."""
    types = sorted({one["activity_type"] for one in call.space.activity_logs})
    return call.json({"type": "activity_log_event_type.list", "event_types": types})


def _logs(call: Call, after: Any, before: Any) -> list[Record]:
    low = _second(after, "created_at_after", default=0)
    high = _second(before, "created_at_before", default=2**62)
    logs: Iterable[Record] = reversed(call.space.activity_logs)
    return [one for one in logs if low < one["created_at"] < high]


def _log_page(call: Call, found: list[Record], page: int, per_page: int) -> Response:
    pages = call.pages(len(found), page, per_page)
    pages["next"] = None
    if page < pages["total_pages"]:
        query = {**call.request.query, "per_page": per_page, "page": page + 1}
        pages["next"] = f"{LINK_HOST}{call.request.path}?{urlencode(query)}"
    start = (page - 1) * per_page
    logs = found[start : start + per_page]
    return call.json({"type": "activity_log.list", "pages": pages, "activity_logs": logs})


def _second(value: Any, name: str, *, default: int) -> int:
    if value is None or value == "":
        return default
    try:
        return int(value)
    except (TypeError, ValueError) as error:
        raise ApiError(400, "parameter_invalid", f"Invalid {name} timestamp") from error


def _at(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _position(token: str) -> tuple[float, str]:
    try:
        moment, id = decode(base64.b64decode(token, validate=True))
        return float(moment), str(id)
    except (binascii.Error, ValueError, TypeError) as error:
        message = "Invalid starting_after param."
        raise ApiError(400, "client_error", message) from error


ROUTES = [
    Route("GET", "/macros", list_macros),
    Route("GET", "/macros/{}", get_macro),
    Route("GET", "/calls", list_calls),
    Route("GET", "/calls/{}", get_call),
    Route("GET", "/admins/activity_logs", list_activity_logs),
    Route("POST", "/admins/activity_logs/search", search_activity_logs),
    Route("GET", "/admins/activity_log_event_types", event_types),
]
