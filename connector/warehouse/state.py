"""Cursors, windows, pending objects and runs: the sync's own memory, in the workspace's schema.

Every function takes an open connection, so that what it records commits together with the rows
that justify it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB, insert

from connector.errors import FenceError
from connector.warehouse.schema import INSTANT, plain

_meta = sa.MetaData()


def helper_table(name: str, sentence: str, *columns: sa.schema.SchemaItem) -> sa.Table:
    """A table of the sync's own, in the schema of the workspace."""
    return sa.Table(name, _meta, *columns, comment=sentence)


def key_column(name: str, sentence: str) -> sa.Column[Any]:
    """A text column of the primary key."""
    return sa.Column(name, sa.Text(), primary_key=True, comment=sentence)


WORKSPACE = helper_table(
    "sync_workspace",
    "The Intercom workspace that this schema mirrors: one row, written by the first sync.",
    key_column("id_code", "Intercom's code of the workspace"),
    plain("name", sa.Text(), "Name of the workspace"),
    plain("region", sa.Text(), "Region in which Intercom hosts it"),
    plain("timezone", sa.Text(), "Timezone of the workspace, which bounds the days of its search"),
    plain("api_version", sa.Text(), "API version of the last sync; a change makes the next full"),
    plain("pinned_at", INSTANT, "When the first sync pinned the workspace"),
    plain(
        "exclusions_pinned_at",
        INSTANT,
        "When a whole run last pinned what CONNECTOR_EXCLUDE keeps out; null before the first",
    ),
)

STATE = helper_table(
    "sync_state",
    "How far each resource has been read. All instants are by Intercom's clock.",
    key_column("resource", "Name of the resource"),
    plain("cursor", INSTANT, "Changes up to here have been read; null before the first full pass"),
    plain("fresh_as_of", INSTANT, "When the last pass that succeeded began"),
    plain("last_full_pass_at", INSTANT, "When the last full pass that succeeded began"),
    plain("last_success_at", INSTANT, "When the last pass that succeeded ended"),
    plain("full_owed_since", INSTANT, "Since when a full pass is owed; null if none is"),
    plain(
        "full_reason",
        sa.Text(),
        "Why it is owed: first, asked, mapping or due; tried if it failed since, whatever it was",
    ),
    plain("plan_began_at", INSTANT, "When the full pass that is under way began; null if none is"),
    plain(
        "plan_since",
        INSTANT,
        "Limit of backfill --since: only objects updated since come in unasked; null for none",
    ),
    plain("limited_at", INSTANT, "When that limit was set, by Intercom's clock; null for none"),
    plain(
        "plan_mapping",
        sa.Text(),
        "How the full pass that is under way makes its rows, as mapping; null if none is",
    ),
    plain(
        "mapping",
        sa.Text(),
        "How the last full pass that succeeded made its rows: declarations, API version and"
        " exclusions; null if rows were written from anything else since",
    ),
    plain("position", sa.Text(), "Page token from which a feed is read on"),
)

WINDOWS = helper_table(
    "sync_windows",
    "Windows of the full passes that are under way; they go when their pass has succeeded.",
    key_column("resource", "Name of the resource"),
    sa.Column(
        "lower_bound",
        INSTANT,
        primary_key=True,
        comment="First created_at of the window; -infinity where it has none",
    ),
    sa.Column(
        "upper_bound",
        INSTANT,
        nullable=False,
        comment="First created_at after the window; infinity where there is none",
    ),
    plain("finished_at", INSTANT, "When the window's rows were committed; null if they were not"),
)

PENDING = helper_table(
    "sync_pending",
    "What must be read again, one by one; a row goes when its object was read.",
    key_column("resource", "Name of the resource"),
    key_column("id", "Intercom's id of the object, or where in its list it stands if that is all"),
    plain("reason", sa.Text(), "Why it must be read again"),
    sa.Column(
        "attempts",
        sa.Integer(),
        nullable=False,
        server_default=sa.text("0"),
        comment="How often reading it has failed",
    ),
    plain("not_before", INSTANT, "Not tried again before, by Intercom's clock"),
    plain("first_seen_at", INSTANT, "When it became pending, by Intercom's clock"),
)

