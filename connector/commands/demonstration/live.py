"""The part of the demo that shows the live mirror: a change at Intercom, and its row soon after."""

from __future__ import annotations

import contextlib
import json
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connector.errors import ConnectorError
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import scalar
from connector.warehouse.sql.session import READS

SECRET = "demo-secret"
NAME = "Ada Lovelace"
PATIENCE = 30.0  # seconds for serve to begin, and for the row to come

Control = Callable[..., Any]


def free_port() -> int:
    """A port that nobody has, on which serve will listen."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def show(database_url: str, port: int, control: Control, say: Callable[[str], None]) -> None:
    """Change a contact at Intercom, and say when the warehouse has it."""
    _until(lambda: _hears(port, control), "serve did not begin to listen")
    contact = next(one for one in control("truth", kind="contacts") if one["role"] == "user")
    say(f"{contact['name'] or contact['email']} gets another name at Intercom: {NAME} ...")
    with _looking(database_url) as look:
        began = time.monotonic()
        control("update_contact", id=contact["id"], name=NAME)
        _until(lambda: look(contact["id"]) == NAME, "the change did not arrive")
        say(f"... and has it in the warehouse {time.monotonic() - began:.1f} seconds later.")


def _hears(port: int, control: Control) -> bool:
    """Whether serve has done its first pass, and Intercom has found it."""
    with contextlib.suppress(OSError):
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://127.0.0.1:{port}/health", timeout=5) as reply:
            health = json.load(reply)
        return bool(health["last_sync_at"] and control("webhook_stats"))
    return False


@contextmanager
def _looking(database_url: str) -> Iterator[Callable[[str], Any]]:
    """A look at the name of a contact."""
    database = Database(database_url, "intercom")

    def look(id: str) -> Any:
        with database.transaction(READS) as conn:
            return scalar(conn, "SELECT name FROM intercom.contacts WHERE id = %s", [id])

    yield look
    database.close()


def _until(what: Callable[[], bool], otherwise: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not what():
        if time.monotonic() > deadline:
            raise ConnectorError(otherwise)
        time.sleep(0.05)
