"""The loader's SQL, made from the declarations; executes nothing.

Aliases are the same throughout: ``s`` is a staged row, ``o`` the stored row it meets, ``t`` the
table that is written. Stages are temporary tables that empty themselves at each commit; they are
made where they are missing, since behind a transaction pooler each transaction may meet another
server session. Their names carry a checksum of their shape, for sessions that outlive a release.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

from sqlalchemy.dialects import postgresql

from connector.resources.resource import Child, Column, Kind, Link, Resource, Table
from connector.warehouse.schema import TYPES

Absence = tuple[frozenset[str], frozenset[str]]  # columns that all records lack, that some lack
Source = tuple[str, str]  # a staged table and its column that refers to another table

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def quote(name: str) -> str:
    """An SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string, for names that come from declarations."""
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class Names:
    """Qualified names in the configured schema."""

    schema: str

    def __call__(self, table: str) -> str:
        """As it stands in a statement with parameters, where a percent sign is doubled."""
        return self.plain(table).replace("%", "%%")

    def in_text(self, table: str) -> str:
        """As it stands in SQLAlchemy's text(), where a colon begins a parameter."""
        return self.plain(table).replace(":", "\\:")

    def plain(self, table: str) -> str:
        return f"{quote(self.schema)}.{quote(table)}"


# -- staging ---------------------------------------------------------------------------------


def sql_type(column: Column) -> str:
    return TYPES[column.kind].compile(dialect=_DIALECT)


@cache
def _stage_shapes(table: Table, parent: str = "") -> dict[str, dict[str, str]]:
    """Columns and types of the stages of a table, its links and its children."""
    columns = {column.name: sql_type(column) for column in table.columns}
    columns |= {f"_whole_{link.table}": "boolean" for link in table.links}
    columns |= {f"_whole_{child.table.name}": "boolean" for child in table.children}
    if table.truncated:
        columns[table.truncated] = "boolean"
    if parent:
        columns[parent] = "text"
    if table.positioned:
        columns["position"] = "integer"
    columns |= {"_read_at": "timestamptz", "extra": "jsonb", "_absent": "text[]"}
    shapes = {table.name: columns}
    for link in table.links:
        shapes[link.table] = {link.owner: "text", link.target: "text"} | {
            c.name: sql_type(c) for c in link.columns
        }
    for child in table.children:
        shapes |= _stage_shapes(child.table, child.parent)
    return shapes


_registry: dict[str, str] = {}


@cache
def create_stages(table: Table) -> str:
    """Make the stages of a batch where this session has none yet."""
    made = ["SET LOCAL client_min_messages = warning", "SET CONSTRAINTS ALL DEFERRED"]
    made.append(
        f"CREATE TEMP TABLE IF NOT EXISTS {TOUCHED} (name text, id text) ON COMMIT DELETE ROWS"
    )
    for name, columns in _stage_shapes(table).items():
        body = ", ".join(f"{quote(column)} {kind}" for column, kind in columns.items())
        _registry[name] = quote(f"_stage_{zlib.crc32(body.encode()):08x}_{name}"[:63])
        made.append(f"CREATE TEMP TABLE IF NOT EXISTS {stage(name)} ({body}) ON COMMIT DELETE ROWS")
    # Empty but for an earlier batch of the same transaction.
    made += [f"DELETE FROM {name}" for name in (TOUCHED, *map(stage, _stage_shapes(table)))]
    return ";\n".join(made)


TOUCHED = "_stage_touched"  # owners whose links or children changed


def stage(name: str) -> str:
    """The staging table of a table that ``create_stages`` has seen."""
    return _registry[name]


def copy(name: str, columns: Sequence[str]) -> str:
    """COPY into a stage, text format."""
    return f"COPY {stage(name)} ({', '.join(map(quote, columns))}) FROM STDIN"


# -- refusing older copies -------------------------------------------------------------------


