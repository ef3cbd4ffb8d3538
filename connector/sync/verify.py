"""Compares a sample of rows with Intercom: read by id now, merged for trial, and rolled back.

The merge itself tells what differs, so there is no second idea of what equal means.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from connector.intercom.client import Client
from connector.jsontext import decode
from connector.resources import RESOURCES
from connector.resources.resource import Catalogue, Resource
from connector.sync import plan
from connector.sync.objects import complete_lists, read_objects
from connector.sync.workspace import check_same, opened_by
from connector.warehouse.database import Database
from connector.warehouse.encoder import encode
from connector.warehouse.exclusions import NONE, Exclusions
from connector.warehouse.loader import Loader


@dataclass
class Verified:
    """What a sample of one resource's rows came to."""

    equal: int = 0
    changed_since: int = 0  # at Intercom, after they were read: the next sync brings it
    differences: dict[str, list[str]] = field(default_factory=dict)  # columns, by id
    unread: dict[str, str] = field(default_factory=dict)  # why, by id


async def verify(
    client: Client,
    database: Database,
    only: Sequence[str] | None,
    sample: int,
    exclusions: Exclusions = NONE,
) -> dict[str, Verified]:
    """The outcome for each resource whose objects can be read by id; writes nothing.

    Raises what the client and the database raise, WrongWorkspaceError, AlreadyRunningError.
    """
    workspace = await opened_by(client)
    database.wait()
    database.lock()
    database.write(lambda conn: check_same(conn, workspace, database.schema))
    found: dict[str, Verified] = {}
    for resource in RESOURCES:
        if _is_comparable(resource) and (not only or resource.name in only):
            found[resource.name] = await _verify(client, database, resource, sample, exclusions)
    return found


def _is_comparable(resource: Resource) -> bool:
    """A catalogue is compared whole at every sync, and by id shows other keys than in its list."""
    return bool(resource.by_id) and not isinstance(resource.reading, Catalogue)


async def _verify(
    client: Client, database: Database, resource: Resource, sample: int, exclusions: Exclusions
) -> Verified:
    loader, outcome = Loader(database.schema), Verified()
    with database.transaction() as conn:
        ids = loader.sample(conn, resource, sample)
        stored = loader.known(conn, resource.table, ids) if resource.table.has_updated_at else {}
    read = await read_objects(client, resource, ids)
    outcome.unread = {key: str(error) for key, error in read.failed.items()}
    outcome.differences = {key: ["gone at Intercom"] for key in read.gone}
    fresh: list[tuple[Any, Any]] = []
    for key, (text, read_at) in read.records.items():
        record = decode(text)
        updated_at = plan.instant(record.get("updated_at"))
        before = stored.get(key, (None, None))[0]
        if updated_at and before and updated_at > before:
            outcome.changed_since += 1
        else:
            fresh.append((record, read_at))
    records = [record for record, _ in fresh]
    lists, failed = await complete_lists(client, resource.table, records)
    outcome.unread |= {key: str(error) for key, error in failed.items()}
    batch = encode(resource.table, records, [moment for _, moment in fresh], lists, exclusions)
    with database.transaction() as conn:
        differing = loader.compare(conn, batch)
        _roll_back(conn)
    outcome.differences |= {key: columns for key, columns in differing.items() if columns}
    outcome.equal = len(fresh) - sum(bool(columns) for columns in differing.values())
    return outcome


def _roll_back(conn: sa.Connection) -> None:
    transaction = conn.get_transaction()
    if transaction is not None:
        transaction.rollback()
