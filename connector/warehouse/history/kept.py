"""Of which tables history is kept, and since when."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import insert

from connector.resources.resource import Table
from connector.warehouse.schema import versions
from connector.warehouse.sql.execute import scalar
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.rows import living
from connector.warehouse.state.tables import HISTORY


class History(Struct, frozen=True):
    """The history of one table, as it stands in ``sync_history``."""

    table_name: str
    began_at: datetime
    since_load: bool
    position: str | None = None
    filled_at: datetime | None = None
    linked_at: datetime | None = None
    ended_at: datetime | None = None
    closed_at: datetime | None = None
    pruned_at: datetime | None = None

    @property
    def table(self) -> Table:
        """The table whose versions are kept."""
        return versions.VERSIONED[self.table_name]

    @property
    def floor(self) -> datetime | None:
        """Before that no version of a row begins of which there was none; None for no bound."""
        return None if self.since_load else self.began_at


def all_kept(conn: sa.Connection) -> dict[str, History]:
    """All histories that were ever begun and whose tables are there, by table."""
    rows = conn.execute(sa.select(HISTORY).order_by(HISTORY.c.table_name)).mappings()
    found = {row["table_name"]: History(**row) for row in rows}
    there = versions.there(conn, found)
    return {name: one for name, one in found.items() if name in there}


def now_kept(conn: sa.Connection) -> dict[str, History]:
    """Those that are on."""
    return on(all_kept(conn))


def on(kept: Mapping[str, History]) -> dict[str, History]:
    """Those of them that are on."""
    return {name: one for name, one in kept.items() if one.ended_at is None}


def begin(conn: sa.Connection, names: Names, table: Table, now: datetime, *, linked: bool) -> None:
    """Note that the history of the table begins now; ``linked``: memberships have been read."""
    query = f"SELECT EXISTS (SELECT FROM {names(table.name)} WHERE {living()})"
    has_rows = bool(scalar(conn, query))
    values = dict.fromkeys(("position", "ended_at", "closed_at", "pruned_at")) | {
        "began_at": now,
        "since_load": not has_rows,
        "filled_at": None if has_rows else now,
        "linked_at": now if linked else None,
    }
    row = insert(HISTORY).values(table_name=table.name, **values)
    conn.execute(row.on_conflict_do_update(index_elements=["table_name"], set_=values))


def note(conn: sa.Connection, tables: Iterable[str], **values: object) -> None:
    """Note these values of the histories of these tables."""
    chosen = HISTORY.c.table_name.in_(list(tables))
    conn.execute(sa.update(HISTORY).where(chosen).values(**values))


def counts(conn: sa.Connection, names: Names, kept: Mapping[str, History]) -> dict[str, int]:
    """How many versions there are of each table."""
    return {
        name: int(scalar(conn, f"SELECT count(*) FROM {names(versions.name_of(name))}"))
        for name in kept
    }
