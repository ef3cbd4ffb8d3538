"""``forget``: empties contacts on demand and keeps them so; says what was done, not about whom."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from connector.resources import PERSONS
from connector.warehouse import followers, state
from connector.warehouse.changes import follow
from connector.warehouse.privacy import erasure
from connector.warehouse.schema import version
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import scalars
from connector.warehouse.sql.names import Names

logger = logging.getLogger(__name__)


def run(database: Database, ids: Sequence[str], *, as_json: bool, unknown: bool) -> int:
    """Forget the contacts, each in one transaction; 0, or 1 if nothing is stored of one.

    An id with a slip in it must not pass for an erasure that was done; ``unknown`` says that
    nothing may be stored. The caller holds the schema's lock.
    """
    run_id = database.write(lambda conn: state.start_run(conn, "forget"))
    emptied: dict[str, int] = {}
    for key in dict.fromkeys(ids):
        emptied[key] = database.write(partial(_forget, database=database, key=key, run_id=run_id))
    database.write(lambda conn: state.finish_run(conn, run_id, "succeeded"))
    stored = database.write(lambda conn: _stored(conn, database, list(emptied)))
    nowhere = [key for key, rows in emptied.items() if not rows and key not in stored]
    if as_json:
        print(json.dumps({"run_id": run_id, "emptied": emptied, "unknown": nowhere}))
    else:
        _print(emptied, stored)
    for key in [] if unknown else nowhere:
        logger.warning(
            "no contact %s is in the warehouse, nothing was emptied; look whether the id is right"
            " (with --unknown that is no failure)",
            key,
        )
    return 1 if nowhere and not unknown else 0


def _print(emptied: Mapping[str, int], stored: Collection[str]) -> None:
    for key, rows in emptied.items():
        if key in stored:
            print(f"contact {key}: {rows} rows emptied; every sync will keep it so")
        else:
            print(f"contact {key}: not in the warehouse; {rows} rows emptied, will stay forgotten")


def _forget(conn: sa.Connection, *, database: Database, key: str, run_id: int) -> int:
    state.fence(conn, run_id)
    names = Names(database.schema)
    changes = erasure.forget(conn, names, [key], erasure.FORGOTTEN, None, run_id)
    follow(conn, names, changes, followers.declared())
    return changes.number_erased


def _stored(conn: sa.Connection, database: Database, ids: list[str]) -> set[str]:
    """Those of the ids that are stored as contacts."""
    contacts = Names(database.schema)(PERSONS.name)
    return set(scalars(conn, f"SELECT id FROM {contacts} WHERE id = ANY(%s)", [ids]))


def _forgotten(conn: sa.Connection, schema: str) -> list[tuple[str, datetime, str]]:
    if version.present(conn, schema) is None:
        return []
    return erasure.forgotten(conn, Names(schema))


def undo(database: Database, ids: Sequence[str], *, as_json: bool) -> int:
    """Forget them no more; the next sync brings back what Intercom still has. Returns 0."""
    names = Names(database.schema)
    number = database.write(lambda conn: erasure.remember(conn, names, list(ids)))
    if as_json:
        print(json.dumps({"remembered": number}))
    else:
        print(f"{number} contacts are no longer forgotten; the next sync brings their data back")
    return 0


def show(database: Database, *, as_json: bool) -> int:
    """Print who is forgotten, since when and why. Returns 0."""
    database.wait()
    found = database.read(lambda conn: _forgotten(conn, database.schema))
    rows = [
        {"contact_id": key, "forgotten_at": at.isoformat(), "reason": reason}
        for key, at, reason in found
    ]
    if as_json:
        print(json.dumps(rows))
    for row in [] if as_json else rows:
        print(f"{row['contact_id']}  {row['forgotten_at']}  {row['reason']}")
    return 0
