"""Takes tasks into jobs, closes jobs, and lets tasks start and end at their time; no content.

Intercom promises no order, no speed and no time for which a job can be asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import TYPE_CHECKING

from connector.simulator.messages import ApiError
from connector.simulator.records.workspace import Record
from connector.simulator.writes.bulk.jobs import Item, Job, Task
from connector.simulator.writes.log import Entry

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator
    from connector.simulator.writes.hub import Writes

Carry = Callable[[str, str, Record], None]


class Queue:
    """The bulk jobs of one workspace."""

    def __init__(self, simulator: Simulator, writes: Writes, carry: Carry) -> None:
        self._simulator = simulator
        self._writes = writes
        self._carry = carry
        self._random = Random(f"{simulator.workspace.seed}-jobs")
        self._last_start = self._last_end = 0.0
        self.jobs: dict[str, Job] = {}

    def take(self, kind: str, does: str, items: list[Record], job: str | None, entry: Entry) -> Job:
        """One more task, in a job of its own or in one that is open: else nothing is taken."""
        space, now = self._simulator.workspace, self._simulator.now()
        into = self._begin(kind, now) if job is None else self._open(kind, job, now)
        id = f"task_v2_{space.next_number('bulk_task')}"
        task = Task(id, does, [Item(given) for given in items], now, entry)
        into.tasks.append(task)
        entry.job, entry.task = into.id, id
        start, end = self._times(now)
        self._writes.later(start, lambda: self._start(into, task))
        self._writes.later(end, lambda: self._end(into, task))
        return into

    def find(self, kind: str, id: str) -> Job:
        """The job with this id, while it can be asked for."""
        job, keep = self.jobs.get(id), self._writes.settings.keep_jobs
        if job is None or job.kind != kind or job.vanished or self._is_forgotten(job, keep):
            raise ApiError(404, "job_not_found", f"job {id} not found")
        return job

    def vanish(self) -> None:
        """No job that there is can be found any more, and none does what it has not done."""
        self._last_start = self._last_end = 0.0
        for job in self.jobs.values():
            job.vanished = True
            for task in job.tasks:
                if task.completed_at is None:
                    for item in task.items:
                        item.state = "lost"

    def _begin(self, kind: str, now: float) -> Job:
        id = f"job_v2_{self._simulator.workspace.next_number('bulk_job')}"
        job = self.jobs[id] = Job(id, kind, now, vanished=self._writes.settings.vanish)
        return job

    def _open(self, kind: str, id: str, now: float) -> Job:
        job = self.find(kind, id)
        if now >= job.created_at + self._writes.settings.close_after:
            raise ApiError(403, "forbidden", f"job {id} is closed for new task updates")
        return job

    def _is_forgotten(self, job: Job, keep: float | None) -> bool:
        ended = job.completed_at
        return keep is not None and ended is not None and self._simulator.now() > ended + keep

    def _times(self, now: float) -> tuple[float, float]:
        delay = self._writes.settings.job_delay
        if self._writes.settings.task_order == "shuffled":
            start = now + delay * self._random.uniform(0.2, 3)
            return start, start + delay * self._random.uniform(0.2, 3)
        self._last_start = max(now + delay, self._last_start)
        self._last_end = max(self._last_start + delay, self._last_end)
        return self._last_start, self._last_end

    def _start(self, job: Job, task: Task) -> None:
        if not job.vanished:
            task.started_at = self._simulator.now()

    def _end(self, job: Job, task: Task) -> None:
        for item in task.items:
            if job.vanished:
                item.state = "lost"
            else:
                self._do(job.kind, task, item)
        if not job.vanished:
            task.completed_at = self._simulator.now()

    def _do(self, kind: str, task: Task, item: Item) -> None:
        # Of an item that fails its task tells, and nothing tells why.
        with self._writes.log.collect(item.effects, task.entry.effects):
            try:
                self._carry(kind, task.does, item.given)
            except ApiError as error:
                item.state, item.error = "failed", error.message
            else:
                item.state = "done"
