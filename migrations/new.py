"""Writes a new migration: what the declarations have and the migrations have not.

``python migrations/new.py "What it adds"`` works in a schema of its own on an embedded Postgres
that goes away again. Read the result before you commit it.
"""

import sys
import tempfile
from pathlib import Path

import sqlalchemy as sa
from alembic import command

from connector.warehouse.migrate import configuration
from connector.warehouse.sql import embedded
from connector.warehouse.sql.database import Database

SCHEMA = "new_migration"


def write(message: str) -> None:
    """Bring an empty schema to the newest migration and let Alembic compare."""
    versions = list((Path(__file__).parent / "versions").glob("*.py"))
    with tempfile.TemporaryDirectory() as directory:
        server = embedded.start(Path(directory) / "data")
        database = Database(server.get_uri(), SCHEMA)
        try:
            with database.transaction() as conn:
                conn.execute(sa.text(f"CREATE SCHEMA {SCHEMA}"))
                conn.execute(sa.text(f"SET LOCAL search_path TO {SCHEMA}"))
                conn.dialect.default_schema_name = SCHEMA
                config = configuration()
                config.attributes["connection"] = conn
                if versions:
                    command.upgrade(config, "head")
                number = f"{len(versions) + 1:04}"
                command.revision(config, message, autogenerate=True, rev_id=number)
                conn.rollback()
        finally:
            database.close()
            server.cleanup()


if __name__ == "__main__":
    write(" ".join(sys.argv[1:]) or "Changes of the declarations")
