"""Failure is noticed: one report per run to a URL, figures for Prometheus, log lines as JSON."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from connector.commands import report
from connector.commands.progress import JsonLines, run_report
from connector.errors import TokenRefusedError
from connector.simulator import Simulator, Workspace
from tests.service import environment, served, start


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


def test_every_run_sends_one_report_however_it_ends(
    inbox: tuple[str, list[dict[str, Any]]],
    database_url: str,
    schema: str,
    tmp_path: Path,
) -> None:
    url, taken = inbox
    simulator = Simulator(Workspace.generate(2, contacts=30, companies=5, conversations=5))
    metrics = tmp_path / "sync.prom"
    with served(simulator) as intercom:
        environ = environment(intercom, database_url, schema, CONNECTOR_NOTIFY_URL=url)
        simulator.control.deny("^/companies", 403)
        process = start(environ, "sync", "--metrics-file", str(metrics), "--log-format", "json")
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 1
        assert [(r["exit_code"], r["schema"]) for r in taken] == [(1, schema)]
        assert taken[0]["resources"]["companies"]["status"] == "failed"
        assert taken[0]["resources"]["users"]["fetched"] > 0
        assert "companies" in taken[0]["error"]
        lines = [json.loads(line) for line in errors.splitlines()]
        assert any(line.get("resource") == "users" and line["requests"] > 0 for line in lines)
        assert f'run_success{{schema="{schema}"}} 0' in metrics.read_text()
        simulator.control.revoke_token()
        process = start(environ, "sync")
        process.communicate(timeout=60)
    assert process.returncode == 3
    assert [r["exit_code"] for r in taken] == [1, 3]
    assert "sim-token" not in json.dumps(taken)


def test_a_report_that_cannot_be_delivered_is_a_warning(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "TRIES", 1)
    report.notify("http://127.0.0.1:9/report?secret=1", {"schema": "s"})
    assert "could not be delivered" in caplog.text
    assert "secret" not in caplog.text


def test_metrics_that_cannot_be_written_are_a_warning(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    told = run_report("sync", 'odd"name', 0.0, None, TokenRefusedError("no"))
    report.write_metrics(tmp_path / "missing" / "file", told)
    assert "could not be written" in caplog.text
    assert 'schema="odd\\"name"' in report.metrics(told)


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
