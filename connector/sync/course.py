"""What happens in a run, in which order; what is asked of it stands in ``run``."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

import sqlalchemy as sa

from connector.errors import RetryExhaustedError, TooManyDeletesError
from connector.intercom.client import Client
from connector.resources import BY_NAME, RESOURCES
from connector.resources.readings import Search
from connector.resources.resource import Resource, Table
from connector.sync import confirm_deletions, pending
from connector.sync.columns import grow_views
from connector.sync.guards import embedded_lists, refutations
from connector.sync.hints.settling import Settling
from connector.sync.on_demand.again import read_again, shares
from connector.sync.options import Options
from connector.sync.outcome import Outcome, Reporter
from connector.sync.passes import Passes
from connector.sync.planning import limits, neighbours, schedule
from connector.sync.planning.spare import Spare
from connector.sync.steps import Steps
from connector.sync.writing import figures
from connector.sync.writing.writer import Writer
from connector.tools.tasks import gather
from connector.warehouse import state
from connector.warehouse.merge import deletions
from connector.warehouse.metrics import anew
from connector.warehouse.reports.completeness import measure
from connector.warehouse.schema.figures import NAMES as FIGURES
from connector.warehouse.sql.statistics import analyze
from connector.warehouse.state.runs import Tally


@dataclass
class Course:
    """The steps of one run."""

    client: Client
    writer: Writer
    options: Options
    reporter: Reporter
    outcome: Outcome
    steps: Steps
    passes: Passes
    hints: Settling = field(init=False)

    async def everything(self) -> None:
        """A pass over each selected resource, then what is pending, then placeholders."""
        selected, steps = self.passes.selected(), self.steps
        self.reporter.planned(selected)
        told_before, are_right = await self.writer.do(partial(self._plan, selected=selected))
        figures_wait = not are_right and await figures.prepare(self.writer)
        async with self.hints.beside(told_before):
            first = [resource for resource in selected if not resource.comes_last]
            await self._read(first)
            if last := [resource for resource in selected if resource.comes_last]:
                if all(map(steps.has_succeeded, first)):
                    await self._say_usable(last)
                await self._read(last)
        done = [resource for resource in selected if steps.has_succeeded(resource)]
        kept = await self.writer.look(lambda conn: state.pending(conn))
        for resource in (r for r in done if pending.of_resource(kept, r, done)):
            await steps.take(resource, partial(self._pending, done))
        for resource in await self._to_fill(_readable(done)):
            await steps.take(resource, self._placeholders)
        await self._settle_deletions(selected)
        if self.writer.has_history:
            from connector.sync.writing import history

            await history.finish(self.writer, self.options, self.client.clock.likely_now())
        if figures_wait:
            await figures.finish(self.writer)
        await self._analyze()
        await grow_views(self.writer)
        for resource in [r for r in done if r.has_parts]:
            await self._measure(resource)
        for resource in _readable(done):
            if resource.table.name in self.passes.samples:
                await self.steps.take(resource, self._embedded_lists)
        now, names = self.client.clock.likely_now(), pending.names_of(selected)
        left = await self.writer.look(lambda conn: state.pending(conn))
        self.outcome.overdue = [e for e in left if pending.is_overdue(e, names, now)]

    async def burst(self, seconds: float) -> int:
        """Settle hints for so long, or until none is due; how many were read or settled.

        Then what the rows refer to is filled in.
        """
        number = 0
        until, stopped = time.monotonic() + seconds, self.writer.database.stopped
        while (left := until - time.monotonic()) > 0 and not stopped.is_set():
            some = await self.hints.step(seconds=left)
            number += some
            if not some:
                break
        if self.hints.cut and not self.hints.answered:
            self.hints.error = RetryExhaustedError("Intercom answers nothing of what was told")
        if self.hints.error is None and not stopped.is_set():
            for resource in await self._to_fill(_readable(self.passes.selected())):
                await self.steps.take(resource, self._placeholders)
        for name, tally in self.outcome.resources.items():
            tally.succeed()
            self.writer.account(name, tally)
        return number

    async def decide_on(self, resource: Resource, ids: Sequence[str], twice_told: bool) -> None:
        """Mark deleted what of these was found to be gone; see ``confirm_deletions``."""
        owners = deletions.owners(resource.table)
        await self._decide(resource, owners, ids, twice_told=twice_told)

    async def again(self, resources: Sequence[Resource], ids: Sequence[str]) -> None:
        """The named objects, each as the one of these resources that it belongs to."""
        loader, missing = self.writer.loader, self.outcome.missing
        found = await self.writer.do(lambda conn: shares(conn, loader, resources, ids))
        for resource, keys in found.items():

            async def read(resource: Resource, tally: Tally, keys: list[str] = keys) -> None:
                work = self.passes.of(resource, tally, await self.passes.progress(resource))
                missing.extend(await read_again(work, keys))

            await self.steps.take(resource, read)
            if resource.by_id:
                await self._decide(resource, deletions.owners(resource.table), keys)
        left, names = (
            await self.writer.look(lambda conn: state.pending(conn)),
            {r.name for r in found},
        )
        for resource in found:
            names.update(self.passes.of(resource).readers)
        self.outcome.overdue = [p for p in left if p.resource in names and p.id in ids]

    # -- the steps of a run, in their order --------------------------------------------------

    def _plan(self, conn: sa.Connection, selected: Sequence[Resource]) -> tuple[datetime, bool]:
        """Note which full passes are due, and which of them this run can afford.

        Returns the time, and whether stored figures are made as they are to be.
        """
        options, loader, now = self.options, self.writer.loader, self.client.clock.likely_now()
        if options.drops_foreign_hints:
            self.hints.drop_foreign(conn)
        demand = limits.Demand(options.full, options.since, now)
        schedule.note_due(conn, selected, self.passes.inputs, demand)
        most, days = options.full_pass_requests, options.full_pass_days
        interval = options.refresh_interval
        left = schedule.schedule(conn, loader, selected, now, most, days, interval)
        self.passes.spare = Spare(left, days)
        self.passes.scheduled = state.progress_of(conn, [resource.name for resource in selected])
        return state.clock(conn), anew.kept(conn).is_right

    async def _read(self, resources: Sequence[Resource]) -> None:
        """A pass over each, neighbours side by side."""
        for group in neighbours.concurrent(resources):
            await gather(*map(self._whole_pass, group))

    async def _say_usable(self, left: Sequence[Resource]) -> None:
        """In a first load: all is there but what there is only contact by contact."""
        names = [one.name for one in left]
        progress = await self.writer.look(lambda conn: state.progress_of(conn, names))
        if all(one.cursor is None for one in progress.values()):
            await self._analyze()
            await grow_views(self.writer)
            self.reporter.usable(left)

    async def _analyze(self) -> None:
        """Let the planner know what came for the first time."""
        loaded, self.passes.loads = self.passes.loads, []
        tables = {name for resource in loaded for name in _relations(resource.table)}
        if tables:
            tables.update(FIGURES)
            names = self.writer.loader.names
            await self.writer.do(partial(analyze, names=names, tables=tables))

    async def _whole_pass(self, resource: Resource) -> None:
        await self.steps.take(resource, self.passes.run)
        if isinstance(resource.reading, Search) and self.steps.has_succeeded(resource):
            await self.steps.take(resource, self._holes)  # before what is read of its objects
        self.reporter.ended(resource.name, self.steps.tally(resource))

    async def _holes(self, resource: Resource, tally: Tally) -> None:
        """Try again what lists could not show before; every run does."""
        await pending.retry_holes(self.passes.of(resource, tally))

    async def _pending(
        self, selected: Sequence[Resource], resource: Resource, tally: Tally
    ) -> None:
        """Try again what could not be read before."""
        until = None if self.options.full else self.client.clock.likely_now()
        await pending.retry(self.passes.of(resource, tally), selected, until)

    async def _to_fill(self, resources: Sequence[Resource]) -> Sequence[Resource]:
        """All of them if there are placeholders of one: what is read may refer to the others."""
        works = [self.passes.of(resource) for resource in resources]
        found = await self.writer.look(lambda conn: pending.any_unfilled(conn, works))
        return resources if found else ()

    async def _placeholders(self, resource: Resource, tally: Tally) -> None:
        """Read what is referred to and was never listed."""
        await pending.fill_placeholders(self.passes.of(resource, tally))

    async def _settle_deletions(self, selected: Sequence[Resource]) -> None:
        """Mark deleted what all of the run found to be gone, table by table."""
        names = pending.spoken_of(selected, self.options.only or ())
        for table in dict.fromkeys(r.table for r in RESOURCES if r.name in names):
            owners = [r for r in deletions.owners(table) if r.name in names]
            if owners and table.name in self.writer.tracker.tables:
                await self._decide(owners[0], owners)
        loader = self.writer.loader
        await self.writer.do(lambda conn: deletions.settle_dead(conn, loader))

    async def _decide(
        self,
        resource: Resource,
        owners: Sequence[Resource],
        ids: Sequence[str] | None = None,
        *,
        twice_told: bool = False,
    ) -> None:
        """Decide on the candidates of the resource's table that belong to these owners."""
        held: dict[str, str] = {}

        async def step(resource: Resource, tally: Tally) -> None:
            names, began_at = [owner.name for owner in owners], self.passes.began_at
            work = self.passes.of(resource, tally)
            verdict = await confirm_deletions.confirm(
                work, names, began_at, ids, twice_told=twice_told
            )
            for name, number in verdict.marked.items():
                self.steps.count_deleted(resource, BY_NAME.get(name, resource), number)
            held.update({name: verdict.error(resource.table, name) for name in verdict.held})

        async def fail(resource: Resource, tally: Tally) -> None:
            raise TooManyDeletesError(held[resource.name])

        await self.steps.take(resource, step)
        for name in held:
            await self.steps.take(BY_NAME[name], fail)

    async def _embedded_lists(self, resource: Resource, tally: Tally) -> None:
        """Compare what some records of this run embed with their complete lists."""
        sample = self.passes.samples[resource.table.name]
        await embedded_lists.compare(self.client, resource, sample)

    async def _measure(self, resource: Resource) -> None:
        """Note how complete the parts are that the warehouse holds now."""
        names, table = self.writer.loader.names, resource.table
        found = await self.writer.look(lambda conn: measure(conn, names, table))
        tally = self.steps.tally(resource)
        tally.parts, tally.incomplete = found.parts, found.incomplete
        tally.truncated = found.truncated
        refutations.look_at_parts(self.client, resource, found)
        self.steps.record(resource)


def _relations(table: Table) -> Iterator[str]:
    """All tables that its records fill."""
    for part in table.family():
        yield part.name
        yield from (link.table for link in part.links)


def _readable(resources: Sequence[Resource]) -> list[Resource]:
    """One resource for each table whose objects can be read by id."""
    return list({r.table.name: r for r in resources if r.by_id}.values())
