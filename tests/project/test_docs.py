"""What the documents say is so: settings, commands, exit codes, tables, SQL, links, test names."""

from __future__ import annotations

import argparse
import configparser
import re
import shlex
import textwrap
from pathlib import Path

import pytest
import sqlalchemy as sa
import yaml

from bench import reliability
from connector import __version__, settings
from connector.cli import EPILOG, parser
from connector.commands import facts
from connector.commands.reporting.metrics import metrics
from connector.commands.reporting.report import run_report
from connector.resources import BY_NAME, RESOURCES
from connector.sync.outcome import Outcome
from connector.warehouse.migrate import migrate
from connector.warehouse.schema.tables import BOOKKEEPING, metadata
from connector.warehouse.sql.database import Database
from tests.support.places import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BESIDE = [ROOT / f"{name}.md" for name in ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")]
DOCUMENTS = sorted([*BESIDE, *(ROOT / "docs").rglob("*.md")])
# What the README was about before it had pages beside it: as strictly read as the README.
CONCEPTS = ROOT / "docs/concepts.md"
CONFIGURATION = ROOT / "docs/configuration.md"
DEMO = ROOT / "docs/demo.md"
MOVING = ROOT / "docs/moving.md"
PRIVACY = ROOT / "docs/privacy.md"
WHAT_YOU_GET = ROOT / "docs/what-you-get.md"
FOR_USERS = [ROOT / "README.md", CONCEPTS, CONFIGURATION, DEMO, MOVING, PRIVACY, WHAT_YOU_GET]


def _section(heading: str, document: Path = ROOT / "README.md") -> str:
    """The text under a heading, to the next one of the same or a higher level."""
    text = document.read_text(encoding="utf-8")
    level = heading.split()[0]
    start = text.index(f"\n{heading}\n") + len(heading) + 2
    end = re.search(rf"^#{{1,{len(level)}}} ", text[start:], re.MULTILINE)
    return text[start : start + end.start() if end else len(text)]


def _first_cells(text: str) -> list[str]:
    """What stands in backticks in the first column of the tables."""
    rows = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `")]
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row)]


def test_every_setting_is_documented_and_every_documented_one_exists() -> None:
    source = Path(settings.__file__).read_text(encoding="utf-8")
    read = re.findall(r'source\.\w+\(\s*"([A-Z_]+)"', source)
    documented = _first_cells(CONFIGURATION.read_text(encoding="utf-8"))
    assert sorted(documented) == sorted(set(read))


def test_every_command_is_documented_and_every_documented_one_exists() -> None:
    documented = _first_cells(_section("## Commands").split("###")[0])
    assert sorted(documented) == sorted(_commands())


@pytest.mark.parametrize("document", [*FOR_USERS, *BESIDE[1:]], ids=lambda path: path.name)
def test_every_setting_that_a_page_names_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:CONNECTOR|INTERCOM)_[A-Z_]+\b", text))
    known = set(_first_cells(CONFIGURATION.read_text(encoding="utf-8")))
    assert {name.removesuffix("_FILE") for name in named} <= known


@pytest.mark.parametrize("document", [*FOR_USERS, *BESIDE[1:]], ids=lambda path: path.name)
def test_every_flag_in_the_readme_and_its_pages_exists(document: Path) -> None:
    known = {
        option
        for command in [parser(), *_commands().values()]
        for action in command._actions
        for option in action.option_strings
    }
    outside = re.sub(r"```.*?```", "", document.read_text("utf-8"), flags=re.DOTALL)
    mentioned = set(re.findall(r"`[^`]*?(--[a-z][a-z-]+)", outside))
    assert mentioned or document not in (ROOT / "README.md", CONCEPTS, PRIVACY)
    assert mentioned <= known


def _commands() -> dict[str, argparse.ArgumentParser]:
    (action,) = (a for a in parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def _blocks(document: Path, kind: str = "") -> list[str]:
    """The code blocks of that kind, dedented."""
    found = re.findall(
        r"^ *```(\w*)\n(.*?)^ *```$", document.read_text("utf-8"), re.MULTILINE | re.DOTALL
    )
    return [textwrap.dedent(text) for language, text in found if language == kind]


OPERATIONS = ROOT / "docs/operations.md"
LIVE = ROOT / "docs/live.md"
PUSH = ROOT / "docs/push.md"
FIVETRAN = ROOT / "docs/fivetran.md"
REPORT = ROOT / "docs/report.md"


@pytest.mark.parametrize(
    "document",
    [ROOT / "README.md", CONCEPTS, DEMO, OPERATIONS, LIVE, PUSH, FIVETRAN, REPORT],
    ids=lambda path: path.name,
)
def test_every_command_line_is_one_that_the_parser_takes(document: Path) -> None:
    lines = [
        line
        for kind in ("", "ini")
        for block in _blocks(document, kind)
        for line in block.splitlines()
    ]
    called = [
        re.split(r"intercom-warehouse ", line)[-1]
        for line in lines
        if re.search(r"(^|^\$ |=|[A-Z]=\S+ |/bin/|&& )intercom-warehouse [a-z]", line)
        and "docker-compose" not in line
    ]
    assert called
    for words in called:
        parser().parse_args(shlex.split(re.split(r" *[>|]", words)[0]))


def test_cron_lines_mail_nothing_on_a_good_night() -> None:
    # What is printed on stdout goes elsewhere; that stderr is silent is test_night's to show.
    lines = [
        line
        for document in (ROOT / "README.md", OPERATIONS)
        for block in _blocks(document)
        for line in block.splitlines()
        if re.match(r"\d+ \d+ \* \* \*", line)
    ]
    assert len(lines) == 2
    assert all(re.search(r"sync( --json)? >(/dev/null|>/\S+\.jsonl)$", line) for line in lines)
    assert not any("2>" in line for line in lines)


def test_the_systemd_units_hang_together_and_are_hardened() -> None:
    units = []
    for text in _blocks(OPERATIONS, "ini"):
        unit = configparser.ConfigParser(strict=False, interpolation=None)
        unit.optionxform = str  # type: ignore[assignment, method-assign]
        unit.read_string(text)
        units.append(unit)
    sync, failed, timer = units
    text = OPERATIONS.read_text("utf-8")
    assert f"/etc/systemd/system/{sync['Unit']['OnFailure']}`" in text
    assert failed["Service"]["Type"] == "oneshot"
    assert timer["Timer"]["OnCalendar"]
    for key in ("DynamicUser", "NoNewPrivileges", "ProtectHome", "PrivateDevices", "UMask"):
        assert sync["Service"][key] in ("yes", "0077")
    assert sync["Service"]["ExecStart"].endswith("/intercom-warehouse sync")


def test_the_kubernetes_job_runs_this_version_as_the_images_user() -> None:
    (job,) = [yaml.safe_load(text) for text in _blocks(OPERATIONS, "yaml")]
    pod = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"].endswith(f":{__version__}")
    assert f"USER {pod['securityContext']['runAsUser']}:" in (ROOT / "Dockerfile").read_text()
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    parser().parse_args(container["args"])


def test_the_freshness_query_for_dbt_runs(database: Database) -> None:
    migrate(database)
    (block,) = _blocks(MOVING, "yaml")
    (table,) = yaml.safe_load(block)["sources"][0]["tables"]
    query = table["config"]["loaded_at_query"].replace("intercom.", f'"{database.schema}".')
    named = re.findall(r"'(\w+)'", query)
    assert {BY_NAME[name].table.name for name in named} == {table["name"]}
    with database.transaction() as conn:
        assert conn.exec_driver_sql(query).scalar() is None


def test_the_documents_name_the_same_oldest_server() -> None:
    oldest = {re.search(r"PostgreSQL (\d+) or newer", text).group(1)  # type: ignore[union-attr]
              for text in (README, OPERATIONS.read_text("utf-8"))}  # fmt: skip
    assert oldest == {"14"}


def test_figures_named_for_alerts_are_written() -> None:
    written = metrics(run_report("sync", "s", 0.0, Outcome(1), None))
    named = set(re.findall(r"`(intercom_warehouse_\w+)", OPERATIONS.read_text("utf-8")))
    assert len(named) >= 3
    assert all(f"{name}{{" in written for name in named)


def test_the_page_of_facts_is_what_is_declared() -> None:
    stored = (ROOT / "docs/facts.md").read_text(encoding="utf-8")
    assert stored == facts.document(), "python -m connector.commands.facts > docs/facts.md"


def test_the_page_on_reliability_is_what_the_tests_say() -> None:
    stored = (ROOT / "docs/reliability.md").read_text(encoding="utf-8")
    assert stored == reliability.document(), "python -m bench.reliability > docs/reliability.md"


def test_the_exit_codes_of_the_help_and_the_readme_are_the_same() -> None:
    documented = re.findall(r"^\| (\d+) \|", _section("### Exit codes"), re.MULTILINE)
    assert documented == ["0", "1", "2", "3", "4", "5", "130"]
    helped = re.findall(r"(?:^|\s\s)(\d+) [a-zA-Z]", EPILOG)
    assert sorted(helped, key=int) == documented


def test_every_table_of_the_page_exists_and_every_table_is_in_it() -> None:
    held = _section("## Tables", WHAT_YOU_GET)
    rows = [line for line in held.splitlines() if line.startswith("| `")]
    named = {name for row in rows for name in re.findall(r"`([a-z_]+)`", row)}
    named -= {"role", "ticket_id"}  # columns
    states = _first_cells(_section("## State", WHAT_YOU_GET))
    state = {name for name in states if name.startswith("sync_")}
    exist = set(metadata().tables)
    assert named | set(states) <= exist
    assert state == {name for name in exist if name.startswith("sync_")}
    read = {table for resource in RESOURCES for table in _tables(resource.table)}
    missing = ", ".join(sorted(read - named))
    assert not missing, f'docs/what-you-get.md, "Tables": a row for {missing}'


def test_every_column_that_each_row_tells_about_itself_with_exists() -> None:
    told = _first_cells(_section("## What each row tells about itself", WHAT_YOU_GET))
    assert sorted(told) == sorted({*BOOKKEEPING, "extra"})
    assert set(told) <= set(metadata().tables["contacts"].columns.keys())


def test_the_figures_of_the_readme_are_those_of_the_page_on_performance() -> None:
    page = (ROOT / "docs/performance.md").read_text(encoding="utf-8")
    measured = page[page.index("\n## Other connectors\n") :].split("\n## ")[1].splitlines()
    shown = [line for line in _section("## How fast it is").splitlines() if line.startswith("|")]
    assert len(shown) >= 6
    assert set(shown) <= set(measured)


def test_the_readme_is_short_and_leads_to_every_page() -> None:
    assert len(README.splitlines()) <= 230
    pages = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert pages <= set(re.findall(r"\]\(([^)#]+)", README))


def _tables(table: object) -> set[str]:
    names = set()
    for part in table.family():  # type: ignore[attr-defined]
        names |= {part.name, *(link.table for link in part.links)}
    return names


@pytest.mark.parametrize(
    "document", [WHAT_YOU_GET, CONCEPTS, OPERATIONS, LIVE], ids=lambda path: path.name
)
def test_the_queries_run(database: Database, document: Path) -> None:
    migrate(database)
    text = document.read_text(encoding="utf-8")
    blocks = re.findall(r"^ *```sql\n(.*?)```", text, re.MULTILINE | re.DOTALL)
    queries = [query for block in blocks for query in re.split(r";\s*(?:\n|$)", block)]
    queries = [query for query in queries if query.strip().upper().startswith("SELECT")]
    assert queries
    with database.transaction() as conn:
        conn.execute(sa.text(f'SET LOCAL search_path TO "{database.schema}"'))
        for query in queries:
            conn.exec_driver_sql(query)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in re.findall(r"\]\(([^)]+)\)", text):
        path, _, anchor = target.partition("#")
        if "://" in path:
            continue
        other = (document.parent / path).resolve() if path else document
        assert other.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", other.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in {_anchor(heading) for heading in headings}, target


def _anchor(heading: str) -> str:
    """What GitHub and the site make of a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_module_is_in_the_architecture_and_every_named_test_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    rooms = text.split("```")[1]
    ours = [*(ROOT / "connector").glob("*.py")]
    for room in ("commands", "intercom", "push", "resources", "sync", "warehouse", "webhooks"):
        ours += (ROOT / "connector" / room).rglob("*.py")
    for module in ours:
        if module.parent.name != "declarations":
            assert module.name == "__init__.py" or re.search(
                rf"^\s+{re.escape(module.name)} ", rooms, re.MULTILINE
            ), f"{module} is not in docs/architecture.md"
    for listed in re.findall(r"`([\w/]*test_\w+\.py::\w+`(?:, `[^`|]*::\w+`)*)", text):
        file = ""
        for reference in re.findall(r"([\w/]+\.py)?::(\w+)", listed):
            file = reference[0] or file
            source = (ROOT / "tests" / file).read_text(encoding="utf-8")
            assert f"def {reference[1]}(" in source, reference
