"""The schema that migrations build is the one that is declared, explained, and safe to bring."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata, produce_migrations, render_python_code
from alembic.migration import MigrationContext
from alembic.operations import Operations, ops
from alembic.script import ScriptDirectory
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from connector.errors import ConnectorError, DatabaseError, SchemaTooNewError
from connector.warehouse import revisions
from connector.warehouse.migrate import check, migrate
from connector.warehouse.schema import version
from connector.warehouse.schema.tables import metadata
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from migrations import new
from tests.support.warehouse import opened

_numbers = itertools.count(1)

# What tells two schemas apart: each query is a list of rows about one schema, without its name.
CATALOG = {
    "columns": """
        SELECT c.relname, c.relkind, a.attname, format_type(a.atttypid, a.atttypmod) AS type,
               a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid) AS preset,
               col_description(c.oid, a.attnum) AS comment
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
        WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind = 'r'
          AND c.relname <> 'sync_version'
        ORDER BY 1, a.attname""",
    "tables": """
        SELECT relname, obj_description(oid) AS comment FROM pg_class
        WHERE relnamespace = %(schema)s::regnamespace AND relkind = 'r'
          AND relname <> 'sync_version' ORDER BY 1""",
    "constraints": """
        SELECT r.relname, c.contype, c.condeferrable, c.condeferred,
               replace(pg_get_constraintdef(c.oid), %(quoted)s || '.', '') AS definition
        FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid
        WHERE c.connamespace = %(schema)s::regnamespace AND r.relname <> 'sync_version'
          AND c.contype <> 'n'
        ORDER BY 1, definition""",
    "indexes": """
        SELECT tablename, indexname,
               replace(indexdef, %(quoted)s || '.', '') AS definition
        FROM pg_indexes WHERE schemaname = %(name)s AND tablename <> 'sync_version'
        ORDER BY 1, 2""",
}


def look(database_url: str, statement: str, **parameters: Any) -> list[dict[str, Any]]:
    with psycopg.connect(conninfo(database_url), row_factory=dict_row) as conn:
        return conn.execute(statement, parameters or None).fetchall()


def catalog(database_url: str, schema: str, what: str) -> list[dict[str, Any]]:
    quoted = '"' + schema.replace('"', '""') + '"'
    bare = schema if schema.isidentifier() and schema.islower() else quoted
    return look(database_url, CATALOG[what], schema=quoted, quoted=bare, name=schema)


@pytest.fixture(scope="module")
def migrated(database_url: str) -> Iterator[str]:
    """A schema that was built by the migrations."""
    with opened(database_url) as warehouse:
        yield warehouse.schema


@pytest.fixture(scope="module")
def declared(database_url: str) -> Iterator[str]:
    """A schema that was made from the declarations."""
    schema = f"d_{os.getpid()}"
    database = Database(database_url, schema)
    with database.transaction() as conn:
        conn.execute(sa.schema.CreateSchema(schema))
        metadata().create_all(conn)
    yield schema
    with database.transaction() as conn:
        conn.execute(sa.schema.DropSchema(schema, cascade=True))
    database.close()


# -- declarations ----------------------------------------------------------------------------


@pytest.mark.parametrize("what", CATALOG)
def test_migrations_build_what_is_declared(database_url, migrated, declared, what):
    built, wanted = (catalog(database_url, name, what) for name in (migrated, declared))
    assert wanted
    assert built == wanted


def test_autogenerate_finds_nothing_to_migrate(database_url, migrated):
    engine = sa.create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(conninfo(database_url)),
        poolclass=sa.pool.NullPool,
    )
    with engine.connect() as conn:
        conn.execute(sa.text(f'SET search_path TO "{migrated}"'))
        conn.dialect.default_schema_name = migrated
        options = {
            "version_table": "sync_version",
            "compare_type": True,
            "compare_server_default": True,
        }
        context = MigrationContext.configure(conn, opts=options)
        assert compare_metadata(context, metadata()) == []


def test_every_foreign_key_can_be_deferred(database_url, migrated):
    keys = [row for row in catalog(database_url, migrated, "constraints") if row["contype"] == "f"]
    assert keys
    for key in keys:
        assert (key["condeferrable"], key["condeferred"]) == (True, False), key


def test_every_table_view_and_column_has_a_comment(database_url, migrated):
    uncommented = look(
        database_url,
        """SELECT c.relname, a.attname FROM pg_class c
           JOIN LATERAL (SELECT 0 AS attnum, NULL::name AS attname UNION ALL
                         SELECT attnum, attname FROM pg_attribute
                         WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped) a ON true
           WHERE c.relnamespace = %(schema)s::regnamespace AND c.relkind IN ('r', 'v')
             AND c.relname <> 'sync_version'
             AND coalesce(CASE attnum WHEN 0 THEN obj_description(c.oid)
                                      ELSE col_description(c.oid, attnum) END, '') = ''""",
        schema=f'"{migrated}"',
    )
    assert uncommented == []


# -- up, down, again -------------------------------------------------------------------------


def test_migrating_twice_does_nothing(database, database_url, schema):
    assert migrate(database) is True
    tables = f"SELECT oid, xmin::text FROM pg_class WHERE relnamespace = '{schema}'::regnamespace"
    before = look(database_url, tables)
    assert migrate(database) is False
    assert look(database_url, tables) == before


def run(database: Database, direction: Any, revision: str) -> None:
    """Alembic up or down, as ``migrate`` calls it."""

    def work(conn: sa.Connection) -> None:
        conn.execute(sa.text(f'SET LOCAL search_path TO "{database.schema}"'))
        conn.dialect.default_schema_name = database.schema
        config = revisions.configuration()
        config.attributes["connection"] = conn
        direction(config, revision)

    database.write(work)


def drop_views(database_url: str, schema: str) -> None:
    views = look(
        database_url, "SELECT viewname FROM pg_views WHERE schemaname = %(schema)s", schema=schema
    )
    with psycopg.connect(conninfo(database_url), autocommit=True) as conn:
        for view in views:
            conn.execute(f'DROP VIEW IF EXISTS "{schema}"."{view["viewname"]}" CASCADE')


def test_an_older_schema_is_brought_up_to_date(database, database_url, schema):
    migrate(database)
    before = {what: catalog(database_url, schema, what) for what in CATALOG}
    drop_views(database_url, schema)
    run(database, command.downgrade, "base")
    assert catalog(database_url, schema, "tables") == []
    with database.transaction() as conn:
        assert check(conn, schema) is False
    assert migrate(database) is True
    assert {what: catalog(database_url, schema, what) for what in CATALOG} == before
    views = look(
        database_url,
        "SELECT count(*) AS n FROM pg_views WHERE schemaname = %(schema)s",
        schema=schema,
    )
    assert views[0]["n"] > 0


def at_0002(database: Database, database_url: str) -> None:
    """The schema as 0.1.0 left it, with two parts, one of which has tags."""
    migrate(database)
    drop_views(database_url, database.schema)
    run(database, command.downgrade, "0002")
    with database.transaction() as conn:
        conn.execute(sa.text(f'SET LOCAL search_path TO "{database.schema}"'))
        tags = (
            '[{"id": "1", "name": "old", "applied_at": 5, "applied_by": {"id": "9"}},'
            ' {"id": 2}, {"id": null}, {"id": ""}, {}, 3, {"id": "1"}]'
        )
        statements = [
            "INSERT INTO conversations (id) VALUES ('c')",
            "INSERT INTO tags (id, name) VALUES ('1', 'VIP')",
            "INSERT INTO conversation_parts (id, conversation_id, tags, _changed_at) VALUES"
            f" ('p', 'c', '{tags}', 'epoch'), ('q', 'c', '[]', 'epoch'), ('r', 'c', NULL, 'epoch'),"
            """ ('s', 'c', '{"type": "tag.list", "tags": [{"id": "2"}]}', 'epoch'),"""
            """ ('t', 'c', '"odd"', 'epoch')""",
        ]
        for statement in statements:
            conn.exec_driver_sql(statement)


def links(database: Database) -> list[tuple[str, str]]:
    with database.transaction() as conn:
        query = f'SELECT part_id, tag_id FROM "{database.schema}".conversation_part_tags'
        return sorted((part, tag) for part, tag in conn.exec_driver_sql(query))


WAS_KEPT = [("p", "1"), ("p", "2"), ("s", "2")]


def test_tags_of_parts_become_links_and_no_row_is_written_for_it(database, database_url, schema):
    at_0002(database, database_url)
    versions = f'SELECT id, ctid::text, xmin::text FROM "{schema}".conversation_parts ORDER BY 1'
    before = look(database_url, versions)
    assert migrate(database) is True
    assert look(database_url, versions) == before
    assert links(database) == WAS_KEPT
    [one] = look(
        database_url,
        f'SELECT * FROM "{schema}".conversation_part_tags WHERE applied_at IS NOT NULL',
    )
    assert (one["applied_at"].timestamp(), one["applied_by_id"]) == (5, "9")
    names = look(database_url, f'SELECT id, name, _placeholder FROM "{schema}".tags ORDER BY 1')
    assert [tuple(row.values()) for row in names] == [("1", "VIP", False), ("2", None, True)]
    columns = catalog(database_url, schema, "columns")
    assert ("conversation_parts", "tags") not in [(c["relname"], c["attname"]) for c in columns]


@pytest.mark.parametrize("held", ["a view of others", "a reader"])
def test_tags_stay_as_an_empty_column_where_others_hang_on_it(database, database_url, schema, held):
    at_0002(database, database_url)
    reader = psycopg.connect(conninfo(database_url), row_factory=dict_row)
    query = f'SELECT id, tags FROM "{schema}".conversation_parts'
    if held == "a view of others":
        reader.execute(f'CREATE VIEW "{schema}".theirs AS {query}')
        reader.commit()
    else:
        reader.execute(query)  # and leaves its transaction open
    assert migrate(database) is True
    reader.commit()
    assert links(database) == WAS_KEPT
    kept = reader.execute(query).fetchall()
    reader.close()
    assert {row["tags"] for row in kept} == {None}
    [comment] = [
        row["comment"]
        for row in catalog(database_url, schema, "columns")
        if (row["relname"], row["attname"]) == ("conversation_parts", "tags")
    ]
    assert "conversation_part_tags" in comment
    drop_views(database_url, schema)  # or the schema could not be dropped


def test_the_migrations_are_one_line_without_branches():
    config = revisions.configuration()
    script = ScriptDirectory.from_config(config)
    assert len(script.get_heads()) == 1
    assert len(script.get_bases()) == 1


def test_the_names_of_the_files_tell_the_revisions_in_their_order():
    script = ScriptDirectory.from_config(revisions.configuration())
    found = [one.revision for one in script.walk_revisions()]
    assert list(version.known()) == found[::-1]


def test_a_schema_of_a_newer_version_is_refused_and_left_alone(database, database_url, schema):
    migrate(database)
    with database.transaction() as conn:
        conn.execute(sa.text(f"UPDATE \"{schema}\".sync_version SET version_num = '9999'"))
    before = {what: catalog(database_url, schema, what) for what in CATALOG}
    with pytest.raises(SchemaTooNewError, match="newer version") as caught:
        migrate(database)
    assert caught.value.exit_code == 5
    assert {what: catalog(database_url, schema, what) for what in CATALOG} == before


def test_a_schema_that_is_missing_or_empty_is_not_up_to_date(database, database_url, schema):
    with database.transaction() as conn:
        assert check(conn, schema) is False
        conn.execute(sa.schema.CreateSchema(schema))
        assert check(conn, schema) is False
    assert migrate(database) is True
    with database.transaction() as conn:
        assert check(conn, schema) is True
        assert version.present(conn, schema) == version.newest()


# -- the next migration ----------------------------------------------------------------------


@contextmanager
def operations(database: Database) -> Iterator[Operations]:
    """Alembic's operations in one transaction of a migrated schema."""
    with database.transaction() as conn:
        conn.execute(sa.text(f'SET LOCAL search_path TO "{database.schema}"'))
        conn.dialect.default_schema_name = database.schema
        with Operations.context(MigrationContext.configure(conn)) as active:
            yield active


