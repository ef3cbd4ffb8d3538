"""The demo as a process: it shows what it promises and leaves nothing behind."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

SMALL = ("--contacts", "80", "--companies", "10", "--conversations", "30")


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that Postgres' own user may enter: pytest shuts its own at each start."""
    with tempfile.TemporaryDirectory(prefix="test-demo-") as name:
        yield Path(name)


def _demo(directory: Path, *words: str, **settings: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "connector", "demo", *SMALL, *words],
        env=os.environ | {"TMPDIR": str(directory)} | settings,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def _assert_nothing_is_left(directory: Path, output: str) -> None:
    assert [path.name for path in directory.glob("intercom-warehouse-demo-*")] == []
    listed = subprocess.run(["ps", "-ww", "-eo", "args"], capture_output=True, text=True).stdout
    assert str(directory) not in listed
    port = re.search(r"Intercom at http://127.0.0.1:(\d+)", output)
    if port:
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", int(port[1]))) != 0


def test_the_demo_syncs_twice_and_leaves_nothing_behind(place: Path) -> None:
    # The user's own settings play no part.
    (place / ".env").write_text("CONNECTOR_RESOURCES=tags\nINTERCOM_REGION=mars\n")
    process = _demo(place, DATABASE_URL="postgresql://nowhere.invalid/", HTTP_PROXY="http://x:1")
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    assert len(re.findall(r"^users +succeeded", output, re.MULTILINE)) == 3
    second = output.split("The second sync")[1]
    assert re.search(r"^admins +succeeded +\d+ +\d+ +0 +0", second, re.MULTILINE)
    for told in (
        "Open conversations by team",
        "Newest conversation parts",
        "The backlog, day by day",
        "Teams side by side",
        "What the AI agent did, month by month",
        "schema intercom: fine",
        '-> "platinum"',
        "has plan_tier 'platinum' now",
    ):
        assert told in output
    mirrored = output.split("plan_tier in the mirror")[1]
    assert len(re.findall(r"^ \S+ +\| platinum$", mirrored, re.MULTILINE)) == 2
    assert "Traceback" not in output
    page = place / "intercom-demo-report.html"
    assert f"The page stays: open {page.resolve()} in a browser." in output
    assert page.read_text("utf-8").count("data-chart=") == 14
    _assert_nothing_is_left(place, output)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("moment", ["Starting", "Intercom at", "intercom-warehouse sync"])
def test_a_demo_that_is_interrupted_leaves_nothing_behind(
    place: Path, number: signal.Signals, moment: str
) -> None:
    process = _demo(place)
    assert process.stdout is not None
    output = ""
    while moment not in output:
        line = process.stdout.readline()
        assert line, output
        output += line
    process.send_signal(number)
    output += process.communicate(timeout=90)[0]
    assert process.returncode == 130, output
    assert "Traceback" not in output
    _assert_nothing_is_left(place, output)


def test_a_demo_that_fails_leaves_nothing_behind(place: Path) -> None:
    process = _demo(place, SSL_CERT_FILE="/no/such/file")
    output, _ = process.communicate(timeout=90)
    assert process.returncode == 2, output  # what the sync exits with
    assert "first sync" in output
    assert "second sync" not in output
    _assert_nothing_is_left(place, output)


def test_keep_keeps_the_warehouse_and_tells_how_to_look(place: Path) -> None:
    home = place / "home"
    process = _demo(place, "--keep", CONNECTOR_HOME=str(home))
    output, _ = process.communicate(timeout=180)
    assert process.returncode == 0, output
    (kept,) = home.iterdir()
    assert f"CONNECTOR_HOME={kept}" in output
    assert output.endswith(f"To remove it:\n  rm -r {kept}\n")
    status = subprocess.run(
        [sys.executable, "-m", "connector", "status"],
        env=os.environ | {"CONNECTOR_HOME": str(kept), "DATABASE_URL": "embedded"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert status.returncode == 0, status.stderr
    assert "schema intercom: fine" in status.stdout
