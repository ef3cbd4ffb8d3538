"""Imports point down only, and what touches the world outside has one place each."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import TypeGuard

import pytest

from connector import resources
from tests.project.modules import FILES, PACKAGE, imported, parsed
from tests.support.places import ROOT

MOST_FILES = 14  # in one folder
# Folders that grow with what Intercom has, one file for each family of resources.
GROWING = {"resources/declarations", "simulator/api"}

BASE = {"errors", "jsontext"}
# Each room, and what it may import besides itself.
MAY_IMPORT = {
    "errors": set(),
    "jsontext": set(),
    "resources": BASE,
    "sources": BASE,
    "settings": BASE | {"resources", "sources"},
    "intercom": BASE | {"resources", "settings"},
    "warehouse": BASE | {"resources"},
    "tools": set(),
    "sync": BASE | {"resources", "tools", "intercom", "warehouse"},
    "simulator": BASE,
    "webhooks": BASE | {"resources"},
    "push": BASE | {"resources", "tools", "intercom", "warehouse"},
    "commands": BASE
    | {
        *("resources", "settings", "intercom", "warehouse", "sync", "push", "webhooks"),
        *("simulator", "cli"),
    },
    "cli": BASE | {"resources", "settings", "intercom", "warehouse", "sync", "push", "commands"},
    "__main__": {"cli"},
    "__init__": set(),
}


def room(file: Path) -> str:
    return file.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _name(file: Path) -> str:
    return file.relative_to(PACKAGE).with_suffix("").as_posix()


def rooms_imported(file: Path) -> set[str]:
    parts = [name.split(".") for name in imported(file)]
    rooms = {part[1] for part in parts if part[0] == "connector" and len(part) > 1}
    return {name for name in rooms if name in MAY_IMPORT}


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_down(file):
    assert room(file) in MAY_IMPORT, "a new room: say what it may import"
    assert rooms_imported(file) - {room(file)} <= MAY_IMPORT[room(file)]


def test_the_two_halves_do_not_know_each_other():
    for file in FILES:
        if room(file) == "intercom":
            assert "warehouse" not in rooms_imported(file)
        if room(file) == "warehouse":
            assert "intercom" not in rooms_imported(file)


# What each room of a part may import of its part. A table goes down: each row names rows above it.
RESOURCES = {
    "readings": set(),
    "resource": {"readings"},
    "lists": {"resource"},
    "declarations": {"readings", "resource"},
}
INTERCOM = {
    "address": set(),
    "clock": set(),
    "memory": set(),
    "refusals": set(),
    "retry": set(),
    "budget": {"clock"},
    "tokens": {"budget", "clock"},
    "rate_headers": {"budget", "clock"},
    "responses": {"memory"},
    "transport": {"memory"},
    "facts": set(),
    "observations": {"facts"},
    "client": {
        *("address", "budget", "clock", "memory", "observations", "rate_headers", "responses"),
        *("retry", "tokens", "transport"),
    },
    "paging": {"address", "client", "facts", "memory", "refusals", "responses", "retry"},
    "probes": {"budget", "client", "facts", "paging", "responses", "retry"},
}
WAREHOUSE = {
    "sql": set(),
    "values": set(),
    "encode": {"values"},
    "state": {"sql", "values", "encode"},
    "schema": {"sql", "state"},
    "changes": {"sql"},
    "metrics": {"sql", "schema", "state", "changes"},
    "views": {"sql", "schema", "state", "values", "metrics"},
    "reports": {"sql"},
    "privacy": {"sql", "schema", "state", "values", "encode", "changes"},
    "merge": {"sql", "schema", "state", "values", "encode", "changes", "privacy"},
    "history": {"sql", "schema", "state", "values", "changes", "merge"},
    "followers": {"sql", "values", "changes", "privacy", "merge", "history", "metrics"},
}


SIMULATOR = {
    "encoding": set(),
    "times": set(),
    "messages": {"encoding"},
    "records": {"encoding", "times"},
    "generation": {"encoding", "times", "records"},
    "faults": {"encoding", "messages"},
    "webhooks": {"encoding", "records"},
    "changes": {"encoding", "times", "records", "generation", "faults", "webhooks"},
    "search": {"encoding", "messages", "records"},
    "writes": {"encoding", "messages", "records"},
    "requests": {"encoding", "messages", "records", "faults"},
    "api": {
        *("encoding", "times", "messages", "records", "generation", "faults", "search"),
        *("requests", "writes"),
    },
    "truth": {"encoding", "records", "api"},
    "control": {
        *("records", "changes", "faults", "requests", "api", "truth", "webhooks", "writes"),
    },
    "simulator": {
        *("encoding", "messages", "records", "faults", "requests", "webhooks", "api", "control"),
        "writes",
    },
    "transport": {"encoding", "messages", "simulator"},
}
PUSH = {
    "kinds": set(),
    "outbox": {"kinds"},
    "planning": {"kinds", "outbox"},
    "sending": {"kinds", "outbox"},
}
COMMANDS = {
    "terminal": set(),
    "connect": set(),
    "reporting": {"terminal"},
    "serving": {"terminal", "reporting", "connect"},
    "pushing": {"terminal", "reporting", "connect"},
    "demonstration": {"terminal", "reporting"},
    "dbt": set(),
    "status": {"terminal", "reporting"},
    "workspace_report": {"terminal", "reporting", "status"},
}
WITHIN = {
    "resources": RESOURCES,
    "intercom": INTERCOM,
    "warehouse": WAREHOUSE,
    "simulator": SIMULATOR,
    "push": PUSH,
    "commands": COMMANDS,
}
# A workspace fills itself: it imports the generators, which import it, when it is asked to.
FILLS_ITSELF = ("simulator/records/workspace", "generation")


def _inner(file: Path) -> str:
    parts = file.relative_to(PACKAGE).parts
    return parts[1].removesuffix(".py") if len(parts) > 1 else ""


def _inner_imports(file: Path) -> set[str]:
    """What the file imports of its own part; in the simulator not what is only there for types."""
    modules = imported(file, for_types=room(file) != "simulator")
    parts = [module.split(".") for module in modules]
    found = {p[2] for p in parts if p[:2] == ["connector", room(file)] and len(p) > 2}
    return {name for name in found if (_name(file), name) != FILLS_ITSELF}


@pytest.mark.parametrize(
    ("part", "name"), [(part, name) for part in WITHIN for name in WITHIN[part]]
)
def test_rooms_of_a_part_import_downwards(part, name):
    files = [file for file in FILES if room(file) == part and _inner(file) == name]
    assert files, "no such room"
    found = set().union(*map(_inner_imports, files))
    assert found - {name} <= WITHIN[part][name]


@pytest.mark.parametrize("part", WITHIN)
def test_no_rooms_import_each_other(part):
    above: set[str] = set()
    for name, below in WITHIN[part].items():
        assert below <= above, f"{name} imports what stands beside or over it"
        above.add(name)
    folders = {folder.parent.name for folder in (PACKAGE / part).glob("*/__init__.py")}
    assert folders <= above, "a new room: say what it may import"


def test_encoding_knows_no_sql():
    names = _importers("sqlalchemy", "psycopg")
    assert not [n for n in names if n.startswith(("warehouse/encode/", "warehouse/values/"))]


def test_no_folder_is_a_drawer():
    folders = {file.parent for file in FILES} - {PACKAGE / name for name in GROWING}
    crowded = {str(f.name): n for f in folders if (n := len(list(f.glob("*.py")))) > MOST_FILES}
    assert crowded == {}


def test_every_room_says_what_it_is_for():
    for folder in {file.parent for file in FILES}:
        assert ast.get_docstring(parsed(folder / "__init__.py"))


def test_nothing_but_commands_knows_the_simulator():
    users = {room(file) for file in FILES if "simulator" in rooms_imported(file)}
    assert users <= {"simulator", "commands"}


def _importers(*modules: str) -> set[str]:
    return {
        _name(file)
        for file in FILES
        if any(name.split(".")[0] in modules for name in imported(file))
    }


def test_only_the_client_the_notification_and_the_simulators_transport_import_httpx():
    users = _importers("httpx", "httpx_aiohttp")
    assert users
    outside = users - {"intercom/transport"}
    assert outside <= {"simulator/transport/inprocess", "commands/reporting/notification"}


def test_only_what_draws_on_a_terminal_imports_rich():
    assert _importers("rich") == {
        *("commands/terminal/screen", "commands/terminal/grids", "commands/reporting/display"),
    }


def test_only_the_warehouse_its_writer_and_commands_speak_sql():
    rooms = {name.split("/")[0] for name in _importers("psycopg", "sqlalchemy", "alembic")}
    assert rooms <= {"warehouse", "sync", "push", "commands", "cli"}


# They give columns their defaults, with which the migrations are compared.
DEFAULTS = {"warehouse/schema/tables", "warehouse/state/tables"}


def _runs_text(node: ast.AST) -> bool:
    """Whether it runs SQL text by another way than ``sql/execute``, or makes text ready for one."""
    if isinstance(node, ast.Attribute):
        of = node.value.id if isinstance(node.value, ast.Name) else ""
        return (of, node.attr) == ("sa", "text") or node.attr == "exec_driver_sql"
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        given = node.args[0] if node.args else None
        is_text = isinstance(given, ast.JoinedStr | ast.Constant)
        executes = node.func.attr in ("execute", "executemany") and is_text
        return executes or node.func.attr == "cursor"
    if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy"):
        return "text" in {name.name for name in node.names}
    return False


def test_one_helper_runs_all_sql_text():
    nodes = (
        (file, node) for file in FILES for node in ast.walk(ast.parse(file.read_text("utf-8")))
    )
    found = {_name(file) for file, node in nodes if _runs_text(node)}
    outside = {name for name in found if not name.startswith("warehouse/sql/")}
    assert outside == DEFAULTS


def test_whoever_looks_at_a_failed_statement_looks_at_the_drivers_error():
    others = re.compile(r"\b(sa|sqlalchemy)\.exc\b")
    assert not [_name(file) for file in FILES if others.search(file.read_text("utf-8"))]


def test_one_place_says_which_rows_live():
    told = re.compile(r"_deleted_at IS NULL AND NOT \S*_placeholder")
    assert {_name(file) for file in FILES if told.search(file.read_text("utf-8"))} == {
        "warehouse/sql/rows"
    }


# What they say of some tables is all that they are about.
ABOUT_SOME = ("warehouse/metrics/", "warehouse/views/metrics/")


def test_no_table_or_resource_is_spelled_where_all_are_handled():
    """What is special about one is declared on it; ``commands`` may name what people name."""
    parts = [part for table in resources.TABLES for part in table.family()]
    known = {part.name for part in parts} | {link.table for part in parts for link in part.links}
    known |= {resource.name for resource in resources.RESOURCES}
    spelled = {
        (_name(file), node.value)
        for file in FILES
        if room(file) in ("sync", "warehouse") and not _name(file).startswith(ABOUT_SOME)
        for node in ast.walk(ast.parse(file.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in known
    }
    assert spelled == set()


def test_what_commits_asks_intercom_nothing():
    for file in FILES:
        if _name(file).startswith("sync/writing/"):
            asked = {m for m in imported(file) if m.startswith("connector.intercom")}
            assert all(m.startswith("connector.intercom.refusals") for m in asked), file


def test_what_reads_ahead_is_closed_by_whoever_takes_from_it():
    """A generator that is left open ends whenever it is found, with what it holds, in a log."""
    for file in FILES:
        if room(file) == "sync":
            loops = [n for n in ast.walk(ast.parse(file.read_text("utf-8"))) if is_loop(n)]
            assert not [ast.unparse(n.iter) for n in loops if isinstance(n.iter, ast.Call)], file


def is_loop(node: ast.AST) -> TypeGuard[ast.AsyncFor | ast.comprehension]:
    if isinstance(node, ast.comprehension):
        return bool(node.is_async)
    return isinstance(node, ast.AsyncFor)


def test_readings_write_by_effects_alone():
    """A pass hands records and effects over; it merges, marks and erases nothing itself."""
    for file in FILES:
        if _name(file).startswith("sync/readings/"):
            modules = imported(file)
            assert not {m for m in modules if m.startswith("connector.warehouse.privacy")}, file
            writing = re.compile(r"merge\.(loader|deletion_tracker)\b")
            assert not {m for m in modules if writing.search(m)}, file


# It passes the environment on to the processes that it starts.
PASSES_ON = "commands/demo"


def test_only_the_settings_read_the_environment():
    readers = set()
    for file in FILES:
        for node in ast.walk(parsed(file)):
            if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "environb"):
                readers.add(_name(file))
            if isinstance(node, ast.ImportFrom) and node.module == "os":
                names = {name.name for name in node.names}
                readers |= {_name(file)} if names & {"environ", "getenv", "environb"} else set()
    assert readers - {PASSES_ON} == {"settings"}


# -- the tests -------------------------------------------------------------------------------

TESTS = ROOT / "tests"
# Whole lives, promises under faults, the project itself; and what helps: about no room alone.
ABOUT_ALL = {"lives", "reliability", "project", "support"}


def _is_test(name: str) -> bool:
    return name.rpartition(".")[2].startswith("test_")


def test_tests_stand_in_folders_that_mirror_the_rooms():
    assert [one.name for one in TESTS.glob("test_*.py")] == []
    for folder in {one.parent.relative_to(TESTS) for one in TESTS.rglob("test_*.py")}:
        assert folder.parts[0] in ABOUT_ALL or (PACKAGE / folder).is_dir(), folder
    for folder in [one for one in TESTS.rglob("*") if one.is_dir()]:
        files = [one for one in folder.glob("*.py") if one.stem not in ("__init__", "conftest")]
        assert len(files) <= MOST_FILES, folder


def test_what_several_files_of_tests_need_stands_in_none_of_them():
    for file in TESTS.rglob("*.py"):
        for name in imported(file):
            module = name.rpartition(".")[0]
            assert not (name.startswith("tests.") and (_is_test(name) or _is_test(module))), file
            if file.is_relative_to(TESTS / "support"):
                assert not name.startswith("tests.") or name.startswith("tests.support"), file
