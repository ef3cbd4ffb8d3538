"""The bulk jobs that are followed."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

from connector.warehouse.sql.execute import execute, fetch, names_of
from connector.warehouse.state.tables import PUSH_JOBS

WITH_ERRORS = "with_errors"
"""error_code of a wish whose task ended with errors: one or more of its items failed."""
VANISHED = "vanished"


def note(conn: sa.Connection, job_id: str, kind: str, state: str, items: int) -> None:
    """A request of so many items became a task of this job."""
    execute(
        conn,
        f"INSERT INTO {names_of(conn)(PUSH_JOBS.name)} AS j"
        " (job_id, kind, state, tasks, items, created_at)"
        " VALUES (%(id)s, %(kind)s, %(state)s, 1, %(items)s, clock_timestamp())"
        " ON CONFLICT (job_id) DO UPDATE SET state = EXCLUDED.state, tasks = j.tasks + 1,"
        " items = j.items + EXCLUDED.items, ended_at = NULL",
        {"id": job_id, "kind": kind, "state": state, "items": items},
    )


def open_jobs(conn: sa.Connection) -> dict[str, tuple[str, int]]:
    """The jobs that carry wishes which are not ended: of which kind, and how many wishes."""
    outbox = names_of(conn)("outbox")
    rows = fetch(
        conn,
        f"SELECT o.job_id, o.kind, count(*) FROM {outbox} o"
        " WHERE o.state = 'sent' AND o.job_id IS NOT NULL GROUP BY 1, 2 ORDER BY 1",
    )
    return {job: (kind, number) for job, kind, number in rows}


def asked(conn: sa.Connection, job_id: str, state: str, ended: bool, failed: Sequence[str]) -> None:
    """A job was asked for; wishes bear it where their task ended with errors, or is not known."""
    names = names_of(conn)
    execute(
        conn,
        f"UPDATE {names(PUSH_JOBS.name)} SET state = %(state)s, asked_at = clock_timestamp(),"
        " ended_at = CASE WHEN %(ended)s THEN coalesce(ended_at, clock_timestamp()) END"
        " WHERE job_id = %(id)s",
        {"id": job_id, "state": state, "ended": ended},
    )
    if failed:
        execute(
            conn,
            f"UPDATE {names('outbox')} o SET error_code = %(code)s"
            " WHERE o.state = 'sent' AND o.job_id = %(id)s"
            " AND (o.task_id IS NULL OR o.task_id = ANY(%(tasks)s))",
            {"code": WITH_ERRORS, "id": job_id, "tasks": list(failed)},
        )


def vanished(conn: sa.Connection, job_id: str) -> None:
    """Intercom knows the job no more: what it carried is read back, and sent again if it must."""
    execute(
        conn,
        f"UPDATE {names_of(conn)(PUSH_JOBS.name)} SET state = %(state)s,"
        " asked_at = clock_timestamp(), ended_at = clock_timestamp() WHERE job_id = %(id)s",
        {"id": job_id, "state": VANISHED},
    )
    execute(
        conn,
        f"UPDATE {names_of(conn)('outbox')} SET error_code = %(code)s"
        " WHERE state = 'sent' AND job_id = %(id)s",
        {"code": VANISHED, "id": job_id},
    )
