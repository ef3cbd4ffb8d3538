"""What the commands, the metrics and the report tell of the outbox, and what they never do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from connector.commands.pushing import permissions
from connector.errors import WrongWorkspaceError
from connector.settings import load
from connector.simulator import Simulator
from connector.warehouse.state.workspace import Workspace
from tests.push.pushed import Pushed
from tests.support.life import small_workspace
from tests.support.living import until
from tests.support.service import served

pytestmark = pytest.mark.in_turn(2)

SECRET = "ada.secret@example.com"


@contextmanager
def listening() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    came = list[dict[str, Any]]()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            came.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Handler) as listener:
        threading.Thread(target=listener.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{listener.server_port}/", came
        listener.shutdown()


def failing(pushed: Pushed) -> int:
    """A wish whose refusal quotes what was wished."""
    pushed.control.refuse_items(external_ids=["bad"], message=f"{SECRET} is no good email")
    return pushed.wish({"role": "user", "email": SECRET, "name": "Ada"}, external_id="bad")


def test_nothing_is_told_where_nothing_was_ever_wished(pushed: Pushed, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    assert json.loads(pushed.run("status", "--json").stdout)["outbox"] is None
    assert "outbox" not in pushed.run("status").stdout
    assert "outbox" not in pushed.run("check").stdout
    assert "writing" not in pushed.run("check").stdout
    told = pushed.run("sync", "--json", "--metrics-file", str(metrics)).stdout
    assert "outbox" not in json.loads(told)
    assert "outbox" not in metrics.read_text()


def test_status_check_and_metrics_tell_of_it(pushed: Pushed, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    failing(pushed)
    assert pushed.run("push", "--metrics-file", str(metrics)).returncode == 1
    assert 'outbox_failed{schema="' in metrics.read_text()
    waiting, sent = pushed.wish({"name": "W"}, external_id="w"), pushed.a_user()
    pushed.began(pushed.wish({"name": "S"}, object_id=sent), "sent")
    told = json.loads(pushed.run("status", "--json").stdout)["outbox"]
    assert (told["waiting"], told["sent"], told["failed"], told["unknown"]) == (1, 1, 1, 0)
    assert told["oldest_seconds"] >= 0
    assert told["reasons"][0]["code"] == "parameter_invalid"
    assert "outbox: 1 waiting, 1 sent, 1 failed" in pushed.run("status").stdout
    checked = pushed.run("check")
    assert checked.returncode == 0
    assert "ok   outbox: WARNING: outbox: 1 waiting" in checked.stdout
    assert "ok   writing events: permitted" in checked.stdout
    synced = pushed.run("sync", "--json", "--metrics-file", str(metrics)).stdout
    assert json.loads(synced)["outbox"]["waiting"] == 1
    for name in ("waiting", "unfinished", "failed"):
        assert f'outbox_{name}{{schema="{pushed.harness.schema}"}} 1.0' in metrics.read_text()
    assert SECRET not in synced
    assert pushed.row(waiting)["state"] == "waiting"


def test_serve_moves_the_figures_of_the_outbox(pushed: Pushed, tmp_path: Path) -> None:
    metrics = tmp_path / "metrics"
    with pushed.process("serve", "--metrics-file", str(metrics)):
        until(metrics.exists)
        assert "outbox" not in metrics.read_text()
    pushed.wish({"name": "W"}, external_id="w")
    with pushed.process("serve", "--metrics-file", str(metrics)):
        until(lambda: 'outbox_waiting{schema="' in metrics.read_text())


def test_the_report_of_a_push_names_reasons_and_quotes_nothing(pushed: Pushed) -> None:
    wish = failing(pushed)
    model = "SELECT 'm-1' AS external_id, 'model.secret@example.com' AS email, 'Grace' AS name"
    twice = f"{model} UNION ALL {model}".replace("'m-1' AS external_id, ", "")
    with listening() as (url, came):
        pushed.environ["CONNECTOR_NOTIFY_URL"] = url
        ended = pushed.run("push", "contacts", "--from", model)
        assert SECRET in ended.stderr  # who runs it is told
        refused = pushed.run("push", "contacts", "--from", twice)
        assert (refused.returncode, "model.secret" in refused.stderr) == (2, True)
    assert [one["exit_code"] for one in came] == [1, 2]
    [reason] = came[0]["reasons"]
    assert reason == {
        "state": "failed",
        "code": "parameter_invalid",
        "wishes": 1,
        "example": wish,
    }
    assert came[0]["error"] == "1 wishes failed, 0 are unknown: parameter_invalid (1)"
    assert came[0]["plan"]["creates"] == 1
    assert "(an email)" in came[1]["error"]
    for hidden in (SECRET, "model.secret", "Ada"):
        assert hidden not in json.dumps([came[0], came[1]["error"]])


@pytest.mark.parametrize("status", [401, 403])
def test_check_names_permissions_that_are_missing_and_changes_nothing(
    pushed: Pushed, status: int
) -> None:
    before = len(pushed.control.writes())
    pushed.environ["INTERCOM_WRITE_TOKEN"] = "sim-token"
    text = pushed.run("check").stdout
    for what in ("contacts and companies", "tags", "events"):
        assert f"ok   writing {what}: permitted" in text
    assert "ok   write token: opens the same workspace" in text
    pushed.control.withhold(["write_tags", "write_users_companies"], status=status)
    checked = pushed.run("check")
    assert checked.returncode == 0
    assert "ok   writing tags: WARNING: the token that writes may not" in checked.stdout
    assert "'Write users and companies'" in checked.stdout
    assert "ok   writing events: permitted" in checked.stdout
    assert len(pushed.control.writes()) == before


def test_a_write_token_that_is_refused_is_a_warning(pushed: Pushed) -> None:
    pushed.environ["INTERCOM_WRITE_TOKEN"] = "another"
    checked = pushed.run("check")
    assert checked.returncode == 0
    assert "ok   write token: WARNING: push cannot use it" in checked.stdout


async def test_tokens_of_two_workspaces_are_refused(pushed: Pushed) -> None:
    from connector.commands.connect import open_client

    other = Workspace("other", "Other", None, None, "2.16")
    async with open_client(load(pushed.environ), writes=True) as client:
        with pytest.raises(WrongWorkspaceError, match="INTERCOM_WRITE_TOKEN opens the workspace"):
            await permissions.check_workspace(client, other)


def test_push_refuses_a_token_of_another_workspace(pushed: Pushed) -> None:
    wish = pushed.wish({"name": "Never"}, external_id="never")
    other = small_workspace(4)
    other.app["id_code"] = "elsewhere"
    with served(Simulator(other)) as url:
        pushed.environ["INTERCOM_BASE_URL"] = url
        ended = pushed.run("push")
    assert ended.returncode == 2
    assert "mirrors the workspace" in ended.stderr
    assert pushed.row(wish)["attempts"] == 0


def test_what_serve_follows_to_its_end_is_reported(pushed: Pushed) -> None:
    pushed.control.refuse_items(external_ids=["bad"], message=f"{SECRET} is no good email")
    bad = pushed.wish({"role": "user", "email": SECRET, "name": "Ada"}, external_id="bad")
    pushed.began(bad, "waiting")
    good = pushed.wish({"role": "user", "name": "G"}, external_id="good")
    pushed.began(good, "waiting")
    with listening() as (url, came):
        pushed.environ["CONNECTOR_NOTIFY_URL"] = url
        with pushed.process("serve"):
            until(lambda: [one for one in came if one["command"] == "push"])
    [told] = [one for one in came if one["command"] == "push"]
    assert (told["exit_code"], told["states"]["failed"], told["states"]["done"]) == (1, 1, 1)
    assert told["reasons"] == [
        {"state": "failed", "code": "parameter_invalid", "wishes": 1, "example": bad}
    ]
    assert SECRET not in json.dumps(told)
    assert pushed.is_done(good)
