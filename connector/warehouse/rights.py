"""Whether database and role allow what the connector does, asked before anything is written.

What is missing comes back in words, each with the statement that mends it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from msgspec import Struct

from connector.errors import DatabaseRefusedError
from connector.warehouse import migrate
from connector.warehouse.schema import versions
from connector.warehouse.schema.relations import VERSION_TABLE
from connector.warehouse.schema.tables import declared
from connector.warehouse.schema.version import has_column
from connector.warehouse.sql.database import STANDBY, Database
from connector.warehouse.sql.execute import fetch
from connector.warehouse.sql.names import quote
from connector.warehouse.state.tables import RELATIONS

WRITES = ("SELECT", "INSERT", "UPDATE", "DELETE")
NAMED = 5  # tables that a sentence names
_VERSIONS = [versions.name_of(name) for name in versions.VERSIONED]


class House(Struct, frozen=True):
    """Server, database, role and schema, as far as what may be done there depends on them."""

    version: str
    encoding: str
    standby: bool
    role: str
    database: str
    makes_temporary: bool
    makes_schemas: bool
    has_schema: bool
    enters_schema: bool
    makes_tables: bool


class _Relation(Struct, frozen=True):
    """One of our tables, and what the role may not do with it."""

    name: str
    owned: bool
    refused: tuple[str, ...]
    filtered: bool


class Needs(Struct, frozen=True):
    """What will be done: bring the schema up to date, stage records, write rows.

    ``of``: the rights that are needed by table, where they are not those on all of ours.
    ``history``: the tables of which it is to be kept, from now on if it is not yet.
    """

    migrates: bool = False
    stages: bool = False
    writes: bool = True
    of: Mapping[str, Sequence[str]] | None = None
    history: Sequence[str] = ()

    @property
    def by_table(self) -> Mapping[str, Sequence[str]]:
        """The rights that are needed on each table that is there."""
        if self.of is not None:
            return self.of
        rights = WRITES if self.writes else WRITES[:1]
        every = dict.fromkeys([*declared(), *_VERSIONS], rights)
        return every | {VERSION_TABLE: WRITES[:1]}  # only migrations write it


def require(database: Database, needs: Needs) -> None:
    """Raise DatabaseRefusedError, with every reason, unless database and role allow it."""
    reasons = database.read(lambda conn: missing(conn, database.schema, needs))
    if reasons:
        raise DatabaseRefusedError("; ".join(reasons))


def missing(conn: sa.Connection, schema: str, needs: Needs) -> list[str]:
    """What database and role do not allow of what will be done, and what gives it."""
    house = look(conn, schema)
    if house.standby:
        return [STANDBY]
    if house.encoding != "UTF8":
        return [
            f"the database {house.database} has the encoding {house.encoding}, which cannot hold"
            " every text: make one with CREATE DATABASE ... ENCODING 'UTF8' TEMPLATE template0"
        ]
    found = [_temporary(house)] if needs.stages and not house.makes_temporary else []
    return found + list(_in_schema(conn, house, schema, needs))


def to_make_schema(conn: sa.Connection, schema: str) -> str:
    """What the role lacks to make a schema, if that is not there, and what gives it; or ""."""
    house = look(conn, schema)
    return "" if house.has_schema or house.makes_schemas else _no_schema(house, schema)


def look(conn: sa.Connection, schema: str) -> House:
    """The house as this connection finds it."""
    query = (
        "SELECT current_setting('server_version'), current_setting('server_encoding'),"
        " pg_is_in_recovery(), current_user::text, current_database()::text,"
        " has_database_privilege(current_database(), 'TEMPORARY'),"
        " has_database_privilege(current_database(), 'CREATE'), n.oid IS NOT NULL,"
        " coalesce(has_schema_privilege(n.oid, 'USAGE'), false),"
        " coalesce(has_schema_privilege(n.oid, 'CREATE'), false)"
        " FROM (VALUES (%(schema)s)) s (name) LEFT JOIN pg_namespace n ON n.nspname = s.name"
    )
    (row,) = fetch(conn, query, {"schema": schema})
    return House(*row)


def _temporary(house: House) -> str:
    return (
        f"the role {house.role} may not make temporary tables, in which each batch is staged:"
        f" GRANT TEMPORARY ON DATABASE {quote(house.database)} TO {quote(house.role)}"
    )


def _in_schema(conn: sa.Connection, house: House, schema: str, needs: Needs) -> Iterator[str]:
    to, place = quote(house.role), quote(schema)
    if not house.has_schema:
        if needs.migrates and not house.makes_schemas:
            yield _no_schema(house, schema)
        return
    if not house.enters_schema:
        yield (
            f"the role {house.role} may not use the schema {schema}:"
            f" GRANT USAGE ON SCHEMA {place} TO {to}"
        )
        return
    found = _ours(conn, schema, _relations(conn, schema, needs.by_table))
    if needs.migrates and not _is_current(conn, schema, found, needs.history):
        yield from _to_migrate(house, schema, found)
    yield from _to_write(house, schema, found, whole=needs.of is None)


def _no_schema(house: House, schema: str) -> str:
    to = quote(house.role)
    return (
        f"the schema {schema} is not there and the role {house.role} may not create it:"
        f" CREATE SCHEMA {quote(schema)} AUTHORIZATION {to}, or GRANT CREATE ON DATABASE"
        f" {quote(house.database)} TO {to}"
    )


def _is_current(
    conn: sa.Connection, schema: str, found: Sequence[_Relation], history: Sequence[str]
) -> bool:
    """Whether nothing is to be migrated; also where that must not be read."""
    unread = [one for one in found if one.name == VERSION_TABLE and one.refused]
    return bool(unread) or (migrate.check(conn, schema) and not versions.lacking(conn, history))


def _ours(conn: sa.Connection, schema: str, found: Sequence[_Relation]) -> Sequence[_Relation]:
    """Without tables of versions that are not ours, as far as the role may read which are.

    Most schemas have none, and nothing is asked.
    """
    if not any(one.name in _VERSIONS for one in found):
        return found
    notes = [one for one in found if one.name == RELATIONS.name and "SELECT" not in one.refused]
    known = bool(notes) and has_column(conn, schema, RELATIONS.name, "name")
    ours = [versions.name_of(name) for name in versions.ours(conn)] if known else []
    return [one for one in found if one.name not in _VERSIONS or one.name in ours]


def _to_migrate(house: House, schema: str, found: Sequence[_Relation]) -> Iterator[str]:
    foreign = [one.name for one in found if not one.owned]
    if not house.makes_tables:
        yield (
            f"the role {house.role} may not create tables in the schema {schema}, which is not up"
            f" to date: GRANT CREATE ON SCHEMA {quote(schema)} TO {quote(house.role)}, or run"
            " 'intercom-warehouse migrate' as the role that owns it, and the sync with"
            " CONNECTOR_AUTO_MIGRATE=0"
        )
    elif foreign:
        yield (
            f"the schema {schema} is not up to date and the role {house.role} does not own"
            f" {_some(foreign)}: run 'intercom-warehouse migrate' as their owner"
        )


def _to_write(
    house: House, schema: str, relations: Sequence[_Relation], *, whole: bool
) -> Iterator[str]:
    refused = [one for one in relations if one.refused]
    if whole:
        rights = [right for right in WRITES if any(right in one.refused for one in refused)]
        on = f"ALL TABLES IN SCHEMA {quote(schema)}"
        groups = [(rights, [one.name for one in refused], on)] if refused else []
    else:
        groups = [
            (list(rights), names, ", ".join(f"{quote(schema)}.{quote(name)}" for name in names))
            for rights in sorted({one.refused for one in refused})
            if (names := [one.name for one in refused if one.refused == rights])
        ]
    for rights, names, on in groups:
        yield (
            f"the role {house.role} lacks the right{'s' if len(rights) > 1 else ''}"
            f" {', '.join(rights)} on {_some(names)}:"
            f" GRANT {', '.join(rights)} ON {on} TO {quote(house.role)}"
        )
    filtered = [one.name for one in relations if one.filtered]
    if filtered:
        yield (
            f"row policies hide rows of {_some(filtered)} from the role {house.role}: CREATE"
            f" POLICY ... FOR ALL TO {quote(house.role)} USING (true), or ALTER ROLE"
            f" {quote(house.role)} BYPASSRLS"
        )


def _some(names: Sequence[str]) -> str:
    rest, known = len(names) - NAMED, sorted(names, key=lambda name: (name[:1] == "_", name))
    return ", ".join(known[:NAMED]) + (f" and {rest} more tables" if rest > 0 else "")


def _relations(
    conn: sa.Connection, schema: str, needed: Mapping[str, Sequence[str]]
) -> list[_Relation]:
    """The tables that there are, and which of the rights that are needed the role lacks on each."""
    # A policy that lets a role see and write every row hides nothing from it.
    open_policy = """
        SELECT FROM pg_policy p WHERE p.polrelid = c.oid AND p.polpermissive AND p.polcmd = '*'
          AND pg_get_expr(p.polqual, c.oid) = 'true'
          AND coalesce(pg_get_expr(p.polwithcheck, c.oid), 'true') = 'true'
          AND EXISTS (SELECT FROM unnest(p.polroles) r
                      WHERE r = 0 OR pg_has_role(r, 'USAGE'))
          AND NOT EXISTS (SELECT FROM pg_policy x
                          WHERE x.polrelid = c.oid AND NOT x.polpermissive)"""
    query = (
        "SELECT c.relname, pg_has_role(c.relowner, 'USAGE'),"
        " ARRAY(SELECT w FROM jsonb_array_elements_text(%(needed)s::jsonb -> c.relname::text) w"
        "       WHERE NOT has_table_privilege(c.oid, w)),"
        f" row_security_active(c.oid) AND NOT EXISTS ({open_policy})"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(names)s) AND c.relkind IN ('r', 'p')"
        " ORDER BY c.relname"
    )
    values: dict[str, Any] = {
        "schema": schema,
        "names": list(needed),
        "needed": json.dumps({name: list(rights) for name, rights in needed.items()}),
    }
    rows = fetch(conn, query, values)
    return [_Relation(name, owned, tuple(refused), rls) for name, owned, refused, rls in rows]
