"""What the parser of the command line is made of; the commands themselves stand in ``cli``."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from connector.errors import SettingsError

MOST = 1_000_000


class UsageError(SettingsError):
    """The command line is not one that the parser knows; the message says what would be."""


class Parser(argparse.ArgumentParser):
    """One that knows no abbreviations and raises what is wrong, for ``main`` to say."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"allow_abbrev": False, **options})

    def error(self, message: str) -> NoReturn:
        """Raise UsageError."""
        raise UsageError(f"{message}; see '{self.prog} --help'")


def number(text: str) -> int:
    """A whole number from 1 to a million; ArgumentTypeError if it is none."""
    if not (text.isascii() and text.isdigit() and len(text) < 8 and 0 < int(text) <= MOST):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {MOST}")
    return int(text)
