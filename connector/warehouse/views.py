"""The views for analysts: of each resource table the living rows, contacts also by role.

A view only ever grows at its end: analysts' own views hang on it, and PostgreSQL lets
CREATE OR REPLACE VIEW append columns but neither move nor drop them.
"""

from __future__ import annotations

import sqlalchemy as sa

from connector.resources import RESOURCES, TABLES
from connector.warehouse.schema import metadata
from connector.warehouse.statements import Names, literal, quote


def refresh_views(conn: sa.Connection, schema: str) -> None:
    """Create the views, or append the columns that they lack."""
    names, meta = Names(schema), metadata()
    for table in TABLES:
        view = f"{table.name}_live"
        columns = [column.name for column in meta.tables[table.name].columns]
        source = f"{names.plain(table.name)} o WHERE _deleted_at IS NULL AND NOT _placeholder"
        sentence = f"Rows of {table.name} that are neither deleted nor placeholders."
        if table.apart_from:
            other = names.plain(table.apart_from)
            source += (
                f" AND NOT EXISTS (SELECT FROM {other} x WHERE x.id = o.id"
                " AND x._deleted_at IS NULL AND NOT x._placeholder)"
            )
            sentence += f" Those that also stand in {table.apart_from} are left out."
        _replace(conn, names, view, columns, source, sentence, meta.tables[table.name])
    for resource in RESOURCES:
        if resource.owns:
            table = resource.table
            columns = [column.name for column in meta.tables[table.name].columns]
            condition = " AND ".join(f"{quote(k)} = {literal(v)}" for k, v in resource.owns)
            source = f"{names.plain(table.name + '_live')} WHERE {condition}"
            sentence = f"The {resource.name} among {table.name}_live."
            _replace(conn, names, resource.name, columns, source, sentence, meta.tables[table.name])


def _replace(
    conn: sa.Connection,
    names: Names,
    view: str,
    columns: list[str],
    source: str,
    sentence: str,
    table: sa.Table,
) -> None:
    stored = _columns(conn, names.schema, view)
    ordered = [*stored, *(name for name in columns if name not in stored)]
    _do(
        conn,
        f"CREATE OR REPLACE VIEW {names.plain(view)} AS SELECT {', '.join(map(quote, ordered))}"
        f" FROM {source}",
    )
    _do(conn, f"COMMENT ON VIEW {names.plain(view)} IS {literal(sentence)}")
    for name in ordered:
        comment = table.columns[name].comment or ""
        _do(conn, f"COMMENT ON COLUMN {names.plain(view)}.{quote(name)} IS {literal(comment)}")


def _do(conn: sa.Connection, statement: str) -> None:
    conn.exec_driver_sql(statement.replace("%", "%%"))


def _columns(conn: sa.Connection, schema: str, view: str) -> list[str]:
    query = sa.text(
        "SELECT column_name FROM information_schema.columns"
        " WHERE table_schema = :schema AND table_name = :view ORDER BY ordinal_position"
    )
    return list(conn.execute(query, {"schema": schema, "view": view}).scalars())
