"""How a run takes its schema over, before the first pass, and how it leaves it.

Which workspace the token opens, and whether it is the one that the schema mirrors, comes first.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence

import psycopg
import sqlalchemy as sa

from connector.errors import (
    BadAnswerError,
    SettingsError,
    TokenRefusedError,
    WrongWorkspaceError,
)
from connector.intercom.client import Client
from connector.intercom.tokens.token import Token
from connector.resources import RESOURCES
from connector.sync.options import Options
from connector.warehouse import migrate, rights, state
from connector.warehouse.privacy import pinning
from connector.warehouse.schema import foreign_keys, version, versions
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from connector.warehouse.state import mapping
from connector.warehouse.state.runs import Tally
from connector.warehouse.state.workspace import Workspace

logger = logging.getLogger(__name__)


# -- which workspace it is --------------------------------------------------------------------


async def opened_by(client: Client) -> Workspace:
    """The workspace that the client's tokens open; each is asked.

    TokenRefusedError if none opens any, WrongWorkspaceError if they open several. One that is
    refused drops out while others are left; one that answers again, and opens the workspace of the
    others, comes back.
    """
    opened, refused = dict[int, Workspace](), dict[int, TokenRefusedError]()
    for token in client.tokens:
        try:
            opened[token.position] = await opened_with(client, token)
        except TokenRefusedError as error:
            refused[token.position] = error
    if not opened:
        raise refused[client.tokens.first.position]
    workspace = _one_of(opened)
    client.tokens.readmit(opened)
    for token in client.tokens:
        if token.position in refused:
            client.tokens.drop(token, refused[token.position])
    return workspace


def _one_of(opened: Mapping[int, Workspace]) -> Workspace:
    (first, workspace), *others = opened.items()
    for position, other in others:
        if other.id_code != workspace.id_code:
            raise WrongWorkspaceError(
                f"token {position} of INTERCOM_ACCESS_TOKEN opens the workspace {other.name!r}"
                f" ({other.id_code}), but token {first} opens {workspace.name!r}"
                f" ({workspace.id_code}): all must be of one workspace"
            )
    return workspace


async def opened_with(client: Client, token: Token) -> Workspace:
    """The workspace that this token opens; TokenRefusedError if it opens none."""
    reply = await client.using(token).request("GET", "/me")
    me = reply.json()
    app = me.get("app") if isinstance(me, dict) else None
    if not isinstance(app, dict) or not isinstance(app.get("id_code"), str):
        raise BadAnswerError(
            "the reply names no workspace", method="GET", path="/me", status=reply.status
        )
    return Workspace(
        id_code=app["id_code"],
        name=_text(app.get("name")),
        region=_text(app.get("region")),
        timezone=_text(app.get("timezone")),
        api_version=client.version,
    )


def _text(value: object) -> str | None:
    return value.replace("\0", "") if isinstance(value, str) else None


def admit_same(
    conn: sa.Connection, workspace: Workspace, schema: str, options: Options
) -> Workspace | None:
    """Like ``check_same``, and refuses exclusions that may not be; see ``admit``."""
    pinned = check_same(conn, workspace, schema)
    admit(conn, schema, options)
    return pinned


def check_same(conn: sa.Connection, workspace: Workspace, schema: str) -> Workspace | None:
    """What the schema is pinned to, if anything; WrongWorkspaceError if to another workspace.

    Raises SchemaTooNewError for a schema of a newer version.
    """
    if version.present(conn, schema) is None:
        return None
    migrate.check(conn, schema)
    pinned = state.pinned(conn)
    if pinned and pinned.id_code != workspace.id_code:
        raise WrongWorkspaceError(
            f"schema {schema} mirrors the workspace {pinned.name!r} ({pinned.id_code}), but the"
            f" token opens {workspace.name!r} ({workspace.id_code}); give this workspace a schema"
            " of its own with INTERCOM_SCHEMA or --schema, or use the other token"
        )
    return pinned


# -- how the schema is taken over ------------------------------------------------------------


def take_over(
    database: Database,
    workspace: Workspace,
    options: Options,
    of: Mapping[str, Sequence[str]] | None = None,
) -> None:
    """Bring the schema up to date and pin it, unless it is; raises like ``check_same``.

    ``of``: see ``rights.Needs``.
    """
    history = () if of is not None else options.begins_history
    needs = rights.Needs(options.auto_migrate, stages=True, of=of, history=history)
    rights.require(database, needs)

    def is_ready(conn: sa.Connection) -> bool:
        pinned = check_same(conn, workspace, database.schema)
        return pinned is not None and migrate.check(conn, database.schema)

    if database.write(is_ready):
        database.write(lambda conn: admit(conn, database.schema, options))
        return
    database.lock(options.lock_patience)
    try:
        pinned = database.write(lambda conn: admit_same(conn, workspace, database.schema, options))
        prepare(database, options.auto_migrate, options.begins_history)
        database.write(lambda conn: pin(conn, workspace, pinned))
    finally:
        database.unlock()


def prepare(database: Database, auto_migrate: bool, history: Collection[str] = ()) -> None:
    """Bring an empty or older schema up to date, and refuse a newer one.

    ``history`` are the tables of which it is to be kept. Raises SchemaTooNewError; SettingsError if
    the schema is older, or lacks tables of versions, and may not be migrated; NamesTakenError where
    somebody else's relations are in the way.
    """
    if auto_migrate:
        migrate.migrate(database, history)
        return
    database.write(lambda conn: migrate.refuse_taken(conn, database.schema, history))
    if not database.write(lambda conn: migrate.check(conn, database.schema)):
        raise SettingsError(
            f"schema {database.schema} is not up to date and CONNECTOR_AUTO_MIGRATE is 0;"
            " run 'intercom-warehouse migrate' as the role that owns it"
        )
    lacking = history and database.write(lambda conn: versions.lacking(conn, history))
    if lacking:
        raise SettingsError(
            f"schema {database.schema} has no tables for the history of {', '.join(lacking)} and"
            " CONNECTOR_AUTO_MIGRATE is 0; run 'intercom-warehouse migrate' with CONNECTOR_HISTORY"
            " set, as the role that owns it"
        )


def restore_keys(conn: sa.Connection, names: Names) -> None:
    """Restore the foreign keys that a run which was killed in a large first load left dropped."""
    try:
        with conn.begin_nested():
            restored = foreign_keys.restore(conn, names)
    except psycopg.errors.InsufficientPrivilege:
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
    """Pin the schema; another API version means other fields, so every full pass is due."""
    if pinned is not None and pinned.api_version != workspace.api_version:
        logger.warning("API version is now %s: full passes are due", workspace.api_version)
        mapping.invalidate(conn, RESOURCES)
    state.pin(conn, workspace)


def end_early(
    database: Database, run_id: int, error: BaseException, tallies: Mapping[str, Tally]
) -> None:
    """Record why the run stopped, and what it did so far, if the database can still be told."""
    failed = isinstance(error, Exception) and not database.stopped.is_set()
    status = "failed" if failed else "interrupted"
    text = str(error) or type(error).__name__
    try:
        with database.transaction() as conn:
            state.finish_run(conn, run_id, status, text, tallies)
    except Exception as failure:
        logger.warning("the end of the run could not be recorded: %s", type(failure).__name__)