def refuse(names: Names, table: Table) -> str:
    """Delete and return staged copies that may not replace what is stored.

    A copy may if its (updated_at, time of the request) is not older: silent changes do not move
    updated_at. What is no copy but a list read beside the object has no age of its own: times
    within one run are known to a second or so, and the list would be refused for good. A deleted
    row comes back by a read by id, or by a list that was asked for late enough. Parameters: by_id,
    lag, beside.
    """
    newer = "s._read_at >= o._read_at"
    if table.has_updated_at:
        newer = (
            "CASE WHEN s.updated_at IS NULL OR o.updated_at IS NULL OR s.updated_at = o.updated_at"
            f" THEN {newer} ELSE s.updated_at > o.updated_at END"
        )
    return f"""
        DELETE FROM {stage(table.name)} s USING {names(table.name)} o
        WHERE {_same(table.key)} AND NOT (
            (%(beside)s OR o._read_at IS NULL OR {newer})
            AND (o._deleted_at IS NULL OR %(by_id)s OR s._read_at > o._deleted_at + %(lag)s))
        RETURNING s.id"""


def is_beside(table: Table, absent: frozenset[str]) -> bool:
    """Whether records that lack these columns are lists read beside objects, not copies of them."""
    return table.has_updated_at and "updated_at" in absent


def _same(key: Iterable[str]) -> str:
    return " AND ".join(f"o.{quote(name)} = s.{quote(name)}" for name in key)


def drop_staged(name: str, owner: str, table: Table | None = None) -> str:
    """Delete the staged links or children of refused owners; children's ids come back."""
    returning = " RETURNING id" if table and not table.positioned else ""
    return f"DELETE FROM {stage(name)} WHERE {quote(owner)} = ANY(%s){returning}"


# -- placeholders ----------------------------------------------------------------------------


@cache
def references(table: Table) -> dict[str, tuple[Source, ...]]:
    """For each table that a batch refers to: where the references stand."""
    found: dict[str, list[Source]] = {}
    for part in table.family():
        for column in part.columns:
            if column.refers_to:
                found.setdefault(column.refers_to, []).append((part.name, column.name))
        for link in part.links:
            found.setdefault(link.refers_to, []).append((link.table, link.target))
    return {target: tuple(sources) for target, sources in found.items()}


def placeholders(names: Names, table: Table, target: str, sources: Iterable[Source]) -> str:
    """Insert a row for every referred id that has none. Parameter: the run.

    ``table`` is the batch's: what it brings itself needs no placeholder.
    """
    coming = ""
    if target == table.name:
        coming = f"AND NOT EXISTS (SELECT FROM {stage(target)} s WHERE s.id = r.id)"
    ids = " UNION ".join(f"SELECT {quote(c)} FROM {stage(name)}" for name, c in sources)
    return f"""
        INSERT INTO {names(target)} (id, _placeholder, _run_id)
        SELECT r.id, true, %s FROM ({ids}) r (id)
        WHERE r.id IS NOT NULL
          AND NOT EXISTS (SELECT FROM {names(target)} o WHERE o.id = r.id) {coming}
        ORDER BY r.id ON CONFLICT DO NOTHING"""


# -- links -----------------------------------------------------------------------------------


def merge_link(names: Names, owner: Table, link: Link) -> str:
    """Add links and what is told of them; remove those that a complete list omits."""
    target, own, far = names(link.table), quote(link.owner), quote(link.target)
    told = [quote(column.name) for column in link.columns]
    listed = ", ".join([own, far, *told])
    staged = ", ".join(f"s.{name}" for name in (own, far, *told))
    differs = " OR ".join(f"s.{c} IS NOT NULL AND s.{c} IS DISTINCT FROM o.{c}" for c in told)
    update = ", ".join(f"{c} = coalesce(excluded.{c}, t.{c})" for c in told)
    return f"""
        WITH gone AS (
            DELETE FROM {target} o USING {stage(owner.name)} p
            WHERE o.{own} = p.id AND p.{quote("_whole_" + link.table)}
              AND NOT EXISTS (SELECT FROM {stage(link.table)} s
                              WHERE s.{own} = o.{own} AND s.{far} = o.{far})
            RETURNING o.{own} AS id
        ), added AS (
            INSERT INTO {target} AS t ({listed})
            SELECT {staged} FROM {stage(link.table)} s
            LEFT JOIN {target} o ON o.{own} = s.{own} AND o.{far} = s.{far}
            WHERE o.{own} IS NULL{" OR " + differs if differs else ""}
            ORDER BY s.{own}, s.{far}
            ON CONFLICT ({own}, {far}) DO {"UPDATE SET " + update if update else "NOTHING"}
            RETURNING {own} AS id
        )
        INSERT INTO {TOUCHED}
        SELECT {literal(owner.name)}, id FROM (SELECT id FROM gone UNION SELECT id FROM added) c"""


