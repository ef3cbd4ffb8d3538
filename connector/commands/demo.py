"""``demo``: simulator and embedded Postgres, a first load, changes, an incremental sync.

It runs the same commands that a user would type, as processes of their own, and ends them all.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib.util
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from connector import settings as settings_module
from connector.commands.demonstration import answers, live, push, tables
from connector.commands.terminal.interruption import heeded
from connector.errors import ConnectorError
from connector.warehouse.sql import embedded

TOKEN = "sim-token"
CHANGED = 0.01  # share of the workspace that changes between the two syncs
RATE = 5_000  # requests in 10 seconds: a raised limit, so that nobody has to watch it wait
INDEX_LAG = 120  # seconds until the simulator's lists have shown every change
PATIENCE = 10.0  # seconds that a process may take to end
OURS = ("CONNECTOR_", "INTERCOM_", "DATABASE_URL")
REPORT = "intercom-demo-report.html"  # what stays, in the folder that one is in


def run(arguments: argparse.Namespace) -> int:
    """Show it all and leave nothing running."""
    with _ended_by_signals(), contextlib.ExitStack() as stack:
        stage = _set(arguments, stack)
        code = _play(stage)
        stack.callback(_say, "\nEnding the simulator and the Postgres server.")
    if code == 0:
        _say(_next(stage, kept=arguments.keep))
    return code


class Stage(Struct):
    """What the demo plays on: a simulated Intercom, a Postgres server, and a folder for both."""

    directory: Path
    intercom: str
    database: str
    port: int  # on which serve will listen

    @property
    def report(self) -> Path:
        """Where the page is left: where the user is, or where files of no home go."""
        here = Path.cwd()
        return (here if os.access(here, os.W_OK) else Path(tempfile.gettempdir())) / REPORT

    @property
    def environment(self) -> dict[str, str]:
        """For the commands: the user's own settings must play no part."""
        return _clean_environment() | {
            "INTERCOM_BASE_URL": self.intercom,
            "INTERCOM_ACCESS_TOKEN": TOKEN,
            "DATABASE_URL": self.database,
        }


def _set(arguments: argparse.Namespace, stack: contextlib.ExitStack) -> Stage:
    directory = stack.enter_context(_folder(keep=arguments.keep))
    size = {name: getattr(arguments, name) for name in ("contacts", "companies", "conversations")}
    _say("Starting a simulated Intercom and a Postgres server of its own ...")
    port = live.free_port()
    intercom = stack.enter_context(_simulator(directory, size, port))
    with _undisturbed():
        server = embedded.start(directory / "postgres")
        stack.callback(embedded.stop, server)
    told = ", ".join(f"{count:,} {name}" for name, count in size.items())
    _say(f"  Intercom at {intercom}: {told}\n  Postgres in {directory / 'postgres'}")
    return Stage(directory, intercom, server.get_uri(), port)


def _play(stage: Stage) -> int:
    _title("The first sync reads everything.")
    code = _command(stage, "sync")
    if code:
        return code
    hidden = sum(company["_hidden"] for company in _control(stage, "truth", kind="companies"))
    _say(f"({hidden} companies have no users: Intercom's lists do not show those.)")
    changed = _control(stage, "change", fraction=CHANGED)
    _control(stage, "advance", seconds=INDEX_LAG)
    told = ", ".join(f"{len(ids)} {kind}" for kind, ids in changed.items())
    _title(f"A day at Intercom: {told} change. The second sync writes what changed, no more.")
    code = _command(stage, "sync")
    if code:
        return code
    tables.show(stage.database, _say)
    _title("Live: Intercom tells of each change, and serve reads it at once.")
    _show_live(stage)
    _title("Write back: what a table of yours says of users, pushed to Intercom.")
    code = push.show(stage.database, partial(_control, stage), partial(_command, stage), _say)
    if code:
        return code
    _title("What a support team asks: the metric views have the figures ready.")
    answers.show(stage.database, _say)
    _title("What the connector says of it.")
    return _command(stage, "status") or _report(stage)


def _report(stage: Stage) -> int:
    """Write the page, which stays, where the extra that draws it is installed."""
    if not _draws():
        _say("\n(With the extra 'report' there would be a page of it now: see docs/report.md.)")
        return 0
    _title("The same for people who write no SQL: a page that opens in any browser.")
    return _command(stage, "report", "-o", str(stage.report))


def _draws() -> bool:
    return importlib.util.find_spec("vl_convert") is not None


def _show_live(stage: Stage) -> None:
    _say("$ intercom-warehouse serve")
    environment = stage.environment | {
        "INTERCOM_CLIENT_SECRET": live.SECRET,
        "CONNECTOR_LISTEN": f"127.0.0.1:{stage.port}",
        "CONNECTOR_LIVE_DELAY": "1",
    }
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with _process("serve", cwd=stage.directory, env=environment, **quiet):
        live.show(stage.database, stage.port, partial(_control, stage), _say)


