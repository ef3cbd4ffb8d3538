"""Failure is noticed: one report per run to a URL, figures for Prometheus, log lines as JSON."""

from __future__ import annotations

import json
import logging
import re
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from connector.commands.reporting import metrics, notification, report
from connector.commands.reporting.progress import Progress
from connector.commands.terminal.logs import JsonLines
from connector.errors import TokenRefusedError
from connector.simulator import Simulator, Workspace
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.state.runs import Tally
from tests.support.postgres import copied
from tests.support.service import environment, served, start

database_url, schema = copied.database_url, copied.schema  # fixtures

SECRET = "s3cret-of-the-url"


@pytest.fixture
def inbox() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """A URL that takes reports, and the reports that it took."""
    taken: list[dict[str, Any]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            taken.append(json.loads(body))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/report", taken
    server.shutdown()
    server.server_close()


def _whole_request(connection: socket.socket) -> bytes:
    """What was sent to its end: where some is left unread, closing resets the connection."""
    text = b""
    while piece := connection.recv(65_536):
        text += piece
        head, _, body = text.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: *(\d+)", head)
        if b"\r\n\r\n" in text and len(body) >= (int(length[1]) if length else 0):
            break
    return text


@pytest.fixture
def answering() -> Iterator[Callable[[bytes], tuple[str, list[bytes]]]]:
    """Begins a server that gives every request these bytes; its host and what it was sent.

    After ``...`` at the end of the bytes it goes on with dots until nobody reads any more.
    """
    servers: list[socket.socket] = []

    def begin(answer: bytes) -> tuple[str, list[bytes]]:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)
        requests: list[bytes] = []

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    try:
                        requests.append(_whole_request(connection))
                        connection.sendall(answer)
                        while answer.endswith(b"..."):
                            connection.sendall(b"." * 65_536)
                    except OSError:
                        pass

        threading.Thread(target=serve, daemon=True).start()
        return f"127.0.0.1:{server.getsockname()[1]}", requests

    yield begin
    for server in servers:
        server.close()


class Pauses:
    """Pauses that take no time."""

    def __init__(self) -> None:
        self.made: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.made.append(seconds)


def test_every_run_sends_one_report_however_it_ends(
    inbox: tuple[str, list[dict[str, Any]]],
    database_url: str,
    schema: str,
    tmp_path: Path,
) -> None:
    url, taken = inbox
    simulator = Simulator(Workspace.generate(2, contacts=30, companies=5, conversations=5))
    file = tmp_path / "sync.prom"
    with served(simulator) as intercom:
        environ = environment(intercom, database_url, schema, CONNECTOR_NOTIFY_URL=url)
        simulator.control.deny("^/companies", 403)
        words = ("sync", "-v", "--metrics-file", str(file), "--log-format", "json")
        process = start(environ, *words)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert [(r["exit_code"], r["schema"]) for r in taken] == [(1, schema)]
        assert taken[0]["resources"]["companies"]["status"] == "failed"
        assert taken[0]["resources"]["users"]["fetched"] > 0
        assert "companies" in taken[0]["error"]
        lines = [json.loads(line) for line in errors.splitlines()]
        assert any(line.get("resource") == "users" and line["requests"] > 0 for line in lines)
        assert f'run_success{{schema="{schema}"}} 0' in file.read_text()
        simulator.control.revoke_token()
        process = start(environ, "sync")
        process.communicate(timeout=60)
    assert process.returncode == 3
    assert [r["exit_code"] for r in taken] == [1, 3]
    assert "sim-token" not in json.dumps(taken)


