"""Batches into Postgres, and what is known of the rows there; knows the declarations, not HTTP.

Everything happens in the caller's transaction, in which foreign keys are deferred to the commit.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
import sqlalchemy as sa

from connector.errors import TooManyDeletesError
from connector.resources.lists import EMBEDDED, Record
from connector.resources.resource import Resource, Table
from connector.warehouse import erasure, statements
from connector.warehouse.batch import Batch
from connector.warehouse.database import cursor_of
from connector.warehouse.encoder import row_keys
from connector.warehouse.statements import Names
from connector.warehouse.transfer import Stages, Transfer, number

DELETES_FUSE_SHARE, DELETES_FUSE_ROWS = 0.05, 20


@dataclass
class Written:
    """What a batch did: rows inserted, updated, unchanged, and copies refused as older."""

    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    refused: tuple[str, ...] = ()


class Loader:
    """Writes batches into one schema.

    ``scrubs_deleted``: of a contact that is deleted at Intercom, only the row stays, emptied.
    """

    def __init__(self, schema: str, *, scrubs_deleted: bool = False) -> None:
        self.names = Names(schema)
        self.scrubs_deleted = scrubs_deleted
        self._stages = Stages()

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
        transfer = Transfer(self.names, self._stages, cursor_of(conn), batch)
        found, refused = transfer.stage(by_id, lag).survey(by_id, lag, run_id)
        transfer.merge(found, run_id)
        inserted, updated = (number(found, table, fate) for fate in ("new", "changed"))
        unchanged = root.rows - len(refused) - inserted - updated
        return Written(inserted, updated, unchanged, tuple(refused))

    def compare(self, conn: sa.Connection, batch: Batch) -> dict[str, list[str]]:
        """For each record the columns in which its stored row differs, [] where none does."""
        if not batch.staged[batch.table.name].rows:
            return {}
        transfer = Transfer(self.names, self._stages, cursor_of(conn), batch)
        return transfer.stage(by_id=True, lag=timedelta(0)).differences()

    def sample(self, conn: sa.Connection, resource: Resource, size: int) -> list[str]:
        """Ids of so many living rows of the resource, chosen by chance."""
        cursor = cursor_of(conn)
        values = [value for _, value in resource.owns]
        cursor.execute(statements.sample(self.names, resource), [*values, size])
        return [key for (key,) in cursor.fetchall()]

    def known(
        self, conn: sa.Connection, table: Table, ids: Sequence[str]
    ) -> dict[str, tuple[datetime | None, datetime | None]]:
        """(updated_at, time of the request) of the living rows among these ids."""
        cursor = cursor_of(conn)
        cursor.execute(statements.known(self.names, table), [list(ids)])
        return {key: (updated_at, read_at) for key, updated_at, read_at in cursor.fetchall()}

    def alive(self, conn: sa.Connection, resource: Resource) -> int:
        """How many living rows the resource has in its table."""
        cursor = cursor_of(conn)
        cursor.execute(statements.alive(self.names, resource), [v for _, v in resource.owns])
        return int((cursor.fetchone() or (0,))[0])

    def cut(self, conn: sa.Connection, resource: Resource) -> int:
        """How many lists of living rows Intercom embeds only a part of: a request for each."""
        cursor, values = cursor_of(conn), [value for _, value in resource.owns]
        number = 0
        for link in resource.table.links:
            if link.complete:
                query = statements.cut(self.names, resource, link)
                cursor.execute(query, [*values, EMBEDDED])
                number += int((cursor.fetchone() or (0,))[0])
        return number

    def present(self, conn: sa.Connection, table: Table, keys: Sequence[str]) -> set[str]:
        """Which of these keys the table has rows for."""
        cursor = cursor_of(conn)
        cursor.execute(statements.present(self.names, table), [list(keys)])
        return {key for (key,) in cursor.fetchall()}

    def oldest_read(self, conn: sa.Connection, table: Table) -> datetime | None:
        """When the oldest copy that is stored was requested; None if there is none."""
        cursor = cursor_of(conn)
        cursor.execute(f"SELECT min(_read_at) FROM {self.names(table.name)}", ())
        return (cursor.fetchone() or (None,))[0]

    def unfilled(self, conn: sa.Connection, table: Table, tries: int, most: int) -> list[str]:
        """Placeholders that were asked for by id fewer than ``tries`` times, at most ``most``."""
        cursor = cursor_of(conn)
        cursor.execute(statements.unfilled(self.names, table), [table.name, tries, most])
        return [key for (key,) in cursor.fetchall()]

    def note_tried(
        self, conn: sa.Connection, table: Table, ids: Collection[str], tries: int = 1
    ) -> None:
        """Count one more try, or several, for placeholders that could not be filled."""
        cursor_of(conn).execute(statements.note_tried(self.names), [table.name, tries, list(ids)])

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
        cursor, keys = cursor_of(conn), row_keys(table, present)
        gone = self._count_absent(cursor, table, began_at, keys, allow)
        if gone:
            cursor.execute(
                statements.mark_absent(self.names, table),
                [began_at, run_id, began_at, *keys],
            )
        return gone

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
        if not allow:
            check_plausible(table, gone, alive)
        return int(gone)

    def mark_deleted(
        self,
        conn: sa.Connection,
        table: Table,
        times: Mapping[str, datetime],
        run_id: int,
        *,
        exact: bool = False,
        lag: timedelta = timedelta(0),
        merged: Collection[str] = (),
    ) -> list[str]:
        """Mark deleted what Intercom says is gone, and since when; the ids that lived until now.

        ``exact``: the times are Intercom's own, not those at which it was found out; they correct
        others, and give way to a copy that was read more than ``lag`` after them. A placeholder
        stays one: it was never seen alive. ``merged`` are those of the ids that live on in another
        contact: if deleted contacts are emptied, only their own row is.
        """
        cursor = cursor_of(conn)
        values = {"run_id": run_id, "exact": exact, "lag": lag}
        values |= {"ids": list(times), "times": list(times.values())}
        cursor.execute(statements.mark_deleted(self.names, table), values)
        marked = [key for key, lived in cursor.fetchall() if lived]
        if self.scrubs_deleted and table.holds_persons:
            for at in sorted(set(times.values())):
                gone = [key for key in times if times[key] == at and key not in merged]
                erasure.forget(conn, self.names, gone, erasure.DELETED, at, run_id)
            erasure.forget(conn, self.names, merged, erasure.MERGED, None, run_id)
        return marked

    def bury(
        self, conn: sa.Connection, telling: Table, keys: Sequence[str], at: datetime, run_id: int
    ) -> list[str]:
        """Mark deleted what these rows of a telling table say is gone; the ids that lived.

        ``at`` is the time for those of which it is not told.
        """
        cursor = cursor_of(conn)
        values = {"at": at, "run_id": run_id, "ids": list(keys)}
        cursor.execute(statements.bury(self.names, telling), values)
        marked = [key for key, lived in cursor.fetchall() if lived]
        if self.scrubs_deleted:
            erasure.forget(conn, self.names, marked, erasure.MERGED, at, run_id)
        return marked


def check_plausible(table: Table, gone: int, alive: int) -> None:
    """TooManyDeletesError if more than 5 % of a table, and more than 20 rows, would go at once."""
    if gone > DELETES_FUSE_ROWS and gone > DELETES_FUSE_SHARE * alive:
        raise TooManyDeletesError(
            f"{gone} of {alive} rows of {table.name} would be marked deleted because Intercom's"
            " list omits them; if that is right, run again with --allow-deletes"
        )
