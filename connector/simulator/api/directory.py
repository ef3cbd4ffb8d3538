"""Serves the small whole lists: me, tags, segments, admins, teams."""

from __future__ import annotations

from connector.simulator.messages import Response
from connector.simulator.requests.call import Call, not_found
from connector.simulator.requests.routing import Handler, Route

_AVATAR = "https://static.intercomassets.com/assets/default-avatars/admins/128.png"


def me(call: Call) -> Response:
    """The admin the token belongs to, and the workspace."""
    admin, opens = call.space.admins[call.space.me], call.simulator.gate.caller.opens
    app = call.space.app if opens is None else {**call.space.app, "id_code": opens, "name": opens}
    return call.json(
        {
            "type": "admin",
            "id": admin["id"],
            "email": admin["email"],
            "name": admin["name"],
            "email_verified": True,
            "app": app,
            "avatar": {"type": "avatar", "image_url": _AVATAR},
            "has_inbox_seat": admin["has_inbox_seat"],
        }
    )


def _whole(kind: str, type: str, key: str) -> Handler:
    def handler(call: Call) -> Response:
        return call.json({"type": type, key: call.shortage.left(kind, call.listed(kind))})

    return handler


def _one(kind: str, code: str, message: str) -> Handler:
    def handler(call: Call) -> Response:
        record = call.space.directory(kind).get(call.params[0])
        if record is None:
            raise not_found(message, code)
        return call.json(record)

    return handler


ROUTES = [
    Route("GET", "/me", me),
    Route("GET", "/tags", _whole("tags", "list", "data")),
    Route("GET", "/tags/{}", _one("tags", "not_found", "Resource Not Found")),
    Route("GET", "/segments", _whole("segments", "segment.list", "segments")),
    Route("GET", "/segments/{}", _one("segments", "not_found", "Resource Not Found")),
    Route("GET", "/admins", _whole("admins", "admin.list", "admins")),
    Route("GET", "/admins/{}", _one("admins", "admin_not_found", "Admin not found")),
    Route("GET", "/teams", _whole("teams", "team.list", "teams")),
    Route("GET", "/teams/{}", _one("teams", "team_not_found", "Team not found")),
]