def test_a_run_that_cannot_begin_is_reported_and_the_last_success_stays_known(
    inbox: tuple[str, list[dict[str, Any]]], database_url: str, schema: str, tmp_path: Path
) -> None:
    url, taken = inbox
    simulator = Simulator(Workspace.generate(2, contacts=5, companies=2, conversations=2))
    file = tmp_path / "sync.prom"
    name = f'intercom_warehouse_last_success_timestamp_seconds{{schema="{schema}"}}'

    def run(**settings: str) -> tuple[int, str, dict[str, Any]]:
        environ = environment(intercom, database_url, schema, CONNECTOR_NOTIFY_URL=url, **settings)
        process = start(environ, "sync", "--json", "--metrics-file", str(file))
        out, _ = process.communicate(timeout=60)
        return process.returncode, file.read_text(), json.loads(out)

    with served(simulator) as intercom:
        code, text, _ = run(CONNECTOR_RESOURCES="tags")
        assert code == 0
        (success,) = [line for line in text.splitlines() if line.startswith(name)]
        for settings, expected in (
            ({"CONNECTOR_LOOKBACK": "soon"}, 2),
            ({"CONNECTOR_RESOURCES": "fish"}, 2),
            ({"CONNECTOR_EXCLUDES": "contacts.email"}, 2),
            ({"INTERCOM_ACCESS_TOKEN": "wrong"}, 3),
            ({"DATABASE_URL": make_conninfo(conninfo(database_url), dbname="none_such")}, 5),
        ):
            code, text, told = run(**settings)
            assert (code, told["exit_code"], taken[-1]["exit_code"]) == (expected,) * 3
            assert told["error"]
            assert taken[-1]["error"] == told["error"]
            assert success in text
            assert f'run_success{{schema="{schema}"}} 0.0' in text
            assert f'run_exit_code{{schema="{schema}"}} {expected}.0' in text
    assert [one["exit_code"] for one in taken] == [0, 2, 2, 2, 3, 5]


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        (b"what is this?\r\n\r\n", "could not be delivered"),  # or it is reset first
        (b"", "no HTTP"),
        (b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n", "it answers 500"),
        (b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n", "it answers 404"),
        (
            b"HTTP/1.1 302 There\r\nLocation: http://127.0.0.1:1/x\r\nContent-Length: 0\r\n\r\n",
            "it answers 302",
        ),
    ],
)
def test_what_a_strange_answer_means_is_a_warning_without_the_secret(
    answering: Callable[[bytes], tuple[str, list[bytes]]],
    caplog: pytest.LogCaptureFixture,
    answer: bytes,
    told: str,
) -> None:
    host, requests = answering(answer)
    pauses = Pauses()
    url = f"http://user:{SECRET}@{host}/{SECRET}?key={SECRET}"
    with caplog.at_level(logging.DEBUG):
        assert not notification.notify(url, {"schema": "s"}, sleep=pauses)
    assert told in caplog.text
    assert "http://127.0.0.1" in caplog.text
    assert SECRET not in caplog.text
    assert len(requests) == len(pauses.made) + 1
    assert len(requests) == (1 if "404" in told or "302" in told else 3)


def test_an_answer_without_end_is_not_read(
    answering: Callable[[bytes], tuple[str, list[bytes]]],
) -> None:
    host, requests = answering(b"HTTP/1.1 200 OK\r\n\r\n...")
    assert notification.notify(f"http://{host}/report", {"schema": "s"})
    assert len(requests) == 1


