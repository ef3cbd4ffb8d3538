"""What history costs, side by side with history off, by the server's CPU and by seconds.

``python -m bench.history [CONTACTS CONVERSATIONS BATCH]`` merges the same finished batches of
generated contacts and whole conversations into two schemas, one of which keeps history: a first
load (foreign keys off), nothing changed, 1 % changed, everything changed, by turns. Prints seconds
of the server process's CPU as Markdown, and the share that history adds. Then the whole way: the
command line against the simulator, a first load, an idle night and one in which 1 % changed,
without autovacuum, which would come in one of them.
"""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import psycopg
import sqlalchemy as sa

from bench import runs
from bench.loading import BEGAN, Records, batches, changed, cpu, load
from bench.runs import simulated
from connector.resources.declarations.contacts import TABLE as CONTACTS
from connector.resources.declarations.conversations import TABLE as CONVERSATIONS
from connector.resources.resource import Table
from connector.simulator import Workspace
from connector.simulator.api.conversations import with_parts
from connector.simulator.encoding import decode
from connector.warehouse import followers
from connector.warehouse.history import kept, steps
from connector.warehouse.merge.loader import Loader
from connector.warehouse.migrate import migrate
from connector.warehouse.schema import versions
from connector.warehouse.sql import embedded
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.names import Names

EVERY = tuple(versions.VERSIONED)
RUNS = ("first load", "same", "1 %", "everything")


def main(contacts: int, conversations: int, size: int) -> None:
    """Load both kinds into both schemas and print a line for each kind."""
    space = Workspace.generate(
        1, contacts=contacts, companies=contacts // 20, conversations=conversations, events=0
    )
    people = [decode(item.body) for item in space.contacts.current.values()]
    talks = [decode(with_parts(item, 500)) for item in space.conversations.current.values()]
    with tempfile.TemporaryDirectory() as directory:
        server = embedded.start(Path(directory) / "data")
        off, on = (Database(server.get_uri(), name) for name in ("history_off", "history_on"))
        try:
            migrate(off)
            migrate(on, EVERY)
            print("| server CPU, off + history | " + " | ".join(RUNS) + " |")
            print("|---" * (1 + len(RUNS)) + "|")
            print_line(off, on, CONTACTS, people, size)
            print_line(off, on, CONVERSATIONS, talks, max(size // 10, 1))
        finally:
            on.close()
            off.close()
            server.cleanup()


def print_line(off: Database, on: Database, table: Table, records: Records, size: int) -> None:
    """Measure one kind and print its line."""
    copies: dict[str, Records] = {
        "first load": records,
        "same": records,
        "1 %": changed(records, 100),
        "everything": changed(records, 1),
    }
    loaders = {off.schema: loader(off, keeps=False), on.schema: loader(on, keeps=True)}
    cells = []
    for hours, name in enumerate(RUNS):
        parts = batches(table, copies[name], BEGAN + timedelta(hours=hours), size)
        first = table if name == "first load" else None
        seconds = [load(d, parts, loaders[d.schema], first) for d in (off, on)]
        cells.append(told(*seconds))
    print(f"| {table.name} | " + " | ".join(cells) + " |", flush=True)


def told(off: float, on: float) -> str:
    """Both, and what the second has more."""
    return f"{off:.2f} s + {on / off - 1:.0%}"


def loader(database: Database, *, keeps: bool) -> Callable[..., object]:
    """Merges a batch, with history or without."""
    names = Names(database.schema)

    def begin(conn: sa.Connection) -> None:
        for name in EVERY:
            steps.begin(conn, names, name, BEGAN)

    if keeps:
        database.write(begin)
    histories = database.write(kept.now_kept) if keeps else {}
    made = Loader(database.schema, followers=followers.declared(history=histories))
    return lambda conn, batch: made.merge(conn, batch, 1)


# -- the whole way -----------------------------------------------------------------------------


def whole(contacts: int, conversations: int) -> None:
    """The command line without history and with it, by turns; a line for each run."""
    sizes = {"contacts": contacts, "companies": contacts // 20, "conversations": conversations}
    spec = {"events": contacts // 5, "tickets": conversations // 10} | sizes
    nights = {"first load": None, "idle night": 0.0, "night, 1 % changed": 0.01}
    with runs.postgres() as database_url, simulated(spec) as off, simulated(spec) as on:
        with psycopg.connect(database_url, autocommit=True) as conn:  # comes when it likes
            conn.execute("ALTER SYSTEM SET autovacuum = off")
            conn.execute("SELECT pg_reload_conf()")
        print("| run | server CPU, off | on | | connector CPU, off | on | seconds, off | on |")
        print("|---|---|---|---|---|---|---|---|")
        for night, share in nights.items():
            found = []
            for schema, space, history in (("off", off, ""), ("on", on, ",".join(EVERY))):
                if share is not None:
                    space.control("advance", seconds=86_400)
                if share:
                    space.control("change", fraction=share, seed=5)
                    space.control("advance", seconds=1_800)
                found.append(one_run(space, database_url, f"whole_{schema}", history))
            (server, run), (server_on, run_on) = found
            share_more = f"{server_on / server - 1:+.0%}"
            print(
                f"| {night} | {server:.2f} s | {server_on:.2f} s | {share_more} | {run.cpu:.2f} s"
                f" | {run_on.cpu:.2f} s | {run.seconds:.1f} | {run_on.seconds:.1f} |",
                flush=True,
            )


def one_run(
    space: runs.Served, database_url: str, schema: str, history: str
) -> tuple[float, runs.Run]:
    """Seconds of the server's CPU, all of its processes together, and the run."""
    before = server_cpu(database_url)
    run = runs.sync(space.url, database_url, schema, CONNECTOR_HISTORY=history)
    return server_cpu(database_url) - before, run


def server_cpu(database_url: str) -> float:
    """Seconds of CPU that the server's processes have had, those that have ended included."""
    with psycopg.connect(database_url) as conn:
        row = conn.execute("SELECT pg_backend_pid()").fetchone()
        assert row
        postmaster = int(Path(f"/proc/{row[0]}/stat").read_text().rpartition(")")[2].split()[1])
    times = Path(f"/proc/{postmaster}/stat").read_text().rpartition(")")[2].split()[11:15]
    ended = sum(map(int, times)) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
    living = 0.0
    for child in children:
        with contextlib.suppress(OSError):
            living += cpu(int(child))
    return ended + living


if __name__ == "__main__":
    given = [int(size) for size in sys.argv[1:]]
    sizes = given + [15_000, 3_000, 3_000][len(given) :]
    main(*sizes)
    print()
    whole(*sizes[:2])
