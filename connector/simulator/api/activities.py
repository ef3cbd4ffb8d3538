"""Serves the Preview feed of what happened to contacts; knows nothing of contacts themselves."""

from __future__ import annotations

from bisect import bisect_right

from connector.simulator.messages import ApiError, Response
from connector.simulator.requests.call import Call, wrong_version
from connector.simulator.requests.routing import Route


def list_activities(call: Call) -> Response:
    """GET /contacts/activities: oldest first, by cursor, on Preview only."""
    if not call.is_preview:
        raise wrong_version()
    query = call.request.query
    per_page = call.number(query.get("per_page"), 50, 150)
    feed = call.told(call.space.activities, "created_at")
    after = query.get("starting_after")
    start = (
        bisect_right(feed, _position(after), key=lambda one: _position(one["id"])) if after else 0
    )
    page = feed[start : start + per_page]
    pages: dict[str, object] = {"type": "pages", "per_page": per_page}
    if start + per_page < len(feed):
        pages["next"] = {"starting_after": page[-1]["id"]}
    return call.json({"type": "list", "data": page, "pages": pages})


def _position(id: str) -> tuple[int, int]:
    # An activity's id is its cursor: milliseconds, then a sequence in hex.
    milliseconds, _, sequence = id.partition(".")
    try:
        return int(milliseconds), int(sequence, 16)
    except ValueError as error:
        raise ApiError(400, "client_error", "Invalid starting_after param.") from error


ROUTES = [Route("GET", "/contacts/activities", list_activities)]
