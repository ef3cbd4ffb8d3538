"""``metrics``: tells how the stored figures of the metric views stand, or computes them anew."""

from __future__ import annotations

from functools import partial

from connector.warehouse.metrics import anew
from connector.warehouse.schema import figures
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import scalar
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.statistics import analyze


def run(database: Database, *, rebuild: bool) -> int:
    """Print what was done; 0, or 1 if figures wait for the next sync.

    The caller holds the lock of the schema if they are to be computed anew.
    """
    names = Names(database.schema)
    if rebuild:
        database.write(partial(anew.begin, again=True))
        while database.write(partial(anew.step, names=names)):
            pass
        database.write(partial(analyze, names=names, tables=figures.NAMES))
    count = f"SELECT count(*) FROM {names(figures.CONVERSATIONS.name)}"
    number, kept = database.read(lambda conn: (scalar(conn, count), anew.kept(conn)))
    print(f"figures of {number:,} conversations, days and months in {kept.timezone}")
    if kept.is_right:
        return 0
    print("they are to be computed anew, which the next whole sync does, or metrics --rebuild")
    return 1
