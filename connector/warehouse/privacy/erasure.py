"""Forgets contacts: empties what is stored about them, and what is merged later; knows no HTTP.

What is personal, and about which contact, is declared with the columns. Rows, ids, links and
times stay. The ids stand in ``sync_forgotten``; staged rows are emptied before they are merged,
so what a later read brings never gets into a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.resources.resource import Table
from connector.warehouse.changes import Changes
from connector.warehouse.privacy import forgotten_rows, past, wishes
from connector.warehouse.privacy.emptying import empty
from connector.warehouse.privacy.forgotten_rows import DELETED, FORGOTTEN, MERGED, MERGES
from connector.warehouse.privacy.personal import Personal, emptied, personal, stored_about
from connector.warehouse.privacy.revival import look_again
from connector.warehouse.sql.execute import execute, fetch, scalar, scalars
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.sql.rows import key_text
from connector.warehouse.sql.staging import stage

__all__ = ("DELETED", "FORGOTTEN", "MERGED", "forget", "personal")

STRENGTH = (MERGED, DELETED, FORGOTTEN)  # a stronger reason takes the place of a weaker one

# -- what is forgotten -----------------------------------------------------------------------


def forget(
    conn: sa.Connection,
    names: Names,
    ids: Iterable[str],
    reason: str,
    at: datetime | None,
    run_id: int,
) -> Changes:
    """Empty what is stored about the contacts and keep it so; the rows that were emptied.

    Whoever was merged into one of them is forgotten too. MERGED empties only the contact's own
    row: its messages live on with the survivor. ``at`` is Intercom's time, None for now.
    """
    wanted, changes = list(ids), Changes(run_id)
    if not wanted:
        return changes
    keys = wanted if reason == MERGED else _with_merged(conn, names, wanted)
    execute(
        conn,
        f"""
        INSERT INTO {names("sync_forgotten")} AS t (contact_id, forgotten_at, reason)
        SELECT DISTINCT id, coalesce(%s, now()), %s FROM unnest(%s::text[]) id ORDER BY id
        ON CONFLICT (contact_id) DO UPDATE SET reason = excluded.reason
        WHERE array_position(%s::text[], t.reason)
              < array_position(%s::text[], excluded.reason)""",
        [at, reason, keys, list(STRENGTH), list(STRENGTH)],
    )
    if reason != MERGED:
        forgotten_rows.note_stored(conn, names, keys)
        wishes.forget(conn, names, keys)
    for part in personal():
        if part.is_person or reason != MERGED:
            changes.add_erased(part.table.name, _empty_stored(conn, names, part, keys, run_id))
    versions = past.empty_about(conn, names, keys, persons_only=reason == MERGED)
    for name, rows in versions.items():
        changes.add_erased(name, rows)
    return changes


def remember(conn: sa.Connection, names: Names, ids: Sequence[str]) -> int:
    """Take contacts, and whoever was merged into them, off the list; how many stood on it.

    What was emptied is read again by the next sync.
    """
    keys = _with_merged(conn, names, ids)
    off = f"DELETE FROM {names('sync_forgotten')} WHERE contact_id = ANY(%s)"
    number = execute(conn, off, [keys]).rowcount
    forgotten_rows.drop(conn, names, keys)
    look_again(conn, names, _with_survivors(conn, names, keys), themselves=True)
    return number


def forgotten(conn: sa.Connection, names: Names) -> list[tuple[str, datetime, str]]:
    """Contact, since when and why, the oldest first."""
    query = f"SELECT contact_id, forgotten_at, reason FROM {names('sync_forgotten')} ORDER BY 2, 1"
    return [(key, at, reason) for key, at, reason in fetch(conn, query)]


def forget_merged(conn: sa.Connection, names: Names, run_id: int) -> Changes:
    """Forget who was merged into a forgotten contact since; the rows that were emptied."""
    name, source, target = MERGES
    changes = Changes(run_id)
    forgotten_rows.note_older(conn, names)
    for reason in (FORGOTTEN, DELETED):
        targets = scalars(
            conn,
            f"""
            SELECT DISTINCT f.contact_id FROM {names("sync_forgotten")} f
            JOIN {names(name)} m ON m.{target} = f.contact_id AND f.reason = %s
            LEFT JOIN {names("sync_forgotten")} g ON g.contact_id = m.{source}
            WHERE (array_position(%s::text[], g.reason)
                   >= array_position(%s::text[], f.reason)) IS NOT TRUE""",
            [reason, list(STRENGTH), list(STRENGTH)],
        )
        changes.add(forget(conn, names, targets, reason, None, run_id))
    return changes


def _with_merged(conn: sa.Connection, names: Names, ids: Sequence[str]) -> list[str]:
    """The contacts, and whoever was merged into them, over any number of merges."""
    _, source, target = MERGES
    return _along_merges(conn, names, ids, target, source)


def _with_survivors(conn: sa.Connection, names: Names, ids: Sequence[str]) -> list[str]:
    """The contacts, and whomever they were merged into, over any number of merges."""
    _, source, target = MERGES
    return _along_merges(conn, names, ids, source, target)


def _along_merges(
    conn: sa.Connection, names: Names, ids: Sequence[str], here: str, there: str
) -> list[str]:
    return scalars(
        conn,
        f"""
        WITH RECURSIVE found (id) AS (
            SELECT unnest(%s::text[])
            UNION SELECT m.{there} FROM {names(MERGES[0])} m JOIN found ON m.{here} = found.id)
        SELECT id FROM found WHERE id IS NOT NULL""",
        [list(ids)],
    )


# -- what is stored --------------------------------------------------------------------------


def _empty_stored(
    conn: sa.Connection, names: Names, part: Personal, ids: list[str], run_id: int
) -> list[str]:
    """Empty the rows about the contacts; their keys, or of parts of a list their owners'."""
    if part.parent and part.table.positioned:
        key = f"o.{quote(part.parent[1].parent)}"
    else:
        key = key_text(part.table, "o")
    about = stored_about(names, part)
    return empty(conn, names, part.table.name, part, about, ids, key=key, run_id=run_id)


