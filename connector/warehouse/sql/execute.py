"""Runs SQL text in the transaction of a connection: the one way for all text.

The text stands as PostgreSQL reads it, with ``%(name)s`` (or ``%s``, where a sequence is given)
outside quotes for parameters. Within quotes a percent sign is a percent sign, so names and texts
need no more than ``names``. Errors are the driver's, here as from SQLAlchemy's own statements, see
``database``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

import psycopg
import sqlalchemy as sa
from psycopg.types.array import ListDumper

from connector.warehouse.sql.names import Names

Parameters = Mapping[str, Any] | Sequence[Any]

_BETWEEN, _QUOTED_BETWEEN = "\0", '","'  # no text that PostgreSQL holds has the first
# What is quoted within quotes is doubled, which reads as two texts side by side.
_QUOTED = re.compile("\"[^\"]*\"|'[^']*'")


class Lists(ListDumper):
    """Lists as parameters: texts all at once, since thousands of ids are one parameter."""

    def dump(self, obj: list[Any]) -> Any:
        """As array text."""
        if set(map(type, obj)) != {str}:
            return super().dump(obj)
        joined = _BETWEEN.join(obj)
        if joined.count(_BETWEEN) != len(obj) - 1:  # one holds what no text may
            return super().dump(obj)
        escaped = joined.replace("\\", r"\\").replace('"', r"\"")
        return f'{{"{escaped.replace(_BETWEEN, _QUOTED_BETWEEN)}"}}'.encode()


def execute(
    conn: sa.Connection, statement: str, parameters: Parameters | None = None
) -> psycopg.Cursor[Any]:
    """Execute one statement, or without parameters several; the cursor with what came of it."""
    with _cursor(conn) as cursor:
        if parameters is None:
            return cursor.execute(statement)
        return cursor.execute(_doubled(statement), parameters)


def fetch(
    conn: sa.Connection, statement: str, parameters: Parameters | None = None
) -> list[tuple[Any, ...]]:
    """The rows of a query."""
    return execute(conn, statement, parameters).fetchall()


def scalars(conn: sa.Connection, statement: str, parameters: Parameters | None = None) -> list[Any]:
    """The first value of each row."""
    return [row[0] for row in execute(conn, statement, parameters)]


def scalar(conn: sa.Connection, statement: str, parameters: Parameters | None = None) -> Any:
    """The first value of the first row; None where there is no row."""
    row = execute(conn, statement, parameters).fetchone()
    return row[0] if row else None


def copy(conn: sa.Connection, statement: str, data: bytes | bytearray | str) -> None:
    """COPY ... FROM STDIN, with all of its data."""
    with _cursor(conn) as cursor, cursor.copy(statement) as stream:
        stream.write(data)


def need_not_be_safe(conn: sa.Connection) -> None:
    """Let this transaction commit before the disk has it: a crash of the server may undo it.

    It is never undone where a later one is not that was committed before the crash.
    """
    execute(conn, "SET LOCAL synchronous_commit = off")


def names_of(conn: sa.Connection) -> Names:
    """Names in the schema that the connection was opened for."""
    return Names(conn.get_execution_options()["schema_translate_map"][None])


@contextmanager
def _cursor(conn: sa.Connection) -> Iterator[psycopg.Cursor[Any]]:
    """A cursor of the driver; a connection that is lost meanwhile is not rolled back."""
    if not conn.in_transaction():  # as SQLAlchemy does for its own statements
        conn.begin()
    raw: psycopg.Connection[Any] = conn.connection.driver_connection  # type: ignore[assignment]
    try:
        yield raw.cursor()
    except psycopg.Error as failure:
        if raw.closed:
            conn.invalidate(failure)
        raise


@lru_cache(maxsize=512)  # those of a merge are long and come again and again
def _doubled(statement: str) -> str:
    """The statement as the driver takes it, which looks for parameters within quotes too."""
    doubled = _QUOTED.sub(lambda quoted: quoted[0].replace("%", "%%"), statement)
    return statement if doubled == statement else doubled
