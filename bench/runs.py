"""What benchmarks share: a simulator, a Postgres, and measured runs of the command line."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.warehouse import embedded
from tests.service import environment

RATE_LIMIT = 1667
"""Requests in each window of ten seconds, Intercom's usual limit."""


@dataclass
class Run:
    """One run of the command line: its report, seconds, CPU, and the peak memory in MB.

    The peaks of its two processes are added, as if both were largest at the same time.
    """

    report: dict[str, Any]
    seconds: float
    cpu: float
    peak: float

    @property
    def requests(self) -> int:
        """All requests that the run sent."""
        return sum(tally["requests"] for tally in self.report["resources"].values())

    @property
    def work(self) -> float:
        """Seconds of the passes, without starting and ending."""
        return sum(float(tally["seconds"]) for tally in self.report["resources"].values())

    @property
    def rows(self) -> int:
        """Objects written."""
        return sum(t["inserted"] + t["updated"] for t in self.report["resources"].values())


@dataclass
class Served:
    """A simulator in a process of its own."""

    url: str
    process: subprocess.Popen[str]

    def control(self, name: str, **arguments: Any) -> Any:
        """What one of its controls answers."""
        body = json.dumps(arguments).encode()
        with urllib.request.urlopen(f"{self.url}/_control/{name}", body, timeout=600) as reply:
            return json.load(reply)


@contextmanager
def simulated(
    workspace: dict[str, Any], *, latency: float | str = 0.0, rate_limit: int | None = None
) -> Iterator[Served]:
    """A simulated workspace, served for as long as the context lasts."""
    spec = {"workspace": workspace, "latency": latency, "rate_limit": rate_limit}
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.simulated", json.dumps(spec)],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout
        url = process.stdout.readline().strip()
        if not url:
            raise SystemExit("the simulator did not start")
        yield Served(url, process)
    finally:
        process.terminate()
        process.wait()


@contextmanager
def postgres() -> Iterator[str]:
    """The address of an embedded Postgres of its own."""
    with tempfile.TemporaryDirectory() as directory:
        server = embedded.start(Path(directory) / "data")
        try:
            yield server.get_uri()
        finally:
            server.cleanup()


def sync(url: str, database_url: str, schema: str, *words: str, **settings: str) -> Run:
    """A sync by the command line; it must succeed."""
    environ = environment(url, database_url, schema, **settings)
    with tempfile.TemporaryFile("w+") as out:
        began = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "connector", "sync", "--json", *words],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
        beside = _Beside(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        report: Any = json.loads(out.read() or "{}")
    if process.returncode:
        raise SystemExit(f"the sync ended with {process.returncode}: {report.get('error')}")
    # Linux counts kilobytes, macOS bytes.
    peak = usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    return Run(report, seconds, usage.ru_utime + usage.ru_stime, peak + beside.peak())


class _Beside(threading.Thread):
    """Watches the memory of what a process starts; on Linux only."""

    def __init__(self, parent: int) -> None:
        super().__init__(daemon=True)
        self._parent, self._ended, self._peak = parent, threading.Event(), 0.0
        self.start()

    def run(self) -> None:
        children = Path(f"/proc/{self._parent}/task/{self._parent}/children")
        while not self._ended.wait(0.1):
            with contextlib.suppress(OSError):
                for child in children.read_text().split():
                    status = Path(f"/proc/{child}/status").read_text()
                    found = re.search(r"VmHWM:\s+(\d+) kB", status)
                    self._peak = max(self._peak, int(found[1]) / 1024 if found else 0.0)

    def peak(self) -> float:
        """MB, once the process has ended."""
        self._ended.set()
        self.join()
        return self._peak
