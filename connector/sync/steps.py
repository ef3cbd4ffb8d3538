"""One step for one resource: counted, recorded, and its failure kept from the others."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable

from msgspec import Struct

from connector.errors import ConnectorError, DatabaseError, FenceError, TokenRefusedError
from connector.intercom.budget import spending
from connector.intercom.client import Client
from connector.resources.resource import Resource
from connector.sync.options import Options
from connector.sync.outcome import Outcome
from connector.sync.planning.tolerance import is_news, is_tolerated
from connector.sync.writing.writer import Writer
from connector.warehouse import state
from connector.warehouse.state.runs import Tally

logger = logging.getLogger(__name__)

STOPS = (TokenRefusedError, DatabaseError, FenceError)

Step = Callable[[Resource, Tally], Awaitable[None]]


class Steps(Struct):
    """Takes the steps of one run, and keeps its accounts."""

    client: Client
    writer: Writer
    options: Options
    outcome: Outcome

    async def take(self, resource: Resource, step: Step) -> None:
        """One step; its failure is recorded and the run goes on. What stops a run is raised."""
        tally = self.tally(resource)
        began = time.monotonic()
        try:
            with spending(tally):
                await step(resource, tally)
            tally.succeed()
        except STOPS as error:
            tally.status, tally.error = "failed", str(error)
            raise
        except ConnectorError as error:
            tolerated = await self._is_tolerated(resource, error)
            if not tolerated or self.counted_as(resource) == resource.name:
                tally.status, tally.error, tally.tolerated = "failed", str(error), tolerated
            await self._say(resource, error, tolerated)
        except Exception as error:
            tally.status, tally.error = "failed", f"{type(error).__name__}: {error}"
            logger.exception("%s failed", resource.name)
        except BaseException:
            tally.status = "interrupted"
            raise
        finally:
            tally.seconds += time.monotonic() - began
        self.record(resource)

    def counted_as(self, resource: Resource) -> str:
        """Its name; of what was not asked for by name, that of what it gives early signals of."""
        only, name = self.options.only, resource.name
        if only and name not in only:
            return next((other for other in resource.early_signal_of if other in only), name)
        return name

    def tally(self, resource: Resource) -> Tally:
        """What the run did to the resource so far."""
        return self.outcome.resources.setdefault(self.counted_as(resource), Tally())

    def has_succeeded(self, resource: Resource) -> bool:
        """Whether none of its steps failed."""
        return self.tally(resource).status == "succeeded"

    def record(self, resource: Resource) -> None:
        """Keep its tally in the warehouse, with the next transaction."""
        self.writer.account(self.counted_as(resource), self.tally(resource))

    def count_deleted(self, resource: Resource, found: Resource, number: int) -> None:
        """Count rows that were marked for the resource that found them, if it was read."""
        read = self.counted_as(found) in self.outcome.resources
        counted = found if read else resource
        self.tally(counted).deleted += number
        self.record(counted)

    async def _is_tolerated(self, resource: Resource, error: ConnectorError) -> bool:
        """Whether its failure makes the run fail no more than it did before."""
        progress = await self.writer.look(lambda conn: state.progress(conn, resource.name))
        return is_tolerated(
            resource,
            error,
            asked_for=self.options.only is not None,
            read_before=progress.last_success_at is not None,
        )

    async def _say(self, resource: Resource, error: ConnectorError, tolerated: bool) -> None:
        """Say what failed; what is tolerated only when it did not fail so in the run before."""
        level, run_id = logging.ERROR, self.writer.run_id
        if tolerated:
            before = await self.writer.look(
                lambda conn: state.failure_before(conn, run_id, resource.name)
            )
            asked = self.counted_as(resource) == resource.name
            level = logging.WARNING if asked and is_news(str(error), before) else logging.INFO
        logger.log(level, "%s failed: %s", resource.name, error)
