"""Brings a schema up to date with this version: Alembic's migrations, then the views."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from functools import partial

import sqlalchemy as sa

from connector.errors import (
    DatabaseLostError,
    SchemaBusyError,
    SchemaTooNewError,
    SettingsError,
)
from connector.warehouse.schema import relations, version, versions
from connector.warehouse.schema.relations import VERSION_TABLE
from connector.warehouse.schema.version import has_column, present
from connector.warehouse.sql import locks
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.state.tables import RELATIONS
from connector.warehouse.views import live, suites

logger = logging.getLogger(__name__)


def check(conn: sa.Connection, schema: str) -> bool:
    """Whether the schema is up to date; SchemaTooNewError if a newer version migrated it."""
    revision = present(conn, schema)
    if revision is None:
        return False
    if revision not in version.known():
        raise SchemaTooNewError(
            f"schema {schema} is at revision {revision}, which this version does not know:"
            " a newer version migrated it; upgrade intercom-warehouse"
        )
    return revision == version.newest()


def require_newest(conn: sa.Connection, schema: str) -> None:
    """SettingsError if it is older than this version, or none; SchemaTooNewError if newer."""
    if present(conn, schema) is None:
        raise SettingsError(
            f"there is no warehouse in schema {schema}: is that its name? 'sync' or 'migrate' makes"
            " one"
        )
    if not check(conn, schema):
        raise SettingsError(f"schema {schema} is older: run 'intercom-warehouse migrate' first")


# -- what is ours ----------------------------------------------------------------------------


def taken(conn: sa.Connection, schema: str, history: Iterable[str] = ()) -> list[str]:
    """What somebody else has under names that this version needs; see ``relations.taken``.

    ``history`` are the tables of which it is to be kept. What of that was dropped is not ours any
    more, whoever bears its name.
    """
    ours, revision = _ours(conn, schema), present(conn, schema)
    for made in versions.needed(versions.lacking(conn, history)):
        ours = ours - dict(relations.parts(made)).keys()
    return relations.taken(conn, schema, live.needed(), ours, revision, versions.needed(history))


def refuse_taken(conn: sa.Connection, schema: str, history: Iterable[str] = ()) -> None:
    """Raise NamesTakenError if a name that this version needs is somebody else's."""
    relations.refuse(schema, taken(conn, schema, history))


def _ours(conn: sa.Connection, schema: str) -> set[str]:
    """The names of what was made here, by this version or an earlier one."""
    if not has_column(conn, schema, VERSION_TABLE, "version_num"):
        return set()
    check(conn, schema)
    if _has_notes(conn, schema):
        return relations.noted(conn)
    from connector.warehouse import revisions

    return revisions.made_by(present(conn, schema) or "base")


def _has_notes(conn: sa.Connection, schema: str) -> bool:
    known = has_column(conn, schema, RELATIONS.name, "fingerprint")
    return known and bool(relations.noted(conn))


# -- up ---------------------------------------------------------------------------------------


def migrate(database: Database, history: Collection[str] = ()) -> bool:
    """Create or upgrade the schema, then its views; whether anything was done.

    Tables of versions are made for ``history``, and those that are there grow.

    The tables come in one transaction, each view that others may be reading in one of its own.
    Raises NamesTakenError where somebody else's relations are in the way, and SchemaBusyError
    where tables stay locked; then nothing was changed. A view that cannot be brought up to date
    is a warning, and the next run's task.
    """
    schema = database.schema
    try:
        done = database.write(partial(_migrate, schema=schema, history=history))
    except DatabaseLostError as failure:
        if locks.is_busy(failure.__cause__):
            raise SchemaBusyError(_busy(database)) from failure
        raise
    if done:
        _bring_views(database)
    return done


def _busy(database: Database) -> str:
    who = database.write(lambda conn: locks.holders(conn, database.schema))
    how = f"others use its tables ({who})" if who else "others are changing something in it"
    return (
        f"schema {database.schema} could not be made or upgraded: {how}; nothing was changed: end"
        " what they do, or try again later"
    )


def _migrate(conn: sa.Connection, schema: str, history: Collection[str]) -> bool:
    execute(conn, "SET LOCAL client_min_messages = warning")
    refuse_taken(conn, schema, history)
    if check(conn, schema):
        return bool(history) and _bring_history(conn, history)
    from connector.warehouse import revisions
    from connector.warehouse.history import tables
    from connector.warehouse.views import adoption

    exists = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(name)s)"
    if not scalar(conn, exists, {"name": schema}):
        with locks.briefly(conn):  # somebody else may be making it
            execute(conn, f"CREATE SCHEMA {quote(schema)}")  # a role may own just its schema
    revision = present(conn, schema)
    adopted = {}
    if revision and not _has_notes(conn, schema):
        adopted = adoption.adopt(conn, Names(schema), revisions.made_by(revision))
    with locks.briefly(conn):
        revisions.upgrade(conn, schema)
    relations.note_tables(conn, schema)
    for name, made in adopted.items():
        relations.note(conn, name, made)
    tables.bring(conn, history)
    if revision is None:  # nobody reads them yet
        live.refresh_views(conn, schema)
    return True


def _bring_history(conn: sa.Connection, history: Collection[str]) -> bool:
    if not versions.lacking(conn, history):
        return False
    from connector.warehouse.history import tables

    return tables.bring(conn, history)


def _bring_views(database: Database) -> None:
    for label in database.write(partial(live.behind, schema=database.schema)):
        grown = database.write(partial(live.grow, schema=database.schema, view=label))
        if grown.refused:
            view = suites.shown(database.schema, label)
            logger.warning("%s is not up to date: %s", view, grown.refused)
