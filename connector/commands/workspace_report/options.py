"""The options of ``report``, as the command line knows them."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path
from typing import Any

DEFAULT = "intercom-report.html"


def add_options(sub: Any) -> None:
    """The options of ``report``."""
    sub.add_argument(
        "-o",
        "--output",
        type=Path,
        default=Path(DEFAULT),
        metavar="FILE",
        help=f"where the page is written ({DEFAULT}, replaced if it is there)",
    )
    sub.add_argument("--since", type=_day, metavar="DATE", help="what happened since that day only")
    sub.add_argument(
        "--anonymous", action="store_true", help="Team 1, Company 2 in the place of names"
    )


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no date such as 2026-01-31") from None
