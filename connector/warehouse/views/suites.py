"""Suites of views: those beside their tables, and those that stand in a schema of their own.

A view is called by its label, which is its name, behind that of its suite where this has one:
``contacts_live``, ``fivetran.contact_history``. Under its label it is noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import sqlalchemy as sa
from msgspec import Struct

from connector.warehouse.schema.relations import made
from connector.warehouse.sql.names import Names
from connector.warehouse.views import definitions, standing
from connector.warehouse.views.definitions import Maker
from connector.warehouse.views.standing import Stored

LONGEST = 63  # bytes of an identifier of PostgreSQL


class Suite(Struct, frozen=True):
    """Views that stand in one schema; ``name`` is "" for those beside their tables."""

    name: str
    makers: Callable[[], Mapping[str, Maker]]

    @property
    def mark(self) -> str:
        """What begins its labels; under it is noted that the suite was made."""
        return f"{self.name}." if self.name else ""

    def label(self, view: str) -> str:
        """What one of its views is called."""
        return self.mark + view

    def place(self, names: Names) -> Names:
        """Names in the schema of its views, where their tables have these names."""
        return Names(f"{names.schema}_{self.name}") if self.name else names


def _fivetran() -> Mapping[str, Maker]:
    from connector.warehouse.views.fivetran.shape import makers  # only where it was made

    return makers()


OWN = Suite("", definitions.makers)
FIVETRAN = Suite("fivetran", _fivetran)
APART = {suite.name: suite for suite in (FIVETRAN,)}
"""The suites that are made where they are asked for, by name."""


def found(label: str) -> tuple[Suite, str]:
    """The suite of a view, and its name there."""
    name, dot, view = label.partition(".")
    return (APART[name], view) if dot else (OWN, label)


def shown(schema: str, label: str) -> str:
    """What people call a view."""
    suite, view = found(label)
    return f"{suite.place(Names(schema)).schema}.{view}" if suite.name else view


# -- as they stand ---------------------------------------------------------------------------


def stored(
    conn: sa.Connection, names: Names, suite: Suite, views: Iterable[str] = ()
) -> dict[str, Stored]:
    """These views of the suite as they are stored, by name; all if none are named."""
    wanted = list(views or suite.makers())
    return standing.look(conn, suite.place(names), wanted, mark=suite.mark)


def stands(views: Mapping[str, Stored]) -> bool:
    """Whether any of these is a view that was made: who drops all of them wants none."""
    return any(one.made is not None and one.kind == "v" for one in views.values())


def standing_apart(conn: sa.Connection, names: Names) -> list[Suite]:
    """The suites that were made where they were asked for, and stand."""
    noted = made(conn, [suite.mark for suite in APART.values()])
    there = [suite for suite in APART.values() if suite.mark in noted]
    return [suite for suite in there if stands(stored(conn, names, suite))]


def labels(conn: sa.Connection, schema: str) -> list[str]:
    """All views that are kept up to date in this schema or for it, by label."""
    every = (OWN, *standing_apart(conn, Names(schema)))
    return [suite.label(view) for suite in every for view in suite.makers()]
