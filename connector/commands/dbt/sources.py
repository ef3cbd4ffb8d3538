"""``dbt-sources``: the schema as sources of dbt, with descriptions, tests and freshness.

What stands in the schema comes from its catalog, what must hold of it from the declarations.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import sqlalchemy as sa
from msgspec import Struct, field

from connector.commands.dbt.yaml import Value, written
from connector.resources import BY_NAME, PERSONS, RESOURCES, TABLES
from connector.resources.resource import Resource, Table
from connector.warehouse import migrate
from connector.warehouse.schema import relations, versions
from connector.warehouse.schema.tables import declared
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import fetch
from connector.warehouse.sql.names import Names, literal
from connector.warehouse.state.tables import STATE
from connector.warehouse.views.definitions import IDENTITIES, Around, live, makers

WARN, ERROR = 48, 72  # hours after which data is stale
HEAD = (
    "# Made by 'intercom-warehouse dbt-sources' from the schema as it is; make it again after"
    " upgrades\n# and when custom attributes have come.\n"
)


class Relation(Struct):
    """A table or view of the schema: its comment, and those of its columns."""

    name: str
    comment: str
    columns: dict[str, str] = field(default_factory=dict)


class Rules(Struct, frozen=True):
    """What holds of a relation's rows.

    The column that is unique, those that are never null, which refer to which table's key.
    """

    unique: str = ""
    not_null: frozenset[str] = frozenset()
    references: tuple[tuple[str, str, str], ...] = ()


def run(database: Database) -> int:
    """Print the document; 0."""
    database.wait()
    print(database.read(lambda conn: document(conn, database.schema)), end="")
    return 0


def document(conn: sa.Connection, schema: str) -> str:
    """The sources of one schema, as YAML."""
    migrate.require_newest(conn, schema)
    found, fresh = _relations(conn, schema), _fresh(conn, Names(schema))
    computed = _computed(conn, schema, [one.name for one in found])
    tables = [_table(schema, one, _expected(one.name, computed, fresh)) for one in found]
    source: Value = {
        "name": _plain(schema),
        "schema": _plain(schema.replace('"', '""')),  # dbt puts quotes around it
        "description": "Intercom, as intercom-warehouse mirrors it.",
        "tables": tables,
    }
    return HEAD + written({"version": 2, "sources": [source]})


def _relations(conn: sa.Connection, schema: str) -> list[Relation]:
    """Our tables and views that stand there, tables first, but for what views only read."""
    wanted = [name for name in [*relations.tables(), *_versions()] if not name.startswith("_")]
    wanted += [name for name in makers() if name not in wanted]
    ours = relations.noted(conn)
    query = (
        "SELECT c.relname, coalesce(obj_description(c.oid, 'pg_class'), ''), a.attname,"
        " coalesce(col_description(c.oid, a.attnum), '')"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(names)s)"
        " AND c.relkind IN ('r', 'p', 'v') ORDER BY c.oid, a.attnum"
    )
    found: dict[str, Relation] = {}
    names = [name for name in wanted if name in ours]
    for name, comment, column, told in fetch(conn, query, {"schema": schema, "names": names}):
        found.setdefault(name, Relation(name, comment)).columns[column] = told
    return [found[name] for name in names if name in found]


def _fresh(conn: sa.Connection, names: Names) -> set[str]:
    """The resources that were ever read to their end."""
    query = f"SELECT resource FROM {names(STATE.name)} WHERE fresh_as_of IS NOT NULL"
    return {row[0] for row in fetch(conn, query)}


# -- one of them -----------------------------------------------------------------------------


def _table(schema: str, one: Relation, confirming: list[str]) -> dict[str, Value]:
    rules = _rules().get(one.name, Rules())
    table: dict[str, Value] = {"name": one.name}
    if one.comment:
        table["description"] = _plain(one.comment)
    if confirming:
        table["config"] = _freshness(schema, confirming)
    table["columns"] = [_column(schema, name, told, rules) for name, told in one.columns.items()]
    return table


def _column(schema: str, name: str, told: str, rules: Rules) -> dict[str, Value]:
    column: dict[str, Value] = {"name": _plain(name)}
    if told:
        column["description"] = _plain(told)
    tests: list[Value] = ["unique"] if name == rules.unique else []
    tests += ["not_null"] if name in rules.not_null else []
    for own, table, key in rules.references:
        if own == name:
            to = f"source({_text(schema)}, {_text(table)})"
            tests.append({"relationships": {"arguments": {"to": to, "field": key}}})
    return column | ({"data_tests": tests} if tests else {})


def _freshness(schema: str, confirming: list[str]) -> dict[str, Value]:
    """As old as the oldest of these resources; as of no time if one was never read."""
    listed = ", ".join(map(literal, confirming))
    query = (
        "SELECT CASE WHEN bool_and(fresh_as_of IS NOT NULL) THEN min(fresh_as_of) END"
        f" FROM {Names(schema)(STATE.name)} WHERE resource IN ({listed})"
    )
    return {
        "freshness": {
            "warn_after": {"count": WARN, "period": "hour"},
            "error_after": {"count": ERROR, "period": "hour"},
        },
        "loaded_at_query": _plain(query),
    }


def _plain(text: str) -> str:
    """The text as it is, though dbt looks for its templates in it."""
    return re.sub(r"\{[{%#]", lambda found: "{{ '" + found[0] + "' }}", text)


def _text(name: str) -> str:
    """A text within a template."""
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"


# -- what holds ------------------------------------------------------------------------------


@cache
def _rules() -> dict[str, Rules]:
    """What holds of tables, and of the views that show rows of theirs."""
    found = {table.name: _rules_of(table) for table in declared().values()}
    found |= {name: _rules_of(versions.versions(table)) for name, table in _versions().items()}
    for view, table in _shown().items():
        found[view] = found[table.name]
    persons, (key,) = PERSONS.name, PERSONS.key
    names = ("contact_id", "current_contact_id")
    references = tuple((name, persons, key) for name in names)
    return found | {IDENTITIES: Rules(names[0], frozenset(names), references)}


def _rules_of(table: sa.Table) -> Rules:
    keys = [column.name for column in table.primary_key.columns]
    return Rules(
        keys[0] if len(keys) == 1 else "",
        frozenset(c.name for c in table.columns if c.primary_key or not c.nullable),
        tuple(
            (column.name, key.column.table.name, key.column.name)
            for column in table.columns
            for key in column.foreign_keys
        ),
    )


@cache
def _versions() -> dict[str, Table]:
    return {versions.name_of(name): table for name, table in versions.VERSIONED.items()}


@cache
def _shown() -> dict[str, Table]:
    """The table whose rows a view shows, by the view."""
    rows = {live(member): member for table in TABLES for member in table.family()}
    return rows | {r.name: r.table for r in RESOURCES if r.discriminator}


# -- how fresh it is -------------------------------------------------------------------------


def _expected(relation: str, computed: Mapping[str, set[str]], fresh: set[str]) -> list[str]:
    """The resources that confirm it, without those that are optional and were never read."""
    tables = computed.get(relation, {relation})
    found = {resource for table in tables for resource in _confirming(table)}
    return sorted(r.name for r in found if not _may_be_missing(r) or r.name in fresh)


def _computed(conn: sa.Connection, schema: str, names: Sequence[str]) -> dict[str, set[str]]:
    """The tables that views which show rows of no single one are made from, by view."""
    views = [name for name in names if name in makers() and name not in _shown()]
    query = (
        "WITH RECURSIVE of (view, oid) AS ("
        " SELECT c.relname, c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %(schema)s AND c.relname = ANY(%(views)s)"
        " UNION SELECT of.view, d.refobjid FROM of JOIN pg_rewrite r ON r.ev_class = of.oid"
        " JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = r.oid"
        " AND d.refclassid = 'pg_class'::regclass)"
        " SELECT of.view, c.relname FROM of JOIN pg_class c ON c.oid = of.oid"
    )
    around = Around(conn, Names(schema), {})
    found = {view: set(makers()[view](around).tells_of) for view in views}
    for view, table in fetch(conn, query, {"schema": schema, "views": views}):
        found[view].add(table)
    return found


def _may_be_missing(resource: Resource) -> bool:
    return resource.optional or bool(resource.early_signal_of)


def _confirming(relation: str) -> Iterator[Resource]:
    """The resources by whose passes it is as fresh as it is."""
    name = {live(member): member.name for table in TABLES for member in table.family()}.get(
        relation, relation.removesuffix("_history") if relation in _versions() else relation
    )
    if name in BY_NAME:
        yield BY_NAME[name]
        return
    for table in TABLES:
        holds = {part for member in table.family() for part in _parts(member)}
        if name in holds:
            own = [resource for resource in RESOURCES if resource.table is table]
            yield from (r for r in own if r.discriminator or r.name == table.name)


def _parts(table: Table) -> Iterator[str]:
    yield table.name
    yield from (link.table for link in table.links)
