"""What is seen on a terminal: a first load as it goes, tables that fit, and nothing hostile."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from rich.cells import cell_len
from rich.console import Console

from connector.commands import check, sql, status
from connector.commands.demonstration.picture import picture
from connector.commands.reporting import outcomes
from connector.commands.reporting.display import Display
from connector.commands.reporting.going import Left, Run
from connector.commands.reporting.progress import Progress
from connector.commands.terminal import logs
from connector.commands.terminal.grids import MOST_DRAWN, Grid, fitted, plain
from connector.commands.terminal.logs import TextLines
from connector.commands.terminal.screen import harmless, tell
from connector.resources import BY_NAME, RESOURCES
from connector.simulator import Simulator, Workspace
from connector.sync.options import Options
from connector.sync.outcome import Outcome, Silent
from connector.sync.run import sync
from connector.warehouse.sql.database import Database
from connector.warehouse.state.runs import Tally
from tests.commands.terminals import COLOURS, FRAME, STYLES, Pty, Screen, bare
from tests.support.harness import NOW, Harness
from tests.support.places import ROOT
from tests.support.postgres import copied
from tests.support.service import FEWEST, environment, served

database_url, schema = copied.database_url, copied.schema  # fixtures
HOSTILE = "[red]Evil[/red] \x1b[2J\x1b]0;title\x07\x9b31m\u202eabc\u2066 a\r\nb\tc"


@contextmanager
def drawing(columns: int = 80) -> Iterator[Screen]:
    """What is printed goes to a terminal that is so wide."""
    with pytest.MonkeyPatch.context() as patched, redirect_stdout(Screen()) as stream:
        for name in ("NO_COLOR", "FORCE_COLOR"):
            patched.delenv(name, raising=False)
        patched.setenv("TERM", "xterm-256color")
        patched.setenv("COLUMNS", str(columns))
        yield stream


def drawn(grid: Grid, columns: int = 80) -> str:
    with drawing(columns):
        found = fitted(grid)
    assert found is not None
    return found


def widest(text: str) -> int:
    lines = bare(text.replace("\r", "\n")).splitlines()
    return max(map(cell_len, lines))


@pytest.fixture(scope="module")
def intercom() -> Iterator[str]:
    """The address of a small workspace, far enough away for a run to be seen."""
    space = Workspace.generate(3, contacts=30, companies=6, conversations=12, **FEWEST)
    with served(Simulator(space), latency=0.02) as url:
        yield url


@pytest.fixture
def environ(intercom: str, database_url: str, schema: str) -> dict[str, str]:
    return environment(intercom, database_url, schema)


# -- a run, as it goes -----------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 40])
def test_a_first_load_shows_each_resource_and_ends_clean(
    environ: dict[str, str], columns: int
) -> None:
    terminal = Pty.of(environ, "sync", columns=columns)
    text = terminal.end()
    assert terminal.process.returncode == 0, text
    last = bare(text.split(FRAME)[-1])
    drawn = bare(text[: text.rindex(FRAME)])
    for name in BY_NAME:
        assert re.search(rf"[✓•] {name} +[\d,]+", drawn), name
        assert name[: columns // 2 - 6] in last  # in the table at the end
    assert f"{len(BY_NAME)} of {len(BY_NAME)} done" in " ".join(drawn.split())
    assert terminal.cursor_is_visible
    assert "Traceback" not in text
    assert widest(text) <= columns


def test_a_resize_leaves_no_traceback(environ: dict[str, str]) -> None:
    terminal = Pty.of(environ, "sync")
    for columns, lines in ((30, 8), (200, 60), (1, 1), (80, 24)):
        terminal.until(" done")
        terminal.resize(columns, lines)
        terminal._more()
    text = terminal.end()
    assert terminal.process.returncode == 0, text
    assert "Traceback" not in text
    assert terminal.cursor_is_visible


def test_ctrl_c_ends_a_run_with_the_cursor_visible(environ: dict[str, str]) -> None:
    terminal = Pty.of(environ, "sync")
    terminal.until(" done")
    terminal.press(b"\x03")
    text = terminal.end()
    assert terminal.process.returncode == 130, text
    assert terminal.cursor_is_visible
    assert "interrupted; what was committed is safe" in text.split(FRAME)[-1]
    assert "Traceback" not in text


CRASH = """
import sys
from connector import cli

async def sync(client, database, options, reporter):
    from connector.resources import RESOURCES
    reporter.planned(RESOURCES)
    raise ZeroDivisionError("a crash")

