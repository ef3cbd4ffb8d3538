"""Decides what may have been created: leads whose reply was lost.

Intercom takes the same lead twice, so nothing is sent again blindly. Once the index lag is over a
search shows the lead if there is one: then the wish has its object; else it is sent again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa

from connector.intercom.paging import search
from connector.push.outbox import claims
from connector.push.outbox.results import Result
from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending
from connector.push.sending.judging import judged
from connector.push.sending.searches import records
from connector.warehouse.sql.execute import names_of, scalars

SKEW = 120.0  # seconds by which two clocks may differ
TRIES = 4
TOLD_BY = ("email", "phone", "name")


async def look(sending: Sending) -> int:
    """Decide what is unknown for longer than the index lag; how many wishes that were."""
    wishes = await sending.store.do(partial(claims.unknown, older_than=sending.options.index_lag))
    for wish in wishes:  # one after the other: two wishes may find the same lead
        await sending.record([await _decide(sending, wish)])
    return len(wishes)


async def _decide(sending: Sending, wish: Wish) -> Result:
    told_by = next((name for name in TOLD_BY if _value(wish, name)), None)
    if told_by is None:
        told = "nothing tells it from other leads: look for it by hand, then push --retry"
        return Result(wish, "failed", "lost_reply", told)
    filters = [
        search.compare("role", "=", "lead"),
        search.compare(told_by, "=", _value(wish, told_by)),
    ]
    found = [one for one in await records(sending, filters) if _is_since(sending, wish, one)]
    mine = await _unclaimed(sending, wish, found)
    if len(mine) > 1:
        ids = ", ".join(str(one.get("id")) for one in mine)
        return Result(wish, "failed", "ambiguous", f"several leads were made since: {ids}")
    if mine:
        key = str(mine[0].get("id"))
        done = await judged(sending, wish, key, mine[0])
        return done if done.state == "done" else Result(wish, "waiting", object_id=key)
    if wish.attempts >= TRIES:
        return Result(wish, "failed", "lost_reply", f"{wish.attempts} replies were lost")
    return Result(wish, "waiting", "lost_reply", "it was not created; sent again")


def _value(wish: Wish, name: str) -> Any:
    return wish.body.get(name) or (wish.email if name == "email" else None)


def _is_since(sending: Sending, wish: Wish, record: Mapping[str, Any]) -> bool:
    created = record.get("created_at")
    now = sending.client.clock.likely_now().timestamp()
    return isinstance(created, int | float) and created >= now - (wish.age or 0.0) - SKEW


async def _unclaimed(
    sending: Sending, wish: Wish, found: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Those that are not known to be another wish's object."""
    ids = [str(one.get("id")) for one in found]

    def taken(conn: sa.Connection) -> set[str]:
        query = f"SELECT object_id FROM {names_of(conn)('outbox')}"
        query += " WHERE kind = 'contacts' AND object_id = ANY(%(ids)s) AND id <> %(id)s"
        return set(scalars(conn, query, {"ids": ids, "id": wish.id}))

    others = await sending.store.do(taken) if ids else set()
    return [one for one in found if str(one.get("id")) not in others]
