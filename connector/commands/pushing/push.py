"""``push``: puts a model's differences into the outbox, sends what waits, follows it to its end."""

from __future__ import annotations

import argparse
import logging
from collections.abc import Sequence
from functools import partial
from typing import Any

import sqlalchemy as sa
from msgspec import Struct, field

from connector.commands.connect import open_client, open_database, privacy
from connector.commands.pushing import told
from connector.commands.reporting import wishes
from connector.commands.reporting.report import Ending, reported
from connector.commands.terminal.logs import say
from connector.commands.terminal.waiting import until_signalled
from connector.errors import RowRefusedError, SettingsError
from connector.intercom.client import Client
from connector.push.kinds import KINDS, Kind
from connector.push.outbox import LOCK, claims, reports
from connector.push.outbox.claims import Terms
from connector.push.outbox.reports import Reason
from connector.push.outbox.store import Store
from connector.push.planning import Asked, Plan, make
from connector.push.rights import RIGHTS
from connector.push.sending import run as sending
from connector.push.sending.context import Options
from connector.resources import RESOURCES
from connector.settings import Settings
from connector.sync import tenure
from connector.sync.options import Options as SyncOptions
from connector.warehouse import migrate, state
from connector.warehouse.privacy import pinning
from connector.warehouse.sql.database import PATIENCE_FOR_LOCK, Database

logger = logging.getLogger(__name__)

MOST_DELETES = 1_000  # that wait and need no --yes


class Outcome(Struct):
    """How a push ended: wishes that it touched by state, why some failed, what was planned."""

    states: dict[str, int] = field(default_factory=dict)
    reasons: Sequence[Reason] = ()
    plan: Plan | None = None
    writes: int = 0
    reads: int = 0

    @property
    def exit_code(self) -> int:
        """0 where all that was touched is done, or on its way; a plan that was held back is 2."""
        if self.plan and self.plan.fuse and not self.plan.dry_run:
            return SettingsError.exit_code
        return 1 if self.states.get("failed") or self.states.get("unknown") else 0


def run(settings: Settings, arguments: argparse.Namespace) -> int:
    """Do what is asked; the exit code."""
    _check(arguments)
    if arguments.status:
        return _status(settings, arguments)
    with reported(arguments) as ending:
        ending.unknown = told.as_json(Outcome())
        return _push(settings, arguments, ending)


def _check(arguments: argparse.Namespace) -> None:
    if bool(arguments.kind) != bool(arguments.model_from):
        raise SettingsError(
            "give both what is pushed and from where: push contacts --from TABLE_VIEW_OR_QUERY;"
            " or neither, to send what waits in the outbox"
        )
    if arguments.status and (arguments.kind or arguments.retry or arguments.model is not None):
        raise SettingsError("--status only looks at the outbox: give it alone, and then the rest")
    if arguments.dry_run and not arguments.kind:
        raise SettingsError("--dry-run shows what a model would change: name it with --from")
    if not arguments.kind and (
        arguments.limit is not None
        or (arguments.mode, arguments.nulls, arguments.on_drift) != ("upsert", "keep", "overwrite")
    ):
        raise SettingsError(
            "--limit, --mode, --nulls and --on-drift are about a model: name it with --from"
        )
    if arguments.model is not None and not arguments.retry:
        raise SettingsError("--model names which wishes to --retry: give both")


def _status(settings: Settings, arguments: argparse.Namespace) -> int:
    with open_database(settings, say=say) as database:
        database.wait()
        found = database.read(lambda conn: _facts(conn, database.schema))
    told.status(found, as_json=arguments.json)
    return 1 if found and (found["failed"] or found["unknown"]) else 0


def _facts(conn: sa.Connection, schema: str) -> dict[str, Any] | None:
    migrate.require_newest(conn, schema)
    found = reports.facts(conn)
    return found and found | claims.held_up(conn)


def _push(settings: Settings, arguments: argparse.Namespace, ending: Ending) -> int:
    settings.require_write_token()
    with open_database(settings, say=say) as database:

        async def work() -> Outcome:
            async with open_client(settings, writes=True) as client:
                return await _at_work(settings, arguments, client, database)

        outcome = until_signalled(work(), database)
        found = told.as_json(outcome, database.read(reports.facts))
        ending.told, ending.shown = wishes.leaving(found), found
    if not arguments.json:
        told.outcome(outcome, found)
    return outcome.exit_code