# -- rows ------------------------------------------------------------------------------------

Family = tuple[Table, Child]  # a parent table and the child declaration below it


@dataclass(frozen=True)
class _Content:
    """What one column is to hold, and the condition under which that changes the row."""

    value: str
    differs: str


@lru_cache(maxsize=256)  # payloads vary in what they leave out
def merge(names: Names, table: Table, absence: Absence, parent: Family | None = None) -> str:
    """Write the staged rows that are new, changed, or whose links or children changed.

    Returns one row: how many were inserted and how many updated. Of a child table, the parents
    of the rows written are noted as touched. Parameter: run_id.
    """
    key = [parent[1].parent, "position"] if parent and table.positioned else list(table.key)
    content = _contents(names, table, absence, parent)
    columns = ", ".join(map(quote, [*key, *content, "_read_at"]))
    keys = ", ".join(f"s.{quote(k)}" for k in key)
    values = ", ".join(c.value for c in content.values())
    stamp = [] if is_beside(table, absence[0]) else ["_read_at"]
    update = ", ".join(f"{quote(c)} = excluded.{quote(c)}" for c in (*content, *stamp))
    return f"""
        WITH merged AS (
            INSERT INTO {names(table.name)} AS t
                ({columns}, _changed_at, _run_id, _deleted_at, _placeholder)
            SELECT {keys}, {values}, s._read_at, now(), %(run_id)s, NULL, false
            FROM {stage(table.name)} s LEFT JOIN {names(table.name)} o
                ON {_same(key)}
            WHERE o.{quote(key[0])} IS NULL OR o._placeholder OR o._deleted_at IS NOT NULL
               OR {" OR ".join(c.differs for c in content.values())}{_touched(table)}
            ORDER BY {keys}
            ON CONFLICT ({", ".join(map(quote, key))}) DO UPDATE SET {update},
                _changed_at = now(), _run_id = excluded._run_id,
                _deleted_at = NULL, _placeholder = false
            RETURNING {f"t.{quote(parent[1].parent)}" if parent else "NULL"} AS parent,
                      (t.xmax = 0) AS inserted
        ){_note_parents(parent)}
        SELECT count(*) FILTER (WHERE inserted), count(*) FILTER (WHERE NOT inserted) FROM merged"""


def differences(names: Names, table: Table, absence: Absence) -> str:
    """The names of the columns in which each staged row differs from the stored one."""
    content = _contents(names, table, absence, None)
    cases = [f"CASE WHEN o.id IS NULL THEN {literal('no row')} END"]
    cases += [f"CASE WHEN {c.differs} THEN {literal(name)} END" for name, c in content.items()]
    touched = _touched(table).removeprefix(" OR ")
    if touched:
        cases.append(f"CASE WHEN {touched} THEN {literal('links or children')} END")
    return f"""
        SELECT s.id, array_remove(ARRAY[{", ".join(cases)}], NULL)
        FROM {stage(table.name)} s LEFT JOIN {names(table.name)} o ON {_same(table.key)}"""


def _touched(table: Table) -> str:
    """Or the row's links or children changed."""
    if table.positioned or not (table.links or table.children):
        return ""
    return (
        f" OR EXISTS (SELECT FROM {TOUCHED} x WHERE x.name = {literal(table.name)} AND x.id = s.id)"
    )


