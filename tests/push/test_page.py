"""What docs/push.md says is so: its SQL, its commands, columns, options and tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import AsyncIterator, Iterator
from typing import Any

import psycopg
import pytest
import yaml

from connector import settings
from connector.cli import parser
from connector.commands.pushing import push
from connector.push.kinds import COMPANIES, CONTACTS, EVENTS
from connector.simulator import Workspace
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.state.tables import OUTBOX
from tests.push.pusher import patient
from tests.support.harness import NOW, Harness
from tests.support.places import ROOT
from tests.support.service import FEWEST

PAGE = (ROOT / "docs/push.md").read_text(encoding="utf-8")
BILLING = """
    CREATE SCHEMA billing;
    CREATE SCHEMA analytics;
    CREATE TABLE billing.subscriptions (user_id text PRIMARY KEY, plan text, seats int);
    CREATE TABLE billing.invoices
        (id int PRIMARY KEY, user_id text, amount numeric, paid_at timestamptz);
    INSERT INTO billing.subscriptions
        SELECT external_id, 'silver', 3 FROM {schema}.users WHERE external_id IS NOT NULL
        ORDER BY id LIMIT 10;
    INSERT INTO billing.invoices
        SELECT row_number() OVER (), user_id, 12.5, now() - interval '1 hour'
        FROM billing.subscriptions LIMIT 4;
    UPDATE billing.subscriptions SET user_id = '42'
        WHERE user_id = (SELECT min(user_id) FROM billing.subscriptions)"""
DROPPED = "DROP SCHEMA IF EXISTS billing CASCADE; DROP SCHEMA IF EXISTS analytics CASCADE"


def section(heading: str) -> str:
    """The text under a heading of the page."""
    level = heading.split()[0]
    text = PAGE.split(f"\n{heading}\n")[1]
    return re.split(rf"^#{{2,{len(level)}}} ", text, flags=re.MULTILINE)[0]


def blocks(kind: str, within: str) -> list[str]:
    found = re.findall(r"^```(\w*)\n(.*?)^```", within, re.MULTILINE | re.DOTALL)
    return [text for name, text in found if name == kind]


def commands(within: str) -> Iterator[list[str]]:
    """The pushes that stand in code blocks, in words."""
    for block in blocks("", within):
        for line in block.splitlines():
            if re.search(r"(^|/bin/|&& )intercom-warehouse push", line):
                called = re.split("intercom-warehouse push", line)[-1]
                yield shlex.split(re.split(r" *>", called)[0])


class Shop:
    """A company with a billing table, a mirror, and the page's commands."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness

    def sql(self, statements: str, *values: Any) -> list[Any]:
        text = statements.replace("intercom.", f"{self.harness.schema}.")
        with psycopg.connect(conninfo(self.harness.database_url)) as connection:
            cursor = connection.execute(text, values or None)
            return cursor.fetchall() if cursor.description else []

    async def push(self, words: list[str]) -> push.Outcome:
        words = [word.replace("intercom.", f"{self.harness.schema}.") for word in words]
        arguments = parser().parse_args(["push", *words])
        database = Database(self.harness.database_url, self.harness.schema)
        try:
            async with self.harness.client() as client:
                return await push._at_work(settings.load(), arguments, client, database)
        finally:
            database.close()


@pytest.fixture
async def shop(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Shop]:
    harness.simulate(
        Workspace.generate(3, now=int(NOW), contacts=60, companies=8, conversations=5, **FEWEST)
    )
    patient(harness, monkeypatch)
    await harness.sync()
    made = Shop(harness)
    made.sql(DROPPED)
    made.sql(BILLING.format(schema=harness.schema))
    yield made
    made.sql(DROPPED)


