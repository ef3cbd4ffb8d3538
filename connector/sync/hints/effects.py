"""What becomes of hints with the rows that were read for them: effects, as values."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import sqlalchemy as sa

from connector.sync.writing.effects import Effect
from connector.warehouse import state
from connector.warehouse.merge.deletion_tracker import DeletionTracker
from connector.warehouse.state import inbox
from connector.warehouse.state.inbox import Waiting


class SettleHints(Effect, frozen=True):
    """These were read; what was told again meanwhile is due again ``delay`` seconds after that."""

    hints: Sequence[Waiting]
    delay: float

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        inbox.settle(conn, self.hints, self.delay)
        return 0


class PostponeHints(Effect, frozen=True):
    """These were read in vain: they stay due, later and later, and become pending at last."""

    hints: Sequence[Waiting]
    resource: str
    reason: str
    now: datetime
    at_least: float = 0.0  # seconds before which it would be in vain

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        for one in inbox.postpone(conn, self.hints, self.at_least):
            state.postpone(conn, self.resource, [one.id], self.reason, self.now, one.announced)
        return 0
