"""Copies a model into a temporary table; the model can read whatever its role may, and not write.

Its query runs by the search path of the role, as where it was written; all the rest of a plan runs
by that of the session, where nobody's functions and operators come first. Time zone and DateStyle
stay those of the session for both, so that a model means the same on every machine.
"""

from __future__ import annotations

from collections.abc import Collection

import psycopg
import sqlalchemy as sa

from connector.push.planning.asked import Asked
from connector.push.planning.model import query
from connector.push.planning.model.columns import Model, checked
from connector.push.planning.values import staged
from connector.warehouse.sql.describe import Described, describe
from connector.warehouse.sql.execute import execute, scalar

STAGE = "pg_temp._push_model"
# Of what the model says: syntax and names, data, what is not supported or allowed, limits.
_OF_THE_MODEL = ("42", "22", "0A", "21", "25001", "25006", "2F", "38", "39", "3D", "3F", "54", "P0")


def stage(conn: sa.Connection, asked: Asked, excluded: Collection[str]) -> Model:
    """The model, checked, its rows in ``STAGE`` with their numbers ``n``.

    Raises SettingsError where the query or a column is wrong.
    """
    text = query.text_of(asked)
    described = _described(conn, asked, text)
    if not described:
        raise asked.wrong("it returns no columns")
    model = checked(conn, asked, described, excluded)
    columns = ", ".join(f"{g.stage} {g.kept or 'text'}" for g in model.columns)
    execute(conn, f"DROP TABLE IF EXISTS {STAGE}")
    execute(conn, f"CREATE TEMP TABLE {STAGE} (n bigint, {columns}) ON COMMIT DROP")
    _fill(conn, asked, model, text)
    execute(conn, f"ANALYZE {STAGE} (n)")  # a column more would take longer than it saves
    return model


def _described(conn: sa.Connection, asked: Asked, text: str) -> list[Described]:
    before = _use_path_of_the_role(conn)
    try:
        return describe(conn, text)
    except psycopg.Error as failure:
        raise _refused(asked, failure, 0) from failure
    finally:
        _use_path(conn, before)


def _fill(conn: sa.Connection, asked: Asked, model: Model, text: str) -> None:
    """Run the model's query where nothing but temporary tables can be written."""
    names = ", ".join(f"k{given.position}" for given in model.columns)
    values = ", ".join(staged(given, f"q.k{given.position}") for given in model.columns)
    head = (
        f"INSERT INTO {STAGE} SELECT pg_catalog.row_number() OVER (), {values or 'NULL'} FROM (\n"
    )
    before = _use_path_of_the_role(conn)
    try:
        with conn.begin_nested():  # the end of which lets the transaction write again
            execute(conn, "SET LOCAL transaction_read_only = on")
            execute(conn, f"{head}{text}\n) AS q ({names})")
    except psycopg.Error as failure:
        raise _refused(asked, failure, len(head)) from failure
    finally:
        _use_path(conn, before)


def _use_path_of_the_role(conn: sa.Connection) -> str | None:
    """Find names as the role finds them; the path that was in use, None if the role fails."""
    before = str(scalar(conn, "SELECT current_setting('search_path')"))
    execute(
        conn,
        "SELECT set_config('search_path', reset_val, true) FROM pg_catalog.pg_settings"
        " WHERE name = 'search_path'",
    )
    return before


def _use_path(conn: sa.Connection, path: str | None) -> None:
    """Find names by that path again, unless the transaction or its connection has failed."""
    if conn.invalidated:
        return
    raw = conn.connection.driver_connection
    status = raw.info.transaction_status if raw is not None else None
    if status is psycopg.pq.TransactionStatus.INTRANS:
        execute(conn, "SELECT pg_catalog.set_config('search_path', %(path)s, true)", {"path": path})


def _refused(asked: Asked, failure: psycopg.Error, before: int) -> Exception:
    """SettingsError in the server's own words where the model is at fault; else the failure."""
    state = failure.sqlstate or ""
    if not state.startswith(_OF_THE_MODEL) and type(failure) is not psycopg.ProgrammingError:
        return failure
    said = " ".join((failure.diag.message_primary or str(failure)).split())
    place = _place(asked, int(failure.diag.statement_position or 0) - before)
    hint = failure.diag.message_hint
    rights = state == "42501"
    advice = "; GRANT it to the role of DATABASE_URL" if rights else f" ({hint})" if hint else ""
    return asked.wrong(f"Postgres says: {said}{place}{advice}")


def _place(asked: Asked, position: int) -> str:
    """Where in the model's text the server found it wrong."""
    if position < 1 or query.is_name(asked) or position > len(asked.model) + 1:
        return ""
    ahead = asked.model[: position - 1]
    line, column = ahead.count("\n") + 1, position - (ahead.rfind("\n") + 1)
    return f" at character {position}" if line == 1 else f" at line {line}, character {column}"
