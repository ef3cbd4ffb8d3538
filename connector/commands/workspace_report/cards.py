"""The two halves of the page: each chart on a card, with its sentence, its table and its SQL."""

from __future__ import annotations

from typing import Any

from connector.commands.workspace_report import figures, standing
from connector.commands.workspace_report.charts import nights, workspace
from connector.commands.workspace_report.charts.chart import Chart, Drawn, cells
from connector.commands.workspace_report.charts.workspace import Section
from connector.commands.workspace_report.collect import Asked, Found
from connector.commands.workspace_report.markup import Html, element, folded, isolated, join, table
from connector.commands.workspace_report.names import Names
from connector.commands.workspace_report.standing import Tile

EMPTY = (
    "This warehouse is empty: no sync has run yet. ",
    element("code", "intercom-warehouse sync"),
    " fills it; write the report again after that.",
)


def halves(found: Found, asked: Asked, names: Names) -> list[Html]:
    """What the page tells of the sync, and of the workspace."""
    if not found.charts:
        return [element("section", element("p", *EMPTY, class_="card"))]
    return [_sync(found, asked, names), _workspace(found, asked, names)]


def _sync(found: Found, asked: Asked, names: Names) -> Html:
    beside = standing.beside(found, names)
    return element(
        "section",
        element("h2", "The sync"),
        standing.tiles(found),
        _grid("grid three", nights.CHARTS, found, asked, names),
        element("div", standing.resources(found, names), class_="card"),
        element("div", standing.runs(found, names), standing.pending(found, names), class_="card"),
        beside,
        id="sync",
    )


def _workspace(found: Found, asked: Asked, names: Names) -> Html:
    return element(
        "section",
        element("h2", "The workspace"),
        _lately(found.lately),
        *(_section(one, found, asked, names) for one in workspace.SECTIONS),
        id="workspace",
    )


def _section(section: Section, found: Found, asked: Asked, names: Names) -> Html:
    grid = "grid" if section.wide else "grid two"
    cards = _grid(grid, section.charts, found, asked, names)
    return element("section", element("h3", section.title), cards, id=section.key)


def _grid(kind: str, charts: tuple[Chart, ...], found: Found, asked: Asked, names: Names) -> Html:
    cards = (_card(found.charts[chart.key], asked, names) for chart in charts)
    return element("div", *cards, class_=kind)


# -- one chart --------------------------------------------------------------------------------


def _card(drawn: Drawn, asked: Asked, names: Names) -> Html:
    chart = drawn.chart
    sentence = chart.sentence(asked.since)
    return element(
        "figure",
        element("figcaption", element("h4", chart.title), element("p", sentence)),
        _picture(drawn, sentence, asked, names),
        folded("The figures as a table", _figures(drawn, names)) if drawn.rows else "",
        folded("The SQL", element("pre", element("code", drawn.sql))),
        class_="card",
    )


def _picture(drawn: Drawn, sentence: str, asked: Asked, names: Names) -> Html:
    if drawn.rows:
        label = f"Chart: {drawn.chart.title}. {sentence} The figures follow as a table."
        return element(
            "div", class_="chart", data_chart=drawn.chart.key, role="img", aria_label=label
        )
    if drawn.rows is None:
        return element(
            "p", "This could not be asked: ", isolated(names.told(drawn.why)), class_="none"
        )
    since = f" since {figures.day(asked.since)}" if asked.since else " yet"
    return element("p", f"There is nothing to show{since}.", class_="none")


def _figures(drawn: Drawn, names: Names) -> Html:
    columns = drawn.columns()
    return table(
        drawn.chart.title,
        [column.title for column in columns],
        cells(drawn, names),
        [column.kind.is_number for column in columns],
    )


# -- the last thirty days ---------------------------------------------------------------------


def _lately(row: Any) -> Html:
    """The last thirty days, and the thirty before, in a few numbers."""
    if not row or row["opened"] is None:
        return Html("")
    tiles = [
        Tile(what, figures.number(row[name]), _before(row[f"{name}_before"], when))
        for what, name, when in (
            ("Opened in 30 days", "opened", "in the 30 before"),
            ("Closed in 30 days", "closed", "in the 30 before"),
            ("Backlog today", "backlog", "30 days ago"),
        )
    ]
    tiles += [
        Tile(
            "First response, median",
            figures.duration(row["median_first_response_seconds"]),
            "given in 30 days",
        ),
        Tile(
            "Time to close, median",
            figures.duration(row["median_time_to_first_close_seconds"]),
            "of those closed in 30 days",
        ),
        Tile("Resolved by Fin", figures.percent(row["resolution_rate"]), "where it took part"),
    ]
    sql = folded(
        "The SQL of these numbers", element("pre", element("code", workspace.LATELY.strip()))
    )
    return join(element("dl", *(tile.drawn() for tile in tiles), class_="tiles"), sql)


def _before(value: Any, when: str) -> str:
    return "" if value is None else f"{figures.number(value)} {when}"
