"""What the merge of loading costs beside a bare COPY of the same bytes, by the server's CPU.

``python -m bench.loading [CONTACTS CONVERSATIONS BATCH]`` encodes generated contacts and whole
conversations once, then loads the finished batches, each in a transaction of its own: bare COPY
into the same tables with the same indexes, and the loader for all new, nothing changed, and 1 %
changed. Prints rows of the main table for each second of the server process's CPU, as Markdown.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connector.resources.contacts import TABLE as CONTACTS
from connector.resources.conversations import TABLE as CONVERSATIONS
from connector.resources.resource import Table
from connector.simulator import Workspace
from connector.simulator.api.conversations import with_parts
from connector.simulator.encoding import decode
from connector.warehouse import embedded, statements
from connector.warehouse.batch import Batch
from connector.warehouse.database import Database
from connector.warehouse.encoder import encode
from connector.warehouse.loader import Loader
from connector.warehouse.migrate import migrate

SCHEMA, BARE = "loading", "bare"
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
CHANGED = 100  # every so manieth record has changed

Records = list[dict[str, Any]]
Merge = Callable[[sa.Connection, Batch], object]


def main(contacts: int, conversations: int, size: int) -> None:
    """Load both kinds and print a line for each."""
    space = Workspace.generate(
        1, contacts=contacts, companies=contacts // 20, conversations=conversations, events=0
    )
    people = [decode(item.body) for item in space.contacts.current.values()]
    talks = [decode(with_parts(item, 500)) for item in space.conversations.current.values()]
    with tempfile.TemporaryDirectory() as directory:
        server = embedded.start(Path(directory) / "data")
        database = Database(server.get_uri(), SCHEMA)
        try:
            migrate(database)
            print("| rows a second of CPU | bare COPY | all new | nothing changed | 1 % changed |")
            print("|---|---|---|---|---|")
            print_line(database, CONTACTS, people, size)
            print_line(database, CONVERSATIONS, talks, max(size // 10, 1))
        finally:
            database.close()
            server.cleanup()


def print_line(database: Database, table: Table, records: Records, size: int) -> None:
    """Measure one kind and print its line."""
    loader = Loader(SCHEMA)
    first = batches(table, records, BEGAN, size)
    again = batches(table, records, BEGAN + timedelta(hours=1), size)
    later = batches(table, changed(records), BEGAN + timedelta(hours=2), size)

    def merge(conn: sa.Connection, batch: Batch) -> None:
        loader.write(conn, batch, 1)

    rates = [
        len(records) / load(database, first, bare(database, table)),
        len(records) / load(database, first, merge),
        len(records) / load(database, again, merge),
        len(records) / load(database, later, merge),
    ]
    cells = " | ".join(f"{rate:,.0f} ({rate / rates[0]:.0%})" for rate in rates)
    print(f"| {table.name} | {cells} |", flush=True)


def batches(table: Table, records: Records, read_at: datetime, size: int) -> list[Batch]:
    """The records as finished batches."""
    parts = (records[at : at + size] for at in range(0, len(records), size))
    return [encode(table, part, [read_at] * len(part)) for part in parts]


def changed(records: Records) -> Records:
    """The records, of which one in a hundred has changed."""
    return [
        record | {"updated_at": record["updated_at"] + 60, "language_override": "xx", "odd": n}
        if n % CHANGED == 0
        else record
        for n, record in enumerate(records)
    ]


def bare(database: Database, table: Table) -> Merge:
    """COPY of a batch's bytes into empty tables like the real ones, indexes included."""
    with database.transaction() as conn:
        for statement in bare_tables(table):
            conn.exec_driver_sql(statement)

    def copy(conn: sa.Connection, batch: Batch) -> None:
        raw: Any = conn.connection.driver_connection
        for name, staged in batch.staged.items():
            columns = ", ".join(map(statements.quote, staged.columns))
            into = f'COPY {BARE}."{name}" ({columns}) FROM STDIN'
            if staged.rows:
                with raw.cursor().copy(into) as stream:
                    stream.write(staged.data)

    return copy


def bare_tables(table: Table) -> Iterator[str]:
    """Statements that make them; what only stages have is added as columns."""
    yield f"CREATE SCHEMA IF NOT EXISTS {BARE}"
    for name, columns in shapes(table):
        yield f'CREATE TABLE {BARE}."{name}" (LIKE {SCHEMA}."{name}" INCLUDING ALL)'
        yield f'ALTER TABLE {BARE}."{name}" ' + ", ".join(
            f'ADD COLUMN IF NOT EXISTS "{column}" {kind}' for column, kind in columns
        )


def shapes(table: Table) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
    """The tables of a batch, each with the columns that its COPY text may name."""
    for part in table.family():
        lists = [link.table for link in part.links] + [c.table.name for c in part.children]
        flags = [(f"_whole_{name}", "boolean") for name in lists]
        yield part.name, [*flags, ("_absent", "text[]")]
        for link in part.links:
            yield link.table, [("_absent", "text[]")]


def load(database: Database, parts: Sequence[Batch], merge: Merge) -> float:
    """Seconds of the server process's CPU for all of them, the commits included."""
    with database.transaction() as conn:
        process = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    began = cpu(process)
    for batch in parts:
        with database.transaction() as conn:
            merge(conn, batch)
    return cpu(process) - began


def cpu(process: int) -> float:
    """Seconds of CPU that a process has had."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


if __name__ == "__main__":
    given = [int(size) for size in sys.argv[1:]]
    main(*(given + [15_000, 3_000, 750][len(given) :]))
