"""What the merge of loading costs beside a bare COPY of the same bytes, by the server's CPU.

``python -m bench.loading [CONTACTS CONVERSATIONS BATCH]`` encodes generated contacts and whole
conversations once and loads the finished batches, each in a transaction of its own: by the loader
as in a large first load, which takes foreign keys off and puts them on again, and with them on
when all is new, nothing, 1 % and everything has changed; by bare COPY into empty tables with the
same indexes, without and with the same foreign keys. Prints rows of the main table for each
second of the server process's CPU, as Markdown. Last, by the clock, what the whole way from JSON
text to the commit takes, decoding and encoding included, as large first loads go it.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from connector.resources.declarations.contacts import TABLE as CONTACTS
from connector.resources.declarations.contacts import USERS
from connector.resources.declarations.conversations import TABLE as CONVERSATIONS
from connector.resources.resource import Table
from connector.simulator import Workspace
from connector.simulator.api.conversations import with_parts
from connector.simulator.encoding import decode
from connector.sync.writing.submission import Submission
from connector.sync.writing.writer import Writer
from connector.warehouse import followers, state
from connector.warehouse.encode.batch import Batch
from connector.warehouse.encode.encoder import encode
from connector.warehouse.merge.loader import Loader
from connector.warehouse.migrate import migrate
from connector.warehouse.schema import foreign_keys
from connector.warehouse.sql import embedded, names
from connector.warehouse.sql.database import Database

SCHEMA, FIRST, WHOLE = "loading", "loading_first", "loading_whole"
PAGE = 150
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
COLUMNS = ("bare COPY", "and foreign keys", "first load", "all new", "same", "1 %", "everything")

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
        database, first = Database(server.get_uri(), SCHEMA), Database(server.get_uri(), FIRST)
        try:
            migrate(database)
            migrate(first)
            print("| rows a second of CPU | " + " | ".join(COLUMNS) + " |")
            print("|---" * (1 + len(COLUMNS)) + "|")
            print_line(database, first, CONTACTS, people, size)
            print_line(database, first, CONVERSATIONS, talks, max(size // 10, 1))
            texts = [item.body for item in space.contacts.current.values()]
            print_whole(database, Database(server.get_uri(), WHOLE), texts, people, size)
        finally:
            first.close()
            database.close()
            server.cleanup()


def print_line(
    database: Database, first: Database, table: Table, records: Records, size: int
) -> None:
    """Measure one kind and print its line."""

    def merging(schema: str) -> Merge:
        loader = Loader(schema, followers=followers.declared())
        return lambda conn, batch: loader.merge(conn, batch, 1)

    merge = merging(SCHEMA)

    def rate(copies: Records, hours: int, how: Merge = merge) -> float:
        parts = batches(table, copies, BEGAN + timedelta(hours=hours), size)
        return len(records) / load(database, parts, how)

    parts = batches(table, records, BEGAN, size)
    without = len(records) / load(first, parts, merging(FIRST), without_keys_of=table)
    new, same = rate(records, 0), rate(records, 1)
    few, every = rate(changed(records, 100), 2), rate(changed(records, 1), 3)
    copied = rate(records, 0, bare(database, table, "bare", keys=False))
    checked = rate(records, 0, bare(database, table, "checked", keys=True))
    cells = [copied, checked, without, new, same, few, every]
    told = " | ".join(f"{cell:,.0f} ({cell / copied:.0%})" for cell in cells)
    print(f"| {table.name} | {told} |", flush=True)


def print_whole(
    database: Database, whole: Database, texts: list[bytes], records: Records, size: int
) -> None:
    """By the clock: bare COPY of finished bytes, and texts on their whole way."""
    copy = bare(database, CONTACTS, "clock", keys=False)
    parts = batches(CONTACTS, records, BEGAN, size)
    began = time.monotonic()
    load(database, parts, copy)
    copied = len(texts) / (time.monotonic() - began)
    migrate(whole)
    try:
        loaded = len(texts) / asyncio.run(from_text(whole, texts))
    finally:
        whole.close()
    print(
        f"\nContacts by the clock: bare COPY of finished bytes {copied:,.0f} rows a second,"
        f" from JSON text to commit {loaded:,.0f} ({loaded / copied:.0%})",
        flush=True,
    )


async def from_text(database: Database, texts: list[bytes]) -> float:
    """Seconds in which pages of records, all at hand, are decoded, encoded and committed."""
    run = database.write(lambda conn: state.start_run(conn, "sync"))
    writer, tally = Writer(database, run), state.Tally()
    pages = [texts[at : at + PAGE] for at in range(0, len(texts), PAGE)]
    submissions = [Submission(CONTACTS, tally, USERS.name) for _ in pages]
    for submission, page in zip(submissions, pages, strict=True):
        submission.add(page, BEGAN)
    began = time.monotonic()
    try:
        await writer.drop_foreign_keys(USERS)
        await asyncio.gather(*map(writer.submit, submissions))
        await writer.restore_foreign_keys(USERS)
        return time.monotonic() - began
    finally:
        writer.close()


def batches(table: Table, records: Records, read_at: datetime, size: int) -> list[Batch]:
    """The records as finished batches."""
    parts = (records[at : at + size] for at in range(0, len(records), size))
    return [encode(table, part, [read_at] * len(part)) for part in parts]


def changed(records: Records, each: int) -> Records:
    """The records, of which one in so many has changed."""
    return [
        record | {"updated_at": record["updated_at"] + 60, "odd": each} if n % each == 0 else record
        for n, record in enumerate(records)
    ]


def bare(database: Database, table: Table, schema: str, *, keys: bool) -> Merge:
    """COPY of a batch's bytes into empty tables like the real ones, indexes included."""
    with database.transaction() as conn:
        for statement in bare_tables(table, schema):
            conn.exec_driver_sql(statement)
        for statement in declared_keys(conn, table, schema) if keys else ():
            conn.exec_driver_sql(statement)

    def copy(conn: sa.Connection, batch: Batch) -> None:
        raw: Any = conn.connection.driver_connection
        for name, staged in batch.staged.items():
            columns = ", ".join(map(names.quote, staged.columns))
            into = f'COPY {schema}."{name}" ({columns}) FROM STDIN'
            if staged.rows:
                with raw.cursor().copy(into) as stream:
                    stream.write(staged.data)

    return copy


