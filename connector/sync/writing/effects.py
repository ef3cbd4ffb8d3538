"""What commits with the records that justify it, or after the last of them: effects, as values.

A pass hands effects to the writer, with records or alone; only the writer applies them. An effect
changes the state of the sync (cursors, partitions, pending objects, candidates), or says what is
gone: of rows it writes only deletions and merges.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar

import sqlalchemy as sa
from msgspec import Struct, field
from msgspec.structs import replace

from connector.errors import MergedError, NotFoundError
from connector.resources.lists import Record
from connector.resources.resource import Resource, Table
from connector.warehouse import state
from connector.warehouse.merge.deletion_tracker import DeletionTracker
from connector.warehouse.state import candidates, reads
from connector.warehouse.state.partitions import Span


class Effect(Struct, frozen=True):
    """A change of state that commits with what justifies it."""

    told: ClassVar[Collection[str]] = ()
    """Fields of which one must hold something, or there is nothing to do."""
    repeated: ClassVar[bool] = False
    """Whether a crash of the server that undoes it has work done again, and nothing skipped."""
    repeated_with_pass: ClassVar[bool] = False
    """The same where the end of the pass that found it is undone with it."""

    @abstractmethod  # as mypy reads it: a struct is no ABC
    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        """Make the change; returns how many rows that marked deleted."""

    def without(self, refused: Collection[str]) -> Effect:
        """The effect as it holds when Postgres refused the rows with these pending keys."""
        return self

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do, so that no statement need be executed."""
        return bool(self.told) and not any(getattr(self, name) for name in self.told)


def may_be_lost(effects: Iterable[Effect]) -> bool:
    """Whether a transaction of nothing but these need not be safe before the run goes on."""
    all_of_them = list(effects)
    ends = any(isinstance(one, Advance) and one.ends_pass for one in all_of_them)
    return all(
        one.is_empty or one.repeated or (ends and one.repeated_with_pass) for one in all_of_them
    )


# -- how far reading has come ----------------------------------------------------------------


class Advance(Effect, frozen=True):
    """The resource is as far as these values say; ``ends_plan``: its partitions are all read.

    ``past_rows``: what lies before is not read again, so no row of it may be missing. That is so of
    feeds, which have no plan to end.
    """

    repeated = True
    resource: str
    values: Mapping[str, Any]
    ends_plan: bool = False
    past_rows: bool = False

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        if self.values:
            state.advance(conn, self.resource, **self.values)
        if self.ends_plan:
            state.drop_partitions(conn, self.resource)
        return 0

    def without(self, refused: Collection[str]) -> Effect:
        return replace(self, values={}) if self.past_rows else self

    @property
    def ends_pass(self) -> bool:
        """Whether the next pass begins where this one ended."""
        return "cursor" in self.values


class FinishPartition(Effect, frozen=True):
    """One partition of a full pass is read."""

    repeated = True
    resource: str
    span: Span

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        state.finish_partition(conn, self.resource, self.span)
        return 0


class NoteRead(Effect, frozen=True):
    """The lists of these owners were read then; of each, how many elements it had or lacks."""

    told, repeated = ("read",), True
    resource: str
    read: Mapping[str, datetime]
    elements: int | None = None
    short: Mapping[str, reads.Short] = field(default_factory=dict)
    shown_for: timedelta | None = None  # what is older their lists do not show
    in_part: Collection[str] = ()  # whose lists were read as far as they could hold news

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        reads.note(
            conn,
            self.resource,
            self.read,
            self.elements,
            self.short,
            self.shown_for,
            self.in_part,
        )
        state.settle(conn, [self.resource], self.read)
        return 0

    def without(self, refused: Collection[str]) -> Effect:
        return replace(self, read={k: at for k, at in self.read.items() if k not in refused})


class WantRead(Effect, frozen=True):
    """The records of these contacts do not embed what is then asked for by contact."""

    resource: str
    ids: Collection[str]

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        reads.want(conn, self.resource, self.ids)
        return 0


# -- what is pending -------------------------------------------------------------------------


class Settle(Effect, frozen=True):
    """These objects were answered: they are pending no more under any of the names."""

    told, repeated = ("ids",), True
    names: Sequence[str]
    ids: Collection[str]

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        state.settle(conn, self.names, self.ids)
        return 0

    def without(self, refused: Collection[str]) -> Effect:
        return replace(self, ids=[key for key in self.ids if key not in refused])


