"""Rows under headings: columns of plain text in a pipe, a table that fits on a terminal.

A narrow terminal goes without what a grid can spare; what does not fit then either is shown row by
row, each value beside its heading.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

from connector.commands.terminal.screen import console, harmless

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

MOST_DRAWN = 500  # rows of a table; of more nobody sees the first ones, and drawing takes time
LEAST = 14  # characters that a folded column has, or a word of a heading
GAP = 2  # characters between columns


class Grid(Struct, frozen=True):
    """Cells as text. ``numbers`` are the columns that stand to the right and are never folded."""

    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    numbers: Collection[int] = ()
    spare: Sequence[int] = ()  # columns that a narrow terminal goes without, the first one first
    style: Callable[[str], str] = lambda _: ""  # of a cell, by what stands in it


def plain(grid: Grid, between: str = "  ", under: str = "  ") -> str:
    """Columns as wide as they need, whatever the terminal; a line ``under`` the headings."""
    lines = [grid.head, *grid.rows]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    padded = [
        between.join(
            cell.rjust(width) if place in grid.numbers else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
    return "\n".join([padded[0], under.join("-" * width for width in widths), *padded[1:]])


def fitted(grid: Grid) -> str | None:
    """What draws the grid on the terminal that stdout is; None if it is none."""
    screen = console("stdout")
    if screen is None:
        return None
    clean = Grid(
        [harmless(cell) for cell in grid.head],
        [[harmless(cell) for cell in row] for row in grid.rows],
        grid.numbers,
        grid.spare,
        grid.style,
    )
    if len(clean.rows) > MOST_DRAWN:
        return plain(clean)
    with screen.capture() as drawn:
        screen.print(_drawn(clean, screen))
    return drawn.get().rstrip("\n")


def draw(grid: Grid) -> None:
    """Print it, and a line that is empty after it; nothing where it has no rows."""
    if grid.rows:
        print(f"{fitted(grid) or plain(grid)}\n")


STYLES = {
    **{"succeeded": "green", "failed": "bold red", "interrupted": "yellow", "running": "cyan"},
    **{"ok": "green", "warn": "yellow", "FAIL": "bold red"},
}


def style_of(cell: str) -> str:
    """How the words of a status look."""
    return STYLES.get(cell, "")


def _drawn(grid: Grid, screen: Console) -> RenderableType:
    from rich.cells import cell_len

    columns = list(zip(grid.head, *grid.rows, strict=True))
    full = [max(1, *map(cell_len, column)) for column in columns]
    least = [
        max([*map(cell_len, column[1:]), min(_longest_word(column[0]), LEAST)])
        if place in grid.numbers
        else min(width, LEAST)
        for place, (column, width) in enumerate(zip(columns, full, strict=True))
    ]
    shown = list(range(len(columns)))

    def room() -> int:
        return screen.width - GAP * (len(shown) - 1)

    for place in grid.spare:
        if sum(full[n] for n in shown) > room():
            shown.remove(place)
    if sum(least[n] for n in shown) > room():
        return _records(grid)
    widths = {n: full[n] for n in shown}
    while sum(widths.values()) > room():
        widest = max((n for n in shown if widths[n] > least[n]), key=lambda n: widths[n])
        widths[widest] -= 1
    return _table(grid, widths)


def _longest_word(text: str) -> int:
    return max(map(len, text.split()), default=1)


def _table(grid: Grid, widths: Mapping[int, int]) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, GAP, 0, 0), pad_edge=False, header_style="bold")
    for place, width in widths.items():
        side: Literal["right", "left"] = "right" if place in grid.numbers else "left"
        table.add_column(Text(grid.head[place]), width=width, justify=side, overflow="fold")
    for row in grid.rows:
        table.add_row(*(Text(row[place], style=grid.style(row[place])) for place in widths))
    return table


def _records(grid: Grid) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, GAP, 0, 0), pad_edge=False)
    table.add_column(style="bold", max_width=2 * LEAST, overflow="fold")
    table.add_column(overflow="fold")
    for row in grid.rows:
        for heading, cell in zip(grid.head, row, strict=True):
            table.add_row(Text(heading), Text(cell, style=grid.style(cell)))
        table.add_row("")
    return table