def bare_tables(table: Table, schema: str) -> Iterator[str]:
    """Statements that make them; what only stages have is added as columns."""
    yield f"CREATE SCHEMA IF NOT EXISTS {schema}"
    for name, columns in shapes(table):
        yield f'CREATE TABLE {schema}."{name}" (LIKE {SCHEMA}."{name}" INCLUDING ALL)'
        yield f'ALTER TABLE {schema}."{name}" ' + ", ".join(
            f'ADD COLUMN IF NOT EXISTS "{column}" {kind}' for column, kind in columns
        )


def declared_keys(conn: sa.Connection, table: Table, schema: str) -> Iterator[str]:
    """Statements that let them refer to the loader's tables, as those do."""
    for name, _ in shapes(table):
        found = conn.exec_driver_sql(
            "SELECT pg_get_constraintdef(oid) FROM pg_constraint"
            f" WHERE contype = 'f' AND conrelid = '{SCHEMA}.\"{name}\"'::regclass"
        )
        for definition in found.scalars().all():
            yield f'ALTER TABLE {schema}."{name}" ADD {definition}'


def shapes(table: Table) -> Iterator[tuple[str, Iterable[tuple[str, str]]]]:
    """The tables of a batch, each with the columns that its COPY text may name."""
    for part in table.family():
        lists = [link.table for link in part.links] + [c.table.name for c in part.children]
        flags = [(f"_complete_{name}", "boolean") for name in lists]
        yield part.name, [*flags, ("_absent", "text[]")]
        for link in part.links:
            yield link.table, [("_absent", "text[]")]


def load(
    database: Database,
    parts: Sequence[Batch],
    merge: Merge,
    without_keys_of: Table | None = None,
) -> float:
    """Seconds of the server process's CPU for all of them, the commits included.

    Taking off the foreign keys of a table, and putting them on again, is included too.
    """
    qualified = names.Names(database.schema)
    with database.transaction() as conn:
        process = conn.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()
    began = cpu(process)
    if without_keys_of:
        with database.transaction() as conn:
            foreign_keys.drop(conn, qualified, without_keys_of)
    for batch in parts:
        with database.transaction() as conn:
            merge(conn, batch)
    if without_keys_of:
        with database.transaction() as conn:
            foreign_keys.restore(conn, qualified)
    return cpu(process) - began


def cpu(process: int) -> float:
    """Seconds of CPU that a process has had."""
    return int(Path(f"/proc/{process}/schedstat").read_text().split()[0]) / 1e9


if __name__ == "__main__":
    given = [int(size) for size in sys.argv[1:]]
    main(*(given + [15_000, 3_000, 750][len(given) :]))
