"""``serve`` as a process beside a workspace that notifies it."""

from __future__ import annotations

import json
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connector.commands.demonstration.live import free_port
from connector.simulator import Simulator
from tests.support.forked import Started
from tests.support.harness import Harness
from tests.support.service import environment, run, start

SECRET = "the-clients-secret"


PATIENCE = 30.0


def until(what: Callable[[], Any]) -> Any:
    """Wait until it is so, and what it is."""
    deadline = time.monotonic() + PATIENCE
    while not (found := what()):
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)
    return found


class Living:
    """A served workspace, a warehouse, and the process that keeps the two in step."""

    def __init__(self, database_url: str, schema: str, url: str, simulator: Simulator) -> None:
        self.harness = Harness(database_url, schema)
        self.simulator, self.control = simulator, simulator.control
        self.port = free_port()
        self.environ = environment(
            url,
            database_url,
            schema,
            INTERCOM_CLIENT_SECRET=SECRET,
            CONNECTOR_LISTEN=f"127.0.0.1:{self.port}",
            CONNECTOR_LIVE_DELAY="0.2",
            CONNECTOR_KEEP_RUNS_DAYS="9",
        )

    @contextmanager
    def process(self, *words: str) -> Iterator[Started]:
        process = start(self.environ, *words)
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def health(self) -> dict[str, Any]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/health") as reply:
                found: dict[str, Any] = json.load(reply)
                return found
        except OSError:
            return {}

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return run(self.environ, *words)

    def deliver(self) -> None:
        """Send what is due, as Intercom does."""

        def post(headers: dict[str, str], body: bytes) -> int:
            request = urllib.request.Request(f"http://127.0.0.1:{self.port}/", body, headers)
            with urllib.request.urlopen(request) as reply:
                status: int = reply.status
                return status

        self.simulator.webhooks.deliver(post)

    def a_user(self) -> str:
        found: list[dict[str, Any]] = self.control.truth("contacts")
        return next(one["id"] for one in found if one["role"] == "user")
