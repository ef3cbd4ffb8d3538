"""What is ours in the schema and what is theirs: the names that are needed, made, or taken.

Every relation that this connector makes is noted in ``sync_relations``. What bears a name that is
needed and stands in no note was made by somebody else, and is never replaced, altered or read.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field
from msgspec.structs import asdict
from sqlalchemy.dialects.postgresql import insert

from connector.errors import NamesTakenError
from connector.warehouse.schema.tables import declared
from connector.warehouse.sql.execute import fetch
from connector.warehouse.sql.types import TEXTS
from connector.warehouse.state.tables import RELATIONS

VERSION_TABLE = "sync_version"  # Alembic makes this table itself
FORMER = ("sync_windows", "sync_nominees", "sync_hidden")
"""Names that the first migrations give to tables, until one renames them."""
RENAMED_BY = "0009"

_KINDS = {
    "r": "table",
    "p": "partitioned table",
    "v": "view",
    "m": "materialized view",
    "i": "index",
    "I": "partitioned index",
    "S": "sequence",
    "f": "foreign table",
    "c": "composite type",
    "T": "type",
}


class Made(Struct, frozen=True):
    """What is noted of one relation; all but its kind is told of views only."""

    kind: str
    definition: str = ""
    fingerprint: str = ""
    comments: dict[str, str] = field(default_factory=dict)


# -- what is needed --------------------------------------------------------------------------


@cache
def tables() -> dict[str, dict[str, str]]:
    """By table what this version needs for it: each name with its kind."""
    found = {table.name: dict(parts(table)) for table in declared().values()}
    return found | {VERSION_TABLE: {VERSION_TABLE: "r", f"{VERSION_TABLE}_pkc": "i"}}


def parts(table: sa.Table) -> Iterator[tuple[str, str]]:
    """Each name that a table needs, with its kind: its own, of its indexes, of its sequences.

    PostgreSQL names those that have no name.
    """
    yield table.name, "r"
    for index in table.indexes:
        yield str(index.name), "i"
    for constraint in table.constraints:
        name = str(constraint.name) if constraint.name else ""
        if isinstance(constraint, sa.PrimaryKeyConstraint):
            yield name or f"{table.name}_pkey", "i"
        elif isinstance(constraint, sa.UniqueConstraint):
            columns = "_".join(column.name for column in constraint.columns)
            yield name or f"{table.name}_{columns}_key", "i"
    for column in table.columns:
        if column.identity is not None:
            yield f"{table.name}_{column.name}_seq", "S"


def needed(views: Iterable[str], revision: str | None = RENAMED_BY) -> dict[str, str]:
    """Every name that this version needs in a schema at that revision, with its kind."""
    names = {name: kind for parts in tables().values() for name, kind in parts.items()}
    if (revision or "") < RENAMED_BY:
        names |= {name: kind for table in FORMER for name, kind in former(table).items()}
    return names | dict.fromkeys(views, "v")


def former(table: str) -> dict[str, str]:
    """What a table needs until it is renamed: each name with its kind."""
    return {table: "r", f"{table}_pkey": "i"}


def there(conn: sa.Connection, schema: str, names: Collection[str]) -> dict[str, str]:
    """Which of these names relations or types bear, with the kind."""
    query = (
        "SELECT c.relname, c.relkind::text FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(names)s)"
        " UNION ALL SELECT t.typname, 'T' FROM pg_type t"
        " JOIN pg_namespace n ON n.oid = t.typnamespace"
        " WHERE n.nspname = %(schema)s AND t.typname = ANY(%(names)s) AND t.typrelid = 0"
        " AND NOT EXISTS (SELECT FROM pg_type e WHERE e.typarray = t.oid)"
    )
    rows = fetch(conn, query, {"schema": schema, "names": list(names)})
    return {row[0]: row[1] for row in rows}


def taken(
    conn: sa.Connection,
    schema: str,
    views: Iterable[str],
    ours: Collection[str],
    revision: str | None,
    also: Iterable[sa.Table] = (),
) -> list[str]:
    """What somebody else has under the names that are needed: "table contacts", by name.

    What is ``ours`` is not; but where a view of ours was and something else is now, that is theirs.
    ``also`` are tables that are needed besides.
    """
    wanted = needed(views, revision)
    wanted |= {name: kind for table in also for name, kind in parts(table)}
    return strangers(conn, schema, wanted, ours)


def strangers(
    conn: sa.Connection, schema: str, wanted: Mapping[str, str], ours: Collection[str]
) -> list[str]:
    """What bears a name that is wanted, for such a kind, and is not ours: "table contacts"."""
    found = there(conn, schema, wanted)
    return [
        f"{_KINDS.get(kind, 'relation')} {name}"
        for name, kind in sorted(found.items())
        if (name not in ours or (wanted[name] == "v" and kind != "v"))
        and (kind != "T" or wanted[name] in "rvS")  # no type may bear the name of these
    ]


def some(conn: sa.Connection, schema: str, most: int = 5) -> list[str]:
    """The relations that a schema holds, the first by name: "table contacts"."""
    query = (
        "SELECT c.relname, c.relkind::text FROM pg_class c"
        " JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relkind NOT IN ('i', 'I', 't', 'c')"
        " ORDER BY 1 LIMIT %(most)s"
    )
    rows = fetch(conn, query, {"schema": schema, "most": most})
    return [f"{_KINDS.get(kind, 'relation')} {name}" for name, kind in rows]


def refuse(schema: str, taken: Collection[str]) -> None:
    """Raise NamesTakenError if anything is ``taken``."""
    if taken:
        raise NamesTakenError(
            f"schema {schema} holds what this connector did not make under names that it needs:"
            f" {', '.join(taken)}; nothing was changed. Give it a schema of its own with"
            " INTERCOM_SCHEMA or --schema, or rename these or move them to another schema"
        )


# -- what was made ---------------------------------------------------------------------------


def made(conn: sa.Connection, names: Collection[str]) -> dict[str, Made]:
    """What is noted under these names."""
    columns = [RELATIONS.c[name] for name in ("name", *Made.__struct_fields__)]
    query = sa.select(*columns).where(RELATIONS.c.name == sa.any_(sa.literal(list(names), TEXTS)))
    return {
        name: Made(kind, definition or "", fingerprint or "", comments or {})
        for name, kind, definition, fingerprint, comments in conn.execute(query)
    }


def noted(conn: sa.Connection) -> set[str]:
    """The names of all that was made."""
    return set(conn.execute(sa.select(RELATIONS.c.name)).scalars())


def note(conn: sa.Connection, name: str, about: Made) -> None:
    """Note what was made under this name."""
    values: dict[str, Any] = asdict(about)
    statement = insert(RELATIONS).values(name=name, **values)
    conn.execute(statement.on_conflict_do_update(index_elements=["name"], set_=values))


def note_tables(conn: sa.Connection, schema: str) -> None:
    """Note the tables that are there, with what belongs to them; ``taken`` must have been asked."""
    rows = [{"name": k, "kind": v} for k, v in there(conn, schema, needed(())).items() if v != "T"]
    conn.execute(insert(RELATIONS).on_conflict_do_nothing(), rows)