cli.sync = sync
sys.exit(cli.main(["sync"]))
"""


def test_a_crash_leaves_the_cursor_visible(environ: dict[str, str]) -> None:
    terminal = Pty([sys.executable, "-c", CRASH], environ)
    text = terminal.end()
    assert terminal.process.returncode == 1
    assert "a fault of intercom-warehouse itself" in text
    assert "a crash" in text
    assert "\x1b[?25l" in text  # it was drawn
    assert terminal.cursor_is_visible


def test_a_terminal_that_can_nothing_gets_lines(environ: dict[str, str]) -> None:
    terminal = Pty.of(environ | {"TERM": "dumb"}, "sync", "--only", "tags")
    text = terminal.end()
    assert terminal.process.returncode == 0
    assert "\x1b" not in text
    assert "resource=tags status=succeeded" in text


def test_json_on_a_terminal_is_no_drawing(environ: dict[str, str]) -> None:
    terminal = Pty.of(environ, "sync", "--only", "tags", "--json")
    text = terminal.end()
    assert "\x1b" not in text
    assert json.loads(text.splitlines()[-1])["exit_code"] == 0


def test_no_color_is_honoured(environ: dict[str, str]) -> None:
    seen = {}
    for value in ("", "1"):
        terminal = Pty.of(environ | {"NO_COLOR": value}, "sync", "--only", "tags")
        seen[value] = terminal.end()
        assert "succeeded" in seen[value]
    assert COLOURS.search(seen[""])
    assert not COLOURS.search(seen["1"])


# -- the figures of a run --------------------------------------------------------------------


class Clock:
    def __init__(self) -> None:
        self.at = 100.0

    def __call__(self) -> float:
        return self.at


def test_the_time_left_is_reckoned_by_requests() -> None:
    clock = Clock()
    run = Run(now=clock)
    run.planned = [BY_NAME[name] for name in ("tags", "users", "conversations", "events")]
    assert run.left() is None
    users = Tally(requests=0, expected=1_000)
    run.going("users", users, "full")
    clock.at += 10
    users.requests, users.fetched = 50, 250
    # 150 of users, 1,000 contacts with events; nobody knows how many conversations there are.
    assert run.left() == Left((150 + 1_000) / 5, at_least=True)
    run.going("conversations", Tally(fetched=1, expected=100, requests=1), "full")
    run.going("users", users).took = 10
    users.fetched = 1_000
    assert run.left() == Left((99 + 1_000) / 5.1, at_least=False)
    events = Tally(requests=500, expected=1_000, asked=500)
    assert run.going("events", events, "full").share == 0.5
    assert run.resources["events"].left == 500


async def test_a_first_load_knows_how_many_contacts_are_to_be_read(harness: Harness) -> None:
    """And tells the requests as they are sent; a later run asks the database nothing for it."""
    space = Workspace.generate(1, contacts=50, companies=5, conversations=5, now=int(NOW), **FEWEST)
    harness.simulate(space)
    outcome = await harness.sync()
    events, notes = (outcome.resources[name] for name in ("events", "contact_notes"))
    noted = harness.query("SELECT id FROM contacts WHERE notes_total_count > 0")
    assert (events.expected, events.asked) == (50, 50)
    assert notes.expected == notes.asked == len(noted) > 0
    assert outcome.resources["articles"].expected == 5
    assert outcome.resources["users"].expected == outcome.resources["users"].inserted
    again = await harness.sync()
    assert again.resources["events"].expected is None


class Watching(Silent):
    def __init__(self) -> None:
        self.sent: list[int] = []

    def moved(self, resource: str, tally: Tally) -> None:
        self.sent.append(tally.requests)


async def test_requests_are_counted_as_they_are_sent(harness: Harness, database: Database) -> None:
    space = Workspace.generate(
        1, contacts=5, companies=5, conversations=200, now=int(NOW), **FEWEST
    )
    harness.simulate(space)
    watching = Watching()
    async with harness.client() as client:
        options = Options(only=("conversations",), partial=True)
        outcome = await sync(client, database, options, watching)
    assert 0 < watching.sent[0] < watching.sent[-1]
    assert outcome.resources["conversations"].requests >= watching.sent[-1]


def test_an_incremental_run_is_quiet_and_small() -> None:
    run = Run()
    run.planned = RESOURCES
    for name in ("tags", "teams", "users"):
        run.going(name, Tally(status="succeeded", fetched=7), "incremental").took = 0.1
    run.going("leads", Tally(), "incremental")
    console = Console(width=80, height=24, file=Screen(), force_terminal=True)
    with console.capture() as drawn:
        console.print(Display(console, lambda: 0.25, run).picture())
    lines = bare(drawn.get()).splitlines()
    assert len(lines) == 2
    assert lines[0].split()[1] == "leads"
    assert lines[1].startswith("3 of 27 done, 0 requests, 25% of the budget used now")


def test_a_run_fits_the_height_of_the_terminal() -> None:
    run = Run()
    for resource in RESOURCES:
        run.going(resource.name, Tally(status="succeeded"), "full").took = 1.0
    run.resources["tags"].took = None
    console = Console(width=80, height=10, file=Screen(), force_terminal=True)
    with console.capture() as drawn:
        console.print(Display(console, lambda: None, run).picture())
    lines = bare(drawn.get()).splitlines()
    assert len(lines) <= 9
    assert lines[0] == "... 21 more are done"
    assert "tags" in lines[-2]  # what runs is always seen


def test_without_a_terminal_a_line_tells_of_each_resource(
    caplog: pytest.LogCaptureFixture,
) -> None:
    progress = Progress()
    for logger in ("", logs.words.name, "connector.commands.reporting.progress"):
        caplog.set_level(
            logging.INFO, logger or None
        )  # a command that ran here may have set others
    progress.planned(RESOURCES)
    progress.started("tags", "full", Tally())
    progress.ended("tags", Tally(status="succeeded", requests=1, fetched=3, inserted=3))
    progress.usable([BY_NAME["contact_notes"], BY_NAME["events"]])
    progress.clear()
    lines = [re.sub(r"seconds=\S+", "seconds=0", one.getMessage()) for one in caplog.records]
    assert lines == [
        "resource=tags status=succeeded requests=1 fetched=3 inserted=3 updated=0 unchanged=0"
        " deleted=0 warnings=0 seconds=0",
        "the warehouse is usable; contact_notes and events are being read",
    ]


def test_the_picture_in_the_readme_is_what_is_drawn() -> None:
    path = ROOT / "docs" / "images" / "first-load.svg"
    kept, made = (re.findall(">([^<>]+)<", text) for text in (path.read_text("utf-8"), picture()))
    words = [" ".join(one.replace("&#160;", " ").split()) for one in kept]
    assert words == [" ".join(one.replace("&#160;", " ").split()) for one in made]
    assert "contact_subscriptions" in words
    assert path.stat().st_size < 150_000


# -- tables ----------------------------------------------------------------------------------

PEOPLE = Grid(
    ("name", "company", "rows"),
    [
        ("Ada", "Analytical Engines of the City of London", "1,000"),
        ("株式会社 🚀", "שלום עולם", "2"),
    ],
    numbers=(2,),
)


def test_a_pipe_gets_columns_as_ever() -> None:
    rows: list[tuple[Any, ...]] = [(1, None, "a\nb"), (20, Decimal("1.50"), "x" * 70)]
    assert sql.table(["id", "amount", "text"], rows) == "\n".join(
        (
            "id  amount  text",
            "--  ------  " + "-" * 60,
            "1           a b",
            "20  1.50    " + "x" * 59 + "…",
            "(2 rows)",
        )
    )
    assert plain(PEOPLE, " | ", "-+-").splitlines()[:3] == [
        "name   | company                                  |  rows",
        "-------+------------------------------------------+------",
        "Ada    | Analytical Engines of the City of London | 1,000",
    ]
    assert fitted(PEOPLE) is None


def test_the_table_of_a_run_in_a_pipe_is_as_ever(capsys: pytest.CaptureFixture[str]) -> None:
    tally = Tally("succeeded", 1_234, 30, 29, 1, misfits={"tags.name": 2}, seconds=1.25)
    outcomes.print_outcome(Outcome(7, 3.0, {"tags": tally}))
    assert capsys.readouterr().out == (
        "resource              status        requests   fetched       new   changed      same"
        "      gone         s\n"
        "tags                  succeeded        1,234        30        29         1         0"
        "         0       1.2\n"
        "run 7: 1,234 requests in 3.0 s\n"
        "warning: tags.name (2 times); the original is kept in extra\n"
    )


@pytest.mark.parametrize("columns", [200, 80, 40, 20, 5])
def test_a_table_fits_the_terminal_and_loses_nothing(columns: int) -> None:
    text = drawn(PEOPLE, columns)
    assert widest(text) <= columns
    if columns >= 20:
        for word in ("Ada", "Engines", "1,000", "株式会社", "🚀", "שלום"):
            assert word in bare(text)


def test_wide_characters_keep_columns_straight() -> None:
    first, second = bare(drawn(PEOPLE)).splitlines()[1:3]
    assert cell_len(first[: first.index("1,000")]) + 5 == cell_len(second.rstrip())


def test_a_narrow_terminal_goes_without_what_can_be_spared() -> None:
    row = ("users", "succeeded", "1,000", "1,000", "0", "0", "0", "0", "1.0")
    grid = Grid(outcomes.HEADINGS, [row], outcomes.NUMBERS, outcomes.SPARE)
    assert _headings(grid, 120) == list(outcomes.HEADINGS)
    assert _headings(grid, 40) == ["resource", "status", "fetched", "new"]


def _headings(grid: Grid, columns: int) -> list[str]:
    return bare(drawn(grid, columns)).splitlines()[0].split()


def test_what_does_not_fit_is_shown_value_by_value() -> None:
    grid = Grid([f"column_{n}" for n in range(9)], [[f"value {n}" for n in range(9)]])
    lines = [line.rstrip() for line in bare(drawn(grid, 40)).splitlines()]
    assert lines[:2] == ["column_0  value 0", "column_1  value 1"]


def test_very_many_rows_are_not_drawn() -> None:
    found = drawn(Grid(["a"], [[HOSTILE]] * (MOST_DRAWN + 1)))
    assert found == plain(Grid(["a"], [[harmless(HOSTILE)]] * (MOST_DRAWN + 1)))


# -- what others wrote -----------------------------------------------------------------------


def test_what_would_control_a_terminal_is_spelled_out() -> None:
    assert harmless(HOSTILE) == (
        r"[red]Evil[/red] \x1b[2J\x1b]0;title\x07\x9b31m\u202eabc\u2066 a b c"
    )
    assert harmless("Zoë 🚀 👩‍👩‍👧 שלום") == "Zoë 🚀 👩‍👩‍👧 שלום"
    assert harmless("a\x1b\nb", lines=True) == "a\\x1b\nb"


def test_hostile_names_are_shown_as_text() -> None:
    with drawing(300) as stream:
        print(sql.table([HOSTILE], [(HOSTILE,)]))
        tell(HOSTILE, "red")
        check.report([check.Line(HOSTILE, False, HOSTILE)], as_json=False)
        facts = {"advice": HOSTILE, "fine": False, "failed": {"x": HOSTILE}}
        status._show({"schema": HOSTILE} | facts)
    text = stream.getvalue()
    assert text.count("[red]Evil[/red]") == 8
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", STYLES.sub("", text))


def test_log_lines_on_a_terminal_are_harmless() -> None:
    record = logging.makeLogRecord({"msg": "of %s", "args": (HOSTILE,), "levelname": "ERROR"})
    assert TextLines("%(message)s").format(record) == f"of {HOSTILE}"
    with redirect_stderr(Screen()):
        shown = TextLines("%(message)s").format(record)
    assert "\x1b" not in shown
    assert "[red]Evil[/red]" in shown


# -- status and check ------------------------------------------------------------------------


@pytest.mark.parametrize("columns", [80, 40])
def test_status_fits_the_terminal(columns: int) -> None:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    users = {"rows": 12_345, "deleted": 3, "placeholders": 0, "fresh_as_of": now}
    facts: dict[str, Any] = {
        "schema": "intercom",
        "workspace": {"name": "Ada & Söhne", "id_code": "abc", "region": "EU"},
        "resources": {
            "users": users,
            "conversations": users | {"parts": 9, "incomplete": 1, "truncated": 0},
            "events": users
            | {"fresh_as_of": None, "read": 1, "contacts": 2}
            | {"complete_since": now},
        },
        "history": {"contacts": {"versions": 5, "since": now, "ended_at": now + timedelta(1)}},
        "pending": [{"resource": "users", "id": "1", "reason": "it is gone"}],
        "runs": [
            {"id": 1, "command": "sync", "status": "failed", "started_at": now, "requests": 5_000}
        ],
        "fine": False,
        "advice": "the last run failed: no",
    }
    with drawing(columns) as stream:
        status._show(facts)
    text = bare(stream.getvalue())
    assert widest(text) <= columns
    words = " ".join(text.split())
    for told in ("users", "12,345", "never read", "9 parts; 1 lack parts", "failed"):
        assert told in words
    for told in ("pending: users 1: it is gone", "schema intercom: the last run failed: no"):
        assert told in words


@pytest.mark.parametrize("columns", [80, 40])
def test_check_fits_the_terminal(columns: int) -> None:
    lines = [
        check.Line("scope for deleted_conversations", True, "readable"),
        check.Line("exclusions", True, f"{check.WARNING}not compared"),
        check.Line("database", False, "cannot be reached: " + "very far away " * 9, 5),
    ]
    with drawing(columns) as stream:
        assert check.report(lines, as_json=False) == 5
    text = bare(stream.getvalue())
    assert widest(text) <= columns
    marks = [line.split()[0] for line in text.splitlines() if line[:1].strip()]
    assert marks[-3:] == ["ok", "warn", "FAIL"]
