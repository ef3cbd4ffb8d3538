"""``sql``: prints the rows of a query on the warehouse, read-only unless told otherwise."""

from __future__ import annotations

import itertools
import json
import math
import re
from decimal import Decimal
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.datetime import DateLoader, TimestampLoader, TimestamptzLoader
from psycopg.types.string import TextLoader

from connector.commands.terminal.grids import Grid, fitted, plain
from connector.errors import SettingsError
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.names import quote
from connector.warehouse.sql.session import USERS_READS, USERS_WRITES

_COPY = re.compile(r"(\s|--[^\n]*\n|/\*.*?\*/)*copy\b", re.IGNORECASE | re.DOTALL)
_BEYOND_ASCII = re.compile(r"[^\x00-\x7f]")
_AS_WRITTEN = (
    *("interval", "time", "timetz", "bytea", "record"),
    *("int4range", "int8range", "numrange", "daterange", "tsrange", "tstzrange"),
    *("int4multirange", "int8multirange", "nummultirange", "datemultirange"),
    *("tsmultirange", "tstzmultirange"),
)
WIDEST = 60  # characters of a cell on paper; --json shows all


def run(database: Database, statement: str, *, as_json: bool, write: bool) -> int:
    """Execute one statement with the schema as search path and print what it returns.

    Timezone, timeouts and whatever else the session has set are the user's. Raises SettingsError
    with Postgres's message for a statement that it refuses.
    """
    if _COPY.match(statement):
        raise SettingsError("COPY needs a client that takes its data, such as psql")
    database.wait()
    try:
        with database.transaction(USERS_WRITES if write else USERS_READS) as conn:
            _read_as_written(conn)
            path = f"{quote(database.schema)}, public"
            execute(conn, "SELECT set_config('search_path', %(path)s, true)", {"path": path})
            if not write:
                _refuse_several(conn, statement)
            result = execute(conn, statement)
            names = [column.name for column in result.description or ()]
            rows = result.fetchall() if result.description else []
            affected = result.rowcount
    except psycopg.Error as failure:
        raise SettingsError(f"Postgres refuses the statement: {_message(failure)}") from failure
    if as_json:
        keys = [json.dumps(name) for name in _distinct(names)]
        objects = (zip(keys, map(_json, row), strict=True) for row in rows)
        print(f"[{', '.join('{' + ', '.join(map(': '.join, one)) + '}' for one in objects)}]")
    else:
        print(table(names, rows) if names else f"({max(affected, 0):,} rows)")
    return 0


class _Json(str):
    """A document as Postgres holds it: Python would round its numbers, or find it too deep."""


class _Document(Loader):
    """Loads JSON as its text."""

    def load(self, data: Buffer) -> _Json:
        return _Json(bytes(data).decode())


def _read_as_written(conn: sa.Connection) -> None:
    """Of what Python cannot hold as it is, load the text that Postgres writes."""
    raw: Any = conn.connection.driver_connection
    for name, loader in (
        ("timestamptz", TimestamptzLoader),
        ("timestamp", TimestampLoader),
        ("date", DateLoader),
    ):
        raw.adapters.register_loader(name, _or_text(loader))
    for name in ("json", "jsonb"):
        raw.adapters.register_loader(name, _Document)
    for name in _AS_WRITTEN:
        raw.adapters.register_loader(name, TextLoader)


def _or_text(loader: Any) -> type[Loader]:
    """A loader that returns the text where the other one can make no value of it."""

    class OrText(loader):  # type: ignore[misc]
        def load(self, data: Buffer) -> Any:
            try:
                return super().load(data)
            except psycopg.DataError:
                return bytes(data).decode()

    return OrText


def _refuse_several(conn: sa.Connection, statement: str) -> None:
    """Raise Postgres's error unless it is one statement: COMMIT would end what is read-only."""
    raw: Any = conn.connection.driver_connection
    parsed = raw.pgconn.prepare(b"", statement.encode())
    if parsed.status != psycopg.pq.ExecStatus.COMMAND_OK:
        raise psycopg.errors.error_from_result(parsed)


def _message(failure: psycopg.Error) -> str:
    return failure.diag.message_primary or str(failure)


def _distinct(names: list[str]) -> list[str]:
    """The names, each once: the second ``a`` is ``a_2``, or the next that no column bears."""
    taken = set(names)
    found = dict[str, None]()  # in their order
    for name in names:
        if name in found:
            numbered = (f"{name}_{number}" for number in itertools.count(2))
            name = next(free for free in numbered if free not in taken)
            taken.add(name)
        found[name] = None
    return list(found)


def _json(value: Any) -> str:
    """JSON text in ASCII, which every stream takes.

    The numbers that JSON lacks are texts, as Postgres writes them in JSON.
    """
    if isinstance(value, _Json):
        return _BEYOND_ASCII.sub(lambda one: json.dumps(one[0])[1:-1], value)
    if isinstance(value, list):
        return f"[{', '.join(map(_json, value))}]"
    if isinstance(value, float) and not math.isfinite(value):
        return json.dumps(json.loads(json.dumps(value), parse_constant=str))
    return json.dumps(value, default=str)


def table(names: list[str], rows: list[tuple[Any, ...]]) -> str:
    """Rows under their headings: a table that fits on a terminal, else columns of plain text."""
    cells = [[_cell(value) for value in row] for row in rows]
    numbers = [
        n for n, column in enumerate(zip(*rows, strict=True)) if all(map(_is_number, column))
    ]
    count = "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
    return f"{fitted(Grid(names, cells, numbers)) or plain(Grid(names, cells))}\n({count})"


def _is_number(value: Any) -> bool:
    return value is None or (isinstance(value, int | float | Decimal) and type(value) is not bool)


def _cell(value: Any) -> str:
    text = "" if value is None else str(value).replace("\n", " ")
    return text if len(text) <= WIDEST else text[: WIDEST - 1] + "…"
