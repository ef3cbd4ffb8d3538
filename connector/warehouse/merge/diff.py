"""What a staged batch would change, found by one statement that only reads; executes nothing.

Each part of the batch has a temporary result of its own, from the deepest child up: "<table> met",
where each staged row meets the stored one; "<list> met", what of a link table is missing, told
anew or omitted; "<list> omitted", whose children are omitted; "<table> rows", which rows are to be
written. LATERAL with OFFSET 0 makes the planner look stored rows up by their index, whatever it
thinks of stages, of which it has no statistics; full joins keep it from comparing each with each.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache

from msgspec import Struct

from connector.resources.resource import Child, Link, Table
from connector.warehouse.encode.batch import Batch
from connector.warehouse.merge.content import (
    Absence,
    Family,
    contents,
    key_of,
    link_differs,
    outdated,
    same,
)
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.sql.rows import key_text
from connector.warehouse.sql.staging import stage

Outline = tuple[tuple[str, Absence], ...]  # of each table with staged rows, what its rows lack


class Found(Struct, frozen=True):
    """Staged rows of one outcome: how many, where in their stage, and their owners' ids or own.

    ``revived`` are the ids of those whose stored row is marked deleted.
    """

    number: int
    places: str | None  # tid[] as text
    ids: list[str]
    revived: list[str] | None = None


BELOW = "links or children"  # what differences call what differs there
Diff = Mapping[tuple[str, str], Found]  # by table and outcome: new, changed, outdated or omitted


def outline(batch: Batch) -> Outline:
    """What decides the statement besides the declarations."""
    return tuple((n, (s.absent, s.partial)) for n, s in batch.staged.items() if s.rows)


@lru_cache(maxsize=256)  # payloads vary in what they leave out
def diff(names: Names, table: Table, staged: Outline) -> str:
    """The outcomes of what is staged: name, outcome, number, places, ids.

    Parameters: by_id, lag, run_id, signed; named, for ids of all children too. Of outdated rows
    come their ids, of links and children that are omitted those of their owners. What belongs to
    rows that are new themselves, and so all new, is not looked at.
    """
    made = dict(_results(names, table, dict(staged)))
    results = ",\n".join(f"{quote(name)} AS MATERIALIZED ({query})" for name, query in made.items())
    return f"WITH {results}\n" + "\nUNION ALL ".join(_fates(table, dict(staged)))


@lru_cache(maxsize=256)
def differences(names: Names, table: Table, staged: Outline) -> str:
    """The names of the columns in which each staged row differs from the stored one, by key.

    Parameters: by_id, lag, run_id, signed.
    """
    made = dict(_results(names, table, dict(staged)))
    results = ",\n".join(f"{quote(name)} AS MATERIALIZED ({query})" for name, query in made.items())
    content = contents(names, table, dict(staged)[table.name], None)
    cases = [f"CASE WHEN o.{quote(table.key[0])} IS NULL THEN {literal('no row')} END"]
    cases += [f"CASE WHEN {c.differs} THEN {literal(name)} END" for name, c in content.items()]
    cases.append(f"CASE WHEN r.touched THEN {literal(BELOW)} END")
    return f"""WITH {results}
        SELECT {key_text(table, "s")}, array_remove(ARRAY[{", ".join(cases)}], NULL)
        FROM {stage(table.name)} s JOIN {quote(table.name + " rows")} r ON r.place = s.ctid
        LEFT JOIN {names(table.name)} o ON {same(table.key)}"""


def _results(
    names: Names, table: Table, staged: Mapping[str, Absence], parent: Family | None = None
) -> Iterator[tuple[str, str]]:
    """The temporary results of a table, its links and its children: name and query."""
    yield f"{table.name} met", _met(names, table, staged[table.name], parent)
    for link in table.links:
        yield f"{link.table} met", _link(names, table, link, link.table in staged)
    for child in table.children:
        if child.table.name in staged:
            yield from _results(names, child.table, staged, (table, child))
        yield f"{child.table.name} omitted", _owners_of_omitted(names, table, child)
    yield f"{table.name} rows", _rows(table, staged)


def _met(names: Names, table: Table, absence: Absence, parent: Family | None) -> str:
    """Staged rows with the stored ones: whether there is one, and whether it is to change."""
    key = key_of(table, parent)
    content = contents(names, table, absence, parent)
    differs = " OR ".join(f"({c.differs})" for c in content.values())
    own_id = f"s.{quote(key[0])}"
    if len(key) > 1 and not parent:  # nothing hangs on such rows
        own_id = key_text(table, "s")
    columns = [f"s.ctid AS place, {own_id} AS id, o.{quote(key[0])} IS NOT NULL AS known"]
    columns.append(
        f"coalesce({outdated(table, absence[0])}, false) AS outdated" if not parent else ""
    )
    columns.append(
        f"o.{quote(key[0])} IS NOT NULL"
        f" AND (o._placeholder OR o._deleted_at IS NOT NULL OR {differs}) AS changed"
    )
    columns.append("o._deleted_at IS NOT NULL AS dead" if not parent else "")
    lists = [link.table for link in table.links] + [c.table.name for c in table.children]
    columns += [f"s.{quote('_complete_' + name)}" for name in lists]
    if parent:
        own = quote(parent[1].parent)
        columns.append(f"s.{own} AS owner, o.{own} AS former")
    return f"""
        SELECT {", ".join(filter(None, columns))} FROM {stage(table.name)} s
        LEFT JOIN LATERAL (
            SELECT * FROM {names(table.name)} o WHERE {same(key)} OFFSET 0) o ON true"""


def _link(names: Names, owner: Table, link: Link, staged: bool) -> str:
    """Of owners that are stored: staged links that say something new, and omitted ones."""
    own, far, met = quote(link.owner), quote(link.target), quote(f"{owner.name} met")
    complete, told = quote(f"_complete_{link.table}"), link_differs(link)
    differs = f" OR {told}" if told else ""
    return f"""
        SELECT s.place, coalesce(s.{own}, o.{own}) AS owner, s.{own} IS NULL AS omitted
        FROM (
            SELECT o.*, p.{complete} FROM {met} p CROSS JOIN LATERAL (
                SELECT * FROM {names(link.table)} o WHERE o.{own} = p.id OFFSET 0) o
            WHERE p.known{"" if staged else f" AND p.{complete}"}
        ) o FULL JOIN (
            SELECT l.ctid AS place, l.* FROM {stage(link.table)} l
            WHERE l.{own} IN (SELECT id FROM {met} WHERE known)
        ) s ON s.{own} = o.{own} AND s.{far} = o.{far}
        WHERE s.{own} IS NULL AND o.{complete} OR o.{own} IS NULL{differs}"""


def _owners_of_omitted(names: Names, parent: Table, child: Child) -> str:
    """Owners of children that a complete list omits."""
    own, met = quote(child.parent), quote(f"{parent.name} met")
    key = "position" if child.table.positioned else "id"
    alive = " AND o._deleted_at IS NULL" if child.permanent else ""
    return f"""
        SELECT DISTINCT o.{own} AS owner
        FROM (
            SELECT o.* FROM {met} p CROSS JOIN LATERAL (
                SELECT o.{own}, o.{key} FROM {names(child.table.name)} o
                WHERE o.{own} = p.id{alive} OFFSET 0) o
            WHERE p.known AND p.{quote("_complete_" + child.table.name)}
        ) o FULL JOIN {stage(child.table.name)} s ON s.{own} = o.{own} AND s.{key} = o.{key}
        WHERE s.{key} IS NULL"""


def _rows(table: Table, staged: Mapping[str, Absence]) -> str:
    """The rows that met, and whether their links or children change."""
    touched = [f"SELECT owner FROM {quote(link.table + ' met')}" for link in table.links]
    for child in table.children:
        touched.append(f"SELECT owner FROM {quote(child.table.name + ' omitted')}")
        if child.table.name in staged:
            rows = quote(f"{child.table.name} rows")
            written = f"FROM {rows} WHERE NOT known OR changed OR touched"
            touched += [f"SELECT owner {written}", f"SELECT former {written}"]
    if not touched:
        return f"SELECT m.*, false AS touched FROM {quote(table.name + ' met')} m"
    return f"""
        SELECT m.*, t.owner IS NOT NULL AS touched FROM {quote(table.name + " met")} m
        LEFT JOIN (SELECT DISTINCT owner FROM ({" UNION ALL ".join(touched)}) a) t
            ON t.owner = m.id"""


def _fates(
    table: Table, staged: Mapping[str, Absence], parent: Family | None = None
) -> Iterator[str]:
    """Queries that gather what is to be done."""
    outdated = "WHEN outdated THEN 'outdated' " if not parent else ""
    always = table.links or not parent
    ids = "array_agg(id)" if always else "CASE WHEN %(named)s THEN array_agg(id) END"
    dead = "dead" if not parent else "false AS dead"
    yield f"""
        SELECT {literal(table.name)} AS name, outcome, count(*), array_agg(place)::text, {ids},
               array_agg(id) FILTER (WHERE dead)
        FROM (SELECT place, id, {dead}, CASE {outdated}WHEN NOT known THEN 'new'
                     WHEN changed OR touched THEN 'changed' END AS outcome
              FROM {quote(table.name + " rows")}) r
        WHERE outcome IS NOT NULL GROUP BY outcome"""
    for link in table.links:
        yield f"""
        SELECT {literal(link.table)}, CASE WHEN omitted THEN 'omitted' ELSE 'changed' END,
               count(*), array_agg(place)::text, array_agg(owner), NULL
        FROM {quote(link.table + " met")} GROUP BY omitted"""
    for child in table.children:
        if child.table.name in staged:
            yield from _fates(child.table, staged, (table, child))
        yield f"""
        SELECT {literal(child.table.name)}, 'omitted', count(*), NULL, array_agg(owner), NULL
        FROM {quote(child.table.name + " omitted")} HAVING count(*) > 0"""
