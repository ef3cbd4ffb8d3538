"""A terminal that is drawn on: by rich, which is imported where there is one and nowhere else.

What others wrote cannot move its cursor, colour it or turn its direction: ``harmless`` spells out
what would. A pipe gets text as it is.
"""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

from connector.commands.terminal.streams import is_terminal

if TYPE_CHECKING:
    from rich.console import Console

_BLANKS = re.compile(r"[\t\n\v\f\r\x85]+")
# Controls of both sets, marks that turn the direction of what follows, and separators of lines.
_CONTROLS = re.compile("[\0-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def harmless(text: str, *, lines: bool = False) -> str:
    """The text with all that controls a terminal spelled out, on one line unless ``lines``."""
    if text.isascii() and text.isprintable():
        return text
    if lines:
        return "\n".join(map(harmless, text.split("\n")))
    return _CONTROLS.sub(_spelled, _BLANKS.sub(" ", text))


def _spelled(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def console(name: str) -> Console | None:
    """What draws on that stream; None if it is no terminal.

    It honours NO_COLOR and TERM, is as wide as the terminal is now, and takes no text for markup.
    """
    if not is_terminal(name):
        return None
    from rich.console import Console

    return Console(
        file=getattr(sys, name), force_terminal=True, markup=False, emoji=False, highlight=False
    )


def recording(columns: int, lines: int) -> Console:
    """A terminal of that size that nobody sees: what was drawn on it can be had as a picture."""
    from io import StringIO

    from rich.console import Console

    return Console(
        file=StringIO(),
        record=True,
        width=columns,
        height=lines,
        force_terminal=True,
        color_system="truecolor",
        no_color=False,
        markup=False,
        emoji=False,
        highlight=False,
    )


def tell(text: str, style: str = "") -> None:
    """A sentence on stdout: wrapped between words on a terminal, in that style; else as it is."""
    screen = console("stdout")
    if screen is None:
        print(text)
        return
    from rich.text import Text

    screen.print(Text(harmless(text), style=style))
