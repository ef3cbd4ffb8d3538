"""Who follows what is done to rows, declared: the one list.

A follower writes in the transaction of the changes (see ``changes``). The rooms that change rows,
``merge`` and ``privacy``, name none of them; whoever opens a transaction gives them the list.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import sqlalchemy as sa

from connector.resources import PERSONS, TABLE_BY_NAME, TABLES
from connector.resources.resource import Child, Table
from connector.warehouse.changes import Changes, Follower, relation
from connector.warehouse.merge import deletions
from connector.warehouse.metrics.follower import KeepFigures
from connector.warehouse.privacy import erasure
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.values.signatures import INTERCOM, Signatures

if TYPE_CHECKING:
    from connector.warehouse.history.kept import History


def declared(
    *,
    scrubs_deleted: bool = False,
    history: Mapping[str, History] | None = None,
    signatures: Signatures = INTERCOM,
) -> Sequence[Follower]:
    """All of them, in the order in which they follow.

    ``scrubs_deleted``: of a contact that is deleted at Intercom only the row stays, emptied.
    ``history`` is what is kept of the tables' rows, ``signatures`` what of a text is no content.
    """
    scrubs: list[Follower] = [ScrubDeleted()] if scrubs_deleted else []
    followers = [*scrubs, LetGo(), TouchParents(), KeepFigures()]
    if history:
        from connector.warehouse.history.follower import KeepVersions  # few keep any

        followers.append(KeepVersions(history, signatures))
    return followers


class ScrubDeleted:
    """Empties contacts that Intercom says are gone, whether or not they have a row here.

    Of those that live on in another contact only their own row is.
    """

    needs_children = needs_members = False

    def follow(self, conn: sa.Connection, names: Names, changes: Changes) -> Changes | None:
        """The rows that were emptied."""
        erased = Changes(changes.run_id)
        alike: dict[tuple[datetime, bool], list[str]] = defaultdict(list)
        for key, found in changes.deleted.get(PERSONS.name, {}).items():
            alike[found.at, found.merged].append(key)
        for at, merged in sorted(alike):
            reason = erasure.MERGED if merged else erasure.DELETED
            ids = alike[at, merged]
            erased.add(erasure.forget(conn, names, ids, reason, at, changes.run_id))
        return erased


class LetGo:
    """What was marked deleted is no known copy, and nothing waits for it any more."""

    needs_children = needs_members = False

    def follow(self, conn: sa.Connection, names: Names, changes: Changes) -> None:
        """Drops digests, candidates and pending entries."""
        for name in changes.deleted:
            if name in TABLE_BY_NAME:  # nothing waits for a child by its id
                deletions.let_go(conn, TABLE_BY_NAME[name], changes.marked(name))


class TouchParents:
    """A row of which a child was emptied has changed too."""

    needs_children = needs_members = False

    def follow(self, conn: sa.Connection, names: Names, changes: Changes) -> None:
        """Moves ``_changed_at`` of the parents."""
        for parent, child in _FAMILIES:
            keys = changes.erased.get(child.table.name)
            if not keys or not keys.keys:
                continue
            values = {"run_id": changes.run_id, "keys": list(keys.keys)}
            owners = "%(keys)s"
            if not child.table.positioned:
                rows = relation(names, child.table, keys.keys)
                owners = f"ARRAY(SELECT r.{quote(child.parent)} FROM {rows.text})"
                values |= rows.parameters
            execute(
                conn,
                f"UPDATE {names(parent.name)} SET _changed_at = now(), _run_id = %(run_id)s"
                f" WHERE id = ANY({owners})",
                values,
            )


def _families(table: Table) -> list[tuple[Table, Child]]:
    below = [one for child in table.children for one in _families(child.table)]
    return [*below, *((table, child) for child in table.children)]


_FAMILIES = [family for table in TABLES for family in _families(table)]
