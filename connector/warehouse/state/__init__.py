"""The sync's own memory, in the schema of the workspace.

Every function takes an open connection, so that what it records commits together with the rows that
justify it. Knows neither Intercom nor what rows hold. Read ``tables`` first, then ``cursors``.

What most callers need can be had from here; the other modules (``digests``, ``reads``,
``candidates``, ``relations``, ``mapping``, ``stored``) are named in full.
"""

from connector.warehouse.state.cursors import (
    Outset,
    Progress,
    advance,
    clock,
    outset,
    progress,
    progress_of,
    usable_since,
)
from connector.warehouse.state.partitions import (
    OPEN_LOWER,
    OPEN_UPPER,
    Span,
    all_spans,
    drop_partitions,
    finish_partition,
    replace_partitions,
)
from connector.warehouse.state.pending_objects import (
    CONTRADICTION,
    HELD,
    REVIVED,
    STALE,
    Pending,
    delay,
    doubt,
    pending,
    postpone,
    settle,
)
from connector.warehouse.state.refuted_facts import (
    RefutedFact,
    drop_old_refutations,
    note_confirmed,
    note_refuted,
    refuted,
)
from connector.warehouse.state.runs import (
    Tally,
    failure_before,
    fence,
    finish_run,
    forget_runs,
    guard,
    last_failures,
    last_sync_at,
    record,
    resume_run,
    start_run,
)
from connector.warehouse.state.workspace import Workspace, pin, pinned

__all__ = [
    "CONTRADICTION",
    "HELD",
    "OPEN_LOWER",
    "OPEN_UPPER",
    "REVIVED",
    "STALE",
    "Outset",
    "Pending",
    "Progress",
    "RefutedFact",
    "Span",
    "Tally",
    "Workspace",
    "advance",
    "all_spans",
    "clock",
    "delay",
    "doubt",
    "drop_old_refutations",
    "drop_partitions",
    "failure_before",
    "fence",
    "finish_partition",
    "finish_run",
    "forget_runs",
    "guard",
    "last_failures",
    "last_sync_at",
    "note_confirmed",
    "note_refuted",
    "outset",
    "pending",
    "pin",
    "pinned",
    "postpone",
    "progress",
    "progress_of",
    "record",
    "refuted",
    "replace_partitions",
    "resume_run",
    "settle",
    "start_run",
    "usable_since",
]
