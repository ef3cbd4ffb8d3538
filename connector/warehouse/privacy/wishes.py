"""What the outbox holds: of contacts it is emptied with them, and of what is excluded once it ends.

Knows the outbox as a table, not how wishes are sent. What waits keeps what is excluded: it could
not be written otherwise. A wish to delete a forgotten contact stays, for it holds nothing but the
id, and deleting is what forgetting asks for.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import sqlalchemy as sa

from connector.resources import PERSONS, TABLES
from connector.warehouse.encode.exclusions import NONE, Rule
from connector.warehouse.privacy.cleaning import LIFTED
from connector.warehouse.privacy.excludable import restored
from connector.warehouse.privacy.forgotten_rows import FORGOTTEN as FORGOTTEN_ON_DEMAND
from connector.warehouse.privacy.forgotten_rows import MERGED
from connector.warehouse.sql.execute import execute, scalars
from connector.warehouse.sql.names import Names, literal
from connector.warehouse.state.tables import EXCLUSIONS, OUTBOX, PUSHED

FORGOTTEN = "forgotten"
"""error_code of a wish that ended because its contact is forgotten."""
KEYS = ("external_id", "email")
ENDED = "o.state IN ('done', 'failed')"

# -- contacts that are forgotten ---------------------------------------------------------------


@lru_cache(maxsize=1)
def _kinds() -> str:
    """The kinds whose wishes are about a contact: contacts, and what is kept once for each."""
    names = [PERSONS.name, *(table.name for table in TABLES if table.once_for)]
    return f"({', '.join(map(literal, names))})"


_EMPTIED = (
    "body = NULL, before = NULL, external_id = NULL, email = NULL, error = CASE"
    " WHEN {ends} THEN 'the contact is forgotten'"
    " WHEN o.error IS NOT NULL THEN 'not kept, for the contact is forgotten' END,"
    " state = CASE WHEN {ends} THEN 'failed' ELSE o.state END,"
    f" error_code = CASE WHEN {{ends}} THEN {literal(FORGOTTEN)} ELSE o.error_code END,"
    " done_at = CASE WHEN {ends} THEN clock_timestamp() ELSE o.done_at END"
)


def _emptied(ends: str) -> str:
    return _EMPTIED.replace("{ends}", ends)


def forget(conn: sa.Connection, names: Names, ids: Sequence[str]) -> None:
    """Empty what is wished of the contacts, while their keys still stand in the mirror.

    What had not ended fails, but for deletions; of what was pushed no digest stays.
    """
    outbox, ends = names(OUTBOX.name), f"(NOT {ENDED} AND o.op <> 'delete')"
    execute(
        conn,
        f"WITH known AS (SELECT id, external_id, lower(email) AS email"
        f" FROM {names(PERSONS.name)} WHERE id = ANY(%(ids)s)),"
        f" about AS ({' UNION ALL '.join(_about(outbox))})"
        f" UPDATE {outbox} o SET object_id = about.contact, {_emptied(ends)}"
        " FROM (SELECT wish, min(contact) AS contact FROM about GROUP BY wish) about"
        " WHERE o.id = about.wish",
        {"ids": list(ids)},
    )
    execute(
        conn,
        f"DELETE FROM {names(PUSHED.name)} WHERE kind IN {_kinds()} AND object_id = ANY(%(ids)s)",
        {"ids": list(ids)},
    )


def _about(outbox: str) -> Iterator[str]:
    """Queries of wishes that are about the contacts: by id, and by the keys that are known."""
    wish = f"FROM {outbox} w JOIN known k ON"
    by_key = f"w.kind IN {_kinds()} AND w.object_id IS NULL"
    alone = f"({ENDED.replace('o.', 'w.')} OR nullif(w.external_id, '') IS NULL)"
    yield (
        f"SELECT w.id AS wish, w.object_id AS contact FROM {outbox} w"
        f" WHERE w.kind IN {_kinds()} AND w.object_id = ANY(%(ids)s)"
    )
    yield f"SELECT w.id, k.id {wish} w.external_id = k.external_id WHERE {by_key}"
    yield f"SELECT w.id, k.id {wish} lower(w.email) = k.email WHERE {by_key} AND {alone}"
    nameless = f"{by_key} AND nullif(w.external_id, '') IS NULL AND nullif(w.email, '') IS NULL"
    yield f"SELECT w.id, k.id {wish} w.body ->> 'external_id' = k.external_id WHERE {nameless}"
    yield f"SELECT w.id, k.id {wish} lower(w.body ->> 'email') = k.email WHERE {nameless}"


def empty(conn: sa.Connection, names: Names, ids: Sequence[int]) -> None:
    """End these wishes, of which Intercom said that they are for a forgotten contact."""
    if ids:
        where = "WHERE o.id = ANY(%(ids)s) AND o.op <> 'delete'"
        update = f"UPDATE {names(OUTBOX.name)} o SET {_emptied('true')} {where}"
        execute(conn, update, {"ids": list(ids)})


def end_forgotten(conn: sa.Connection, names: Names) -> int:
    """Fail what waits for contacts that are forgotten, emptied; how many wishes."""
    return execute(
        conn,
        f"UPDATE {names(OUTBOX.name)} o SET {_emptied('true')} FROM {names('sync_forgotten')} f"
        f" WHERE o.state = 'waiting' AND o.kind IN {_kinds()} AND o.op <> 'delete'"
        f" AND f.contact_id = o.object_id AND f.reason <> {literal(MERGED)}",
    ).rowcount


def is_any_forgotten(conn: sa.Connection, names: Names) -> bool:
    """Whether a contact is forgotten that may live on at Intercom, with keys that nobody kept."""
    query = f"SELECT FROM {names('sync_forgotten')} WHERE reason = {literal(FORGOTTEN_ON_DEMAND)}"
    return bool(scalars(conn, f"SELECT EXISTS ({query})")[0])


def are_forgotten(conn: sa.Connection, names: Names, ids: Sequence[str]) -> set[str]:
    """Those of the contacts that are forgotten."""
    query = f"SELECT contact_id FROM {names('sync_forgotten')} WHERE contact_id = ANY(%(ids)s)"
    return set(scalars(conn, f"{query} AND reason <> {literal(MERGED)}", {"ids": list(ids)}))


# -- what is excluded --------------------------------------------------------------------------


def exclude(conn: sa.Connection, names: Names, ids: Sequence[int] | None = None) -> None:
    """Take out of what has ended what the schema keeps out; of these wishes, None: of all."""
    query = sa.select(EXCLUSIONS.c.name).where(EXCLUSIONS.c.manner != LIFTED)
    excluded = tuple(sorted(conn.execute(query).scalars()))
    for rule in _rules(excluded) if excluded and (ids is None or ids) else ():
        for statement in _without(names(OUTBOX.name), rule, "" if ids is None else _THESE):
            execute(conn, statement, {"ids": list(ids or ())})


_THESE = " AND o.id = ANY(%(ids)s)"


@lru_cache(maxsize=8)
def _rules(excluded: tuple[str, ...]) -> tuple[Rule, ...]:
    return restored(dict.fromkeys(excluded, "null"), NONE)[0].rules


def _without(outbox: str, rule: Rule, these: str) -> Iterator[str]:
    """The statements that take one field out: of the fields of a body, and of a wish's own keys.

    A kind has the name of its table.
    """
    name, update = rule.path[-1] if rule.key else rule.path[0], f"UPDATE {outbox} o SET"
    has = [_has(column, rule) for column in ("o.body", "o.before")]
    error = (
        f"CASE WHEN strpos(o.error, {literal(name)}) > 0 THEN"
        " 'not kept, for it may quote what is excluded' ELSE o.error END"
    )
    yield (
        f"{update} body = {_stripped('o.body', rule)}, before = {_stripped('o.before', rule)},"
        f" error = {error} WHERE o.kind = {literal(rule.table)} AND {ENDED}{these}"
        f" AND ({' OR '.join(has)})"
    )
    if rule.table == PERSONS.name and name in KEYS and not rule.key:
        yield (
            f"{update} {name} = NULL, error = {error} WHERE o.kind IN {_kinds()} AND {ENDED}{these}"
            f" AND o.{name} IS NOT NULL"
        )


def _has(column: str, rule: Rule) -> str:
    is_object = f"jsonb_typeof({column}) = 'object'"
    if not _is_nested(rule):
        return f"({is_object} AND {column} ? {literal(rule.path[0])})"
    flat = literal(".".join(rule.path))
    return (
        f"({is_object} AND ({column} ? {flat} OR jsonb_typeof({_map(column, rule)}) = 'object'"
        f" AND {_map(column, rule)} ? {literal(rule.path[-1])}))"
    )


def _stripped(column: str, rule: Rule) -> str:
    """The column without the field; what is no object stays as it is."""
    if not _is_nested(rule):
        return f"CASE WHEN {_has(column, rule)} THEN {column} - {literal(rule.path[0])}" + (
            f" ELSE {column} END"
        )
    path = ", ".join(map(literal, rule.path))
    flat = literal(".".join(rule.path))
    return (
        f"CASE WHEN jsonb_typeof({column}) <> 'object' THEN {column}"
        f" WHEN jsonb_typeof({_map(column, rule)}) = 'object'"
        f" THEN ({column} #- ARRAY[{path}]::text[]) - {flat} ELSE {column} - {flat} END"
    )


def _map(column: str, rule: Rule) -> str:
    return f"({column} -> {literal(rule.path[0])})"


def _is_nested(rule: Rule) -> bool:
    """Whether one entry of a map is meant."""
    return bool(rule.key) and len(rule.path) == 2
