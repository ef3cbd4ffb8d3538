"""What memory a first load of contacts takes, by the size of the workspace.

``python -m bench.memory [CONTACTS ...]`` (10,000, 50,000 and 200,000 by default): for each size the
real command line loads contacts only, from the simulator in a process of its own, into an embedded
Postgres. Prints contacts, rows stored, seconds and the peak memory of our process as Markdown.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg

from connector.warehouse import embedded
from tests.service import environment

SIZES = (10_000, 50_000, 200_000)
ONLY = "leads,users"


@dataclass
class Loaded:
    """One first load."""

    contacts: int
    rows: int
    seconds: float
    peak: float  # MB, of our process


def main(sizes: list[int]) -> None:
    """Load each size and print them below each other."""
    print("| contacts | rows stored | seconds | peak memory |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as directory:
        server = embedded.start(Path(directory) / "data")
        try:
            for size in sizes:
                found = load(size, server.get_uri())
                cells = f"{found.contacts:,} | {found.rows:,} | {found.seconds:.1f}"
                print(f"| {cells} | {found.peak:.0f} MB |", flush=True)
        finally:
            server.cleanup()


def load(contacts: int, url: str) -> Loaded:
    """A first load into a schema of its own, which is dropped afterwards."""
    schema = f"memory_{contacts}"
    simulator, address = _simulate(contacts)
    try:
        began = time.monotonic()
        peak = _sync(environment(address, url, schema))
        seconds = time.monotonic() - began
    finally:
        simulator.terminate()
        simulator.wait()
    with psycopg.connect(url, autocommit=True) as connection:
        row = connection.execute(f"SELECT count(*) FROM {schema}.contacts_live").fetchone()
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
    return Loaded(contacts, row[0] if row else 0, seconds, peak)


def _simulate(contacts: int) -> tuple[subprocess.Popen[str], str]:
    """A simulator in a process of its own, and its address."""
    words = ["--port", "0", "--contacts", str(contacts), "--companies", "1000", "--rate-limit", "0"]
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "connector", "simulate", *words, "--conversations", "10"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout
    for line in process.stdout:
        found = re.search(r"http://[\d.]+:\d+", line)
        if found:
            return process, found[0]
    raise SystemExit("the simulator did not start")


def _sync(environ: dict[str, str]) -> float:
    """Peak memory in MB of a sync, which must succeed."""
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "connector", "sync", "--only", ONLY, "--json"],
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        report: Any = json.loads(out.read() or "{}")
    if process.returncode:
        raise SystemExit(f"the sync ended with {process.returncode}: {report.get('error')}")
    # Linux counts kilobytes, macOS bytes.
    return usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or list(SIZES))