def perform(active: Operations, found: ops.UpgradeOps | ops.DowngradeOps | None) -> str:
    """Do what a file with these operations would do; its text."""
    assert found
    text = render_python_code(found, migration_context=active.migration_context)
    exec(f"if True:\n    {text}", {"op": active, "sa": sa})
    return text


def test_a_foreign_key_of_a_column_with_values_is_made_and_undone(database, database_url, schema):
    migrate(database)
    wanted = metadata()
    wanted.tables["tags"].append_constraint(
        sa.ForeignKeyConstraint(["name"], ["teams.id"], deferrable=True, initially="IMMEDIATE")
    )
    values = "('1', '5'), ('2', '5'), ('3', ''), ('4', NULL), ('5', '6')"
    with operations(database) as active:
        active.execute(f"INSERT INTO tags (id, name) VALUES {values}")
        active.execute("INSERT INTO teams (id, name) VALUES ('6', 'Six')")
    before = catalog(database_url, schema, "constraints")
    with operations(database) as active:
        options = {"version_table": "sync_version"}
        context = MigrationContext.configure(active.get_bind(), opts=options)
        script = produce_migrations(context, wanted)
        new.complete(script)
        assert "'tags_name_fkey'" in perform(active, script.upgrade_ops)
    rows = f'SELECT id, name, _placeholder FROM "{schema}".teams ORDER BY 1'
    assert [tuple(row.values()) for row in look(database_url, rows)] == [
        ("5", None, True),
        ("6", "Six", False),
    ]
    assert len(catalog(database_url, schema, "constraints")) == len(before) + 1
    with operations(database) as active:
        perform(active, script.downgrade_ops)
    assert catalog(database_url, schema, "constraints") == before


