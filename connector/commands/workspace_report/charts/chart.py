"""What a chart is: a value that holds its SQL, its encoding and the sentence that says what counts.

The encoding is a Vega-Lite specification without data. Its data are the rows of the SQL, with
three fields that are made here: ``told``, the text of the tooltip; ``label``, the name on an axis;
and of each date its text. No name ever stands in a specification or in an expression of one.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

from msgspec import Struct

from connector.commands.workspace_report import figures
from connector.commands.workspace_report.markup import Html, escaped, isolated
from connector.commands.workspace_report.names import Names, on_axis

Row = Mapping[str, Any]
Spec = dict[str, Any]
SINCE = ":since"  # a line of SQL that holds it counts only where --since is given


class Kind(Struct, frozen=True):
    """How values of a column are written, and whether they are numbers."""

    write: Callable[[Any], str]
    is_number: bool = True


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
DAY = Kind(figures.day, is_number=False)
WEEK = Kind(lambda value: f"week of {value.day} {value:%b %Y}", is_number=False)
MONTH = Kind(figures.month, is_number=False)
WEEKDAY = Kind(lambda value: WEEKDAYS[value - 1], is_number=False)
CLOCK = Kind(lambda value: f"{value:02d}:00–{value:02d}:59", is_number=False)
NAME = Kind(str, is_number=False)
COUNT = Kind(figures.number)
SECONDS = Kind(figures.duration)
RATE = Kind(figures.percent)
RATING = Kind(lambda value: figures.number(value, 1))


class Column(Struct, frozen=True):
    """A column of the SQL: what it is called on the page, and how its values are written."""

    name: str
    title: str
    kind: Kind = COUNT


class Chart(Struct, frozen=True):
    """One chart. ``names`` says what its column ``name`` names: Team, Admin, Company, Tag.

    ``sql_since`` is asked in the place of ``sql`` where another view counts by time;
    ``newest_first`` turns the table around, which people read from the present back.
    """

    key: str
    title: str
    counts: str
    sql: str
    columns: tuple[Column, ...]
    spec: Spec
    names: str = ""
    sql_since: str = ""
    counts_since: str = ""
    newest_first: bool = False

    def question(self, since: date | None) -> str:
        """The SQL, from that day on if one is given."""
        asked = self.sql if since is None else self.sql_since or self.sql
        return asked_since(asked, since)

    def sentence(self, since: date | None) -> str:
        """What it counts."""
        return f"{self.counts} {self.counts_since}".strip() if since else self.counts


def asked_since(sql: str, since: date | None) -> str:
    """The SQL with that day, or without the lines that name one."""
    lines = sql.strip("\n").splitlines()
    if since is None:
        return "\n".join(line for line in lines if SINCE not in line)
    return "\n".join(lines).replace(SINCE, f"DATE '{since.isoformat()}'")


class Drawn(Struct, frozen=True):
    """A chart with its answer: ``rows`` None where it could not be asked, and why."""

    chart: Chart
    sql: str
    rows: Sequence[Row] | None
    why: str = ""

    def columns(self) -> list[Column]:
        """Those that the answer has."""
        first = self.rows[0] if self.rows else {}
        return [column for column in self.chart.columns if column.name in first]

    def named(self, names: Names) -> list[str]:
        """What stands for the name in each row; empty where the chart names nothing."""
        if not self.chart.names:
            return []
        rows = self.rows or ()
        return [names(self.chart.names, row["name"], place) for place, row in enumerate(rows, 1)]


def cells(drawn: Drawn, names: Names) -> Iterator[Sequence[object]]:
    """The rows of the table under the chart."""
    columns, named = drawn.columns(), drawn.named(names)
    rows = [
        [_cell(column, row, named[place] if named else "") for column in columns]
        for place, row in enumerate(drawn.rows or ())
    ]
    yield from reversed(rows) if drawn.chart.newest_first else rows


def _cell(column: Column, row: Row, name: str) -> Html:
    return isolated(name) if column.kind is NAME else escaped(_written(column, row))


def _written(column: Column, row: Row) -> str:
    value = row[column.name]
    return figures.NOTHING if value is None else column.kind.write(value)


def specification(drawn: Drawn, names: Names) -> Spec:
    """The Vega-Lite specification with its data."""
    spec = copy.deepcopy(drawn.chart.spec)
    columns, named = drawn.columns(), drawn.named(names)
    labels, rows = on_axis(named), drawn.rows or ()
    values = [
        {name: _plain(value) for name, value in row.items() if name != "name"}
        | {"told": "\n".join(_told(columns, row, named[place] if named else ""))}
        | ({"label": labels[place]} if named else {})
        for place, row in enumerate(rows)
    ]
    for encoding in _encodings(spec):
        _mark_durations(encoding, rows)
    if isinstance(spec["height"], dict):  # so much for each row
        spec["height"] = spec["height"]["step"] * len(rows)
    return spec | {"data": {"values": values}}


def _told(columns: Sequence[Column], row: Row, name: str) -> Iterator[str]:
    for column in columns:
        if column.kind is NAME:
            yield name
        elif column is columns[0] or not column.kind.is_number:
            yield _written(column, row)
        else:
            yield f"{column.title}: {_written(column, row)}"


def _plain(value: object) -> object:
    """As JSON holds it; a date as the browser reads it, at midnight UTC."""
    if isinstance(value, Decimal):
        return float(value)
    return value.isoformat() if isinstance(value, date) else value


def _encodings(spec: object) -> Iterator[Spec]:
    """Every channel, of all layers."""
    if isinstance(spec, dict):
        yield from spec.get("encoding", {}).values()
        for layer in spec.get("layer", ()):
            yield from _encodings(layer)


def _mark_durations(channel: Spec, rows: Sequence[Row]) -> None:
    """An axis of seconds is marked at minutes, hours or days."""
    shown = channel.get("axis", {}).pop("of", ())
    if shown:
        most = max((float(row[n]) for row in rows for n in shown if row[n] is not None), default=0)
        channel["axis"]["values"] = figures.ticks(most or 1)
