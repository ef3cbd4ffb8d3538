"""Reading named objects again, comparing a sample with Intercom, and looking with SQL."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from connector.commands import sql
from connector.errors import SettingsError
from connector.resources import BY_NAME
from connector.simulator import Workspace
from connector.sync.on_demand.verify import Verified, verify
from connector.sync.outcome import Outcome
from connector.sync.run import refetch
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

DAY = 86_400.0


def small() -> Workspace:
    return Workspace.generate(8, contacts=80, companies=10, conversations=20, now=int(NOW))


async def again(harness: Harness, name: str, *ids: str) -> Outcome:
    database = Database(harness.database_url, harness.schema)
    async with harness.client() as client:
        try:
            return await refetch(client, database, BY_NAME[name], ids)
        finally:
            database.close()


async def compared(harness: Harness, sample: int = 1_000) -> dict[str, Verified]:
    database = Database(harness.database_url, harness.schema)
    async with harness.client() as client:
        try:
            return await verify(client, database, None, sample)
        finally:
            database.close()


async def test_refetch_reads_named_objects_now(harness: Harness) -> None:
    await harness.load(small())
    one = harness.control.truth("conversations")[0]["id"]
    harness.control.mark_read(one)
    harness.control.reply(one)
    outcome = await again(harness, "conversations", one)
    assert outcome.exit_code == 0
    assert outcome.resources["conversations"].updated == 1
    assert differences(harness, [BY_NAME["conversations"].table]) == []
    assert harness.query("SELECT command FROM sync_runs ORDER BY id")[-1]["command"] == "refetch"


async def test_refetch_of_what_is_gone_marks_it_and_of_what_fails_says_so(
    harness: Harness,
) -> None:
    await harness.load(small())
    gone, bad = (c["id"] for c in harness.control.truth("conversations")[:2])
    harness.control.delete_conversation(gone)
    harness.control.fail({"path": f"/conversations/{bad}$"}, times=None, status=500)
    outcome = await again(harness, "conversations", gone, bad)
    assert outcome.exit_code == 1
    assert [entry.id for entry in outcome.overdue] == [bad]
    assert harness.rows("conversations")[gone]["_deleted_at"] is not None


async def test_refetch_refuses_what_has_no_read_by_id(harness: Harness) -> None:
    await harness.load(small())
    with pytest.raises(SettingsError, match="one by one; 'sync --only subscription_types'"):
        await again(harness, "subscription_types", "1")


async def test_verify_finds_all_equal_after_a_sync_and_writes_nothing(harness: Harness) -> None:
    await harness.load(small())
    before = harness.versions()
    found = await compared(harness)
    wrong = {name: (v.differences, v.unread) for name, v in found.items()}
    assert {name: w for name, w in wrong.items() if any(w)} == {}
    assert found["users"].equal + found["leads"].equal == 80
    assert harness.versions() == before


async def test_verify_needs_no_right_to_write(harness: Harness) -> None:
    await harness.load(small())
    url, role = harness.database_url, f"reader_{os.getpid()}"
    harness.query(
        f"CREATE ROLE {role} LOGIN PASSWORD 'secret';"
        f' GRANT USAGE ON SCHEMA "{harness.schema}" TO {role};'
        f' GRANT SELECT ON ALL TABLES IN SCHEMA "{harness.schema}" TO {role}'
    )
    try:
        harness.database_url = make_conninfo(conninfo(url), user=role, password="secret")
        found = await compared(harness)
    finally:
        harness.database_url = url
        harness.query(f"DROP OWNED BY {role}; DROP ROLE {role}")
    assert found["users"].equal > 0
    assert not any(one.differences or one.unread for one in found.values())


async def test_verify_names_the_columns_that_differ(harness: Harness) -> None:
    await harness.load(small())
    contact = next(c["id"] for c in harness.control.truth("contacts") if c["tags"]["data"])
    part = harness.query("SELECT id, conversation_id FROM conversation_parts LIMIT 1")[0]
    harness.query("UPDATE contacts SET email = 'wrong', os = 'wrong' WHERE id = %s", contact)
    harness.query("DELETE FROM contact_tags WHERE contact_id = %s", contact)
    harness.query("UPDATE conversation_parts SET body = 'wrong' WHERE id = %s", part["id"])
    before = harness.versions()
    found = await compared(harness)
    named = found["users"].differences | found["leads"].differences
    assert named == {contact: ["email", "os", "links or children"]}
    assert found["conversations"].differences == {part["conversation_id"]: ["links or children"]}
    assert harness.versions() == before


async def test_verify_tells_a_later_change_from_a_difference(harness: Harness) -> None:
    await harness.load(small())
    harness.pass_time(DAY)
    one = harness.control.truth("conversations")[0]["id"]
    harness.control.reply(one)
    found = await compared(harness)
    assert found["conversations"].changed_since == 1
    assert found["conversations"].differences == {}


def test_sql_prints_rows_and_writes_nothing_unasked(database: Database, capsys: Any) -> None:
    assert sql.run(database, "SELECT 1 AS one, '50%' AS share", as_json=False, write=False) == 0
    assert capsys.readouterr().out.splitlines()[-2].split() == ["1", "50%"]
    sql.run(database, "SELECT 1 AS one", as_json=True, write=False)
    assert json.loads(capsys.readouterr().out) == [{"one": 1}]
    with pytest.raises(SettingsError, match="read-only"):
        sql.run(database, "CREATE TABLE x (y int)", as_json=False, write=False)
    with pytest.raises(SettingsError, match="multiple commands"):
        sql.run(database, "COMMIT; CREATE TABLE x (y int)", as_json=False, write=False)
    with pytest.raises(SettingsError, match="syntax"):
        sql.run(database, "SELEKT", as_json=False, write=False)


def test_sql_as_json_keeps_every_column(database: Database, capsys: Any) -> None:
    twice = "SELECT 1 AS a, 2 AS a, 3 AS a_2, 4 AS a, 5 AS b"
    sql.run(database, twice, as_json=True, write=False)
    assert json.loads(capsys.readouterr().out) == [{"a": 1, "a_3": 2, "a_2": 3, "a_4": 4, "b": 5}]
    sql.run(database, twice, as_json=False, write=False)
    assert capsys.readouterr().out.split()[:5] == ["a", "a", "a_2", "a", "b"]


def test_sql_as_json_spells_out_numbers_that_json_lacks(database: Database, capsys: Any) -> None:
    numbers = "SELECT 'NaN'::float8 AS a, '-Infinity'::float4 AS b, '{Infinity,0.1}'::float8[] AS c"
    sql.run(database, numbers, as_json=True, write=False)
    told = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert told == [{"a": "NaN", "b": "-Infinity", "c": ["Infinity", 0.1]}]


AS_WRITTEN = {
    "'infinity'::interval": "infinity",
    "interval '1 mon 3 days'": "1 mon 3 days",
    "interval '3000000 years'": "3000000 years",
    "'24:00'::time": "24:00:00",
    r"'\x00ff'::bytea": r"\x00ff",
    "daterange('2020-01-01', NULL)": "[2020-01-01,)",
    "ROW(1, 'a')": "(1,a)",
    "ARRAY[interval '1 mon']": ["1 mon"],
    """'{"a": ["ä", null]}'::jsonb""": {"a": ["ä", None]},
}


@pytest.mark.parametrize("expression", AS_WRITTEN)
def test_sql_prints_what_python_cannot_hold_as_postgres_writes_it(
    database: Database, capsys: Any, expression: str
) -> None:
    with database.transaction() as conn:
        version = conn.connection.driver_connection.info.server_version  # type: ignore[union-attr]
    if "infinity" in expression and version < 170_000:
        pytest.skip("there was no infinite interval")
    sql.run(database, f"SELECT {expression} AS x", as_json=True, write=False)
    told = capsys.readouterr().out
    assert told.isascii()
    assert json.loads(told) == [{"x": AS_WRITTEN[expression]}]


def test_sql_keeps_documents_as_they_are(database: Database, capsys: Any) -> None:
    for text in ("0.1234567890123456789012345", "1" + "0" * 5_000, "[" * 3_000 + "]" * 3_000):
        sql.run(database, f"SELECT '{text}'::jsonb AS x", as_json=True, write=False)
        assert capsys.readouterr().out == f'[{{"x": {text}}}]\n'
    sql.run(database, """SELECT '{"a":  "ä"}'::json AS x""", as_json=False, write=False)
    assert '{"a":  "ä"}' in capsys.readouterr().out