def test_a_constraint_without_a_name_is_refused():
    unnamed = ops.UpgradeOps([ops.CreateUniqueConstraintOp(None, "tags", ["name"])])
    with pytest.raises(ConnectorError, match="has no name"):
        new.complete(ops.MigrationScript("9", unnamed, ops.DowngradeOps([])))


def test_a_second_migration_that_is_not_committed_is_refused(tmp_path):
    def git(*words: str) -> None:
        subprocess.run(("git", "-c", "user.name=x", "-c", "user.email=x@y", *words), cwd=tmp_path)

    (tmp_path / "0001_first.py").touch()
    new.refuse_a_second(tmp_path)  # no repository, so nobody knows
    git("init", "--quiet")
    git("add", ".")
    new.refuse_a_second(tmp_path)  # nothing is committed yet
    git("commit", "--quiet", "-m", "x")
    new.refuse_a_second(tmp_path)
    (tmp_path / "0002_second.py").touch()
    with pytest.raises(ConnectorError, match=r"0002_second\.py is not committed yet\. Delete it"):
        new.refuse_a_second(tmp_path)


# -- rights ----------------------------------------------------------------------------------


@pytest.fixture
def role(database_url: str) -> Iterator[str]:
    """A role that may log in and do nothing else."""
    name = f"role_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(conninfo(database_url), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        yield name
        [(base,)] = admin.execute("SELECT current_database()").fetchall()
        admin.execute(f'REVOKE ALL ON DATABASE "{base}" FROM {name}')
        admin.execute(f"DROP OWNED BY {name} CASCADE")
        admin.execute(f"DROP ROLE {name}")


