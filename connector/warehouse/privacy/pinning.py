"""Holds a schema to what whole runs keep out of it; knows names and fingerprints, no key.

What was last in force stands in ``sync_exclusions``. Once a whole run has pinned it, nobody writes
under other exclusions by accident: more of them take effect with the next whole run, fewer only
where that is asked for.
"""

from __future__ import annotations

from collections.abc import Iterable

import sqlalchemy as sa
from msgspec import Struct

from connector.errors import SettingsError
from connector.warehouse.encode.exclusions import Exclusions
from connector.warehouse.privacy import cleaning, wishes
from connector.warehouse.schema import version
from connector.warehouse.sql.execute import names_of, scalars
from connector.warehouse.sql.names import Names
from connector.warehouse.state import mapping
from connector.warehouse.state.tables import EXCLUSIONS, WORKSPACE

NULL = "null"  # the manner of what is not stored at all
MOST_NAMES = 10  # that a message tells


class Difference(Struct, frozen=True):
    """How the exclusions of the settings differ from the pinned ones, by the fields' names.

    ``added`` are kept out of more strictly, ``lifted`` less; ``rehashed`` are hashed with
    another key.
    """

    added: tuple[str, ...] = ()
    lifted: tuple[str, ...] = ()
    rehashed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.added or self.lifted or self.rehashed)

    @property
    def reveals(self) -> bool:
        """Whether values would come in that are kept out now."""
        return bool(self.lifted or self.rehashed)

    def __str__(self) -> str:
        told = [
            f"no longer excluded: {_listed(self.lifted)}" if self.lifted else "",
            f"hashed with another CONNECTOR_HASH_KEY: {_listed(self.rehashed)}"
            if self.rehashed
            else "",
            f"newly excluded: {_listed(self.added)}" if self.added else "",
        ]
        return "; ".join(filter(None, told))


def names(conn: sa.Connection) -> list[str]:
    """The fields that are kept out of the schema now, or that hashes stand for."""
    query = sa.select(EXCLUSIONS.c.name).where(EXCLUSIONS.c.manner != cleaning.LIFTED)
    return sorted(conn.execute(query).scalars())


def admit(
    conn: sa.Connection, schema: str, exclusions: Exclusions, *, whole: bool, lifts: bool = False
) -> None:
    """SettingsError, telling what to do, if a command may not write under these exclusions.

    ``whole``: it is a run over everything, which may exclude more, and with ``lifts`` less. Works
    on a schema of an older version too.
    """
    found = difference(conn, schema, exclusions)
    if not found or (whole and (lifts or not found.reveals)):
        return
    do = "set CONNECTOR_EXCLUDE and CONNECTOR_HASH_KEY as the nightly sync does, or run "
    if found.reveals:
        do += "'sync --lift-exclusions' once (without --only): values that may be stored again"
        do += " come back with the full passes that are then due"
    else:
        do += "'sync' once (without --only): it takes what is newly excluded out of the tables"
    raise SettingsError(f"{told(found, schema)}; nothing was changed; {do}")


def told(found: Difference, schema: str) -> str:
    """The difference in a sentence."""
    return f"CONNECTOR_EXCLUDE is not what schema {schema} is pinned to: {found}"


def difference(conn: sa.Connection, schema: str, exclusions: Exclusions) -> Difference:
    """What is pinned against these exclusions; none where nothing is pinned yet."""
    pinned = manners(conn, schema)
    if pinned is None:
        return Difference()
    wanted = {rule.name: exclusions.manner(rule) for rule in exclusions.rules}
    both = [name for name in wanted if name in pinned and wanted[name] != pinned[name]]
    return Difference(
        added=_sorted(wanted.keys() - pinned.keys(), (n for n in both if wanted[n] == NULL)),
        lifted=_sorted(pinned.keys() - wanted.keys(), (n for n in both if pinned[n] == NULL)),
        rehashed=_sorted(n for n in both if NULL not in (wanted[n], pinned[n])),
    )


def manners(conn: sa.Connection, schema: str) -> dict[str, str] | None:
    """The pinned exclusions, by name how they are stored; None if none are pinned yet."""
    if version.present(conn, schema) is None or not _was_pinned(conn, schema):
        return None
    if not sa.inspect(conn).has_table(EXCLUSIONS.name, schema=schema):
        return {}
    query = sa.select(EXCLUSIONS.c.name, EXCLUSIONS.c.manner)
    rows = conn.execute(query.where(EXCLUSIONS.c.manner != cleaning.LIFTED))
    return {row.name: row.manner for row in rows}


def _was_pinned(conn: sa.Connection, schema: str) -> bool:
    """Before there was a column for it, every sync pinned them with the workspace."""
    rows = scalars(conn, f"SELECT to_jsonb(w) FROM {Names(schema)(WORKSPACE.name)} w")
    return any(row.get("exclusions_pinned_at", row["pinned_at"]) is not None for row in rows)


def apply(conn: sa.Connection, exclusions: Exclusions, *, pins: bool) -> None:
    """Put the exclusions into force, and pin them if told to.

    What is stored otherwise is then to be cleaned, and full passes are due; all in one transaction.
    """
    changed = cleaning.begin(conn, exclusions)
    tables = {name.partition(".")[0] for name in changed}
    mapping.invalidate(conn, mapping.filled_by(tables))
    if changed:
        wishes.exclude(conn, names_of(conn))
    if pins:
        at = WORKSPACE.c.exclusions_pinned_at
        new = sa.true() if changed else at.is_(None)
        conn.execute(sa.update(WORKSPACE).where(new).values(exclusions_pinned_at=sa.func.now()))


def _sorted(*names: Iterable[str]) -> tuple[str, ...]:
    return tuple(sorted({name for some in names for name in some}))


def _listed(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more
