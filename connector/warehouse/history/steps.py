"""Turns history on and off, completes and prunes it: in batches, each of which can be the last.

Every function does one batch in the transaction it is given, and returns whether there may be more.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa

from connector.resources import RESOURCES
from connector.resources.readings import Members
from connector.resources.resource import Table
from connector.warehouse import state
from connector.warehouse.history import kept, write
from connector.warehouse.history.kept import History
from connector.warehouse.schema import versions
from connector.warehouse.sql.execute import execute, scalar, scalars
from connector.warehouse.sql.names import Names

BATCH = 2_000  # rows of one transaction
BLOCKS = 2_000  # blocks of a table that are looked through in one: 16 MB
PRUNED_EACH = timedelta(days=1)


def begin(conn: sa.Connection, names: Names, name: str, now: datetime) -> None:
    """Turn the history of this table on, unless it is."""
    if name not in kept.now_kept(conn):
        table = versions.VERSIONED[name]
        kept.begin(conn, names, table, now, linked=_has_memberships(conn, table))


def fill(conn: sa.Connection, names: Names, history: History, now: datetime) -> bool:
    """Begin the versions of some rows that were here before."""
    table, name = history.table, history.table_name
    keys = scalars(
        conn, write.next_keys(names, table), {"after": history.position or "", "most": BATCH}
    )
    if keys:
        values = {"keys": keys, "began_at": history.began_at}
        execute(conn, write.begin_rows(names, table), values)
        kept.note(conn, [name], position=keys[-1])
    else:
        kept.note(conn, [name], position=None, filled_at=now)
    return bool(keys)


def end(conn: sa.Connection, names: tuple[str, ...], now: datetime) -> None:
    """Note that the histories of these tables end now; ``close`` ends their versions."""
    kept.note(conn, names, ended_at=now)


def add_memberships(conn: sa.Connection, names: Names, table: Table, after: str) -> str | None:
    """Put into some versions to which groups their rows belong, as a first load read it.

    The last id; None where none follows.
    """
    if not any(one.is_membership for one in versions.linked(table)):
        return None
    keys = scalars(conn, write.next_keys(names, table), {"after": after, "most": BATCH})
    if not keys:
        return None
    execute(conn, write.add_memberships(names, table), {"keys": keys})
    return str(keys[-1])


def may_add_memberships(conn: sa.Connection, history: History) -> bool:
    """Whether the members of groups have been read since, for the first time."""
    return history.linked_at is None and _has_memberships(conn, history.table)


def _has_memberships(conn: sa.Connection, table: Table) -> bool:
    """Whether all that tells to which groups its rows belong was read once."""
    owners = {one.refers_to for one in versions.linked(table) if one.is_membership}
    readers = [
        r.name for r in RESOURCES if isinstance(r.reading, Members) and r.table.name in owners
    ]
    return all(state.progress(conn, name).cursor is not None for name in readers)


# -- through a whole table, block by block -----------------------------------------------------


def blocks(conn: sa.Connection, names: Names, table: Table) -> int:
    """How many blocks the table of versions has now."""
    return int(scalar(conn, write.blocks(names, table)))


def close(conn: sa.Connection, names: Names, history: History, block: int) -> None:
    """End the open versions that stand in the blocks from this one on."""
    values = _blocks(block) | {"at": history.ended_at}
    execute(conn, write.close_all(names, history.table), values)


def prune(
    conn: sa.Connection, names: Names, history: History, block: int, before: datetime
) -> None:
    """Remove the versions that ended before then, from these blocks."""
    execute(conn, write.prune(names, history.table), _blocks(block) | {"before": before})


def _blocks(first: int) -> dict[str, Any]:
    return {"first": f"({first},0)", "last": f"({first + BLOCKS},0)"}
