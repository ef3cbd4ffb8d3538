"""The command line as a process, against the simulator over real HTTP and a real Postgres."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from connector.resources import BY_NAME
from connector.simulator import Simulator, Workspace
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.support.forked import Started
from tests.support.postgres import copied
from tests.support.service import FEW, served
from tests.support.terminal import TOKEN, Terminal, Warehouse

pytestmark = pytest.mark.in_turn(2)

database_url, schema = copied.database_url, copied.schema  # fixtures


@pytest.fixture(scope="module")
def intercom() -> Iterator[tuple[Simulator, str]]:
    """A small workspace and its address."""
    space = Workspace.generate(3, contacts=60, companies=12, conversations=25, **FEW)
    simulator = Simulator(space, token=TOKEN)
    with served(simulator) as url:
        yield simulator, url


@pytest.fixture
def simulator(intercom: tuple[Simulator, str]) -> Iterator[Simulator]:
    """The simulator behind the terminal; whatever a test does to its border is undone."""
    simulator = intercom[0]
    yield simulator
    simulator.control.allow_all()
    simulator.control.clear_faults()


# -- 0 ---------------------------------------------------------------------------------------


@pytest.mark.bare
def test_sync_exits_0_and_prints_a_line_for_each_resource(terminal: Terminal) -> None:
    ended = terminal.run("sync")
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    end = next(place for place, line in enumerate(lines) if line.startswith("run 1:"))
    assert [line.split()[0] for line in lines[1:end]] == list(BY_NAME)
    assert "Traceback" not in ended.err


def test_sync_json_prints_one_object_and_nothing_else_on_stdout(
    terminal: Terminal, warehouse: Warehouse
) -> None:
    ended = terminal.run("sync", "--json", "--verbose")
    outcome = json.loads(ended.out)
    assert ended.code == outcome["exit_code"] == 0
    assert set(outcome["resources"]) == set(BY_NAME)
    users, leads = outcome["resources"]["users"], outcome["resources"]["leads"]
    rows = warehouse.query("SELECT count(*) AS n FROM contacts WHERE NOT _placeholder")
    assert users["inserted"] + leads["inserted"] == rows[0]["n"] == 60


def test_only_and_schema_are_flags_that_win(terminal: Terminal, warehouse: Warehouse) -> None:
    ended = terminal.run(
        "sync", "--only", "tags,teams", "--schema", warehouse.schema, INTERCOM_SCHEMA="t_unused"
    )
    assert ended.code == 0, ended.err
    assert [line.split()[0] for line in ended.out.splitlines()[1:-1]] == ["tags", "teams"]
    assert warehouse.query("SELECT count(*) AS n FROM tags")[0]["n"] > 0


def test_backfill_reads_everything_again_and_writes_nothing_twice(
    terminal: Terminal, warehouse: Warehouse
) -> None:
    assert terminal.run("sync").code == 0
    ended = terminal.run("backfill", "--json")
    assert ended.code == 0, ended.err
    users = json.loads(ended.out)["resources"]["users"]
    assert users["fetched"] > 0
    assert users["inserted"] + users["updated"] == 0
    commands = warehouse.query("SELECT command, status FROM sync_runs ORDER BY id")
    assert [(row["command"], row["status"]) for row in commands] == [
        ("sync", "succeeded"),
        ("backfill", "succeeded"),
    ]


def test_backfill_since_limits_the_first_load(terminal: Terminal) -> None:
    # Alone: what other resources refer to is read by id, however old.
    only = ("--only", "tags,conversations")
    ended = terminal.run("backfill", "--since", datetime.now(UTC).isoformat(), *only, "--json")
    assert ended.code == 0, ended.err
    resources = json.loads(ended.out)["resources"]
    assert resources["conversations"]["fetched"] == 0
    assert resources["tags"]["fetched"] > 0


def test_migrate_creates_the_schema_and_stops(terminal: Terminal, warehouse: Warehouse) -> None:
    for _ in range(2):
        ended = terminal.run("migrate", INTERCOM_ACCESS_TOKEN="")
        assert ended.code == 0, ended.err
    assert warehouse.query("SELECT * FROM sync_runs") == []
    assert terminal.run("sync", "--only", "tags", CONNECTOR_AUTO_MIGRATE="0").code == 0


def test_views_grow_and_are_made_anew(terminal: Terminal, warehouse: Warehouse) -> None:
    assert terminal.run("sync").code == 0
    ended = terminal.run("views", INTERCOM_ACCESS_TOKEN="")
    assert (ended.code, ended.out) == (0, "the views are up to date\n")
    warehouse.query("UPDATE data_attributes SET archived = true WHERE name = 'plan_tier'")
    assert len(warehouse.query("SELECT custom_plan_tier FROM users")) > 0
    warehouse.query("CREATE VIEW mine AS SELECT id FROM users")
    ended = terminal.run("views", "--rebuild")
    assert ended.code == 1
    assert re.search("nothing was changed: view .*mine depends on view .*users", ended.err)
    assert len(warehouse.query("SELECT custom_plan_tier FROM users")) > 0
    warehouse.query("DROP VIEW mine")
    assert terminal.run("views", "--rebuild").code == 0
    with pytest.raises(psycopg.errors.UndefinedColumn):
        warehouse.query("SELECT custom_plan_tier FROM users")
    assert terminal.run("sync").code == 0


def test_a_view_that_was_dropped_is_told_as_made_and_not_as_grown(
    terminal: Terminal, warehouse: Warehouse
) -> None:
    assert terminal.run("sync").code == 0
    warehouse.query(
        "UPDATE data_attributes SET name = 'brand_new', full_name = 'custom_attributes.brand_new'"
        " WHERE name = 'plan_tier'"
    )
    warehouse.query("DROP VIEW users")
    ended = terminal.run("views", INTERCOM_ACCESS_TOKEN="")
    assert ended.code == 0, ended.err
    assert ended.out.splitlines() == [
        "contacts_live has new columns: custom_brand_new",
        "leads has new columns: custom_brand_new",
        "users was made",
        "the views are up to date",
    ]
    assert len(warehouse.query("SELECT custom_brand_new FROM users")) > 0
    warehouse.query("DROP VIEW users")
    assert "users was made" in terminal.run("sync", "--only", "tags", "--verbose").err


def test_status_tells_rows_and_freshness(terminal: Terminal) -> None:
    before = terminal.run("status", "--json")
    assert before.code == 1
    assert "never synced" in json.loads(before.out)["advice"]
    assert terminal.run("sync").code == 0
    after = terminal.run("status", "--json")
    assert after.code == 0
    facts = json.loads(after.out)
    assert facts["resources"]["users"]["rows"] + facts["resources"]["leads"]["rows"] == 60
    assert facts["resources"]["users"]["fresh_as_of"]
    assert terminal.run("status").out.count("fresh as of") == len(BY_NAME)


@pytest.mark.bare
def test_check_prints_a_line_for_each_thing(terminal: Terminal, warehouse: Warehouse) -> None:
    ended = terminal.run("check")
    assert ended.code == 0, ended.out
    names = [line[5:].split(":")[0] for line in ended.out.splitlines()]
    scopes = [f"scope for {name}" for name in BY_NAME]
    expected = ["settings", "token", *scopes, "database", "schema", "workspace"]
    assert [name for name in names if name in expected] == expected
    assert warehouse.tables() == []  # it looks and writes nothing


def test_excluded_and_forgotten_values_are_in_no_table_and_no_output(
    terminal: Terminal, warehouse: Warehouse, simulator: Simulator
) -> None:
    people = [c for c in simulator.control.truth("contacts") if c["email"] and c["name"]]
    emails, gone = {c["email"] for c in people}, people[0]
    key = "k3y-of-the-tests-0123456789abcdef"
    settings = {
        "CONNECTOR_EXCLUDE": "hash:contacts.email,contacts.email_domain,contacts.phone,"
        "contacts.formatted_phone",
        "CONNECTOR_HASH_KEY": key,
    }
    said = terminal.run("check", **settings).out
    assert "excluded: contacts.email, contacts.email_domain" in said
    assert "conversation_parts.author_email" in said
    for words in (["sync", "--json"], ["forget", gone["id"]], ["sync", "--full", "-v"]):
        ended = terminal.run(*words, **settings)
        assert ended.code == 0, ended.err
        said += ended.out + ended.err
    assert terminal.run("verify", **settings).code == 0
    stored = warehouse.query("SELECT id, name, email, t::text AS text FROM contacts t")
    assert not [row for row in stored if any(email in row["text"] for email in emails)]
    assert {len(row["email"]) for row in stored if row["email"]} == {64}
    assert [row["name"] for row in stored if row["id"] == gone["id"]] == [None]
    assert key not in said
    assert not [email for email in emails if email in said]
    listed = terminal.run("forget", "--list", "--json")
    assert [row["contact_id"] for row in json.loads(listed.out)] == [gone["id"]]
    assert "1 contacts" in terminal.run("forget", gone["id"], "--undo", **settings).out
    assert terminal.run("forget", "--list").out == ""
    assert "will stay forgotten" in terminal.run("forget", "nobody", **settings).out


def test_migrate_cleans_what_is_newly_excluded(terminal: Terminal, warehouse: Warehouse) -> None:
    assert terminal.run("sync", "--only", "users").code == 0
    assert warehouse.query("SELECT count(email) AS n FROM contacts")[0]["n"] > 5
    assert terminal.run("migrate", CONNECTOR_EXCLUDE="contacts.email").code == 0
    assert warehouse.query("SELECT count(email) AS n FROM contacts")[0]["n"] == 0
    runs = warehouse.query("SELECT command, status FROM sync_runs ORDER BY id")
    assert runs[-1] == {"command": "migrate", "status": "succeeded"}


def test_a_shell_with_other_exclusions_can_do_no_harm(
    terminal: Terminal, warehouse: Warehouse, simulator: Simulator
) -> None:
    key = next(c["id"] for c in simulator.control.truth("contacts") if c["role"] == "user")
    excluded = {"CONNECTOR_EXCLUDE": "contacts.email"}
    assert terminal.run("migrate", **excluded).code == 0  # on an empty schema it pins nothing
    assert terminal.run("migrate").code == 0
    assert terminal.run("sync", **excluded).code == 0

    def looked() -> list[Any]:
        counts = warehouse.query("SELECT count(email) AS n, count(name) AS m FROM contacts")
        return [counts, warehouse.query("SELECT count(*) AS n FROM sync_runs")]

    before = looked()
    more = {"CONNECTOR_EXCLUDE": "contacts.email,contacts.name"}
    writing = [
        ["migrate"],
        ["views"],
        ["forget", key],
        ["refetch", "users", key],
        ["sync", "--only", "tags"],
        ["sync", "--only", "tags", "--lift-exclusions"],
    ]
    for settings, said, commands in (
        ({}, "no longer excluded: contacts.email", writing),
        (more, "newly excluded: contacts.name", writing[-1:]),
    ):
        for words in commands:
            ended = terminal.run(*words, **settings)
            assert ended.code == 2, (words, ended.err)
            assert said in ended.err
            assert "nothing was changed" in ended.err
    for words in (["status"], ["sql", "select 1"], ["verify"]):
        ended = terminal.run(*words, **more)
        assert ended.code == 0, ended.err
        assert "newly excluded: contacts.name" in ended.err
    checked = terminal.run("check")
    assert checked.code == 0
    assert "no longer excluded: contacts.email" in checked.out
    assert terminal.run("sync").code == 2
    assert looked() == before
    assert terminal.run("backfill", "--lift-exclusions").code == 0
    assert looked()[0][0]["n"] > 0


def test_the_installed_command_is_the_same() -> None:
    script = Path(sys.executable).with_name("intercom-warehouse")
    ours = subprocess.run([script, "--help"], capture_output=True, text=True, check=True)
    module = [sys.executable, "-m", "connector", "--help"]
    assert ours.stdout == subprocess.run(module, capture_output=True, text=True, check=True).stdout


# -- 1 ---------------------------------------------------------------------------------------


def test_a_denied_scope_exits_1_and_is_named(terminal: Terminal, simulator: Simulator) -> None:
    simulator.control.deny("^/companies")
    ended = terminal.run("sync", "--json")
    outcome = json.loads(ended.out)
    assert ended.code == outcome["exit_code"] == 1
    status = {name: tally["status"] for name, tally in outcome["resources"].items()}
    assert status.pop("companies") == "failed"
    assert set(status.values()) == {"succeeded"}
    assert "companies" in outcome["error"]
    assert "scope" in outcome["error"]
    assert terminal.run("check").code == 1
    assert terminal.run("status").code == 1


# -- 2 ---------------------------------------------------------------------------------------


@pytest.mark.sampled(6)
@pytest.mark.bare
@pytest.mark.parametrize(
    ("words", "settings", "told"),
    [
        (["sync"], {"INTERCOM_ACCESS_TOKEN": ""}, "INTERCOM_ACCESS_TOKEN"),
        (["sync"], {"INTERCOM_ACCESS_TOKEN_FILE": "/none", "INTERCOM_ACCESS_TOKEN": ""}, "/none"),
        (["sync"], {"DATABASE_URL": ""}, "DATABASE_URL"),
        (["sync"], {"INTERCOM_REGION": "mars", "INTERCOM_BASE_URL": ""}, "INTERCOM_REGION"),
        (["sync"], {"INTERCOM_BASE_URL": "http://198.51.100.1"}, "CONNECTOR_ALLOW_HTTP"),
        (["sync"], {"INTERCOM_VERSION": "1.0"}, "2.16"),
        (["sync"], {"INTERCOM_SCHEMA": "pg_catalog"}, "pg_catalog"),
        (["sync"], {"CONNECTOR_LOOKBACK": "soon"}, "CONNECTOR_LOOKBACK"),
        (["sync"], {"CONNECTOR_RESOURCES": "users,fish"}, "fish"),
        (["sync", "--only", "fish"], {}, "fish"),
        (["sync"], {"CONNECTOR_EXCLUDE": "contacts.emial"}, "contacts.email"),
        (["migrate"], {"CONNECTOR_EXCLUDE": "contacts.id"}, "part of the key"),
        (["verify"], {"CONNECTOR_EXCLUDE": "hash:contacts.email"}, "CONNECTOR_HASH_KEY"),
        (["refetch", "users", "1"], {"CONNECTOR_EXCLUDE": "contacts"}, "table.column"),
        (["sync"], {"CONNECTOR_ON_DELETE": "shred"}, "CONNECTOR_ON_DELETE"),
        (["sync"], {"CONNECTOR_FILE_HOSTS": "https://a.example/b"}, "CONNECTOR_FILE_HOSTS"),
        (["forget"], {}, "--list"),
        (["forget", "1", "--list"], {}, "--list"),
        (["sync"], {"CONNECTOR_AUTO_MIGRATE": "0"}, "migrate"),
        (["status"], {"DATABASE_URL": ""}, "DATABASE_URL"),
        (["backfill", "--since", "yesterday"], {}, "yesterday"),
        (["backfill", "--since", "2999-01-01"], {}, "future"),
        (["sync", "--schema", ""], {}, "schema name"),
        (["dance"], {}, "dance"),
        ([], {}, "COMMAND"),
    ],
)
def test_wrong_usage_and_settings_exit_2(
    terminal: Terminal,
    warehouse: Warehouse,
    words: list[str],
    settings: dict[str, str],
    told: str,
) -> None:
    ended = terminal.run(*words, **settings)
    assert ended.code == 2, ended.err
    assert told in ended.err
    assert "Traceback" not in ended.err
    assert warehouse.tables() == []


def test_another_workspace_exits_2_before_anything_is_written(
    terminal: Terminal, warehouse: Warehouse
) -> None:
    assert terminal.run("sync", "--only", "tags").code == 0
    runs = warehouse.query("SELECT * FROM sync_runs")
    other = Simulator(Workspace.generate(4, contacts=5, companies=2, conversations=2), token=TOKEN)
    with served(other) as url:
        ended = terminal.run("sync", INTERCOM_BASE_URL=url)
    assert ended.code == 2
    assert "workspace" in ended.err
    assert warehouse.query("SELECT * FROM sync_runs") == runs


# -- 3, 4, 5 ---------------------------------------------------------------------------------


@pytest.mark.bare
def test_a_wrong_token_exits_3(terminal: Terminal, warehouse: Warehouse) -> None:
    for command in ("sync", "check"):
        ended = terminal.run(command, INTERCOM_ACCESS_TOKEN="wrong-token")
        assert ended.code == 3, ended.err
        assert "INTERCOM_ACCESS_TOKEN" in ended.out + ended.err
        assert "wrong-token" not in ended.out + ended.err
    assert warehouse.tables() == []


def test_a_second_sync_waits_a_while_and_exits_4(
    terminal: Terminal, database_url: str, schema: str
) -> None:
    first = Database(database_url, schema)
    first.lock()
    timer = threading.Timer(0.5, first.unlock)
    timer.start()
    assert terminal.run("sync", "--only", "tags").code == 0
    first.lock()
    try:
        ended = terminal.run("sync")
    finally:
        first.close()
    assert ended.code == 4
    assert "another sync" in ended.err
    assert terminal.run("sync", "--only", "tags").code == 0


def test_a_missing_database_exits_5(terminal: Terminal, database_url: str) -> None:
    missing = make_conninfo(conninfo(database_url), dbname="no_such_database")
    for command in ("sync", "status", "check", "migrate"):
        ended = terminal.run(command, DATABASE_URL=missing)
        assert ended.code == 5, ended.err
        assert "no_such_database" in ended.out + ended.err
        assert "Traceback" not in ended.err


def test_a_newer_schema_exits_5(terminal: Terminal, warehouse: Warehouse) -> None:
    assert terminal.run("migrate").code == 0
    warehouse.query("UPDATE sync_version SET version_num = '9999'")
    for command in ("sync", "status", "check", "migrate"):
        ended = terminal.run(command)
        assert ended.code == 5, command + ended.err
        assert "newer version" in ended.out + ended.err
    assert warehouse.query("SELECT * FROM sync_runs") == []


# -- 130 -------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_exits_130_and_the_next_sync_completes(
    terminal: Terminal, warehouse: Warehouse, number: signal.Signals
) -> None:
    space = Workspace.generate(3, contacts=20, companies=5, conversations=150, **FEW)
    simulator = Simulator(space, token=TOKEN)
    only = ("--only", "tags,conversations")
    with served(simulator, latency=0.05) as url:
        process = terminal.start("sync", *only, INTERCOM_BASE_URL=url)
        _wait_for(simulator, "POST /conversations/search", process)
        arguments = _arguments_of_all_processes()
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
        assert process.returncode == 130, err
        assert "interrupted" in err
        assert TOKEN not in out + err + arguments
        assert warehouse.query("SELECT status FROM sync_runs") == [{"status": "interrupted"}]
        ended = terminal.run("sync", *only, INTERCOM_BASE_URL=url)
        assert ended.code == 0, ended.err
    rows = warehouse.query("SELECT count(*) AS n FROM conversations WHERE NOT _placeholder")
    assert rows == [{"n": 150}]


def _wait_for(simulator: Simulator, endpoint: str, process: Started) -> None:
    deadline = time.monotonic() + 20
    while not any(endpoint in name for name in simulator.control.stats()["endpoints"]):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, simulator.control.stats()
        time.sleep(0.01)


def _arguments_of_all_processes() -> str:
    return subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout


# -- secrets and settings --------------------------------------------------------------------


def test_the_token_is_in_no_output_and_no_table(
    terminal: Terminal, warehouse: Warehouse, simulator: Simulator
) -> None:
    simulator.control.fail({"path": "^/segments"}, times=None, kind="status", status=400)
    simulator.control.deny("^/teams", status=401)
    ended = terminal.run("sync", "--verbose")  # the terminal looks for the token in the output
    assert ended.code == 1
    terminal.run("status", "--json")
    terminal.run("check")
    assert len(warehouse.tables()) > 20
    for table in warehouse.tables():
        held = f'SELECT count(*) AS n FROM "{table}" row WHERE row::text LIKE %s'
        assert warehouse.query(held, f"%{TOKEN}%") == [{"n": 0}], table


def test_settings_are_read_from_dot_env_and_the_environment_wins(
    terminal: Terminal, database_url: str, schema: str, intercom: tuple[Simulator, str]
) -> None:
    (terminal.directory / ".env").write_text(
        f"INTERCOM_ACCESS_TOKEN={TOKEN}\n"
        f"INTERCOM_BASE_URL={intercom[1]}\n"
        f"DATABASE_URL='{database_url}'\n"
        f"INTERCOM_SCHEMA={schema}\n"
        "CONNECTOR_RESOURCES=tags\n"
    )
    for name in ("INTERCOM_ACCESS_TOKEN", "INTERCOM_BASE_URL", "DATABASE_URL", "INTERCOM_SCHEMA"):
        del terminal.environ[name]
    assert list(json.loads(terminal.run("sync", "--json").out)["resources"]) == ["tags"]
    ended = terminal.run("sync", "--json", CONNECTOR_RESOURCES="teams")
    assert list(json.loads(ended.out)["resources"]) == ["teams"]


def test_each_setting_can_stand_in_a_file(terminal: Terminal, schema: str) -> None:
    for name in ("INTERCOM_ACCESS_TOKEN", "DATABASE_URL"):
        secret = terminal.directory / name.lower()
        secret.write_text(terminal.environ.pop(name) + "\n")
        terminal.environ[f"{name}_FILE"] = str(secret)
    ended = terminal.run("sync", "--only", "tags")
    assert ended.code == 0, ended.err


def test_help_names_every_command_and_exit_code(terminal: Terminal) -> None:
    ended = terminal.run("--help")
    assert ended.code == 0
    for code in ("0", "1", "2", "3", "4", "5", "130"):
        assert re.search(rf"(^|\s){code} ", ended.out)
