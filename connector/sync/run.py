"""The loop: which pass each resource is due, one after the other, and how the run ends.

One failing resource does not stop the others. What stops the run are a refused token, a lost
database, a run that took over, and the user.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Protocol

import psycopg
import sqlalchemy as sa

from connector.errors import (
    ConnectorError,
    DatabaseError,
    FenceError,
    SettingsError,
    TokenRefusedError,
    TooManyDeletesError,
)
from connector.intercom.client import Client
from connector.resources import BY_NAME, RESOURCES
from connector.resources.resource import (
    Activities,
    Catalogue,
    Resource,
    Search,
    Snapshot,
    Table,
)
from connector.resources.selection import Selection
from connector.sync import deletions, pending
from connector.sync.columns import grow_views
from connector.sync.on_demand.again import check_readable, read_again, shares
from connector.sync.planning import limits, schedule
from connector.sync.planning.tolerance import is_news, is_tolerated
from connector.sync.readings.passes import run_pass
from connector.sync.resource_pass import Pass
from connector.sync.store import INDEX_LAG, Store
from connector.sync.tools.tasks import gather
from connector.sync.workspace import check_same, opened_by
from connector.warehouse import migrate, rights, state
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.merge import deletions as warehouse_deletions
from connector.warehouse.merge.fuse import Fuse
from connector.warehouse.privacy import pinning
from connector.warehouse.reports.completeness import measure
from connector.warehouse.schema import foreign_keys
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names
from connector.warehouse.state import mapping
from connector.warehouse.state.cursors import Progress
from connector.warehouse.state.pending_objects import Pending
from connector.warehouse.state.runs import Tally
from connector.warehouse.state.workspace import Workspace

logger = logging.getLogger(__name__)

STOPS = (TokenRefusedError, DatabaseError, FenceError)


@dataclass(frozen=True)
class Options:
    """What one run is asked to do."""

    command: str = "sync"
    only: tuple[str, ...] | None = None
    left_out: frozenset[str] = frozenset()  # of everything, or of what is named
    full: bool = False
    since: datetime | None = None
    lookback: timedelta = timedelta(seconds=900)
    sweep: timedelta = timedelta(days=30)
    full_pass_requests: int = 0  # that one run spends on full passes before they must be
    full_pass_days: float = 7  # so long a resource waits for its full pass at most
    activity_feed: bool = True
    keep_runs: timedelta = timedelta(days=400)
    allow_deletes: bool | tuple[str, ...] = False  # opens the fuse: for all, or for those named
    auto_migrate: bool = True
    privacy: Privacy = field(default_factory=Privacy)
    partial: bool = False  # it is no run over all that the settings select
    lift_exclusions: bool = False


class Reporter(Protocol):
    """Told how the run goes; prints, or does not."""

    def started(self, resource: str, kind: str) -> None: ...

    def moved(self, resource: str, tally: Tally) -> None: ...

    def ended(self, resource: str, tally: Tally) -> None: ...


class Silent:
    """A reporter that says nothing."""

    def started(self, resource: str, kind: str) -> None: ...

    def moved(self, resource: str, tally: Tally) -> None: ...

    def ended(self, resource: str, tally: Tally) -> None: ...


@dataclass
class Outcome:
    """How a run ended: what it did to each resource, and what is still pending."""

    run_id: int
    seconds: float = 0.0
    resources: dict[str, Tally] = field(default_factory=dict)
    overdue: list[Pending] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # asked for by id, and nobody knows them

    @property
    def exit_code(self) -> int:
        """0 if every resource succeeded, nothing is overdue and what was named exists, else 1."""
        failed = any(t.status != "succeeded" and not t.tolerated for t in self.resources.values())
        return 1 if failed or self.overdue or self.missing else 0

    @property
    def error(self) -> str | None:
        """Why the run did not succeed, in one line."""
        reasons = [
            f"{k}: {t.error}" for k, t in self.resources.items() if t.error and not t.tolerated
        ]
        reasons += [f"{p.resource} {p.id}: {p.reason}" for p in self.overdue[:10]]
        if len(self.overdue) > 10:
            reasons.append(f"and {len(self.overdue) - 10} more objects")
        if self.missing:
            ids = ", ".join(self.missing[:10]) + (", ..." if len(self.missing) > 10 else "")
            reasons.append(f"{len(self.missing)} not found at Intercom: {ids}")
        return "; ".join(reasons) or None


def prepare(database: Database, auto_migrate: bool) -> None:
    """Bring an empty or older schema up to date, and refuse a newer one.

    Raises SchemaTooNewError; SettingsError if the schema is older and may not be migrated;
    NamesTakenError where somebody else's relations are in the way.
    """
    if auto_migrate:
        migrate.migrate(database)
        return
    database.write(lambda conn: migrate.refuse_taken(conn, database.schema))
    if not database.write(lambda conn: migrate.check(conn, database.schema)):
        raise SettingsError(
            f"schema {database.schema} is not up to date and CONNECTOR_AUTO_MIGRATE is 0;"
            " run 'intercom-warehouse migrate' as the role that owns it"
        )


async def sync(
    client: Client, database: Database, options: Options, reporter: Reporter | None = None
) -> Outcome:
    """One run over the resources in dependency order.

    Raises what stops a run: WrongWorkspaceError before anything is written, TokenRefusedError,
    AlreadyRunningError, FenceError, DatabaseError. The run is recorded as it ended.
    """
    return await _run(client, database, options, reporter or Silent(), _Run.everything)


async def refetch(
    client: Client,
    database: Database,
    resources: Resource | Sequence[Resource],
    ids: Sequence[str],
    privacy: Privacy | None = None,
) -> Outcome:
    """One run that reads the named objects, and nothing else; raises like ``sync``.

    Of several resources of one table each id belongs to one; whatever id is pending can be named.
    Raises SettingsError for a resource whose objects Intercom does not show one by one.
    """
    named = (resources,) if isinstance(resources, Resource) else tuple(resources)
    check_readable(named, ids)

    async def work(run: _Run) -> None:
        await run.again(named, ids)

    options = Options(command="refetch", privacy=privacy or Privacy(), partial=True)
    return await _run(client, database, options, Silent(), work)


async def _run(
    client: Client,
    database: Database,
    options: Options,
    reporter: Reporter,
    work: Callable[[_Run], Awaitable[None]],
) -> Outcome:
    began = time.monotonic()
    workspace = await opened_by(client)
    database.wait()
    rights.require(database, rights.Needs(migrates=options.auto_migrate, stages=True))
    database.lock()
    pinned = database.write(lambda conn: check_same(conn, workspace, database.schema))
    database.write(lambda conn: _admit(conn, database.schema, options))
    prepare(database, options.auto_migrate)
    run_id = database.write(lambda conn: state.start_run(conn, options.command))
    lag = max(INDEX_LAG, options.lookback)
    store = Store(database, run_id, options.privacy, Fuse(options.allow_deletes), lag)
    outcome = Outcome(run_id)
    try:
        await store.do(lambda conn: _pin(conn, workspace, pinned))
        await store.do(lambda conn: state.forget_runs(conn, options.keep_runs))
        await store.do(lambda conn: _mend(conn, store.loader.names))
        if known := await store.do(state.latest):
            client.clock.prove(known)
        await store.clean(pins=not options.partial)
        await store.find_doubts()
        began_at = client.clock.likely_now()
        await work(_Run(client, store, options, reporter, outcome, workspace.timezone, began_at))
        status = "failed" if outcome.exit_code else "succeeded"
        await store.do(lambda conn: state.finish_run(conn, run_id, status, outcome.error))
    except BaseException as error:
        _end_early(database, run_id, error)
        raise
    finally:
        store.close()
        outcome.seconds = time.monotonic() - began
    return outcome


def _mend(conn: sa.Connection, names: Names) -> None:
    """Put on the foreign keys that a run which was killed in a large first load left off."""
    try:
        with conn.begin_nested():
            mended = foreign_keys.mend(conn, names)
    except psycopg.errors.InsufficientPrivilege:
        logger.warning(
            "foreign keys are off since a first load that was killed, and only the owner of the"
            " tables can put them on: run 'intercom-warehouse sync' once as the owner"
        )
    else:
        if mended:
            logger.warning("foreign keys put on again: %s", ", ".join(mended))


def _admit(conn: sa.Connection, schema: str, options: Options) -> None:
    exclusions, lifts = options.privacy.exclusions, options.lift_exclusions
    pinning.admit(conn, schema, exclusions, whole=not options.partial, lifts=lifts)


def _pin(conn: sa.Connection, workspace: Workspace, pinned: Workspace | None) -> None:
    """Pin the schema; another API version means other fields, so every full pass is owed."""
    if pinned is not None and pinned.api_version != workspace.api_version:
        logger.warning("API version is now %s: full passes are due", workspace.api_version)
        mapping.invalidate(conn, RESOURCES)
    state.pin(conn, workspace)


def _end_early(database: Database, run_id: int, error: BaseException) -> None:
    """Record why the run stopped, if the database can still be told."""
    failed = isinstance(error, Exception) and not database.stopped.is_set()
    status = "failed" if failed else "interrupted"
    text = str(error) or type(error).__name__
    try:
        with database.transaction() as conn:
            state.finish_run(conn, run_id, status, text)
    except Exception as failure:
        logger.warning("the end of the run could not be recorded: %s", type(failure).__name__)


@dataclass
class _Run:
    client: Client
    store: Store
    options: Options
    reporter: Reporter
    outcome: Outcome
    timezone: str | None
    began_at: datetime  # of the run, by Intercom's clock
    tried: dict[str, set[str]] = field(default_factory=dict)  # pending ids, by resource

    async def everything(self) -> None:
        """A pass over each selected resource, then what is pending, then placeholders."""
        options, now = self.options, self.client.clock.likely_now()
        selected = [resource for resource in RESOURCES if self._is_selected(resource)]
        demand = limits.Demand(options.full, options.since, now)
        await self.store.do(lambda conn: schedule.owe(conn, selected, self._inputs, demand))
        await self.store.do(lambda conn: self._schedule(conn, selected, now))
        for group in _groups(selected):
            await gather(*map(self._whole_pass, group))
        done = [r for r in selected if self._tally(r).status == "succeeded"]
        kept = await self.store.do(lambda conn: state.pending(conn))
        for resource in (r for r in done if pending.of_resource(kept, r, done)):
            await self._resource(resource, partial(self._pending, done))
        for resource in await self._to_fill(_readable(done)):
            await self._resource(resource, self._placeholders)
        await self._settle_deletions(selected)
        await grow_views(self.store)
        for resource in [r for r in done if r.has_parts]:
            await self._measure(resource)
        now, names = self.client.clock.likely_now(), pending.names_of(selected)
        left = await self.store.do(lambda conn: state.pending(conn))
        self.outcome.overdue = [e for e in left if pending.is_overdue(e, names, now)]

    async def _whole_pass(self, resource: Resource) -> None:
        await self._resource(resource, self._pass)
        searched = isinstance(resource.reading, Search)
        if searched and self._tally(resource).status == "succeeded":
            await self._resource(resource, self._holes)  # before what is read of its objects
        self.reporter.ended(resource.name, self._tally(resource))

    def _is_selected(self, resource: Resource) -> bool:
        """Whether it is to be read: named, or read along with what is named."""
        if isinstance(resource.reading, Activities) and not self.options.activity_feed:
            return False
        return Selection(self.options.only, self.options.left_out).takes(resource)

    @property
    def _inputs(self) -> mapping.Inputs:
        return mapping.Inputs(self.client.version, self.options.privacy.exclusions)

    def _schedule(self, conn: sa.Connection, selected: Sequence[Resource], now: datetime) -> None:
        options, loader = self.options, self.store.loader
        schedule.schedule(
            conn, loader, selected, now, options.full_pass_requests, options.full_pass_days
        )

    async def again(self, resources: Sequence[Resource], ids: Sequence[str]) -> None:
        """The named objects, each as the one of these resources that it belongs to."""
        loader, missing = self.store.loader, self.outcome.missing
        found = await self.store.do(lambda conn: shares(conn, loader, resources, ids))
        for resource, keys in found.items():

            async def read(resource: Resource, tally: Tally, keys: list[str] = keys) -> None:
                work = self._work(resource, tally, await self._progress(resource))
                missing.extend(await read_again(work, keys))

            await self._resource(resource, read)
            if resource.by_id:
                await self._decide(resource, warehouse_deletions.owners(resource.table), keys)
        left, names = await self.store.do(lambda conn: state.pending(conn)), {r.name for r in found}
        for resource in found:
            names.update(self._work(resource, Tally(), Progress()).readers)
        self.outcome.overdue = [p for p in left if p.resource in names and p.id in ids]

    async def _resource(
        self, resource: Resource, step: Callable[[Resource, Tally], Awaitable[None]]
    ) -> None:
        """One step for one resource; its failure is recorded and the run goes on."""
        tally = self._tally(resource)
        began = time.monotonic()
        try:
            with self.client.budget.spending() as spent:
                await step(resource, tally)
            tally.succeed()
        except STOPS as error:
            tally.status, tally.error = "failed", str(error)
            raise
        except ConnectorError as error:
            tolerated = await self._is_tolerated(resource, error)
            if not tolerated or self._counted_as(resource) == resource.name:
                tally.status, tally.error, tally.tolerated = "failed", str(error), tolerated
            await self._tell(resource, error, tolerated)
        except Exception as error:
            tally.status, tally.error = "failed", f"{type(error).__name__}: {error}"
            logger.exception("%s failed", resource.name)
        except BaseException:
            tally.status = "interrupted"
            raise
        finally:
            tally.requests += spent.requests
            tally.seconds += time.monotonic() - began
        await self._record(resource, tally)

    def _counted_as(self, resource: Resource) -> str:
        """Its name; of what was not asked for by name, that of what it hastens."""
        only, name = self.options.only, resource.name
        if only and name not in only:
            return next((other for other in resource.hastens if other in only), name)
        return name

    def _tally(self, resource: Resource) -> Tally:
        return self.outcome.resources.setdefault(self._counted_as(resource), Tally())

    async def _is_tolerated(self, resource: Resource, error: ConnectorError) -> bool:
        """Whether its failure makes the run fail no more than it did before."""
        progress = await self.store.do(lambda conn: state.progress(conn, resource.name))
        return is_tolerated(
            resource,
            error,
            asked_for=self.options.only is not None,
            read_before=progress.last_success_at is not None,
        )

    async def _tell(self, resource: Resource, error: ConnectorError, tolerated: bool) -> None:
        """Say what failed; what is tolerated only when it did not fail so in the run before."""
        level, run_id = logging.ERROR, self.store.run_id
        if tolerated:
            before = await self.store.do(
                lambda conn: state.failure_before(conn, run_id, resource.name)
            )
            asked = self._counted_as(resource) == resource.name
            level = logging.WARNING if asked and is_news(str(error), before) else logging.INFO
        logger.log(level, "%s failed: %s", resource.name, error)

    async def _record(self, resource: Resource, tally: Tally) -> None:
        run_id, name = self.store.run_id, self._counted_as(resource)
        await self.store.do(lambda conn: state.record(conn, run_id, name, tally))

    async def _pass(self, resource: Resource, tally: Tally) -> None:
        run_id, name = self.store.run_id, self._counted_as(resource)

        def begin(conn: sa.Connection) -> state.Progress:
            state.record(conn, run_id, name, tally)
            return state.progress(conn, resource.name)

        progress = await self.store.do(begin)
        full = progress.full_owed_since is not None
        self.reporter.started(resource.name, "full" if full else "incremental")
        if full:
            await self._full_pass(resource, tally, progress)
        else:
            await run_pass(self._work(resource, tally, progress), full=False)

    async def _full_pass(self, resource: Resource, tally: Tally, progress: state.Progress) -> None:
        """A full pass, and what changed since the last run whatever becomes of it.

        The changes come first where the full pass may take long; else they are read only if it
        fails, for it shows them too.
        """
        has_changes = isinstance(resource.reading, Search) and progress.cursor is not None
        first = has_changes and not await self._is_cheap(resource, progress)
        try:
            if first:
                await run_pass(self._work(resource, tally, progress), full=False)
                progress = await self._progress(resource)
            await run_pass(self._work(resource, tally, progress), full=True)
        except STOPS:
            raise
        except ConnectorError:
            await self.store.do(lambda conn: schedule.note_tried(conn, resource.name))
            if has_changes and not first:
                await run_pass(self._work(resource, tally, progress), full=False)
            raise
        if progress.plan_began_at is not None and not first:
            # The plan is older than this run: fetch what changed since it was made.
            progress = await self._progress(resource)
            await run_pass(self._work(resource, tally, progress), full=False)

    async def _progress(self, resource: Resource) -> state.Progress:
        return await self.store.do(lambda conn: state.progress(conn, resource.name))

    async def _is_cheap(self, resource: Resource, progress: state.Progress) -> bool:
        """Whether a full pass of a search takes no more requests than are made at every run."""
        reading = resource.reading
        assert isinstance(reading, Search)
        rows = await self.store.do(lambda conn: self.store.loader.alive(conn, resource))
        each = (
            reading.whole_by_id and progress.full_reason != schedule.DUE
        )  # nothing is taken as known
        return rows / (1 if each else reading.per_page) < schedule.AT_EVERY_RUN

    def _work(self, resource: Resource, tally: Tally, progress: state.Progress) -> Pass:
        return Pass(
            resource=resource,
            client=self.client,
            store=self.store,
            tally=tally,
            began=self.client.clock.local(),
            progress=progress,
            lookback=self.options.lookback,
            sweep=self.options.sweep,
            timezone=self.timezone,
            salt=self._inputs.of(resource),
            is_limited=self._is_limited(progress),
            leaves_out=self._left_out(resource),
            run_began_at=self.began_at,
            changed=lambda: self.reporter.moved(resource.name, tally),
            tried=self.tried.setdefault(resource.name, set()),
        )

    def _is_limited(self, progress: state.Progress) -> bool:
        """Whether what it reads is no full pass, because ``backfill --since`` asked for less."""
        first = progress.cursor is None and progress.plan_since is not None
        return self.options.since is not None or first

    async def _measure(self, resource: Resource) -> None:
        """Note how complete the parts are that the warehouse holds now."""
        names, table = self.store.loader.names, resource.table
        found = await self.store.do(lambda conn: measure(conn, names, table))
        tally = self._tally(resource)
        tally.parts, tally.incomplete = found.parts, found.incomplete
        tally.truncated = found.truncated
        await self._record(resource, tally)

    async def _holes(self, resource: Resource, tally: Tally) -> None:
        """Try again what lists could not show before; every run does."""
        await pending.retry_holes(self._work(resource, tally, state.Progress()))

    async def _pending(
        self, selected: Sequence[Resource], resource: Resource, tally: Tally
    ) -> None:
        """Try again what could not be read before."""
        until = None if self.options.full else self.client.clock.likely_now()
        await pending.retry(self._work(resource, tally, state.Progress()), selected, until)

    async def _to_fill(self, resources: Sequence[Resource]) -> Sequence[Resource]:
        """All of them if there are placeholders of one: what is read may refer to the others."""
        works = [self._work(r, self._tally(r), state.Progress()) for r in resources]
        found = await self.store.do(
            lambda conn: any(pending.unfilled(conn, work, most=1) for work in works)
        )
        return resources if found else ()

    async def _placeholders(self, resource: Resource, tally: Tally) -> None:
        """Read what is referred to and was never listed."""
        await pending.fill_placeholders(self._work(resource, tally, state.Progress()))

    def _left_out(self, resource: Resource) -> tuple[Resource, ...]:
        """The resources over the same table that are not read."""
        return tuple(r for r in RESOURCES if r.table is resource.table and not self._is_selected(r))

    async def _settle_deletions(self, selected: Sequence[Resource]) -> None:
        """Mark deleted what all of the run found to be gone, table by table."""
        names = pending.spoken_of(selected, self.options.only or ())
        for table in dict.fromkeys(r.table for r in RESOURCES if r.name in names):
            owners = [r for r in warehouse_deletions.owners(table) if r.name in names]
            if owners and table.name in self.store.doubts:
                await self._decide(owners[0], owners)
        await self.store.do(lambda conn: warehouse_deletions.settle_dead(conn, self.store.loader))

    async def _decide(
        self,
        resource: Resource,
        owners: Sequence[Resource],
        ids: Sequence[str] | None = None,
    ) -> None:
        """Decide on the candidates of the resource's table that belong to these owners."""
        held: dict[str, str] = {}

        async def step(resource: Resource, tally: Tally) -> None:
            reader = self._work(resource, tally, state.Progress())
            names = [owner.name for owner in owners]
            verdict = await deletions.settle(reader, names, self.began_at, ids)
            for name, number in verdict.marked.items():
                await self._count_deleted(resource, name, number)
            held.update({name: verdict.error(resource.table, name) for name in verdict.held})

        async def fail(resource: Resource, tally: Tally) -> None:
            raise TooManyDeletesError(held[resource.name])

        await self._resource(resource, step)
        for name in held:
            await self._resource(BY_NAME[name], fail)

    async def _count_deleted(self, resource: Resource, name: str, number: int) -> None:
        """Count rows that were marked for the resource that found them, if it was read."""
        found = BY_NAME.get(name, resource)
        read = self._counted_as(found) in self.outcome.resources
        teller = found if read else resource
        self._tally(teller).deleted += number
        await self._record(teller, self._tally(teller))


def _groups(resources: Sequence[Resource]) -> list[list[Resource]]:
    """Neighbours that may be read side by side, so that none leaves the budget unused.

    These are searches over one table, and short lists that do not refer to each other.
    """
    groups: list[list[Resource]] = []
    for resource in resources:
        if groups and all(_may_go_beside(resource, other) for other in groups[-1]):
            groups[-1].append(resource)
        else:
            groups.append([resource])
    return groups


def _may_go_beside(one: Resource, other: Resource) -> bool:
    readings = (one.reading, other.reading)
    if one.table is other.table:
        return all(isinstance(reading, Search) for reading in readings)
    short = all(isinstance(reading, Snapshot | Catalogue) for reading in readings)
    return short and not _refers(one.table, other.table) and not _refers(other.table, one.table)


def _refers(table: Table, target: Table) -> bool:
    parts = list(table.family())
    found = {column.refers_to for part in parts for column in part.columns}
    return target.name in found | {link.refers_to for part in parts for link in part.links}


def _readable(resources: Sequence[Resource]) -> list[Resource]:
    """One resource for each table whose objects can be read by id."""
    return list({r.table.name: r for r in resources if r.by_id}.values())
