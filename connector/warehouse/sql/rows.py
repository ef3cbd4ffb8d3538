"""Which rows of a table count, as conditions in SQL; executes nothing."""

from __future__ import annotations

from connector.resources.resource import Resource
from connector.warehouse.sql.names import literal, quote


def living(row: str = "") -> str:
    """The rows, of that alias, are neither deleted nor placeholders."""
    return f"{_of(row)}_deleted_at IS NULL AND NOT {_of(row)}_placeholder"


def owned(resource: Resource, row: str = "") -> str:
    """The rows, of that alias, are the resource's own among those that share its table."""
    own = [f"{_of(row)}{quote(name)} = {literal(value)}" for name, value in resource.owns]
    return " AND ".join(own) or "true"


def own_living(resource: Resource, row: str = "") -> str:
    """Both: the rows, of that alias, are the resource's own and live."""
    return f"{living(row)} AND {owned(resource, row)}"


def _of(row: str) -> str:
    return f"{row}." if row else ""
