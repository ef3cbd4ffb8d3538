"""Decides which resources owe a full pass: at first, when asked to, and by time and budget.

Incremental passes miss what moves no ``updated_at`` and what vanishes; a full pass over a list
costs a request for each page. So each run spends some requests on the passes that are longest ago,
and none waits longer than a number of days. What is owed is kept until it is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from connector.resources.resource import PerContact, Resource, Search
from connector.warehouse import absence, digests, state
from connector.warehouse.loader import Loader

FIRST, ASKED, MAPPING, DUE = "first", "asked", "mapping", "due"  # why one is owed
TRIED = "tried"  # whatever the reason was: it failed once, in a run that went on with others

A_NIGHT = timedelta(hours=20)  # lies between two passes, unless they are cheap
AT_EVERY_RUN = 40  # requests: so many a run spends on passes without a night between


# -- owed whatever it costs ------------------------------------------------------------------


def owe(
    conn: sa.Connection,
    selected: Iterable[Resource],
    circumstances: Sequence[str],
    full: bool,
    since: datetime | None,
) -> None:
    """Note which resources owe a full pass: new ones, remapped ones, and with ``full`` all.

    A full run that was cut short is continued by the next one, not begun again: some of what it
    was to read was not tried yet. What was tried in vain holds up no other resource.
    """
    progress = {r.name: state.progress(conn, r.name) for r in selected}
    under_way = any(p.full_owed_since and _is_untried(p) for p in progress.values())
    for resource in selected:
        known = progress[resource.name]
        if known.full_owed_since is not None and known.full_reason != DUE:
            continue
        if known.cursor is None:
            state.advance(
                conn,
                resource.name,
                full_owed_since=sa.func.now(),
                full_reason=FIRST,
                plan_since=since,
            )
        elif full and not under_way:
            _begin_anew(conn, resource, ASKED, since)
        elif _is_remapped(resource, known, circumstances):
            _begin_anew(conn, resource, MAPPING, None)


def _is_untried(known: state.Progress) -> bool:
    return known.full_reason in (FIRST, ASKED)


def note_tried(conn: sa.Connection, name: str) -> None:
    """The full pass that the resource owes failed; it is still owed, and goes on where it was."""
    known = state.progress(conn, name)
    if known.full_owed_since is not None and known.full_reason != DUE:
        state.advance(conn, name, full_reason=TRIED)


def owe_all(conn: sa.Connection, resources: Iterable[Resource]) -> None:
    """Each resource owes a full pass, whatever else it owed."""
    for resource in resources:
        _begin_anew(conn, resource, ASKED, None)


def _begin_anew(
    conn: sa.Connection, resource: Resource, reason: str, since: datetime | None
) -> None:
    """Nothing is taken as known or hidden, and a plan that is under way is given up."""
    digests.forget(conn, resource.table)
    absence.reveal(conn, resource.table)
    state.drop_windows(conn, resource.name)
    state.advance(
        conn,
        resource.name,
        full_owed_since=sa.func.now(),
        full_reason=reason,
        plan_began_at=None,
        plan_since=since,
    )


def _is_remapped(resource: Resource, known: state.Progress, circumstances: Sequence[str]) -> bool:
    """Whether rows are made otherwise now than at the last full pass.

    Lists that are read beside contacts are none of their mapping.
    """
    reading = resource.reading
    if isinstance(reading, PerContact) and reading.within:
        return False
    return known.mapping != digests.salt(resource.table, *circumstances).hex()


# -- owed by time, within a budget -----------------------------------------------------------


@dataclass(frozen=True)
class Candidate:
    """A resource whose lists could be read whole, what that costs, and how long ago it was."""

    name: str
    requests: int
    age: timedelta


def schedule(
    conn: sa.Connection,
    loader: Loader,
    selected: Iterable[Resource],
    now: datetime,
    requests: int,
    days: float,
) -> None:
    """Let the resources that are due owe a full pass."""
    candidates = []
    for resource in selected:
        known = state.progress(conn, resource.name)
        if not isinstance(resource.reading, Search) or known.last_full_pass_at is None:
            continue
        if known.full_owed_since is None:
            age, names = now - known.last_full_pass_at, loader.names
            cost = math.ceil(loader.alive(conn, resource) / resource.reading.per_page) + 1
            if age >= A_NIGHT or cost <= AT_EVERY_RUN:
                if resource.reading.whole_by_id:
                    cost += digests.unknown(conn, names, resource)
                else:
                    cost += loader.cut(conn, resource)
            candidates.append(Candidate(resource.name, cost, age))
    for name in choose(candidates, requests, days):
        state.advance(conn, name, full_owed_since=sa.func.now(), full_reason=DUE)


def choose(candidates: Sequence[Candidate], requests: int, days: float) -> list[str]:
    """Those that cannot wait another night, then the stalest that fit into the requests.

    What is so cheap that it does not matter is read without waiting for a night.
    """
    left, cheap, chosen = requests, min(requests, AT_EVERY_RUN), []
    for one in sorted(candidates, key=lambda one: one.age, reverse=True):
        cannot_wait = one.age > timedelta(days=days) - A_NIGHT
        if cannot_wait or (one.age >= A_NIGHT and one.requests <= left):
            left -= one.requests
        elif one.requests <= min(left, cheap):
            left, cheap = left - one.requests, cheap - one.requests
        else:
            continue
        chosen.append(one.name)
    return chosen
