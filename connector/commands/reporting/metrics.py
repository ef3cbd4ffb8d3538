"""The figures of a run, and of what waits, in a text file as Prometheus reads it.

That the file cannot be written is a warning.
"""

from __future__ import annotations

import logging
import os
import re
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from connector.commands.reporting import wishes

logger = logging.getLogger(__name__)
_writing = threading.Lock()  # what is written into the file beside what stays in it

PREFIX = "intercom_warehouse_"
LAST_SUCCESS = f"{PREFIX}last_success_timestamp_seconds"
FIGURES = {
    "requests": "Requests sent to Intercom",
    "fetched": "Records read",
    "inserted": "Rows that are new",
    "updated": "Rows that changed",
    "unchanged": "Records that changed nothing",
    "deleted": "Rows marked deleted",
    "warnings": "Values that did not fit, in rows that were written",
}


def write_metrics(path: Path, report: dict[str, Any]) -> None:
    """Write the figures in Prometheus's text format; the file is replaced as a whole.

    When the last run succeeded stays in it while runs fail.
    """
    with _writing:
        _replace(path, metrics(report, last_success(path, report["schema"])))


def write_live(
    path: Path, schema: str, live: dict[str, Any] | None, outbox: dict[str, Any] | None = None
) -> None:
    """Write what waits into the file; the figures of the last run stay in it as they are."""
    registry = CollectorRegistry()
    _add_live(registry, schema, live)
    _add_outbox(registry, schema, outbox)
    names = {family.name for family in registry.collect()}
    with _writing:
        before = _figures(path)
        kept = [line for line in before.splitlines() if _NAME.match(line)[1] not in names]  # type: ignore[index]
        text = "".join(f"{line}\n" for line in kept) + generate_latest(registry).decode()
        if text != before:
            _replace(path, text)


_NAME = re.compile(r"(?:# (?:HELP|TYPE) )?([^ {]*)")


def _figures(path: Path) -> str:
    """What stands in the file; nothing if there is none, or it is none of ours."""
    try:
        text = path.read_text(encoding="utf-8")
        list(text_string_to_metric_families(text))
    except (OSError, ValueError, KeyError, IndexError):
        return ""
    return text


def _replace(path: Path, text: str) -> None:
    """The file as a whole; that it cannot be written is a warning.

    What is no file (a pipe, /dev/null) is written to, and never replaced.
    """
    try:
        if path.exists() and not path.is_file():
            path.write_text(text, encoding="utf-8")
            return
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(text.encode())
            os.chmod(temporary, 0o644)  # a collector of another user reads it, whatever the umask
            os.replace(temporary, path)
        except OSError:
            with suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        logger.warning("the metrics could not be written to %s: %s", path, error.strerror or error)


def last_success(path: Path, schema: str) -> float | None:
    """When a run of that schema last succeeded, by the metrics file; None if it does not say."""
    for family in text_string_to_metric_families(_figures(path)):
        for sample in family.samples:
            if sample.name == LAST_SUCCESS and sample.labels.get("schema") == schema:
                return float(sample.value)
    return None


def metrics(report: dict[str, Any], succeeded_before: float | None = None) -> str:
    """The figures of a run as Prometheus reads them.

    ``succeeded_before``: when an earlier run last did, in Unix seconds.
    """
    registry, schema = CollectorRegistry(), report["schema"]
    success = report["exit_code"] == 0
    last = report["finished_at"] if success else succeeded_before
    for name, sentence, value in (
        ("run_success", "Whether the last run succeeded", int(success)),
        ("run_exit_code", "Exit code of the last run", report["exit_code"]),
        ("run_seconds", "Duration of the last run", report["seconds"]),
        ("run_finished_timestamp_seconds", "When the last run ended", report["finished_at"]),
        ("last_success_timestamp_seconds", "When a run last succeeded", last),
        ("overdue_objects", "Objects that could not be read", len(report["overdue"])),
    ):
        if value is not None:
            Gauge(PREFIX + name, sentence, ["schema"], registry=registry).labels(schema).set(value)
    _add_live(registry, schema, report.get("live"))
    _add_outbox(registry, schema, report.get("outbox"))
    for figure, sentence in FIGURES.items():
        name, labels = f"{PREFIX}resource_{figure}", ["schema", "resource"]
        gauge = Gauge(name, f"{sentence}, in the last run", labels, registry=registry)
        for resource, tally in report["resources"].items():
            gauge.labels(schema, resource).set(tally[figure])
    return generate_latest(registry).decode()


def _add_outbox(registry: CollectorRegistry, schema: str, outbox: dict[str, Any] | None) -> None:
    """What became of wishes, where any was ever made."""
    for name, value in wishes.figures(outbox).items() if outbox else ():
        gauge = Gauge(PREFIX + name, wishes.FIGURES[name], ["schema"], registry=registry)
        gauge.labels(schema).set(value)


def _add_live(registry: CollectorRegistry, schema: str, live: dict[str, Any] | None) -> None:
    """What waits of what notifications told, where any came."""
    if not live:
        return
    last = live["last_notification_at"].timestamp()
    for name, sentence, value in (
        ("inbox_backlog", "Objects that notifications told of and that wait", live["backlog"]),
        ("inbox_oldest_seconds", "Since when the oldest waits", live["oldest_seconds"] or 0.0),
        ("last_notification_timestamp_seconds", "When a notification last came", last),
        ("unseen_topics", "Topics worth subscribing that never came", len(live["unseen_topics"])),
    ):
        Gauge(PREFIX + name, sentence, ["schema"], registry=registry).labels(schema).set(value)
    received = Gauge(
        f"{PREFIX}notifications_received",
        "Notifications that came, by topic",
        ["schema", "topic"],
        registry=registry,
    )
    for topic, number in live["received"].items():
        received.labels(schema, topic).set(number)
