"""``dbt-sources``: what is written about a schema, and that dbt takes it and finds it true."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
import yaml as pyyaml
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict

from connector.cli import main
from connector.commands import views
from connector.commands.dbt import sources, yaml
from connector.resources import RESOURCES
from connector.simulator import Workspace
from connector.warehouse.migrate import migrate
from connector.warehouse.schema.tables import declared, metadata
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.views.definitions import makers
from connector.warehouse.views.suites import FIVETRAN
from tests.support.harness import NOW, Harness
from tests.support.records import attribute

pytestmark = pytest.mark.in_turn(2)

# -- what is written -------------------------------------------------------------------------

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
WORDS = st.from_regex("[a-z_]{1,8}", fullmatch=True)
VALUES: st.SearchStrategy[Any] = st.recursive(
    TEXTS | WORDS | st.integers(),
    lambda inner: (
        st.lists(inner, min_size=1, max_size=3)
        | st.dictionaries(
            st.from_regex("k[a-z_]{1,8}", fullmatch=True), inner, min_size=1, max_size=3
        )
    ),
)


@settings(deadline=None)
@given(st.dictionaries(st.from_regex("k[a-z]{1,5}", fullmatch=True), VALUES, min_size=1))
def test_what_is_written_is_read_back(value: dict[str, Any]) -> None:
    assert pyyaml.safe_load(yaml.written(value)) == value


@pytest.mark.parametrize(
    "text", ["null", "yes", "1", "", " ", "a: b", "# no", "- x", "\x85\u2028\ufeff\x7f\ufffe", "🦊"]
)
def test_a_text_stays_a_text(text: str) -> None:
    assert pyyaml.safe_load(yaml.scalar(text)) == text


def written(database: Database) -> dict[str, Any]:
    text = database.read(lambda conn: sources.document(conn, database.schema))
    [source] = pyyaml.safe_load(text)["sources"]
    found: dict[str, Any] = source
    return found


def tables(source: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {table["name"]: table for table in source["tables"]}


OPTIONAL = {
    r.table.name for r in RESOURCES if r.optional or r.early_signal_of == ("leads", "users")
}


def column(table: dict[str, Any], name: str) -> dict[str, Any]:
    [found] = [one for one in table["columns"] if one["name"] == name]
    return dict(found)


@pytest.fixture
def migrated(database: Database) -> Database:
    migrate(database)
    return database


def test_every_table_and_view_is_there_with_every_column(migrated: Database) -> None:
    with migrated.transaction() as conn:
        conn.exec_driver_sql(f'CREATE TABLE "{migrated.schema}".mine (x int)')
        rows = conn.exec_driver_sql(
            "SELECT c.relname, a.attname, col_description(c.oid, a.attnum) FROM pg_class c"
            " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
            " WHERE c.relnamespace = %s::regnamespace AND c.relkind IN ('r', 'v')"
            " ORDER BY 1, a.attnum",
            (f'"{migrated.schema}"',),
        ).all()
    there: dict[str, dict[str, str | None]] = {}
    for relation, name, told in rows:
        if relation != "mine" and not relation.startswith("_"):
            there.setdefault(relation, {})[name] = told
    found = tables(written(migrated))
    assert found.keys() == there.keys()
    assert {"contact_tags", "users", "contact_identities", *makers()} <= found.keys()
    for relation, columns in there.items():
        listed = found[relation]["columns"]
        assert {one["name"]: one.get("description") for one in listed} == columns
        assert found[relation].get("description") or relation == "sync_version"


def test_tests_are_those_of_the_declarations(migrated: Database) -> None:
    source = written(migrated)
    found = tables(source)
    for view in ("contacts", "contacts_live", "users"):
        assert column(found[view], "id")["data_tests"] == ["unique", "not_null"]
        [owner] = column(found[view], "owner_id")["data_tests"]
        to = f"source('{migrated.schema}', 'admins')"
        assert owner == {"relationships": {"arguments": {"to": to, "field": "id"}}}
    link = column(found["contact_tags"], "tag_id")["data_tests"]
    assert [one if isinstance(one, str) else next(iter(one)) for one in link] == [
        "not_null",
        "relationships",
    ]
    assert "data_tests" not in column(found["contacts"], "email")
    keys = {
        (table.name, c.name)
        for table in declared().values()
        for c in table.columns
        if c.foreign_keys
    }
    told = {
        (name, one["name"])
        for name, table in found.items()
        for one in table["columns"]
        if any("relationships" in test for test in one.get("data_tests", ()))
    }
    assert keys <= told


def test_freshness_is_that_of_the_resources_that_confirm_the_table(migrated: Database) -> None:
    found = tables(written(migrated))
    with migrated.transaction() as conn:
        for name, number in (("users", 3), ("leads", 2), ("conversations", 5)):
            conn.exec_driver_sql(
                f'INSERT INTO "{migrated.schema}".sync_state (resource, fresh_as_of)'
                f" VALUES ('{name}', '2026-01-0{number} 00:00Z')"
            )

    def day(name: str) -> int | None:
        config = found[name]["config"]
        assert config["freshness"] == {
            "warn_after": {"count": 48, "period": "hour"},
            "error_after": {"count": 72, "period": "hour"},
        }
        with migrated.transaction() as conn:
            when = conn.exec_driver_sql(config["loaded_at_query"]).scalar()
        return when and int(when.day)

    assert day("contacts") == day("contact_tags") == day("contacts_live") == 2
    assert day("users") == 3
    assert day("conversation_parts") == day("conversation_parts_live") == 5
    assert day("tags") is None
    assert {n for n in found if n.startswith("sync_") and "config" in found[n]} == set()
    assert "'companies'" in found["conversation_metrics"]["config"]["loaded_at_query"]
    assert day("contact_identities") == 2
    assert set(makers()) - {name for name in found if "config" in found[name]} == {
        f"{name}_live" for name in OPTIONAL
    }
    assert "config" not in found["calls"]  # most plans do not open them
    with migrated.transaction() as conn:
        conn.exec_driver_sql(
            f'INSERT INTO "{migrated.schema}".sync_state (resource, fresh_as_of)'
            " VALUES ('calls', now())"
        )
    assert "config" in tables(written(migrated))["calls"]


def test_templates_in_descriptions_are_no_templates(migrated: Database) -> None:
    table = metadata().tables["data_attributes"]
    odd = attribute("odd") | {"description": 'a "{{ name }}" {% if x %} {# or #}: #1\n\\ 🦊'}
    with migrated.transaction() as conn:
        conn.execute(sa.insert(table).values(_read_at=sa.func.now(), **odd))
    assert views.run(migrated, rebuild=False) == 0
    told = column(tables(written(migrated))["contacts_live"], "custom_odd")["description"]
    assert "{{ '{{' }} name }}" in told
    assert "{{ '{%' }} if x %}" in told
    assert "\n\\ 🦊" in told


@pytest.mark.parametrize("name", ["We'\"ird {{ %s", "select"])
def test_any_name_of_a_schema_will_do(database_url: str, name: str) -> None:
    database = Database(database_url, name)
    quoted = '"' + name.replace('"', '""') + '"'
    try:
        migrate(database)
        found = tables(written(database))["tags"]
        query = found["config"]["loaded_at_query"].replace("{{ '{{' }}", "{{")
        with psycopg.connect(conninfo(database_url)) as conn:
            assert conn.execute(query).fetchall() == [(None,)]
    finally:
        with database.transaction() as conn:
            conn.exec_driver_sql(f"DROP SCHEMA {quoted} CASCADE".replace("%", "%%"))
        database.close()


def test_the_command_prints_it(
    database: Database, database_url: str, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    assert main(["dbt-sources", "--schema", database.schema]) == 2
    assert "migrate" in capsys.readouterr().err
    migrate(database)
    assert main(["dbt-sources", "--schema", database.schema]) == 0
    [source] = pyyaml.safe_load(capsys.readouterr().out)["sources"]
    assert source["schema"] == database.schema


# -- and dbt takes it ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def dbt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation of dbt of its own: its ranges are not ours."""
    place = tmp_path_factory.mktemp("dbt") / "venv"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    wanted = ["dbt-core>=1.11,<1.12", "dbt-postgres>=1.9,<2"]
    subprocess.run([place / "bin/pip", "install", "-q", *wanted], check=True)
    return place / "bin/dbt"