def test_an_answer_that_never_comes_is_given_up(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notification, "ATTEMPT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/{SECRET}"
        assert not notification.notify(url, {"schema": "s"}, tries=1)
    assert "no answer in time" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize(
    "url",
    [
        f"http://127.0.0.1:9/report?secret={SECRET}",
        f"http://no-such-host.invalid/{SECRET}",
        f"http://127.0.0.1:{SECRET}/",
        f"http://[::1/{SECRET}",
        f"http://ho st/{SECRET}",
        f"http://user:{SECRET} x@ho st/a b",
        f"http://{'a' * 70}.example/{SECRET}",
        f"http://é\udcff.example/{SECRET}",
        f"https:///{SECRET}",
    ],
)
def test_a_report_that_cannot_be_delivered_is_a_warning(
    caplog: pytest.LogCaptureFixture, url: str
) -> None:
    with caplog.at_level(logging.DEBUG):
        assert not notification.notify(url, {"schema": "s"}, tries=1)
    assert "could not be delivered" in caplog.text
    assert SECRET not in caplog.text


def test_a_url_with_a_space_and_a_password_is_used_as_it_is_meant(
    answering: Callable[[bytes], tuple[str, list[bytes]]],
) -> None:
    host, requests = answering(b"HTTP/1.1 204 Thanks\r\n\r\n")
    assert notification.notify(f"http://me:pass@{host}/my hook", {"schema": "s"})
    assert requests[0].startswith(b"POST /my%20hook HTTP/1.1")
    assert b"authorization: basic" in requests[0].lower()


def test_a_ca_bundle_that_cannot_be_read_is_a_warning(caplog: pytest.LogCaptureFixture) -> None:
    sent = notification.notify("https://example.com", {}, ca_bundle="/none", tries=1)
    assert not sent
    assert "CA bundle" in caplog.text


def test_a_strange_answer_changes_no_exit_code(
    answering: Callable[[bytes], tuple[str, list[bytes]]], database_url: str, schema: str
) -> None:
    host, _ = answering(b"HTTP/1.1 404 \xff\xfe\r\nContent-Length: -1\r\n\r\n")
    simulator = Simulator(Workspace.generate(2, contacts=5, companies=2, conversations=2))
    with served(simulator) as intercom:
        url = f"http://{host}/{SECRET}"
        environ = environment(intercom, database_url, schema, CONNECTOR_NOTIFY_URL=url)
        process = start(environ, "sync", "--only", "tags", "-v")
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert "could not be delivered" in errors
    assert "Traceback" not in errors
    assert SECRET not in errors


def test_metrics_that_cannot_be_written_are_a_warning(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    told = report.run_report("sync", 'odd"name', 0.0, None, TokenRefusedError("no"))
    metrics.write_metrics(tmp_path / "missing" / "file", told)
    assert "could not be written" in caplog.text
    assert 'schema="odd\\"name"' in metrics.metrics(told)


@pytest.mark.parametrize("before", [b"", b"\xff\xfe", b"no metrics { at all", b"x{ 1\n"])
def test_metrics_replace_whatever_stood_there(tmp_path: Path, before: bytes) -> None:
    file = tmp_path / "sync.prom"
    file.write_bytes(before)
    told = report.run_report("sync", "s", 0.0, None, TokenRefusedError("no"))
    metrics.write_metrics(file, told)
    assert 'run_exit_code{schema="s"} 3.0' in file.read_text()
    assert "last_success" not in file.read_text()
    assert file.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [file]


def test_what_waits_moves_in_the_metrics_beside_the_last_run(tmp_path: Path) -> None:
    file, now = tmp_path / "sync.prom", datetime.now(UTC)
    live: dict[str, Any] = {
        "backlog": 3, "oldest_seconds": None, "last_notification_at": now, "unseen_topics": [],
    }  # fmt: skip
    metrics.write_live(file, "s", live | {"received": {"a": 1}})
    assert 'inbox_backlog{schema="s"} 3.0' in file.read_text()
    metrics.write_metrics(file, report.run_report("sync", "s", 0.0, None, TokenRefusedError("no")))
    ran = file.read_text()
    metrics.write_live(file, "s", live | {"received": {"a": 1, "b": 2}})
    metrics.write_live(file, "s", live | {"backlog": 5, "received": {"a": 2, "b": 2}})
    assert file.read_text().startswith(ran)
    assert file.read_text().count("inbox_backlog{") == 1
    assert 'inbox_backlog{schema="s"} 5.0' in file.read_text()
    assert metrics.last_success(file, "s") is None
    written = file.stat().st_mtime_ns
    metrics.write_live(file, "s", live | {"backlog": 5, "received": {"a": 2, "b": 2}})
    assert file.stat().st_mtime_ns == written


def test_a_fault_of_our_own_and_an_interruption_are_told_apart() -> None:
    told = report.run_report("sync", "s", 0.0, None, ValueError("odd"))
    assert (told["exit_code"], told["error"]) == (1, "ValueError: odd")
    told = report.run_report("sync", "s", 0.0, None, KeyboardInterrupt())
    assert (told["exit_code"], told["error"]) == (130, "interrupted")


def test_a_log_line_holds_its_traceback_as_json() -> None:
    try:
        raise ValueError("odd")
    except ValueError:
        record = logging.getLogger("x").makeRecord(
            "x", logging.ERROR, "f", 1, "it failed: %s", ("here",), __import__("sys").exc_info()
        )
    line = json.loads(JsonLines().format(record))
    assert line["message"] == "it failed: here"
    assert "ValueError: odd" in line["traceback"]


def test_rows_of_a_resource_whose_pass_has_not_begun_are_shown_too() -> None:
    Progress(lines=True).moved("companies", Tally())
