"""The temporary tables that a batch is copied into, as SQL; executes nothing.

Stages empty themselves at each commit; they are made where they are missing, since behind a
transaction pooler each transaction may meet another server session. Their names carry a checksum of
their shape, for sessions that outlive a release.

Beside the columns of its table a stage has ``_complete_<list>`` for each link and child: true where
the record's list is known to be complete, so that what it omits is gone. ``encode`` says so, of
complete lists that were read and of embedded ones that count no more elements than they hold. It is
false for a list as long as its cap, for one with an element that names nothing, and, while merging,
for one that omits more children than the fuse takes.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import cache

from connector.resources.resource import Table
from connector.warehouse.sql.names import quote
from connector.warehouse.sql.types import sql_type


@cache
def _stage_shapes(table: Table, parent: str = "") -> dict[str, dict[str, str]]:
    """Columns and types of the stages of a table, its links and its children."""
    columns = {column.name: sql_type(column) for column in table.columns}
    columns |= {f"_complete_{link.table}": "boolean" for link in table.links}
    columns |= {f"_complete_{child.table.name}": "boolean" for child in table.children}
    if table.parts.truncated:
        columns[table.parts.truncated] = "boolean"
    if parent:
        columns[parent] = "text"
    if table.positioned:
        columns["position"] = "integer"
    columns |= {"_read_at": "timestamptz", "extra": "jsonb", "_absent": "text[]"}
    shapes = {table.name: columns}
    for link in table.links:
        shapes[link.table] = {link.owner: "text", link.target: "text"} | {
            c.name: sql_type(c) for c in link.columns
        }
    for child in table.children:
        shapes |= _stage_shapes(child.table, child.parent)
    return shapes


@cache
def drop_stages(table: Table) -> str:
    """Drop the stages of a table that ``create_stages`` has seen."""
    return f"DROP TABLE IF EXISTS {', '.join(map(stage, _stage_shapes(table)))}"


_registry: dict[str, str] = {}


@cache
def create_stages(table: Table) -> str:
    """Make the stages of a batch where this session has none yet."""
    # Compiling statements this wide would take longer than executing them.
    made = ["SET LOCAL client_min_messages = warning", "SET LOCAL jit = off"]
    made.append("SET CONSTRAINTS ALL DEFERRED")
    for name, columns in _stage_shapes(table).items():
        body = ", ".join(f"{quote(column)} {kind}" for column, kind in columns.items())
        _registry[name] = quote(f"_stage_{zlib.crc32(body.encode()):08x}_{name}"[:63])
        made.append(f"CREATE TEMP TABLE IF NOT EXISTS {stage(name)} ({body}) ON COMMIT DELETE ROWS")
    # Empty but for an earlier batch of the same transaction.
    made += [f"DELETE FROM {stage(name)}" for name in _stage_shapes(table)]
    return ";\n".join(made)


def stage(name: str) -> str:
    """The staging table of a table that ``create_stages`` has seen."""
    return _registry[name]


def copy(name: str, columns: Sequence[str]) -> str:
    """COPY into a stage, text format."""
    return f"COPY {stage(name)} ({', '.join(map(quote, columns))}) FROM STDIN"
