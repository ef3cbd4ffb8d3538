"""What needs Alembic itself: it is imported only where a schema is made, upgraded or adopted."""

from __future__ import annotations

import io
import re
from functools import cache
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.ddl.postgresql import PostgresqlImpl
from alembic.migration import MigrationContext
from alembic.operations import Operations
from alembic.script import ScriptDirectory

from connector.warehouse.schema import relations, version
from connector.warehouse.schema.relations import VERSION_TABLE
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.names import literal, quote
from connector.warehouse.views import adoption

VERSION_COMMENTS = (  # Alembic makes this table itself
    "COMMENT ON TABLE sync_version IS 'How far the schema has been migrated: one row.'",
    "COMMENT ON COLUMN sync_version.version_num IS 'Newest migration that has been applied'",
)


class Impl(PostgresqlImpl):
    """How Alembic speaks to Postgres: a table's comments in one round trip, not one for each."""

    __dialect__ = "postgresql"
    _gathered: list[str] | None = None  # comments of the table that is being created

    def create_table(self, table: sa.Table, **options: Any) -> None:
        """The table with all that belongs to it."""
        self._gathered = None if self.as_sql else []
        super().create_table(table, **options)
        gathered, self._gathered = self._gathered, None
        if gathered and self.connection is not None:
            execute(self.connection, "; ".join(gathered))

    def create_table_comment(self, table: sa.Table) -> None:
        if self._gathered is None:
            return super().create_table_comment(table)
        told = f"COMMENT ON TABLE {quote(table.name)} IS {literal(table.comment or '')}"
        return self._gathered.append(told)

    def create_column_comment(self, column: sa.Column[Any]) -> None:
        if self._gathered is None:
            return super().create_column_comment(column)
        place = f"{quote(column.table.name)}.{quote(column.name)}"
        told = f"COMMENT ON COLUMN {place} IS {literal(column.comment or '')}"
        return self._gathered.append(told)


_MADE = re.compile(r'^CREATE (?:UNIQUE )?(?:TABLE|INDEX) "?(\w+)"?', re.MULTILINE)


def configuration() -> Config:
    """Alembic's configuration; no file, the connection is given at run time."""
    config = Config()
    config.set_main_option("script_location", str(version.migrations()).replace("%", "%%"))
    return config


@cache
def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(configuration())


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


def upgrade(conn: sa.Connection, schema: str) -> None:
    """Apply the migrations that the schema lacks."""
    execute(conn, "SELECT set_config('search_path', %(path)s, true)", {"path": quote(schema)})
    config = configuration()
    config.attributes["connection"] = conn
    conn.dialect.default_schema_name = schema
    command.upgrade(config, "head")
    for sentence in VERSION_COMMENTS:
        execute(conn, sentence)
