"""The command line: parses, calls, prints; the only place that speaks to people.

What fails is said in one or two lines on stderr, with what to do; a traceback is a bug.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from connector import __version__
from connector import settings as settings_module
from connector.commands import simulate
from connector.commands.connect import (
    admit,
    open_client,
    open_database,
    privacy,
    warn_of_exclusions,
)
from connector.commands.demonstration import options as demonstration
from connector.commands.pushing import options as pushing
from connector.commands.reporting import live, wishes
from connector.commands.reporting.outcomes import (
    name_failures,
    outcome_as_json,
    print_outcome,
)
from connector.commands.reporting.progress import Progress
from connector.commands.reporting.report import reported
from connector.commands.terminal import logs, streams
from connector.commands.terminal.interruption import Interruption, until_ended
from connector.commands.terminal.logs import say
from connector.commands.terminal.parsing import Parser, number
from connector.commands.terminal.waiting import until_signalled
from connector.commands.workspace_report import options as workspace_report
from connector.errors import ConnectorError, SettingsError
from connector.resources.selection import Selection, called, select
from connector.settings import Settings
from connector.sync.options import Options
from connector.sync.outcome import Outcome
from connector.sync.run import refetch, sync
from connector.sync.tenure import prepare
from connector.warehouse import rights
from connector.warehouse.sql.database import PATIENCE_FOR_LOCK

logger = logging.getLogger(__name__)

INTERRUPTED = 130
DESCRIPTION = "Keeps a Postgres warehouse in step with Intercom."
EPILOG = """exit codes:
  0 all resources synced          1 a resource failed or an object is overdue
  2 wrong usage or settings       3 Intercom refused the token
  4 another sync is running       5 the database cannot be used
  130 interrupted, state is safe
"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    streams.prepare()
    code = _run(sys.argv[1:] if argv is None else argv)
    lost = streams.end()
    if lost:
        logs.complain(f"the output could not be written: {lost}")
    return code or (1 if lost else 0)


def _run(words: list[str]) -> int:
    logs.set_up(logs.asked_format(words), verbose=False)
    try:
        arguments = parser().parse_args(streams.readable(words))
        logs.set_up(arguments.log_format, verbose=arguments.verbose)
        with Interruption():
            return int(arguments.command(arguments))
    except SystemExit as done:  # --help and --version
        return int(done.code or 0)
    except ConnectorError as error:
        logs.complain(str(error))
        return error.exit_code
    except (KeyboardInterrupt, asyncio.CancelledError):
        logs.complain("interrupted; what was committed is safe")
        return INTERRUPTED
    except Exception:
        logger.exception("a fault of intercom-warehouse itself; what was committed is safe")
        return 1


# -- commands --------------------------------------------------------------------------------


def _sync(arguments: argparse.Namespace) -> int:
    if arguments.every is not None:
        return _keep(_settings(arguments), arguments, arguments.every)
    with reported(arguments) as ending:
        ending.outcome = _run_sync(_settings(arguments), arguments)
        return ending.outcome.exit_code


def _run_sync(settings: Settings, arguments: argparse.Namespace) -> Outcome:
    settings.require_tokens()
    options = _options(settings, arguments)
    progress = Progress(lines=arguments.json or arguments.log_format == "json")
    with open_database(settings, say=say) as database:

        async def run() -> Outcome:
            async with open_client(settings) as client:
                progress.tokens = client.tokens
                return await sync(client, database, options, progress)

        try:
            outcome = until_signalled(run(), database)
            with suppress(ConnectorError):  # the run has ended well or not, whatever comes now
                outcome.live = database.read(live.facts)
                outcome.outbox = database.read(wishes.counts)
        finally:
            progress.clear()
    _print(outcome, arguments)
    return outcome


def _options(settings: Settings, arguments: argparse.Namespace) -> Options:
    """What settings and flags ask of a run over what is selected."""
    selection = _selection(settings, arguments)
    return Options(
        command=arguments.name,
        only=selection.only,
        left_out=selection.left_out,
        full=arguments.full,
        since=arguments.since,
        lookback=timedelta(seconds=settings.lookback),
        refresh_interval=timedelta(days=settings.sweep_days),
        full_pass_requests=settings.full_pass_requests,
        full_pass_days=settings.full_pass_days,
        activity_feed=settings.activity_feed,
        only_active=arguments.events == "active",
        keep_runs=timedelta(days=settings.keep_runs_days),
        allow_deletes=settings_module.allowed_deletes(arguments.allow_deletes),
        auto_migrate=settings.auto_migrate,
        privacy=privacy(settings),
        partial=bool(arguments.only),
        lift_exclusions=arguments.lift_exclusions,
        history=settings.history,
        history_kept=timedelta(days=settings.history_days) if settings.history_days else None,
        live_delay=settings.live_delay,
        drops_foreign_hints=not arguments.only,
        lock_patience=PATIENCE_FOR_LOCK,
    )


