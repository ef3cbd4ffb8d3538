"""How a run goes, in figures: each resource's, and what is left of the whole. Draws nothing."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence

from msgspec import Struct, field

from connector.resources import PERSONS
from connector.resources.readings import PerContact, Search
from connector.resources.resource import Resource
from connector.warehouse.state.runs import Tally

FULL = "full"
KNOWN_FROM = 0.01  # share of a pass that must be done before the rest can be reckoned by it
LOOKED_BACK = 30.0  # seconds by whose requests the coming ones are reckoned
STEADY = 2.0  # seconds after which the pace of a run says something
TELLING = 0.5  # and after which that of a resource does


class Going(Struct):
    """One resource: the pass over it, what it has done, and in how many seconds it ended."""

    kind: str
    began: float
    tally: Tally
    took: float | None = None

    @property
    def share(self) -> float | None:
        """The part that is done; None where nobody counts the whole."""
        if self.tally.expected is None:
            return None
        done = self.tally.fetched if self.tally.asked is None else self.tally.asked
        return min(1.0, done / self.tally.expected) if self.tally.expected else 1.0

    def rate(self, now: float) -> float | None:
        """Records in a second; None until that says something."""
        seconds = now - self.began if self.took is None else self.took
        return self.tally.fetched / seconds if seconds >= TELLING else None

    @property
    def left(self) -> float | None:
        """Requests still to come, by those that its part took; None where that is not known."""
        if self.took is not None:
            return 0.0
        share = self.share
        if share is None or share < KNOWN_FROM:
            return None
        return self.tally.requests * (1 - share) / share


class Left(Struct, frozen=True):
    """Seconds that a run takes still; ``at_least`` while some of it is not counted."""

    seconds: float
    at_least: bool


class Run(Struct):
    """All of a run, as its reporter is told."""

    now: Callable[[], float] = time.monotonic
    planned: Sequence[Resource] = ()
    resources: dict[str, Going] = field(default_factory=dict)
    _sent: deque[tuple[float, int]] = field(default_factory=deque)

    def going(self, name: str, tally: Tally, kind: str = "") -> Going:
        """The resource of that name; its pass begins now where a kind is named."""
        found = self.resources.get(name)
        if found is None or kind:
            found = self.resources[name] = Going(kind, self.now(), tally)
        return found

    def ended(self, name: str, tally: Tally) -> None:
        """The pass over it ended, well or not."""
        going = self.going(name, tally)
        going.took = self.now() - going.began

    @property
    def requests(self) -> int:
        """All that were sent for its resources."""
        return sum(one.tally.requests for one in list(self.resources.values()))

    def pace(self) -> float | None:
        """Requests in a second, by the last half minute; None until that says something."""
        now = self.now()
        self._sent.append((now, self.requests))
        while now - self._sent[0][0] > LOOKED_BACK:
            self._sent.popleft()
        since, before = self._sent[0]
        return (self.requests - before) / (now - since) if now - since >= STEADY else None

    def left(self) -> Left | None:
        """The time that requests still to come take; None where none of them is known."""
        pace, found = self.pace(), [self._left(resource) for resource in self.planned]
        known = [requests for requests in found if requests]
        if not pace or not known:
            return None
        return Left(sum(known) / pace, at_least=None in found)

    def _left(self, resource: Resource) -> float | None:
        going = self.resources.get(resource.name)
        if going:
            return going.left
        reading = resource.reading
        if isinstance(reading, PerContact) and (reading.embedded or not self._is_load):
            return 0.0  # read of few, as a rule
        if isinstance(reading, PerContact) and not reading.counted:
            return self._contacts
        return None if isinstance(reading, Search | PerContact) else 0.0

    @property
    def _is_load(self) -> bool:
        return any(one.kind == FULL and one.share is not None for one in self._of_persons())

    @property
    def _contacts(self) -> float | None:
        """As many as are there of the resources that fill their table."""
        found = self._of_persons()
        counted = [one.tally.expected or one.tally.fetched for one in found]
        return float(sum(counted)) if counted else None

    def _of_persons(self) -> list[Going]:
        filling = [one.name for one in self.planned if one.table is PERSONS]
        found = [self.resources[name] for name in filling if name in self.resources]
        return [one for one in found if one.tally.asked is None and one.kind == FULL]
