"""``demo``: simulator and embedded Postgres, a first load, changes, an incremental sync."""

from __future__ import annotations

import argparse
from typing import Any


def add_options(sub: Any) -> None:
    """How large the demonstrated workspace is."""
    sub.add_argument("--contacts", type=int, default=2_000)
    sub.add_argument("--companies", type=int, default=200)
    sub.add_argument("--conversations", type=int, default=300)


def run(arguments: argparse.Namespace) -> int:
    """Show it all and leave nothing running."""
    return 0