# -- what is staged --------------------------------------------------------------------------


def empty_staged(
    conn: sa.Connection,
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
    if not scalar(conn, f"SELECT EXISTS (SELECT FROM {names('sync_forgotten')})"):
        return
    if table.holds_persons:
        revived = scalars(conn, _revive(names, table), {"by_id": by_id, "lag": lag})
        if revived:
            revived += _only_merged(conn, names, revived)
            forgotten_rows.drop(conn, names, revived)
            look_again(conn, names, revived, themselves=False)
    filled = set(staged)
    past.empty_rows(conn, names, forgotten_rows.note_staged(conn, names, table, filled))
    for part in personal():
        if part.table.name in filled and part.table in tuple(table.family()):
            execute(
                conn,
                f"UPDATE {stage(part.table.name)} s SET {emptied('s', part)}"
                f" WHERE {_staged_about(names, part)} OR"
                f" {forgotten_rows.staged_inherits(names, part)}",
            )


def _revive(names: Names, table: Table) -> str:
    return f"""
        DELETE FROM {names("sync_forgotten")} f USING {stage(table.name)} s
        WHERE f.contact_id = s.id AND f.reason <> {literal(FORGOTTEN)}
          AND (%(by_id)s OR s._read_at > f.forgotten_at + %(lag)s)
        RETURNING f.contact_id"""


def _only_merged(conn: sa.Connection, names: Names, ids: Sequence[str]) -> list[str]:
    """Who was emptied with these, because it was merged into them: it lives on in them again."""
    return scalars(
        conn,
        f"UPDATE {names('sync_forgotten')} SET reason = {literal(MERGED)}"
        f" WHERE reason = {literal(DELETED)} AND contact_id = ANY(%s) RETURNING contact_id",
        [_with_merged(conn, names, ids)],
    )


def _staged_about(names: Names, part: Personal) -> str:
    """The condition that a staged row is about a forgotten contact."""
    merged = "" if part.is_person else f" AND f.reason <> {literal(MERGED)}"
    if part.link:
        owner, target = quote(part.link.owner), quote(part.link.target)
        return " OR ".join(
            f"EXISTS (SELECT FROM {source} l JOIN {names('sync_forgotten')} f"
            f" ON f.contact_id = l.{target}{merged} WHERE l.{owner} = s.{quote(part.key)})"
            for source in (stage(part.link.table), names(part.link.table))
        )
    if part.holder is part.table:
        return (
            f"EXISTS (SELECT FROM {names('sync_forgotten')} f"
            f" WHERE f.contact_id = s.{quote(part.of)}{merged})"
        )
    return (
        f"EXISTS (SELECT FROM {stage(part.holder.name)} p JOIN {names('sync_forgotten')} f"
        f" ON f.contact_id = p.{quote(part.of)}{merged} WHERE p.id = s.{quote(part.key)})"
    )