PLACEHOLDERS = helper_table(
    "sync_placeholders",
    "Placeholders that were asked for by id in vain.",
    key_column("table_name", "Table of the placeholder"),
    key_column("id", "Intercom's id of the object"),
    sa.Column(
        "attempts",
        sa.Integer(),
        nullable=False,
        server_default=sa.text("1"),
        comment="How often it was asked for",
    ),
    sa.Column(
        "last_tried_at",
        INSTANT,
        nullable=False,
        server_default=sa.func.now(),
        comment="When it was last asked for, by the database's clock",
    ),
)

READS = helper_table(
    "sync_reads",
    "When contacts and groups were last read one by one, for what Intercom has no list of.",
    key_column("resource", "Name of the resource"),
    key_column("id", "Intercom's id of the contact or group"),
    sa.Column(
        "read_at", INSTANT, nullable=False, comment="When it was last read, by Intercom's clock"
    ),
    plain("elements", sa.BigInteger(), "How many elements its list had"),
    plain(
        "short_reads",
        sa.Integer(),
        "How often in a row its list was shorter than Intercom counts; null if it was not",
    ),
    plain(
        "again_at",
        INSTANT,
        "When a list that was too short is asked for again, by Intercom's clock",
    ),
)

EXCLUSIONS = helper_table(
    "sync_exclusions",
    "What CONNECTOR_EXCLUDE keeps out, and whether what was stored before has been cleaned.",
    key_column("name", "The excluded field: table.column, or table.column.key"),
    sa.Column(
        "manner",
        sa.Text(),
        nullable=False,
        comment="null; hash: and what tells one key from another; lifted where hashes may remain",
    ),
    plain("hashing", sa.Boolean(), "Whether stored values become hashes; else they are emptied"),
    plain("position", JSONB(), "The last row that was cleaned: its table and key"),
    plain("cleaned_at", INSTANT, "When all stored rows were clean; null if they are not yet"),
)

FORGOTTEN = helper_table(
    "sync_forgotten",
    "Contacts whose personal data is not stored: they are emptied at every merge.",
    key_column("contact_id", "Intercom's id of the contact"),
    sa.Column(
        "forgotten_at", INSTANT, nullable=False, comment="Since when, by Intercom's clock if known"
    ),
    sa.Column(
        "reason",
        sa.Text(),
        nullable=False,
        comment="forgotten on demand, deleted at Intercom, or merged into another contact, which"
        " empties only its own row",
    ),
    plain(
        "rows_noted_at",
        INSTANT,
        "When its rows were noted in sync_forgotten_rows; null if they were not yet",
    ),
)

FORGOTTEN_ROWS = helper_table(
    "sync_forgotten_rows",
    "What was about a forgotten contact: it stays empty, also where a merge gives it to another.",
    key_column("table_name", "Table of the row"),
    key_column("id", "Intercom's id of the object"),
    key_column("about", "Column or link table that named the contact"),
    key_column("contact_id", "The forgotten contact"),
)

RUNS = helper_table(
    "sync_runs",
    "Runs of the commands that write.",
    sa.Column(
        "id", sa.BigInteger(), sa.Identity(always=True), primary_key=True, comment="Number of run"
    ),
    plain("command", sa.Text(), "Command that ran"),
    plain("started_at", INSTANT, "When it started, by the database's clock"),
    plain("finished_at", INSTANT, "When it ended, by the database's clock; null while it runs"),
    plain("status", sa.Text(), "running, succeeded, failed or interrupted"),
    plain("error", sa.Text(), "Why it did not succeed"),
)

