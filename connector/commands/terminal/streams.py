"""Standard input, output and error as a machine at night leaves them: closed, cut off, not UTF-8.

Whoever stops reading what a command prints (``| head``) changes nothing of how the command ends.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from typing import TextIO

from connector.errors import SettingsError

_written: list[_Output] = []


class _Output(io.FileIO):
    """A file to which writing never fails: why it did is kept, and the rest goes nowhere."""

    def __init__(self, number: int) -> None:
        super().__init__(number, "w", closefd=False)
        self.failure: OSError | None = None

    def write(self, data: object) -> int:
        """How many bytes went; all of them, once it has failed."""
        view = memoryview(data)  # type: ignore[arg-type]
        if self.failure is None:
            try:
                return super().write(view)
            except OSError as failure:
                self.failure = failure
        return view.nbytes


def prepare() -> None:
    """Make the three streams usable: what is closed leads nowhere, what cannot be shown is spelt.

    A closed one must not stay closed: the next connection would get its number, and what is
    printed would be sent to the database.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        stream = getattr(sys, name)
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
            stream = None
        if stream is None:
            setattr(sys, name, open(number, "r+" if number == 0 else "w", closefd=False))  # noqa: SIM115
        elif number and stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, _patient(number, stream))


def _patient(number: int, stream: TextIO) -> TextIO:
    stream.flush()
    output = _Output(number)
    _written.append(output)
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=stream.encoding,
        errors="backslashreplace",
        line_buffering=number == 2
        or stream.isatty()
        or bool(getattr(stream, "write_through", False)),
    )


def end() -> str | None:
    """Write what is left; why some of it could not be written, None if all was or nobody reads."""
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    for output in _written:
        failure = output.failure
        if failure is not None and not isinstance(failure, BrokenPipeError):
            return failure.strerror or type(failure).__name__
    return None


def readable(words: Sequence[str]) -> list[str]:
    """The words of a command line as text, whatever the locale; SettingsError if one is none."""
    return [_text(word, place) for place, word in enumerate(words, 1)]


def _text(word: str, place: int) -> str:
    try:
        word.encode()
    except UnicodeEncodeError:  # bytes that the locale's encoding does not know
        try:
            return os.fsencode(word).decode()
        except UnicodeError:
            raise SettingsError(f"word {place} of the command line is no UTF-8 text") from None
    return word


def is_terminal(name: str) -> bool:
    """Whether that stream is a terminal; False for one that is closed."""
    stream = getattr(sys, name)
    return stream is not None and not stream.closed and stream.isatty()
