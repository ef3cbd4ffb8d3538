"""A mirror filled by SQL, and plans made against it."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

from connector.push.kinds import KINDS
from connector.push.planning import Asked, Plan, make
from connector.warehouse.sql.names import literal
from tests.support.warehouse import Warehouse

READ = "2026-06-01T00:00:00Z"  # when the mirror's rows were read, and last changed


def value(one: Any) -> str:
    """A value as it stands in SQL."""
    if one is None:
        return "NULL"
    if isinstance(one, dict | list):
        return literal(json.dumps(one)) + "::jsonb"
    return str(one).lower() if isinstance(one, bool) else literal(str(one))


def insert(warehouse: Warehouse, table: str, **columns: Any) -> None:
    """One row, behind the connector's back."""
    names = ", ".join(f'"{name}"' for name in columns)
    values = ", ".join(map(value, columns.values()))
    warehouse.execute(f"INSERT INTO {table} ({names}) VALUES ({values})")


def contact(warehouse: Warehouse, id: str, **columns: Any) -> None:
    """A living contact as the mirror has it."""
    given = {"role": "user", "updated_at": READ, "_read_at": READ, **columns}
    insert(warehouse, "contacts", id=id, **given)


def company(warehouse: Warehouse, id: str, **columns: Any) -> None:
    """A living company as the mirror has it."""
    insert(warehouse, "companies", id=id, **{"updated_at": READ, "_read_at": READ, **columns})


def tag(warehouse: Warehouse, id: str, name: str, *contacts: str) -> None:
    """A tag on these contacts."""
    insert(warehouse, "tags", id=id, name=name)
    for one in contacts:
        insert(warehouse, "contact_tags", contact_id=one, tag_id=id)


def attribute(
    warehouse: Warehouse, name: str, data_type: str = "string", column: str = "", **more: Any
) -> None:
    """A custom attribute of contacts, and its column of the views."""
    model = more.pop("model", "contact")
    full = f"custom_attributes.{name}"
    row = {"model": model, "full_name": full, "name": name, "data_type": data_type}
    insert(warehouse, "data_attributes", custom=True, **row, **more)
    store(warehouse, name, data_type, column, model=model)


def store(
    warehouse: Warehouse, name: str, data_type: str, column: str = "", model: str = "contact"
) -> None:
    """The column of the views alone."""
    insert(
        warehouse,
        "custom_columns",
        model=model,
        full_name=f"custom_attributes.{name}",
        name=name,
        data_type=data_type,
        column_name=column or f"custom_{name}",
    )


def wish(warehouse: Warehouse, body: Any, **columns: Any) -> None:
    """A row of the outbox."""
    given = {"kind": "contacts", "op": "upsert", "body": body, **columns}
    insert(warehouse, "outbox", **given)


def plan(
    warehouse: Warehouse,
    model: str,
    kind: str = "contacts",
    excluded: Collection[str] = (),
    **asked: Any,
) -> Plan:
    """The plan of a model, carried out; of any size unless it is asked otherwise."""
    given = Asked(KINDS[kind], model, **{"yes": True, **asked})
    return warehouse.database.write(lambda conn: make(conn, given, excluded))


def outbox(warehouse: Warehouse, where: str = "true") -> list[dict[str, Any]]:
    """The outbox in its order."""
    return warehouse.query(f"SELECT * FROM outbox WHERE {where} ORDER BY id")


def bodies(warehouse: Warehouse) -> list[Any]:
    """The bodies of the outbox in their order."""
    return [row["body"] for row in outbox(warehouse)]
