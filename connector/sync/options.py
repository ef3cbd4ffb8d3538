"""What one run is asked to do."""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec import Struct, field

from connector.warehouse.encode.exclusions import Privacy


class Options(Struct, frozen=True):
    """What one run is asked to do."""

    command: str = "sync"
    only: tuple[str, ...] | None = None
    left_out: frozenset[str] = frozenset()  # of everything, or of what is named
    full: bool = False
    since: datetime | None = None
    lookback: timedelta = timedelta(seconds=900)
    refresh_interval: timedelta = timedelta(days=30)
    full_pass_requests: int = 0  # that one run spends on full passes before they must be
    full_pass_days: float = 7  # so long a resource waits for its full pass at most
    activity_feed: bool = True
    only_active: bool = False  # of contacts that were not active events wait for their turn
    keep_runs: timedelta = timedelta(days=400)
    allow_deletes: bool | tuple[str, ...] = False  # opens the fuse: for all, or for those named
    auto_migrate: bool = True
    privacy: Privacy = field(default_factory=Privacy)
    partial: bool = False  # it is no run over all that the settings select
    lift_exclusions: bool = False
    history: tuple[str, ...] = ()  # the tables of which it is kept
    history_kept: timedelta | None = None  # so long after its end a version stays; None: for good
    live_delay: float = 2.0  # seconds that a hint waits for others of the same object
    drops_foreign_hints: bool = False  # those of tables that are not selected
    lock_patience: float = 0.0  # seconds for which another process may hold the schema

    @property
    def begins_history(self) -> tuple[str, ...]:
        """The tables whose history it turns on where it is off: those of a whole run."""
        return () if self.partial else self.history
