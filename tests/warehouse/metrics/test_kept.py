"""Stored figures stay right after upgrades, kills and by command, in a schema that others share."""

from __future__ import annotations

from functools import partial

import pytest

from connector.errors import DatabaseLostError
from connector.simulator import Simulator, Workspace
from connector.warehouse.metrics import anew
from connector.warehouse.sql.names import Names
from connector.warehouse.views.definitions import metrics
from tests.support.harness import NOW, Harness
from tests.support.service import environment, served, start
from tests.warehouse.house import House, by_default, reads

TABLES = ("_conversation_figures", "_conversation_admins", "_conversation_days")


def space(conversations: int = 60) -> Workspace:
    return Workspace.generate(
        3, contacts=40, companies=5, conversations=conversations, now=int(NOW)
    )


def figures(harness: Harness) -> list[list[str]]:
    """All that is stored of figures, as text."""
    return [
        [row["text"] for row in harness.query(f"SELECT t::text AS text FROM {name} t ORDER BY 1")]
        for name in TABLES
    ]


async def sync(harness: Harness) -> None:
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error


async def test_figures_that_were_lost_or_made_otherwise_come_back_with_the_next_sync(
    harness: Harness,
) -> None:
    await harness.load(space())
    right = figures(harness)
    assert len(right[0]) == 60
    for loss in (
        "UPDATE sync_metrics SET definition = 'of an older version';"
        " UPDATE _conversation_figures SET parts = 99;"
        " DELETE FROM _conversation_days WHERE conversation_id < '2'",
        "TRUNCATE _conversation_figures; UPDATE sync_metrics SET position = ''",
        "DELETE FROM sync_metrics; TRUNCATE _conversation_admins",
        "INSERT INTO _conversation_days VALUES ('gone', '2020-01-01', 1, 0, 0, 1);"
        " UPDATE sync_metrics SET definition = NULL",
    ):
        for statement in loss.split(";"):
            harness.query(statement)
        await sync(harness)
        for now, before in zip(figures(harness), right, strict=True):
            assert set(now) ^ set(before) == set()


async def test_an_idle_sync_touches_no_figure(harness: Harness) -> None:
    await harness.load(space())
    await sync(harness)
    before = harness.versions()
    await sync(harness)
    assert {name: harness.versions()[name] for name in TABLES} == {n: before[n] for n in TABLES}


