"""Draws how a run goes on the terminal of whoever watches; the figures stand in ``going``.

A line for each resource that runs or is done with a full pass; what an incremental run did is seen
in its last table. All of it is wiped off at the end, however that comes.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from connector.commands.reporting.going import FULL, Going, Left, Run
from connector.commands.terminal import logs
from connector.resources.resource import Resource

logger = logging.getLogger(__name__)

A_SECOND = 2  # so often it is drawn
WIDE, MIDDLE = 72, 52  # characters from which on all, or most, columns have room
BAR = 16  # characters
MARKS = {"succeeded": ("✓", "+", "green"), "failed": ("✗", "x", "bold red")}
RUNS = ("•", ">", "cyan")


class Display:
    """On the screen from ``begin`` to ``end``; ``used`` is the share of the budget used now."""

    def __init__(
        self, screen: Console, used: Callable[[], float | None], run: Run | None = None
    ) -> None:
        self.run, self._screen, self._used = run or Run(), screen, used
        self._live = Live(
            console=screen,
            get_renderable=self.picture,
            refresh_per_second=A_SECOND,
            transient=True,
            redirect_stdout=False,  # which may be a pipe
        )

    def begin(self, selected: Sequence[Resource]) -> None:
        """Draw, twice a second, how these are read; what is said meanwhile is written above."""
        self.run.planned = selected
        self._live.start()
        logs.say_on(sys.stderr)

    def end(self) -> None:
        """Wipe it off, and let the cursor be seen again; no run fails of how it is drawn."""
        try:
            self._live.stop()
        except Exception:
            logger.warning("how the run goes could not be drawn", exc_info=True)
        finally:
            logs.say_on(sys.stderr)

    def picture(self) -> Group:
        """What is drawn now: the newest lines, if there is no room for all."""
        going = list(self.run.resources.items())
        shown = [(name, one) for name, one in going if one.took is None or one.kind == FULL]
        shown.sort(key=lambda named: named[1].took is None)  # what runs comes last
        room = max(1, self._screen.height - 4)
        hidden = len(shown) - room if len(shown) > room else 0
        parts = [Text(f"... {hidden} more are done", style="dim")] if hidden else []
        return Group(*parts, self._lines(shown[hidden:]), self._summary(len(going)))

    def _lines(self, shown: list[tuple[str, Going]]) -> Table:
        width = self._screen.width
        table = Table.grid(padding=(0, 1, 0, 0), pad_edge=False)
        table.add_column(no_wrap=True)
        table.add_column(no_wrap=True, overflow="ellipsis")
        table.add_column(justify="right", no_wrap=True)
        if width >= MIDDLE:
            table.add_column(width=BAR)
        table.add_column(justify="right", no_wrap=True, min_width=4)
        if width >= WIDE:
            table.add_column(justify="right", no_wrap=True, min_width=7)
        if width >= MIDDLE:
            table.add_column(justify="right", no_wrap=True)
        for name, one in shown:
            table.add_row(*self._cells(name, one, width))
        return table

    def _cells(self, name: str, one: Going, width: int) -> list[Text | ProgressBar]:
        share, tally = one.share, one.tally
        cells: list[Text | ProgressBar] = [self._mark(one), Text(name), Text(f"{tally.fetched:,}")]
        if width >= MIDDLE:
            drawn = share is not None and one.took is None
            cells.append(_bar(share or 0.0) if drawn else Text())
        cells.append(Text("" if share is None or one.took is not None else f"{share:.0%}"))
        if width >= WIDE:
            rate = one.rate(self.run.now())
            cells.append(Text("" if rate is None else f"{rate:,.0f}/s", style="dim"))
        if width >= MIDDLE:
            cells.append(Text(_requests(tally.requests), style="dim"))
        return cells

    def _mark(self, one: Going) -> Text:
        mark = RUNS if one.took is None else MARKS.get(one.tally.status, RUNS)
        return Text(mark[self._screen.options.ascii_only], style=mark[2])

    def _summary(self, begun: int) -> Text:
        run, used, left = self.run, self._used(), self.run.left()
        ended = sum(one.took is not None for one in list(run.resources.values()))
        number = max(begun, len(run.planned))
        told = [f"{ended} of {number} done", _requests(run.requests)]
        if used is not None:
            told.append(f"{used:.0%} of the budget used now")
        if left is not None:
            told.append(_words(left))
        return Text(", ".join(told), style="bold")


def _bar(share: float) -> ProgressBar:
    return ProgressBar(1.0, share, BAR, complete_style="cyan", finished_style="cyan")


def _requests(number: int) -> str:
    return f"{number:,} request{'' if number == 1 else 's'}"


def _words(left: Left) -> str:
    seconds = left.seconds
    if seconds < 90:
        span = f"{max(1, round(seconds))} s"
    elif seconds < 90 * 60:
        span = f"{round(seconds / 60)} min"
    else:
        span = f"{seconds / 3600:.1f} h"
    return f"{'at least' if left.at_least else 'about'} {span} left"
