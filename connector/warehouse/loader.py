"""Batches into Postgres: COPY to staging, then one merge; knows the declarations, not HTTP.

All of a batch happens in the caller's transaction: refuse copies that are older than what is
stored, make placeholders for what is referred to, apply links and children, and last write the
rows whose content, links or children differ. Foreign keys are deferred to the commit, so a row
can be written once, after everything that decides whether it changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa

from connector.errors import TooManyDeletesError
from connector.resources.lists import Record
from connector.resources.resource import Resource, Table
from connector.warehouse import statements
from connector.warehouse.batch import Batch
from connector.warehouse.encoder import row_keys
from connector.warehouse.statements import Family, Names

DELETES_FUSE_SHARE, DELETES_FUSE_ROWS = 0.05, 20


@dataclass
class Written:
    """What a batch did: rows inserted, updated, unchanged, and copies refused as older."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: tuple[str, ...] = ()


class Loader:
    """Writes batches into one schema."""

    def __init__(self, schema: str) -> None:
        self.names = Names(schema)

    def write(
        self,
        conn: sa.Connection,
        batch: Batch,
        run_id: int,
        *,
        by_id: bool = False,
        lag: timedelta = timedelta(0),
    ) -> Written:
        """Merge the batch. ``by_id``: each record was read alone, so it may revive its row.

        A list read revives a deleted row only if it was requested later than the deletion plus
        ``lag``: Intercom's lists go on showing a deleted object for a while.
        """
        table, root = batch.table, batch.staged[batch.table.name]
        if not root.rows:
            return Written()
        cursor = _cursor(conn)
        self._stage(cursor, batch)
        beside = statements.is_beside(table, root.absent)
        refused = self._refuse(cursor, table, {"by_id": by_id, "lag": lag, "beside": beside})
        self._placeholders(cursor, table, batch, run_id)
        inserted, updated = self._merge(cursor, table, batch, run_id)
        unchanged = root.rows - len(refused) - inserted - updated
        return Written(inserted, updated, unchanged, tuple(refused))

    def _stage(self, cursor: psycopg.Cursor[Any], batch: Batch) -> None:
        cursor.execute(statements.create_stages(batch.table))
        for name, staged in batch.staged.items():
            if staged.rows:
                with cursor.copy(statements.copy(name, staged.columns)) as copy:
                    copy.write(staged.data)

    def _refuse(
        self, cursor: psycopg.Cursor[Any], table: Table, how: Mapping[str, Any]
    ) -> list[str]:
        """Drop staged copies that are older than what is stored, and all that came with them."""
        cursor.execute(statements.refuse(self.names, table), how)
        refused = [key for (key,) in cursor.fetchall()]
        if refused:
            self._drop_staged(cursor, table, refused)
        return refused

    def _drop_staged(
        self, cursor: psycopg.Cursor[Any], table: Table, owners: Sequence[str]
    ) -> None:
        for link in table.links:
            cursor.execute(statements.drop_staged(link.table, link.owner), [list(owners)])
        for child in table.children:
            cursor.execute(
                statements.drop_staged(child.table.name, child.parent, child.table),
                [list(owners)],
            )
            if not child.table.positioned:
                gone = [key for (key,) in cursor.fetchall()]
                self._drop_staged(cursor, child.table, gone)

    def _placeholders(
        self, cursor: psycopg.Cursor[Any], table: Table, batch: Batch, run_id: int
    ) -> None:
        """Give everything that is referred to, and not there yet, a row to refer to."""
        for target, sources in statements.references(table).items():
            staged = tuple(source for source in sources if batch.staged[source[0]].rows)
            if staged:
                cursor.execute(statements.placeholders(self.names, table, target, staged), [run_id])

    def _merge(
        self,
        cursor: psycopg.Cursor[Any],
        table: Table,
        batch: Batch,
        run_id: int,
        parent: Family | None = None,
    ) -> tuple[int, int]:
        """Links and children first, then the rows: (inserted, updated)."""
        staged = batch.staged[table.name]
        if not staged.rows:
            return 0, 0
        self._merge_below(cursor, table, batch, run_id)
        absence = (staged.absent, staged.partial)
        cursor.execute(statements.merge(self.names, table, absence, parent), {"run_id": run_id})
        inserted, updated = cursor.fetchone() or (0, 0)
        return inserted, updated

    def _merge_below(
        self, cursor: psycopg.Cursor[Any], table: Table, batch: Batch, run_id: int
    ) -> None:
        """The links and children of a table; what changed is noted as touched."""
        for link in table.links:
            cursor.execute(statements.merge_link(self.names, table, link), ())
        for child in table.children:
            self._merge(cursor, child.table, batch, run_id, (table, child))
            cursor.execute(statements.remove_children(self.names, table, child), {"run_id": run_id})

    def compare(self, conn: sa.Connection, batch: Batch) -> dict[str, list[str]]:
        """For each record the columns in which its stored row differs, [] where none does.

        Links and children are merged to see whether that would change anything: the caller must
        roll the transaction back.
        """
        table, root = batch.table, batch.staged[batch.table.name]
        if not root.rows:
            return {}
        cursor = _cursor(conn)
        self._stage(cursor, batch)
        self._merge_below(cursor, table, batch, 0)
        absence = (root.absent, root.partial)
        cursor.execute(statements.differences(self.names, table, absence))
        return dict(cursor.fetchall())

    def sample(self, conn: sa.Connection, resource: Resource, size: int) -> list[str]:
        """Ids of so many living rows of the resource, chosen by chance."""
        cursor = _cursor(conn)
        values = [value for _, value in resource.owns]
        cursor.execute(statements.sample(self.names, resource), [*values, size])
        return [key for (key,) in cursor.fetchall()]

    def known(
        self, conn: sa.Connection, table: Table, ids: Sequence[str]
    ) -> dict[str, tuple[datetime | None, datetime | None]]:
        """(updated_at, time of the request) of the living rows among these ids."""
        cursor = _cursor(conn)
        cursor.execute(statements.known(self.names, table), [list(ids)])
        return {key: (updated_at, read_at) for key, updated_at, read_at in cursor.fetchall()}

    def alive(self, conn: sa.Connection, resource: Resource) -> int:
        """How many living rows the resource has in its table."""
        cursor = _cursor(conn)
        cursor.execute(statements.alive(self.names, resource), [v for _, v in resource.owns])
        return int((cursor.fetchone() or (0,))[0])

    def unfilled(self, conn: sa.Connection, table: Table, tries: int, most: int) -> list[str]:
        """Placeholders that were asked for by id fewer than ``tries`` times, at most ``most``."""
        cursor = _cursor(conn)
        cursor.execute(statements.unfilled(self.names, table), [table.name, tries, most])
        return [key for (key,) in cursor.fetchall()]

    def note_tried(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> None:
        """Count one more try for placeholders that could not be filled."""
        _cursor(conn).execute(statements.note_tried(self.names), [table.name, list(ids)])

    def mark_absent(
        self,
        conn: sa.Connection,
        table: Table,
        present: Sequence[Record],
        began_at: datetime,
        run_id: int,
        *,
        allow: bool = False,
    ) -> int:
        """Mark deleted what a complete list omits; the number of rows marked.

        Rows that were read or changed after the list was asked for are left alone. Raises
        TooManyDeletesError, and marks nothing, if more than 5 % of the table and more than 20
        rows would go and ``allow`` is not set.
        """
        cursor, keys = _cursor(conn), row_keys(table, present)
        gone = self._count_absent(cursor, table, began_at, keys, allow)
        if gone:
            cursor.execute(
                statements.mark_absent(self.names, table),
                [began_at, run_id, began_at, *keys],
            )
        return gone

    def absent(
        self,
        conn: sa.Connection,
        table: Table,
        present: Sequence[Record],
        began_at: datetime,
        *,
        allow: bool = False,
    ) -> list[str]:
        """Ids of the living rows that a list omits, for asking by id; raises as mark_absent."""
        cursor, keys = _cursor(conn), row_keys(table, present)
        if not self._count_absent(cursor, table, began_at, keys, allow):
            return []
        cursor.execute(statements.absent(self.names, table), [began_at, *keys])
        return [key for (key,) in cursor.fetchall()]

    def _count_absent(
        self,
        cursor: psycopg.Cursor[Any],
        table: Table,
        began_at: datetime,
        keys: Sequence[Sequence[str]],
        allow: bool,
    ) -> int:
        cursor.execute(statements.count_absent(self.names, table), [began_at, *keys])
        gone, alive = cursor.fetchone() or (0, 0)
        if gone > DELETES_FUSE_ROWS and gone > DELETES_FUSE_SHARE * alive and not allow:
            raise TooManyDeletesError(
                f"{gone} of {alive} rows of {table.name} would be marked deleted because"
                " Intercom's list omits them; if that is right, run again with --allow-deletes"
            )
        return int(gone)

    def mark_deleted(
        self, conn: sa.Connection, table: Table, ids: Sequence[str], at: datetime, run_id: int
    ) -> int:
        """Mark deleted what Intercom, asked by id, does not know any more; the number marked.

        A placeholder stays one: it was never seen alive.
        """
        cursor = _cursor(conn)
        cursor.execute(statements.mark_deleted(self.names, table), [at, run_id, list(ids)])
        return cursor.rowcount


def _cursor(conn: sa.Connection) -> psycopg.Cursor[Any]:
    """The driver's cursor: COPY is no part of SQLAlchemy's interface."""
    raw: psycopg.Connection[Any] = conn.connection.driver_connection  # type: ignore[assignment]
    return raw.cursor()
