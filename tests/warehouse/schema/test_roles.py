"""docs/roles.sql and the statements of the documents, run as on a managed Postgres."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from connector.commands import views
from connector.simulator import Workspace
from connector.warehouse import rights
from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from tests.support.harness import NOW, Harness
from tests.support.places import ROOT
from tests.support.postgres.server import Server, of_version, programs
from tests.support.service import FEWEST
from tests.support.truth.compared import differences

ROLES = ROOT / "docs" / "roles.sql"
ALL = rights.Needs(migrates=True, stages=True)


def versions() -> list[object]:
    """The newest that is here, and the others with -m chaos."""
    found = sorted(programs(), key=int)
    return [pytest.param(v, marks=() if v == found[-1] else pytest.mark.chaos) for v in found]


@pytest.fixture(params=versions())
def managed(request: pytest.FixtureRequest, server: Server) -> Iterator[str]:
    """A database whose owner may make roles and is no superuser: that one's address."""
    with of_version(request.param, server) as url:
        with psycopg.connect(url, autocommit=True) as admin:
            admin.execute("CREATE ROLE manager LOGIN CREATEROLE")
            admin.execute("CREATE DATABASE house OWNER manager")
        yield make_conninfo(url, user="manager", dbname="house")


async def test_the_roles_do_their_work_on_a_managed_server(
    managed: str, server: Server, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(2):
        server.tool("psql", "-q", "-v", "schema=acme", f"--dbname={managed}", "-f", ROLES)
    owner, nightly, analyst = (
        make_conninfo(managed, user=f"acme_{role}") for role in ("owner", "sync", "analyst")
    )
    database = Database(owner, "acme")
    rights.require(database, ALL)
    assert migrate(database) is True
    assert views.run(database, rebuild=False, fivetran=True) == 0
    database.close()
    harness = Harness(nightly, "acme", auto_migrate=False)
    small = Workspace.generate(
        3, now=int(NOW), contacts=40, companies=5, conversations=10, **FEWEST
    )
    harness.simulate(small)
    for full in (False, True):
        outcome = await harness.sync(full=full)
        assert outcome.exit_code == 0, outcome.error
        assert differences(harness) == []
    assert "fivetran" not in caplog.text
    harness.close()
    with psycopg.connect(analyst) as connection:
        connection.execute("SELECT * FROM acme.contacts_live")
        found = connection.execute("SELECT id FROM acme_fivetran.contact_history").fetchall()
        assert len(found) == 40
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("DELETE FROM acme.contacts")
    with psycopg.connect(managed, autocommit=True) as manager:
        for statement in re.findall(r"^--   (REVOKE .*;)$", ROLES.read_text(), re.MULTILINE):
            try:
                manager.execute(statement.replace("warehouse", "house"))
            except psycopg.errors.InsufficientPrivilege:  # the schema public is the superuser's
                assert "SCHEMA public" in statement
    with psycopg.connect(analyst) as connection, pytest.raises(psycopg.Error):
        connection.execute("CREATE TEMP TABLE mine (x int)")


def test_the_statements_by_hand_do_on_a_managed_server(managed: str) -> None:
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    section = text[text.index("\n## The role") : text.index("\n## The views")]
    made, analysts = re.findall(r"```sql\n(.*?)```", section, re.DOTALL)
    with psycopg.connect(managed, autocommit=True) as manager:
        manager.execute(made.replace("DATABASE warehouse", "DATABASE house"))
        database = Database(make_conninfo(managed, user="warehouse"), "intercom")
        rights.require(database, ALL)
        assert migrate(database) is True
        database.close()
        manager.execute(analysts)
    with psycopg.connect(make_conninfo(managed, user="analyst")) as connection:
        connection.execute("SELECT * FROM intercom.contacts_live")


def test_the_roles_come_with_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    assert included["docs/roles.sql"] == "connector/roles.sql"
