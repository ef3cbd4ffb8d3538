"""Reads back what was sent: a wish is done when its object is shown as wished.

Few are read by id, many by searches for their ids. A search is late: some of what was sent last is
looked at first, and only when that is there are all looked for, once. What is not as wished within
the index lag is no failure yet. What a bulk request carried in vain is sent once more, singly:
bulk says only that something failed, the single endpoint says why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from connector.errors import IntercomError, MergedError, NotFoundError, TokenRefusedError
from connector.intercom.writes import object_of
from connector.push.outbox import claims
from connector.push.outbox.claims import UNEQUAL
from connector.push.outbox.jobs import VANISHED, WITH_ERRORS
from connector.push.outbox.results import Result
from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending
from connector.push.sending.judging import flat, judged
from connector.push.sending.searches import SIZE, find
from connector.tools.chunks import chunks
from connector.tools.tasks import gather

FEW = 500  # wishes, each read by id
SIDE_BY_SIDE = 8  # searches
AT_ONCE = 40  # reads by id
PROBES = (5.0, 20.0)  # seconds between two looks whether the index shows what was sent
MOST_ATTEMPTS = 3  # of a bulk request whose jobs vanish


class Confirming(Struct):
    """What of the outbox is sent and is to be read back."""

    sending: Sending
    _probe_at: float = float("-inf")
    _pause: float = PROBES[0]

    async def look(self, ended: Sequence[str]) -> int:
        """Read back what was sent singly, or by jobs that ended; how many wishes that decided."""
        due = await self._due(ended, FEW + 1)
        if not due:
            return 0
        if self.sending.options.trust:
            return await self._trust(due)
        if len(due) <= FEW:
            return await self._by_id(due)
        if self.sending.clock() < self._probe_at or not await self._is_shown(ended):
            return 0
        return await self._all(ended)

    async def seconds_to_next(self, ended: Sequence[str]) -> float | None:
        """In how many seconds another look is worth it; None while jobs carry all that is sent."""
        of = self._sent(ended)
        found = await self.sending.store.do(partial(claims.next_reading, of=of))
        probe = self._probe_at - self.sending.clock()
        return None if found is None else max(found, min(probe, PROBES[1]))

    async def _due(self, ended: Sequence[str], most: int, after: int = 0) -> list[Wish]:
        return await self.sending.store.do(
            partial(claims.sent, of=self._sent(ended), most=most, after=after)
        )

    def _sent(self, ended: Sequence[str]) -> claims.Sent:
        """What can be decided: what could not be noted before would not be now."""
        return claims.Sent(list(ended), frozenset(self.sending.tally.refused))

    async def _trust(self, due: Sequence[Wish]) -> int:
        doubtful = [one for one in due if one.error_code in (WITH_ERRORS, VANISHED)]
        taken = [one for one in due if one not in doubtful]
        await self.sending.record([_accepted(one) for one in taken])
        return len(taken) + (await self._by_id(doubtful[:FEW]) if doubtful else 0)

    # -- by id -----------------------------------------------------------------------------

    async def _by_id(self, due: Sequence[Wish]) -> int:
        named = [one for one in due if one.object_id or one.kind != "contacts"]
        unnamed = [one for one in due if one not in named]
        cut = list(chunks(unnamed, SIZE))
        await gather(*(self._some(part) for part in cut))
        results, waiting = list[Result](), named

        async def reader() -> None:
            while waiting:
                wish = waiting.pop()
                results.append(await self._one(wish))
                if len(results) >= SIZE:
                    found, results[:] = results[:], []
                    await self.sending.record(found)

        await gather(*(reader() for _ in range(min(AT_ONCE, len(named)))))
        await self.sending.record(results)
        return len(due)

    async def _one(self, wish: Wish) -> Result:
        try:
            record = await self._read(wish)
        except (NotFoundError, MergedError):
            record = None
        except TokenRefusedError:
            raise
        except IntercomError as error:
            return replace(self._later(wish, wish.error or str(error)), code=wish.error_code)
        return await self._judge(wish, record)

    async def _read(self, wish: Wish) -> Mapping[str, Any] | None:
        if wish.object_id:
            return object_of(await self.sending.read(f"/{wish.kind}/{wish.object_id}"))
        return object_of(await self.sending.read("/companies", company_id=wish.external_id))

    # -- by searches -----------------------------------------------------------------------

    async def _is_shown(self, ended: Sequence[str]) -> bool:
        """Whether the index shows most of what was sent last, or should by now."""
        latest = await self.sending.store.do(
            partial(claims.latest_sent, kind="contacts", of=self._sent(ended), most=SIZE)
        )
        if not latest or min(one.age or 0.0 for one in latest) > self.sending.options.index_lag:
            return True
        shown = await find(self.sending, latest)
        results = [await self._judge(one, shown.get(one.id), searched=True) for one in latest]
        good = [one for one in results if one.state == "done"]
        await self.sending.record(good)
        if 2 * len(good) >= len(latest):
            self._pause = PROBES[0]
            return True
        self.sending.say(
            f"what was sent last is not shown by Intercom's search yet; asking again in"
            f" {self._pause:.0f} s"
        )
        self._probe_at = self.sending.clock() + self._pause
        self._pause = min(self._pause * 2, PROBES[1])
        return False

    async def _all(self, ended: Sequence[str]) -> int:
        """Look for everything once, in the order in which it was wished."""
        decided, after = 0, 0
        while not self.sending.is_over and (
            due := await self._due(ended, SIZE * SIDE_BY_SIDE, after)
        ):
            after = due[-1].id
            contacts = [one for one in due if one.kind == "contacts"]
            cut = list(chunks(contacts, SIZE))
            await gather(*(self._some(part) for part in cut))
            if others := [one for one in due if one.kind != "contacts"]:
                await self._by_id(others)
            decided += len(due)
        return decided

    async def _some(self, wishes: Sequence[Wish]) -> None:
        shown = await find(self.sending, wishes)
        results = [await self._judge(one, shown.get(one.id), searched=True) for one in wishes]
        good = [one for one in results if one.state == "done"]
        if 2 * len(good) < len(wishes):  # the index is late for these, unless it is over
            results = [one if one in good else self._stale(one) for one in results]
        await self.sending.record(results)

    def _stale(self, found: Result) -> Result:
        if (found.wish.age or 0.0) > self.sending.options.index_lag:
            return found
        return self._later(found.wish, "not shown as wished yet")

    # -- what it comes to ------------------------------------------------------------------

    async def _judge(
        self, wish: Wish, record: Mapping[str, Any] | None, searched: bool = False
    ) -> Result:
        if wish.op in ("archive", "delete"):
            return self._judge_end(wish, record)
        if record is None:
            if wish.object_id and not searched:  # archived or gone: sent singly, that is found out
                return Result(wish, "waiting", UNEQUAL, "it is not there")
            return self._in_vain(wish, wish.error or "it is not there")
        key = str(record.get("id"))
        lists = wish.kind == "contacts"
        found = await judged(self.sending, wish, key, record, lists=lists)
        if found.state == "done":
            return found
        return replace(self._in_vain(wish, found.error or ""), object_id=key)

    def _judge_end(self, wish: Wish, record: Mapping[str, Any] | None) -> Result:
        if record is None or record.get("archived") or record.get("deleted"):
            return Result(wish, "done", hinted=True, gone=True)
        return self._in_vain(wish, "it is still there")

    def _in_vain(self, wish: Wish, told: str) -> Result:
        """What is not as wished: sent once singly if bulk carried it, read again, or failed."""
        if wish.error_code == WITH_ERRORS:
            return Result(wish, "waiting", UNEQUAL, told)
        if wish.error_code == VANISHED:
            code = VANISHED if wish.attempts < MOST_ATTEMPTS else UNEQUAL
            return Result(wish, "waiting", code, told)
        if (wish.age or 0.0) < self.sending.options.index_lag:
            return self._later(wish, told)
        if wish.job_id:
            return Result(wish, "waiting", UNEQUAL, told)
        return Result(wish, "failed", "not_taken", told, hinted=True)

    def _later(self, wish: Wish, told: str) -> Result:
        age, lag = wish.age or 0.0, self.sending.options.index_lag
        after = min(max(age / 2, 1.0), 30.0, max(lag - age, 0.0) + 0.5)
        return Result(wish, "sent", wish.error_code, told, after=after)


def _accepted(wish: Wish) -> Result:
    gone = wish.op in ("archive", "delete")
    return Result(wish, "done", hinted=True, gone=gone, values=flat(wish.body))
