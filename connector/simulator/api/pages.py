"""Answers page-number lists that show no next address; knows pages, no resource."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from connector.simulator.encoding import encode
from connector.simulator.messages import Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import Call, not_found, wrap
from connector.simulator.requests.routing import Handler

# The largest page of the lists of which no limit is documented is that of their youngest kin.
MOST = 50


def numbered(
    call: Call, kind: str, records: Sequence[Record], default: int, most: int = MOST
) -> Response:
    """One page: how many there are is told, where the next one is is not."""
    query = call.request.query
    page = call.number(query.get("page"), 1)
    per_page = call.number(query.get("per_page"), default, most)
    start = (page - 1) * per_page
    shown = call.shortage.left(kind, records[start : start + per_page], start)
    chunks = [encode(record) for record in shown]
    total = call.shortage.total(kind, len(records))
    pages = encode(call.pages(total, page, per_page))
    tail = b'],"total_count":%d,"pages":%s}' % (total, pages)
    return call.reply(wrap(b'{"type":"list","data":[', chunks, tail))


def newest_first(records: Iterable[Record]) -> list[Record]:
    """Sorted by their last change: what changes moves to the front, and the others move on."""
    return sorted(records, key=lambda one: (one["updated_at"], int(one["id"])), reverse=True)


def by_id(kind: str, message: str = "Resource Not Found") -> Handler:
    """A handler of GET /…/{id}."""

    def handler(call: Call) -> Response:
        record = call.space.directory(kind).get(call.params[0])
        if record is None:
            raise not_found(message)
        return call.json(record)

    return handler
