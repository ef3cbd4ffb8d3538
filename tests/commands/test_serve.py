"""``serve`` and ``sync --every`` as processes, against a simulator that notifies them."""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from connector.resources.hint import Hint
from connector.simulator import Simulator
from connector.warehouse.sql.database import Database
from connector.warehouse.state import inbox
from tests.support.life import small_workspace
from tests.support.living import SECRET, Living, until
from tests.support.service import served

pytestmark = pytest.mark.in_turn(2)


@pytest.fixture
def living(database_url: str, schema: str) -> Iterator[Living]:
    simulator = Simulator(small_workspace(3), index_lag=60.0)
    simulator.webhooks.subscribe(SECRET)
    with served(simulator) as url:
        living = Living(database_url, schema, url, simulator)
        yield living
        living.harness.close()


def test_a_change_is_a_row_soon_after_and_the_commands_tell_of_it(
    living: Living, tmp_path: Path
) -> None:
    metrics = tmp_path / "metrics"
    with living.process("serve", "--metrics-file", str(metrics)) as process:
        until(lambda: living.health().get("last_sync_at"))
        key = living.a_user()
        living.control.update_contact(key, name="Live")
        living.deliver()
        until(lambda: living.harness.rows("contacts")[key]["name"] == "Live")
        until(lambda: living.health()["backlog"] == 0)
        assert living.health()["status"] == "ok"
        until(lambda: 'received{schema="' in metrics.read_text())  # long before the next pass
        assert "intercom_warehouse_run_success" in metrics.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    told = json.loads(living.run("status", "--json").stdout)
    assert told["live"]["received"] == {"contact.user.updated": 1}
    assert "conversation.user.replied" in told["live"]["unseen_topics"]
    assert [run["command"] for run in told["runs"]] == ["serve", "sync"]
    assert "are they subscribed" in living.run("status").stdout
    assert "ok   notifications: last notification" in living.run("check").stdout
    assert "intercom_warehouse_run_success" in metrics.read_text()
    synced = living.run("sync", "--json", "--metrics-file", str(metrics))
    assert json.loads(synced.stdout)["live"]["backlog"] == 0
    assert "intercom_warehouse_inbox_backlog" in metrics.read_text()


def test_reports_leave_while_it_goes_on(living: Living) -> None:
    came = list[dict[str, Any]]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        living.environ["CONNECTOR_NOTIFY_URL"] = f"http://127.0.0.1:{listener.server_port}/"
        with living.process("serve"):
            until(lambda: came)
            living.control.revoke_token()
            living.control.update_contact(living.a_user(), name="Refused")
            living.deliver()
            until(lambda: len(came) > 1)
            assert living.health()["trouble"] == "Intercom refuses the token"
        listener.shutdown()
    assert [one["exit_code"] for one in came] == [0, 3]


def test_where_nothing_happens_nothing_is_asked_and_nothing_written(living: Living) -> None:
    with living.process("serve"):
        until(lambda: living.health().get("last_sync_at"))
        time.sleep(0.5)
        living.control.reset_stats()
        before = living.harness.text(), living.harness.versions()
        time.sleep(3)
        assert living.control.stats()["requests"] == 0
        assert (living.harness.text(), living.harness.versions()) == before


def test_a_sync_beside_it_waits_its_turn_and_settles_hints_itself(living: Living) -> None:
    with living.process("serve"):
        until(lambda: living.health().get("last_sync_at"))
        for one in living.control.truth("contacts"):
            living.control.update_contact(one["id"], name="Beside")
        living.deliver()
        assert living.run("sync", "--full").returncode == 0
        until(lambda: living.health()["backlog"] == 0)
        rows = living.harness.query("SELECT name FROM contacts WHERE _deleted_at IS NULL")
        assert {row["name"] for row in rows} == {"Beside"}


def test_without_a_listener_a_pass_comes_every_so_often(living: Living) -> None:
    with living.process("sync", "--every", "1s", "--json") as process:
        key = living.a_user()
        assert process.stdout
        assert json.loads(process.stdout.readline())["exit_code"] == 0
        living.control.update_contact(key, name="Every")
        living.control.advance(120)
        until(lambda: living.harness.rows("contacts")[key]["name"] == "Every")
        process.send_signal(signal.SIGTERM)
        assert process.wait(5) == 0
    for words in (("sync", "--every", "0"), ("sync", "--every", "soon")):
        refused = living.run(*words)
        assert refused.returncode == 2
        assert "Traceback" not in refused.stderr


def test_what_a_receiver_keeps_and_nobody_reads_here_goes_soon(living: Living) -> None:
    database = Database(living.harness.database_url, living.harness.schema)
    living.environ["CONNECTOR_RESOURCES"] = "all,-articles"
    with living.process("sync", "--every", "1h", "--json") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["exit_code"] == 0
        told = [Hint("articles", "1"), Hint("contacts", living.a_user())]
        database.write(lambda conn: inbox.tell(conn, told, 0.0))
        until(lambda: living.harness.query("SELECT id FROM sync_inbox") == [])
    with living.process("sync", "--every", "1h", "--only", "users,leads", "--json") as process:
        assert process.stdout
        assert json.loads(process.stdout.readline())["exit_code"] == 0
        database.write(lambda conn: inbox.tell(conn, told, 0.0))
        rows = "SELECT resource FROM sync_inbox"  # others may read the rest
        until(lambda: living.harness.query(rows) == [{"resource": "articles"}])
    database.close()
