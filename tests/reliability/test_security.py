"""Secrets stay secret, values never become SQL, and three roles have no more rights than needed."""

from __future__ import annotations

import contextlib
import http.server
import json
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import dict_row

from connector.errors import DatabaseError, SettingsError
from connector.resources.declarations.contacts import TABLE as CONTACTS
from connector.simulator import Simulator, Workspace
from connector.sync.tenure import prepare
from connector.warehouse import migrate
from connector.warehouse.schema import foreign_keys
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.sql.names import Names
from tests.support.harness import NOW, Harness
from tests.support.places import ROOT
from tests.support.postgres.server import Server
from tests.support.service import FEWEST, environment, served, spawn
from tests.support.truth.compared import differences

pytestmark = pytest.mark.in_turn(2)

TOKEN = "dG9rOjVlY3JldC1vZi10aGUtdGVzdHM="
PASSWORD = "pa55word-of-the-database"
ROLES = ROOT / "docs" / "roles.sql"


def space(**options: Any) -> Workspace:
    sizes = FEWEST | {"contacts": 60, "companies": 12, "conversations": 25} | options
    return Workspace.generate(17, **sizes)


# -- the token -------------------------------------------------------------------------------


class _Ear(http.server.BaseHTTPRequestHandler):
    """Hears what is sent to it, and answers that all is well."""

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        heard = f"{self.path}\n{self.headers}\n{self.rfile.read(length).decode()}"
        self.server.heard.append(heard)  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"{}")

    do_POST = do_GET  # noqa: N815 (the name is the base class's)

    def log_message(self, *arguments: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def ear() -> Iterator[tuple[str, list[str]]]:
    """An address, and everything that is sent there."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Ear)
    server.heard = []  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.heard  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()


def make_trouble(simulator: Simulator, elsewhere: str) -> None:
    """Faults whose replies repeat the token, or lead elsewhere."""
    control = simulator.control
    echo = f"Authorization: Bearer {TOKEN} was not understood"
    control.fail({"path": "^/segments$"}, times=None, status=400, message=echo, code=TOKEN)
    control.fail({"path": "^/teams$"}, times=2, status=500, message=echo)
    control.fail(
        {"path": "^/companies/scroll$"}, times=None, status=302, headers={"Location": elsewhere}
    )
    control.fail(
        {"path": "^/articles$"},
        times=None,
        status=302,
        headers={"Location": f"{elsewhere}/?token={TOKEN}"},
    )
    control.fail({"path": r"^/conversations/\d+$"}, times=3, kind="garbage")
    control.fail({"path": "^/contacts/search$"}, times=2, kind="reset")
    control.deny("^/macros$", 401)
    control.deny("^/calls$", 403)


def text_of_everything(url: str, schema: str) -> str:
    """Every row of every table and view as text."""
    found = []
    with psycopg.connect(conninfo(url)) as connection:
        names = connection.execute(
            "SELECT format('%%I.%%I', table_schema, table_name) FROM information_schema.tables"
            " WHERE table_schema = %s",
            [schema],
        ).fetchall()
        assert len(names) > 40
        for (name,) in names:
            rows = connection.execute(f"SELECT r::text FROM {name} r").fetchall()
            found += [row for (row,) in rows]
    return "\n".join(found)


def command_line(process: subprocess.Popen[str]) -> str:
    """What ps shows of the process."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process.pid}/cmdline").read_text()
    return ""


