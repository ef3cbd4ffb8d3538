"""docs/reliability.md, from the marks ``fault`` of the tests.

``python -m bench.reliability > docs/reliability.md``. A test that injects less often than its mark
says fails, so the numbers are what happened at least.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

TESTS = Path(__file__).parents[1] / "tests"
HEADINGS = {
    "reliability/test_intercom.py": "Intercom",
    "sync/test_faults.py": "Intercom, one fault at a time",
    "sync/guards/test_refusals.py": "What cannot be read: one record, one object, one list",
    "reliability/test_process.py": "The process",
    "lives/test_kills.py": "The process, in a larger load",
    "push/sending/test_kills.py": "A push",
    "reliability/test_postgres.py": "Postgres",
    "reliability/test_input.py": "What is read",
    "reliability/test_security.py": "Secrets, names",
    "reliability/test_soak.py": "Many nights",
}
PREFACE = """# Reliability

What has been done to the sync, and what came of it. Each line is a test that injects the fault
between a real Postgres and an Intercom that is simulated down to its faults; when the fault is
over, every row, link and child is compared with what the simulator knows to be true. "Rows lost"
counts rows, links and children that are missing or wrong then; it is empty where a test compares
none.

`times` is how often the fault is injected at least: a test that injects less fails. Where a test
has several cases it is so for each; of many cases `make test` runs a few, and of files that take
long every second test, chosen by a seed that it prints, by default the day; `make chaos` runs the
others. Lines marked *chaos* are run by `make chaos` alone. Regenerate this page with
`python -m bench.reliability > docs/reliability.md`; a test compares it.
"""
END = """
## Not covered

- A database whose files are damaged, or that acknowledges a commit and loses it (`fsync = off`).
- A restore of single tables: restore the schema as a whole, cursor and rows together.
- A server that is promoted from an asynchronous standby may have lost the last transactions. Rows
  and cursor were lost together, so the next run reads them again.
"""


@dataclass(frozen=True)
class Fault:
    """One marked test."""

    file: str
    test: str
    what: str
    outcome: str
    times: int
    chaos: bool
    rows: bool


def faults() -> Iterator[Fault]:
    """Every marked test, file by file."""
    files = [TESTS / name for name in HEADINGS]
    assert {_path(file) for file in TESTS.rglob("*.py") if _marked(file)} == set(HEADINGS)
    for file in files:
        yield from _marked(file)


def _path(file: Path) -> str:
    return file.relative_to(TESTS).as_posix()


def _marked(file: Path) -> list[Fault]:
    found = []
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            marks = dict(filter(None, map(_mark, node.decorator_list)))
            if "fault" in marks:
                (what, outcome), more = marks["fault"]
                times, rows = more.get("times", 1), more.get("rows", True)
                chaos = "chaos" in marks
                found.append(Fault(_path(file), node.name, what, outcome, times, chaos, rows))
    return found


def _mark(decorator: ast.expr) -> tuple[str, tuple[list[Any], dict[str, Any]]] | None:
    """Name of a mark, and what it is given."""
    call = decorator if isinstance(decorator, ast.Call) else None
    function = call.func if call else decorator
    if not (isinstance(function, ast.Attribute) and function.attr in ("fault", "chaos")):
        return None
    if not call:
        return function.attr, ([], {})
    given = [ast.literal_eval(value) for value in call.args]
    return function.attr, (given, {k.arg or "": ast.literal_eval(k.value) for k in call.keywords})


def document() -> str:
    """The whole page."""
    text, file = PREFACE, ""
    for fault in faults():
        if fault.file != file:
            file = fault.file
            text += f"\n## {HEADINGS[file]}\n\n`tests/{file}`\n\n"
            text += "| fault | times | outcome | rows lost | test |\n|---|---|---|---|---|\n"
        chaos = " *chaos*" if fault.chaos else ""
        lost = "0" if fault.rows else ""
        cells = (fault.what, f"{fault.times:,}", fault.outcome, lost, f"`{fault.test}`{chaos}")
        text += f"| {' | '.join(cells)} |\n"
    return text + END


if __name__ == "__main__":
    print(document(), end="")
