"""What may be asked of stored rows; writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa
from msgspec import Struct

from connector.resources.lists import EMBEDDED, NAMED
from connector.resources.resource import Link, Resource, Table
from connector.warehouse.merge import statements
from connector.warehouse.sql.execute import fetch, scalar, scalars
from connector.warehouse.sql.names import Names, quote


class Known(Struct, frozen=True):
    """What a living row says of its times; ``read_at`` is when its copy was asked for."""

    updated_at: datetime | None
    read_at: datetime | None
    created_at: datetime | None


class Rows:
    """The rows of one schema."""

    def __init__(self, names: Names) -> None:
        self.names = names

    def sample(self, conn: sa.Connection, resource: Resource, size: int) -> list[str]:
        """Ids of so many living rows of the resource, chosen by chance."""
        return scalars(conn, statements.sample(self.names, resource), [size])

    def others(self, conn: sa.Connection, table: Table, ids: Sequence[str], size: int) -> list[str]:
        """Ids of so many living rows of the table, chosen by chance, that are not among these."""
        return scalars(conn, statements.others(self.names, table), [list(ids), size])

    def known(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> dict[str, Known]:
        """The times of the living rows among these ids."""
        found = fetch(conn, statements.known(self.names, table), [list(ids)])
        return {key: Known(*times) for key, *times in found}

    def died_since(self, conn: sa.Connection, resource: Resource, since: datetime) -> int:
        """How many rows of the resource were marked deleted since then."""
        return int(scalar(conn, statements.died_since(self.names, resource), [since]))

    def newest(
        self, conn: sa.Connection, resource: Resource, most: int
    ) -> Sequence[tuple[str, datetime]]:
        """Id and updated_at of the living rows that changed last, so many at most."""
        return fetch(conn, statements.newest(self.names, resource), [most])

    def alive(self, conn: sa.Connection, resource: Resource, before: datetime | None = None) -> int:
        """How many living rows the resource has in its table; of those created before then."""
        if before is None:
            return int(scalar(conn, statements.alive(self.names, resource)))
        return int(scalar(conn, statements.alive(self.names, resource, before=True), [before]))

    def cut_requests(self, conn: sa.Connection, resource: Resource) -> int:
        """How many requests at least confirm the lists of which Intercom embeds only a part."""
        number = 0
        for link in resource.table.links:
            if link.complete and link.complete.searched:
                query = statements.cut_searches(self.names, resource, link)
                number += int(scalar(conn, query, [EMBEDDED, NAMED]))
            elif link.complete:
                counted = bool(link.complete.counted)
                number += len(self.cut_owners(conn, resource, link, counted=counted))
        return number

    def cut_owners(
        self, conn: sa.Connection, resource: Resource, link: Link, *, counted: bool = False
    ) -> list[str]:
        """The living rows of which Intercom embeds only a part of the list.

        ``counted``: those alone that are linked to what counts another number of such rows.
        """
        query = statements.cut_owners(self.names, resource, link)
        if not counted:
            return scalars(conn, query, [EMBEDDED])
        assert link.complete
        miscounted = statements.miscounted(self.names, resource.table, link, link.complete.counted)
        query += (
            f" AND o.id IN (SELECT {quote(link.owner)} FROM {self.names(link.table)}"
            f" WHERE {quote(link.target)} IN ({miscounted}))"
        )
        return scalars(conn, query, [EMBEDDED])

    def cut_links(
        self, conn: sa.Connection, resource: Resource, link: Link, after: str, most: int
    ) -> tuple[dict[str, list[str]], str]:
        """The owners by target, of so many whose lists are cut; the id after which others come."""
        query = statements.cut_links(self.names, resource, link)
        found = dict(fetch(conn, query, [EMBEDDED, after, most]))
        owners = {owner for some in found.values() for owner in some}
        return found, max(owners) if len(owners) == most else ""

    def present(
        self, conn: sa.Connection, table: Table, keys: Sequence[str], *, filled: bool = False
    ) -> set[str]:
        """Which of these keys the table has rows for; ``filled``: that are no placeholders."""
        query = statements.present(self.names, table) + (" AND NOT _placeholder" if filled else "")
        return set(scalars(conn, query, [list(keys)]))

    def all_living(self, conn: sa.Connection, resource: Resource) -> set[str]:
        """The keys of all its living rows, as ``compare`` names them."""
        return set(scalars(conn, statements.all_living(self.names, resource)))

    def filled(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> set[str]:
        """Which of these ids have a row that is no placeholder, deleted ones included."""
        return set(scalars(conn, statements.filled(self.names, table), [list(ids)]))

    def owned(self, conn: sa.Connection, resource: Resource, ids: Sequence[str]) -> set[str]:
        """Which of these ids have a row that is the resource's own."""
        return set(scalars(conn, statements.owned(self.names, resource), [list(ids)]))

    def linked(self, conn: sa.Connection, link: Link, owners: Sequence[str]) -> dict[str, set[str]]:
        """What the link table links to each of these owners, for those that have any."""
        owner, target = quote(link.owner), quote(link.target)
        query = (
            f"SELECT {owner}, array_agg({target}) FROM {self.names(link.table)}"
            f" WHERE {owner} = ANY(%s) GROUP BY {owner}"
        )
        return {key: set(found) for key, found in fetch(conn, query, [list(owners)])}

    def oldest_read(self, conn: sa.Connection, table: Table) -> datetime | None:
        """When the oldest copy that is stored was requested; None if there is none."""
        found: datetime | None = scalar(conn, f"SELECT min(_read_at) FROM {self.names(table.name)}")
        return found

    def unfilled(
        self,
        conn: sa.Connection,
        table: Table,
        tries: int,
        most: int,
        readers: Sequence[str] = (),
        referring: Sequence[tuple[str, str]] | None = None,
    ) -> list[str]:
        """Placeholders that were asked for by id fewer than ``tries`` times, at most ``most``.

        What is pending under one of the names of ``readers`` is left out. ``referring``: only
        those that one of these (table, column) refers to.
        """
        values = [table.name, tries, list(readers), most]
        return scalars(conn, statements.unfilled(self.names, table, referring), values)

    def living_merged(
        self, conn: sa.Connection, tombstones: Table, keys: Sequence[str]
    ) -> dict[str, datetime | None]:
        """The living rows that these tombstones say are gone, and since when."""
        return dict(fetch(conn, statements.living_merged(self.names, tombstones), [list(keys)]))

    def living(self, conn: sa.Connection, table: Table, ids: Sequence[str]) -> set[str]:
        """Which of these rows live."""
        return set(scalars(conn, statements.living(self.names, table), [list(ids)]))

    def dead_since(
        self, conn: sa.Connection, table: Table, ids: Sequence[str]
    ) -> dict[str, datetime]:
        """When those of these rows were deleted that are."""
        return dict(fetch(conn, statements.dead_since(self.names, table), [list(ids)]))
