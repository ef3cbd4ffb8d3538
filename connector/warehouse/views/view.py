"""A view as a value: its name, its columns, what it selects from."""

from __future__ import annotations

from msgspec import Struct


class Shown(Struct, frozen=True):
    """One column of a view: its name, the SQL that gives it, its comment."""

    name: str
    expression: str
    comment: str


class View(Struct, frozen=True):
    """A view as it is to be: ``source`` is what follows FROM, ``sentence`` its comment.

    ``tells_of`` are tables that it is computed from without selecting from them: who may not read
    them may not read it.
    """

    name: str
    sentence: str
    source: str
    columns: tuple[Shown, ...]
    tells_of: tuple[str, ...] = ()


def over(query: str, row: str, columns: dict[str, str]) -> tuple[str, tuple[Shown, ...]]:
    """The source and the columns of a view that shows what a query gives, with these comments."""
    shown = tuple(Shown(name, f"{row}.{name}", comment) for name, comment in columns.items())
    return f"({query}) {row}", shown
