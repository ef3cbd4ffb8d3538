"""What a run does about history before it reads, and at its end; versions of rows follow merges.

Whole runs turn it on and off, as the settings say; every run writes it where it is on.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from datetime import datetime
from functools import partial

from connector.sync.options import Options
from connector.sync.writing.writer import Writer
from connector.warehouse.history import kept, steps
from connector.warehouse.history.kept import History

logger = logging.getLogger(__name__)
Step = Callable[..., None]


async def prepare(writer: Writer, options: Options, now: datetime) -> None:
    """Turn history off and on, and go on with what an earlier run began of that.

    ``now`` is Intercom's time; of rows that are here history begins then.
    """
    names, found = writer.loader.names, await writer.look(kept.all_kept)
    missing = set(options.history) - kept.on(found).keys()
    if options.partial:
        if missing:
            logger.warning(
                "history of %s begins with the next whole run: sync without --only",
                ", ".join(sorted(missing)),
            )
    elif missing or not all(_is_settled(one, options) for one in found.values()):
        await _end(writer, options, kept.on(found), now)
        for name in options.history:
            await writer.do(partial(steps.begin, names=names, name=name, now=now))
        for name in await writer.look(kept.now_kept):
            await _fill(writer, name, now)
        found = await writer.look(kept.all_kept)
    writer.keep_history(kept.on(found))


def _is_settled(history: History, options: Options) -> bool:
    """Whether it is as the settings want it, and was brought there entirely."""
    if history.table_name in options.history:
        return history.ended_at is None and history.filled_at is not None
    return history.closed_at is not None


async def _end(writer: Writer, options: Options, on: Collection[str], now: datetime) -> None:
    if ended := tuple(sorted(set(on) - set(options.history))):
        logger.warning(
            "history of %s ends, for CONNECTOR_HISTORY names it no more; what there is stays",
            ", ".join(ended),
        )
        await writer.do(partial(steps.end, names=ended, now=now))
    for history in (await writer.look(kept.all_kept)).values():
        if history.ended_at and not history.closed_at:
            await _through(writer, history, steps.close)
            await writer.do(partial(kept.note, tables=[history.table_name], closed_at=now))


async def _fill(writer: Writer, name: str, now: datetime) -> None:
    more = True
    while more:
        history = (await writer.look(kept.now_kept))[name]
        if history.filled_at:
            return
        work = partial(steps.fill, names=writer.loader.names, history=history, now=now)
        more = await writer.do(work)


async def finish(writer: Writer, options: Options, now: datetime) -> None:
    """At the end of a whole run: what a first load read of groups; versions that are too old go."""
    if options.partial:
        return
    for name, history in (await writer.look(kept.all_kept)).items():
        if not history.ended_at:
            await _add_memberships(writer, history, now)
        pruned = history.pruned_at
        if options.history_kept and (pruned is None or now - pruned >= steps.PRUNED_EACH):
            await _through(writer, history, steps.prune, before=now - options.history_kept)
            await writer.do(partial(kept.note, tables=[name], pruned_at=now))


async def _add_memberships(writer: Writer, history: History, now: datetime) -> None:
    if history.linked_at or not await writer.look(
        partial(steps.may_add_memberships, history=history)
    ):
        return
    names, table = writer.loader.names, history.table
    after: str | None = ""
    while after is not None:
        work = partial(steps.add_memberships, names=names, table=table, after=after)
        after = await writer.do(work)
    await writer.do(partial(kept.note, tables=[history.table_name], linked_at=now))


async def _through(writer: Writer, history: History, step: Step, **values: datetime) -> None:
    """Do this with all blocks that the table of versions has now, some in each transaction."""
    names, table = writer.loader.names, history.table
    number = await writer.look(partial(steps.blocks, names=names, table=table))
    for block in range(0, number, steps.BLOCKS):
        await writer.do(partial(step, names=names, history=history, block=block, **values))