def _note_parents(parent: Family | None) -> str:
    if not parent:
        return ""
    return f""", noted AS (
            INSERT INTO {TOUCHED} SELECT DISTINCT {literal(parent[0].name)}, parent FROM merged)"""


def _contents(
    names: Names, table: Table, absence: Absence, parent: Family | None
) -> dict[str, _Content]:
    absent, partial = absence
    content = {
        c.name: _content(c, c.name in partial)
        for c in table.columns
        if c.name not in absent and (table.positioned or c.name not in table.key)
    }
    if parent and not table.positioned:
        name = quote(parent[1].parent)
        content[parent[1].parent] = _Content(f"s.{name}", f"s.{name} IS DISTINCT FROM o.{name}")
    for child in table.children:
        if child.cap:
            content |= _completeness(names, table, child)
    content["extra"] = _extra(table, absence)
    return content


def _content(column: Column, partial: bool) -> _Content:
    name = quote(column.name)
    value = f"s.{name}"
    if partial:
        value = f"CASE WHEN {literal(column.name)} = ANY(s._absent) THEN o.{name} ELSE {value} END"
    if column.kind is Kind.URL:  # a new signature is no new content
        new, old = f"split_part({value}, '?', 1)", f"split_part(o.{name}, '?', 1)"
        return _Content(value, f"{new} IS DISTINCT FROM {old}")
    return _Content(value, f"{value} IS DISTINCT FROM o.{name}")


def _completeness(names: Names, table: Table, child: Child) -> dict[str, _Content]:
    """How many children are stored, and whether Intercom cut their list; as it is if unread."""
    stored, cut = quote(table.stored), quote(table.truncated)
    number = (
        f"CASE WHEN s.{cut} IS NULL THEN o.{stored} ELSE (SELECT count(*) FROM"
        f" {names(child.table.name)} c WHERE c.{quote(child.parent)} = s.id"
        " AND c._deleted_at IS NULL) END"
    )
    flag = f"coalesce(s.{cut}, o.{cut})"
    return {
        table.stored: _Content(number, f"{number} IS DISTINCT FROM o.{stored}"),
        table.truncated: _Content(flag, f"{flag} IS DISTINCT FROM o.{cut}"),
    }


def _extra(table: Table, absence: Absence) -> _Content:
    """New leftovers beside stored ones whose keys this copy does not have."""
    value = "s.extra"
    if not table.omits_unset:
        rest = "o.extra"
        declared, some = table.top_keys() - absence[0] - absence[1], absence[1]
        if declared:
            rest = f"({rest} - {_array(declared)})"
        if some:
            rest = (
                f"({rest} - ARRAY(SELECT unnest({_array(some)}) EXCEPT SELECT unnest(s._absent)))"
            )
        value = (
            "CASE WHEN o.extra IS NULL THEN s.extra"
            f" ELSE nullif({rest} || coalesce(s.extra, '{{}}'), '{{}}') END"
        )
    return _Content(value, f"{value} IS DISTINCT FROM o.extra")


def _array(names: Iterable[str]) -> str:
    return f"ARRAY[{', '.join(map(literal, sorted(names)))}]::text[]"


# -- what is gone ----------------------------------------------------------------------------


@cache
def remove_children(names: Names, parent: Table, child: Child) -> str:
    """Mark (or, if they can be fetched again, delete) what a complete list omits.

    Their parents are noted as touched. Parameter: run_id.
    """
    target, own = names(child.table.name), quote(child.parent)
    key = "position" if child.table.positioned else "id"
    omitted = f"""o.{own} = p.id AND p.{quote("_whole_" + child.table.name)}
              AND NOT EXISTS (SELECT FROM {stage(child.table.name)} s
                              WHERE s.{own} = o.{own} AND s.{key} = o.{key})"""
    gone = f"DELETE FROM {target} o USING {stage(parent.name)} p WHERE {omitted}"
    if child.permanent:
        gone = f"""
            UPDATE {target} o
            SET _deleted_at = p._read_at, _changed_at = now(), _run_id = %(run_id)s
            FROM {stage(parent.name)} p WHERE {omitted} AND o._deleted_at IS NULL"""
    return f"""
        WITH gone AS ({gone} RETURNING o.{own} AS id)
        INSERT INTO {TOUCHED} SELECT DISTINCT {literal(parent.name)}, id FROM gone"""


