"""A small workspace and what happens in it, day by day, chosen by a seed.

Every kind of change that the simulator knows comes often enough over a year. ``log`` tells what
happened when, so that a failing night can be understood.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from random import Random
from typing import Any

from connector.simulator import Workspace
from tests.support.harness import NOW, Harness
from tests.support.life.companies import Companies
from tests.support.life.contacts import Contacts
from tests.support.life.conversations import Conversations
from tests.support.life.directories import Directories
from tests.support.life.kind import DAY, Change
from tests.support.life.tickets import Tickets

KINDS = ("contacts", "companies", "conversations", "tickets")


def small_workspace(seed: int, scale: float = 1.0) -> Workspace:
    """About sixty contacts, twelve companies, twenty-five conversations, ten tickets."""
    sizes = {"contacts": 60, "companies": 12, "conversations": 25, "tickets": 10}
    scaled: dict[str, Any] = {kind: max(3, round(size * scale)) for kind, size in sizes.items()}
    return Workspace.generate(
        seed, **scaled, tags=14, segments=6, admins=6, teams=3, events=60, articles=6,
        news_items=3, macros=4, calls=4, activity_logs=6, parts=(1, 5), now=int(NOW),
    )  # fmt: skip


class Life:
    """What happens in the workspace of a harness; all chance comes from the seed."""

    def __init__(self, harness: Harness, seed: int) -> None:
        self.harness, self.control = harness, harness.control
        self.space = harness.simulator.workspace
        self.random = Random(seed)
        self.nights = 0
        self.log: list[str] = []
        sizes = {kind: len(self.space.shelf(kind)) for kind in KINDS}
        whose = harness, self.random, sizes
        self.meanwhile = [*Contacts(*whose).changes(), *Companies(*whose).changes()]
        self.meanwhile += [*Conversations(*whose).changes(), *Tickets(*whose).changes()]
        self.changes = [*self.meanwhile, *Directories(*whose).changes()]

    def night(self, changes: int = 30) -> None:
        """A day of changes, spread over it, some of them moments before its end."""
        self.nights += 1
        moments = sorted(self._moment() for _ in range(changes))
        last = 0.0
        for moment in moments:
            self.harness.pass_time(moment - last)
            last = moment
            self.change(self.changes)
        self.harness.pass_time(DAY - last)

    def disturb(self, most: int = 4, requests: int = 80) -> None:
        """Let a few changes happen while the next sync reads."""
        self.control.clear_hooks()
        for _ in range(self.random.randint(0, most)):
            after, before = self.random.randrange(requests), self.random.random() < 0.5
            self.control.when(None, self._meanwhile, after=after, before=before)
            # Some answers are long in the making.
            self.control.when(None, self._wait, after=self.random.randrange(requests), before=True)

    def change(self, changes: Sequence[tuple[int, Change]]) -> None:
        """One change that finds something to do."""
        weights = [weight for weight, _ in changes]
        for _ in range(50):
            [(_, change)] = self.random.choices(changes, weights)
            done = change()
            if done is not None:
                self._note(done)
                return

    def told(self, *about: str, last: int = 40) -> str:
        """The end of the log; only what is about these, if any are named."""
        lines = [line for line in self.log if not about or any(one in line for one in about)]
        return "\n".join(lines[-last:])

    def _wait(self) -> None:
        self.harness.pass_time(self.random.randint(0, 20))

    def _meanwhile(self) -> None:
        self.log.append("(while the sync reads)")
        self.change(self.meanwhile)

    def _moment(self) -> float:
        # A tenth of the changes comes in the last minutes, when lists cannot show them in time.
        if self.random.random() < 0.1:
            return DAY - self.random.uniform(0, 900)
        return self.random.uniform(0, DAY)

    def _note(self, done: str) -> None:
        at = datetime.fromtimestamp(int(self.harness.now), UTC)
        self.log.append(f"{self.nights} {at:%m-%d %H:%M:%S} {int(self.harness.now)} {done}")