def project(place: Path, url: str, text: str) -> None:
    """A project of dbt with these sources, that reads them by this address."""
    (place / "models").mkdir(parents=True)
    (place / "models/sources.yml").write_text(text, encoding="utf-8")
    (place / "dbt_project.yml").write_text(
        "name: desk\nversion: 1.0.0\nprofile: desk\nflags: {send_anonymous_usage_stats: false}\n"
    )
    told = conninfo_to_dict(conninfo(url))
    target = {
        "type": "postgres",
        "host": told.get("host", "localhost"),
        "port": int(told.get("port") or 5432),
        "user": told["user"],
        "password": told.get("password") or "none",
        "dbname": told["dbname"],
        "schema": "models_of_dbt",
        "threads": 2,
    }
    profile = {"desk": {"target": "here", "outputs": {"here": target}}}
    (place / "profiles.yml").write_text(json.dumps(profile))


def called(dbt: Path, place: Path, *words: str) -> dict[str, str]:
    """The status of everything that a command of dbt looked at, by its name."""
    places = ["--profiles-dir", str(place), "--project-dir", str(place)]
    command = [str(dbt), "--no-use-colors", *words, *places]
    environment = os.environ | {"DBT_LOG_PATH": str(place / "logs")}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=place)
    assert done.returncode in (0, 1), done.stdout
    assert "deprecat" not in done.stdout.lower(), done.stdout
    if words == ("parse",):
        assert done.returncode == 0, done.stdout
        return {}
    name = "sources.json" if words[0] == "source" else "run_results.json"
    found = json.loads((place / "target" / name).read_text())["results"]
    return {one["unique_id"]: one["status"] for one in found}


