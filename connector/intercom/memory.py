"""Bounds the bytes of replies in flight, from the moment they are asked for until they are written.

Knows no HTTP and no record: a share is taken for each reply, grows with what arrives, and is given
back by whoever has done with what came. What a reply will take is guessed from the last ones of
its listing; of a listing that has not answered yet one is awaited, and a refusal is an answer.
Where a reply turns out larger than there is room, reading it pauses.

Nobody waits for ever: shares that were read whole are given back without waiting for others (who
gathers several looks at ``short``), and while there is none, the one that was begun first may grow
beyond the total. So what is in flight is never more than the total and one reply.
"""

from __future__ import annotations

import asyncio
import re
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

TOTAL = 64 << 20
"""Bytes in flight; what encoding and writing add to them is bounded by the size of batches."""
REPLY = 8 << 20
"""Bytes that one reply should hold at most, where fewer records can be asked for."""
STEP = 1 << 20
"""What is taken ahead, at most, of a reply that does not tell its size."""
FADING = 0.7
"""What a large reply still counts for the guess after the next one."""
PATIENCE = 60.0
"""Seconds; should a share have been lost, whoever waits goes on after so long."""

_urgent: ContextVar[bool] = ContextVar("urgent", default=False)
_ID = re.compile(r"/[^/]*\d[^/]*")


