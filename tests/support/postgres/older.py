"""A schema as version 0.1.0 left it: its tables, some attributes, and its views."""

from __future__ import annotations

import psycopg
import sqlalchemy as sa
from alembic import command

from connector.warehouse import revisions
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.support.places import DATA

REVISION = "0002"
VIEWS = DATA / "views_of_0_1_0.sql"
# It put the comments of the tables' columns on the views'.
COMMENTS = """
    SELECT format('COMMENT ON COLUMN %%I.%%I.%%I IS %%L', n.nspname, v.relname, a.attname,
                  col_description(t.oid, b.attnum))
    FROM pg_class v JOIN pg_namespace n ON n.oid = v.relnamespace AND n.nspname = %s
    JOIN pg_class t ON t.relnamespace = n.oid AND t.relkind = 'r'
        AND (v.relname = t.relname || '_live'
             OR t.relname = 'contacts' AND v.relname IN ('users', 'leads'))
    JOIN pg_attribute a ON a.attrelid = v.oid AND a.attnum > 0
    JOIN pg_attribute b ON b.attrelid = t.oid AND b.attnum > 0 AND b.attname = a.attname
    WHERE v.relkind = 'v'"""


def migrate_to(database: Database, revision: str) -> None:
    """Alembic alone, up to a revision."""

    def work(conn: sa.Connection) -> None:
        conn.execute(sa.text(f'SET LOCAL search_path TO "{database.schema}"'))
        conn.dialect.default_schema_name = database.schema
        config = revisions.configuration()
        config.attributes["connection"] = conn
        command.upgrade(config, revision)

    database.write(work)


def build(database_url: str, schema: str) -> None:
    """Make the schema as version 0.1.0 did."""
    database = Database(database_url, schema)
    with database.transaction() as conn:
        conn.execute(sa.schema.CreateSchema(schema))
    migrate_to(database, REVISION)
    database.close()
    with psycopg.connect(conninfo(database_url), autocommit=True) as conn:
        conn.execute(VIEWS.read_text(encoding="utf-8").replace('"intercom".', f'"{schema}".'))
        for (statement,) in conn.execute(COMMENTS, [schema]).fetchall():
            conn.execute(statement)
