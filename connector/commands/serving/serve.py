"""``serve``, and ``sync --every``: the process that goes on until a signal ends it."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import threading
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from connector.commands.connect import open_client, open_database
from connector.commands.reporting import wishes
from connector.commands.reporting.live import facts
from connector.commands.reporting.outcomes import name_failures
from connector.commands.reporting.progress import Progress
from connector.commands.reporting.report import deliver, run_report
from connector.commands.serving import figures
from connector.commands.serving.keeping import Keeping
from connector.commands.serving.pushes import Pushes
from connector.commands.serving.receiver import Receiver, require_inbox
from connector.commands.terminal.logs import say
from connector.commands.terminal.waiting import until_signalled
from connector.errors import ConnectorError, SettingsError
from connector.intercom.client import Client
from connector.resources import RESOURCES
from connector.settings import Reporting, Settings, reporting
from connector.sync import tenure
from connector.sync.hints.settling import readers
from connector.sync.options import Options
from connector.sync.outcome import Outcome
from connector.warehouse.sql.database import Database

logger = logging.getLogger(__name__)

PATIENCE = 1.5  # seconds for a transaction to end by itself: all must have ended within five


class _Live(Struct):
    """What runs, and is told to end when a signal comes."""

    keeping: Keeping | None = None
    receiver: Receiver | None = None
    pushes: Pushes | None = None

    def stopping(self) -> float:
        """Take nothing more; how many seconds what is under way may take to end."""
        if self.receiver:
            self.receiver.stop()
        if self.pushes:
            self.pushes.stop()
        return self.keeping.stop() if self.keeping else 0.0


def run(settings: Settings, options: Options, arguments: argparse.Namespace) -> int:
    """Receive notifications and keep in step; 0 where SIGTERM ended it."""
    secrets = _secrets(settings)
    settings.require_tokens()
    with open_database(settings, say=say) as database:
        receiver = Receiver(database, secrets, settings.live_delay)
        live = _Live(receiver=receiver)

        async def work() -> None:
            async with open_client(settings) as client:
                keeping = live.keeping = await _keeping(
                    client, database, options, arguments, settings.sync_every
                )
                receiver.tables = keeping.tables
                receiver.came = keeping.wake
                receiver.recovered = keeping.repair
                pushes = live.pushes = Pushes(settings, database.another())
                pushes.ended = partial(_report, arguments)
                receiver.trouble = lambda: keeping.trouble or pushes.trouble
                moving = figures.moving(database, arguments.metrics_file)
                with receiver.running(*settings.listen) as port, moving:
                    _listening(settings, port)
                    async with pushes.followed():
                        await keeping.forever()

        until_signalled(work(), database, live.stopping, PATIENCE)
    return 0


def keep(settings: Settings, options: Options, arguments: argparse.Namespace, every: float) -> int:
    """The same without a listener: a pass every so many seconds; 0 where SIGTERM ended it."""
    settings.require_tokens()
    with open_database(settings, say=say) as database:
        live = _Live()

        async def work() -> None:
            async with open_client(settings) as client:
                live.keeping = await _keeping(client, database, options, arguments, every)
                with figures.moving(database, arguments.metrics_file):
                    await live.keeping.forever(pass_first=True)

        until_signalled(work(), database, live.stopping, PATIENCE)
    return 0


def receive(settings: Settings) -> int:
    """Only receive notifications, as a role with few rights; 0 where SIGTERM ended it."""
    secrets = _secrets(settings)
    with open_database(settings, say=say) as database:
        database.wait()
        require_inbox(database)
        receiver = Receiver(
            database,
            secrets,
            settings.live_delay,
            tables=list(readers(r for r in RESOURCES if settings.resources.takes(r))),
        )
        live = _Live(receiver=receiver)

        async def work() -> None:
            with receiver.running(*settings.listen) as port:
                _listening(settings, port)
                await asyncio.Event().wait()

        until_signalled(work(), database, live.stopping, PATIENCE)
    return 0


def _report(arguments: argparse.Namespace, began: float, told: dict[str, Any]) -> None:
    """Report what became of wishes that were followed to their end, as a push does."""
    where = reporting(schema=arguments.schema)
    report = run_report("push", where.schema, began, None, None, told)
    if arguments.json:
        print(json.dumps(report, default=str), flush=True)
    _deliver(where, None, report)


def _deliver(where: Reporting, metrics_file: Path | None, report: dict[str, Any]) -> None:
    """In a thread: delivering waits, and nobody must wait for it."""
    deliver_it = partial(deliver, where, metrics_file, report)
    threading.Thread(target=deliver_it, name="report", daemon=True).start()


def _secrets(settings: Settings) -> tuple[str, ...]:
    if not settings.client_secrets:
        raise SettingsError(
            "INTERCOM_CLIENT_SECRET is not set; copy the client secret from Basic information of"
            " your app in Intercom's Developer Hub: without it nobody can tell Intercom's"
            " notifications from others"
        )
    return settings.client_secrets


def _listening(settings: Settings, port: int) -> None:
    host = settings.listen[0]
    say(f"listening at http://{f'[{host}]' if ':' in host else host}:{port}/")


async def _keeping(
    client: Client,
    database: Database,
    options: Options,
    arguments: argparse.Namespace,
    every: float,
) -> Keeping:
    """What keeps in step, once the schema is up to date and of the workspace the token opens."""
    database.wait()
    workspace = await tenure.opened_by(client)
    tenure.take_over(database, workspace, options)
    progress = Progress(lines=True)
    progress.tokens = client.tokens

    def ended(began: float, outcome: Outcome | None, error: BaseException | None) -> None:
        if outcome:
            with suppress(ConnectorError):
                outcome.live = database.read(facts)
                outcome.outbox = database.read(wishes.counts)
        where = reporting(schema=arguments.schema)
        report = run_report(options.command, where.schema, began, outcome, error)
        if arguments.json:
            print(json.dumps(report, default=str), flush=True)
        _deliver(where, arguments.metrics_file, report)
        if outcome:
            name_failures(outcome)
        seconds = time.time() - began
        logger.info("pass ended with %s after %.1f s", report["exit_code"], seconds)

    keeping = Keeping(client, database, options, every, ended, progress)
    keeping.kept.workspace = workspace
    return keeping