class Memory:
    """The bytes that all replies in flight may take; ``peak`` is the most they took so far."""

    def __init__(self, total: int = TOTAL, reply: int = REPLY) -> None:
        self.total, self.reply = total, reply
        self.step = min(STEP, total // 16)
        self.in_use = self.peak = 0
        self.short = asyncio.Event()
        """Set while somebody waits: who holds what came, and waits for more, should hand it on."""
        self._begun: dict[Share, None] = {}
        self._whole = 0
        self._growing: deque[tuple[Share, int, asyncio.Future[None]]] = deque()
        self._asking: deque[tuple[Share, int, asyncio.Future[None]]] = deque()
        self._typical: dict[str, float] = {}
        self._records: dict[str, float] = {}
        self._first: dict[str, asyncio.Event] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    @contextmanager
    def urgently(self) -> Iterator[None]:
        """What is asked for in this context waits for no room: others wait for its answer."""
        token = _urgent.set(True)
        try:
            yield
        finally:
            _urgent.reset(token)

    async def begin(self, listing: str, *, wait: bool = True) -> Share:
        """A share for the next reply of this listing, once there is room for such a one."""
        self._loop = asyncio.get_running_loop()
        share = Share(self, listing)
        if not wait or _urgent.get():
            share.urgent = share.whole = True
            self._whole += 1
            return share
        while listing not in self._typical:
            if listing not in self._first:
                self._first[listing] = asyncio.Event()
                break
            await self._first[listing].wait()
        guess = int(self._typical.get(listing, self.step))
        self._begun[share] = None
        try:
            await self._take(share, guess, self._asking)
        except BaseException:
            self._begun.pop(share, None)
            self._answered(listing)
            raise
        return share

    def per_page(self, listing: str, wanted: int) -> int:
        """How many records to ask for, at least one, so that the reply is not too large."""
        each = self._records.get(listing)
        return max(1, min(wanted, int(self.reply / each))) if each else wanted

    def learn(self, listing: str, records: int, size: int) -> None:
        """Note how large these records of a listing were."""
        if records:
            each = size / records
            self._records[listing] = _faded(self._records.get(listing, 0.0), each)

    # -- room --------------------------------------------------------------------------------

    async def _take(
        self, share: Share, number: int, queue: deque[tuple[Share, int, asyncio.Future[None]]]
    ) -> None:
        # Who asks waits in line; who is being answered goes on as soon as there is room.
        if self._fits(share, number) and not (queue and queue is self._asking):
            self._give(share, number)
            return
        given: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (share, number, given)
        queue.append(entry)
        self.short.set()
        try:
            await asyncio.wait_for(asyncio.shield(given), PATIENCE)
        except TimeoutError:
            if not given.done():
                self._give(share, number)
        except asyncio.CancelledError:
            if given.done():
                share.held -= number
                self.in_use -= number
            raise
        finally:
            if entry in queue:
                queue.remove(entry)
            self._wake()

    def _fits(self, share: Share, number: int) -> bool:
        if self.in_use + number <= self.total:
            return True
        # The share that was begun first goes on, unless some are about to be given back: no other
        # may pass the total, or two of them would.
        return next(iter(self._begun), None) is share and not (self._whole and self.in_use)

    def _give(self, share: Share, number: int) -> None:
        share.held += number
        self.in_use += number
        self.peak = max(self.peak, self.in_use)

    def _wake(self) -> None:
        for entry in [*self._growing]:
            self._serve(entry, self._growing)
        while self._asking and self._serve(self._asking[0], self._asking):
            pass
        if not self._growing and not self._asking:
            self.short.clear()

    def _serve(
        self,
        entry: tuple[Share, int, asyncio.Future[None]],
        queue: deque[tuple[Share, int, asyncio.Future[None]]],
    ) -> bool:
        share, number, given = entry
        if given.done() or not self._fits(share, number):
            return False
        queue.remove(entry)
        self._give(share, number)
        given.set_result(None)
        return True

    # -- what shares tell --------------------------------------------------------------------

    def _answered(self, listing: str) -> None:
        if first := self._first.pop(listing, None):
            first.set()

    def _read(self, share: Share, size: int) -> None:
        self._typical[share.listing] = _faded(self._typical.get(share.listing, 0.0), size)
        self._answered(share.listing)
        self._give(share, size - share.held)
        if not share.whole:
            share.whole = True
            self._begun.pop(share, None)
            self._whole += 1
        self._wake()

    def _release(self, share: Share) -> None:
        self.in_use -= share.held
        share.held = 0
        self._begun.pop(share, None)
        if share.whole:
            self._whole -= 1
        self._answered(share.listing)
        self._wake()

    def _lost(self, share: Share) -> None:
        """Nobody gave it back: whoever failed let it go; perhaps in another thread."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._release, _Remains(share))


class Share:
    """The bytes that one reply takes: ``held`` so many; ``urgent`` if it waits for no room."""

    def __init__(self, memory: Memory, listing: str) -> None:
        self.memory, self.listing = memory, listing
        self.held = 0
        self.whole = self.urgent = self._over = False

    async def grow(self, size: int) -> None:
        """Wait until the reply may be so large."""
        if size <= self.held:
            return
        if self.whole:
            self.memory._give(self, size - self.held)
            return
        await self.memory._take(self, size - self.held, self.memory._growing)

    def read(self, size: int) -> None:
        """The reply came to its end and is so large."""
        if not self._over:
            self.memory._read(self, size)

    def refused(self) -> None:
        """A refusal was the reply: what the next one takes is still not known, but one came."""
        self.memory._typical.setdefault(self.listing, self.memory.step)
        self.memory._answered(self.listing)

    def release(self) -> None:
        """Give it back: what came is written, or of no use."""
        if not self._over:
            self._over = True
            self.memory._release(self)

    def __del__(self) -> None:
        if not self._over:
            self._over = True
            self.memory._lost(self)


class _Remains(Share):
    """What is left of a share that was let go."""

    def __init__(self, share: Share) -> None:
        super().__init__(share.memory, share.listing)
        self.held, self.whole, self._over = share.held, share.whole, True
        self.urgent = share.urgent


def listing(method: str, path: str) -> str:
    """What requests whose replies are alike have in common: the path without ids."""
    return f"{method} {_ID.sub('/{id}', path)}"


def _faded(old: float, new: float) -> float:
    return max(new, FADING * old + (1 - FADING) * new)
