"""Lets the views show the custom attributes that a run has found; never makes the run fail.

The rows are safe whether or not a view shows a column more: what cannot be done is a warning, and
the next run tries again.
"""

from __future__ import annotations

import logging
from functools import partial

from connector.sync.writing.writer import Writer
from connector.warehouse.views import live
from connector.warehouse.views.suites import shown

logger = logging.getLogger(__name__)


async def grow_views(writer: Writer) -> None:
    """Bring the views up to date; an idle run finds nothing to do and executes no DDL."""
    schema = writer.database.schema
    refused: dict[str, list[str]] = {}
    for label in await writer.do(partial(live.behind, schema=schema)):
        grown = await writer.do(partial(live.grow, schema=schema, view=label))
        view = shown(schema, label)
        if grown.busy:
            logger.warning(
                "%s lacks new columns: %s; the next run tries again", view, grown.refused
            )
        elif grown.refused == live.NOT_OURS:
            if view not in writer.told:  # once in a run
                logger.warning("%s was left as it is: %s", view, grown.refused)
            writer.told.add(view)
        elif grown.refused:
            refused.setdefault(grown.refused.replace(view, "the view"), []).append(view)
        elif grown.made:
            logger.info("%s was made", view)
        elif grown.columns:
            logger.info("%s has new columns: %s", view, ", ".join(grown.columns))
    if refused:
        logger.warning(
            "%s lacks new columns (%s); run 'intercom-warehouse migrate' as the role that owns it",
            ", ".join(view for names in refused.values() for view in names),
            "; ".join(refused),
        )
