"""The loader's SQL, made from the declarations; executes nothing.

Aliases are the same throughout: ``s`` is a staged row, ``o`` the stored row it meets, ``t`` the
table that is written.
"""

from __future__ import annotations

from collections.abc import Iterable

from connector.resources import TABLE_BY_NAME
from connector.resources.resource import Link, Resource, Table
from connector.warehouse.sql import rows
from connector.warehouse.sql.names import Names, quote

# -- what is gone ----------------------------------------------------------------------------


_ALIVE = rows.living()


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


def mark_absent(names: Names, table: Table) -> str:
    """Mark them deleted; their keys. Parameters: when, the run, the list's start, its keys."""
    return (
        f"UPDATE {names(table.name)} t SET {_MARK} WHERE {_ALIVE} AND {_absent(table)}"
        f" RETURNING {rows.key_text(table, 't')}"
    )


def mark_deleted(names: Names, table: Table) -> str:
    """Mark rows deleted, each at its own time; placeholders stay as they are.

    ``exact``: the times are Intercom's own, so they also correct what was only found out, and a
    copy that was requested more than ``lag`` later speaks against them. Ids come back with
    whether their rows lived until now. Parameters: the run, ids, times, exact, lag.
    """
    return f"""
        UPDATE {names(table.name)} o
        SET _deleted_at = v.at, _changed_at = now(), _run_id = %(run_id)s
        FROM unnest(%(ids)s::text[], %(times)s::timestamptz[]) v (id, at)
        JOIN {names(table.name)} b ON b.id = v.id
        WHERE o.id = b.id AND NOT o._placeholder AND CASE WHEN %(exact)s
            THEN o._deleted_at IS DISTINCT FROM v.at
                 AND (o._deleted_at IS NOT NULL OR o._read_at IS NULL
                      OR o._read_at <= v.at + %(lag)s)
            ELSE o._deleted_at IS NULL END
        RETURNING o.id, b._deleted_at IS NULL"""


def subject_of(tombstones: Table) -> Table:
    """The table whose rows tombstones say are gone."""
    assert tombstones.tombstone
    return TABLE_BY_NAME[tombstones.column(tombstones.tombstone[0]).refers_to]


def mark_merged(names: Names, tombstones: Table) -> str:
    """Mark placeholders deleted that tombstones say are gone, and correct times.

    Living rows are left alone. Ids come back with whether they were not deleted until now.
    Parameters: the time where the row tells none, the run, keys of the tombstones.
    """
    assert tombstones.tombstone
    subject, when = map(quote, tombstones.tombstone)
    target = subject_of(tombstones).name
    return f"""
        UPDATE {names(target)} o
        SET _deleted_at = coalesce(v.{when}, %(at)s), _changed_at = now(), _run_id = %(run_id)s
        FROM {names(tombstones.name)} v JOIN {names(target)} b ON b.id = v.{subject}
        WHERE o.id = b.id AND v.{subject} = ANY(%(ids)s)
          AND (o._placeholder AND o._deleted_at IS NULL OR o._deleted_at <> v.{when})
        RETURNING o.id, b._deleted_at IS NULL"""


def living_merged(names: Names, tombstones: Table) -> str:
    """The living rows that tombstones say are gone: ids, and when if it is told.

    Parameter: keys of the tombstones.
    """
    assert tombstones.tombstone
    subject, when = map(quote, tombstones.tombstone)
    target = subject_of(tombstones).name
    return (
        f"SELECT o.id, v.{when} FROM {names(tombstones.name)} v JOIN {names(target)} o"
        f" ON o.id = v.{subject} WHERE v.{subject} = ANY(%s)"
        f" AND {rows.living('o')}"
    )


def living(names: Names, table: Table) -> str:
    """Ids of the living rows among these. Parameter: ids."""
    return f"SELECT id FROM {names(table.name)} WHERE id = ANY(%s) AND {_ALIVE}"


