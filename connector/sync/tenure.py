"""How a run takes its schema over, and how it leaves it: before the first pass, and at the end."""

from __future__ import annotations

import logging

import psycopg
import sqlalchemy as sa

from connector.errors import SettingsError
from connector.resources import RESOURCES
from connector.sync.options import Options
from connector.warehouse import migrate, state
from connector.warehouse.privacy import pinning
from connector.warehouse.schema import foreign_keys
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from connector.warehouse.state import mapping
from connector.warehouse.state.workspace import Workspace

logger = logging.getLogger(__name__)


def prepare(database: Database, auto_migrate: bool) -> None:
    """Bring an empty or older schema up to date, and refuse a newer one.

    Raises SchemaTooNewError; SettingsError if the schema is older and may not be migrated;
    NamesTakenError where somebody else's relations are in the way.
    """
    if auto_migrate:
        migrate.migrate(database)
        return
    database.write(lambda conn: migrate.refuse_taken(conn, database.schema))
    if not database.write(lambda conn: migrate.check(conn, database.schema)):
        raise SettingsError(
            f"schema {database.schema} is not up to date and CONNECTOR_AUTO_MIGRATE is 0;"
            " run 'intercom-warehouse migrate' as the role that owns it"
        )


def restore_keys(conn: sa.Connection, names: Names) -> None:
    """Restore the foreign keys that a run which was killed in a large first load left dropped."""
    try:
        with conn.begin_nested():
            restored = foreign_keys.restore(conn, names)
    except sa.exc.ProgrammingError as refusal:
        if not isinstance(refusal.orig, psycopg.errors.InsufficientPrivilege):
            raise
        logger.warning(
            "foreign keys are off since a first load that was killed, and only the owner of the"
            " tables can restore them: run 'intercom-warehouse sync' once as the owner"
        )
    else:
        if restored:
            logger.warning("foreign keys restored: %s", ", ".join(restored))


def admit(conn: sa.Connection, schema: str, options: Options) -> None:
    """Refuse what other exclusions than the pinned ones would undo; see ``pinning.admit``."""
    exclusions, lifts = options.privacy.exclusions, options.lift_exclusions
    pinning.admit(conn, schema, exclusions, whole=not options.partial, lifts=lifts)


def pin(conn: sa.Connection, workspace: Workspace, pinned: Workspace | None) -> None:
    """Pin the schema; another API version means other fields, so every full pass is owed."""
    if pinned is not None and pinned.api_version != workspace.api_version:
        logger.warning("API version is now %s: full passes are due", workspace.api_version)
        mapping.invalidate(conn, RESOURCES)
    state.pin(conn, workspace)


def end_early(database: Database, run_id: int, error: BaseException) -> None:
    """Record why the run stopped, if the database can still be told."""
    failed = isinstance(error, Exception) and not database.stopped.is_set()
    status = "failed" if failed else "interrupted"
    text = str(error) or type(error).__name__
    try:
        with database.transaction() as conn:
            state.finish_run(conn, run_id, status, text)
    except Exception as failure:
        logger.warning("the end of the run could not be recorded: %s", type(failure).__name__)
