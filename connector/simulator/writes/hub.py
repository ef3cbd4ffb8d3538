"""The writing side of one simulator: everything that takes part in a write, and its clock."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from connector.simulator.writes.associations import Associations
from connector.simulator.writes.bulk.items import Bulk
from connector.simulator.writes.bulk.queue import Queue
from connector.simulator.writes.companies import CompanyWrites
from connector.simulator.writes.contacts import ContactWrites
from connector.simulator.writes.identities import Identities
from connector.simulator.writes.log import Log
from connector.simulator.writes.refusals import Refusals
from connector.simulator.writes.settings import Writing

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator


class Writes:
    """What one simulator makes of writes."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self.settings = Writing()
        self.log = Log()
        self.refusals = Refusals()
        self.identities = Identities(simulator.workspace)
        self.contacts = ContactWrites(simulator, self)
        self.companies = CompanyWrites(simulator, self)
        self.associations = Associations(simulator, self)
        self.queue = Queue(simulator, self, Bulk(self).carry)

    def later(self, at: float, act: Callable[[], None]) -> None:
        """Do something at a time, as if it were that time whenever it is really done.

        What it does belongs to the write that is being carried out now.
        """
        effects = self.log.open

        def due(second: int) -> None:
            with self._simulator.at(at), self.log.collect(*effects):
                act()

        self._simulator.workspace.later(at, due)
