"""Writes the next migration: what the declarations have and the migrations have not.

``make migration NAME=what_it_does`` calls it. It compares in a schema of its own on an embedded
Postgres that goes away again. Foreign keys get their names here, and what a new one would not find
gets a placeholder. Read the result before you commit it.
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
from alembic.operations import ops

from connector.errors import ConnectorError
from connector.resources import TABLE_BY_NAME
from connector.warehouse.revisions import configuration
from connector.warehouse.schema.version import newest
from connector.warehouse.sql import embedded
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import quote

VERSIONS = Path(__file__).parent / "versions"
SCHEMA = "new_migration"
SLUG = 60  # characters of a name that go into the file's
LONGEST = 63  # characters of a name that Postgres keeps


def write(name: str) -> Path | None:
    """The file of the new migration; None if there is nothing to migrate.

    ConnectorError if it could not be undone.
    """
    with _empty_schema() as config:
        command.upgrade(config, "head")
        made: Any = command.revision(
            config,
            name.replace("_", " ").capitalize(),
            autogenerate=True,
            rev_id=f"{int(newest() or 0) + 1:04}",
            process_revision_directives=_finish,
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


def refuse_a_second(versions: Path = VERSIONS) -> None:
    """ConnectorError if the newest migration is not committed, as far as Git knows any."""
    committed = _committed(versions)
    last = max(path.name for path in versions.glob("*.py"))
    if committed and last not in committed:
        raise ConnectorError(
            f"migrations/versions/{last} is not committed yet. Delete it first, and this makes one"
            " migration of all that the declarations have; or commit it if it is to stay as it is"
        )


def _committed(folder: Path) -> set[str]:
    """The names of its modules in the last commit; none outside a repository or without Git."""
    words = ("git", "ls-tree", "--name-only", "HEAD", "./")
    try:
        listed = subprocess.run(words, cwd=folder, capture_output=True, text=True)
    except OSError:
        return set()
    return {name for name in listed.stdout.splitlines() if name.endswith(".py")}


def _finish(context: object, revision: object, directives: list[Any]) -> None:
    """Complete what Alembic found; keep it from writing a file in which nothing happens."""
    if directives[0].upgrade_ops.is_empty():
        directives.clear()
    else:
        complete(directives[0])


# -- what Alembic leaves open ----------------------------------------------------------------


def complete(script: ops.MigrationScript) -> None:
    """Name constraints, and let foreign keys of stored rows find what they refer to.

    ConnectorError if another constraint has no name: nothing could drop it again.
    """
    upgrade, downgrade = script.upgrade_ops, script.downgrade_ops
    assert upgrade
    assert downgrade
    for one in _each(upgrade):
        _name(one)
    upgrade.reverse_into(downgrade)
    _add_placeholders(upgrade)


def _each(container: ops.OpContainer) -> Iterator[Any]:
    """The operations in it, those of tables one by one."""
    for one in container.ops:
        yield from _each(one) if isinstance(one, ops.OpContainer) else (one,)


def _name(one: Any) -> None:
    if getattr(one, "constraint_name", "-") is not None:
        return
    if not isinstance(one, ops.CreateForeignKeyOp):
        raise ConnectorError(f"a constraint has no name, so nothing could drop it again: {one!r}")
    # As Postgres would name it.
    table_and_column = f"{one.source_table}_{one.local_cols[0]}"
    one.constraint_name = table_and_column[: LONGEST - len("_fkey")] + "_fkey"


def _add_placeholders(container: ops.OpContainer) -> None:
    """Before each new foreign key to objects: rows for those that stored rows name already."""
    found = list[ops.MigrateOperation]()
    for one in container.ops:
        if isinstance(one, ops.OpContainer):
            _add_placeholders(one)
        elif isinstance(one, ops.CreateForeignKeyOp) and one.referent_table in TABLE_BY_NAME:
            source, target = quote(one.source_table), quote(one.referent_table)
            [column] = map(quote, one.local_cols)
            found += map(ops.ExecuteSQLOp, _placeholders(source, column, target))
        found.append(one)
    container.ops[:] = found


def _placeholders(source: str, column: str, target: str) -> tuple[str, str]:
    return (
        f"UPDATE {source} SET {column} = NULL WHERE {column} = ''",
        f"INSERT INTO {target} (id, _placeholder) SELECT DISTINCT {column}, true FROM {source}"
        f" WHERE {column} IS NOT NULL ORDER BY 1 ON CONFLICT DO NOTHING",
    )


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
    name = parser.parse_args().NAME
    try:
        refuse_a_second()
        path = write(name)
    except ConnectorError as error:
        sys.exit(str(error))
    written = path and f"migrations/versions/{path.name}: read it before you commit it"
    print(written or "nothing to migrate")


if __name__ == "__main__":
    main()
