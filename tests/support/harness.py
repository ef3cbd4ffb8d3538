"""A simulated workspace, a warehouse, and the sync between them, in one process without sockets."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import timedelta
from hashlib import sha256
from typing import Any

import psycopg
from psycopg.rows import dict_row

from connector.intercom.budget import Budget
from connector.intercom.client import Client
from connector.intercom.clock import Clock
from connector.simulator import Simulator, SimulatorTransport, Workspace
from connector.sync.options import Options
from connector.sync.outcome import Outcome
from connector.sync.run import sync
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.support.postgres.template import Template

# Of the connection that looks, whatever the house around it sets.
UNDISTURBED = {
    "timezone": "UTC",
    "datestyle": "ISO",
    "statement_timeout": "0",
    "lock_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "idle_session_timeout": "0",
}
PUSHES = ["outbox", "push_jobs", "push_digests"]  # tables that no sync writes
NOW = 1_780_000_000.0  # where tests begin; the clock moves only when they say so


class Harness:
    """``await sync()``, change the workspace through ``control``, look at ``rows``."""

    def __init__(self, database_url: str, schema: str, outside: str = "", **options: Any) -> None:
        self.database_url, self.schema = database_url, schema
        self.outside = outside  # who looks, if not the role that syncs
        self.options = options  # of every sync
        self.now = NOW
        self.began = NOW  # when the last sync began
        self.waited: list[float] = []  # every pause the client made
        self._idle: dict[str, list[Database]] = {}
        self._reader: psycopg.Connection[dict[str, Any]] | None = None
        self.template: Template | None = None  # that the database is a copy of
        self._copies = ExitStack()

    def simulate(self, workspace: Workspace | None = None, **options: Any) -> Simulator:
        """Begin with this workspace (a small one by default)."""
        workspace = workspace or Workspace.generate(
            1, contacts=120, companies=20, conversations=40, now=int(NOW)
        )
        options.setdefault("rate_limit", None)
        self.simulator = Simulator(workspace, clock=lambda: self.now, **options)
        self.control = self.simulator.control
        return self.simulator

    async def load(
        self,
        workspace: Workspace | None = None,
        then: Callable[[Harness], Awaitable[None]] | None = None,
        **options: Any,
    ) -> None:
        """Begin with this workspace, loaded: by a first sync that nothing disturbs.

        The load of an equal workspace is made once in each worker, and copied after that; so are
        the syncs that come ``then``, which change nothing of the workspace.
        """
        simulator, template, known = self.simulate(workspace, **options), self.template, None
        told = pickle.dumps((simulator.workspace, sorted(options.items())))
        key = (sha256(told).digest(), self.now, then)
        if template:
            known = template.kept.get(key)
        if template and known:
            self.database_url = self._copies.enter_context(template.copy(known.name))
            self.began, self.now = self.now, known.now
            return
        outcome = await self.sync()
        assert outcome.exit_code == 0, outcome.error
        if then:
            await then(self)
        if template:
            template.keep(key, self.database_url, self.now)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for Intercom and for this machine."""
        self.now += seconds

    async def pause(self, seconds: float) -> None:
        """What the client does instead of sleeping: time passes at once."""
        self.waited.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)

    def client(self, **options: Any) -> Client:
        """A client of the simulator."""
        clock = Clock(lambda: self.now)
        options.setdefault("token", "sim-token")
        options.setdefault("transport", SimulatorTransport(self.simulator))
        return Client(
            base_url="http://127.0.0.1",
            clock=clock,
            budget=Budget(clock=clock, sleep=self.pause),
            sleep=self.pause,
            **options,
        )

    async def sync(self, client: Client | None = None, **options: Any) -> Outcome:
        """One run, with a database connection of its own, as a process would have."""
        options = {"lookback": timedelta(seconds=900)} | self.options | options
        self.began = self.now
        # Its connections are new ones each time; the statements that it compiled are kept.
        idle = self._idle.setdefault(self.database_url, [])
        database = idle.pop() if idle else Database(self.database_url, self.schema)
        try:
            async with client or self.client() as opened:
                return await sync(opened, database, Options(**options))
        finally:
            database.close()
            idle.append(database)

    # -- looking ------------------------------------------------------------------------------

    def query(self, statement: str, *parameters: Any) -> list[dict[str, Any]]:
        """Rows of a query; the search path is the test's schema."""
        if self._reader is None:
            self._reader = psycopg.connect(
                conninfo(self.outside or self.database_url),
                autocommit=True,
                row_factory=dict_row,
                client_encoding="UTF8",
            )
            for name, value in UNDISTURBED.items():
                self._reader.execute(f"SET {name} = '{value}'")
            quoted = self.schema.replace('"', '""')
            self._reader.execute(f'SET search_path = "{quoted}"')
        done = self._reader.execute(statement, parameters or None)
        return done.fetchall() if done.description else []

    def rows(self, table: str) -> dict[str, dict[str, Any]]:
        """All rows of a table by id, placeholders and deleted ones included."""
        return {row["id"]: row for row in self.query(f'SELECT * FROM "{table}"')}

    def text(self) -> str:
        """Every row of every table as PostgreSQL shows it, state tables included."""
        found = self.query("SELECT tablename FROM pg_tables WHERE schemaname = %s", self.schema)
        return "\n".join(
            row["text"]
            for name in (table["tablename"] for table in found)
            for row in self.query(f'SELECT t::text AS text FROM "{name}" t')
        )

    def versions(self) -> dict[str, set[tuple[str, str]]]:
        """The physical row versions of every table that holds objects, links or children."""
        tables = self.query(
            "SELECT tablename FROM pg_tables WHERE schemaname = %s"
            " AND tablename NOT LIKE 'sync\\_%%' AND tablename <> ALL(%s)",
            self.schema,
            PUSHES,
        )
        return {
            name: {
                (row["ctid"], row["xmin"])
                for row in self.query(f'SELECT ctid::text, xmin::text FROM "{name}"')
            }
            for name in (table["tablename"] for table in tables)
        }

    def members(self) -> dict[str, list[str]]:
        """The contacts of each segment, as the simulator knows them."""
        found: dict[str, list[str]] = {}
        for contact in self.control.truth("contacts"):
            for segment in contact["segments"]["data"]:
                found.setdefault(segment["id"], []).append(contact["id"])
        return found

    def close(self) -> None:
        """Close the reading connection, and drop what was copied."""
        if self._reader is not None:
            self._reader.close()
        self._copies.close()
