"""Empties rows about contacts, and versions of such rows; what stays full is no success."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from connector.warehouse.privacy.personal import Personal, emptied, full
from connector.warehouse.schema import damage
from connector.warehouse.sql.execute import fetch
from connector.warehouse.sql.names import Names


def empty(
    conn: sa.Connection,
    names: Names,
    table: str,
    part: Personal,
    which: str,
    ids: Sequence[str],
    *,
    key: str = "o.id",
    run_id: int | None = None,
) -> list[str]:
    """Empty the rows o of a table that a condition over ids tells; the keys of those that were not.

    With a run's id they count as changed by it. RowRefusedError where others keep rows as they
    were, in silence.
    """
    where = f"({which}) AND ({full('o', part)})"
    sets = emptied("o", part)
    if run_id is not None:
        sets += ", _changed_at = now(), _run_id = %(run_id)s"
    [(number, keys)] = fetch(
        conn,
        f"WITH found AS (UPDATE {names(table)} o SET {sets} WHERE {where} RETURNING {key} AS key)"
        f" SELECT (SELECT count(*) FROM {names(table)} o WHERE {where}),"
        " array(SELECT key FROM found)",
        {"ids": list(ids), "run_id": run_id},
    )
    damage.require_kept(conn, table, number, len(keys))
    return list(keys)