def _keep(settings: Settings, arguments: argparse.Namespace, every: float) -> int:
    """``sync --every``: the loop of ``serve``, without a listener."""
    with until_ended():
        from connector.commands.serving import serve  # only where it is wanted: no sync pays for it

        return serve.keep(settings, _options(settings, arguments), arguments, every)
    return 0


def _serve(arguments: argparse.Namespace) -> int:
    with until_ended():
        from connector.commands.serving import serve

        settings = _settings(arguments)
        if arguments.receive_only:
            return serve.receive(settings)
        arguments.name = "sync"  # what its passes are
        return serve.run(settings, _options(settings, arguments), arguments)
    return 0


def _push(arguments: argparse.Namespace) -> int:
    from connector.commands.pushing import push

    return push.run(_settings(arguments), arguments)


def _print(outcome: Outcome, arguments: argparse.Namespace) -> None:
    if arguments.json:
        print(json.dumps(outcome_as_json(outcome), default=str))
    else:
        print_outcome(outcome)
    name_failures(outcome)


def _migrate(arguments: argparse.Namespace) -> int:
    from connector.commands import views
    from connector.warehouse.privacy import cleaning, pinning
    from connector.warehouse.schema import damage

    settings = _settings(arguments)
    exclusions = privacy(settings).exclusions
    with open_database(settings, say=say) as database:
        database.wait()
        rights.require(database, rights.Needs(migrates=True, history=settings.history))
        database.lock(PATIENCE_FOR_LOCK)
        admit(database, settings)
        prepare(database, auto_migrate=True, history=settings.history)
        database.write(lambda conn: pinning.apply(conn, exclusions, pins=False))
        cleaning.clean(database, exclusions, "migrate")
        views.grow(database)
        database.read(partial(damage.require_whole, schema=settings.schema))
    print(f"schema {settings.schema} is up to date")
    return 0


def _views(arguments: argparse.Namespace) -> int:
    from connector.commands import views
    from connector.warehouse.schema import damage

    settings = _settings(arguments)
    with open_database(settings, say=say) as database:
        database.wait()
        rights.require(database, rights.Needs(migrates=settings.auto_migrate))
        database.lock(PATIENCE_FOR_LOCK)
        admit(database, settings)
        prepare(database, settings.auto_migrate)
        database.read(partial(damage.require_whole, schema=settings.schema))
        return views.run(database, rebuild=arguments.rebuild, fivetran=arguments.fivetran)


def _metrics(arguments: argparse.Namespace) -> int:
    from connector.commands import figures
    from connector.warehouse import migrate

    settings = _settings(arguments)
    with open_database(settings, say=say) as database:
        database.wait()
        database.read(lambda conn: migrate.require_newest(conn, database.schema))
        if arguments.rebuild:
            rights.require(database, rights.Needs(migrates=False))
            database.lock(PATIENCE_FOR_LOCK)
            admit(database, settings)
        return figures.run(database, rebuild=arguments.rebuild)


def _status(arguments: argparse.Namespace) -> int:
    from connector.commands import status

    settings = _settings(arguments)
    with open_database(settings, say=say) as database:
        code = status.run(database, as_json=arguments.json)
        warn_of_exclusions(database, settings)
        return code


def _report(arguments: argparse.Namespace) -> int:
    from connector.commands.workspace_report import report, vega

    vega.require()
    settings = _settings(arguments)
    with open_database(settings, say=say) as database:
        return report.run(database, settings, arguments)


def _sql(arguments: argparse.Namespace) -> int:
    from connector.commands import sql

    settings = _settings(arguments)
    with open_database(settings, say=say) as database:
        database.wait()
        warn_of_exclusions(database, settings)
        return sql.run(database, arguments.statement, as_json=arguments.json, write=arguments.write)


def _dbt_sources(arguments: argparse.Namespace) -> int:
    from connector.commands.dbt import sources

    with open_database(_settings(arguments), say=say) as database:
        return sources.run(database)


