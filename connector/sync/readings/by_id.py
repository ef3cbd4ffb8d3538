"""Objects read by id: what came is submitted, what did not come is pending or a candidate."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from connector.errors import MergedError
from connector.intercom.facts import MERGED_IS_TOLD
from connector.jsontext import head
from connector.sync.fetch_by_id import Found, read_in_batches
from connector.sync.resource_pass import BATCH_BYTES, BATCH_OBJECTS, Pass, as_instant, is_older
from connector.sync.writing.effects import Effect, NoteAnswers, NotePlaceholdersTried, Postpone
from connector.sync.writing.submission import Submission
from connector.warehouse import state

PLACEHOLDER_TRIES = 3

Contradicted = Callable[[Pass, Sequence[str]], Awaitable[Collection[str]]]
"""Of objects that a read by id did not find: those that lists show all the same."""


async def by_nothing(work: Pass, ids: Sequence[str]) -> Collection[str]:
    """Nobody listed them: an answer by id stands."""
    return ()


async def read_by_id(
    work: Pass,
    announced: Mapping[str, Any],
    *effects: Effect,
    digests: Mapping[str, int | None] | None = None,
    contradicted: Contradicted = by_nothing,
) -> None:
    """Read objects by id and submit them; ``announced`` is each one's updated_at by search.

    Reading goes on while a batch is written; ``effects`` commit with the last one.
    What cannot be read, or is read older than it was announced, becomes pending, and so does
    what Intercom does not know any more while its lists show it; what it does not know
    becomes a deletion candidate; all with the rows of its batch.
    ``digests`` are those of what search showed of them.
    """
    left = len(announced)
    batches = read_in_batches(work.client, work.resource, announced, BATCH_OBJECTS, BATCH_BYTES)
    async with aclosing(batches):
        async for found in batches:
            left -= len(found)
            last = () if left else effects
            await submit_found(work, found, announced, last, digests or {}, contradicted)
    if not announced and effects:
        await work.writer.commit(*effects)


async def submit_found(
    work: Pass,
    found: Found,
    announced: Mapping[str, Any],
    effects: Sequence[Effect],
    digests: Mapping[str, int | None],
    contradicted: Contradicted = by_nothing,
) -> None:
    """Submit what was read by id, and note what was not found; see ``read_by_id``."""
    stale = [
        key
        for key, (record, _) in found.records.items()
        if is_older(head(record).updated_at, announced.get(key))
    ]
    submission = of_found(work, found)
    submission.digests |= {key: digests.get(key) for key in found.records if key not in stale}
    doubted = await _doubted(work, found, contradicted)
    settled = [key for key in found.ids() if key not in doubted and key not in stale]
    reasons = dict.fromkeys(sorted(stale), state.STALE)
    reasons |= dict.fromkeys(sorted(doubted), state.CONTRADICTION)
    reasons |= {key: str(error) for key, error in found.failed.items()}
    answers = await answers_of(work, found, doubted)
    newest = {key: as_instant(announced.get(key)) for key in stale}
    postponed = Postpone(work.resource.name, reasons, work.now(), newest)
    submission.effects = (postponed, answers, *effects)
    await work.submit(submission, settles=settled)


def _look_at_merges(work: Pass, found: Found) -> None:
    """Notice answers that something was merged, and not into what."""
    merged = [error for error in found.gone.values() if isinstance(error, MergedError)]
    if untold := sum(not error.merged_into for error in merged):
        work.refute(MERGED_IS_TOLD, f"{work.resource.name}: a 410 has no link", untold)


async def _doubted(work: Pass, found: Found, contradicted: Contradicted) -> Collection[str]:
    """What was not found, or found archived, while lists show it; a merge is told plainly."""
    missing = [k for k, error in found.gone.items() if not isinstance(error, MergedError)]
    missing += sorted(found.archived)
    return await contradicted(work, missing) if missing else ()


async def answers_of(work: Pass, found: Found, doubted: Collection[str]) -> NoteAnswers:
    """What is gone, and what lives; of what came in archived whether it lived here before."""
    _look_at_merges(work, found)
    loader, table = work.writer.loader, work.resource.table
    lived = set[str]()
    if found.archived:
        lived = await work.writer.look(
            lambda conn: loader.living(conn, table, list(found.archived))
        )
    archived = [key for key in sorted(found.archived) if key not in doubted]
    return NoteAnswers(
        work.resource,
        work.now(),
        alive=_alive(found),
        gone={key: error for key, error in found.gone.items() if key not in doubted},
        archived=[key for key in archived if key in lived],
        unliving=[key for key in archived if key not in lived],
    )


def _alive(found: Found) -> list[str]:
    return [key for key in found.records if key not in found.archived]


async def submit_answers(work: Pass, found: Found, *effects: Effect) -> list[str]:
    """Submit candidates that are there after all, and note the answers about the others.

    Returns the ids of those that live. What failed becomes pending.
    """
    alive = _alive(found)
    submission = of_found(work, found, alive)
    _look_at_merges(work, found)
    reasons = {key: str(error) for key, error in found.failed.items()}
    submission.effects = (
        NoteAnswers(work.resource, work.now(), alive, found.gone, found.archived),
        Postpone(work.resource.name, reasons, work.now()),
        *effects,
    )
    await work.submit(submission, settles=alive)
    return alive


async def fill(work: Pass, ids: Iterable[str]) -> None:
    """Read placeholders by id. Those that Intercom does not know stay, and are not tried again.

    So do those that belong to resources which are not selected. What cannot be read becomes
    pending.
    """
    batches = read_in_batches(work.client, work.resource, ids, BATCH_OBJECTS, BATCH_BYTES)
    async with aclosing(batches):
        async for found in batches:
            left_out = found.without(work.accepts) if work.leaves_out else []
            # Reads by id do not lag: what Intercom does not know now it will not know later.
            unknown = [*found.gone, *left_out]
            tried = NotePlaceholdersTried(work.resource.table, unknown, PLACEHOLDER_TRIES)
            await submit_found(work, found, {}, [tried], {})


def of_found(work: Pass, found: Found, ids: Iterable[str] | None = None) -> Submission:
    """What was read by id, or these of it: no digest of a list holds for it."""
    wanted = list(found.records if ids is None else ids)
    submission = work.submission(by_id=True)
    submission.digests = dict.fromkeys(wanted)
    for key in wanted:
        record, read_at = found.records[key]
        submission.add([record], read_at, len(record))
    return submission
