"""What docs/live.md says is so: topics, answers, grants, the notification by hand."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from connector.commands.reporting import live
from connector.commands.serving.health import Health
from connector.resources.hint import Hint
from connector.warehouse import state
from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from connector.warehouse.state import inbox
from connector.warehouse.state.workspace import Workspace
from connector.webhooks import bodies, connections, notification, server
from connector.webhooks.signature import is_signed
from tests.support.places import ROOT

PAGE = (ROOT / "docs/live.md").read_text(encoding="utf-8")
TOPIC = r"`((?:[a-z_]+\.)+[a-z_]+)`"


def section(heading: str) -> str:
    return PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]


def block(kind: str, within: str) -> str:
    """The only code block of that kind in a section."""
    (found,) = re.findall(rf"^```{kind}\n(.*?)^```", section(within), re.MULTILINE | re.DOTALL)
    return str(found)


def rows() -> list[list[str]]:
    """The cells of the table of topics."""
    lines = [line for line in section("Which topics").splitlines() if line.startswith("| `")]
    return [line.strip("| ").split(" | ") for line in lines]


def test_the_topics_worth_subscribing_are_those_that_are_declared() -> None:
    listed = [topic for topics, _, _ in rows() for topic in re.findall(TOPIC, topics)]
    assert sorted(listed) == sorted(live.declared())


def test_the_topics_advised_against_are_not_declared() -> None:
    _, after = section("Which topics").split("**Not these.**")
    against = re.findall(TOPIC, after.split("**What no topic tells.**")[0])
    assert "api.request.completed" in against
    assert not set(against) & set(live.declared())


def test_topics_of_a_family_need_one_permission() -> None:
    families: dict[str, set[str]] = {}
    for topics, permission, _ in rows():
        for topic in re.findall(TOPIC, topics):
            families.setdefault(topic.split(".")[0], set()).add(permission)
    several = {family for family, found in families.items() if len(found) > 1}
    assert several == {"conversation"}  # conversation.read needs none


async def test_what_health_says_is_what_the_page_shows(database: Database) -> None:
    migrate(database)
    health = Health(database.another(), lambda: None)
    available, found = await health.ask()
    assert available
    shown = json.loads(block("json", "What to expect"))
    assert list(shown) == list(found)
    assert found["status"] == shown["status"]
    await health.close()


def test_the_answers_are_those_of_the_server() -> None:
    said = {int(code) for code in re.findall(r"\b([245]\d\d)\b", _first_column("| 200 |"))}
    room = Path(server.__file__).parent
    source = "\n".join(file.read_text(encoding="utf-8") for file in room.glob("*.py"))
    given = {200} | {int(code) for code in re.findall(r"(?:RefusedError\(|status=)(\d+)", source)}
    assert said == given
    assert not {410, 429} & given


def _first_column(first: str) -> str:
    lines = PAGE[PAGE.index(first) :].split("\n\n")[0].splitlines()
    return " ".join(line.split("|")[1] for line in lines)


def test_the_bounds_are_those_of_the_server() -> None:
    assert f"over {bodies.MOST_BYTES >> 20} MiB" in PAGE
    assert f"bounded at {bodies.MOST_IN_FLIGHT >> 20} MB" in PAGE
    assert f"connections at {connections.MOST_CONNECTIONS:,}" in PAGE


def test_the_grants_of_a_receiver_are_all_that_it_needs(database: Database) -> None:
    migrate(database)
    workspace = Workspace("abc123", "Acme", "US", "UTC", "2.16")
    database.write(lambda conn: state.pin(conn, workspace))
    role = f"receiver_{database.schema}"
    grants = block("sql", "Several processes").replace("receiver", f'"{role}"')
    grants = grants.replace("intercom", f'"{database.schema}"')
    with database.transaction() as conn:
        conn.exec_driver_sql(grants)
        conn.exec_driver_sql(f'GRANT "{role}" TO CURRENT_USER')
    try:
        _receive_as(database, role)
    finally:
        with database.transaction() as conn:
            conn.exec_driver_sql(f'DROP OWNED BY "{role}"; DROP ROLE "{role}"')


def _receive_as(database: Database, role: str) -> None:
    with database.transaction() as conn:
        conn.exec_driver_sql(f'SET LOCAL ROLE "{role}"')
        assert state.pinned(conn) == Workspace("abc123", "Acme", "US", "UTC", "2.16")
        for _ in range(2):
            inbox.tell(conn, [Hint("contacts", "1", 1_780_000_000)], 2.0)
            inbox.count_topics(conn, {"contact.user.updated": (1, 0)})
        assert inbox.backlog(conn).waiting == 1
    tables = sa.inspect(database.engine).get_table_names(database.schema)
    for name in sorted(set(tables) - {"sync_workspace", "sync_inbox", "sync_topics"}):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            _look_as(database, role, name)


def _look_as(database: Database, role: str, table: str) -> None:
    with database.transaction() as conn:
        conn.exec_driver_sql(f'SET LOCAL ROLE "{role}"')
        conn.exec_driver_sql(f'SELECT FROM "{database.schema}"."{table}"')


@pytest.mark.skipif(not shutil.which("openssl"), reason="signs with openssl")
def test_the_notification_by_hand_is_signed_and_names_a_contact(tmp_path: Path) -> None:
    stub = tmp_path / "curl"
    stub.write_text('#!/bin/sh\nprintf %s "$2" >header; printf %s "$4" >body; echo "$5" >url\n')
    stub.chmod(0o755)
    script = block("sh", "Trying it without a public address")
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["sh", "-ec", script], cwd=tmp_path, env=environ, check=True, timeout=30)
    body = (tmp_path / "body").read_bytes()
    name, _, signature = (tmp_path / "header").read_text().partition(": ")
    assert name == "X-Hub-Signature"
    assert is_signed(body, signature, [b"try-secret"])
    assert [hint.resource for hint in notification.read(body).hints] == ["contacts"]
    assert (tmp_path / "url").read_text() == "http://127.0.0.1:8088/\n"