def _verify(arguments: argparse.Namespace) -> int:
    from connector.commands.verify import report
    from connector.sync.on_demand.verify import verify

    settings = _settings(arguments)
    settings.require_tokens()
    selection = _selection(settings, arguments)
    exclusions = privacy(settings).exclusions
    with open_database(settings, say=say) as database:

        async def run() -> int:
            async with open_client(settings) as client:
                found = await verify(client, database, selection, arguments.sample, exclusions)
                warn_of_exclusions(database, settings)
                return report(found, as_json=arguments.json)

        return until_signalled(run(), database)


def _refetch(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments)
    settings.require_tokens()
    resources = called(arguments.resource)
    ids = [key.strip() for key in arguments.ids]
    if not all(ids):
        raise SettingsError("an id of refetch is empty")
    kept_out = privacy(settings)
    with open_database(settings, say=say) as database:

        async def run() -> int:
            async with open_client(settings) as client:
                outcome = await refetch(
                    client, database, resources, ids, kept_out, PATIENCE_FOR_LOCK
                )
                _print(outcome, arguments)
                return outcome.exit_code

        return until_signalled(run(), database)


def _forget(arguments: argparse.Namespace) -> int:
    from connector.commands import forget

    settings = _settings(arguments)
    ids = [key.strip() for key in arguments.ids]
    if not all(ids) or bool(ids) == arguments.list:
        raise SettingsError("forget takes the ids of contacts, or --list alone")
    with open_database(settings, say=say) as database:
        if arguments.list:
            return forget.show(database, as_json=arguments.json)
        database.wait()
        rights.require(database, rights.Needs(migrates=settings.auto_migrate))
        database.lock(PATIENCE_FOR_LOCK)
        admit(database, settings)
        prepare(database, settings.auto_migrate)
        if arguments.undo:
            return forget.undo(database, ids, as_json=arguments.json)
        return forget.run(database, ids, as_json=arguments.json, unknown=arguments.unknown)


def _check(arguments: argparse.Namespace) -> int:
    from connector.commands import check, facts

    if arguments.facts:  # of Intercom alone: no database is needed
        settings = settings_module.load(schema=arguments.schema)
        return until_signalled(facts.run(settings, as_json=arguments.json))
    try:
        settings = _settings(arguments)
    except SettingsError as error:
        return check.report([check.Line.of("settings", error)], as_json=arguments.json)
    return until_signalled(check.run(settings, as_json=arguments.json))


def _simulate(arguments: argparse.Namespace) -> int:
    return simulate.run(arguments)


def _demo(arguments: argparse.Namespace) -> int:
    from connector.commands import demo

    return demo.run(arguments)


