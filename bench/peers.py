"""Other connectors beside ours: the same simulator, the same Postgres, one after the other.

``python -m bench.peers DIRECTORY [CONTACTS CONVERSATIONS]`` installs tap-intercom with
pipelinewise-target-postgres, and ingestr 0.15.9, from PyPI into environments of their own under
DIRECTORY (once), and lets each load contacts, and the tap conversations with their parts. Replies
take 100 ms, and 1,667 requests are allowed in each window of ten seconds. Prints rows a second as
the clock on the wall has it, from the start of the process to its end, and how often ours is
faster; rows of the tables are counted afterwards.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg

from bench.doorway import doorway
from bench.growth import workspace
from bench.runs import RATE_LIMIT, postgres, simulated, sync

LATENCY = 0.1
INGESTR = "ingestr==0.15.9"
TAP, TARGET = "tap-intercom==2.2.5", "pipelinewise-target-postgres==2.1.2"
START = "2010-01-01T00:00:00Z"


def main(directory: Path, contacts: int, conversations: int) -> None:
    """Install, load, and print a table."""
    for name, package in (("tap", TAP), ("target", TARGET), ("ingestr", INGESTR)):
        install(directory / name, package)
    space = workspace(contacts) | {"conversations": conversations, "tags": 10}
    print("| | contacts: seconds | rows | rows a second | ours is faster by |\n|" + "---|" * 5)
    with (
        postgres() as database,
        simulated(space, latency=LATENCY, rate_limit=RATE_LIMIT) as server,
        tempfile.TemporaryDirectory() as scratch,
        doorway(server.url, Path(scratch)) as door,
    ):
        peers = Peers(directory, Path(scratch), door, database)
        sync(server.url, database, "ours", "--only", "tags,companies,admins")
        ours = sync(server.url, database, "ours", "--only", "leads,users").seconds
        rows = count(database, "ours.contacts_live")
        base = print_line("intercom-warehouse", ours, rows, None)
        for name, load in (("tap and target", peers.tap), ("ingestr", peers.ingestr)):
            print_line(name, *load("contacts"), base)
        print("\n| | conversations: seconds | rows | parts | a second | ours is faster by |")
        print("|" + "---|" * 6)
        ours = sync(server.url, database, "ours", "--only", "conversations").seconds
        rows, parts = (
            count(database, f"ours.{name}") for name in ("conversations", "conversation_parts")
        )
        base = print_line("intercom-warehouse", ours, rows, None, parts)
        seconds, rows = peers.tap("conversations", "conversation_parts")
        print_line("tap and target", seconds, rows, base, count(database, "tap.conversation_parts"))
        print_line("ingestr, without parts", *peers.ingestr("conversations"), base, 0)


def print_line(
    name: str, seconds: float, rows: int, base: float | None, parts: int | None = None
) -> float:
    """One connector as a row of the table; its rows a second."""
    rate = rows / seconds
    faster = f"{base / rate:.1f} times" if base and rate else ""
    middle = "" if parts is None else f" {parts:,} |"
    print(f"| {name} | {seconds:.1f} | {rows:,} |{middle} {rate:,.1f} | {faster} |", flush=True)
    return rate


def count(database: str, table: str) -> int:
    """Rows of a table; 0 if it is not there."""
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT to_regclass(%s)", [table]).fetchone()
        if not found or not found[0]:
            return 0
        row = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        return row[0] if row else 0


def install(environment: Path, package: str) -> None:
    """The package in a virtual environment of its own, unless it is there."""
    if (environment / "installed").exists():
        return
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    pip = [str(environment / "bin" / "python"), "-m", "pip", "install", "--quiet", package]
    subprocess.run(pip, check=True)
    (environment / "installed").touch()


class Peers:
    """The other connectors, each with the settings that its documentation gives."""

    def __init__(self, directory: Path, scratch: Path, door: dict[str, str], database: str) -> None:
        self.directory, self.scratch, self.database = directory, scratch, database
        self.environ = {**os.environ, **door}

    def ingestr(self, table: str) -> tuple[float, int]:
        """Seconds and rows of one table."""
        words = ["ingest", "--yes", "--source-uri", "intercom://?access_token=sim-token"]
        words += ["--source-table", table, "--dest-uri", self.database]
        words += ["--dest-table", f"ingestr.{table}", "--progress", "log"]
        seconds = self._timed([[str(self.directory / "ingestr/bin/ingestr"), *words]])
        return seconds, count(self.database, f"ingestr.{table}")

    def tap(self, *streams: str) -> tuple[float, int]:
        """Seconds and rows of the first stream, the others read with it."""
        settings = self._write(
            "tap.json", access_token="sim-token", start_date=START, user_agent="bench"
        )
        tap = str(self.directory / "tap/bin/tap-intercom")
        shown = subprocess.run(
            [tap, "--config", settings, "--discover"], env=self.environ, capture_output=True
        )
        catalog = json.loads(shown.stdout)
        for stream in catalog["streams"]:
            for entry in stream["metadata"]:
                entry["metadata"]["selected"] = stream["tap_stream_id"] in streams
        chosen = self._write("catalog.json", **catalog)
        where = urlsplit(self.database)
        host = parse_qs(where.query).get("host", [where.hostname or ""])[0]
        target = self._write(
            "target.json", host=host, port=5432, user=where.username, password="unused",
            dbname=where.path[1:], default_target_schema="tap",
        )  # fmt: skip
        seconds = self._timed(
            [
                [tap, "--config", settings, "--catalog", chosen],
                [str(self.directory / "target/bin/target-postgres"), "--config", target],
            ]
        )
        return seconds, count(self.database, f"tap.{streams[0]}")

    def _write(self, name: str, **content: Any) -> str:
        path = self.scratch / name
        path.write_text(json.dumps(content))
        return str(path)

    def _timed(self, commands: list[list[str]]) -> float:
        """Seconds of a pipe of commands, all of which must succeed."""
        began, source, running = time.monotonic(), None, []
        with tempfile.TemporaryFile("w+") as said:
            for command in commands:
                running.append(
                    subprocess.Popen(
                        command,
                        env=self.environ,
                        stdin=source or subprocess.DEVNULL,
                        stdout=subprocess.PIPE if command is not commands[-1] else said,
                        stderr=said,
                    )
                )
                if source:
                    source.close()  # it belongs to the next command alone
                source = running[-1].stdout
            ended = [process.wait() for process in running]
            seconds = time.monotonic() - began
            if any(ended):
                said.seek(0)
                raise SystemExit(f"{commands[0][0]} failed:\n{said.read()[-3000:]}")
        return seconds


if __name__ == "__main__":
    sizes = [int(size) for size in sys.argv[2:]]
    main(Path(sys.argv[1]).absolute(), *(sizes + [15_000, 300][len(sizes) :]))