RUN_RESOURCES = helper_table(
    "sync_run_resources",
    "What each run did, resource by resource.",
    sa.Column(
        "run_id", sa.BigInteger(), primary_key=True, autoincrement=False, comment="sync_runs.id"
    ),
    key_column("resource", "Name of the resource"),
    plain("status", sa.Text(), "running, succeeded, failed or interrupted"),
    plain("requests", sa.BigInteger(), "Requests sent to Intercom, repeated ones included"),
    plain("fetched", sa.BigInteger(), "Records read"),
    plain("inserted", sa.BigInteger(), "Rows that are new in the resource's table"),
    plain("updated", sa.BigInteger(), "Rows of the resource's table that changed"),
    plain("unchanged", sa.BigInteger(), "Records that changed nothing"),
    plain("deleted", sa.BigInteger(), "Rows marked deleted"),
    plain("warnings", sa.BigInteger(), "Values that did not fit their column"),
    plain("seconds", sa.Numeric(), "Duration in seconds"),
    plain("error", sa.Text(), "Why it did not succeed"),
    plain("parts", sa.BigInteger(), "Parts of its living objects that are stored, after the run"),
    plain("incomplete", sa.BigInteger(), "Objects with fewer parts than Intercom counts"),
    plain("truncated", sa.BigInteger(), "Objects with more parts than Intercom shows"),
)

CUSTOM_COLUMNS = helper_table(
    "custom_columns",
    "Which custom attribute is which column of the views: names once given stay, whatever becomes"
    " of the attribute.",
    key_column("model", "What the attribute describes: contact, company, conversation or ticket"),
    key_column("full_name", "Full name of the attribute (data_attributes.full_name)"),
    key_column("data_type", "Type of its values at Intercom, as when the column was named"),
    sa.Column("name", sa.Text(), nullable=False, comment="Its key in the map of values"),
    sa.Column(
        "column_name", sa.Text(), nullable=False, comment="Column of the views that shows it"
    ),
    plain(
        "archived_at",
        INSTANT,
        "When it was found to be archived or gone, by the database's clock; null while it lives",
    ),
    sa.UniqueConstraint("model", "column_name"),
)


def add_state_tables(meta: sa.MetaData) -> None:
    """Copy the state tables into ``meta``."""
    for table in _meta.sorted_tables:
        table.to_metadata(meta)


# -- the workspace ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Workspace:
    """The workspace that a token opens, or that a schema is pinned to."""

    id_code: str
    name: str | None
    region: str | None
    timezone: str | None
    api_version: str


def pinned(conn: sa.Connection) -> Workspace | None:
    """The workspace of this schema, or None before the first sync."""
    columns = [WORKSPACE.c[name] for name in Workspace.__dataclass_fields__]
    row = conn.execute(sa.select(*columns)).mappings().first()
    return Workspace(**row) if row else None


def pin(conn: sa.Connection, workspace: Workspace) -> None:
    """Pin the schema to the workspace, or note its present name, timezone and API version."""
    values = asdict(workspace)
    statement = insert(WORKSPACE).values(**values, pinned_at=sa.func.now())
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["id_code"],
            set_=values,
            where=sa.or_(*(WORKSPACE.c[k].is_distinct_from(v) for k, v in values.items())),
        )
    )


# -- cursors and plans -----------------------------------------------------------------------


@dataclass(frozen=True)
class Progress:
    """How far one resource has been read; see the comments of sync_state."""

    cursor: datetime | None = None
    fresh_as_of: datetime | None = None
    last_full_pass_at: datetime | None = None
    last_success_at: datetime | None = None
    full_owed_since: datetime | None = None
    full_reason: str | None = None
    plan_began_at: datetime | None = None
    plan_since: datetime | None = None
    limited_at: datetime | None = None
    plan_mapping: str | None = None
    mapping: str | None = None
    position: str | None = None


def progress(conn: sa.Connection, resource: str) -> Progress:
    """How far the resource has been read; all None if never."""
    columns = [STATE.c[name] for name in Progress.__dataclass_fields__]
    query = sa.select(*columns).where(STATE.c.resource == resource)
    row = conn.execute(query).mappings().first()
    return Progress(**row) if row else Progress()


