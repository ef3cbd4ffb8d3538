"""The metrics file of a process that goes on moves also between its passes, and during one."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from connector.commands.reporting import wishes
from connector.commands.reporting.live import facts
from connector.commands.reporting.metrics import write_live
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.session import READS

logger = logging.getLogger(__name__)

EVERY = 5.0  # seconds
WISHES_EVERY = 60.0  # seconds: counting them takes a moment where there are millions


@contextmanager
def moving(database: Database, path: Path | None) -> Iterator[None]:
    """Meanwhile the figures of what waits are written anew every few seconds, if they changed.

    In a thread and by a connection of its own, which nothing else waits for.
    """
    if path is None:
        yield
        return
    looks = database.another()
    threading.Thread(target=_move, args=(looks, path), name="figures", daemon=True).start()
    try:
        yield
    finally:
        looks.stopped.set()


def _move(looks: Database, path: Path) -> None:
    outbox, counted_at = None, float("-inf")
    while not looks.stopped.wait(EVERY):
        try:
            with looks.transaction(READS) as conn:
                found = facts(conn)
                if time.monotonic() - counted_at >= WISHES_EVERY:
                    outbox, counted_at = wishes.counts(conn), time.monotonic()
        except Exception as failure:  # the loop says what is the matter with the database
            logger.debug("no figures: %s", type(failure).__name__)
            looks.close()
            continue
        if found or outbox:
            write_live(path, looks.schema, found, outbox)
    looks.close()
