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
from connector.resources.resource import Link, Resource, Table
from connector.warehouse import merging, statements
from connector.warehouse import survey as surveying
from connector.warehouse.batch import Batch
from connector.warehouse.content import Family
from connector.warehouse.encoder import row_keys
from connector.warehouse.statements import Names
from connector.warehouse.survey import Found, Survey

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
        found, refused = self._survey(cursor, batch, by_id, lag)
        if found:
            self._placeholders(cursor, batch, run_id)
            self._merge(cursor, table, batch, found, run_id)
        inserted, updated = (
            found[table.name, fate].number if (table.name, fate) in found else 0
            for fate in ("new", "changed")
        )
        unchanged = root.rows - len(refused) - inserted - updated
        return Written(inserted, updated, unchanged, tuple(refused))

    def _stage(self, cursor: psycopg.Cursor[Any], batch: Batch) -> None:
        cursor.execute(statements.create_stages(batch.table))
        for name, staged in batch.staged.items():
            if staged.rows:
                with cursor.copy(statements.copy(name, staged.columns)) as copy:
                    copy.write(staged.data)

    def _survey(
        self, cursor: psycopg.Cursor[Any], batch: Batch, by_id: bool, lag: timedelta
    ) -> tuple[Survey, list[str]]:
        """What the batch would change, and the keys of copies older than what is stored.

        Those, and all that came with them, are staged no more.
        """
        table = batch.table
        found = self._found(cursor, batch, by_id, lag)
        refused = found.get((table.name, "refused"))
        if not refused:
            return found, []
        cursor.execute(merging.drop_places(table), {"places": refused.places})
        self._drop_staged(cursor, table, refused.ids)
        return self._found(cursor, batch, by_id, lag), refused.ids

    def _found(
        self, cursor: psycopg.Cursor[Any], batch: Batch, by_id: bool, lag: timedelta
    ) -> Survey:
        query = surveying.survey(self.names, batch.table, surveying.outline(batch))
        cursor.execute(query, {"by_id": by_id, "lag": lag})
        return {(name, fate): Found(*rest) for name, fate, *rest in cursor.fetchall()}

    def _drop_staged(
        self, cursor: psycopg.Cursor[Any], table: Table, owners: Sequence[str]
    ) -> None:
        for link in table.links:
            cursor.execute(merging.drop_staged(link.table, link.owner), [list(owners)])
        for child in table.children:
            cursor.execute(
                merging.drop_staged(child.table.name, child.parent, child.table),
                [list(owners)],
            )
            if not child.table.positioned:
                gone = [key for (key,) in cursor.fetchall()]
                self._drop_staged(cursor, child.table, gone)

    def _placeholders(self, cursor: psycopg.Cursor[Any], batch: Batch, run_id: int) -> None:
        """Give everything that is referred to, and not there yet, a row to refer to."""
        staged = frozenset(name for name, part in batch.staged.items() if part.rows)
        query = merging.placeholders(self.names, batch.table, staged)
        if query:
            cursor.execute(query, {"run_id": run_id})

    def _merge(
        self,
        cursor: psycopg.Cursor[Any],
        table: Table,
        batch: Batch,
        found: Survey,
        run_id: int,
        parent: Family | None = None,
    ) -> None:
        """Links and children first, then the rows, some of whose columns count them."""
        for link in table.links:
            self._merge_links(cursor, table, link, batch, found)
        for child in table.children:
            self._merge(cursor, child.table, batch, found, run_id, (table, child))
            if omitted := found.get((child.table.name, "omitted")):
                query = merging.remove_children(self.names, table, child)
                cursor.execute(query, {"owners": omitted.ids, "run_id": run_id})
        staged, names = batch.staged[table.name], self.names
        absence = (staged.absent, staged.partial)
        if new := found.get((table.name, "new")):
            every = new.number == staged.rows
            query = merging.insert_rows(names, table, absence, parent, every=every)
            cursor.execute(query, {"places": new.places, "run_id": run_id})
        if changed := found.get((table.name, "changed")):
            query = merging.replace_rows(names, table, absence, parent)
            cursor.execute(query, {"places": changed.places, "run_id": run_id})

    def _merge_links(
        self,
        cursor: psycopg.Cursor[Any],
        owner: Table,
        link: Link,
        batch: Batch,
        found: Survey,
    ) -> None:
        if omitted := found.get((link.table, "omitted")):
            cursor.execute(merging.remove_links(self.names, owner, link), [omitted.ids])
        new, changed = found.get((owner.name, "new")), found.get((link.table, "changed"))
        if batch.staged[link.table].rows and (new or changed):
            every = new is not None and new.number == batch.staged[owner.name].rows
            values = {
                "owners": new.ids if new else [],
                "places": changed.places if changed else "{}",
            }
            cursor.execute(merging.add_links(self.names, link, every=every), values)

    def compare(self, conn: sa.Connection, batch: Batch) -> dict[str, list[str]]:
        """For each record the columns in which its stored row differs, [] where none does."""
        if not batch.staged[batch.table.name].rows:
            return {}
        cursor = _cursor(conn)
        self._stage(cursor, batch)
        query = surveying.differences(self.names, batch.table, surveying.outline(batch))
        cursor.execute(query, {"by_id": True, "lag": timedelta(0)})
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

    def present(self, conn: sa.Connection, table: Table, keys: Sequence[str]) -> set[str]:
        """Which of these keys the table has rows for."""
        cursor = _cursor(conn)
        cursor.execute(statements.present(self.names, table), [list(keys)])
        return {key for (key,) in cursor.fetchall()}

    def oldest_read(self, conn: sa.Connection, table: Table) -> datetime | None:
        """When the oldest copy that is stored was requested; None if there is none."""
        cursor = _cursor(conn)
        cursor.execute(f"SELECT min(_read_at) FROM {self.names(table.name)}")
        return (cursor.fetchone() or (None,))[0]

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
    ) -> list[str]:
        """Mark deleted what Intercom says is gone, and since when; the ids that were marked.

        ``exact``: the times are Intercom's own, not those at which it was found out; they correct
        others, and give way to a copy that was read more than ``lag`` after them. A placeholder
        stays one: it was never seen alive.
        """
        cursor = _cursor(conn)
        values = {"run_id": run_id, "exact": exact, "lag": lag}
        values |= {"ids": list(times), "times": list(times.values())}
        cursor.execute(statements.mark_deleted(self.names, table), values)
        return [key for (key,) in cursor.fetchall()]

    def bury(
        self, conn: sa.Connection, telling: Table, keys: Sequence[str], at: datetime, run_id: int
    ) -> list[str]:
        """Mark deleted what these rows of a telling table say is gone; the ids that were marked.

        ``at`` is the time for those of which it is not told.
        """
        cursor = _cursor(conn)
        values = {"at": at, "run_id": run_id, "ids": list(keys)}
        cursor.execute(statements.bury(self.names, telling), values)
        return [key for (key,) in cursor.fetchall()]


def check_plausible(table: Table, gone: int, alive: int) -> None:
    """TooManyDeletesError if more than 5 % of a table, and more than 20 rows, would go at once."""
    if gone > DELETES_FUSE_ROWS and gone > DELETES_FUSE_SHARE * alive:
        raise TooManyDeletesError(
            f"{gone} of {alive} rows of {table.name} would be marked deleted because Intercom's"
            " list omits them; if that is right, run again with --allow-deletes"
        )


def _cursor(conn: sa.Connection) -> psycopg.Cursor[Any]:
    """The driver's cursor: COPY is no part of SQLAlchemy's interface."""
    raw: psycopg.Connection[Any] = conn.connection.driver_connection  # type: ignore[assignment]
    return raw.cursor()