def grant(database_url: str, statement: str) -> None:
    with psycopg.connect(conninfo(database_url), autocommit=True) as admin:
        [(base,)] = admin.execute("SELECT current_database()").fetchall()
        admin.execute(statement.replace("DATABASE_NAME", f'"{base}"'))


def as_role(database_url: str, role: str) -> str:
    return make_conninfo(conninfo(database_url), user=role, password="secret")


def test_a_role_that_only_owns_its_schema_can_migrate_and_write(database_url, schema, role):
    grant(database_url, f'CREATE SCHEMA "{schema}" AUTHORIZATION {role}')
    database = Database(as_role(database_url, role), schema)
    assert migrate(database) is True
    assert migrate(database) is False
    database.lock()
    database.close()


def test_a_role_that_may_create_schemas_makes_its_own(database_url, schema, role):
    grant(database_url, f"GRANT CREATE ON DATABASE DATABASE_NAME TO {role}")
    database = Database(as_role(database_url, role), schema)
    assert migrate(database) is True
    database.close()


def test_a_role_without_rights_is_told_so(database_url, schema, role):
    database = Database(as_role(database_url, role), schema)
    with pytest.raises(DatabaseError, match="rights of the role") as caught:
        migrate(database)
    assert "secret" not in str(caught.value)
    database.close()


def test_a_schema_is_made_in_fewer_round_trips_than_it_has_columns(
    database_url: str, fresh_schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def execute(cursor: Any, query: Any, *rest: Any, **options: Any) -> Any:
        asked.append(str(query))
        return unwatched(cursor, query, *rest, **options)

    unwatched = psycopg.Cursor.execute
    monkeypatch.setattr(psycopg.Cursor, "execute", execute)
    database = Database(database_url, fresh_schema)
    migrate(database)
    database.close()
    columns = "SELECT count(*) AS n FROM information_schema.columns WHERE table_schema = %(name)s"
    [found] = look(database_url, columns, name=fresh_schema)
    assert len(asked) < found["n"]