def latest(conn: sa.Connection) -> datetime | None:
    """An instant, by Intercom's clock, that lies behind; the latest that is known here."""
    known = sa.func.greatest(STATE.c.cursor, STATE.c.fresh_as_of, STATE.c.last_success_at)
    found: datetime | None = conn.execute(sa.select(sa.func.max(known))).scalar()
    return found


def advance(conn: sa.Connection, resource: str, **values: Any) -> None:
    """Record progress; neither the cursor nor the freshness goes backwards."""
    statement = insert(STATE).values(resource=resource, **values)
    changes: dict[str, Any] = {name: statement.excluded[name] for name in values}
    for name in {"cursor", "fresh_as_of"} & values.keys():
        changes[name] = sa.func.greatest(STATE.c[name], statement.excluded[name])
    conn.execute(statement.on_conflict_do_update(index_elements=["resource"], set_=changes))


OPEN_LOWER = datetime(1, 1, 1, tzinfo=UTC)
OPEN_UPPER = datetime(9999, 12, 31, tzinfo=UTC)


@dataclass(frozen=True, order=True)
class Span:
    """One window of a plan: [lower, upper) of created_at; OPEN_LOWER and OPEN_UPPER are no bounds.

    In the database those are infinite, as no date there is that a session's timezone could move.
    """

    lower: datetime
    upper: datetime


def _stored_bound(bound: datetime) -> datetime | str:
    return {OPEN_LOWER: "-infinity", OPEN_UPPER: "infinity"}.get(bound, bound)


def windows(conn: sa.Connection, resource: str, *, finished: bool | None = None) -> list[Span]:
    """The windows of the resource's plan, oldest first; all, or only (un)finished ones."""
    query = (
        sa.select(
            sa.func.nullif(WINDOWS.c.lower_bound, sa.literal("-infinity", INSTANT)),
            sa.func.nullif(WINDOWS.c.upper_bound, sa.literal("infinity", INSTANT)),
        )
        .where(WINDOWS.c.resource == resource)
        .order_by(WINDOWS.c.lower_bound)
    )
    if finished is not None:
        query = query.where(WINDOWS.c.finished_at.is_not(None) == finished)
    return [Span(a or OPEN_LOWER, b or OPEN_UPPER) for a, b in conn.execute(query)]


def replace_windows(
    conn: sa.Connection, resource: str, old: Iterable[Span], new: Sequence[Span]
) -> None:
    """Put finer windows in the place of coarser ones."""
    for span in old:
        conn.execute(sa.delete(WINDOWS).where(_is(resource, span)))
    if new:
        rows = [
            {
                "resource": resource,
                "lower_bound": _stored_bound(span.lower),
                "upper_bound": _stored_bound(span.upper),
            }
            for span in new
        ]
        conn.execute(insert(WINDOWS).on_conflict_do_nothing(), rows)


def finish_window(conn: sa.Connection, resource: str, span: Span) -> None:
    """Note that every row of the window is written."""
    conn.execute(sa.update(WINDOWS).where(_is(resource, span)).values(finished_at=sa.func.now()))


def drop_windows(conn: sa.Connection, resource: str) -> None:
    """Forget the resource's plan."""
    conn.execute(sa.delete(WINDOWS).where(WINDOWS.c.resource == resource))


def _is(resource: str, span: Span) -> sa.ColumnElement[bool]:
    lower = sa.literal(_stored_bound(span.lower), INSTANT)
    return sa.and_(WINDOWS.c.resource == resource, WINDOWS.c.lower_bound == lower)


# -- pending objects -------------------------------------------------------------------------


@dataclass(frozen=True)
class Pending:
    """One object that must be read again."""

    resource: str
    id: str
    reason: str
    attempts: int
    not_before: datetime
    first_seen_at: datetime


# Reasons of what is no failure (yet):
STALE = "read by id it was older than search announced"
REVIVED = "its contact is forgotten no more: what was emptied is read again"

