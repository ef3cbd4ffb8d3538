"""What was last pushed of each field, as digests: so that a change made at Intercom is known."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import sqlalchemy as sa

from connector.jsontext import encode
from connector.push.kinds import KINDS
from connector.push.kinds.digest import digest
from connector.warehouse.privacy import wishes
from connector.warehouse.sql.execute import execute, names_of
from connector.warehouse.state.tables import PUSHED

Pushed = tuple[str, str, Mapping[str, Any]]  # kind, Intercom's id, values by field


def note(conn: sa.Connection, pushed: Iterable[Pushed]) -> None:
    """These values were pushed; other fields of the objects keep their digests."""
    pushed = list(pushed)
    names = names_of(conn)
    forgotten = wishes.are_forgotten(conn, names, [key for _, key, _ in pushed]) if pushed else ()
    rows = {
        (kind, key): {name: digest(KINDS[kind], name, value) for name, value in values.items()}
        for kind, key, values in pushed
        if key not in forgotten
    }
    if not rows:
        return
    execute(
        conn,
        f"INSERT INTO {names(PUSHED.name)} AS p (kind, object_id, digests)"
        " SELECT kind, object_id, digests FROM jsonb_to_recordset(%(rows)s::jsonb)"
        " AS r (kind text, object_id text, digests jsonb) ORDER BY 1, 2"
        " ON CONFLICT (kind, object_id) DO UPDATE SET digests = p.digests || EXCLUDED.digests",
        {"rows": encode([_row(*key, digests) for key, digests in rows.items()]).decode()},
    )


def _row(kind: str, key: str, digests: Mapping[str, str]) -> dict[str, Any]:
    return {"kind": kind, "object_id": key, "digests": digests}
