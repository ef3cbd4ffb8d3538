"""What is said on stderr, and how it looks: nothing but warnings and errors unless asked for more.

Whatever is said there passes through the log, so that with ``--log-format json`` each line of it
is one JSON object: the last word of a command and tracebacks too.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, TextIO

from connector.commands.terminal.screen import harmless
from connector.commands.terminal.streams import is_terminal

FORMATS = ("text", "json")
PROGRAM = "intercom-warehouse"

words = logging.getLogger("connector.words")  # of the command itself, to whoever sits there


class JsonLines(logging.Formatter):
    """Log records as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The record with its figures, if it has any, as fields of their own."""
        fields: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname.lower(),
        }
        figures = getattr(record, "figures", None)
        fields |= figures or {"message": record.getMessage()}
        if record.exc_info:
            fields["traceback"] = self.formatException(record.exc_info)
        return json.dumps(fields, default=str)


class TextLines(logging.Formatter):
    """Log records with their time; what the command itself says, without."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, or with its traceback several."""
        text = record.getMessage() if record.name == words.name else super().format(record)
        return harmless(text, lines=True) if is_terminal("stderr") else text


def set_up(log_format: str, *, verbose: bool) -> None:
    """Say on stderr what there is to say in that format."""
    handler = logging.StreamHandler(sys.stderr)
    text = TextLines("%(asctime)s %(levelname)s %(message)s")
    handler.setFormatter(JsonLines() if log_format == "json" else text)
    level = logging.INFO if verbose else logging.WARNING
    logging.basicConfig(level=level, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.getLogger("alembic").setLevel(logging.WARNING)
    told = logging.INFO if verbose or is_terminal("stderr") else logging.WARNING
    for name in (words.name, "connector.commands.reporting.progress"):
        logging.getLogger(name).setLevel(told)
    if log_format == "json":
        threading.excepthook = _failed_thread
        sys.unraisablehook = _failed_aside


def say_on(stream: TextIO) -> None:
    """From now on what is said goes there: beside what is drawn on a terminal, or to stderr."""
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.StreamHandler) and isinstance(handler.formatter, TextLines):
            handler.setStream(stream)


def asked_format(arguments: Sequence[str]) -> str:
    """The format that a command line asks for, though it may be wrong otherwise."""
    for place, word in enumerate(arguments):
        name, _, value = word.partition("=")
        if name == "--log-format":
            return value or "".join(arguments[place + 1 : place + 2])
    return "text"


def say(text: str) -> None:
    """For information: on a terminal, or with -v."""
    words.info("%s", text)


def warn(text: str) -> None:
    """Aloud, whoever sits there."""
    words.warning("%s", text)


def complain(text: str) -> None:
    """The last word of a command that failed."""
    words.error("%s: %s", PROGRAM, text)


def _failed_thread(failure: threading.ExceptHookArgs) -> None:
    if failure.exc_value is not None:
        _log("a thread failed", failure.exc_value, failure.exc_traceback)


def _failed_aside(failure: Any) -> None:
    _log("something failed aside", failure.exc_value, failure.exc_traceback)


def _log(what: str, error: BaseException, traceback: TracebackType | None) -> None:
    logging.getLogger(__name__).error(what, exc_info=(type(error), error, traceback))
