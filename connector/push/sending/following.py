"""Asks for the bulk jobs that carry wishes, less and less often, until they end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from msgspec import Struct, field

from connector.errors import BadAnswerError, NotFoundError, RetryExhaustedError
from connector.intercom import writes
from connector.push.outbox import jobs
from connector.push.sending.context import Sending, logger
from connector.push.sending.in_bulk import ENDPOINTS
from connector.tools.tasks import gather

SOON, LATEST = (2.0, 10.0), 30.0  # seconds until a job is looked at first, and between two looks
A_SECOND = 1_000  # items that a job may be expected to do
_PATHS = {endpoint.key: endpoint.job for endpoint in ENDPOINTS.values()}


class _Followed(Struct):
    kind: str
    due: float
    pause: float
    ended: bool = False


class Following(Struct):
    """The jobs of this schema that carry wishes which are not ended."""

    sending: Sending
    jobs: dict[str, _Followed] = field(default_factory=dict)

    @property
    def ended(self) -> list[str]:
        """The jobs of which nothing more is to be expected."""
        return [key for key, one in self.jobs.items() if one.ended]

    async def look(self) -> None:
        """Ask for the jobs whose time has come."""
        found = await self.sending.store.do(jobs.open_jobs)
        now, wishes = self.sending.clock(), sum(number for _, number in found.values())
        soon = min(max(wishes / A_SECOND, SOON[0]), SOON[1])
        self.jobs = {
            key: self.jobs.get(key) or _Followed(kind, now + soon, soon)
            for key, (kind, _) in found.items()
        }
        due = [key for key, one in self.jobs.items() if not one.ended and one.due <= now]
        for first in due[:1]:
            await self._ask(first)
            await gather(*map(self._ask, self._worth_asking(first, due[1:])))

    def _worth_asking(self, first: str, others: Sequence[str]) -> list[str]:
        """Those of the others that may have ended; while one runs, the rest is asked for rarely.

        Jobs that were begun together end at about the same time, though nobody promises it.
        """
        if self.jobs[first].ended:
            return list(others)
        rarely = [key for key in others if self.jobs[key].pause >= LATEST]
        for key in others:
            if key not in rarely:
                self._later(self.jobs[key])
        return rarely

    def seconds_to_next(self) -> float | None:
        """In how many seconds a job is to be asked for; None where none is."""
        due = [one.due for one in self.jobs.values() if not one.ended]
        return max(0.0, min(due) - self.sending.clock()) if due else None

    async def _ask(self, key: str) -> None:
        one, store = self.jobs[key], self.sending.store
        self.sending.tally.reads += 1
        try:
            job = await writes.job(self.sending.client, _PATHS[one.kind].format(key))
        except NotFoundError:
            one.ended = True
            logger.warning("Intercom knows job %s no more: what it carried is read back", key)
            await store.do(partial(jobs.vanished, job_id=key))
            return
        except (RetryExhaustedError, BadAnswerError) as error:
            logger.warning("job %s: %s", key, error)
            self._later(one)
            return
        one.ended = job.has_ended
        failed = [task.id for task in job.tasks if task.has_ended and task.state != "completed"]
        failed = failed or (["?"] if job.has_ended and job.state != "completed" else [])
        await store.do(
            partial(jobs.asked, job_id=key, state=job.state, ended=one.ended, failed=failed)
        )
        self._later(one)

    def _later(self, one: _Followed) -> None:
        one.due = self.sending.clock() + one.pause
        one.pause = min(one.pause * 2, LATEST)