def _next(stage: Stage, *, kept: bool) -> str:
    program = Path(sys.argv[0]).name
    call = "python -m connector" if program == "__main__.py" else program
    lines = ["\nWith your own Intercom workspace:", *_aligned(call)]
    if _draws():
        lines.insert(0, f"\nThe page stays: open {stage.report} in a browser.")
    if kept:
        look = f"CONNECTOR_HOME={stage.directory} DATABASE_URL=embedded {call} status"
        lines.append(f"\nThe warehouse of the demo was kept:\n  {look}")
        lines.append(f"To remove it:\n  rm -r {stage.directory}")
    return "\n".join(lines)


def _aligned(call: str) -> list[str]:
    steps = (
        ("export INTERCOM_ACCESS_TOKEN=...", "from your app in Intercom's Developer Hub"),
        ("export INTERCOM_REGION=us", "or eu, au"),
        ("export DATABASE_URL=postgresql://user:password@host/database", ""),
        (f"{call} check", "says what is missing, writes nothing"),
        (f"{call} sync", "the first run loads everything; the next ones what changed"),
        (f'{call} sql "SELECT * FROM users LIMIT 5"', "or any client of Postgres"),
    )
    width = max(len(step) for step, told in steps if told)
    return [f"  {step:<{width}}  {'# ' if told else ''}{told}".rstrip() for step, told in steps]


# -- processes -------------------------------------------------------------------------------


def _command(stage: Stage, *words: str) -> int:
    """Run a command of the connector as a user would; its exit code."""
    _say(f"$ intercom-warehouse {' '.join(words)}")
    with _process(*words, cwd=stage.directory, env=stage.environment) as process:
        return process.wait()


@contextlib.contextmanager
def _simulator(directory: Path, size: dict[str, int], port: int) -> Iterator[str]:
    """The address of a simulator in a process of its own, which notifies whoever has the port."""
    words = ["simulate", "--port", "0", "--token", TOKEN, "--rate-limit", str(RATE), "--lifelike"]
    words += ["--webhooks", f"http://127.0.0.1:{port}/", "--secret", live.SECRET]
    for name, count in size.items():
        words += [f"--{name}", str(count)]
    environment = _clean_environment()
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with _process(*words, cwd=directory, env=environment, **quiet) as process:
        assert process.stdout is not None
        found = re.search(r"http://[\w.]+:\d+", process.stdout.readline())
        if not found:
            raise ConnectorError("the simulator did not start")
        yield found[0]


@contextlib.contextmanager
def _process(*words: str, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """The connector as a process that ends, at the latest, with this context.

    In a session of its own: Ctrl-C reaches the demo alone, which then ends the others in turn.
    """
    command = [sys.executable, "-m", "connector", *words]
    with contextlib.ExitStack() as stack:
        with _undisturbed():
            process = subprocess.Popen(command, text=True, start_new_session=True, **options)
            stack.callback(_end, process)
        yield process


def _end(process: subprocess.Popen[str]) -> None:
    process.terminate()
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout:
        process.stdout.close()


def _clean_environment() -> dict[str, str]:
    """The environment without settings and proxies, importing this very package."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(OURS) and not name.lower().endswith("_proxy")
    }
    here = str(Path(__file__).parents[2])
    return kept | {"PYTHONPATH": os.pathsep.join(filter(None, [here, kept.get("PYTHONPATH")]))}


def _control(stage: Stage, control: str, /, **arguments: Any) -> Any:
    """Tell the simulator to do something."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    body = json.dumps(arguments).encode()
    with opener.open(f"{stage.intercom}/_control/{control}", body, timeout=60) as reply:
        return json.load(reply)


@contextlib.contextmanager
def _folder(*, keep: bool) -> Iterator[Path]:
    if keep:
        home = settings_module.load().home
        home.mkdir(parents=True, exist_ok=True)
        yield Path(tempfile.mkdtemp(prefix="demo-", dir=home))
        return
    directory = Path(tempfile.mkdtemp(prefix="intercom-warehouse-demo-"))
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM, and the closing of the terminal, end the demo as Ctrl-C does."""

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, interrupt) for number in heeded()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """Hold signals back: what is just starting could not be ended."""
    held: list[int] = []
    numbers = heeded()
    before = [signal.signal(number, lambda n, _: held.append(n)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
        if held:
            raise KeyboardInterrupt


# -- words -----------------------------------------------------------------------------------


def _title(text: str) -> None:
    _say(f"\n== {text}")


def _say(text: str) -> None:
    print(text, flush=True)  # what the commands print must come after it
