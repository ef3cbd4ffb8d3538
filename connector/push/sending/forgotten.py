"""Whether a key that nothing in the warehouse knows is a forgotten contact's.

Keys of forgotten contacts are not kept, so Intercom alone can tell whose they are. It is asked only
where somebody is forgotten, and takes no part where an object answers for itself: what is created
and exists is named by the refusal.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending
from connector.push.sending.searches import find
from connector.warehouse.privacy.wishes import are_forgotten, is_any_forgotten
from connector.warehouse.sql.execute import names_of


async def forgotten_contact(sending: Sending, wish: Wish) -> str | None:
    """The id of the forgotten contact that a wish without an id means; None where it means none.

    Raises like ``find``.
    """
    if wish.object_id or not await sending.store.do(_is_any):
        return None
    record = (await find(sending, [wish])).get(wish.id)
    key = str(record.get("id")) if record else None

    def look(conn: sa.Connection) -> bool:
        return key is not None and key in are_forgotten(conn, names_of(conn), [key])

    return key if await sending.store.do(look) else None


def _is_any(conn: sa.Connection) -> bool:
    return is_any_forgotten(conn, names_of(conn))
