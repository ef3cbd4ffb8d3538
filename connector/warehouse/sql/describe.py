"""What a query would return, without executing it; and that it is one statement."""

from __future__ import annotations

from typing import Any

import psycopg
import sqlalchemy as sa
from msgspec import Struct


class Described(Struct, frozen=True):
    """One column of a result: its name and the OID of its type, of a domain's base type."""

    name: str
    oid: int


def describe(conn: sa.Connection, query: str) -> list[Described]:
    """The columns of a query, in the transaction of the connection.

    The server parses it as one statement, so that a second one is an error. Raises psycopg.Error
    as the server words it, with the position in the text; ProgrammingError for parameters.
    """
    raw: Any = conn.connection.driver_connection
    _checked(raw.pgconn.prepare(b"", query.encode()))
    found = _checked(raw.pgconn.describe_prepared(b""))
    if found.nparams:
        raise psycopg.ProgrammingError("the query has parameters, as $1, which nobody gives")
    names = [(found.fname(number) or b"").decode() for number in range(found.nfields)]
    return [Described(name, found.ftype(number)) for number, name in enumerate(names)]


def _checked(result: Any) -> Any:
    if result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
        raise psycopg.errors.error_from_result(result, encoding="utf-8")
    return result
