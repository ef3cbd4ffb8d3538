"""The loop: what is asked of a run, how it takes its schema over, and how it ends.

What happens in it, and in which order, is its ``course``.

One failing resource does not stop the others. What stops the run are a refused token, a lost
database, a run that took over, and the user.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence

import sqlalchemy as sa
from msgspec import Struct, field

from connector.errors import ConnectorError
from connector.intercom.client import Client
from connector.resources.resource import Resource
from connector.sync import tenure
from connector.sync.course import Course
from connector.sync.guards import refutations
from connector.sync.hints.settling import Pauses, Settling
from connector.sync.on_demand.again import check_readable
from connector.sync.options import Options
from connector.sync.outcome import Outcome, Reporter, Silent
from connector.sync.passes import Passes
from connector.sync.steps import Steps
from connector.sync.writing.writer import INDEX_LAG, Writer
from connector.warehouse import rights, state
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.sql.database import Database
from connector.warehouse.state.workspace import Workspace


class Kept(Struct):
    """What a process that goes on keeps from one run to the next: a run that is resumed, say."""

    workspace: Workspace | None = None
    outcome: Outcome | None = None
    fuse: Fuse | None = None  # of all bursts from one pass to the next
    pauses: Pauses = field(default_factory=Pauses)
    number: int = 0  # of hints that the last burst read or settled
    error: ConnectorError | None = None  # why hints of some kind could not be read


async def sync(
    client: Client, database: Database, options: Options, reporter: Reporter | None = None
) -> Outcome:
    """One run over the resources in dependency order.

    Raises what stops a run: WrongWorkspaceError before anything is written, TokenRefusedError,
    AlreadyRunningError, FenceError, DatabaseError. The run is recorded as it ended.
    """
    return await _run(client, database, options, reporter or Silent(), Course.everything)


async def refetch(
    client: Client,
    database: Database,
    resources: Resource | Sequence[Resource],
    ids: Sequence[str],
    privacy: Privacy | None = None,
    lock_patience: float = 0.0,
) -> Outcome:
    """One run that reads the named objects, and nothing else; raises like ``sync``.

    Of several resources of one table each id belongs to one; whatever id is pending can be named.
    Raises SettingsError for a resource whose objects Intercom does not show one by one.
    """
    named = (resources,) if isinstance(resources, Resource) else tuple(resources)
    check_readable(named, ids)

    async def work(run: Course) -> None:
        await run.again(named, ids)

    options = Options(
        command="refetch", privacy=privacy or Privacy(), partial=True, lock_patience=lock_patience
    )
    return await _run(client, database, options, Silent(), work)


async def settle_hints(
    client: Client, database: Database, options: Options, kept: Kept, seconds: float
) -> Outcome:
    """One burst: what notifications told and is due is read and merged, for so many seconds.

    Raises like ``sync``. It goes on with the run of ``kept``, if that is the last one.
    """

    async def work(run: Course) -> None:
        kept.number = await run.burst(seconds)
        kept.error = run.hints.error

    return await _run(client, database, options, Silent(), work, kept)


async def _run(
    client: Client,
    database: Database,
    options: Options,
    reporter: Reporter,
    work: Callable[[Course], Awaitable[None]],
    kept: Kept | None = None,
) -> Outcome:
    began = time.monotonic()
    kept = kept or Kept()
    kept.workspace = workspace = kept.workspace or await tenure.opened_by(client)
    database.wait()
    begins = options.begins_history
    rights.require(database, rights.Needs(options.auto_migrate, stages=True, history=begins))
    database.lock(options.lock_patience)
    pinned = database.write(
        lambda conn: tenure.admit_same(conn, workspace, database.schema, options)
    )
    tenure.prepare(database, options.auto_migrate, begins)
    outcome = database.write(lambda conn: _begin(conn, options, kept))
    run_id = outcome.run_id
    lag = max(INDEX_LAG, options.lookback)
    fuse = kept.fuse or Fuse(options.allow_deletes)
    writer = Writer(database, run_id, options.privacy, fuse, lag)
    try:
        await writer.do(lambda conn: _take_over(conn, writer, workspace, pinned, options))
        outset, refuted = await writer.look(lambda conn: (state.outset(conn), state.refuted(conn)))
        if outset.latest:
            client.clock.prove(outset.latest)
        client.facts.recall(one.fact for one in refuted)
        await writer.clean(pins=not options.partial)
        if outset.has_history or options.history:  # no other run pays for it
            from connector.sync.writing import history

            await history.prepare(writer, options, client.clock.likely_now())
        steps = Steps(client, writer, options, outcome)
        passes = Passes(steps, reporter, workspace.timezone, client.clock.local())
        run = Course(client, writer, options, reporter, outcome, steps, passes)
        run.hints = Settling(passes, run.decide_on, options.live_delay, kept.pauses)
        await work(run)
        outcome.refuted = await refutations.keep(client, writer, outcome.resources)
        status = "failed" if outcome.exit_code else "succeeded"
        await writer.do(lambda conn: state.finish_run(conn, run_id, status, outcome.error))
    except BaseException as error:
        tenure.end_early(database, run_id, error, writer.unwritten)
        raise
    finally:
        writer.close()
        outcome.seconds = time.monotonic() - began
    return outcome


def _take_over(
    conn: sa.Connection,
    writer: Writer,
    workspace: Workspace,
    pinned: Workspace | None,
    options: Options,
) -> None:
    """What stands for the schema as a whole, before anything is read."""
    tenure.pin(conn, workspace, pinned)
    state.forget_runs(conn, options.keep_runs)
    tenure.restore_keys(conn, writer.loader.names)


def _begin(conn: sa.Connection, options: Options, kept: Kept) -> Outcome:
    """The outcome of a new run, or of the one that goes on."""
    if kept.outcome and state.resume_run(conn, kept.outcome.run_id):
        return kept.outcome
    return Outcome(state.start_run(conn, options.command))