async def test_computing_anew_goes_on_where_it_was_cut_off(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    await harness.load(space())
    right = figures(harness)
    monkeypatch.setattr(anew, "STEP", 7)
    harness.query("UPDATE sync_metrics SET definition = NULL")
    harness.query("UPDATE _conversation_figures SET snoozes = -1")
    steps, step = 0, anew.step

    def dying(conn: object, names: Names) -> int:
        nonlocal steps
        steps += 1
        if steps == 4:
            raise DatabaseLostError("gone")
        return step(conn, names)  # type: ignore[arg-type]

    monkeypatch.setattr(anew, "step", dying)
    with pytest.raises(DatabaseLostError):
        await harness.sync()
    [row] = harness.query("SELECT count(*) AS n FROM _conversation_figures WHERE snoozes = -1")
    assert row["n"] == 60 - 21
    monkeypatch.setattr(anew, "step", step)
    harness.query("UPDATE _conversation_figures SET snoozes = -2 WHERE snoozes >= 0")
    await sync(harness)
    assert figures(harness) != right  # what was done before was not done again
    [row] = harness.query("SELECT count(*) AS n FROM _conversation_figures WHERE snoozes = -2")
    assert row["n"] == 21
    harness.query("UPDATE sync_metrics SET definition = NULL")
    await sync(harness)
    assert figures(harness) == right


async def test_a_workspace_that_moves_takes_its_days_along_in_one_sync(harness: Harness) -> None:
    await harness.load(space())
    days = "SELECT conversation_id, day FROM _conversation_days ORDER BY 1, 2"
    there = harness.query(days)
    harness.simulator.workspace.app["timezone"] = "Pacific/Kiritimati"
    await sync(harness)
    [row] = harness.query("SELECT timezone, told, position FROM sync_metrics")
    assert row == {"timezone": row["told"], "told": "Pacific/Kiritimati", "position": None}
    assert harness.query(days) != there


async def test_statistics_are_fresh_after_a_first_load(harness: Harness) -> None:
    harness.simulate(space(conversations=400))
    await sync(harness)
    query = (
        "SELECT count(*) AS n FROM pg_class c JOIN pg_namespace s ON s.oid = relnamespace"
        " WHERE nspname = %s AND relname = 'conversation_parts' AND reltuples > 0"
    )
    assert harness.query(query, harness.schema) == [{"n": 1}]


def test_the_command_tells_and_computes(database_url: str, schema: str) -> None:
    with served(Simulator(space())) as url:
        environ = environment(url, database_url, schema, CONNECTOR_RESOURCES="conversations")

        def run(*words: str) -> tuple[int, str]:
            process = start(environ, *words)
            out, errors = process.communicate(timeout=60)
            assert "Traceback" not in errors
            return process.returncode, out + errors

        for words in (("metrics",), ("metrics", "--rebuild")):
            code, told = run(*words)
            assert (code, "there is no warehouse in schema" in told) == (2, True)
        assert run("migrate")[0] == 0
        assert run("metrics")[0] == 1
        assert run("sync")[0] == 0
        code, told = run("metrics")
        assert code == 0
        assert "figures of 60 conversations, days and months in America/New_York" in told
        assert run("sql", "--write", "UPDATE _conversation_figures SET parts = 99")[0] == 0
        assert run("metrics", "--rebuild")[0] == 0
        query = "SELECT count(*) AS n FROM _conversation_figures WHERE parts = 99"
        assert '"n": 0' in run("sql", "--json", query)[1]


@pytest.mark.usefixtures("schema")
def test_somebodys_own_view_of_that_name_is_no_hindrance(
    house: House,
    database_url: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    house.do(f'CREATE SCHEMA "{house.schema}"', "SET search_path = public")
    house.do("CREATE VIEW team_metrics AS SELECT 1 AS mine")
    assert house.migrate() is True
    assert house.ask(f'SELECT mine FROM "{house.schema}".team_metrics') == [{"mine": 1}]
    with house.database() as database:
        lacking = database.write(partial(_behind, schema=house.schema))
    assert lacking == ["team_metrics"]
    assert house.ask(f'SELECT count(*) AS n FROM "{house.schema}".tag_metrics') == [{"n": 0}]


def _behind(conn: object, schema: str) -> list[str]:
    from connector.warehouse.views import live

    return live.behind(conn, schema)  # type: ignore[arg-type]


def test_metrics_show_nobody_more_than_the_tables_they_are_computed_from(
    old: House,
    analyst: str,
) -> None:
    """The figures know no row policy: where conversations have one, rights are given by hand."""
    old.do(
        f'GRANT USAGE ON SCHEMA "{old.schema}" TO {analyst}',
        by_default(old, analyst),
        f"GRANT SELECT ON contacts, contact_merges TO {analyst}",
    )
    assert old.migrate() is True
    refused = {name for name in metrics() if reads(old, analyst, name, "*") == "refused"}
    assert refused == metrics().keys() - {"contact_duplicates"}


def test_metrics_of_rows_with_policies_are_given_by_hand(
    old: House,
    analyst: str,
) -> None:
    old.do(
        f'GRANT USAGE ON SCHEMA "{old.schema}" TO {analyst}',
        by_default(old, analyst),
        f'GRANT SELECT ON ALL TABLES IN SCHEMA "{old.schema}" TO {analyst}',
        "ALTER TABLE conversation_parts ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY one ON conversation_parts FOR SELECT TO {analyst} USING (id = 'p')",
    )
    assert old.migrate() is True
    assert reads(old, analyst, "team_metrics", "*") == "refused"
    assert reads(old, analyst, "conversation_metrics", "*") == "refused"
    assert reads(old, analyst, "ai_agent_metrics", "*") == 0
    assert reads(old, analyst, "contact_duplicates", "*") == 0
