"""Tells how a run goes: drawn on a terminal, elsewhere a line for each resource.

How it ended stands in ``outcomes``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from connector.commands.terminal.logs import say
from connector.commands.terminal.screen import console
from connector.intercom.tokens.tokens import Tokens
from connector.resources.resource import Resource
from connector.warehouse.state.runs import Tally

if TYPE_CHECKING:
    from connector.commands.reporting.display import Display

logger = logging.getLogger(__name__)


class Progress:
    """On a terminal lines that move; elsewhere, for who asks, one wide log line per resource.

    ``lines``: lines on a terminal too.
    """

    def __init__(self, *, lines: bool = False) -> None:
        self.tokens: Tokens | None = None  # the client's, once there is one
        self._began: dict[str, float] = {}
        self._display = None if lines else self._drawn()

    def _drawn(self) -> Display | None:
        screen = console("stderr")
        if screen is None or screen.is_dumb_terminal:
            return None
        from connector.commands.reporting.display import Display

        return Display(screen, lambda: self.tokens.used if self.tokens else None)

    def planned(self, selected: Sequence[Resource]) -> None:
        """These are to be read, in this order."""
        if self._display:
            self._display.begin(selected)

    def started(self, resource: str, kind: str, tally: Tally) -> None:
        """A pass begins."""
        self._began[resource] = time.monotonic()
        if self._display:
            self._display.run.going(resource, tally, kind)

    def moved(self, resource: str, tally: Tally) -> None:
        """Rows were committed."""
        # What notifications told is read before the pass over its resource begins, too.
        self._began.setdefault(resource, time.monotonic())
        if self._display:
            self._display.run.going(resource, tally)

    def ended(self, resource: str, tally: Tally) -> None:
        """The pass ended, well or not."""
        if self._display:
            self._display.run.ended(resource, tally)
            return
        figures = {"resource": resource, **tally.figures()}
        seconds = time.monotonic() - self._began.get(resource, time.monotonic())
        figures["seconds"] = round(seconds, 3)
        told = (f"{key}={value}" for key, value in figures.items() if value is not None)
        logger.info(" ".join(told), extra={"figures": figures})

    def usable(self, left: Sequence[Resource]) -> None:
        """All of a first load is there but these, which are read now."""
        names = " and ".join(resource.name for resource in left)
        sentence = f"the warehouse is usable; {names} are being read"
        if self._display:
            say(sentence)
        else:
            logger.info(sentence)

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        if self._display:
            self._display.end()
