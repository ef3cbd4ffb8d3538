"""Writes the next migration: what the declarations have and the migrations have not.

``make migration NAME=what_it_does`` calls it. It compares in a schema of its own on an embedded
Postgres that goes away again. Read the result before you commit it.
"""

import argparse
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from connector.errors import ConnectorError
from connector.warehouse.migrate import configuration, newest
from connector.warehouse.sql import embedded
from connector.warehouse.sql.database import Database

SCHEMA = "new_migration"
SLUG = 60  # characters of a name that go into the file's


def write(name: str) -> Path | None:
    """The file of the new migration; None if there is nothing to migrate."""
    with _empty_schema() as config:
        command.upgrade(config, "head")
        made: Any = command.revision(
            config,
            name.replace("_", " ").capitalize(),
            autogenerate=True,
            rev_id=f"{int(newest() or 0) + 1:04}",
            process_revision_directives=_drop_empty,
        )
    return _formatted(Path(made.path)) if made else None


@contextmanager
def _empty_schema() -> Iterator[Config]:
    """Alembic's configuration for an empty schema, which goes with its server."""
    with tempfile.TemporaryDirectory() as directory:
        server = embedded.start(Path(directory) / "data")
        database = Database(server.get_uri(), SCHEMA)
        try:
            with database.transaction() as conn:
                conn.execute(sa.schema.CreateSchema(SCHEMA))
                conn.execute(sa.text(f"SET LOCAL search_path TO {SCHEMA}"))
                conn.dialect.default_schema_name = SCHEMA
                config = configuration()
                config.set_main_option("truncate_slug_length", str(SLUG))
                config.cmd_opts = argparse.Namespace(quiet=True)
                config.attributes["connection"] = conn
                yield config
                conn.rollback()
        finally:
            database.close()
            embedded.stop(server)


def _drop_empty(context: object, revision: object, directives: list[Any]) -> None:
    """Keep Alembic from writing a file in which nothing happens."""
    if directives[0].upgrade_ops.is_empty():
        directives.clear()


def _formatted(path: Path) -> Path:
    for words in (("check", "--fix"), ("format",)):
        subprocess.run([sys.executable, "-m", "ruff", *words, "--quiet", path], check=True)
    return path


def named(text: str) -> str:
    """A name that can stand in the name of a file; ArgumentTypeError if it is none."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", text):
        raise argparse.ArgumentTypeError("say in_such_words what the migration does")
    return text


def main() -> None:
    """Write it and say where, or say that there is nothing to migrate."""
    parser = argparse.ArgumentParser(prog="make migration", description="Write a new migration.")
    parser.add_argument("NAME", type=named, help="what it does, in_such_words")
    try:
        path = write(parser.parse_args().NAME)
    except ConnectorError as error:
        sys.exit(str(error))
    written = path and f"migrations/versions/{path.name}: read it before you commit it"
    print(written or "nothing to migrate")


if __name__ == "__main__":
    main()
