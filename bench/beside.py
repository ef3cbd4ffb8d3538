"""This checkout beside another one, in turn, with neither latency nor limit.

``python -m bench.beside [CHECKOUT [ROUNDS [CONTACTS]]]``: an idle sync of a small workspace, which
is loaded into a schema of each: what starting costs. ``python -m bench.beside load CHECKOUT [ROUNDS
[CONTACTS]]``: the first load of contacts with their tags and companies, into a schema that is made
for it.

Prints the medians: seconds from the start of the process to its end, seconds of CPU of the process
and of Postgres, and of the idle sync also transactions and writes to the socket of the database
(``strace``, where it is installed), which is what a run waits for where Postgres is far away.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import psycopg

from bench.growth import CONTACTS, workspace
from bench.idle import NOTHING_DUE
from bench.runs import postgres, simulated
from connector.warehouse.sql.dsn import conninfo
from tests.support.service import environment

HERE = Path(__file__).parents[1]
FIGURES = ("seconds", "CPU", "CPU of Postgres")
IDLE_FIGURES = (*FIGURES, "transactions", "round trips")
LOAD_FIGURES = ("rows a second", *FIGURES)
Runs = dict[str, list[dict[str, float]]]


def idle(other: Path, rounds: int, contacts: int) -> None:
    """Load twice, then measure both in turn."""
    space: dict[str, Any] = {
        "contacts": contacts,
        "companies": contacts // 20,
        "conversations": contacts // 8,
        "events": contacts * 2 // 5,
        "now": int(time.time()),
    }
    checkouts = {"there": other, "here": HERE}
    found: Runs = {name: [] for name in checkouts}
    with postgres() as database, simulated(space) as server:
        around = {
            name: environment(server.url, database, name, **NOTHING_DUE)
            | {"PYTHONPATH": str(place)}
            for name, place in checkouts.items()
        }
        for _ in range(3):
            for name, place in checkouts.items():
                sync(place, around[name])
        for _ in range(rounds):
            for name, place in checkouts.items():
                found[name].append(measured(place, around[name], database))
        for name, place in checkouts.items():
            found[name][0]["round trips"] = round_trips(place, around[name])
    print_medians(found, IDLE_FIGURES)


def load(other: Path, rounds: int, contacts: int) -> None:
    """Load the contacts into a new schema, by both in turn."""
    checkouts = {"there": other, "here": HERE}
    found: Runs = {name: [] for name in checkouts}
    with postgres() as database, simulated(workspace(contacts)) as server:
        for number in range(rounds):
            for name, place in checkouts.items():
                schema = f"{name}_{number}"
                around = environment(server.url, database, schema) | {"PYTHONPATH": str(place)}
                sync(place, around, "--only", "tags,companies")
                figures = measured(place, around, database, *CONTACTS)
                figures["rows a second"] = round(contacts / figures["seconds"])
                print_line(f"{name}, round {number + 1}", figures, LOAD_FIGURES)
                found[name].append(figures)
                with psycopg.connect(conninfo(database), autocommit=True) as connection:
                    connection.execute(f"DROP SCHEMA {schema} CASCADE")
                    connection.execute("CHECKPOINT")
    print_medians(found, LOAD_FIGURES)


def print_medians(found: Runs, names: tuple[str, ...]) -> None:
    """The medians below each other, and the ratio of each."""
    print("| | " + " | ".join(names) + " |\n|" + "---|" * (1 + len(names)))
    medians = {name: median(runs, names) for name, runs in found.items()}
    for name, figures in medians.items():
        print_line(name, figures, names)
    ratios = {name: medians["here"][name] / (medians["there"][name] or 1) for name in names}
    print_line("ratio", ratios, names)


def print_line(name: str, figures: Mapping[str, float], names: tuple[str, ...]) -> None:
    """One row of the table."""
    cells = (f"{figures[figure]:,.2f}".removesuffix(".00") for figure in names)
    print(f"| {name} | " + " | ".join(cells) + " |", flush=True)


def median(runs: list[dict[str, float]], names: tuple[str, ...]) -> dict[str, float]:
    """The median of each figure over the runs that have it."""
    found = {figure: [run[figure] for run in runs if figure in run] for figure in names}
    return {figure: statistics.median(values or [0]) for figure, values in found.items()}


def sync(
    place: Path, around: Mapping[str, str], *words: str, before: tuple[str, ...] = ()
) -> tuple[float, float]:
    """Seconds of one sync, and of CPU of its processes; it must succeed."""
    began = time.monotonic()
    process = subprocess.Popen(
        [*before, sys.executable, "-m", "connector", "sync", "--json", *words],
        env=dict(around),
        cwd=place,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"the sync of {place} ended with {process.returncode}")
    return time.monotonic() - began, usage.ru_utime + usage.ru_stime


def measured(
    place: Path, around: Mapping[str, str], database: str, *words: str
) -> dict[str, float]:
    """The figures of one run."""
    with psycopg.connect(conninfo(database), autocommit=True) as watching:
        pid, before = postmaster(watching), transactions(watching)
        cpu = processor_time(pid)
        seconds, own = sync(place, around, *words)
        time.sleep(0.3)  # the server counts when its processes have ended
        return {
            "seconds": seconds,
            "CPU": own,
            "CPU of Postgres": processor_time(pid) - cpu,
            "transactions": transactions(watching) - before - 1,
        }


def postmaster(watching: psycopg.Connection[Any]) -> int:
    """The process of the server that starts all others."""
    status = Path(f"/proc/{watching.info.backend_pid}/status")
    with contextlib.suppress(OSError):
        return int(re.findall(r"PPid:\s+(\d+)", status.read_text())[0])
    return 0


def processor_time(pid: int) -> float:
    """Seconds of CPU of the server with all processes that it has and had; on Linux only."""
    ticks = 0
    with contextlib.suppress(OSError):
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        for one in (str(pid), *children):
            with contextlib.suppress(OSError):
                values = Path(f"/proc/{one}/stat").read_text().rpartition(")")[2].split()
                ticks += sum(map(int, values[11 : 15 if one == str(pid) else 13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def transactions(watching: psycopg.Connection[Any]) -> int:
    """All that the server has ended."""
    query = "SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database"
    row = watching.execute(query).fetchone()
    return int(row[0]) if row else 0


def round_trips(place: Path, around: Mapping[str, str]) -> float:
    """How often a run of it writes to the socket of the database; 0 without strace."""
    strace = shutil.which("strace")
    if strace is None:
        return 0
    with tempfile.NamedTemporaryFile("r") as written:
        watch = ("-f", "-qq", "-yy", "-e", "trace=sendto", "-o", written.name)
        sync(place, around, before=(strace, *watch))
        return sum(1 for line in written if "UNIX" in line)


if __name__ == "__main__":
    measure, size, given = idle, 2_000, sys.argv[1:]
    if given[:1] == ["load"]:
        measure, size, given = load, 250_000, given[1:]
    measure(
        Path(given[0]).resolve() if given else HERE,
        int(given[1]) if len(given) > 1 else 7,
        int(given[2]) if len(given) > 2 else size,
    )