async def test_the_quick_start_pushes_what_differs_and_then_nothing(shop: Shop) -> None:
    dry, real = commands(section("## Quick start"))
    planned = (await shop.push(dry)).plan
    assert planned
    assert planned.dry_run
    assert planned.updates == 9
    assert planned.skipped == {"not found": 1}
    done = await shop.push(real)
    assert done.states["done"] == 9
    again = await shop.push(real)
    assert again.plan
    assert again.plan.unchanged == 9
    assert again.writes == 0
    await shop.harness.sync()
    [(tiers,)] = shop.sql("SELECT count(*) FROM intercom.users WHERE custom_plan_tier = 'silver'")
    assert tiers >= 9


@pytest.mark.parametrize(
    ("heading", "least"),
    [
        ("### The plan tier, every hour", 9),
        ("### Tag who is at risk", 1),
        ("### Product events", 3),
        ("### In your own transaction", 2),
    ],
)
async def test_the_examples_do_what_they_say(shop: Shop, heading: str, least: int) -> None:
    for statements in blocks("sql", section(heading)):
        shop.sql(statements)
    [words] = commands(section(heading))
    outcome = await shop.push([*words, "--yes"])
    assert outcome.states["done"] >= least, outcome
    assert not outcome.states["failed"], outcome.reasons
    again = await shop.push([*words, "--yes"])
    assert again.writes == again.states["done"] == 0


async def test_the_health_of_companies_is_pushed(shop: Shop) -> None:
    heading = section("### A health score of companies")
    shop.sql(blocks("sql", heading)[0].replace("custom_health_score", "custom_arr"))
    [words] = commands(heading)
    outcome = await shop.push([*words, "--yes"])
    assert outcome.states["done"] >= 1
    assert not outcome.states["failed"], outcome.reasons


async def test_a_dbt_model_is_pushed(shop: Shop) -> None:
    [query] = blocks("sql", section("### With dbt"))
    shop.sql(f"CREATE VIEW analytics.intercom_users AS {query}")
    [words] = commands(section("### With dbt"))
    outcome = await shop.push([*words, "--yes"])
    assert outcome.states["done"] == 9
    [bash] = re.findall(r'bash_command="intercom-warehouse (.*)"', PAGE)
    [job] = blocks("yaml", section("### Orchestration"))
    for called in (shlex.split(bash), yaml.safe_load(job)["args"]):
        arguments = parser().parse_args(called)
        assert (arguments.kind, arguments.model_from) == ("contacts", "analytics.intercom_users")


async def test_the_query_for_failed_wishes_runs(shop: Shop) -> None:
    [query] = blocks("sql", section("## The outbox"))
    assert shop.sql(query) == []


# -- what is listed ----------------------------------------------------------------------------


def _first_cells(text: str) -> str:
    return " ".join(line.split("|")[1] for line in text.splitlines() if line.startswith("|"))


def test_every_option_is_on_the_page_and_none_besides() -> None:
    (choices,) = (a.choices for a in parser()._actions if a.choices)
    assert isinstance(choices, dict)
    known = {option for action in choices["push"]._actions for option in action.option_strings}
    listed = set(re.findall(r"--[a-z][a-z-]+", _first_cells(section("## Options"))))
    assert listed == {option for option in known if option.startswith("--")}
    named = set(re.findall(r"`(--[a-z][a-z-]+)", PAGE))
    assert "--on-drift" in named
    assert named <= listed


def test_every_column_of_the_outbox_is_on_the_page() -> None:
    listed = re.findall(r"`(\w+)`", _first_cells(section("## The outbox").split("| state |")[0]))
    assert sorted(listed) == sorted({column.name for column in OUTBOX.columns} - {"id"})


def test_the_states_are_those_of_the_outbox() -> None:
    listed = re.findall(r"`(\w+)`", _first_cells(section("## The outbox").split("| state |")[1]))
    assert listed == ["waiting", "sending", "sent", "done", "failed", "unknown"]


def test_every_column_of_models_is_on_the_page() -> None:
    text = section("## Models").split("\n\n")[0]
    for kind in (CONTACTS, COMPANIES, EVENTS):
        for name in (*(key.name for key in kind.keys), *(field.name for field in kind.fields)):
            assert f"`{name}`" in text, name
