"""Who waits for what another session holds."""

from __future__ import annotations

import psycopg

from connector.warehouse.sql.dsn import conninfo


def held_up_by(pid: int, url: str) -> int:
    """How many sessions wait for a lock that this session holds.

    The whole server is no place to look: others wait there too, such as tests beside this one.
    """
    with psycopg.connect(conninfo(url), autocommit=True) as connection:
        found = connection.execute(
            "SELECT count(DISTINCT pid) FROM pg_locks"
            " WHERE NOT granted AND %s = ANY(pg_blocking_pids(pid))",
            [pid],
        ).fetchone()
    return int(found[0]) if found else 0
