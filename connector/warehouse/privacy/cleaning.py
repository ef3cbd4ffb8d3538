"""Takes newly excluded values out of what is stored already: in batches, once, resumable.

Knows tables and ``extra``, not what is read from Intercom. A value is hashed only where it can
be no hash already: after another key, or where the exclusion was lifted for a while, what is
stored is emptied instead, so that no join ever mixes keys; the next full pass fills it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.dialects.postgresql import insert

from connector.resources import TABLES
from connector.resources.resource import Kind, Table
from connector.warehouse import state
from connector.warehouse.encode.exclusions import Exclusions, Rule
from connector.warehouse.privacy import past
from connector.warehouse.schema import damage, versions
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute, fetch
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.sql.types import sql_type
from connector.warehouse.state.tables import EXCLUSIONS
from connector.warehouse.values.fields import dumps

BATCH = 2_000  # rows of one transaction
LIFTED = "lifted"  # the manner of what is excluded no more, but may stand there hashed


class _Place(Struct, frozen=True):
    """One stored table: its key columns with their types, and its parent's key in a child."""

    name: str
    key: tuple[tuple[str, str], ...]
    table: Table | None = None  # None: a link table, which has no extra and no bookkeeping
    parent: tuple[str, str] = ("", "")  # column, table
    versions_of: str = ""  # the table of whose rows it holds versions

    @property
    def declared(self) -> str:
        """The table whose rules hold for it."""
        return self.versions_of or self.name

    @property
    def has_bookkeeping(self) -> bool:
        return self.table is not None and not self.versions_of


def clean(database: Database, exclusions: Exclusions, command: str) -> None:
    """Go on with a cleaning that was interrupted, as a run of that command, if there is one.

    The caller holds the lock, and knows that these exclusions are those in force.
    """
    names = Names(database.schema)
    if not database.write(lambda conn: _is_due(conn, exclusions)):
        return
    run_id = database.write(lambda conn: state.start_run(conn, command))
    while database.write(lambda conn: step(conn, names, exclusions, run_id)):
        pass
    database.write(lambda conn: state.finish_run(conn, run_id, "succeeded"))


def _is_due(conn: sa.Connection, exclusions: Exclusions) -> bool:
    """Whether a cleaning was interrupted, and these exclusions are those that it is for."""
    query = sa.select(EXCLUSIONS).where(EXCLUSIONS.c.cleaned_at.is_(None))
    due = {row.name: row.manner for row in conn.execute(query)}
    known = {rule.name: exclusions.manner(rule) for rule in exclusions.rules}
    return bool(due) and due.items() <= known.items()


def begin(conn: sa.Connection, exclusions: Exclusions) -> list[str]:
    """Note what is newly excluded, excluded in another manner, or excluded no more; its names."""
    stored = {row.name: row for row in conn.execute(sa.select(EXCLUSIONS))}
    changed = []
    for rule in exclusions.rules:
        manner, before = exclusions.manner(rule), stored.pop(rule.name, None)
        if before is None or before.manner != manner:
            _note(conn, rule.name, manner, hashing=rule.hashed and before is None)
            changed.append(rule.name)
    for name, before in stored.items():
        if before.manner == LIFTED:
            continue
        changed.append(name)
        if before.manner == "null" and before.cleaned_at is not None:
            conn.execute(sa.delete(EXCLUSIONS).where(EXCLUSIONS.c.name == name))
        else:
            lifted = {"manner": LIFTED, "position": sa.null(), "cleaned_at": sa.func.now()}
            conn.execute(sa.update(EXCLUSIONS).where(EXCLUSIONS.c.name == name).values(lifted))
    return changed


def _note(conn: sa.Connection, name: str, manner: str, *, hashing: bool) -> None:
    values = {"manner": manner, "hashing": hashing, "position": sa.null(), "cleaned_at": None}
    row = insert(EXCLUSIONS).values(name=name, **values)
    conn.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))


def is_needed(conn: sa.Connection) -> bool:
    """Whether anything is still to be cleaned."""
    waiting = sa.exists().where(EXCLUSIONS.c.cleaned_at.is_(None))
    return bool(conn.execute(sa.select(waiting)).scalar())


