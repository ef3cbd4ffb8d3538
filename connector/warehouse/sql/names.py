"""Names and texts as they stand in SQL: the one place that quotes."""

from __future__ import annotations

from msgspec import Struct


def quote(name: str) -> str:
    """An SQL identifier, whatever it holds."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """An SQL string, whatever it holds and however the server reads backslashes."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted


class Names(Struct, frozen=True):
    """Qualified names in the configured schema."""

    schema: str

    def __call__(self, table: str) -> str:
        return f"{quote(self.schema)}.{quote(table)}"
