"""What differs in tags and companies: names that are to be put on or taken off, not whole lists."""

from __future__ import annotations

import sqlalchemy as sa

from connector.push.kinds import COMPANIES, Kind
from connector.push.kinds.digest import once_unescaped_sql
from connector.push.planning.match import ROWS
from connector.push.planning.model.columns import Model
from connector.push.planning.own import HITS, NEWEST
from connector.resources.resource import Link
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import living

TAGS_OF, COMPANIES_OF = "pg_temp._push_tags", "pg_temp._push_companies"


def compare_lists(conn: sa.Connection, names: Names, model: Model) -> dict[str, str]:
    """The tables of what differs, by the name in a body: n, ``wish`` and ``before``, both JSON."""
    made: dict[str, str] = {}
    execute(conn, f"DROP TABLE IF EXISTS {TAGS_OF}, {COMPANIES_OF}")
    if model.get("tags_add") or model.get("tags_remove"):
        execute(conn, f"CREATE TEMP TABLE {TAGS_OF} ON COMMIT DROP AS {_tags(names, model)}")
        made["tags"] = TAGS_OF
    if "companies" in model.kind.lists and model.get("company_id"):
        execute(
            conn, f"CREATE TEMP TABLE {COMPANIES_OF} ON COMMIT DROP AS {_companies(names, model)}"
        )
        made["companies"] = COMPANIES_OF
    for table in made.values():
        execute(conn, f"ANALYZE {table} (n)")
    return made


def _link(kind: Kind, refers_to: str) -> Link:
    assert kind.table
    return next(link for link in kind.table.links if link.refers_to == refers_to)


# -- tags ---------------------------------------------------------------------------------------


def _tags(names: Names, model: Model) -> str:
    link = _link(model.kind, "tags")
    has = f"""
        SELECT l.{quote(link.owner)} AS object_id, lower(t.name) AS name, t.name AS shown
        FROM {names(link.table)} l JOIN {names("tags")} t ON t.id = l.{quote(link.target)}
        WHERE {living("t")}"""
    return f"""
        WITH wished AS MATERIALIZED ({_wished_tags(model)}), has AS ({has}),
        sent AS ({_sent_tags()}), differs AS (
            SELECT w.n, w.object_id,
                jsonb_agg(w.name ORDER BY w.name) FILTER (WHERE w.adds) AS adds,
                jsonb_agg(w.name ORDER BY w.name) FILTER (WHERE NOT w.adds) AS removes
            FROM wished w
            LEFT JOIN (SELECT DISTINCT object_id, name FROM has) has
                ON has.object_id = w.object_id AND has.name = lower(w.name)
            LEFT JOIN sent ON sent.n = w.n AND sent.name = lower(w.name)
            WHERE coalesce(sent.adds, has.name IS NOT NULL) <> w.adds GROUP BY 1, 2
        )
        SELECT d.n,
            jsonb_strip_nulls(jsonb_build_object('add', d.adds, 'remove', d.removes)) AS wish,
            coalesce((SELECT jsonb_agg(has.shown ORDER BY has.shown) FROM has
                WHERE has.object_id = d.object_id), '[]') AS before
        FROM differs d"""


def _wished_tags(model: Model) -> str:
    """Each name once, as it is written first."""
    ways = [
        f"SELECT r.n, r.object_id, {adds} AS adds, t.name FROM {ROWS} r, unnest(r.{given.stage})"
        " t (name) WHERE t.name IS NOT NULL"
        for name, adds in (("tags_add", "true"), ("tags_remove", "false"))
        if (given := model.get(name))
    ]
    return (
        "SELECT DISTINCT ON (n, lower(name)) n, object_id, adds, name"
        f" FROM ({' UNION ALL '.join(ways)}) w ORDER BY n, lower(name), name"
    )


def _sent_tags() -> str:
    """What own wishes make of each name."""
    lists = {"true": "h.body -> 'tags' -> 'add'", "false": "h.body -> 'tags' -> 'remove'"}
    ways = [
        f"SELECT h.n, h.id, h.state, {adds} AS adds, lower(t.name) AS name FROM {HITS} h,"
        f" jsonb_array_elements_text({_array(names)}) t (name)"
        for adds, names in lists.items()
    ]
    return (
        "SELECT DISTINCT ON (h.n, h.name) h.n, h.name, h.adds"
        f" FROM ({' UNION ALL '.join(ways)}) h ORDER BY h.n, h.name, {NEWEST}"
    )


def _array(source: str) -> str:
    return f"CASE WHEN jsonb_typeof({source}) = 'array' THEN {source} ELSE '[]' END"


# -- companies ----------------------------------------------------------------------------------


def _companies(names: Names, model: Model) -> str:
    """The company of each row, where it is to be attached or has another name."""
    link, companies = _link(model.kind, COMPANIES.name), names(COMPANIES.name)
    company, name = f"r.{model.named('company_id')}", model.named("company_name")
    name = name if name.startswith("NULL") else f"r.{name}"
    shown = "coalesce(sent.name, c.name)"
    renamed = (
        f"({name} IS NOT NULL AND {name} IS DISTINCT FROM {shown}"
        f" AND {name} IS DISTINCT FROM {once_unescaped_sql(shown)})"
    )
    return f"""
        SELECT r.n, jsonb_build_array(jsonb_build_object('company_id', {company})
            || CASE WHEN {renamed} THEN jsonb_build_object('name', {name}) ELSE '{{}}' END) AS wish,
            CASE WHEN l.owner IS NULL THEN '[]' ELSE jsonb_build_array(
                jsonb_build_object('company_id', c.company_id, 'name', c.name)) END AS before
        FROM {ROWS} r
        LEFT JOIN (SELECT DISTINCT ON (company_id) * FROM {companies} c
            WHERE {living("c")} AND company_id IS NOT NULL ORDER BY company_id, id) c
            ON c.company_id = {company}
        LEFT JOIN (SELECT {quote(link.owner)} AS owner, {quote(link.target)} AS target
            FROM {names(link.table)}) l ON l.owner = r.object_id AND l.target = c.id
        LEFT JOIN ({_sent_companies()}) sent ON sent.n = r.n AND sent.company_id = {company}
        WHERE {company} IS NOT NULL AND ((l.owner IS NULL AND sent.n IS NULL) OR {renamed})"""


def _sent_companies() -> str:
    """Companies that own wishes attach, with the name that they give them."""
    companies = _array("h.body -> 'companies'")
    return (
        "SELECT DISTINCT ON (h.n, h.company_id) h.n, h.company_id, h.name FROM ("
        "SELECT h.n, h.id, h.state, e.company ->> 'company_id' AS company_id,"
        f" e.company ->> 'name' AS name FROM {HITS} h,"
        f" jsonb_array_elements({companies}) e (company)"
        " WHERE NOT coalesce(e.company ->> 'remove', '') = 'true') h"
        f" ORDER BY h.n, h.company_id, (h.name IS NULL), {NEWEST}"
    )