def dead_since(names: Names, table: Table) -> str:
    """Id and time of the rows that are deleted, among these ids. Parameter: ids."""
    return (
        f"SELECT id, _deleted_at FROM {names(table.name)}"
        " WHERE id = ANY(%s) AND _deleted_at IS NOT NULL"
    )


_MARK = "_deleted_at = %s, _changed_at = now(), _run_id = %s"


# -- what is there ---------------------------------------------------------------------------


def known(names: Names, table: Table) -> str:
    """Id, updated_at, _read_at and created_at of living rows. Parameter: ids."""
    created_at = "created_at" if table.has_column("created_at") else "NULL"
    return (
        f"SELECT id, updated_at, _read_at, {created_at} FROM {names(table.name)}"
        f" WHERE id = ANY(%s) AND {_ALIVE}"
    )


def present(names: Names, table: Table) -> str:
    """Which keys have rows, of a table keyed by one column. Parameter: keys."""
    (key,) = map(quote, table.key)
    return f"""
        SELECT k.key FROM unnest(%s::text[]) k (key) CROSS JOIN LATERAL (
            SELECT o._placeholder FROM {names(table.name)} o WHERE o.{key} = k.key OFFSET 0) o
        WHERE true"""


def all_living(names: Names, resource: Resource) -> str:
    """The keys of all living rows."""
    key = rows.key_text(resource.table, "o")
    return f"SELECT {key} FROM {names(resource.table.name)} o WHERE {rows.own_living(resource)}"


def filled(names: Names, table: Table) -> str:
    """Which ids have rows that are no placeholders. Parameter: ids."""
    return f"SELECT id FROM {names(table.name)} WHERE id = ANY(%s) AND NOT _placeholder"


def owned(names: Names, resource: Resource) -> str:
    """Which ids have rows of the resource. Parameter: ids."""
    own = rows.owned(resource)
    return f"SELECT id FROM {names(resource.table.name)} WHERE {own} AND id = ANY(%s)"


def alive(names: Names, resource: Resource, *, before: bool = False) -> str:
    """How many living rows a resource has; created before the parameter, if one is given."""
    condition = rows.own_living(resource) + (" AND created_at < %s" if before else "")
    return f"SELECT count(*) FROM {names(resource.table.name)} WHERE {condition}"


def died_since(names: Names, resource: Resource) -> str:
    """How many rows were marked deleted since. Parameter: the time."""
    table, own = names(resource.table.name), rows.owned(resource)
    return f"SELECT count(*) FROM {table} WHERE {own} AND _deleted_at >= %s"


def newest(names: Names, resource: Resource) -> str:
    """Id and updated_at of the living rows that changed last. Parameter: how many at most."""
    return (
        f"SELECT id, updated_at FROM {names(resource.table.name)}"
        f" WHERE {rows.own_living(resource)} AND updated_at IS NOT NULL"
        " ORDER BY updated_at DESC, id LIMIT %s"
    )


def children_alive(names: Names, child: Table) -> str:
    """How many rows of a child table live."""
    return f"SELECT count(*) FROM {names(child.name)} WHERE _deleted_at IS NULL"


def cut_owners(names: Names, resource: Resource, link: Link) -> str:
    """Its living rows that have more links than are embedded. Parameter: how many are.

    They are counted once: where nothing is known of the rows, Postgres would count for each.
    """
    own = quote(link.owner)
    return (
        f"WITH many AS MATERIALIZED (SELECT {own} AS id FROM {names(link.table)}"
        f" GROUP BY {own} HAVING count(*) > %s)"
        f" SELECT o.id FROM many JOIN {names(resource.table.name)} o ON o.id = many.id"
        f" WHERE {rows.own_living(resource, 'o')}"
    )


def cut_links(names: Names, resource: Resource, link: Link) -> str:
    """The links of some of those owners: target, owners.

    Parameters: how many are embedded, id after which to begin, how many owners.
    """
    own, target = quote(link.owner), quote(link.target)
    return (
        f"WITH cut AS (SELECT o.id FROM ({cut_owners(names, resource, link)}) o"
        " WHERE o.id > %s ORDER BY o.id LIMIT %s)"
        f" SELECT l.{target}, array_agg(l.{own} ORDER BY l.{own}) FROM {names(link.table)} l"
        f" JOIN cut ON cut.id = l.{own} GROUP BY l.{target} ORDER BY l.{target}"
    )


