"""``views``: appends the columns that the views lack, makes them anew, or in another shape too."""

from __future__ import annotations

import sys
from functools import partial

from connector.errors import DatabaseRefusedError
from connector.warehouse import rights
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from connector.warehouse.views import apart, live, suites
from connector.warehouse.views.suites import FIVETRAN, Suite


def run(database: Database, *, rebuild: bool, fivetran: bool = False) -> int:
    """Print what was done; 0, or 1 if a view could not be brought up to date.

    The caller holds the lock of the schema. Raises ViewsInUseError if they cannot be made anew,
    and DatabaseRefusedError if the role may not make those of Fivetran's shape.
    """
    if fivetran:
        if reason := begin(database, FIVETRAN):
            print(f"the views of Fivetran's shape were not made: {reason}", file=sys.stderr)
            return 1
        place = FIVETRAN.place(Names(database.schema)).schema
        print(f"the views of Fivetran's shape stand in the schema {place}")
    if rebuild:
        left = database.write(lambda conn: live.rebuild(conn, database.schema))
        for label, reason in left.items():
            name = suites.shown(database.schema, label)
            print(f"{name} was left as it is: {reason}", file=sys.stderr)
        print("the views show living attributes only")
        return 1 if left else 0
    refused = grow(database)
    if not refused:
        print("the views are up to date")
    return 1 if refused else 0


def grow(database: Database) -> bool:
    """Make and append what lacks, and print it; whether a view could not be brought up to date."""
    refused = False
    for label in database.write(partial(suites.labels, schema=database.schema)):
        grown = database.write(partial(live.grow, schema=database.schema, view=label))
        name = suites.shown(database.schema, label)
        if grown.refused:
            refused = True
            print(f"{name} was left as it is: {grown.refused}", file=sys.stderr)
        elif grown.made:
            print(f"{name} was made")
        elif grown.columns:
            print(f"{name} has new columns: {', '.join(grown.columns)}")
    return refused


def begin(database: Database, suite: Suite) -> str:
    """Make a suite of views in a schema of its own; why that is not possible, or "".

    Raises DatabaseRefusedError, saying what an admin must run, if the role lacks a right.
    """
    place = suite.place(Names(database.schema)).schema
    if refused := database.write(partial(rights.to_make_schema, schema=place)):
        raise DatabaseRefusedError(refused)
    return database.write(partial(apart.begin, schema=database.schema, suite=suite))
