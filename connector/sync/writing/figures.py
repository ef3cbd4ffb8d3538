"""Has stored figures computed anew where what they are made by has changed.

What a run writes is followed by its figures at once; this is for all others: after an upgrade, in
another timezone of the workspace, where texts are no longer stored or are again.
"""

from __future__ import annotations

import logging
from functools import partial

from connector.sync.writing.writer import Writer
from connector.warehouse.metrics import anew
from connector.warehouse.schema import figures
from connector.warehouse.sql.statistics import analyze

logger = logging.getLogger(__name__)


async def prepare(writer: Writer) -> bool:
    """Note how they are to be made from now on; whether all there are must be computed anew.

    Where no conversation is stored yet they are right at once.
    """
    return await writer.do(partial(anew.prepare, names=writer.loader.names))


async def finish(writer: Writer) -> None:
    """Compute them anew, so many in a transaction; an interrupted run goes on with the next."""
    logger.info("the figures of all conversations are computed anew")
    while await writer.do(partial(anew.step, names=writer.loader.names)):
        pass
    await writer.do(partial(analyze, names=writer.loader.names, tables=figures.NAMES))