@pytest.mark.fault(
    "replies that repeat the token in errors, redirects to another host, refused scopes, broken"
    " replies, a refused database password",
    "the token and the password are in no output, log, report, metric, table, view or command"
    " line, and nothing is sent to the other host",
    times=7,
    rows=False,
)
def test_token_and_password_are_nowhere_after_a_run_full_of_faults(
    server: Server, tmp_path: Path, injected: Any
) -> None:
    simulator = Simulator(space(), token=TOKEN)
    url = make_conninfo(conninfo(server.url), password=PASSWORD)
    with ear() as (elsewhere, stolen), ear() as (hook, reports), served(simulator) as address:
        make_trouble(simulator, elsewhere)
        environ = environment(
            address, url, "secrets", INTERCOM_ACCESS_TOKEN=TOKEN, CONNECTOR_NOTIFY_URL=hook
        )
        said: list[str] = []
        metrics = tmp_path / "metrics.prom"
        for words, more in (
            (("sync", "-v", "--metrics-file", str(metrics)), {}),
            (("sync", "-v", "--log-format", "json", "--json"), {}),
            (("status",), {}),
            (("check", "--json"), {}),
            (("verify", "--sample", "3"), {}),
            (("refetch", "conversations", "10001", "nonsense"), {}),
            (("sql", "SELECT * FROM nowhere"), {}),
            (("sync",), {"INTERCOM_ACCESS_TOKEN": f"{TOKEN} \N{SNOWMAN}"}),
            (("sync",), {"DATABASE_URL": f"postgresql://me:{PASSWORD}@@x/y"}),
        ):
            process = spawn(environ | more, *words)
            time.sleep(0.1)
            said.append(command_line(process))
            said += process.communicate(timeout=120)
        injected(simulator.faults.struck)
        said += [metrics.read_text(), *reports]
    assert len(reports) == 4  # of each sync that got as far as reading its settings
    said.append(text_of_everything(server.url, "secrets"))
    everything = "\n".join(said)
    assert "was not understood" in everything
    assert "[token]" in everything
    for secret in (TOKEN, PASSWORD):
        assert secret not in everything
    assert stolen == []
    server.execute("DROP SCHEMA secrets CASCADE")


# -- names and values that are no SQL --------------------------------------------------------


@pytest.mark.fault(
    "a schema name, ids, attribute names and values that would be SQL if they were pasted into it",
    "they are names and values",
    times=3,
)
async def test_names_and_values_never_become_sql(
    server: Server, injected: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.execute("CREATE TABLE public.victim AS SELECT 1 AS alive")
    nasty = "a\"; DROP TABLE public.victim; -- %s %(x)s ' :y"
    harness = Harness(server.url, nasty)
    workspace = space(contacts=20, companies=5, conversations=5, now=int(NOW))
    harness.simulate(workspace)
    answer = harness.simulator.respond

    def spoilt(request: Any) -> Any:
        response = answer(request)
        if request.path == "/tags":
            body = json.loads(response.body)
            body["data"].append({"type": "tag", "id": nasty, "name": nasty, nasty: {nasty: nasty}})
            response.body = json.dumps(body).encode()
        if request.path == "/contacts/search":
            body = json.loads(response.body)
            for record in body["data"]:
                record["custom_attributes"] = {nasty: nasty, "ordinary": 1}
            response.body = json.dumps(body).encode()
        return response

    harness.simulator.respond = spoilt  # type: ignore[method-assign]
    for full in (False, False, True):
        outcome = await harness.sync(full=full)
        assert outcome.exit_code == 0, outcome.error
        injected()
    path = sql.Identifier(nasty).as_string()
    with psycopg.connect(conninfo(server.url), row_factory=dict_row) as connection:
        connection.execute("SELECT set_config('search_path', %s, false)", [path])
        tag = connection.execute(
            "SELECT name, extra FROM tags_live WHERE id = %s", [nasty]
        ).fetchone()
        contacts = connection.execute("SELECT DISTINCT custom_attributes FROM contacts_live")
        assert tag == {"name": nasty, "extra": {nasty: {nasty: nasty}}}
        assert contacts.fetchall() == [{"custom_attributes": {nasty: nasty, "ordinary": 1}}]
        assert connection.execute("SELECT alive FROM public.victim").fetchall() == [{"alive": 1}]
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(nasty)))
        connection.execute("DROP TABLE public.victim")


