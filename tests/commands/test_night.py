"""A person at the keyboard, a machine at night: silence, exit codes, streams, by real commands."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connector import __version__
from connector.resources import BY_NAME
from connector.simulator import Simulator, Workspace
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.support.forked import Ended
from tests.support.postgres import copied, older
from tests.support.service import FEW, environment, served
from tests.support.terminal import TOKEN, Terminal, Warehouse

pytestmark = pytest.mark.in_turn(2)

database_url, schema = copied.database_url, copied.schema  # fixtures

EMOJI = "Zoë 🎈"


@pytest.fixture(scope="module")
def intercom() -> Iterator[tuple[Simulator, str]]:
    """A small workspace and its address."""
    space = Workspace.generate(5, contacts=40, companies=6, conversations=10, **FEW)
    simulator = Simulator(space, token=TOKEN)
    with served(simulator) as url:
        yield simulator, url


@pytest.fixture
def simulator(intercom: tuple[Simulator, str]) -> Iterator[Simulator]:
    simulator = intercom[0]
    yield simulator
    simulator.control.allow_all()
    simulator.control.clear_faults()


def shell(terminal: Terminal, line: str, **settings: str) -> Ended:
    """A line of bash in which ``$IW`` is the command."""
    done = subprocess.run(
        ["bash", "-c", line],
        env=terminal.environ | {"IW": f"{sys.executable} -m connector"} | settings,
        cwd=terminal.directory,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert "Exception ignored" not in done.stderr, done.stderr
    return Ended(done.returncode, done.stdout, done.stderr)


# -- silence ---------------------------------------------------------------------------------


def test_a_good_night_says_nothing_on_stderr_and_v_asks_for_more(terminal: Terminal) -> None:
    for words in (
        ["sync"], ["sync", "--json"], ["backfill"], ["verify", "--sample", "3"], ["migrate"],
        ["status"], ["check"], ["views"], ["sql", "SELECT 1"], ["forget", "--list"],
    ):  # fmt: skip
        ended = terminal.run(*words)
        assert (ended.code, ended.err) == (0, ""), words
    assert "resource=users" in terminal.run("sync", "--only", "users", "-v").err


def test_what_is_refused_is_said_once_and_listed_in_status(
    terminal: Terminal, simulator: Simulator
) -> None:
    simulator.control.deny("^/(calls|macros|news|admins/activity_logs)", 403)
    simulator.control.deny("^/contacts/activities", 403)
    first = terminal.run("sync")
    assert first.code == 0, first.err
    for name in ("calls", "macros", "news_items", "newsfeeds", "activity_logs", "contact_merges"):
        assert f"{name} failed: " in first.err
    assert len(first.err.splitlines()) == 6
    second = terminal.run("sync")
    assert (second.code, second.err) == (0, "")
    assert "not read in the last run: calls: " in terminal.run("status").out
    simulator.control.allow_all()
    assert terminal.run("sync").err == ""
    simulator.control.deny("^/calls", 403)
    ended = terminal.run("sync")
    assert ended.code == 1
    assert "ERROR calls failed: " in ended.err
    checked = terminal.run("check")
    assert checked.code == 1
    assert "FAIL scope for calls: not readable, though it was readable before" in checked.out


def test_what_everybody_may_read_fails_every_run_and_check(
    terminal: Terminal, simulator: Simulator
) -> None:
    names = ["tags", "segments", "admins", "companies", "leads", "users", "conversations",
             "tickets", "events"]  # fmt: skip
    simulator.control.deny("^/(tags|segments|companies|admins$|tickets|events)", 403)
    simulator.control.deny("^/(contacts|conversations)/search", 403)
    for _ in range(2):
        ended = terminal.run("sync")
        assert ended.code == 1
        failed = re.findall(r"ERROR (\w+) failed: ", ended.err)
        assert set(names) - {"events"} <= set(failed)
    simulator.control.deny("^/events", 403)
    checked = terminal.run("check")
    assert checked.code == 1
    wrong = re.findall(r"FAIL scope for (\w+): ", checked.out)
    assert set(names) <= set(wrong)


def test_all_but_some_is_neither_read_nor_checked(
    terminal: Terminal, simulator: Simulator, warehouse: Warehouse
) -> None:
    simulator.control.deny("^/(companies|macros)", 403)
    settings = {"CONNECTOR_RESOURCES": "all,-companies,-calls,-contacts"}
    ended = terminal.run("sync", "--json", **settings)
    assert ended.code == 0, ended.err
    left_out = {"companies", "calls", "leads", "users", "contact_merges"}
    assert set(json.loads(ended.out)["resources"]) == set(BY_NAME) - left_out
    checked = terminal.run("check", **settings)
    assert checked.code == 0, checked.out
    assert "ok   scope for companies: left out, as the settings say" in checked.out
    assert "ok   scope for macros: not readable with this token, and so left out" in checked.out
    named = terminal.run("check", CONNECTOR_RESOURCES="macros")
    assert named.code == terminal.run("sync", CONNECTOR_RESOURCES="macros").code == 1
    assert "FAIL scope for macros" in named.out


def test_a_failed_night_names_what_failed_on_stderr(
    terminal: Terminal, simulator: Simulator
) -> None:
    key = simulator.control.truth("conversations")[0]["id"]
    simulator.control.fail({"path": f"/conversations/{key}$"}, times=None, status=500)
    ended = terminal.run("sync", "--json")
    assert ended.code == 1
    assert f"overdue: conversations {key}: " in ended.err
    assert json.loads(ended.out)["overdue"][0]["id"] == key


# -- json ------------------------------------------------------------------------------------


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("words", "settings", "code"),
    [
        (["sync", "--only", "tags", "-v"], {}, 0),
        (["sync", "--frob"], {}, 2),
        (["sync", "--only", "fish"], {}, 2),
        (["sync"], {"INTERCOM_ACCESS_TOKEN": "wrong"}, 3),
        (["sync"], {"CONNECTOR_FULL_PASS_DAY": "3", "CONNECTOR_EXCLUDE": "x"}, 2),
        (["dance"], {}, 2),
        (["simulate", "--port", "99999"], {}, 2),
        (["status"], {}, 1),
    ],
)
def test_each_line_on_stderr_is_json(
    terminal: Terminal, words: list[str], settings: dict[str, str], code: int
) -> None:
    ended = terminal.run(*words, "--log-format", "json", **settings)
    assert ended.code == code
    lines = [json.loads(line) for line in ended.err.splitlines()]
    assert all(line["level"] and line["time"] for line in lines)
    assert lines or words == ["status"]


def test_a_fault_of_our_own_is_json_too_and_exits_1(terminal: Terminal) -> None:
    script = (
        "import sys\n"
        "from connector.commands import status\n"
        "def fail(*_, **__): raise ValueError('odd')\n"
        "status.run = fail\n"
        "from connector.cli import main\n"
        "sys.exit(main(['status', '--log-format', 'json']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=terminal.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "ValueError: odd" in json.loads(line)["traceback"]


def test_json_prints_one_object_also_where_the_run_cannot_begin(terminal: Terminal) -> None:
    for settings, code in (
        ({"CONNECTOR_LOOKBACK": "soon"}, 2),
        ({"DATABASE_URL": ""}, 2),
        ({"INTERCOM_ACCESS_TOKEN": "wrong"}, 3),
    ):
        ended = terminal.run("sync", "--json", **settings)
        told = json.loads(ended.out)
        assert (ended.code, told["exit_code"]) == (code, code)
        assert told["error"]


# -- words of the command line ---------------------------------------------------------------


def test_version_and_no_abbreviations(terminal: Terminal) -> None:
    ended = terminal.run("--version")
    assert (ended.code, ended.out, ended.err) == (0, f"intercom-warehouse {__version__}\n", "")
    for words in (["--vers"], ["sync", "--ful"], ["sync", "--allow-del"], ["status", "--js"],
                  ["simulate", "--por", "1"], ["verify", "--samp", "1"]):  # fmt: skip
        ended = terminal.run(*words)
        assert ended.code == 2, words
        assert "--help" in ended.err
    assert terminal.run("verify", "--sample", "-1").code == 2


# -- refetch, verify, forget, status ---------------------------------------------------------


def test_refetch_takes_the_tables_name_and_finds_the_role(
    terminal: Terminal, warehouse: Warehouse, simulator: Simulator
) -> None:
    assert terminal.run("sync").code == 0
    contacts = simulator.control.truth("contacts")
    lead = next(c["id"] for c in contacts if c["role"] == "lead")
    user = next(c["id"] for c in contacts if c["role"] == "user")
    warehouse.query("UPDATE contacts SET name = 'wrong' WHERE id = ANY(%s)", [lead, user])
    simulator.control.reset_stats()
    ended = terminal.run("refetch", "contacts", lead, user, "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)["resources"]
    assert {name: t["updated"] for name, t in told.items()} == {"leads": 1, "users": 1}
    assert warehouse.query("SELECT id FROM contacts WHERE name = 'wrong'") == []
    asked = simulator.control.stats()["endpoints"]
    assert asked["GET /contacts/{id}"] == 2


@pytest.mark.sampled(2)
@pytest.mark.parametrize("resource", ["contacts", "users", "conversations", "companies", "events"])
def test_refetch_of_what_nobody_knows_exits_1(terminal: Terminal, resource: str) -> None:
    assert terminal.run("sync", "--only", "users,companies,conversations").code == 0
    ended = terminal.run("refetch", resource, "1")
    assert ended.code == 1
    assert "1 not found at Intercom" in ended.err
    assert "1 not found at Intercom" in ended.out
    assert json.loads(terminal.run("refetch", resource, "1", "--json").out)["missing"] == ["1"]


def test_refetch_takes_whatever_pair_is_pending(
    terminal: Terminal, warehouse: Warehouse, simulator: Simulator
) -> None:
    assert terminal.run("sync").code == 0
    user = next(c["id"] for c in simulator.control.truth("contacts") if c["role"] == "user")
    talk = simulator.control.truth("conversations")[0]["id"]
    segment = simulator.control.truth("segments")[0]["id"]
    pairs = [
        ("users", user), ("leads", user), ("contacts", user), ("events", user),
        ("contact_notes", user), ("contact_subscriptions", user), ("conversations", talk),
        ("contact_segments", segment),
    ]  # fmt: skip
    for name, key in pairs:
        warehouse.query(
            "INSERT INTO sync_pending (resource, id, reason, first_seen_at, not_before)"
            " VALUES (%s, %s, 'test', now(), now() + interval '1 hour')",
            name,
            key,
        )
    for name, key in pairs:
        ended = terminal.run("refetch", name, key)
        left = warehouse.query(
            "SELECT * FROM sync_pending WHERE (resource, id) = (%s, %s)", name, key
        )
        assert (ended.code, left) == (0, []), (name, ended.err)


def test_verify_covers_every_resource_or_says_why_not(
    terminal: Terminal, warehouse: Warehouse
) -> None:
    assert terminal.run("sync").code == 0
    ended = terminal.run("verify", "--sample", "200", "--json")
    assert ended.code == 0, ended.out
    found = json.loads(ended.out)
    assert list(found) == list(BY_NAME)
    assert {n for n, v in found.items() if v["not_compared"]} == {"deleted_conversations"}
    compared = {name for name, v in found.items() if v["equal"]}
    empty = {"contact_merges", "deleted_conversations"}
    assert set(BY_NAME) - empty <= compared | {
        name for name in BY_NAME if not _rows(warehouse, name)
    }
    assert "deleted_conversations not compared: " in " ".join(terminal.run("verify").out.split())


def _rows(warehouse: Warehouse, name: str) -> int:
    table = BY_NAME[name].table.name
    return int(warehouse.query(f"SELECT count(*) AS n FROM {table}")[0]["n"])


WRONG: dict[str, Any] = {
    "subscription_types": "UPDATE subscription_types SET default_translation_name = 'wrong'",
    "ticket_states": "UPDATE ticket_states SET category = 'wrong'",
    "data_attributes": "UPDATE data_attributes SET label = 'wrong'",
    "articles": "UPDATE articles SET title = 'wrong'",
    "collections": "UPDATE collections SET name = 'wrong'",
    "calls": "UPDATE calls SET state = 'wrong'",
    "macros": "UPDATE macros SET name = 'wrong'",
    "activity_logs": "UPDATE activity_logs SET activity_type = 'wrong'",
    "events": "UPDATE events SET metadata = '{\"wrong\": 1}'",
    "contact_notes": "UPDATE contact_notes SET body = 'wrong'",
    "contact_subscriptions": "DELETE FROM contact_subscriptions",
    "contact_segments": "DELETE FROM contact_segments",
}


def test_verify_finds_what_is_wrong_in_each_kind_of_resource_and_writes_nothing(
    terminal: Terminal, warehouse: Warehouse
) -> None:
    assert terminal.run("sync").code == 0
    for statement in WRONG.values():
        warehouse.query(statement)
    warehouse.query(
        "INSERT INTO ticket_states (id, _placeholder, _changed_at) VALUES ('none', false, now())"
    )
    before = warehouse.query("SELECT count(*) AS n, max(xmin::text::bigint) AS x FROM events")
    ended = terminal.run("verify", "--sample", "200", "--json")
    assert ended.code == 1
    found = json.loads(ended.out)
    assert {name for name, v in found.items() if v["differences"]} >= set(WRONG)
    assert found["ticket_states"]["differences"]["none"] == ["not in Intercom's list"]
    after = warehouse.query("SELECT count(*) AS n, max(xmin::text::bigint) AS x FROM events")
    assert after == before


@pytest.mark.bare
def test_verify_of_an_empty_schema_exits_2(terminal: Terminal) -> None:
    ended = terminal.run("verify")
    assert ended.code == 2
    assert "run sync first" in ended.err


def test_forget_of_nobody_exits_1_unless_that_is_said(
    terminal: Terminal, warehouse: Warehouse
) -> None:
    assert terminal.run("sync", "--only", "users").code == 0
    known = warehouse.query("SELECT id FROM contacts WHERE NOT _placeholder LIMIT 1")[0]["id"]
    ended = terminal.run("forget", known, "abc")
    assert ended.code == 1
    assert "no contact abc is in the warehouse" in ended.err
    assert f"contact {known}: " in ended.out
    assert terminal.run("forget", "abc", "--unknown").code == 0
    ended = terminal.run("forget", "abd", "--json")
    assert (ended.code, json.loads(ended.out)["unknown"]) == (1, ["abd"])
    assert terminal.run("forget", known).code == 0


def test_status_of_a_killed_run_exits_1(terminal: Terminal, database_url: str, schema: str,
                                        warehouse: Warehouse) -> None:  # fmt: skip
    assert terminal.run("sync", "--only", "tags").code == 0
    warehouse.query(
        "INSERT INTO sync_runs (command, status, started_at) VALUES ('sync', 'running', now())"
    )
    ended = terminal.run("status", "--json")
    assert ended.code == 1
    assert json.loads(ended.out)["runs"][0]["status"] == "interrupted"
    holder = Database(database_url, schema)
    holder.lock()
    try:
        assert terminal.run("status").code == 0
    finally:
        holder.close()
    assert terminal.run("status").code == 1
    assert terminal.run("sync", "--only", "tags").code == 0
    assert terminal.run("status").code == 0


# -- check -----------------------------------------------------------------------------------


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("settings", "code", "label"),
    [
        ({"INTERCOM_ACCESS_TOKEN": ""}, 2, "token"),
        ({"INTERCOM_ACCESS_TOKEN": "a b"}, 2, "token"),
        ({"INTERCOM_ACCESS_TOKEN": "wrong"}, 3, "token"),
        ({"INTERCOM_VERSION": "1.0"}, 2, "settings"),
        ({"INTERCOM_BASE_URL": "http://198.51.100.1"}, 2, "settings"),
        ({"SSL_CERT_FILE": "/none"}, 2, "settings"),
        ({"INTERCOM_REGION": "mars", "INTERCOM_BASE_URL": ""}, 2, "settings"),
        ({"CONNECTOR_LOOKBACK": "soon"}, 2, "settings"),
        ({"DATABASE_URL": ""}, 2, "settings"),
        ({"CONNECTOR_EXCLUDE": "contacts.emial"}, 2, "privacy"),
    ],
)
def test_check_labels_what_is_wrong(
    terminal: Terminal, settings: dict[str, str], code: int, label: str
) -> None:
    ended = terminal.run("check", **settings)
    assert ended.code == code
    wrong = [line for line in ended.out.splitlines() if line.startswith("FAIL")]
    assert [line.split(":")[0] for line in wrong] == [f"FAIL {label}"]
    told = json.loads(terminal.run("check", "--json", **settings).out)
    assert [line["name"] for line in told if not line["fine"]] == [label]


# -- streams ---------------------------------------------------------------------------------

ASCII: list[dict[str, str]] = [
    {"PYTHONIOENCODING": "ascii"},
    {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
]


@pytest.mark.sampled(1)
@pytest.mark.parametrize("environ", ASCII)
def test_an_ascii_terminal_is_no_fault(
    terminal: Terminal, warehouse: Warehouse, environ: dict[str, str]
) -> None:
    assert terminal.run("sync", "--only", "tags,admins", **environ).code == 0
    warehouse.query(f"UPDATE sync_workspace SET name = '{EMOJI}'")
    for words in (["status"], ["sql", f"SELECT '{EMOJI}' AS word"], ["status", "--json"]):
        ended = terminal.run(*words, **environ)
        assert (ended.code, ended.err) == (0, ""), words
        assert "Zo" in ended.out
    ended = terminal.run("sync", "--only", EMOJI, **environ)
    assert ended.code == 2
    assert "Traceback" not in ended.err


def test_who_stops_reading_changes_no_exit_code(terminal: Terminal) -> None:
    ended = shell(terminal, "$IW sync | head -1; echo ${PIPESTATUS[0]}")
    assert ended.out.splitlines()[-1] == "0"
    assert ended.err == ""
    line = "$IW sql \"SELECT repeat('x', 60) FROM generate_series(1, 20000)\" | head -2"
    ended = shell(terminal, f"{line}; echo ${{PIPESTATUS[0]}}")
    assert (ended.out.splitlines()[-1], ended.err) == ("0", "")
    ended = shell(terminal, "$IW sync --only fish 2>&1 | true; echo ${PIPESTATUS[0]}")
    assert ended.out == "2\n"
    ended = shell(terminal, "$IW --help | true; echo ${PIPESTATUS[0]}")
    assert ended.out == "0\n"


@pytest.mark.sampled(1)
@pytest.mark.parametrize("closed", ["<&-", ">&- 2>&-", "<&- >&- 2>&-"])
def test_closed_streams_are_no_fault(terminal: Terminal, warehouse: Warehouse, closed: str) -> None:
    ended = shell(terminal, f"$IW sync {closed}; echo $?")
    assert ended.out.splitlines()[-1] == "0", ended.err
    assert warehouse.query("SELECT status FROM sync_runs") == [{"status": "succeeded"}]
    assert shell(terminal, f"$IW sync {closed}", DATABASE_URL="").code == 2


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_output_that_cannot_be_written_is_said(terminal: Terminal) -> None:
    ended = shell(terminal, "$IW sync --only tags >/dev/full")
    assert ended.code == 1
    assert "the output could not be written: No space left on device" in ended.err
    assert shell(terminal, "$IW status >/dev/null").code == 0


def test_a_deleted_working_directory_is_no_fault(terminal: Terminal) -> None:
    for line in ("$IW sync --only tags", "$IW status", "$IW check"):
        ended = shell(terminal, f"mkdir gone && cd gone && rmdir ../gone && {line}")
        assert ended.code == 0, ended.err


def test_words_that_are_no_text_are_refused(terminal: Terminal) -> None:
    ended = shell(terminal, "$IW sql $'SELECT \\xff'")
    assert ended.code == 2
    assert "no UTF-8" in ended.err


def test_settings_in_a_dotenv_that_cannot_be_read_exit_2(terminal: Terminal) -> None:
    file = terminal.directory / ".env"
    faults: list[Any] = [
        lambda: file.write_bytes(b"A=\xff\n"), lambda: file.write_text("not a setting"),
        lambda: file.mkdir(), lambda: file.symlink_to(file),
    ]  # fmt: skip
    for make in faults:
        make()
        for words in (["sync"], ["check"]):
            ended = terminal.run(*words)
            assert ended.code == 2, words
            assert "Traceback" not in ended.err
            assert ".env" in ended.err + ended.out
        file.rmdir() if file.is_dir() else file.unlink()


# -- what is read and not written ------------------------------------------------------------


def test_a_load_of_which_much_is_refused_says_so_and_shows_nothing(
    database_url: str, schema: str, tmp_path: Path
) -> None:
    simulator = Simulator(
        Workspace.generate(4, contacts=900, companies=5, conversations=5), token=TOKEN
    )
    contacts = simulator.control.truth("contacts")
    middle = sorted(contact["created_at"] for contact in contacts)[len(contacts) // 2]
    check = f"_placeholder OR created_at >= to_timestamp({middle})"
    with served(simulator) as url:
        environ = environment(url, database_url, schema, INTERCOM_ACCESS_TOKEN=TOKEN)
        terminal = Terminal(environ | {"CONNECTOR_RESOURCES": "leads,users"}, tmp_path)
        terminal.run("migrate")
        with psycopg.connect(conninfo(database_url), autocommit=True) as conn:
            conn.execute(f'ALTER TABLE "{schema}".contacts ADD CONSTRAINT c CHECK ({check})')
        ended = terminal.run("sync")
    assert ended.code == 1
    assert "Postgres refuses a row" in ended.err
    assert "Traceback" not in ended.err
    mails = [contact["email"] for contact in contacts if contact["email"]]
    assert [mail for mail in mails if mail in ended.err + ended.out] == []


# -- schemas of other versions ---------------------------------------------------------------


@pytest.mark.bare
def test_commands_on_an_older_schema_say_what_to_do(
    terminal: Terminal, database_url: str, schema: str
) -> None:
    older.build(database_url, schema)
    for words in (["status"], ["status", "--json"], ["verify"]):
        ended = terminal.run(*words)
        assert ended.code == 2
        assert "is older: run 'intercom-warehouse migrate' first" in ended.err
    checked = terminal.run("check")
    assert "is older; sync or migrate will upgrade it" in checked.out
    assert "Traceback" not in checked.err


@pytest.mark.bare
def test_nobody_is_forgotten_in_a_schema_that_is_not_there(terminal: Terminal) -> None:
    ended = terminal.run("forget", "--list", "--json")
    assert (ended.code, ended.err) == (0, "")
    assert json.loads(ended.out) == []


@pytest.mark.parametrize(
    "statement", ["copy (select 1) to stdout", "-- x\n COPY tags FROM STDIN", "/* a */copy t to ''"]
)
def test_sql_takes_no_copy(terminal: Terminal, statement: str) -> None:
    ended = terminal.run("sql", statement)
    assert ended.code == 2
    assert "COPY needs a client" in ended.err