def step(conn: sa.Connection, names: Names, exclusions: Exclusions, run_id: int) -> bool:
    """Clean one batch of rows; whether there was any left to clean."""
    query = sa.select(EXCLUSIONS).where(EXCLUSIONS.c.cleaned_at.is_(None))
    waiting = conn.execute(query.order_by(EXCLUSIONS.c.name)).all()
    if not waiting:
        return False
    position = waiting[0].position  # those that began together go on together
    group = {row.name: row.hashing for row in waiting if row.position == position}
    some = exclusions.only(group)
    reached = _clean(conn, names, some, group, position, run_id)
    values: dict[str, Any] = {"position": reached if reached else sa.null()}
    if reached is None:
        values["cleaned_at"] = sa.func.now()
    conn.execute(
        sa.update(EXCLUSIONS).where(EXCLUSIONS.c.name.in_(group)).values(values),
    )
    return True


def _clean(
    conn: sa.Connection,
    names: Names,
    exclusions: Exclusions,
    hashing: dict[str, bool],
    position: dict[str, Any] | None,
    run_id: int,
) -> dict[str, Any] | None:
    """Clean the rows after the position; the new position, or None at the end of all tables."""
    reached, last_key = (position["table"], position["after"]) if position else ("", ())
    for place in _places_here(conn):
        if place.name < reached:  # the table that was reached may be gone by now
            continue
        after: Sequence[str] = last_key if place.name == reached else ()
        batch = _Batch(names, place, exclusions, hashing)
        last = batch.clean(conn, after, run_id) if batch.concerned else None
        if last is not None:
            return {"table": place.name, "after": last}
    return None