HELD = "its list omits implausibly many; none of them was marked deleted"
CONTRADICTION = "lists show it, and a read by id does not find it; not taken as deleted"

FREE_ATTEMPTS = 2  # the next run tries at once; a hiccup shall not cost a day
LONGEST_DELAY = timedelta(hours=6)


def delay(attempts: int) -> timedelta:
    """How long an object waits after that many failures: 0, 0, 1 min, 4 min, ... 6 h."""
    if attempts <= FREE_ATTEMPTS:
        return timedelta()
    return min(LONGEST_DELAY, timedelta(minutes=4.0 ** min(attempts - FREE_ATTEMPTS - 1, 9)))


def postpone(
    conn: sa.Connection, resource: str, ids: Iterable[str], reason: str, now: datetime
) -> None:
    """Note that the objects must be read again, and that one more attempt has failed."""
    for key in sorted(set(ids)):
        new = insert(PENDING).values(
            resource=resource,
            id=key,
            reason=reason,
            attempts=1,
            not_before=now,
            first_seen_at=now,
        )
        row = new.on_conflict_do_update(
            index_elements=["resource", "id"],
            set_={"reason": reason, "attempts": PENDING.c.attempts + 1},
        ).returning(PENDING.c.attempts)
        attempts = conn.execute(row).scalar_one()
        conn.execute(
            sa.update(PENDING)
            .where(PENDING.c.resource == resource, PENDING.c.id == key)
            .values(not_before=now + delay(attempts))
        )


def doubt(
    conn: sa.Connection, resource: str, ids: Iterable[str], reason: str, now: datetime
) -> None:
    """Note that the objects must be read, which nobody has tried; what is pending stays so."""
    for key in sorted(set(ids)):
        new = insert(PENDING).values(
            resource=resource, id=key, reason=reason, not_before=now, first_seen_at=now
        )
        conn.execute(new.on_conflict_do_nothing())


def settle(conn: sa.Connection, resources: str | Collection[str], ids: Iterable[str]) -> None:
    """The objects of this resource, or of these, have been read, or are known to be gone."""
    names = [resources] if isinstance(resources, str) else list(resources)
    keys = list(ids)
    if not keys:
        return
    conn.execute(
        sa.delete(PENDING).where(
            PENDING.c.resource == sa.any_(sa.literal(names, TEXTS)),
            PENDING.c.id == sa.any_(sa.literal(keys, TEXTS)),
        )
    )


TEXTS: sa.types.TypeEngine[Any] = sa.ARRAY(sa.Text())


def pending(conn: sa.Connection, due: datetime | None = None) -> list[Pending]:
    """The pending objects, oldest first; with ``due`` only those to be tried by then."""
    columns = [PENDING.c[name] for name in Pending.__dataclass_fields__]
    query = sa.select(*columns).order_by(PENDING.c.first_seen_at, PENDING.c.id)
    if due is not None:
        query = query.where(PENDING.c.not_before <= due)
    return [Pending(**row) for row in conn.execute(query).mappings()]


# -- runs ------------------------------------------------------------------------------------


@dataclass
class Tally:
    """What a run did to one resource; the columns of sync_run_resources."""

    status: str = "running"
    requests: int = 0
    fetched: int = 0
    inserted: int = 0
    updated: int = 0
    unchanged: int = 0
    deleted: int = 0
    warnings: int = 0
    seconds: float = 0.0
    error: str | None = None
    parts: int | None = None  # and the next two: of resources whose objects have parts
    incomplete: int | None = None
    truncated: int | None = None
    misfits: dict[str, int] = field(default_factory=dict)
    tolerated: bool = False  # it failed, but that does not make the run fail
    expected: int | None = None  # records that Intercom counts, where a pass knows

    def succeed(self) -> None:
        """A step went well; that mends no step that failed."""
        if self.status == "running":
            self.status = "succeeded"

    def figures(self) -> dict[str, Any]:
        """The columns of sync_run_resources."""
        values = asdict(self)
        for name in ("misfits", "tolerated", "expected"):
            del values[name]
        return values


