"""Decides which full passes are due: at first, when asked to, and by time and budget.

Incremental passes miss what moves no ``updated_at`` and what vanishes; a full pass over a list
costs a request for each page. So each run spends some requests on the passes that are longest ago,
and none waits longer than a number of days. What is due is kept until it is done.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import sqlalchemy as sa
from msgspec import Struct

from connector.resources import embedded_in
from connector.resources.readings import Search
from connector.resources.resource import Resource
from connector.sync.planning.limits import Demand
from connector.sync.planning.spare import A_NIGHT, AT_EVERY_RUN
from connector.warehouse import state
from connector.warehouse.merge.loader import Loader
from connector.warehouse.state import candidates, digests, mapping

FIRST, ASKED, MAPPING, DUE = "first", "asked", "mapping", "due"  # why one is due
TRIED = "tried"  # whatever the reason was: it failed once, in a run that went on with others


# -- due whatever it costs -------------------------------------------------------------------


def note_due(
    conn: sa.Connection, selected: Sequence[Resource], inputs: mapping.Inputs, demand: Demand
) -> None:
    """Note whose full pass is due: of new resources, remapped ones, and with ``full`` of all.

    A full run that was cut short is continued by the next one, not begun again, as long as some of
    what it was to read was not tried yet; unless its rows would be made otherwise now, or it left
    out what is now asked for. What was tried in vain holds up no other resource.
    """
    mapping.adopt(conn, inputs)
    progress = state.progress_of(conn, [resource.name for resource in selected])
    under_way = any(_is_unconditional(known) and _is_untried(known) for known in progress.values())
    for resource in selected:
        known, made = progress[resource.name], inputs.of(resource).hex()
        given_up = _is_given_up(known, made)
        if demand.full and known.plan_since not in (None, demand.since):
            _begin_anew(conn, resource, FIRST if known.cursor is None else ASKED, demand)
        elif _is_unconditional(known):
            if given_up:
                _begin_anew(conn, resource, known.full_reason or FIRST)
        elif known.cursor is None:
            _begin_anew(conn, resource, FIRST, demand)
        elif demand.full and not under_way:
            _begin_anew(conn, resource, ASKED, demand if known.plan_since else None)
        elif given_up or known.mapping != made:
            _begin_anew(conn, resource, MAPPING)


def _is_untried(known: state.Progress) -> bool:
    return known.full_reason in (FIRST, ASKED)


def note_tried(conn: sa.Connection, name: str) -> None:
    """The full pass that was due failed; it is still due, and goes on where it was."""
    known = state.progress(conn, name)
    if _is_unconditional(known):
        state.advance(conn, name, full_reason=TRIED)


def _is_given_up(known: state.Progress, made: str) -> bool:
    """Whether a full pass is under way whose rows were made otherwise."""
    if known.plan_began_at is None or known.plan_mapping == made:
        return False
    return known.plan_mapping is not None or known.mapping != made


def _is_unconditional(known: state.Progress) -> bool:
    """Whether a full pass is due that does not wait for a budget."""
    return known.full_due_since is not None and known.full_reason != DUE


def demand_anew(conn: sa.Connection, resource: Resource) -> None:
    """What was read so far cannot be trusted: a full pass is due that takes nothing as known."""
    if isinstance(resource.reading, Search):
        _begin_anew(conn, resource, ASKED)


def _begin_anew(
    conn: sa.Connection, resource: Resource, reason: str, demand: Demand | None = None
) -> None:
    """Nothing is taken as known or unlisted, and a plan that is under way is given up.

    Without a demand the limit stays as it is.
    """
    mapping.forget(conn, resource)
    candidates.relist(conn, resource.table)
    state.drop_partitions(conn, resource.name)
    state.advance(
        conn,
        resource.name,
        full_due_since=sa.func.now(),
        full_reason=reason,
        plan_began_at=None,
        plan_mapping=None,
        **(demand.limit(resource) if demand else {}),
    )


# -- due by age, within a budget -------------------------------------------------------------


class Candidate(Struct, frozen=True):
    """A resource whose lists could be read whole, what that costs, and how long ago it was.

    ``days``: it waits no longer than so many.
    """

    name: str
    requests: int
    age: timedelta
    days: float


def schedule(
    conn: sa.Connection,
    loader: Loader,
    selected: Iterable[Resource],
    now: datetime,
    requests: int,
    days: float,
    refresh_interval: timedelta,
) -> int:
    """Note which full passes are due by their age and can be afforded; the requests that are left.

    Records that embed what else would be read contact by contact are read within the interval that
    holds for that.
    """
    candidates, searched = [], [r for r in selected if isinstance(r.reading, Search)]
    progress = state.progress_of(conn, [resource.name for resource in searched])
    for resource in searched:
        known = progress[resource.name]
        assert isinstance(resource.reading, Search)
        if known.cursor is None:
            continue
        if known.full_due_since is None:
            # Until a limited first load was passed over once, its age is what counts.
            last = known.last_full_pass_at or known.limited_at
            age = now - last if last else timedelta.max
            cost = math.ceil(loader.alive(conn, resource) / resource.reading.per_page) + 1
            if age >= A_NIGHT or cost <= AT_EVERY_RUN:
                cost += _by_id(conn, loader, resource, known, now)
            within = refresh_interval / timedelta(days=1) if embedded_in(resource.table) else days
            candidates.append(Candidate(resource.name, cost, age, min(days, within)))
    chosen = choose(candidates, requests)
    for name in chosen:
        state.advance(conn, name, full_due_since=sa.func.now(), full_reason=DUE)
    return max(0, requests - sum(one.requests for one in candidates if one.name in chosen))


def _by_id(
    conn: sa.Connection, loader: Loader, resource: Resource, known: state.Progress, now: datetime
) -> int:
    """How many requests a full pass sends beside those for its lists."""
    assert isinstance(resource.reading, Search)
    if resource.reading.whole_by_id:
        number = digests.unknown(conn, loader.names, resource)
    else:
        number = loader.cut_requests(conn, resource)
    if known.plan_since:
        older = state.Span(state.OPEN_LOWER, known.plan_since)
        number += candidates.omitted(conn, loader.names, resource, now, older, "updated_at")
    return number


def choose(candidates: Sequence[Candidate], requests: int) -> list[str]:
    """Those that cannot wait another night, then the stalest that fit into the requests.

    What is so cheap that it does not matter is read without waiting for a night.
    """
    left, cheap, chosen = requests, min(requests, AT_EVERY_RUN), []
    for one in sorted(candidates, key=lambda one: one.age, reverse=True):
        cannot_wait = one.age > timedelta(days=one.days) - A_NIGHT
        if cannot_wait or (one.age >= A_NIGHT and one.requests <= left):
            left -= one.requests
        elif one.requests <= min(left, cheap):
            left, cheap = left - one.requests, cheap - one.requests
        else:
            continue
        chosen.append(one.name)
    return chosen