async def _at_work(
    settings: Settings, arguments: argparse.Namespace, client: Client, database: Database
) -> Outcome:
    database.wait()
    workspace = await tenure.opened_by(client)
    outcome = Outcome()
    tenure.take_over(database, workspace, _sync_options(settings), RIGHTS)
    if not arguments.dry_run:
        database.lock(PATIENCE_FOR_LOCK, of=LOCK)  # serve has it for a few seconds at a time
    began = database.read(reports.now)
    if arguments.kind:
        outcome.plan = _plan(settings, arguments, database)
        if arguments.dry_run or outcome.plan.fuse:
            return outcome
    if arguments.retry:
        number = database.write(lambda conn: reports.retry(conn, arguments.model))
        say(f"{number:,} failed wishes wait again")
    terms = Terms(deletes=arguments.allow_deletes)
    database.read(_refuse_unmirrored)
    _refuse_many_deletes(database, arguments)
    options = _options(settings, arguments, terms)
    store = Store(database)
    push = sending.make(client, store, options, say)
    try:
        await push.run()
    finally:
        outcome.writes, outcome.reads = push.sending.tally.writes, push.sending.tally.reads
    await store.do(partial(reports.drop_old_bodies, days=settings.push_keep_days))
    recovered = push.sending.tally.recovered
    outcome.states = database.read(lambda conn: reports.states(conn, began, recovered))
    outcome.reasons = database.read(lambda conn: reports.reasons(conn, began, recovered))
    return outcome


def _sync_options(settings: Settings) -> SyncOptions:
    """How a schema that is not up to date is taken over; no sync."""
    return SyncOptions(
        command="push",
        auto_migrate=settings.auto_migrate,
        privacy=privacy(settings),
        partial=True,
        lock_patience=PATIENCE_FOR_LOCK,
    )


def _plan(settings: Settings, arguments: argparse.Namespace, database: Database) -> Plan:
    asked = Asked(
        KINDS[arguments.kind],
        arguments.model_from,
        mode=arguments.mode,
        nulls=arguments.nulls,
        on_drift=arguments.on_drift,
        limit=arguments.limit,
        yes=arguments.yes,
        dry_run=arguments.dry_run,
    )
    excluded = database.read(lambda conn: pinning.names(conn))
    try:
        found = database.write(partial(make, asked=asked, excluded=excluded))
    except RowRefusedError as error:
        raise asked.wrong(
            f"its differences cannot be put into the outbox: {error}; is a value too large, or is"
            " there a trigger or a constraint of others on the outbox?"
        ) from error
    if database.read(lambda conn: _is_unread(conn, asked.kind)):
        logger.warning(
            "the mirror has never read any %s: what it does not know is taken for new, or left out"
            " by --mode update; run 'intercom-warehouse sync' first",
            asked.kind.name,
        )
    told.plan(found, as_json=arguments.json)
    return found


def _is_unread(conn: sa.Connection, kind: Kind) -> bool:
    """Whether objects of that kind were never read, so that a plan compares with nothing."""
    if kind.table is None:
        return False
    read = [one.name for one in RESOURCES if one.table is kind.table]
    return all(state.progress(conn, name).last_success_at is None for name in read)


def _refuse_unmirrored(conn: sa.Connection) -> None:
    """Leads are told apart by the mirror alone: one that was never read would be made again."""
    unread = state.progress(conn, "leads").last_success_at is None
    if unread and claims.may_create_leads(conn):
        raise SettingsError(
            "wishes would create leads, and the mirror has never read the leads that there are:"
            " run 'intercom-warehouse sync' first, with leads among its resources"
        )


def _refuse_many_deletes(database: Database, arguments: argparse.Namespace) -> None:
    number = database.read(claims.waiting_deletes) if arguments.allow_deletes else 0
    if number > MOST_DELETES and not arguments.yes:
        raise SettingsError(
            f"{number:,} wishes would delete something for ever, more than {MOST_DELETES:,}:"
            " nothing was sent; look at SELECT * FROM outbox WHERE op = 'delete', and give --yes"
            " if that is what you want"
        )


def _options(settings: Settings, arguments: argparse.Namespace, terms: Terms) -> Options:
    return Options(
        terms=terms,
        trust=arguments.trust,
        wait=not arguments.no_wait,
        unarchive=arguments.unarchive,
        create_missing=arguments.create_missing,
        index_lag=settings.index_lag,
        hint_delay=settings.live_delay,
    )