PACKAGE = """
version: 2
sources:
  - name: package
    schema: {schema}
    config:
      loaded_at_field: _fivetran_synced
      freshness:
        warn_after: {{count: 48, period: hour}}
        error_after: {{count: 72, period: hour}}
    tables: [{{name: contact_history}}, {{name: tag}}, {{name: conversation_part_history}}]
"""
"""How Fivetran's package asks how fresh its sources are."""


@pytest.mark.chaos
async def test_dbt_takes_it_and_finds_it_true(harness: Harness, dbt: Path, tmp_path: Path) -> None:
    small = Workspace.generate(5, contacts=40, companies=8, conversations=12, now=int(NOW))
    harness.simulate(small, index_lag=(0.0, 0.0))
    harness.options = {"history": ("contacts", "conversations")}
    assert (await harness.sync()).exit_code == 0
    harness.pass_time(86_400)
    assert (await harness.sync(full=True)).exit_code == 0
    database = Database(harness.database_url, harness.schema)
    text = database.read(lambda conn: sources.document(conn, harness.schema))
    assert views.begin(database, FIVETRAN) == ""
    database.close()
    place = tmp_path / "project"
    project(place, harness.database_url, text)
    of_package = PACKAGE.format(schema=f"{harness.schema}_fivetran")
    (place / "models/package.yml").write_text(of_package, encoding="utf-8")
    called(dbt, place, "parse")
    tested = called(dbt, place, "test")
    assert len(tested) > 300
    assert {name for name, status in tested.items() if status != "pass"} == set()
    checked = called(dbt, place, "source", "freshness")
    fresh_as_of(harness, datetime.now(UTC))
    assert len(checked) > 40
    for age, status in ((0, "pass"), (50, "warn"), (80, "error")):
        fresh_as_of(harness, datetime.now(UTC) - timedelta(hours=age))
        assert set(called(dbt, place, "source", "freshness").values()) == {status}
    harness.query(
        f'ALTER TABLE "{harness.schema}".contact_tags DROP CONSTRAINT contact_tags_tag_id_fkey'
    )
    harness.query("INSERT INTO contact_tags SELECT id, 'nobody' FROM contacts LIMIT 1")
    failed = {n for n, status in called(dbt, place, "test").items() if status != "pass"}
    assert len(failed) == 1
    assert "contact_tags_tag_id" in failed.pop()


def fresh_as_of(harness: Harness, moment: datetime) -> None:
    harness.query("UPDATE sync_state SET fresh_as_of = %s", moment)