class _Batch:
    """Some rows of one table, read, cleaned and written."""

    def __init__(
        self, names: Names, place: _Place, exclusions: Exclusions, hashing: dict[str, bool]
    ) -> None:
        self.names, self.place, self.exclusions = names, place, exclusions
        rules = [rule for rule in exclusions.rules if rule.table == place.declared]
        own = [rule for rule in rules if not rule.key]
        self.hashed = {rule.column: rule for rule in own if hashing[rule.name]}
        self.emptied = {rule.column for rule in own} | {
            c for rule in own for c in rule.other_shapes
        }
        self.emptied -= self.hashed.keys()
        self.entries: dict[str, list[Rule]] = {}
        for rule in rules:
            if rule.key and rule.column != "extra":
                self.entries.setdefault(rule.column, []).append(rule)
        self.hashing = hashing
        self.extra = exclusions.extra_keys(place.table) if place.table else []

    @property
    def concerned(self) -> bool:
        return bool(self.hashed or self.emptied or self.entries or self.extra)

    def clean(self, conn: sa.Connection, after: Sequence[str], run_id: int) -> list[str] | None:
        """Clean the rows after a key; the last one's key, or None if no more follow."""
        rows = fetch(conn, self._select(bool(after)), [*after, BATCH])
        if rows:
            values = [self._cleaned(row) for row in rows]
            arrays = [list(column) for column in zip(*values, strict=True)]
            run = [run_id] if self.place.has_bookkeeping else []
            written = execute(conn, self._update(), [*run, *arrays])
            damage.require_kept(conn, self.place.name, len(rows), written.rowcount)
            if self.place.parent[0]:
                self._touch(conn, list({owner for (owner,) in written}), run_id)
        return (
            [str(value) for value in rows[-1][: len(self.place.key)]]
            if len(rows) == BATCH
            else None
        )

    def _cleaned(self, row: Sequence[Any]) -> list[Any]:
        """Key, hashes, maps and extra, as they are to be stored."""
        keys, rest = list(row[: len(self.place.key)]), iter(row[len(self.place.key) :])
        cleaned = [self.exclusions.stored(rule, next(rest)) for rule in self.hashed.values()]
        for rules in self.entries.values():
            cleaned.append(self._map(rules, next(rest)))
        if self.extra and self.place.table:
            extra = next(rest)
            kept = extra and self.exclusions.extra(self.place.table, extra)
            cleaned.append(dumps(kept) if kept else None)
        return keys + cleaned

    def _map(self, rules: list[Rule], stored: Any) -> str | None:
        if type(stored) is not dict:
            return None
        kept = dict(stored)
        for rule in rules:
            value = kept.pop(rule.key, None)
            if self.hashing[rule.name] and type(value) is str:
                kept[rule.key] = self.exclusions.stored(rule, value)
        return dumps(kept)

    # -- SQL -----------------------------------------------------------------------------------

    def _select(self, further: bool) -> str:
        keys = [name for name, _ in self.place.key]
        read = [*(f"{quote(key)}::text" for key in keys), *map(quote, self.hashed)]
        read += [*map(quote, self.entries), *(["extra"] if self.extra else [])]
        due = [f"{quote(name)} IS NOT NULL" for name in (*self.hashed, *sorted(self.emptied))]
        for column, rules in self.entries.items():
            due.append(f"jsonb_exists_any({quote(column)}, {_texts(r.key for r in rules)})")
        if self.extra:
            due.append(f"jsonb_exists_any(extra, {_texts(self.extra)})")
        start = ""
        if further:
            typed = ", ".join(f"%s::{kind}" for _, kind in self.place.key)
            start = f"({', '.join(map(quote, keys))}) > ({typed}) AND "
        return (
            f"SELECT {', '.join(read)} FROM {self.names(self.place.name)}"
            f" WHERE {start}({' OR '.join(due)}) ORDER BY {', '.join(map(quote, keys))} LIMIT %s"
        )

    def _update(self) -> str:
        given = [*self.hashed, *self.entries, *(["extra"] if self.extra else [])]
        sets = [f"{quote(name)} = v.{quote(name)}" for name in self.hashed]
        sets += [f"{quote(name)} = v.{quote(name)}::jsonb" for name in given[len(self.hashed) :]]
        sets += [f"{quote(name)} = NULL" for name in sorted(self.emptied)]
        if self.place.has_bookkeeping:
            sets += ["_changed_at = now()", "_run_id = %s"]
        arrays = ", ".join("%s::text[]" for _ in (*self.place.key, *given))
        columns = ", ".join(map(quote, [*(name for name, _ in self.place.key), *given]))
        same = " AND ".join(f"t.{quote(k)} = v.{quote(k)}::{kind}" for k, kind in self.place.key)
        returning = f" RETURNING t.{quote(self.place.parent[0])}" if self.place.parent[0] else ""
        return (
            f"UPDATE {self.names(self.place.name)} t SET {', '.join(sets)}"
            f" FROM unnest({arrays}) v ({columns}) WHERE {same}{returning}"
        )

    def _touch(self, conn: sa.Connection, owners: list[str], run_id: int) -> None:
        """A row whose children changed has changed: its parent, once per run."""
        execute(
            conn,
            f"UPDATE {self.names(self.place.parent[1])} SET _changed_at = now(), _run_id = %s"
            " WHERE id = ANY(%s) AND _run_id IS DISTINCT FROM %s",
            [run_id, owners, run_id],
        )


def _places_here(conn: sa.Connection) -> list[_Place]:
    """Those, and the versions of their rows."""
    key = (("id", "text"), ("valid_from", "timestamptz"))
    found = [
        _Place(versions.name_of(table), key, table, versions_of=table.name)
        for table in past.versioned(conn)
    ]
    return sorted([*_places(), *found], key=lambda place: place.name)


@cache
def _places() -> tuple[_Place, ...]:
    """Every table that holds objects, links or children, always in the same order."""
    return tuple(
        sorted((place for table in TABLES for place in _below(table)), key=lambda place: place.name)
    )


def _below(table: Table, parent: tuple[str, str] = ("", "")) -> Iterator[_Place]:
    if table.positioned:
        key: tuple[tuple[str, str], ...] = ((parent[0], "text"), ("position", "integer"))
    else:
        key = tuple((name, _type(table, name)) for name in table.key)
    yield _Place(table.name, key, table, parent)
    for link in table.links:
        yield _Place(link.table, ((link.owner, "text"), (link.target, "text")))
    for child in table.children:
        yield from _below(child.table, (child.parent, table.name))


def _type(table: Table, name: str) -> str:
    column = table.column(name)
    return "text" if column.kind is Kind.ID else sql_type(column)


def _texts(values: Any) -> str:
    return f"ARRAY[{', '.join(literal(value) for value in values)}]::text[]"
