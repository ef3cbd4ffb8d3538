"""The options of ``push``, as the command line knows them."""

from __future__ import annotations

from typing import Any


def add_options(sub: Any) -> None:
    """The options of ``push``."""
    sub.add_argument(
        "kind", nargs="?", choices=("contacts", "companies", "events"), help="what a model holds"
    )
    sub.add_argument(
        "--from",
        dest="model_from",
        metavar="MODEL",
        help="a table, a view or a query, whose differences are put into the outbox first",
    )
    sub.add_argument(
        "--dry-run", action="store_true", help="show what a model would change, send nothing"
    )
    sub.add_argument(
        "--mode",
        choices=("upsert", "update", "create"),
        default="upsert",
        help="whether a model's rows may create objects, change them, or both (both)",
    )
    sub.add_argument(
        "--on-drift",
        choices=("overwrite", "keep", "report"),
        default="overwrite",
        help="what becomes of a field that changed at Intercom since it was pushed (overwrite)",
    )
    sub.add_argument(
        "--nulls", choices=("keep", "clear"), default="keep", help="what NULL does to a field"
    )
    sub.add_argument("--limit", type=int, metavar="N", help="so many differing rows at most")
    sub.add_argument("--no-wait", action="store_true", help="send, and follow nothing")
    sub.add_argument(
        "--trust", action="store_true", help="what Intercom accepted is done, without reading it"
    )
    sub.add_argument("--unarchive", action="store_true", help="wishes bring archived ones back")
    sub.add_argument(
        "--create-missing", action="store_true", help="events create users that do not exist"
    )
    sub.add_argument("--allow-deletes", action="store_true", help="send wishes to delete, too")
    sub.add_argument("--yes", action="store_true", help="whatever a plan touches is wanted")
    sub.add_argument("--retry", action="store_true", help="failed wishes wait again first")
    sub.add_argument("--model", metavar="MODEL", help="of --retry: those of this model only")
    sub.add_argument("--status", action="store_true", help="what the outbox holds; send nothing")
