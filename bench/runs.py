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
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.warehouse.sql import embedded
from tests.support.service import environment

RATE_LIMIT = 1667
"""Requests in each window of ten seconds, Intercom's usual limit of an app."""
WORKSPACE_LIMIT = 4167
"""The same of a workspace, all its apps together."""
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Run:
    """One run of the command line: its report, seconds, CPU, and the peak memory in MB.

    The peaks of its processes are added, as if all were largest at the same time.
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
        """Seconds of the run, without starting the interpreter."""
        return float(self.report["seconds"])

    @property
    def rows(self) -> int:
        """Objects written."""
        return sum(t["inserted"] + t["updated"] for t in self.report["resources"].values())


@dataclass
class Served:
    """A simulator in a process of its own; ``tokens`` as the setting names them."""

    url: str
    process: subprocess.Popen[str]
    tokens: str = "sim-token"

    @property
    def cpu(self) -> float:
        """Seconds of processor time that it took so far; on Linux only, else 0."""
        try:
            told = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return 0.0
        return (int(told[11]) + int(told[12])) / TICKS

    def control(self, name: str, **arguments: Any) -> Any:
        """What one of its controls answers."""
        body = json.dumps(arguments).encode()
        with urllib.request.urlopen(f"{self.url}/_control/{name}", body, timeout=600) as reply:
            return json.load(reply)


@contextmanager
def simulated(
    workspace: dict[str, Any],
    *,
    latency: float | str = 0.0,
    rate_limit: int | None = None,
    swells: Sequence[dict[str, Any]] = (),
    tokens: int = 1,
) -> Iterator[Served]:
    """A simulated workspace with so many apps, served for as long as the context lasts."""
    spec: dict[str, Any] = {"workspace": workspace, "latency": latency, "rate_limit": rate_limit}
    spec["workspace_limit"] = WORKSPACE_LIMIT if rate_limit else None
    names = ["sim-token", *(f"sim-token-{number}" for number in range(2, tokens + 1))]
    spec |= {"swells": list(swells), "tokens": names}
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
        yield Served(url, process, ",".join(names))
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
        memory = _Memory(process.pid)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        report: Any = json.loads(out.read() or "{}")
    if process.returncode:
        raise SystemExit(f"the sync ended with {process.returncode}: {report.get('error')}")
    return Run(report, seconds, usage.ru_utime + usage.ru_stime, memory.peak())


class _Memory(threading.Thread):
    """Watches the memory of a process and of what it starts; on Linux only, else it says 0.

    What the system counts for a process that has ended will not do: it includes what the process
    that started it held at the time.
    """

    def __init__(self, process: int) -> None:
        super().__init__(daemon=True)
        self._process, self._ended = process, threading.Event()
        self._peaks: dict[str, float] = {}
        self.start()

    def run(self) -> None:
        """Look ten times a second; each thread has what it started."""
        threads = Path(f"/proc/{self._process}/task")
        while not self._ended.wait(0.1):
            with contextlib.suppress(OSError):
                started = [one.read_text() for one in threads.glob("*/children")]
                for process in (str(self._process), *" ".join(started).split()):
                    status = Path(f"/proc/{process}/status").read_text()
                    found = re.search(r"VmHWM:\s+(\d+) kB", status)
                    if found:
                        self._peaks[process] = int(found[1]) / 1024

    def peak(self) -> float:
        """MB of all together, each at its largest; once the process has ended."""
        self._ended.set()
        self.join()
        return sum(self._peaks.values())