# -- roles -----------------------------------------------------------------------------------


@pytest.fixture
def roles(server: Server) -> Iterator[str]:
    """A schema with the roles of docs/roles.sql, run twice."""
    schema = "acme"
    for _ in range(2):
        server.tool("psql", "-q", "-v", f"schema={schema}", f"--dbname={server.url}", "-f", ROLES)
    yield schema
    server.execute(f"DROP SCHEMA {schema} CASCADE")
    for role in ("owner", "sync", "analyst", "push", "wishes"):
        server.execute(f"DROP OWNED BY {schema}_{role}; DROP ROLE {schema}_{role}")


def as_role(server: Server, role: str) -> str:
    return make_conninfo(conninfo(server.url), user=role)


def refused(url: str, *statements: str) -> None:
    """Each statement must be refused for want of rights."""
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


def lifted(owner: str, schema: str) -> bool:
    """As a first load that was killed leaves the foreign keys of contacts."""
    database = Database(owner, schema)
    try:
        return database.write(lambda conn: foreign_keys.drop(conn, Names(schema), CONTACTS))
    finally:
        database.close()


async def test_the_three_roles_can_do_their_work_and_no_more(
    server: Server, roles: str, caplog: pytest.LogCaptureFixture
) -> None:
    owner, nightly, analyst = (
        as_role(server, f"{roles}_{role}") for role in ("owner", "sync", "analyst")
    )
    harness = Harness(nightly, roles)
    harness.simulate(space(now=int(NOW)))
    with pytest.raises(SettingsError, match="as the role that owns it"):
        await harness.sync(auto_migrate=False)
    with pytest.raises(DatabaseError, match="may not create tables in the schema") as caught:
        await harness.sync()
    assert caught.value.exit_code == 2
    database = Database(owner, roles)
    assert migrate.migrate(database) is True
    prepare(database, auto_migrate=True)
    database.close()
    assert lifted(owner, roles)
    for night in range(2):
        outcome = await harness.sync(auto_migrate=False, full=bool(night))
        assert outcome.exit_code == 0, outcome.error
        assert differences(harness) == []
        harness.control.change(fraction=0.1, seed=night)
        harness.pass_time(86_400)
    assert "only the owner of the tables" in caplog.text
    refused(
        nightly,
        f"CREATE TABLE {roles}.mine (x int)",
        f"DROP TABLE {roles}.tags",
        f"ALTER TABLE {roles}.tags ADD COLUMN x int",
        f"TRUNCATE {roles}.tags",
        f"DROP SCHEMA {roles} CASCADE",
        f"CREATE OR REPLACE VIEW {roles}.tags_live AS SELECT 1",
        "CREATE ROLE mine",
    )
    refused(
        analyst,
        f"INSERT INTO {roles}.tags (id) VALUES ('x')",
        f"UPDATE {roles}.tags SET name = 'x'",
        f"DELETE FROM {roles}.tags",
        f"SELECT FROM {roles}.tags FOR UPDATE",
        f"CREATE TABLE {roles}.mine (x int)",
        f"DROP VIEW {roles}.tags_live",
        f"TRUNCATE {roles}.tags",
    )
    with psycopg.connect(analyst) as connection:
        [tables] = connection.execute(
            "SELECT array_agg(format('%%I.%%I', table_schema, table_name))"
            " FROM information_schema.tables WHERE table_schema = %s",
            [roles],
        ).fetchone() or ([],)
        for table in tables:
            connection.execute(f"SELECT count(*) FROM {table}")
    assert len(tables) > 40
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute(f"CREATE TABLE {roles}.tomorrow (x int)")
    with psycopg.connect(analyst) as connection:
        connection.execute(f"SELECT * FROM {roles}.tomorrow")
    with psycopg.connect(nightly) as connection:
        connection.execute(f"INSERT INTO {roles}.tomorrow VALUES (1)")
    harness.close()
