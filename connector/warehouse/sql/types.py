"""Which SQL type holds which kind of value, and columns made of it: what all tables share."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import JSONB, TIMESTAMP

from connector.resources.resource import Column, Kind

INSTANT = TIMESTAMP(timezone=True)

TYPES: dict[Kind, sa.types.TypeEngine[Any]] = {
    Kind.ID: sa.Text(),
    Kind.TEXT: sa.Text(),
    Kind.INSTANT: INSTANT,
    Kind.FLAG: sa.Boolean(),
    Kind.COUNT: sa.BigInteger(),
    Kind.MONEY: sa.Numeric(),
    Kind.JSON: JSONB(),
    Kind.MAP: JSONB(),
    Kind.URL: sa.Text(),
    Kind.FILES: JSONB(),
}

TEXTS: sa.types.TypeEngine[Any] = sa.ARRAY(sa.Text())

_DIALECT = postgresql.dialect()  # type: ignore[no-untyped-call]


def sql_type(column: Column) -> str:
    """The type of a declared column, as it stands in SQL."""
    return TYPES[column.kind].compile(dialect=_DIALECT)


def plain(name: str, kind: sa.types.TypeEngine[Any], sentence: str) -> sa.Column[Any]:
    """A nullable column with its comment."""
    return sa.Column(name, kind, comment=sentence)
