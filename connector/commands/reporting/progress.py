"""Prints how a run goes and how it ended."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Sequence
from typing import Any

from connector.commands.terminal.streams import is_terminal
from connector.intercom.tokens.tokens import Tokens
from connector.resources.resource import Resource
from connector.sync.outcome import Outcome
from connector.warehouse.state.runs import Tally

logger = logging.getLogger(__name__)

NAMED = 20  # overdue objects, on stderr
HEADINGS = ("resource", "status", "requests", "fetched", "new", "changed", "same", "gone", "s")


class Progress:
    """On a terminal a line that moves; elsewhere, for who asks, one wide log line per resource.

    ``lines``: lines on a terminal too.
    """

    def __init__(self, *, lines: bool = False) -> None:
        self._moving = is_terminal("stderr") and not lines
        self._began: dict[str, float] = {}
        self.tokens: Tokens | None = None  # the client's, once there is one

    def started(self, resource: str, kind: str) -> None:
        """A pass begins."""
        self._began[resource] = time.monotonic()
        self._move(f"{resource}: {kind} pass ...")

    def moved(self, resource: str, tally: Tally) -> None:
        """Rows were committed."""
        # What notifications told is read before the pass over its resource begins, too.
        began = self._began.setdefault(resource, time.monotonic())
        seconds = max(time.monotonic() - began, 0.001)
        rate = tally.fetched / seconds
        text = f"{resource}: {tally.fetched:,} read ({rate:,.0f}/s)"
        if tally.expected and rate:
            left = max(0.0, (tally.expected - tally.fetched) / rate)
            share = min(1.0, tally.fetched / tally.expected)
            text += f" {_bar(share)} {share:.0%}, about {left:,.0f} s left"
        self._move(f"{text}, {tally.inserted + tally.updated:,} written{self._budget_used()}")

    def _budget_used(self) -> str:
        used = self.tokens.used if self.tokens else None
        return "" if used is None else f", budget {used:.0%} used"

    def ended(self, resource: str, tally: Tally) -> None:
        """The pass ended, well or not."""
        self._move("")
        if not self._moving:
            figures = {"resource": resource, **tally.figures()}
            seconds = time.monotonic() - self._began.get(resource, time.monotonic())
            figures["seconds"] = round(seconds, 3)
            told = (f"{key}={value}" for key, value in figures.items() if value is not None)
            wide = " ".join(told)
            logger.info(wide, extra={"figures": figures})

    def usable(self, left: Sequence[Resource]) -> None:
        """All of a first load is there but these, which are read now."""
        names = " and ".join(resource.name for resource in left)
        self._move("")
        sentence = f"the warehouse is usable; {names} are being read"
        if self._moving:
            print(sentence, file=sys.stderr, flush=True)
        logger.info(sentence)

    def clear(self) -> None:
        """Leave an empty line for what comes next."""
        self._move("")

    def _move(self, text: str) -> None:
        if self._moving:
            print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


def _bar(share: float, width: int = 20) -> str:
    full = round(share * width)
    return "[" + "#" * full + "." * (width - full) + "]"


def outcome_as_json(outcome: Outcome) -> dict[str, Any]:
    """What ``--json`` prints."""
    return {
        "run_id": outcome.run_id,
        "exit_code": outcome.exit_code,
        "seconds": round(outcome.seconds, 3),
        "error": outcome.error,
        "resources": {
            name: tally.figures() | {"seconds": round(tally.seconds, 3)}
            for name, tally in outcome.resources.items()
        },
        "missing": outcome.missing,
        **({"live": outcome.live} if outcome.live else {}),
        **({"outbox": outcome.outbox} if outcome.outbox else {}),
        "facts": [
            {"fact": one.fact.id, "seen": one.detail, "times": one.times, "news": one.is_news}
            for one in outcome.refuted
        ],
        "overdue": [
            {"resource": p.resource, "id": p.id, "reason": p.reason, "attempts": p.attempts}
            for p in outcome.overdue
        ],
    }


def print_outcome(outcome: Outcome) -> None:
    """The table at the end of a run, on stdout."""
    print(_row(HEADINGS))
    for name, tally in outcome.resources.items():
        figures = (
            name,
            tally.status,
            f"{tally.requests:,}",
            f"{tally.fetched:,}",
            f"{tally.inserted:,}",
            f"{tally.updated:,}",
            f"{tally.unchanged:,}",
            f"{tally.deleted:,}",
            f"{tally.seconds:.1f}",
        )
        print(_row(figures))
    total = sum(tally.requests for tally in outcome.resources.values())
    print(f"run {outcome.run_id}: {total:,} requests in {outcome.seconds:.1f} s")
    _print_completeness(outcome)
    _print_warnings(outcome)
    if outcome.error:
        print(f"not all went well: {outcome.error}")


def _print_completeness(outcome: Outcome) -> None:
    for name, tally in outcome.resources.items():
        if tally.incomplete or tally.truncated:
            print(
                f"{name}: {tally.parts:,} parts; {tally.incomplete:,} lack parts that Intercom"
                f" counts, {tally.truncated:,} have more than it shows"
            )


def _print_warnings(outcome: Outcome) -> None:
    for tally in outcome.resources.values():
        for what, times in sorted(tally.misfits.items()):
            print(f"warning: {what} ({times} times); the original is kept in extra")


def _row(cells: tuple[str, ...]) -> str:
    name, state, *numbers = cells
    return f"{name:<22}{state:<12}" + "".join(f"{number:>10}" for number in numbers)


def name_failures(outcome: Outcome) -> None:
    """Name on stderr the objects for which the run ends with 1; resources were named before."""
    if outcome.missing:
        number, ids = len(outcome.missing), ", ".join(outcome.missing[:NAMED])
        logger.error("%d not found at Intercom, and not in the warehouse: %s", number, ids)
    for entry in outcome.overdue[:NAMED]:
        logger.error("overdue: %s %s: %s", entry.resource, entry.id, entry.reason)
    if len(outcome.overdue) > NAMED:
        left = len(outcome.overdue) - NAMED
        logger.error("and %s more objects are overdue; 'status' names them", f"{left:,}")
