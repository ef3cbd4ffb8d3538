"""Tells others how a run ended: one JSON report to a URL, a text file for Prometheus.

However it ended, also where it could not begin. Neither can make a run fail; what goes wrong
here is a warning.
"""

from __future__ import annotations

import argparse
import json
import logging
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from msgspec import Struct, field

from connector.commands.reporting.notification import TRIES, notify
from connector.commands.reporting.outcomes import outcome_as_json
from connector.errors import ConnectorError
from connector.settings import Reporting, reporting
from connector.sync.outcome import Outcome

logger = logging.getLogger(__name__)

INTERRUPTED, FAULT = 130, 1  # exit codes of what is no error of the connector's own making


# -- how a run ended -------------------------------------------------------------------------


class Ending(Struct):
    """How a run ended: its outcome, or what stopped it."""

    outcome: Outcome | None = None
    error: BaseException | None = None
    told: dict[str, Any] | None = None
    """What is said of it instead of an outcome, where it was no sync."""
    shown: dict[str, Any] | None = None
    """The same as ``--json`` prints it, where that is more than may leave."""
    unknown: dict[str, Any] = field(default_factory=dict)
    """What is said of it where it came to no end of its own, besides the error."""


@contextmanager
def reported(arguments: argparse.Namespace) -> Iterator[Ending]:
    """Report how the run inside ends, to stdout, URL and file, as far as they are named."""
    ending, began = Ending(), time.time()
    try:
        yield ending
    except BaseException as failure:
        ending.error = failure
        raise
    finally:
        where = reporting(schema=arguments.schema)
        report = run_report(
            arguments.name,
            where.schema,
            began,
            ending.outcome,
            ending.error,
            ending.told,
            ending.unknown,
        )
        if arguments.json and ending.outcome is None:
            print(json.dumps(report | (ending.shown or {}), default=str))
        deliver(where, arguments.metrics_file, report)


def deliver(where: Reporting, metrics_file: Path | None, report: dict[str, Any]) -> None:
    """Write the report to file and URL, where they are named."""
    if metrics_file:
        from connector.commands.reporting.metrics import write_metrics  # most runs write none

        write_metrics(metrics_file, report)
    if where.notify_url:
        # Who stopped it is waiting for it to end.
        tries = 1 if report["exit_code"] == INTERRUPTED else TRIES
        sent = report | {"error": _without_emails(report["error"])}
        notify(where.notify_url, sent, ca_bundle=where.ca_bundle, tries=tries)


_EMAIL = re.compile(r"[^\s'\"<>()/:,;]+@[^\s'\"<>()/:,;]+")


def _without_emails(error: str | None) -> str | None:
    """What is wrong may quote the key of a row."""
    return error and _EMAIL.sub("(an email)", error)


def run_report(
    command: str,
    schema: str,
    began: float,
    outcome: Outcome | None,
    error: BaseException | None,
    of_its_own: dict[str, Any] | None = None,
    unknown: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """What is said of a run, however it ended; ``outcome`` is None if it stopped.

    ``of_its_own``: what is said of what is no sync; ``unknown``: where that has not come.
    """
    told: dict[str, Any] = {"resources": {}, "overdue": [], "run_id": None, **unknown}
    if of_its_own is not None:
        told |= of_its_own
    elif outcome:
        told = outcome_as_json(outcome)
    elif isinstance(error, ConnectorError):
        told |= {"exit_code": error.exit_code, "error": str(error)}
    elif isinstance(error, Exception):
        told |= {"exit_code": FAULT, "error": f"{type(error).__name__}: {error}"}
    else:
        told |= {"exit_code": INTERRUPTED, "error": "interrupted"}
    now = time.time()
    times = {"started_at": round(began, 3), "finished_at": round(now, 3)}
    return {"command": command, "schema": schema, "error": None, **told, **times} | {
        "seconds": round(now - began, 3)
    }
