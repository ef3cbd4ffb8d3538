"""The loop of a push: what is due is sent, what was sent is followed and read back, to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa

from connector.errors import NotPermittedError, RowRefusedError, TokenRefusedError
from connector.intercom.client import Client
from connector.push.outbox import claims, identities, joining, same_second
from connector.push.outbox.claims import Group, Unfinished
from connector.push.outbox.results import Result
from connector.push.outbox.store import Store
from connector.push.outbox.wish import Wish
from connector.push.sending import lookup, singly
from connector.push.sending.confirming import Confirming
from connector.push.sending.context import Options, Sending, Tally
from connector.push.sending.directory import Directory
from connector.push.sending.following import Following
from connector.push.sending.in_bulk import Bulk
from connector.tools.tasks import gather
from connector.warehouse.privacy.wishes import end_forgotten, exclude
from connector.warehouse.sql.execute import names_of

KINDS = ("tags", "companies", "contacts", "events")
"""In the order in which they are sent: what others may refer to comes first."""
AT_ONCE = 50  # wishes that are sent singly at the same time
EVERYTHING = "true"
TELL_EVERY = 30.0  # seconds


@dataclass
class Push:
    """One push of a schema, whose push lock the caller holds."""

    sending: Sending
    bulk: Bulk = field(init=False)
    following: Following = field(init=False)
    confirming: Confirming = field(init=False)
    _told_at: float = float("-inf")

    def __post_init__(self) -> None:
        self.bulk = Bulk(self.sending)
        self.following = Following(self.sending)
        self.confirming = Confirming(self.sending)

    async def run(self) -> Tally:
        """Send and follow until nothing is left but what waits for its time.

        Raises TokenRefusedError, NotPermittedError, and what ``Database.write`` raises,
        RowRefusedError only at the end; what was not ended is taken up by the next push.
        """
        store, tally = self.sending.store, self.sending.tally
        tally.recovered = await store.do(claims.interrupted_leads)  # also if recover is repeated
        await store.do(claims.recover)
        while True:
            pause = await self.step()
            if pause is None:
                await self.sending.store.do(_exclude)
                self._tell_refused()
                return self.sending.tally
            await self.sending.sleep(pause)

    def _tell_refused(self) -> None:
        if refused := self.sending.tally.refused:
            raise RowRefusedError(
                f"what became of {len(refused):,} wishes could not be noted"
                f" ({next(iter(refused.values()))}): take away what keeps them from it,"
                " the next push begins with them"
            )

    async def step(self) -> float | None:
        """Do what can be done now; in how many seconds there is more, None if there is nothing."""
        sending, options = self.sending, self.sending.options
        looked = await lookup.look(sending)
        sent = await self._send_due()
        if not options.wait:
            return 0.0 if sent else None
        await self.following.look()
        decided = await self.confirming.look(self.following.ended)
        if looked or sent or decided:
            return 0.0
        refused = frozenset(sending.tally.refused)
        left = await sending.store.do(
            partial(claims.unfinished, terms=options.terms, without=refused)
        )
        if not left.sent:
            return None
        self._tell(left)
        reading = await self.confirming.seconds_to_next(self.following.ended)
        pauses = [one for one in (self.following.seconds_to_next(), reading) if one is not None]
        return max(min(pauses, default=1.0), 0.05)

    def _tell(self, left: Unfinished) -> None:
        if self.sending.clock() - self._told_at < TELL_EVERY:
            return
        self._told_at = self.sending.clock()
        running = sum(not one.ended for one in self.following.jobs.values())
        jobs = f"{running} bulk jobs run" if running else "Intercom's index may be late"
        self.sending.say(f"{left.sent:,} wishes are sent and not read back yet: {jobs}")

    async def _send_due(self) -> int:
        """Send what is due, kind by kind; how many wishes that were."""
        store = self.sending.store
        left = await store.do(partial(claims.unfinished, terms=self.sending.options.terms))
        if not left.due:
            return 0
        many = left.due > claims.MANY
        await store.do(partial(claims.hashed, work=_prepare, many=many))
        groups = await store.do(claims.bulk_groups)
        total = 0
        for kind in KINDS:
            for name, group in groups.items():
                if group.kind == kind:
                    total += await self.bulk.send(name, group)
            total += await self._singly(Group(kind, EVERYTHING))
        return total

    async def _singly(self, group: Group) -> int:
        sending, options = self.sending, self.sending.options
        claim = partial(claims.claim, group=group, terms=options.terms, most=options.claimed)
        total = 0
        while not sending.is_over and (wishes := await sending.store.do(claim)):
            total += len(wishes)
            await self._send(wishes)
        return total

    async def _send(self, wishes: Sequence[Wish]) -> None:
        """Send wishes one by one, many at the same time; what ended is noted as it comes.

        Where one cannot be sent and no other would fare better, the requests that have left are
        waited for: what became of them must be known. What was not sent waits again.
        """
        waiting, errors = list(reversed(wishes)), list[Exception]()

        async def sender() -> None:
            while waiting and not errors:
                wish = waiting.pop()
                try:
                    await self.sending.record([await singly.send(self.sending, wish)])
                except (TokenRefusedError, NotPermittedError) as error:  # so it was not done
                    waiting.append(wish)
                    errors.append(error)
                except Exception as error:  # a fault, or no database: it stays as it is noted
                    errors.append(error)

        await gather(*(sender() for _ in range(min(AT_ONCE, len(wishes)))))
        if errors:
            await self._give_back(waiting)
            raise errors[0]

    async def _give_back(self, wishes: Sequence[Wish]) -> None:
        """Nothing was done of these: the next push begins with them."""
        await self.sending.record(
            [Result(one, "waiting", one.error_code, one.error, untaken=True) for one in wishes]
        )


def _prepare(conn: sa.Connection) -> None:
    """What waits gets its objects, unless they are forgotten; of several wishes becomes one."""
    identities.resolve(conn)
    end_forgotten(conn, names_of(conn))
    joining.join(conn)
    same_second.judge(conn)


def _exclude(conn: sa.Connection) -> None:
    """Also what ended unsent, or without being recorded one by one."""
    exclude(conn, names_of(conn))


def make(
    client: Client,
    store: Store,
    options: Options,
    say: Callable[[str], None],
    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Push:
    """A push that is ready to run."""
    directory = Directory(client, store)
    return Push(Sending(client, store, options, directory, say, sleep, clock))
