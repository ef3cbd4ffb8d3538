"""What a sync that began at some time cannot know yet, object by object, and why it cannot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property

from connector.resources import RESOURCES
from connector.resources.readings import Search
from tests.support.harness import Harness

Keys = frozenset[tuple[str, ...]]

DAY = timedelta(days=1)
SWEEP = timedelta(days=30) + DAY  # everything read in turn is read again within so long
RARELY = timedelta(days=28) + DAY  # so seldom are those asked for that lists are known to hide

LAGGING = ("contacts", "companies", "conversations", "tickets")
# What Intercom tells of by feeds, so that it need not wait for a full pass: the resource of each.
FEEDS = {
    ("contacts", "deleted"): "contact_merges",
    ("contacts", "merged"): "contact_merges",
    ("conversations", "deleted"): "deleted_conversations",
}


class Doubts:
    """What may be wrong in the warehouse after a sync without being a fault of it.

    Nothing, unless it is told when the sync ``began``. Without ``after_full`` also what full
    passes find and none has found yet.
    """

    def __init__(self, harness: Harness, began: float | None, after_full: bool) -> None:
        self.harness, self.began, self.after_full = harness, began, after_full

    def about(self, name: str) -> Keys:
        """Keys of the rows, or owners of the links, of a table that may differ."""
        if self.began is None:
            return frozenset()
        if name == "events":
            return self._events
        if name == "contact_subscriptions":
            # No list and no updated_at tells that somebody subscribed: read in turn.
            return self._silent(name, self.began - SWEEP.total_seconds()) | self.about("contacts")
        return self._lagging(name) if name in LAGGING else frozenset()

    def about_targets(self, name: str) -> Keys:
        """Targets of links that may be missing, or be there still."""
        # The members of a segment come from a search of contacts, which lags like any other.
        return self._unsettled("contacts") if name == "contact_segments" else frozenset()

    def may_live(self, kind: str, id: str, how: str, at: int) -> bool:
        """Whether an object that went so may still pass for living."""
        if self.began is None:
            return False
        if how == "archived" and self.harness.simulator.archived_by_id == "shown":
            return (
                True  # lists hide it and reads by id show it: a company without users is the same
            )
        if self.was_told(kind, how, at):
            return False
        return (id,) in self.about(kind) or (id,) in self._left_alone(kind)

    def was_told(self, kind: str, how: str, at: int) -> bool:
        """Whether a feed told of it, and the sync read that feed."""
        feed = FEEDS.get((kind, how))
        read_at = self._fresh.get(feed) if feed else None
        if read_at is None:
            return False
        # The second in which a feed was read may have gone on.
        return at + self.harness.simulator.feed_lag < int(read_at.timestamp())

    def _lagging(self, kind: str) -> Keys:
        # Lists go on showing what was before a change for the lag; nothing can be known of it.
        found = self._unsettled(kind)
        if not self.after_full:
            # What moves no updated_at, and what vanishes, only a list read whole can show.
            found |= self._silent(kind, self._last_full_pass(kind))
        return found

    @cached_property
    def _events(self) -> Keys:
        # An event that a server sent leaves its contact as it is: found when its turn comes.
        assert self.began is not None
        control, lag = self.harness.control, self.began
        found = set(control.unsettled("events", lag))
        found |= set(control.silent("events", lag - SWEEP.total_seconds()))
        contacts = self.about("contacts")
        return frozenset(
            key
            for event in control.truth("events")
            if " ".join(map(str, _event(event))) in found or (event["contact_id"],) in contacts
            for key in [_stored(event)]
        )

    def _unsettled(self, kind: str) -> Keys:
        if self.began is None:
            return frozenset()
        return frozenset((id,) for id in self.harness.control.unsettled(kind, self.began))

    def _silent(self, kind: str, since: float) -> Keys:
        return frozenset((id,) for id in self.harness.control.silent(kind, since))

    def _left_alone(self, table: str) -> Keys:
        # Lists hide companies without users: reads by id showed it alive, and are seldom repeated.
        assert self.began is not None
        rows = self.harness.query(
            "SELECT id FROM sync_unlisted WHERE table_name = %s AND reads > 1"
            " AND extract(epoch FROM read_at) > %s",
            table,
            self.began - RARELY.total_seconds(),
        )
        return frozenset((row["id"],) for row in rows)

    def _last_full_pass(self, table: str) -> float:
        resources = [
            r for r in RESOURCES if r.table.name == table and isinstance(r.reading, Search)
        ]
        # Companies are read whole by every sync.
        times = [
            row["last_full_pass_at"]
            for row in self._states
            if row["resource"] in [r.name for r in resources]
        ]
        assert self.began is not None
        return min((time.timestamp() if time else 0.0 for time in times), default=self.began)

    @cached_property
    def _states(self) -> list[dict[str, datetime]]:
        return self.harness.query("SELECT * FROM sync_state")

    @cached_property
    def _fresh(self) -> dict[str, datetime]:
        return {str(row["resource"]): row["fresh_as_of"] for row in self._states}


def _event(event: dict[str, object]) -> tuple[object, object, object]:
    return event["contact_id"], event["event_name"], event["created_at"]


def _stored(event: dict[str, object]) -> tuple[str, ...]:
    second = datetime.fromtimestamp(int(str(event["created_at"])), UTC)
    return str(event["contact_id"]), str(event["event_name"]), str(second)
