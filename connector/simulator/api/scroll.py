"""Serves the companies scroll: one at a time, a minute of patience, no way back."""

from __future__ import annotations

from uuid import UUID

from msgspec import Struct

from connector.simulator.encoding import encode
from connector.simulator.messages import ApiError, Response
from connector.simulator.records.shelf import Item
from connector.simulator.requests.call import Call, not_found, wrap
from connector.simulator.requests.routing import Route

PAGE = 100
IDLE = 60.0


class Scroll(Struct):
    """The one open scroll of a workspace: what was listed when it began, and how far it is."""

    param: str
    items: list[Item]
    expires_at: float
    position: int = 0
    app: int = 0  # whose it is


def scroll_companies(call: Call) -> Response:
    """GET /companies/scroll."""
    param = call.request.query.get("scroll_param")
    scroll = _resume(call, param) if param else _open(call)
    page = scroll.items[scroll.position : scroll.position + PAGE]
    # The position moves before the reply travels: a reply that is lost cannot be asked for again.
    scroll.position += len(page)
    scroll.expires_at = call.now + IDLE
    if not page:
        call.simulator.scroll = None
    tail = b'],"pages":null,"total_count":null,"scroll_param":%s}' % encode(scroll.param)
    return call.reply(wrap(b'{"type":"list","data":[', call.bodies(page), tail))


def _open(call: Call) -> Scroll:
    simulator = call.simulator
    known = simulator.scroll
    if known is not None and call.now < known.expires_at:
        raise ApiError(400, "scroll_exists", "scroll already exists for this workspace")
    call.space.settle(call.now)
    listed = sorted(call.space.companies.listed(), key=lambda item: item.id)
    items = list(call.shortage.left("companies", listed))
    number = call.space.next_number("scroll")
    simulator.stats.scrolls_opened += 1
    scroll = Scroll(str(UUID(int=number << 64 | 0x4AA0 << 48)), items, 0.0)
    scroll.app = simulator.gate.caller.position
    simulator.scroll = scroll
    return scroll


def _resume(call: Call, param: str) -> Scroll:
    scroll = call.simulator.scroll
    if scroll is None or scroll.param != param or call.now >= scroll.expires_at:
        raise not_found("scroll parameter not found")
    if scroll.app != call.simulator.gate.caller.position:
        call.simulator.gate.caller.crossed += 1
        raise not_found("scroll parameter not found")
    return scroll


ROUTES = [Route("GET", "/companies/scroll", scroll_companies)]