def last_failures(conn: sa.Connection) -> dict[str, str]:
    """Why resources failed in the last run, by name."""
    last = sa.select(sa.func.max(RUN_RESOURCES.c.run_id)).scalar_subquery()
    query = sa.select(RUN_RESOURCES.c.resource, RUN_RESOURCES.c.error).where(
        RUN_RESOURCES.c.run_id == last, RUN_RESOURCES.c.error.is_not(None)
    )
    return {row.resource: row.error for row in conn.execute(query)}


def failure_before(conn: sa.Connection, run_id: int, resource: str) -> str | None:
    """Why the resource failed in the last run before this one that read it; None if it did not."""
    query = (
        sa.select(RUN_RESOURCES.c.error)
        .where(RUN_RESOURCES.c.resource == resource, RUN_RESOURCES.c.run_id < run_id)
        .order_by(RUN_RESOURCES.c.run_id.desc())
        .limit(1)
    )
    return conn.execute(query).scalar()


def start_run(conn: sa.Connection, command: str) -> int:
    """Begin a run; whatever still counts as running was killed and becomes interrupted."""
    conn.execute(
        sa.update(RUNS)
        .where(RUNS.c.status == "running")
        .values(
            status="interrupted",
            finished_at=sa.func.now(),
            error="the process ended without a word; the next run went on from its state",
        )
    )
    conn.execute(
        sa.update(RUN_RESOURCES)
        .where(RUN_RESOURCES.c.status == "running")
        .values(status="interrupted")
    )
    row = insert(RUNS).values(command=command, status="running", started_at=sa.func.now())
    return int(conn.execute(row.returning(RUNS.c.id)).scalar_one())


def forget_runs(conn: sa.Connection, older_than: timedelta) -> int:
    """Delete runs that began longer ago, and what they did; how many.

    The running one and the last that succeeded stay, however old. By the database's clock.
    """
    succeeded = sa.select(sa.func.max(RUNS.c.id)).where(RUNS.c.status == "succeeded")
    old = (
        RUNS.c.started_at < sa.func.now() - older_than,
        RUNS.c.status != "running",
        RUNS.c.id != sa.func.coalesce(succeeded.scalar_subquery(), 0),
    )
    ids = sa.select(RUNS.c.id).where(*old)
    conn.execute(sa.delete(RUN_RESOURCES).where(RUN_RESOURCES.c.run_id.in_(ids)))
    return conn.execute(sa.delete(RUNS).where(*old)).rowcount


def fence(conn: sa.Connection, run_id: int) -> None:
    """Hold the run's row until this transaction ends; FenceError if the run is no longer it.

    A later run marks this one interrupted before it writes anything; it waits for the row.
    """
    query = sa.select(RUNS.c.status).where(RUNS.c.id == run_id).with_for_update(read=True)
    if conn.execute(query).scalar() != "running":
        raise FenceError(f"run {run_id} was taken over by a later run; this one stops")


def finish_run(conn: sa.Connection, run_id: int, status: str, error: str | None = None) -> None:
    """End a run that is still the running one; a resource in the middle of its pass ends too."""
    ended = conn.execute(
        sa.update(RUNS)
        .where(RUNS.c.id == run_id, RUNS.c.status == "running")
        .values(status=status, finished_at=sa.func.now(), error=error)
    )
    if ended.rowcount:
        conn.execute(
            sa.update(RUN_RESOURCES)
            .where(RUN_RESOURCES.c.run_id == run_id, RUN_RESOURCES.c.status == "running")
            .values(status=status, error=error)
        )


def record(conn: sa.Connection, run_id: int, resource: str, tally: Tally) -> None:
    """Write what the run did to the resource so far."""
    values = tally.figures()
    row = insert(RUN_RESOURCES).values(run_id=run_id, resource=resource, **values)
    conn.execute(row.on_conflict_do_update(index_elements=["run_id", "resource"], set_=values))
