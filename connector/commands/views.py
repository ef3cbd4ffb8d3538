"""``views``: appends the columns that the views lack, or makes them anew."""

from __future__ import annotations

import sys
from functools import partial

from connector.warehouse.sql.database import Database
from connector.warehouse.views import live


def run(database: Database, *, rebuild: bool) -> int:
    """Print what was done; 0, or 1 if a view could not be brought up to date.

    The caller holds the lock of the schema. Raises ViewsInUseError if they cannot be made anew.
    """
    if rebuild:
        left = database.write(lambda conn: live.rebuild(conn, database.schema))
        for name, reason in left.items():
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
    for name in live.makers():
        grown = database.write(partial(live.grow, schema=database.schema, view=name))
        if grown.refused:
            refused = True
            print(f"{name} was left as it is: {grown.refused}", file=sys.stderr)
        elif grown.columns:
            print(f"{name} has new columns: {', '.join(grown.columns)}")
    return refused
