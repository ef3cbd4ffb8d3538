"""Facts of Intercom that a run saw to be false: said, kept, and what they spoilt read again."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from datetime import datetime

import sqlalchemy as sa

from connector.intercom.client import Client
from connector.intercom.facts import BY_ID, PARTS_COUNTED, PARTS_SHOWN
from connector.intercom.observations import Observations, Refutation
from connector.resources import RESOURCES
from connector.resources.resource import Resource
from connector.sync.planning import schedule
from connector.sync.writing.writer import Writer
from connector.warehouse import state
from connector.warehouse.reports.completeness import Completeness
from connector.warehouse.state import RefutedFact

logger = logging.getLogger(__name__)


async def keep(client: Client, writer: Writer, read: Collection[str]) -> list[Refutation]:
    """Say and record what this run saw to be false; returns it, by name.

    What no earlier run has seen makes full passes due where the fact says so. What earlier runs
    saw of the resources ``read``, and leaves rows out, is still so until it is confirmed.
    """
    seen, now = client.facts.seen, client.clock.safe_now()
    kept = await writer.do(lambda conn: _record(conn, client.facts, now))
    for row in kept:
        fact = BY_ID.get(row.fact)
        stands = fact and fact.leaves_rows_out and not set(row.resources).isdisjoint(read)
        if fact and stands and fact.id not in seen:
            seen[fact.id] = Refutation(fact, row.detail, is_news=False)
    found = sorted(seen.values(), key=lambda one: one.fact.id)
    for one in found:
        level = logging.ERROR if one.is_failure else logging.INFO
        logger.log(level, "not true of this workspace: %s", one)
    return found


def _record(conn: sa.Connection, facts: Observations, now: datetime) -> Sequence[RefutedFact]:
    """Bring what is on record up to date; what is."""
    state.drop_old_refutations(conn, now)
    for fact, name in facts.confirmed:
        if fact not in facts.seen:
            state.note_confirmed(conn, fact, name)
    for one in facts.seen.values():
        state.note_refuted(conn, one.fact.id, one.detail, one.resources, one.times, now)
        if one.is_news and one.fact.makes_full_passes_due:
            tables = [r.table for r in RESOURCES if r.name in one.resources]
            for resource in (r for r in RESOURCES if r.table in tables):
                schedule.demand_anew(conn, resource)
    return state.refuted(conn)


def look_at_parts(client: Client, resource: Resource, found: Completeness) -> None:
    """Notice objects whose parts are not what Intercom counts or is known to show."""
    name = resource.name
    if found.cut_short:
        detail = f"{name}: an object shows fewer parts than it has, and fewer than 500"
        client.facts.refute(PARTS_SHOWN, detail, name, found.cut_short)
    if found.miscounted:
        detail = f"{name}: an object counts more parts than it has"
        client.facts.refute(PARTS_COUNTED, detail, name, found.miscounted)
