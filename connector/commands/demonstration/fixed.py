"""A warehouse whose every row is known beforehand: a fixed workspace, loaded and synced once more.

Pages show what comes of it, so nothing in it may depend on the moment: the workspace has a seed,
Intercom a clock that stands still, and ``now()`` is a function of the schema's own.
"""

from __future__ import annotations

import asyncio

from connector.errors import ConnectorError
from connector.intercom.budget import Budget
from connector.intercom.client import Client
from connector.intercom.clock import Clock
from connector.simulator import Control, Simulator, SimulatorTransport, Workspace
from connector.sync.options import Options
from connector.sync.run import sync
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute, fetch
from connector.warehouse.sql.names import literal, quote

FIRST = 1_780_000_000  # when the first sync runs: Thursday, 28 May 2026, 20:26:40 UTC
HOUR, DAY = 3_600, 86_400
SECOND = FIRST + DAY  # when the second one does
NOW = SECOND + HOUR  # when the questions are asked
TOKEN = "sim-token"
HISTORY = ("contacts", "companies", "conversations")
MANY = 505  # parts: more than Intercom returns
SETTINGS = {"timezone": "UTC", "datestyle": "ISO"}


def workspace() -> Workspace:
    """A small company's Intercom: four teams, a dozen companies, twenty weeks of conversations."""
    return Workspace.generate(
        7,
        contacts=90,
        companies=12,
        conversations=240,
        tags=12,
        segments=5,
        admins=6,
        teams=4,
        events=400,
        tickets=40,
        now=FIRST,
        timezone="Europe/Berlin",
        years=0.75,
        lifelike=True,
    )


async def load(database: Database) -> None:
    """Sync it, let a day go by, sync again; then let that be the present."""
    present = [float(FIRST)]
    simulator = Simulator(workspace(), clock=lambda: present[0], rate_limit=None)
    await _sync(database, simulator, present)
    present[0] = SECOND - HOUR
    _a_day_goes_by(simulator.control)
    present[0] = SECOND
    await _sync(database, simulator, present)
    _stop_the_clock(database)


async def _sync(database: Database, simulator: Simulator, present: list[float]) -> None:
    async def pause(seconds: float) -> None:
        present[0] += seconds
        await asyncio.sleep(0)

    clock = Clock(lambda: present[0])
    client = Client(
        base_url="http://127.0.0.1",
        token=TOKEN,
        clock=clock,
        budget=Budget(clock=clock, sleep=pause),
        sleep=pause,
        transport=SimulatorTransport(simulator),
    )
    own = database.another()  # it holds the schema's lock until it is closed
    try:
        async with client:
            outcome = await sync(client, own, Options(history=HISTORY, allow_deletes=True))
    finally:
        own.close()
    if outcome.exit_code:
        raise ConnectorError(f"the fixed workspace was not synced: {outcome.error}")


def _a_day_goes_by(control: Control) -> None:
    """What the questions are about and no generator makes."""
    contacts, conversations = control.truth("contacts"), control.truth("conversations")
    leads = [one["id"] for one in contacts if one["role"] == "lead"]
    users = [one["id"] for one in contacts if one["role"] == "user"]
    control.merge_contacts(leads[0], users[0])
    paying = [one["id"] for one in control.truth("companies") if not one["_hidden"]]
    for company in paying[:2]:
        plan = {"type": "plan", "id": "4", "name": "Enterprise"}
        control.update_company(company, plan=plan, monthly_spend=990)
    writers = [c["id"] for c in contacts if c["companies"]["data"] and c["id"] not in leads]
    for contact in writers[:4]:
        control.create_conversation(contact, "<p>Is it only me?</p>")
    control.reply(conversations[9]["id"], n=MANY)
    control.delete_conversation(conversations[5]["id"])
    control.delete_contact(leads[1])


def _stop_the_clock(database: Database) -> None:
    """``now()`` of pages and views, and what came of the database's own clock, is fixed."""
    schema = database.schema
    own = f"{quote(schema)}.now()"
    with database.transaction() as conn:
        execute(
            conn,
            f"CREATE FUNCTION {own} RETURNS timestamptz STABLE LANGUAGE sql"
            f" AS $$ SELECT to_timestamp({NOW}) $$",
        )
        views = (
            "SELECT viewname, definition FROM pg_views WHERE schemaname = %s"
            " AND definition LIKE '%now()%'"
        )
        for name, definition in fetch(conn, views, [schema]):
            text = definition.replace("now()", own)
            execute(conn, f"CREATE OR REPLACE VIEW {quote(schema)}.{quote(name)} AS {text}")
        tables = (
            "SELECT table_name FROM information_schema.columns c JOIN pg_tables t"
            " ON t.schemaname = c.table_schema AND t.tablename = c.table_name"
            " WHERE c.table_schema = %s AND c.column_name = '_changed_at'"
        )
        for (name,) in fetch(conn, tables, [schema]):
            at = f"CASE WHEN _run_id = 1 THEN {FIRST} ELSE {SECOND} END"
            execute(
                conn, f"UPDATE {quote(schema)}.{quote(name)} SET _changed_at = to_timestamp({at})"
            )


def first_statements(database: Database) -> list[str]:
    """What a transaction that asks is to begin with: the schema's ``now()`` before Postgres'."""
    path = f"{quote(database.schema)}, pg_catalog"
    settings = [f"SET LOCAL {name} = {literal(value)}" for name, value in SETTINGS.items()]
    return [f"SET LOCAL search_path = {path}", *settings]