_ALIVE = "_deleted_at IS NULL AND NOT _placeholder"


def _absent(table: Table) -> str:
    arrays = ", ".join("%s::text[]" for _ in table.key)
    same = " AND ".join(f"k.{quote(name)} = t.{quote(name)}" for name in table.key)
    names = ", ".join(map(quote, table.key))
    return (
        "(_read_at IS NULL OR _read_at < %s)"
        f" AND NOT EXISTS (SELECT FROM unnest({arrays}) k ({names}) WHERE {same})"
    )


def count_absent(names: Names, table: Table) -> str:
    """How many living rows a list omits, and how many live. Parameters: its start, its keys."""
    return (
        f"SELECT count(*) FILTER (WHERE {_absent(table)}), count(*) FROM {names(table.name)} t"
        f" WHERE {_ALIVE}"
    )


def absent(names: Names, table: Table) -> str:
    """Ids of living rows that a list omits. Parameters: the list's start, its keys."""
    return f"SELECT id FROM {names(table.name)} t WHERE {_ALIVE} AND {_absent(table)}"


def mark_absent(names: Names, table: Table) -> str:
    """Mark them deleted. Parameters: when, the run, the list's start, its keys."""
    return f"UPDATE {names(table.name)} t SET {_MARK} WHERE {_ALIVE} AND {_absent(table)}"


def mark_deleted(names: Names, table: Table) -> str:
    """Mark rows deleted by id. Parameters: when, the run, the ids."""
    return f"UPDATE {names(table.name)} SET {_MARK} WHERE {_ALIVE} AND id = ANY(%s)"


_MARK = "_deleted_at = %s, _changed_at = now(), _run_id = %s"


# -- what is there ---------------------------------------------------------------------------


def known(names: Names, table: Table) -> str:
    """Id, updated_at and _read_at of living rows. Parameter: ids."""
    return (
        f"SELECT id, updated_at, _read_at FROM {names(table.name)} WHERE id = ANY(%s) AND {_ALIVE}"
    )


def alive(names: Names, resource: Resource) -> str:
    """How many living rows a resource has. Parameters: the values of the columns it owns."""
    owns = "".join(f" AND {quote(column)} = %s" for column, _ in resource.owns)
    return f"SELECT count(*) FROM {names(resource.table.name)} WHERE {_ALIVE}{owns}"


def sample(names: Names, resource: Resource) -> str:
    """Ids of living rows by chance. Parameters: the values of the columns it owns, how many."""
    owns = "".join(f" AND {quote(column)} = %s" for column, _ in resource.owns)
    return (
        f"SELECT id FROM {names(resource.table.name)} WHERE {_ALIVE}{owns}"
        " ORDER BY random() LIMIT %s"
    )


def unfilled(names: Names, table: Table) -> str:
    """Placeholders worth asking for. Parameters: the table, tries allowed, how many."""
    return f"""
        SELECT o.id FROM {names(table.name)} o
        LEFT JOIN {names("sync_placeholders")} p ON p.table_name = %s AND p.id = o.id
        WHERE o._placeholder AND coalesce(p.attempts, 0) < %s
        ORDER BY p.attempts NULLS FIRST, o.id LIMIT %s"""


def note_tried(names: Names) -> str:
    """Count a try. Parameters: the table, ids."""
    return f"""
        INSERT INTO {names("sync_placeholders")} AS t (table_name, id)
        SELECT %s, id FROM unnest(%s::text[]) id ORDER BY id
        ON CONFLICT (table_name, id)
        DO UPDATE SET attempts = t.attempts + 1, last_tried_at = now()"""
