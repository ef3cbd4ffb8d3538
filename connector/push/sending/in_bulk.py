"""A hundred wishes a request: bulk jobs, as long as Intercom takes them and they are worth it.

The first request of a kind goes alone: whether bulk is open to this token, whether it means what
it did, how many items it takes, and what it costs of the budget is known only from its answer.
What bulk does not take goes singly. Requests then go in a few lanes, each with a job of its own,
one after the other, so that it is known which task carries which wishes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from functools import partial
from math import ceil
from typing import Any

from msgspec import Struct, field

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    NotFoundError,
    NotPermittedError,
    RetryExhaustedError,
    TokenRefusedError,
)
from connector.intercom import writes
from connector.intercom.writes import Job
from connector.push.outbox import claims, jobs
from connector.push.outbox.claims import UNEQUAL, Group
from connector.push.outbox.results import Result
from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending, logger
from connector.tools.chunks import chunks
from connector.tools.tasks import Overlap, gather, overlap

WORTH_IT = 100  # wishes
SIZE = 100  # items of a request, until Intercom says otherwise
SECONDS = 5.0  # in which all requests should have been sent
LANES = (4, 40)  # at least and at most
EACH = 10  # requests of a lane at least: each has a job that must be asked for
COSTLY = 0.5  # of a request for each item: then singles are as good
WEIGHED = 3  # requests of which the cost is measured: others may spend meanwhile
TOO_LARGE = 413
FOUND, CLAIMED = 100_000, 1_000  # wishes that are looked for, and claimed, at once


class Endpoint(Struct, frozen=True):
    """One bulk request: its method and path, the key of its list, where its jobs are asked for."""

    method: str
    path: str
    key: str
    job: str


ENDPOINTS = {
    "update": Endpoint("PUT", "/contacts/bulk", "contacts", "/contacts/bulk/{}"),
    "create": Endpoint("POST", "/contacts/bulk", "contacts", "/contacts/bulk/{}"),
    "delete": Endpoint("POST", "/contacts/bulk/delete", "contacts", "/contacts/bulk/{}"),
    "companies": Endpoint("POST", "/companies/bulk", "companies", "/companies/bulk/{}"),
}


class _Queue:
    """The wishes of a group: found together, claimed by the thousand, taken by the hundred.

    The next are claimed while those before them are sent, so nobody waits for that, and a push
    that is killed leaves few in doubt.
    """

    def __init__(self, sending: Sending, group: Group, claiming: Overlap[list[Wish]]) -> None:
        self._store = sending.store
        self._find = partial(claims.due, group=group, terms=sending.options.terms, most=FOUND)
        self._ids, self._are_all = list[int](), False
        self._claimed, self._claiming = list[Wish](), claiming
        self._turn = asyncio.Lock()
        self.taken = 0

    async def find(self) -> int:
        """Look for what is due; how many wishes are."""
        self._ids = await self._store.do(self._find)
        self._are_all = len(self._ids) < FOUND
        return len(self._ids)

    async def take(self, most: int) -> list[Wish]:
        """The next wishes, so many at most; none where no more are due."""
        async with self._turn:
            while len(self._claimed) < most and (self._is_more or self._claiming.is_begun):
                self._begin()
                self._claimed += await self._claiming.outcome() or ()
            self._begin()
            taken, self._claimed = self._claimed[:most], self._claimed[most:]
            self.taken += len(taken)
            return taken

    async def rest(self) -> list[Wish]:
        """What was claimed and not taken; nothing more is claimed."""
        self._ids, self._are_all = [], True
        rest, self._claimed = self._claimed, []
        return rest + (await self._claiming.outcome() or [])

    @property
    def _is_more(self) -> bool:
        return bool(self._ids) or not self._are_all

    def _begin(self) -> None:
        if self._is_more and not self._claiming.is_begun:
            self._claiming.begin(self._claim())

    async def _claim(self) -> list[Wish]:
        if not self._ids:
            await self.find()
        ids, self._ids = self._ids[:CLAIMED], self._ids[CLAIMED:]
        return await self._store.do(partial(claims.take, ids=ids)) if ids else []


class Bulk(Struct):
    """What is known of bulk requests in this push."""

    sending: Sending
    size: int = SIZE
    closed: dict[str, str] = field(default_factory=dict)
    _tried: set[str] = field(default_factory=set)
    _taken: set[str] = field(default_factory=set)

    async def send(self, name: str, group: Group) -> int:
        """Send a group of wishes by its bulk request; how many were claimed for it."""
        if name in self.closed:
            return 0
        async with overlap() as claiming:
            queue = _Queue(self.sending, group, claiming)
            due = await queue.find()
            if due < WORTH_IT:
                return 0
            job, latency = (None, 0.0)
            if name not in self._tried:
                job, latency = await self._first(name, queue)
            left = ceil((due - queue.taken) / self.size)
            lanes = max(ceil(latency * left / SECONDS), LANES[0])
            await self._all(name, queue, job, max(1, min(lanes, LANES[1], left // EACH)))
        return queue.taken

    async def _all(self, name: str, queue: _Queue, job: str | None, lanes: int) -> None:
        """Send what is in the queue, in so many lanes, of which the first goes on with a job."""
        errors = list[Exception]()

        async def lane(job: str | None) -> None:
            try:
                async with overlap() as noting:
                    while self._may_go_on(name) and not errors:
                        if not (wishes := await queue.take(self.size)):
                            return
                        job = await self._request(name, wishes, job, noting)
            except Exception as error:  # requests that have left are waited for
                errors.append(error)

        await gather(lane(job), *(lane(None) for _ in range(lanes - 1)))
        await self._untaken(await queue.rest())
        if errors:
            raise errors[0]

    def _may_go_on(self, name: str) -> bool:
        return name not in self.closed and not self.sending.is_over

    async def _first(self, name: str, queue: _Queue) -> tuple[str | None, float]:
        """The first requests of their kind, each alone; their job, and how long the last took."""
        self._tried.add(name)
        budget, costs, took = self.sending.client.tokens.first.budget, list[float](), 0.0
        job: str | None = None
        for _ in range(WEIGHED):
            wishes = await queue.take(self.size)
            if not wishes or name in self.closed:
                await self._untaken(wishes)
                break
            before, began = budget.consumed, time.monotonic()
            job = await self._request(name, wishes, job)
            took, after = time.monotonic() - began, budget.consumed
            if before and after and before[0] == after[0]:
                costs.append((after[1] - before[1]) / len(wishes))
        if costs and min(costs) >= COSTLY:
            self._close(
                name,
                f"each item of a bulk request costs {min(costs):.1f} requests of the budget: what"
                " is left is sent singly, which costs no more",
            )
        return job, took

    def _close(self, name: str, why: str) -> None:
        if name not in self.closed:
            self.closed[name] = why
            endpoint = ENDPOINTS[name]
            logger.warning("%s %s: %s", endpoint.method, endpoint.path, why)

    # -- one request -----------------------------------------------------------------------

    async def _request(
        self,
        name: str,
        wishes: Sequence[Wish],
        job: str | None,
        noting: Overlap[None] | None = None,
    ) -> str | None:
        """Send wishes by a request; the job to which the next can be added.

        ``noting``: that it was accepted is noted while the next request is under way.
        """
        items = [await self._item(name, wish) for wish in wishes]
        try:
            found = await self._ask(name, items, job)
        except TokenRefusedError:
            raise
        except (NotPermittedError, NotFoundError, BadAnswerError) as error:
            self._close(name, f"bulk is not to be had ({error}): all is sent singly")
            await self._untaken(wishes)
            return None
        except RetryExhaustedError as error:
            await self._again(wishes, "no_answer", str(error), after=30.0)
            return None
        except BadRequestError as error:
            return await self._refused(name, wishes, error)
        noted = self._note(name, wishes, found)
        if noting is None:
            await noted
        else:
            await noting.outcome()
            noting.begin(noted)
        return found.id

    async def _ask(self, name: str, items: Sequence[Mapping[str, Any]], job: str | None) -> Job:
        endpoint = ENDPOINTS[name]
        body: dict[str, Any] = {endpoint.key: list(items)}
        if job:
            body["job"] = {"id": job}
        self.sending.tally.writes += 1
        try:
            found, _ = await writes.bulk(
                self.sending.client, endpoint.method, endpoint.path, body, repeat=True
            )
        except (NotPermittedError, NotFoundError) as error:
            closed = job and (writes.is_closed_job(error) or isinstance(error, NotFoundError))
            if not closed:
                raise
            return await self._ask(name, items, None)
        return found

    async def _refused(
        self, name: str, wishes: Sequence[Wish], error: BadRequestError
    ) -> str | None:
        """The whole request was refused: smaller, if that is why; halves find the bad item."""
        size = writes.largest_size(error)
        if size and size < len(wishes):
            self.size = min(self.size, size)
            job = None
            for some in chunks(wishes, size):
                job = await self._request(name, some, job)
            return job
        if name not in self._taken and error.status != TOO_LARGE:
            # Nothing has been, so far: this may be no matter of an item.
            self._close(name, f"what bulk takes is something else today ({error}): singly, then")
            await self._untaken(wishes)
            return None
        if len(wishes) == 1:
            await self._again(wishes, UNEQUAL, str(error))
            return None
        half = len(wishes) // 2
        await self._request(name, wishes[:half], None)
        return await self._request(name, wishes[half:], None)

    async def _untaken(self, wishes: Sequence[Wish]) -> None:
        """Nothing was done of these: they wait as if they had not been sent."""
        await self.sending.record(
            [Result(one, "waiting", one.error_code, one.error, untaken=True) for one in wishes]
        )

    async def _again(
        self,
        wishes: Sequence[Wish],
        code: str | None = None,
        error: str | None = None,
        after: float | None = None,
    ) -> None:
        await self.sending.record(
            [Result(wish, "waiting", code, error, after=after) for wish in wishes]
        )

    async def _note(self, name: str, wishes: Sequence[Wish], job: Job) -> None:
        """What was accepted is sent, by this task of this job."""
        self._taken.add(name)
        kind = wishes[0].kind
        task = _task(job, len(wishes))
        results = [Result(wish, "sent", task=(job.id, task)) for wish in wishes]
        await self.sending.record(
            results, lambda conn: jobs.note(conn, job.id, kind, job.state, len(wishes))
        )

    async def _item(self, name: str, wish: Wish) -> dict[str, Any]:
        """A wish as bulk takes it: tags by their ids, what names the object among the fields."""
        if name == "delete":
            return {"id": wish.object_id}
        item = dict(wish.body)
        if name == "companies":
            return item | {"company_id": wish.external_id}
        if "tags" in item:
            item["tags"] = await self._tags(item["tags"])
        if name == "update":
            item.pop("role", None)
            return {"id": wish.object_id} | item
        item["role"] = wish.wished_role
        for key, value in (("external_id", wish.external_id), ("email", wish.email)):
            if value:
                item.setdefault(key, value)
        return item

    async def _tags(self, tags: Mapping[str, Any]) -> dict[str, Any]:
        directory = self.sending.directory
        add = await directory.tags(tags.get("add") or (), create=True)
        remove = await directory.tags(tags.get("remove") or (), create=False)
        lists = {"add": add, "remove": remove}
        return {n: [{"id": key} for key in found.values()] for n, found in lists.items() if found}


def _task(job: Job, items: int) -> str | None:
    """The task that carries a request: the last one of a job that is added to in turn."""
    own = [task for task in job.tasks if task.items == items]
    return own[-1].id if own else None
