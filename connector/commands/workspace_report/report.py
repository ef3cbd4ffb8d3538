"""``report``: asks the warehouse, writes the page, and says where it is."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path
from typing import Any

from connector.commands.workspace_report import page, vega
from connector.commands.workspace_report.charts.nights import USUAL
from connector.commands.workspace_report.collect import Asked, collect
from connector.errors import SettingsError
from connector.settings import Settings
from connector.warehouse import migrate
from connector.warehouse.sql.database import Database


def run(database: Database, settings: Settings, arguments: Any) -> int:
    """Write the page and print its path; 0. Raises SettingsError where it cannot be written."""
    _require_place(arguments.output)
    per_minute = settings.requests_per_minute or USUAL
    asked = Asked(arguments.since, arguments.anonymous, per_minute)
    database.wait()
    database.read(partial(migrate.require_newest, schema=database.schema))
    found = database.read(partial(collect, schema=database.schema, asked=asked))
    text = page.document(found, asked, vega.library())
    _write(arguments.output, text)
    if not found.charts:
        print("the warehouse is empty, and the report says so: run sync", file=sys.stderr)
    print(f"{arguments.output.resolve()} ({len(text.encode()) / 1e6:.1f} MB)")
    return 0


def _require_place(path: Path) -> None:
    """Before anything is asked: the folder is there, and the file is no folder."""
    if path.is_dir():
        raise SettingsError(f"{path} is a folder: -o names the file to write")
    if not path.parent.is_dir():
        raise SettingsError(f"there is no folder {path.parent} to write {path.name} to")


def _write(path: Path, text: str) -> None:
    """The whole file or none: who looks at the old one goes on doing so.

    What is no file (a pipe, /dev/null) is written to, and never replaced.
    """
    if path.exists() and not path.is_file():
        try:
            path.write_text(text, encoding="utf-8", newline="\n")
        except OSError as failure:
            raise SettingsError(f"{path} cannot be written: {failure.strerror}") from failure
        return
    path = path.resolve()  # of a link what it leads to
    part = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        part.write_text(text, encoding="utf-8", newline="\n")
        if path.exists():
            part.chmod(path.stat().st_mode)  # who may read the old one, and nobody else
        part.replace(path)
    except OSError as failure:
        part.unlink(missing_ok=True)
        raise SettingsError(f"{path} cannot be written: {failure.strerror}") from failure
