"""Tells others how a run ended: one JSON report to a URL, a text file for Prometheus.

Neither can make a run fail; what goes wrong here is a warning.
"""

from __future__ import annotations

import json
import logging
import os
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)

TRIES, TIMEOUT = 3, 10.0  # of the notification; seconds each
FIGURES = ("requests", "fetched", "inserted", "updated", "unchanged", "deleted", "warnings")


def notify(url: str, report: dict[str, Any]) -> None:
    """POST the report as JSON; what is no success is tried again, and then warned of."""
    body = json.dumps(report, default=str).encode()
    request = urllib.request.Request(
        url, body, {"Content-Type": "application/json", "User-Agent": "intercom-warehouse"}
    )
    for attempt in range(1, TRIES + 1):
        try:
            with urllib.request.urlopen(request, timeout=TIMEOUT):
                return
        except (OSError, ValueError) as error:  # URLError and HTTPError are OSErrors
            reason = getattr(error, "reason", None) or error
            if attempt == TRIES:
                logger.warning("the report could not be delivered: %s", reason)
            else:
                time.sleep(attempt)


def write_metrics(path: Path, report: dict[str, Any]) -> None:
    """Write the figures in Prometheus's text format; the file is replaced as a whole."""
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}")
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(metrics(report))
        os.chmod(temporary, 0o644)  # a collector of another user reads it
        os.replace(temporary, path)
    except OSError as error:
        logger.warning("the metrics could not be written: %s", error)


def metrics(report: dict[str, Any]) -> str:
    """The figures of a run as Prometheus reads them."""
    schema = f'schema="{_label(report["schema"])}"'
    lines = [
        "# TYPE intercom_warehouse_run_success gauge",
        f"intercom_warehouse_run_success{{{schema}}} {int(report['exit_code'] == 0)}",
        "# TYPE intercom_warehouse_run_exit_code gauge",
        f"intercom_warehouse_run_exit_code{{{schema}}} {report['exit_code']}",
        "# TYPE intercom_warehouse_run_seconds gauge",
        f"intercom_warehouse_run_seconds{{{schema}}} {report['seconds']}",
        "# TYPE intercom_warehouse_run_finished_timestamp_seconds gauge",
        f"intercom_warehouse_run_finished_timestamp_seconds{{{schema}}} {report['finished_at']}",
        "# TYPE intercom_warehouse_overdue_objects gauge",
        f"intercom_warehouse_overdue_objects{{{schema}}} {len(report['overdue'])}",
    ]
    for figure in FIGURES:
        name = f"intercom_warehouse_resource_{figure}"
        lines.append(f"# TYPE {name} gauge")
        for resource, tally in report["resources"].items():
            lines.append(f'{name}{{{schema},resource="{resource}"}} {tally[figure]}')
    return "\n".join(lines) + "\n"


def _label(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