class Postpone(Effect, frozen=True):
    """What could not be read must be read again; the reasons stand by id.

    ``announced`` says how new the copy must be, of those of which a search told.
    """

    told = ("reasons",)
    resource: str
    reasons: Mapping[str, str]
    now: datetime
    announced: Mapping[str, datetime | None] = field(default_factory=dict)

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        for key, reason in self.reasons.items():
            announced_at = self.announced.get(key)
            state.postpone(conn, self.resource, [key], reason, self.now, announced_at)
        return 0


class Queue(Effect, frozen=True):
    """These objects must be read, which nobody has tried yet."""

    told = ("ids",)
    name: str
    ids: Collection[str]
    reason: str
    now: datetime

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        state.doubt(conn, self.name, self.ids, self.reason, self.now)
        return 0


class SettlePlaces(Effect, frozen=True):
    """Of the places in a list that could not be shown only these are pending still."""

    repeated = True
    resource: str
    kept: Collection[str]

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        mine = [one.id for one in state.pending(conn) if one.resource == self.resource]
        settled = [key for key in mine if is_place(key) and key not in self.kept]
        state.settle(conn, self.resource, settled)
        return 0


def is_place(id: str) -> bool:
    """Whether a pending id is a place in a list and no object's."""
    return id.startswith(("place ", "GET "))


class NotePlaceholdersTried(Effect, frozen=True):
    """These placeholders were asked for so often more, and could not be filled."""

    told = ("ids",)
    table: Table
    ids: Sequence[str]
    tries: int

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        tracker.loader.note_tried(conn, self.table, self.ids, self.tries)
        return 0


# -- what is gone ----------------------------------------------------------------------------


class NoteOmitted(Effect, frozen=True):
    """A list asked for at ``read_at`` omits what becomes a candidate, to be asked for by id.

    ``span``: it shows only what falls into that by the column ``by``. What was created or changed
    after ``before`` it need not show.
    """

    repeated_with_pass = True
    resource: Resource
    seen: Iterable[str]
    read_at: datetime
    before: datetime
    span: Span | None = None
    by: str = ""

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        number = candidates.add_omitted(
            conn,
            tracker.loader.names,
            self.resource,
            self.seen,
            self.read_at,
            self.before,
            self.span,
            self.by,
        )
        if number:
            tracker.tables.add(self.resource.table.name)
        return 0


class NoteAnswers(Effect, frozen=True):
    """What reads by id said: ``alive`` are no candidates, ``gone`` and ``archived`` are.

    ``unliving`` are archived, and no living rows here before: nothing is at stake with them.
    """

    told = ("alive", "gone", "archived", "unliving")
    resource: Resource
    now: datetime
    alive: Sequence[str] = ()
    gone: Mapping[str, NotFoundError | MergedError] = field(default_factory=dict)
    archived: Collection[str] = ()
    unliving: Collection[str] = ()

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        table = self.resource.table
        tracker.read_alive(conn, table, self.alive)
        tracker.answered_gone(conn, self.resource, self.gone, self.archived, self.now)
        return tracker.mark_archived(conn, table, self.unliving, self.now) if self.unliving else 0


class NoteUnlisted(Effect, frozen=True):
    """Lists omit these, and reads by id show them; of all ``answered`` nothing is left to ask."""

    told = ("shown", "answered")
    resource: Resource
    shown: Sequence[str]
    answered: Sequence[str]
    now: datetime

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        candidates.note_unlisted(conn, self.resource, self.shown, self.now)
        candidates.drop_unanswered(conn, self.resource.name, self.answered)
        return 0


class DropUnanswered(Effect, frozen=True):
    """What lists omit is no candidate where they could not show all."""

    told = ("ids",)
    resource: str
    ids: Sequence[str]

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        candidates.drop_unanswered(conn, self.resource, self.ids)
        return 0


class Claim(Effect, frozen=True):
    """A feed says that these are gone since then; ``untold``: unless rows of its own say so."""

    told = ("times",)
    resource: Resource
    times: Mapping[str, datetime]
    now: datetime
    untold: bool = False

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        if self.untold:
            tracker.claim_untold(conn, self.resource, self.times, self.now)
        else:
            table, name = self.resource.table, self.resource.name
            tracker.claim(conn, table, name, self.times, self.now)
        return 0


class MarkAbsent(Effect, frozen=True):
    """What a list that is always complete omits is gone."""

    repeated_with_pass = True
    resource: Resource
    present: Sequence[Record]
    began_at: datetime

    def apply(self, conn: sa.Connection, tracker: DeletionTracker) -> int:
        return tracker.mark_absent(conn, self.resource, self.present, self.began_at)
