"""Which rows of a table count, as conditions in SQL; executes nothing."""

from __future__ import annotations

from connector.resources.resource import Kind, Resource, Table
from connector.warehouse.sql.names import Names, literal, quote


def living(row: str = "") -> str:
    """The rows, of that alias, are neither deleted nor placeholders."""
    return f"{_of(row)}_deleted_at IS NULL AND NOT {_of(row)}_placeholder"


def owned(resource: Resource, row: str = "") -> str:
    """The rows, of that alias, are the resource's own among those that share its table."""
    own = [f"{_of(row)}{quote(name)} = {literal(value)}" for name, value in resource.discriminator]
    return " AND ".join(own) or "true"


def own_living(resource: Resource, row: str = "") -> str:
    """Both: the rows, of that alias, are the resource's own and live."""
    return f"{living(row)} AND {owned(resource, row)}"


def apart(names: Names, table: Table, row: str) -> str:
    """The row, of that alias, does not also live in the table that counts such objects."""
    if not table.apart_from:
        return "true"
    return (
        f"NOT EXISTS (SELECT FROM {names(table.apart_from)} x WHERE x.id = {row}.id"
        f" AND {living('x')})"
    )


def key_text(table: Table, row: str) -> str:
    """The key of a row as one text, instants in Unix seconds; ``keys.shown`` gives the same."""
    parts = []
    for name in table.key:
        column = f"{row}.{quote(name)}"
        if table.column(name).kind is Kind.INSTANT:
            column = f"floor(extract(epoch FROM {column}))::bigint::text"
        parts.append(column)
    return parts[0] if len(parts) == 1 else f"concat_ws(' ', {', '.join(parts)})"


def _of(row: str) -> str:
    return f"{row}." if row else ""
