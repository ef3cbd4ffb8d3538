"""``check`` and ``status`` name the cause and the remedy, on day one and after a bad night."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from connector import settings
from connector.commands import check, status
from connector.simulator import Simulator, Workspace
from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from tests.support.harness import Harness
from tests.support.service import environment, served, start


class Place:
    """A simulated workspace over HTTP, a warehouse, and what the two commands say of them."""

    def __init__(self, simulator: Simulator, url: str, harness: Harness, out: Any) -> None:
        self.simulator, self.url, self.harness, self._out = simulator, url, harness, out

    def environ(self, **more: str) -> dict[str, str]:
        return environment(self.url, self.harness.database_url, self.harness.schema, **more)

    def sync(self) -> int:
        process = start(self.environ(), "sync")
        process.communicate(timeout=60)
        return process.returncode

    async def check(self, **more: str) -> tuple[int, str]:
        """Exit code and text of ``check``."""
        code = await check.run(settings.load(self.environ(**more), Path("/nowhere")), as_json=False)
        return code, self._out.readouterr().out

    def status(self) -> tuple[int, str]:
        """Exit code and text of ``status``."""
        database = Database(self.harness.database_url, self.harness.schema)
        try:
            code = status.run(database, as_json=False)
        finally:
            database.close()
        return code, self._out.readouterr().out


@pytest.fixture
def place(harness: Harness, capsys: pytest.CaptureFixture[str]) -> Iterator[Place]:
    simulator = Simulator(Workspace.generate(4, contacts=40, companies=5, conversations=5))
    with served(simulator) as url:
        yield Place(simulator, url, harness, capsys)


async def test_no_token(place: Place) -> None:
    code, text = await place.check(INTERCOM_ACCESS_TOKEN="")
    assert code == 2
    assert "FAIL token: INTERCOM_ACCESS_TOKEN is not set; create an app" in text
    assert "ok   database" in text


async def test_wrong_token(place: Place) -> None:
    code, text = await place.check(INTERCOM_ACCESS_TOKEN="not-the-token")
    assert code == 3
    assert "FAIL token:" in text
    assert "check INTERCOM_ACCESS_TOKEN and INTERCOM_REGION" in text
    assert "not-the-token" not in text


async def test_narrowed_scopes(place: Place) -> None:
    place.simulator.control.deny("^/companies", 403)
    place.simulator.control.deny("^/calls", 403)
    code, text = await place.check()
    assert code == 1
    assert "FAIL scope for companies:" in text
    assert "give the app this permission" in text
    assert "ok   scope for calls: not readable with this token, and so left out" in text
    assert place.sync() == 1
    code, text = place.status()
    assert code == 1
    assert "not read in the last run: companies:" in text
    assert "not read in the last run: calls:" in text


async def test_wrong_workspace(place: Place) -> None:
    assert place.sync() == 0
    place.simulator.workspace.app["id_code"] = "another"
    code, text = await place.check()
    assert code == 2
    assert "FAIL workspace:" in text
    assert "--schema" in text


@pytest.mark.bare
async def test_empty_database(place: Place) -> None:
    code, text = await place.check()
    assert code == 0
    assert "is empty; the first sync will create it" in text
    code, text = place.status()
    assert code == 1
    assert "never synced: run sync" in text


@pytest.mark.bare
async def test_a_schema_of_somebody_else(place: Place) -> None:
    schema = place.harness.schema
    place.harness.query(f"CREATE SCHEMA {schema}")
    place.harness.query(f"CREATE TABLE {schema}.sync_version (version text)")
    place.harness.query(f"CREATE VIEW {schema}.users AS SELECT 1 AS x")
    code, text = await place.check()
    assert code == 2
    assert "FAIL schema:" in text
    assert "table sync_version, view users; nothing was changed" in text
    assert place.sync() == 2
    held = "SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace ORDER BY 1"
    found = place.harness.query(held, schema)
    assert [row["relname"] for row in found] == ["sync_version", "users"]


async def test_newer_schema(place: Place) -> None:
    database = Database(place.harness.database_url, place.harness.schema)
    migrate(database)
    database.close()
    place.harness.query("UPDATE sync_version SET version_num = '9999'")
    code, text = await place.check()
    assert code == 5
    assert "a newer version migrated it; upgrade intercom-warehouse" in text


async def test_a_run_killed_an_hour_ago(place: Place) -> None:
    assert place.sync() == 0
    place.harness.query(
        "INSERT INTO sync_runs (command, status, started_at)"
        " VALUES ('sync', 'running', now() - interval '1 hour')"
    )
    code, text = place.status()
    assert code == 1
    assert "counts as running, but its process is gone: run sync" in text
    assert "sync      interrupted" in text
    lock = Database(place.harness.database_url, place.harness.schema)
    lock.lock()
    try:
        code, text = place.status()
    finally:
        lock.close()
    assert code == 0
    assert "is running since" in text
    assert place.sync() == 0
    code, text = place.status()
    assert code == 0
    assert "interrupted" in text
    assert text.rstrip().endswith("fine")


async def test_status_tells_requests_and_what_conversations_lack(place: Place) -> None:
    assert place.sync() == 0
    one = place.harness.query("SELECT id, parts_stored FROM conversations_live LIMIT 1")[0]
    place.harness.query(
        "UPDATE conversations SET statistics_count_conversation_parts = %s WHERE id = %s",
        one["parts_stored"] + 3,
        one["id"],
    )
    code, text = place.status()
    assert code == 0
    assert "1 lack parts that Intercom counts" in text
    requests = place.harness.query("SELECT sum(requests) AS n FROM sync_run_resources")[0]["n"]
    assert f"{requests:,} requests" in text


async def test_check_tells_which_fields_no_column_holds_but_not_what_they_say(place: Place) -> None:
    assert place.sync() == 0
    place.harness.query("UPDATE contacts SET extra = NULL")
    place.harness.query(
        "UPDATE contacts SET extra = jsonb_build_object('new_field', 'secret', E'od\\nd', 1)"
        " WHERE id IN (SELECT id FROM contacts ORDER BY id LIMIT 3)"
    )
    place.harness.query('UPDATE contact_notes SET extra = \'{"mood": "secret"}\'')
    code, text = await place.check()
    assert code == 0
    (rows,) = place.harness.query("SELECT count(*) AS n FROM contacts")
    assert f"ok   extra of contacts: of {rows['n']} rows looked at" in text
    assert "new_field (3)" in text
    assert "od?d (3)" in text
    assert "ok   extra of contact_notes:" in text
    assert "secret" not in text
    assert "extra of tags" not in text
    place.harness.query("UPDATE contacts SET extra = NULL")
    place.harness.query("UPDATE contact_notes SET extra = NULL")
    _, text = await place.check()
    assert "ok   extra: empty" in text


async def test_check_looks_at_a_bounded_part_of_a_table(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert place.sync() == 0
    place.harness.query("UPDATE contacts SET extra = '{\"new_field\": 1}'")
    monkeypatch.setattr("connector.warehouse.reports.unmapped.SAMPLE", 7)
    _, text = await place.check()
    assert "extra of contacts: of 7 rows looked at, so many hold what no column does:" in text
    assert "new_field (7)" in text
