"""The simulator over real HTTP in a thread, and the command line as a process of its own."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from connector.simulator import Simulator, Workspace, serve
from tests.support.forked import FORKER, Started
from tests.support.places import ROOT


@contextmanager
def served(simulator: Simulator, latency: float = 0.0) -> Iterator[str]:
    """The address at which the simulator answers."""
    started: list[tuple[str, asyncio.AbstractEventLoop]] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def run() -> None:
        async with serve(simulator, latency=latency) as url:
            started.append((url, asyncio.get_running_loop()))
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    ready.wait(10)
    url, loop = started[0]
    try:
        yield url
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)


def environment(url: str, database_url: str, schema: str, **more: str) -> dict[str, str]:
    """What a process needs to sync; nothing of this process's own settings."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("INTERCOM_", "CONNECTOR_"))}
    here = str(ROOT)  # this checkout, wherever the process runs
    return kept | {
        "PYTHONPATH": here,
        "INTERCOM_BASE_URL": url,
        "INTERCOM_ACCESS_TOKEN": "sim-token",
        "DATABASE_URL": database_url,
        "INTERCOM_SCHEMA": schema,
        **more,
    }


def start(environ: dict[str, str], *words: str, directory: Path = ROOT) -> Started:
    """A running command, its output captured; ``spawn`` where its first moments matter."""
    return FORKER.start(words, environ, directory)


def spawn(
    environ: dict[str, str], *words: str, directory: Path | None = None
) -> subprocess.Popen[str]:
    """The same as a process that imports all it needs itself."""
    return subprocess.Popen(
        [sys.executable, "-m", "connector", *words],
        env=environ,
        cwd=directory,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(environ: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    """A command that has ended, with what it said."""
    ended = FORKER.run(words, environ, ROOT, timeout=120)
    return subprocess.CompletedProcess(words, ended.code, ended.out, ended.err)


FEW: dict[str, Any] = {
    "events": 60,
    "tickets": 20,
    "articles": 10,
    "macros": 5,
    "calls": 10,
    "activity_logs": 20,
}
"""How many of what a test does not look at a workspace has."""

FEWEST: dict[str, Any] = {
    "events": 20,
    "tickets": 5,
    "articles": 5,
    "macros": 5,
    "calls": 5,
    "activity_logs": 10,
}


def small(contacts: int = 300, conversations: int = 90) -> Simulator:
    sizes = FEW | {"contacts": contacts, "companies": 120, "conversations": conversations}
    space = Workspace.generate(21, **sizes)
    return Simulator(space, rate_limit=None)
