"""What complete lists omit: candidates noted while they are read, asked for by id at the end."""

from __future__ import annotations

from connector.sync.fetch_by_id import read_objects
from connector.sync.readings.by_id import submit_answers
from connector.sync.resource_pass import BATCH_OBJECTS, Pass
from connector.sync.writing.effects import Effect, NoteUnlisted
from connector.warehouse.state import candidates


async def ask(work: Pass, *effects: Effect) -> None:
    """Ask by id for every candidate that nobody asked for yet; ``effects`` commit at the end.

    Those that are gone become candidates with an answer, on which the run decides when all is
    read. What lists omit and reads by id show is unlisted; what could not be read is pending.
    """
    last = ""
    while ids := await unanswered(work, last):
        found, last = await read_objects(work.client, work.resource, ids), ids[-1]
        shown = [key for key in found.records if key not in found.archived]
        asked = [*found.failed, *found.ids()]
        await submit_answers(work, found, NoteUnlisted(work.resource, shown, asked, work.now()))
    await work.writer.commit(*effects)


async def unanswered(work: Pass, after: str) -> list[str]:
    """Candidates that nobody asked for yet, one batch, in the order of their ids."""
    name = work.resource.name
    return await work.writer.do(lambda c: candidates.unanswered(c, name, after, BATCH_OBJECTS))
