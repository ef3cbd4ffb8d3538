"""The workspace that a schema is pinned to."""

from __future__ import annotations

import sqlalchemy as sa
from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy.dialects.postgresql import insert

from connector.warehouse.state.tables import WORKSPACE


class Workspace(Struct, frozen=True):
    """The workspace that a token opens, or that a schema is pinned to."""

    id_code: str
    name: str | None
    region: str | None
    timezone: str | None
    api_version: str


def pinned(conn: sa.Connection) -> Workspace | None:
    """The workspace of this schema, or None before the first sync."""
    columns = [WORKSPACE.c[name] for name in Workspace.__struct_fields__]
    row = conn.execute(sa.select(*columns)).mappings().first()
    return Workspace(**row) if row else None


def pin(conn: sa.Connection, workspace: Workspace) -> None:
    """Pin the schema to the workspace, or note its present name, timezone and API version."""
    values = asdict(workspace)
    statement = insert(WORKSPACE).values(**values, pinned_at=sa.func.now())
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["id_code"],
            set_=values,
            where=sa.or_(*(WORKSPACE.c[k].is_distinct_from(v) for k, v in values.items())),
        )
    )