# -- parsing ---------------------------------------------------------------------------------


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = Parser(
        logs.PROGRAM,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    top.add_argument("--version", action="version", version=f"{logs.PROGRAM} {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", required=True)
    synced = _add(commands, "sync", "incremental sync; the first run loads everything", _sync)
    _sync_options(synced)
    synced.add_argument(
        "--every",
        type=_duration,
        metavar="TIME",
        help="go on: a sync every so often, such as 5m, until it is ended",
    )
    backfill = _add(commands, "backfill", "load everything again, resumable", _sync)
    _sync_options(backfill)
    backfill.set_defaults(every=None)
    backfill.add_argument(
        "--since",
        type=_date,
        metavar="DATE",
        help="of what is not here yet load only what was updated since",
    )
    backfill.set_defaults(full=True)
    _json_option(_add(commands, "status", "last runs, freshness and what is pending", _status))
    paged = _add(commands, "report", "the sync and the workspace as one HTML page", _report)
    workspace_report.add_options(paged)
    checked = _add(commands, "check", "settings, token, workspace, scopes and database", _check)
    checked.add_argument(
        "--facts", action="store_true", help="ask whether Intercom is as it is known to be"
    )
    _json_option(checked)
    sample = _add(commands, "verify", "compare a sample of rows with Intercom", _verify)
    sample.add_argument("--sample", type=number, default=20, help="rows per resource (20)")
    sample.add_argument(
        "--only",
        metavar="NAMES",
        help="these resources only: users,leads; all but some: all,-calls",
    )
    _json_option(sample)
    again = _add(commands, "refetch", "read named objects again now", _refetch)
    again.add_argument("resource", help="their resource or table: conversations")
    again.add_argument("ids", nargs="+", metavar="ID")
    _json_option(again)
    gone = _add(commands, "forget", "empty contacts, now and at every sync to come", _forget)
    gone.add_argument("ids", nargs="*", metavar="CONTACT_ID")
    gone.add_argument("--undo", action="store_true", help="let full passes bring them back")
    gone.add_argument(
        "--unknown", action="store_true", help="also who is not in the warehouse, and that is fine"
    )
    gone.add_argument("--list", action="store_true", help="print who is forgotten")
    _json_option(gone)
    query = _add(commands, "sql", "print the rows of a query on the warehouse", _sql)
    query.add_argument("statement", metavar="STATEMENT")
    query.add_argument("--write", action="store_true", help="let the statement change things")
    _json_option(query)
    _add(commands, "migrate", "create or upgrade the schema and stop", _migrate)
    views = _add(commands, "views", "give the views the columns that they lack", _views)
    views.add_argument(
        "--rebuild", action="store_true", help="make them anew, with living attributes only"
    )
    views.add_argument(
        "--fivetran", action="store_true", help="also those of Fivetran's shape, from now on"
    )
    _add(commands, "dbt-sources", "print the schema as sources of dbt, in YAML", _dbt_sources)
    figured = _add(commands, "metrics", "how the figures of the metric views stand", _metrics)
    figured.add_argument("--rebuild", action="store_true", help="compute them all anew")
    served = _add(commands, "serve", "receive notifications and keep in step", _serve)
    served.add_argument(
        "--receive-only", action="store_true", help="keep what comes; another process reads it"
    )
    _metrics_option(served)
    served.set_defaults(only=None, lift_exclusions=False, allow_deletes=None, events="all")
    pushed = _add(commands, "push", "write to Intercom what the outbox wishes", _push)
    pushing.add_options(pushed)
    _metrics_option(pushed)
    _json_option(pushed)
    simulate.add_options(_add(commands, "simulate", "run the bundled simulator", _simulate))
    demonstration.add_options(_add(commands, "demo", "the whole thing, no account needed", _demo))
    return top


def _add(commands: Any, name: str, sentence: str, command: Callable[..., int]) -> Any:
    sub = commands.add_parser(name, help=sentence, description=sentence)
    sub.add_argument("--schema", help="schema of the warehouse (INTERCOM_SCHEMA)")
    sub.add_argument("-v", "--verbose", action="store_true", help="log what happens")
    sub.add_argument(
        "--log-format", choices=logs.FORMATS, default="text", help="how log lines look"
    )
    sub.set_defaults(command=command, name=name, full=False, since=None, json=False)
    return sub


def _sync_options(sub: Any) -> None:
    sub.add_argument(
        "--only",
        metavar="NAMES",
        help="these resources only: users,leads; all but some: all,-calls",
    )
    sub.add_argument("--full", action="store_true", help="a full pass over everything")
    sub.add_argument(
        "--events",
        choices=("all", "active"),
        default="all",
        help="active: leave events of contacts without activity in the last 90 days to"
        " CONNECTOR_EVENTS_SWEEP_DAYS",
    )
    sub.add_argument(
        "--lift-exclusions",
        action="store_true",
        help="store again what CONNECTOR_EXCLUDE names no more, or hash with another key",
    )
    sub.add_argument(
        "--allow-deletes",
        nargs="?",
        const="all",
        metavar="NAMES",
        help="mark deleted even more than 5 %% of a table at once, of all or of these names",
    )
    _metrics_option(sub)
    _json_option(sub)


def _metrics_option(sub: Any) -> None:
    sub.add_argument(
        "--metrics-file", type=Path, metavar="FILE", help="write figures for Prometheus there"
    )


def _json_option(sub: Any) -> None:
    sub.add_argument("--json", action="store_true", help="one JSON object on stdout, nothing else")


def _duration(text: str) -> float:
    try:
        seconds = settings_module.duration("--every", text)
    except SettingsError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    if not seconds:
        raise argparse.ArgumentTypeError("--every must be more than 0")
    return seconds


def _date(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-01-31") from None
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    if moment > datetime.now(UTC):
        raise argparse.ArgumentTypeError(f"{text!r} lies in the future: nothing would be loaded")
    return moment


# -- helpers ---------------------------------------------------------------------------------


def _selection(settings: Settings, arguments: argparse.Namespace) -> Selection:
    """What the flag says, or the setting."""
    return select(arguments.only, "--only") if arguments.only else settings.resources


def _settings(arguments: argparse.Namespace) -> Settings:
    settings = settings_module.load(schema=arguments.schema)
    if settings.database_url is None:
        if not streams.is_terminal("stdin"):
            raise SettingsError(
                "DATABASE_URL is not set; name a Postgres database, or 'embedded' for one under"
                f" {settings.home}"
            )
        logs.warn(f"DATABASE_URL is not set: using the embedded Postgres under {settings.home}")
        settings = replace(settings, database_url=settings_module.EMBEDDED)
    return settings
