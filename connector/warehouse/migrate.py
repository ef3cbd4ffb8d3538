"""Brings a schema up to date with this version: Alembic's migrations, then the views."""

from __future__ import annotations

import io
import logging
import re
from functools import cache, partial
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from connector.errors import (
    DatabaseLostError,
    SchemaBusyError,
    SchemaTooNewError,
    SettingsError,
)
from connector.warehouse.schema import relations
from connector.warehouse.schema.relations import VERSION_TABLE
from connector.warehouse.schema.version import has_column, present
from connector.warehouse.sql import locks
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.state.tables import RELATIONS
from connector.warehouse.views import adoption, live

logger = logging.getLogger(__name__)

_INSTALLED = Path(__file__).parents[1] / "migrations"
_CHECKOUT = Path(__file__).parents[2] / "migrations"
VERSION_COMMENTS = (  # Alembic makes this table itself
    "COMMENT ON TABLE sync_version IS 'How far the schema has been migrated: one row.'",
    "COMMENT ON COLUMN sync_version.version_num IS 'Newest migration that has been applied'",
)
_MADE = re.compile(r'^CREATE (?:UNIQUE )?(?:TABLE|INDEX) "?(\w+)"?', re.MULTILINE)


def configuration() -> Config:
    """Alembic's configuration; no file, the connection is given at run time."""
    config = Config()
    location = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    return config


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(configuration())


def newest() -> str | None:
    """Revision that this version of the connector needs."""
    return _scripts().get_current_head()


def check(conn: sa.Connection, schema: str) -> bool:
    """Whether the schema is up to date; SchemaTooNewError if a newer version migrated it."""
    revision = present(conn, schema)
    if revision is None:
        return False
    try:
        _scripts().get_revision(revision)
    except CommandError as error:
        raise SchemaTooNewError(
            f"schema {schema} is at revision {revision}, which this version does not know:"
            " a newer version migrated it; upgrade intercom-warehouse"
        ) from error
    return revision == newest()


def require_newest(conn: sa.Connection, schema: str) -> None:
    """SettingsError if the schema is older than this version; SchemaTooNewError if newer."""
    if not check(conn, schema):
        raise SettingsError(f"schema {schema} is older: run 'intercom-warehouse migrate' first")


# -- what is ours ----------------------------------------------------------------------------


def taken(conn: sa.Connection, schema: str) -> list[str]:
    """What somebody else has under names that this version needs; see ``relations.taken``."""
    ours, revision = _ours(conn, schema), present(conn, schema)
    return relations.taken(conn, schema, live.makers(), ours, revision)


def refuse_taken(conn: sa.Connection, schema: str) -> None:
    """Raise NamesTakenError if a name that this version needs is somebody else's."""
    relations.refuse(schema, taken(conn, schema))


def _ours(conn: sa.Connection, schema: str) -> set[str]:
    """The names of what was made here, by this version or an earlier one."""
    if not has_column(conn, schema, VERSION_TABLE, "version_num"):
        return set()
    check(conn, schema)
    if _has_notes(conn, schema):
        return relations.noted(conn)
    return made_by(present(conn, schema) or "base")


def _has_notes(conn: sa.Connection, schema: str) -> bool:
    known = has_column(conn, schema, RELATIONS.name, "fingerprint")
    return known and bool(relations.noted(conn))


def made_by(revision: str) -> set[str]:
    """The names of all that versions before the notes had made at a revision.

    Their migrations are told in SQL, without a database, and read for the names.
    """
    told = io.StringIO()
    options = {"as_sql": True, "output_buffer": told}
    context = MigrationContext.configure(dialect_name="postgresql", opts=options)
    with Operations.context(context):
        for script in reversed(list(_scripts().walk_revisions("base", revision))):
            script.module.upgrade()
    made = {VERSION_TABLE, *_MADE.findall(told.getvalue())}
    made.update(*(parts for name, parts in relations.tables().items() if name in made))
    made.update(*(relations.former(name) for name in relations.FORMER if name in made))
    return made | set(adoption.views_over(made))


# -- up ---------------------------------------------------------------------------------------


def migrate(database: Database) -> bool:
    """Create or upgrade the schema, then its views; whether anything was done.

    The tables come in one transaction, each view that others may be reading in one of its own.
    Raises NamesTakenError where somebody else's relations are in the way, and SchemaBusyError
    where tables stay locked; then nothing was changed. A view that cannot be brought up to date
    is a warning, and the next run's task.
    """
    schema = database.schema
    try:
        done = database.write(partial(_migrate, schema=schema))
    except DatabaseLostError as failure:
        if locks.is_busy(failure.__cause__):
            raise SchemaBusyError(_busy(database)) from failure
        raise
    if done:
        _bring_views(database)
    return done


def _busy(database: Database) -> str:
    who = database.write(lambda conn: locks.holders(conn, database.schema))
    return (
        f"schema {database.schema} could not be upgraded: others use its tables"
        f"{f' ({who})' if who else ''}; nothing was changed: end what they do, or try again later"
    )


def _migrate(conn: sa.Connection, schema: str) -> bool:
    execute(conn, "SET LOCAL client_min_messages = warning")
    refuse_taken(conn, schema)
    if check(conn, schema):
        return False
    exists = "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = %(name)s)"
    if not scalar(conn, exists, {"name": schema}):
        execute(conn, f"CREATE SCHEMA {quote(schema)}")  # a role may own just its schema
    revision = present(conn, schema)
    adopted = {}
    if revision and not _has_notes(conn, schema):
        adopted = adoption.adopt(conn, Names(schema), made_by(revision))
    with locks.briefly(conn):
        _upgrade(conn, schema)
    relations.note_tables(conn, schema)
    for name, made in adopted.items():
        relations.note(conn, name, made)
    if revision is None:  # nobody reads them yet
        live.refresh_views(conn, schema)
    return True


def _upgrade(conn: sa.Connection, schema: str) -> None:
    execute(conn, "SELECT set_config('search_path', %(path)s, true)", {"path": quote(schema)})
    config = configuration()
    config.attributes["connection"] = conn
    conn.dialect.default_schema_name = schema
    command.upgrade(config, "head")
    for sentence in VERSION_COMMENTS:
        execute(conn, sentence)


def _bring_views(database: Database) -> None:
    for view in database.write(partial(live.behind, schema=database.schema)):
        grown = database.write(partial(live.grow, schema=database.schema, view=view))
        if grown.refused:
            logger.warning("%s is not up to date: %s", view, grown.refused)