def cut_searches(names: Names, resource: Resource, link: Link) -> str:
    """How many searches name all those links.

    Parameters: how many are embedded, how many owners one search names.
    """
    own, target = quote(link.owner), quote(link.target)
    return (
        f"WITH cut AS ({cut_owners(names, resource, link)})"
        " SELECT coalesce(sum(ceil(l.number / %s::numeric)), 0) FROM ("
        f" SELECT count(*) AS number FROM {names(link.table)} l JOIN cut ON cut.id = l.{own}"
        f" GROUP BY l.{target}) l"
    )


def miscounted(names: Names, table: Table, link: Link, column: str) -> str:
    """Targets that count other than so many living owners.

    Intercom does not say whether it counts leads: whichever agrees more often is what it does.
    """
    own, target = quote(link.owner), quote(link.target)
    return (
        "WITH counts AS ("
        f" SELECT t.id, t.{quote(column)} AS told, count(o.id) AS everyone,"
        " count(o.id) FILTER (WHERE o.role = 'user') AS users"
        f" FROM {names(link.refers_to)} t"
        f" LEFT JOIN {names(link.table)} l ON l.{target} = t.id"
        f" LEFT JOIN {names(table.name)} o ON o.id = l.{own} AND {rows.living('o')}"
        " GROUP BY t.id)"
        " SELECT c.id FROM counts c, (SELECT count(*) FILTER (WHERE told = everyone) >="
        " count(*) FILTER (WHERE told = users) AS is_everyone FROM counts) s"
        " WHERE c.told IS DISTINCT FROM CASE WHEN s.is_everyone THEN c.everyone ELSE c.users END"
    )


def sample(names: Names, resource: Resource) -> str:
    """Ids of living rows by chance. Parameter: how many."""
    return (
        f"SELECT id FROM {names(resource.table.name)} WHERE {rows.own_living(resource)}"
        " ORDER BY random() LIMIT %s"
    )


def others(names: Names, table: Table) -> str:
    """Ids of living rows of the table by chance. Parameters: ids that are left out, how many."""
    return (
        f"SELECT id FROM {names(table.name)} WHERE {_ALIVE} AND id <> ALL (%s)"
        " ORDER BY random() LIMIT %s"
    )


def unfilled(names: Names, table: Table, referring: Iterable[tuple[str, str]] | None) -> str:
    """Placeholders worth asking for, but those that are pending.

    Parameters: the table, tries allowed, resources that read it by id, how many. ``referring``:
    only those that one of these (table, column) refers to; None for all.
    """
    some = ""
    if referring is not None:
        told = [
            f"o.id IN (SELECT {quote(c)} FROM {names(t)} WHERE {quote(c)} IS NOT NULL)"
            for t, c in referring
        ]
        some = f"AND ({' OR '.join(told) or 'false'})"
    return f"""
        SELECT o.id FROM {names(table.name)} o
        LEFT JOIN {names("sync_placeholders")} p ON p.table_name = %s AND p.id = o.id
        WHERE o._placeholder AND o._deleted_at IS NULL AND coalesce(p.attempts, 0) < %s
          AND NOT EXISTS (SELECT FROM {names("sync_pending")} w
                          WHERE w.resource = ANY(%s) AND w.id = o.id) {some}
        ORDER BY p.attempts NULLS FIRST, o.id LIMIT %s"""


def note_tried(names: Names) -> str:
    """Count tries. Parameters: the table, how many, ids."""
    return f"""
        INSERT INTO {names("sync_placeholders")} AS t (table_name, attempts, id)
        SELECT %s, %s, id FROM unnest(%s::text[]) id ORDER BY id
        ON CONFLICT (table_name, id)
        DO UPDATE SET attempts = t.attempts + excluded.attempts, last_tried_at = now()"""
