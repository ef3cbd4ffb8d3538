"""What complete lists omit: candidates noted while they are read, asked for by id at the end."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from connector.sync.fetch_by_id import read_objects
from connector.sync.readings.by_id import submit_answers
from connector.sync.resource_pass import BATCH_OBJECTS, Pass
from connector.sync.writing.effects import Effect, NoteUnlisted
from connector.warehouse.state import candidates


async def ask(work: Pass, *effects: Effect, omitted: Sequence[Effect] = ()) -> None:
    """Ask by id for every candidate that nobody asked for yet; ``effects`` commit at the end.

    ``omitted`` commit first. Those that are gone become candidates with an answer, on which the
    run decides when all is read. What lists omit and reads by id show is unlisted; what could not
    be read is pending.
    """
    look = partial(candidates.unanswered, resource=work.resource.name, most=BATCH_OBJECTS)
    ids = await work.writer.commit_unless(partial(look, after=""), omitted, effects)
    while ids:
        found = await read_objects(work.client, work.resource, ids)
        shown = [key for key in found.records if key not in found.archived]
        asked = [*found.failed, *found.ids()]
        await submit_answers(work, found, NoteUnlisted(work.resource, shown, asked, work.now()))
        ids = await work.writer.commit_unless(partial(look, after=ids[-1]), (), effects)


async def unanswered(work: Pass, after: str) -> list[str]:
    """Candidates that nobody asked for yet, one batch, in the order of their ids."""
    name = work.resource.name
    return await work.writer.look(lambda c: candidates.unanswered(c, name, after, BATCH_OBJECTS))
