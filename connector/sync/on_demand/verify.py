"""Compares rows with Intercom: read again now, merged for trial, and rolled back.

The merge itself tells what differs, so there is no second idea of what equal means. A sample of
objects is read by id where Intercom shows them so; how the others are read is in ``comparing``.
"""

from __future__ import annotations

from collections.abc import Sequence

from connector.errors import ConnectorError, SettingsError
from connector.intercom.client import Client
from connector.resources import RESOURCES
from connector.resources.readings import (
    Activities,
    Catalogue,
    Deletions,
    Log,
    Members,
    PerContact,
    Snapshot,
)
from connector.resources.resource import Table
from connector.resources.selection import Selection
from connector.sync.on_demand import comparing
from connector.sync.on_demand.comparing import Comparison, Verified
from connector.sync.planning.tolerance import is_tolerated
from connector.sync.steps import STOPS
from connector.sync.tenure import check_same, opened_by
from connector.warehouse import migrate, rights, state
from connector.warehouse.encode.exclusions import NONE, Exclusions
from connector.warehouse.merge.diff import BELOW
from connector.warehouse.privacy import excludable, pinning
from connector.warehouse.schema import version
from connector.warehouse.sql.database import PATIENCE_FOR_LOCK, Database
from connector.warehouse.state.cursors import Progress

__all__ = ["Verified", "verify"]


async def verify(
    client: Client,
    database: Database,
    only: Selection | Sequence[str] | None,
    sample: int,
    exclusions: Exclusions = NONE,
) -> dict[str, Verified]:
    """The outcome for each selected resource; writes nothing.

    Where the pinned exclusions are others than these, the pinned ones count; what is hashed with
    another key cannot be compared. Raises what the client and the database raise,
    WrongWorkspaceError, AlreadyRunningError, SettingsError where there is nothing to compare with.
    """
    selection = only if isinstance(only, Selection) else Selection(tuple(only) if only else None)
    workspace = await opened_by(client)
    database.wait()
    rights.require(database, rights.Needs(stages=True, writes=False))
    database.lock(PATIENCE_FOR_LOCK)
    database.write(lambda conn: check_same(conn, workspace, database.schema))
    _check_migrated(database)
    pinned = database.write(lambda conn: pinning.manners(conn, database.schema))
    strange: list[str] = []
    if pinned is not None:
        exclusions, strange = excludable.restored(pinned, exclusions)
    found: dict[str, Verified] = {}
    for resource in RESOURCES:
        if selection.takes(resource):
            work = Comparison(client, database, resource, sample, exclusions)
            outcome = await _verified(work, asked_for=selection.only is not None)
            _leave_out(outcome, _columns(resource.table, strange))
            found[resource.name] = outcome
    return found


def _check_migrated(database: Database) -> None:
    schema = database.schema
    if database.write(lambda conn: version.present(conn, schema)) is None:
        raise SettingsError(
            f"schema {schema} is empty: there is nothing to compare; run sync first"
        )
    database.write(lambda conn: migrate.require_newest(conn, schema))


def _columns(table: Table, names: Sequence[str]) -> set[str]:
    """What differences call these fields, of which some stand in links or children."""
    family = {part.name for part in table.family()} | {link.table for link in table.links}
    told = [name.split(".")[:2] for name in names]
    return {column if home == table.name else BELOW for home, column in told if home in family}


def _leave_out(outcome: Verified, columns: set[str]) -> None:
    for key, found in list(outcome.differences.items()):
        outcome.differences[key] = [column for column in found if column not in columns]
        if not outcome.differences[key]:
            del outcome.differences[key]
            outcome.equal += 1


async def _verified(work: Comparison, *, asked_for: bool) -> Verified:
    """The comparison of one resource; its failure is told and the others go on."""
    resource = work.resource
    progress = await work.do(lambda conn: state.progress(conn, resource.name))
    work.fresh_as_of = progress.fresh_as_of
    try:
        await _compare(work, progress)
    except STOPS:
        raise
    except ConnectorError as error:
        before = progress.last_success_at is not None
        if is_tolerated(resource, error, asked_for=asked_for, read_before=before):
            work.outcome.not_compared = str(error)
        else:
            work.outcome.unread["all"] = str(error)
    return work.outcome


async def _compare(work: Comparison, progress: Progress) -> None:
    """Compare by id, unless lists say it better: a catalogue shows other keys by id."""
    resource = work.resource
    reading = resource.reading
    if isinstance(reading, Deletions):
        work.outcome.not_compared = f"it has no rows of its own, only marks {resource.table.name}"
    elif resource.by_id and not isinstance(reading, Catalogue):
        await comparing.by_id(work)
    elif progress.last_success_at is None:
        work.outcome.not_compared = "it was never read"
    elif isinstance(reading, Snapshot):
        await comparing.snapshot(work, reading)
    elif isinstance(reading, Catalogue):
        await comparing.catalogue(work, reading)
    elif isinstance(reading, PerContact):
        await comparing.per_contact(work, reading)
    elif isinstance(reading, Members):
        await comparing.members(work, reading)
    elif isinstance(reading, Log):
        await comparing.log(work, reading)
    elif isinstance(reading, Activities):
        await comparing.merges(work, reading)
