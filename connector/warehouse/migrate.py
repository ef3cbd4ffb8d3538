"""Brings a schema up to date with this version: Alembic's migrations, then the views."""

from __future__ import annotations

from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError

from connector.errors import SchemaTooNewError
from connector.warehouse.database import Database
from connector.warehouse.statements import quote
from connector.warehouse.views import refresh_views

_INSTALLED = Path(__file__).parents[1] / "migrations"
_CHECKOUT = Path(__file__).parents[2] / "migrations"
VERSION_TABLE = "sync_version"
VERSION_COMMENTS = (  # Alembic makes this table itself
    "COMMENT ON TABLE sync_version IS 'How far the schema has been migrated: one row.'",
    "COMMENT ON COLUMN sync_version.version_num IS 'Newest migration that has been applied'",
)


def configuration() -> Config:
    """Alembic's configuration; no file, the connection is given at run time."""
    config = Config()
    location = _INSTALLED if _INSTALLED.is_dir() else _CHECKOUT
    config.set_main_option("script_location", str(location).replace("%", "%%"))
    return config


def present(conn: sa.Connection, schema: str) -> str | None:
    """Revision of the schema; None if it is missing or empty."""
    if not sa.inspect(conn).has_table(VERSION_TABLE, schema=schema):
        return None
    options = {"version_table": VERSION_TABLE, "version_table_schema": schema}
    return MigrationContext.configure(conn, opts=options).get_current_revision()


def newest() -> str | None:
    """Revision that this version of the connector needs."""
    return ScriptDirectory.from_config(configuration()).get_current_head()


def check(conn: sa.Connection, schema: str) -> bool:
    """Whether the schema is up to date; SchemaTooNewError if a newer version migrated it."""
    revision = present(conn, schema)
    if revision is None:
        return False
    try:
        ScriptDirectory.from_config(configuration()).get_revision(revision)
    except CommandError as error:
        raise SchemaTooNewError(
            f"schema {schema} is at revision {revision}, which this version does not know:"
            " a newer version migrated it; upgrade intercom-warehouse"
        ) from error
    return revision == newest()


def migrate(database: Database) -> bool:
    """Create or upgrade the schema and its views in one transaction; whether anything was done."""
    return database.write(lambda conn: _migrate(conn, database.schema))


def _migrate(conn: sa.Connection, schema: str) -> bool:
    conn.execute(sa.text("SET LOCAL client_min_messages = warning"))
    if check(conn, schema):
        return False
    exists = sa.text("SELECT 1 FROM pg_namespace WHERE nspname = :name")
    if not conn.execute(exists, {"name": schema}).scalar():
        conn.execute(sa.schema.CreateSchema(schema))  # a role may own just its schema
    conn.execute(sa.select(sa.func.set_config("search_path", quote(schema), True)))
    config = configuration()
    config.attributes["connection"] = conn
    conn.dialect.default_schema_name = schema
    command.upgrade(config, "head")
    for sentence in VERSION_COMMENTS:
        conn.execute(sa.text(sentence))
    refresh_views(conn, schema)
    return True
