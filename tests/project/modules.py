"""The modules of the package, and what they import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from tests.support.places import ROOT

PACKAGE = ROOT / "connector"
FILES = sorted(PACKAGE.rglob("*.py"))


@cache
def parsed(file: Path) -> ast.Module:
    """What is written in the file; many tests look at each."""
    return ast.parse(file.read_text(encoding="utf-8"))


def imported(file: Path, *, for_types: bool = True) -> Iterator[str]:
    """Every module that the file names in an import, also inside functions, or only for types."""
    tree = parsed(file)
    skipped = set() if for_types else {id(n) for block in _for_types(tree) for n in ast.walk(block)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: imports are written out"
            module = node.module or ""
            yield from (f"{module}.{name.name}" for name in node.names)


def _for_types(tree: ast.Module) -> Iterator[ast.If]:
    for node in tree.body:
        if isinstance(node, ast.If) and getattr(node.test, "id", None) == "TYPE_CHECKING":
            yield node
