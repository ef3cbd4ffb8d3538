"""Which pass a resource is due: changes, everything, or both; and what is known to a pass."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct, field

from connector.errors import ConnectorError
from connector.resources import RESOURCES
from connector.resources.readings import Activities, Search
from connector.resources.resource import Resource
from connector.resources.selection import Selection
from connector.sync.guards.control import Control
from connector.sync.guards.embedded_lists import ListSample
from connector.sync.outcome import Reporter
from connector.sync.planning import schedule
from connector.sync.planning.spare import AT_EVERY_RUN, Spare
from connector.sync.readings.dispatch import run_pass
from connector.sync.resource_pass import Pass
from connector.sync.steps import STOPS, Steps
from connector.warehouse import state
from connector.warehouse.state import mapping
from connector.warehouse.state.cursors import Progress
from connector.warehouse.state.runs import Tally


class Passes(Struct):
    """Makes the passes of one run; ``began`` is the run's local time."""

    steps: Steps
    reporter: Reporter
    timezone: str | None
    began: float
    tried: dict[str, set[str]] = field(default_factory=dict)  # pending ids, by resource
    spare: Spare = field(default_factory=Spare)
    samples: dict[str, ListSample] = field(default_factory=dict)  # of embedded lists, by table
    scheduled: dict[str, Progress] = field(default_factory=dict)  # as the run was planned
    loads: list[Resource] = field(default_factory=list)  # what is loaded for the first time

    async def run(self, resource: Resource, tally: Tally) -> None:
        """The pass that the resource is due."""
        self.steps.record(resource)
        progress = self.scheduled.pop(resource.name, None) or await self.progress(resource)
        full = progress.full_due_since is not None
        if progress.cursor is None:
            self.loads.append(resource)
        self.reporter.started(resource.name, "full" if full else "incremental", tally)
        if full:
            await self._full(resource, tally, progress)
        else:
            await run_pass(self.of(resource, tally, progress), full=False)

    async def _full(self, resource: Resource, tally: Tally, progress: Progress) -> None:
        """A full pass, and what changed since the last run whatever becomes of it.

        The changes come first where the full pass may take long; else they are read only if it
        fails, for it shows them too.
        """
        has_changes = isinstance(resource.reading, Search) and progress.cursor is not None
        first = has_changes and not await self._is_cheap(resource, progress)
        try:
            if first:
                await run_pass(self.of(resource, tally, progress), full=False)
                progress = await self.progress(resource)
            await run_pass(self.of(resource, tally, progress), full=True)
        except STOPS:
            raise
        except ConnectorError:
            await self.steps.writer.do(lambda conn: schedule.note_tried(conn, resource.name))
            if has_changes and not first:
                await run_pass(self.of(resource, tally, progress), full=False)
            raise
        if progress.plan_began_at is not None and not first:
            # The plan is older than this run: fetch what changed since it was made.
            progress = await self.progress(resource)
            await run_pass(self.of(resource, tally, progress), full=False)

    async def _is_cheap(self, resource: Resource, progress: Progress) -> bool:
        """Whether a full pass of a search takes no more requests than are made at every run."""
        reading, writer = resource.reading, self.steps.writer
        assert isinstance(reading, Search)
        rows = await writer.look(lambda conn: writer.loader.alive(conn, resource))
        # Unless it is merely due nothing is taken as known.
        each = reading.whole_by_id and progress.full_reason != schedule.DUE
        return rows / (1 if each else reading.per_page) < AT_EVERY_RUN

    # -- what a pass is given ----------------------------------------------------------------

    async def progress(self, resource: Resource) -> Progress:
        """How far the resource has been read."""
        self.scheduled.pop(resource.name, None)  # who asks now may go on from there
        return await self.steps.writer.look(lambda conn: state.progress(conn, resource.name))

    def of(
        self, resource: Resource, tally: Tally | None = None, progress: Progress | None = None
    ) -> Pass:
        """A pass over the resource; without progress for what needs no cursor."""
        steps, options = self.steps, self.steps.options
        tally, progress = tally or steps.tally(resource), progress or Progress()
        return Pass(
            resource=resource,
            client=steps.client,
            writer=steps.writer,
            tally=tally,
            began=steps.client.clock.local(),
            progress=progress,
            lookback=options.lookback,
            refresh_interval=options.refresh_interval,
            timezone=self.timezone,
            salt=self.inputs.of(resource),
            is_limited=self._is_limited(progress),
            leaves_out=self._left_out(resource),
            run_began=self.began,
            spare=self.spare,
            only_active=options.only_active,
            changed=lambda: self.reporter.moved(resource.name, tally),
            tried=self.tried.setdefault(resource.name, set()),
            control=Control.of(progress),
            sample=self.samples.setdefault(resource.table.name, ListSample()),
        )

    @property
    def began_at(self) -> datetime:
        """When the run began, by Intercom's clock as all replies so far bear it out."""
        return self.steps.client.clock.safe_at(self.began)

    @property
    def inputs(self) -> mapping.Inputs:
        """What decides, besides the code, how rows are made."""
        steps = self.steps
        return mapping.Inputs(steps.client.version, steps.options.privacy.exclusions)

    def selected(self) -> list[Resource]:
        """The resources that are to be read: named, or read along with what is named."""
        return [resource for resource in RESOURCES if self._is_selected(resource)]

    def _is_selected(self, resource: Resource) -> bool:
        options = self.steps.options
        if isinstance(resource.reading, Activities) and not options.activity_feed:
            return False
        return Selection(options.only, options.left_out).takes(resource)

    def _left_out(self, resource: Resource) -> tuple[Resource, ...]:
        """The resources over the same table that are not read."""
        return tuple(r for r in RESOURCES if r.table is resource.table and not self._is_selected(r))

    def _is_limited(self, progress: Progress) -> bool:
        """Whether what it reads is no full pass, because ``backfill --since`` asked for less."""
        first = progress.cursor is None and progress.plan_since is not None
        return self.steps.options.since is not None or first
