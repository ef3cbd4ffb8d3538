"""The options of ``demo``, as the command line knows them."""

from __future__ import annotations

from typing import Any


def add_options(sub: Any) -> None:
    """How large the demonstrated workspace is, and whether its warehouse stays."""
    sub.add_argument("--contacts", type=int, default=2_000)
    sub.add_argument("--companies", type=int, default=200)
    sub.add_argument("--conversations", type=int, default=300)
    sub.add_argument(
        "--keep", action="store_true", help="keep the warehouse, in a new folder of CONNECTOR_HOME"
    )
