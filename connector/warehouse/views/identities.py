"""The SQL that follows merges: which contact an id stands for now; executes nothing."""

from __future__ import annotations

from connector.resources import MERGES, PERSONS
from connector.resources.resource import Table
from connector.warehouse.sql.names import Names, quote


def ends(names: Names) -> str:
    """Each contact that was merged away, with the last of the chain that it was merged into."""
    merges, source, target = names(MERGES.table.name), MERGES.subject, MERGES.owner
    return f"""(
        WITH RECURSIVE chain (contact_id, current_contact_id, passed) AS (
            SELECT {source}, {target}, ARRAY[{source}]
            FROM {merges} WHERE {target} IS NOT NULL
            UNION ALL
            SELECT c.contact_id, m.{target}, c.passed || m.{source}
            FROM chain c JOIN {merges} m ON m.{source} = c.current_contact_id
            WHERE m.{target} IS NOT NULL AND NOT m.{target} = ANY (c.passed)
        )
        SELECT DISTINCT ON (contact_id) contact_id, current_contact_id
        FROM chain ORDER BY contact_id, cardinality(passed) DESC)"""


def current(names: Names, contact: str) -> str:
    """The id that one contact has now: quick where few of many contacts are looked up."""
    merges, source, target = names(MERGES.table.name), MERGES.subject, MERGES.owner
    return f"""CASE WHEN NOT EXISTS (SELECT FROM {merges} m WHERE m.{source} = {contact})
        THEN {contact} ELSE coalesce((
            WITH RECURSIVE chain (contact_id, passed) AS (
                SELECT m.{target}, ARRAY[m.{source}] FROM {merges} m
                WHERE m.{source} = {contact} AND m.{target} IS NOT NULL
                UNION ALL
                SELECT m.{target}, c.passed || m.{source}
                FROM chain c JOIN {merges} m ON m.{source} = c.contact_id
                WHERE m.{target} IS NOT NULL AND NOT m.{target} = ANY (c.passed)
            )
            SELECT contact_id FROM chain ORDER BY cardinality(passed) DESC LIMIT 1
        ), {contact}) END"""


def everyone(names: Names) -> str:
    """Every id that contacts have or had, as i (contact_id, current_contact_id)."""
    return f"""(
        SELECT c.id, coalesce(e.current_contact_id, c.id)
        FROM {names(PERSONS.name)} c LEFT JOIN {ends(names)} e ON e.contact_id = c.id
    ) i (contact_id, current_contact_id)"""


def is_first(names: Names, table: Table) -> str:
    """Whether a row, called o, is the one that counts among those of one contact's identities.

    The present identity's own row counts, else that of the first id.
    """
    rows, owner = names(table.name), quote(table.once_for)
    rest = [quote(name) for name in table.key if name != table.once_for]
    beside = " AND ".join(f"y.{name} = r.{name}" for name in rest)
    key = ", ".join(quote(name) for name in table.key)
    same = " AND ".join(f"r.{quote(name)} = o.{quote(name)}" for name in table.key)
    among = ", ".join(f"x.{name}" for name in rest)
    return f"""NOT EXISTS (
        SELECT FROM (
            SELECT {key} FROM (
                SELECT x.*, e.current_contact_id, row_number() OVER (
                    PARTITION BY e.current_contact_id, {among} ORDER BY x.{owner}) AS place
                FROM {ends(names)} e JOIN {rows} x ON x.{owner} = e.contact_id
                WHERE x._deleted_at IS NULL
            ) r
            WHERE place > 1 OR EXISTS (
                SELECT FROM {rows} y WHERE y.{owner} = r.current_contact_id AND {beside}
                AND y._deleted_at IS NULL)
        ) r WHERE {same})"""
