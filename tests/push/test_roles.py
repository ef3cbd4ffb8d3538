"""The roles of docs/roles.sql that push and wish: what they need, and nothing else."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from functools import partial
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from connector import settings
from connector.cli import parser
from connector.commands.pushing import push
from connector.push.rights import RIGHTS
from connector.simulator import Workspace
from connector.warehouse.migrate import migrate
from connector.warehouse.schema.tables import metadata
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.views.live import refresh_views
from tests.push.pusher import patient
from tests.support.harness import NOW, Harness
from tests.support.places import ROOT
from tests.support.postgres.server import Server
from tests.support.service import FEWEST

ROLES = ROOT / "docs" / "roles.sql"
SCHEMA = "wishing"
READ = ("tags", "data_attributes", "companies", "leads", "users")
WISH = f"INSERT INTO {SCHEMA}.outbox (kind, op, external_id, body)"


class House:
    """A mirror with the roles of docs/roles.sql."""

    def __init__(self, server: Server) -> None:
        self.server = server
        for _ in range(2):  # before there is any table, and again
            self.grant()
        database = Database(self.url("owner"), SCHEMA)
        migrate(database)
        database.close()
        self.grant()
        self.harness = Harness(self.url("sync"), SCHEMA, auto_migrate=False)
        self.harness.simulate(
            Workspace.generate(3, now=int(NOW), contacts=40, companies=5, conversations=2, **FEWEST)
        )

    def grant(self) -> None:
        url = f"--dbname={self.server.url}"
        self.server.tool("psql", "-q", "-v", f"schema={SCHEMA}", url, "-f", ROLES)

    def url(self, role: str) -> str:
        return make_conninfo(conninfo(self.server.url), user=f"{SCHEMA}_{role}")

    def ask(self, role: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url(role)) as connection:
            cursor = connection.execute(query, values)
            return cursor.fetchall() if cursor.description else []

    async def push(self, *words: str) -> push.Outcome:
        """As the command does it, by the role that pushes."""
        arguments = parser().parse_args(["push", *words])
        with closing(Database(self.url("push"), SCHEMA)) as database:
            async with self.harness.client() as client:
                return await push._at_work(settings.load(), arguments, client, database)


@pytest.fixture
async def house(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[House]:
    made = House(server)
    patient(made.harness, monkeypatch)
    outcome = await made.harness.sync(only=READ)
    assert outcome.exit_code == 0, outcome.error
    with closing(Database(made.url("owner"), SCHEMA)) as database:
        database.write(partial(refresh_views, schema=SCHEMA))
    yield made
    made.harness.close()
    server.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    for role in ("owner", "sync", "analyst", "push", "wishes"):
        server.execute(f"DROP OWNED BY {SCHEMA}_{role}; DROP ROLE {SCHEMA}_{role}")


async def test_wishes_are_all_that_the_role_of_wishes_can_make(house: House) -> None:
    server, wishes = house.server, f"{SCHEMA}_wishes"
    server.execute(f"CREATE ROLE shop LOGIN; GRANT {wishes} TO shop")
    url = make_conninfo(house.url("wishes"), user="shop")
    try:
        with psycopg.connect(url) as shop:
            values = """VALUES ('contacts', 'upsert', 'u-1', '{"name": "Ada"}')"""
            [(number,)] = shop.execute(f"{WISH} {values} RETURNING id").fetchall()
            columns = "id, kind, op, state, error_code, created_at, sent_at, done_at"
            [row] = shop.execute(f"SELECT {columns} FROM {SCHEMA}.outbox").fetchall()
            assert row[:5] == (number, "contacts", "upsert", "waiting", None)
        refused = [
            f"SELECT body FROM {SCHEMA}.outbox",
            f"SELECT error, before FROM {SCHEMA}.outbox",
            f"UPDATE {SCHEMA}.outbox SET state = 'done'",
            f"UPDATE {SCHEMA}.outbox SET body = NULL",
            f"DELETE FROM {SCHEMA}.outbox",
            f"TRUNCATE {SCHEMA}.outbox",
            f"INSERT INTO {SCHEMA}.outbox (kind, op, state) VALUES ('tags', 'create', 'done')",
            f"INSERT INTO {SCHEMA}.outbox (kind, op, model) VALUES ('tags', 'create', 'm')",
            f"CREATE TABLE {SCHEMA}.mine (x int)",
        ]
        tables = [name for name in metadata().tables if name != "outbox"]
        refused += [f"SELECT FROM {SCHEMA}.{name}" for name in tables]
        _are_refused(url, refused)
        assert _may_not_log_in(house)
    finally:
        server.execute("DROP OWNED BY shop; DROP ROLE shop")


def _may_not_log_in(house: House) -> bool:
    query = "SELECT rolcanlogin FROM pg_roles WHERE rolname = %s"
    return house.ask("owner", query, f"{SCHEMA}_wishes") == [(False,)]


def _are_refused(url: str, statements: list[str]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for statement in statements:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(statement)


async def test_a_push_needs_no_more_than_its_role_may(house: House) -> None:
    people = (
        "SELECT external_id FROM wishing.contacts WHERE role = 'user' AND external_id IS NOT NULL"
    )
    outcome = await house.push(
        "contacts",
        "--yes",
        "--from",
        "SELECT external_id, 'gold' AS custom_plan_tier, ARRAY['VIP'] AS tags_add,"
        f" 'acme' AS company_id, 'Acme' AS company_name FROM ({people}"
        " UNION SELECT 'brand-new') p",
    )
    assert outcome.plan
    assert outcome.plan.creates == 1
    assert outcome.states["done"] == outcome.plan.creates + outcome.plan.updates
    for kind, model in (
        ("companies", "SELECT company_id, 7 AS size, ARRAY['VIP'] AS tags_add FROM companies"),
        (
            "events",
            f"SELECT *, 'looked' AS event_name, now() AS created_at FROM ({people} LIMIT 3) p",
        ),
    ):
        outcome = await house.push(
            kind, "--yes", "--from", model.replace(" companies", " wishing.companies")
        )
        assert outcome.exit_code == 0, outcome.reasons
        assert outcome.states["done"]
    house.ask("push", f"{WISH} VALUES ('contacts', 'delete', 'brand-new', NULL)")
    outcome = await house.push("--retry", "--allow-deletes")
    assert outcome.states["done"] == 1


async def test_the_role_that_pushes_changes_no_mirrored_row(house: House) -> None:
    tables = set(metadata().tables)
    refused = [f"SELECT FROM {SCHEMA}.{name}" for name in tables - set(RIGHTS)]
    refused += [
        f"{verb} {SCHEMA}.{name}"
        for name, rights in RIGHTS.items()
        for verb in ("DELETE FROM", "TRUNCATE")
        if "DELETE" not in rights
    ]
    refused += [
        f"INSERT INTO {SCHEMA}.{name} DEFAULT VALUES"
        for name, rights in RIGHTS.items()
        if "INSERT" not in rights
    ]
    refused += [f"CREATE TABLE {SCHEMA}.mine (x int)", "CREATE ROLE mine"]
    _are_refused(house.url("push"), refused)


async def test_a_right_that_is_missing_is_named_with_what_gives_it(house: House) -> None:
    lost = f"REVOKE UPDATE ON {SCHEMA}.sync_inbox FROM {SCHEMA}_push"
    house.ask("owner", lost)
    with pytest.raises(Exception, match="lacks the right UPDATE on sync_inbox") as caught:
        await house.push()
    [grant] = [part for part in str(caught.value).split(": ") if part.startswith("GRANT")]
    house.ask("owner", grant)
    assert (await house.push()).exit_code == 0
