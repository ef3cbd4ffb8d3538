"""Forgets contacts: empties what is stored about them, and what is merged later; knows no HTTP.

What is personal, and about which contact, is declared with the columns. Rows, ids, links and
times stay. The ids stand in ``sync_forgotten``; staged rows are emptied before they are merged,
so what a later read brings never gets into a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import psycopg
import sqlalchemy as sa

from connector.resources import TABLES
from connector.resources.resource import Child, Link, Table
from connector.warehouse.database import cursor_of
from connector.warehouse.statements import Names, literal, quote, stage

MERGES = ("contact_merges", "source_contact_id", "target_contact_id")
FORGOTTEN, DELETED, MERGED = "forgotten", "deleted", "merged"
STRENGTH = (MERGED, DELETED, FORGOTTEN)  # a stronger reason takes the place of a weaker one

Family = tuple[Table, Child]


@dataclass(frozen=True)
class Personal:
    """Columns of one table that are about the same contact, and where that contact's id stands.

    ``of`` is a column or a link table of ``holder``, which is the table itself or its parent.
    """

    table: Table
    parent: Family | None
    columns: tuple[str, ...]
    keys: tuple[str, ...]  # of extra, under which such values could stand; () means all of it
    of: str
    holder: Table
    link: Link | None = None

    @property
    def is_person(self) -> bool:
        return self.of == "id"


# -- what is forgotten -----------------------------------------------------------------------


def forget(
    conn: sa.Connection,
    names: Names,
    ids: Iterable[str],
    reason: str,
    at: datetime | None,
    run_id: int,
) -> int:
    """Empty what is stored about the contacts and keep it so; the number of rows emptied.

    Whoever was merged into one of them is forgotten too. MERGED empties only the contact's own
    row: its messages live on with the survivor. ``at`` is Intercom's time, None for now.
    """
    wanted = list(ids)
    if not wanted:
        return 0
    cursor = cursor_of(conn)
    keys = wanted if reason == MERGED else _with_merged(cursor, names, wanted)
    cursor.execute(
        f"""
        INSERT INTO {names("sync_forgotten")} AS t (contact_id, forgotten_at, reason)
        SELECT DISTINCT id, coalesce(%s, now()), %s FROM unnest(%s::text[]) id ORDER BY id
        ON CONFLICT (contact_id) DO UPDATE SET reason = excluded.reason
        WHERE array_position(%s::text[], t.reason)
              < array_position(%s::text[], excluded.reason)""",
        [at, reason, keys, list(STRENGTH), list(STRENGTH)],
    )
    return sum(
        _empty_stored(cursor, names, part, keys, run_id)
        for part in personal()
        if part.is_person or reason != MERGED
    )


def remember(conn: sa.Connection, names: Names, ids: Sequence[str]) -> int:
    """Take contacts, and whoever was merged into them, off the list; how many stood on it.

    What was emptied comes back with the next full pass.
    """
    cursor = cursor_of(conn)
    keys = _with_merged(cursor, names, ids)
    cursor.execute(f"DELETE FROM {names('sync_forgotten')} WHERE contact_id = ANY(%s)", [keys])
    number = cursor.rowcount
    _look_again(cursor, names, keys)
    return number


def _look_again(cursor: psycopg.Cursor[Any], names: Names, ids: Sequence[str]) -> None:
    """Take nothing about these contacts as known, so that the next full pass brings it back."""
    digests = names("sync_digests")
    for table in TABLES:
        if table.holds_persons:
            cursor.execute(
                f"DELETE FROM {digests} WHERE table_name = {literal(table.name)} AND id = ANY(%s)",
                [list(ids)],
            )
        for link in table.links:
            if link.refers_to == persons().name:
                cursor.execute(
                    f"DELETE FROM {digests} d USING {names(link.table)} l"
                    f" WHERE d.table_name = {literal(table.name)} AND d.id = l.{quote(link.owner)}"
                    f" AND l.{quote(link.target)} = ANY(%s)",
                    [list(ids)],
                )


def forgotten(conn: sa.Connection, names: Names) -> list[tuple[str, datetime, str]]:
    """Contact, since when and why, the oldest first."""
    cursor = cursor_of(conn)
    cursor.execute(
        f"SELECT contact_id, forgotten_at, reason FROM {names('sync_forgotten')} ORDER BY 2, 1",
        (),
    )
    return cursor.fetchall()


def follow_merges(conn: sa.Connection, names: Names, run_id: int) -> int:
    """Forget who was merged into a forgotten contact since; the number of rows emptied."""
    name, source, target = MERGES
    cursor, emptied = cursor_of(conn), 0
    for reason in (FORGOTTEN, DELETED):
        cursor.execute(
            f"""
            SELECT DISTINCT f.contact_id FROM {names("sync_forgotten")} f
            JOIN {names(name)} m ON m.{target} = f.contact_id AND f.reason = %s
            LEFT JOIN {names("sync_forgotten")} g ON g.contact_id = m.{source}
            WHERE (array_position(%s::text[], g.reason)
                   >= array_position(%s::text[], f.reason)) IS NOT TRUE""",
            [reason, list(STRENGTH), list(STRENGTH)],
        )
        targets = [key for (key,) in cursor.fetchall()]
        emptied += forget(conn, names, targets, reason, None, run_id)
    return emptied


def _with_merged(cursor: psycopg.Cursor[Any], names: Names, ids: Sequence[str]) -> list[str]:
    """The contacts, and whoever was merged into them, over any number of merges."""
    name, source, target = MERGES
    cursor.execute(
        f"""
        WITH RECURSIVE found (id) AS (
            SELECT unnest(%s::text[])
            UNION SELECT m.{source} FROM {names(name)} m JOIN found ON m.{target} = found.id)
        SELECT id FROM found""",
        [list(ids)],
    )
    return [key for (key,) in cursor.fetchall()]


# -- what is stored --------------------------------------------------------------------------


def _empty_stored(
    cursor: psycopg.Cursor[Any], names: Names, part: Personal, ids: list[str], run_id: int
) -> int:
    """Empty the rows about the contacts; a parent whose child changed has changed too."""
    full = [f"o.{quote(column)} IS NOT NULL" for column in part.columns]
    full.append(f"{_extra('o', part)} IS DISTINCT FROM o.extra")
    up = f" RETURNING o.{quote(part.parent[1].parent)}" if part.parent else ""
    cursor.execute(
        f"UPDATE {names(part.table.name)} o SET {_emptied('o', part)},"
        " _changed_at = now(), _run_id = %(run_id)s"
        f" WHERE {_stored_about(names, part)} AND ({' OR '.join(full)}){up}",
        {"ids": ids, "run_id": run_id},
    )
    emptied = cursor.rowcount
    if part.parent and emptied:
        owners = list({owner for (owner,) in cursor.fetchall()})
        cursor.execute(
            f"UPDATE {names(part.parent[0].name)} SET _changed_at = now(), _run_id = %s"
            " WHERE id = ANY(%s)",
            [run_id, owners],
        )
    return emptied


def _stored_about(names: Names, part: Personal) -> str:
    """The condition that a stored row is about one of the ids."""
    key = "id" if part.holder is part.table else part.parent[1].parent if part.parent else ""
    if part.link:
        owner, target = quote(part.link.owner), quote(part.link.target)
        return (
            f"o.{quote(key)} IN (SELECT {owner} FROM {names(part.link.table)}"
            f" WHERE {target} = ANY(%(ids)s))"
        )
    if part.holder is part.table:
        return f"o.{quote(part.of)} = ANY(%(ids)s)"
    return (
        f"o.{quote(key)} IN (SELECT id FROM {names(part.holder.name)}"
        f" WHERE {quote(part.of)} = ANY(%(ids)s))"
    )


# -- what is staged --------------------------------------------------------------------------


def empty_staged(
    cursor: psycopg.Cursor[Any],
    names: Names,
    table: Table,
    staged: Iterable[str],
    *,
    by_id: bool,
    lag: timedelta,
) -> None:
    """Empty what the stages hold about forgotten contacts; ``staged`` are the tables with rows.

    A contact that was deleted, and that this batch shows to live, is forgotten no more.
    """
    cursor.execute(f"SELECT EXISTS (SELECT FROM {names('sync_forgotten')})", ())
    if not (cursor.fetchone() or (False,))[0]:
        return
    if table.holds_persons:
        cursor.execute(_revive(names, table), {"by_id": by_id, "lag": lag})
        revived = [key for (key,) in cursor.fetchall()]
        if revived:
            _look_again(cursor, names, revived)
    filled = set(staged)
    for part in personal():
        if part.table.name in filled and part.table in tuple(table.family()):
            cursor.execute(
                f"UPDATE {stage(part.table.name)} s SET {_emptied('s', part)}"
                f" WHERE {_staged_about(names, part)}",
                (),
            )


def _revive(names: Names, table: Table) -> str:
    return f"""
        DELETE FROM {names("sync_forgotten")} f USING {stage(table.name)} s
        WHERE f.contact_id = s.id AND f.reason <> {literal(FORGOTTEN)}
          AND (%(by_id)s OR s._read_at > f.forgotten_at + %(lag)s)
        RETURNING f.contact_id"""


def _staged_about(names: Names, part: Personal) -> str:
    """The condition that a staged row is about a forgotten contact."""
    merged = "" if part.is_person else f" AND f.reason <> {literal(MERGED)}"
    of_table = part.holder is part.table
    key = "id" if of_table else part.parent[1].parent if part.parent else ""
    if part.link:
        owner, target = quote(part.link.owner), quote(part.link.target)
        return " OR ".join(
            f"EXISTS (SELECT FROM {source} l JOIN {names('sync_forgotten')} f"
            f" ON f.contact_id = l.{target}{merged} WHERE l.{owner} = s.{quote(key)})"
            for source in (stage(part.link.table), names(part.link.table))
        )
    if of_table:
        return (
            f"EXISTS (SELECT FROM {names('sync_forgotten')} f"
            f" WHERE f.contact_id = s.{quote(part.of)}{merged})"
        )
    return (
        f"EXISTS (SELECT FROM {stage(part.holder.name)} p JOIN {names('sync_forgotten')} f"
        f" ON f.contact_id = p.{quote(part.of)}{merged} WHERE p.id = s.{quote(key)})"
    )


def _emptied(alias: str, part: Personal) -> str:
    sets = [f"{quote(column)} = NULL" for column in part.columns]
    return ", ".join([*sets, f"extra = {_extra(alias, part)}"])


def _extra(alias: str, part: Personal) -> str:
    """What stays of extra: nothing of what the contact is or wrote, else only other keys."""
    if not part.keys:
        return "NULL::jsonb"
    keys = ", ".join(map(literal, part.keys))
    return f"nullif({alias}.extra - ARRAY[{keys}]::text[], '{{}}')"


# -- what is declared ------------------------------------------------------------------------


@cache
def personal() -> tuple[Personal, ...]:
    """Everything that is about contacts, parents before children."""
    return tuple(part for table in TABLES for part in _personal(table, None))


def persons() -> Table:
    """The table whose rows are the contacts."""
    return next(part.table for part in personal() if part.is_person)


def _personal(table: Table, parent: Family | None) -> Iterator[Personal]:
    for of in dict.fromkeys(column.personal for column in table.columns if column.personal):
        columns = [column for column in table.columns if column.personal == of]
        holder, link = _held(table, parent, of)
        keys: set[str] = set()
        if link:
            # What did not fit as a part, or as a reference to the contact, stands there too.
            keys = {column.keys[0] for column in columns}
            keys |= {path[0] for child in table.children for path in child.paths}
            keys |= {path[0] for path in link.paths} if holder is table else set()
        names = tuple(column.name for column in columns)
        yield Personal(table, parent, names, tuple(sorted(keys)), of, holder, link)
    for child in table.children:
        yield from _personal(child.table, (table, child))


def _held(table: Table, parent: Family | None, of: str) -> tuple[Table, Link | None]:
    """Which table has that column or link table: this one or its parent."""
    for holder in (table, *(parent[:1] if parent else ())):
        for link in holder.links:
            if link.table == of:
                return holder, link
        own = {column.name for column in holder.columns}
        if of in own or (holder is table and parent and parent[1].parent == of):
            return holder, None
    raise LookupError(f"{table.name}: personal columns of {of!r}, which is no column or link")
