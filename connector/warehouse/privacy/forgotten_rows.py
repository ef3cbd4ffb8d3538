"""What was about a forgotten contact, row by row: a merge at Intercom does not bring it back.

Once a contact was merged into another, Intercom shows its notes, conversations, tickets and events
as the survivor's, under the same ids. Those ids stand in ``sync_forgotten_rows`` (events have none
and are found by what was stored of them), so what came from the forgotten stays empty, and what is
the survivor's own does not. What was never stored under the forgotten contact cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import sqlalchemy as sa

from connector import resources
from connector.resources.resource import Table
from connector.warehouse.privacy.personal import Personal, personal
from connector.warehouse.sql.execute import execute, scalars
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.sql.staging import stage

MERGES = (resources.MERGES.table.name, resources.MERGES.subject, resources.MERGES.owner)
FORGOTTEN, DELETED, MERGED = "forgotten", "deleted", "merged"  # why a contact is emptied


def note_stored(conn: sa.Connection, names: Names, ids: Sequence[str]) -> None:
    """Note the stored rows that are about these contacts, once and for all."""
    for part in _holders():
        table, owner, target = _place(part)
        execute(
            conn,
            f"{_insert(names)} SELECT {literal(part.holder.name)}, x.{quote(owner)},"
            f" {literal(part.of)}, x.{quote(target)} FROM {names(table)} x"
            f" WHERE x.{quote(target)} = ANY(%s) ON CONFLICT DO NOTHING",
            [list(ids)],
        )
    execute(
        conn,
        f"UPDATE {names('sync_forgotten')} SET rows_noted_at = now() WHERE contact_id = ANY(%s)",
        [list(ids)],
    )


def note_older(conn: sa.Connection, names: Names) -> None:
    """Note the rows of contacts that an older version forgot."""
    ids = scalars(
        conn,
        f"SELECT contact_id FROM {names('sync_forgotten')}"
        f" WHERE rows_noted_at IS NULL AND reason <> {literal(MERGED)}",
    )
    if ids:
        note_stored(conn, names, ids)


def note_staged(
    conn: sa.Connection, names: Names, table: Table, filled: Collection[str]
) -> dict[tuple[str, str], list[str]]:
    """Note the staged rows of the table that are about forgotten contacts.

    The ids of those that were not noted yet, by their table and what of it names the contact.
    """
    family = {part.name for part in table.family()}
    noted: dict[tuple[str, str], list[str]] = {}
    for part in _holders():
        place, owner, target = _place(part)
        if part.holder.name in family and place in filled:
            noted[part.holder.name, part.of] = scalars(
                conn,
                f"{_insert(names)} SELECT DISTINCT {literal(part.holder.name)}, x.{quote(owner)},"
                f" {literal(part.of)}, f.contact_id FROM {stage(place)} x"
                f" JOIN {names('sync_forgotten')} f ON f.contact_id = x.{quote(target)}"
                f" AND f.reason <> {literal(MERGED)} ON CONFLICT DO NOTHING RETURNING id",
            )
    return {where: ids for where, ids in noted.items() if ids}


def drop(conn: sa.Connection, names: Names, ids: Sequence[str]) -> None:
    """These contacts are forgotten no more."""
    statement = f"DELETE FROM {names('sync_forgotten_rows')} WHERE contact_id = ANY(%s)"
    execute(conn, statement, [list(ids)])


def staged_inherits(names: Names, part: Personal) -> str:
    """The condition that a staged row was about a forgotten contact when it was last seen."""
    if part.is_person:
        return "false"
    if part.table.once_for:
        return _inherits_key(names, part.table)
    return (
        f"EXISTS (SELECT FROM {names('sync_forgotten_rows')} r"
        f" WHERE r.table_name = {literal(part.holder.name)} AND r.id = s.{quote(part.key)}"
        f" AND r.about = {literal(part.of)})"
    )


def _inherits_key(names: Names, table: Table) -> str:
    """The same where the contact is a part of the key: a forgotten source has a row like it."""
    merges, source, target = MERGES
    rest = [quote(name) for name in table.key if name != table.once_for]
    mine = ", ".join(f"s.{name}" for name in (quote(table.once_for), *rest))
    theirs = ", ".join(f"x.{name}" for name in rest)
    return f"""({mine}) IN (
        WITH RECURSIVE heirs (id, contact_id) AS (
            SELECT m.{target}, f.contact_id FROM {names(merges)} m
            JOIN {names("sync_forgotten")} f
            ON f.contact_id = m.{source} AND f.reason <> {literal(MERGED)}
            UNION
            SELECT m.{target}, h.contact_id FROM heirs h
            JOIN {names(merges)} m ON m.{source} = h.id)
        SELECT h.id, {theirs} FROM heirs h
        JOIN {names(table.name)} x ON x.{quote(table.once_for)} = h.contact_id)"""


def _holders() -> Iterator[Personal]:
    """One for each place that names a contact, but for contacts themselves and for events."""
    found: dict[tuple[str, str], Personal] = {}
    for part in personal():
        if not part.is_person and not part.table.once_for:
            found.setdefault((part.holder.name, part.of), part)
    yield from found.values()


def _place(part: Personal) -> tuple[str, str, str]:
    """Table, column of the row's id, and column of the contact's."""
    if part.link:
        return part.link.table, part.link.owner, part.link.target
    return part.holder.name, "id", part.of


def _insert(names: Names) -> str:
    return f"INSERT INTO {names('sync_forgotten_rows')} (table_name, id, about, contact_id)"
