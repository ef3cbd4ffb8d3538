"""The vocabulary of the charts' encodings, and how they all look.

Colours are the page's own custom properties, so that light, dark and paper are the style sheet's
business alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from connector.commands.workspace_report.charts.chart import Spec

INK, QUIET, LINE = "var(--ink)", "var(--quiet)", "var(--line)"
SERIES = ["var(--c1)", "var(--c2)", "var(--c3)", "var(--c4)"]
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Noto Sans', sans-serif"
TOLD = {"field": "told", "type": "nominal"}

_AXIS = {
    "labelColor": QUIET,
    "titleColor": QUIET,
    "gridColor": LINE,
    "domainColor": LINE,
    "tickColor": LINE,
    "labelFont": FONT,
    "titleFont": FONT,
    "labelFontSize": 11,
    "titleFontSize": 11,
    "titleFontWeight": "normal",
    "labelPadding": 6,
    "ticks": False,
    "labelLimit": 150,
}
CONFIG: Spec = {
    "background": "transparent",
    "font": FONT,
    "aria": False,  # the element around is an image with a label, and its table is beside it
    "padding": {"left": 2, "right": 8, "top": 4, "bottom": 2},
    "view": {"stroke": None},
    "axis": _AXIS,
    "axisX": {"grid": False, "labelFlush": False},
    "axisY": {"domain": False},
    "legend": {
        "orient": "top",
        "direction": "horizontal",
        "title": None,
        "labelColor": INK,
        "labelFont": FONT,
        "labelFontSize": 12,
        "symbolType": "square",
        "symbolSize": 90,
        "symbolStrokeWidth": 0,
        "columnPadding": 14,
        "offset": 8,
    },
    "range": {"category": SERIES},
    "bar": {"color": SERIES[0]},
    "line": {"color": SERIES[0], "strokeWidth": 2, "strokeJoin": "round"},
    "area": {"color": SERIES[0]},
    "rect": {"color": SERIES[0]},
    "rule": {"color": QUIET},
    "point": {"color": SERIES[0], "filled": True, "size": 22},
}
DURATION = (
    "datum.value == 0 ? '0' : datum.value < 60 ? datum.value + ' s' :"
    " datum.value < 3600 ? datum.value / 60 + ' min' :"
    " datum.value < 86400 ? datum.value / 3600 + ' h' : format(datum.value / 86400, ',') + ' d'"
)


def chart(height: Any, **parts: Any) -> Spec:
    """As wide as its place is."""
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "width": "container",
        "height": height,
        **parts,
    }


def time(field: str, unit: str, *, band: bool = False) -> Spec:
    """Along the time: its dates come as midnights UTC, and stay there."""
    count = {"expr": "width < 420 ? 4 : 8"}
    axis: Spec = {"tickCount": count, "format": "%-d %b %Y", "title": None, "labelSeparation": 12}
    found: Spec = {"field": field, "type": "temporal", "scale": {"type": "utc"}, "axis": axis}
    if band:
        found |= {"timeUnit": unit, "bandPosition": 0.5}
    if unit == "utcyearmonth":
        axis["format"] = "%b %Y"
    return found


def counted(field: str) -> Spec:
    """How many, from 0, marked at whole numbers."""
    axis = {"title": None, "tickCount": 4, "tickMinStep": 1, "format": ",.0f"}
    scale = {"domainMin": 0}
    return {"field": field, "type": "quantitative", "axis": axis, "scale": scale}


def lasting(field: str, of: Sequence[str]) -> Spec:
    """How long, upwards from 0; ``of`` are the columns that share the axis."""
    axis = {"title": None, "labelExpr": DURATION, "of": list(of)}
    return {"field": field, "type": "quantitative", "axis": axis, "scale": {"domainMin": 0}}


def share(field: str, **scale: Any) -> Spec:
    """A rate between 0 and 1 as per cent."""
    axis = {"title": None, "format": ".0%", "tickCount": 4}
    return {"field": field, "type": "quantitative", "axis": axis, "scale": scale}


def named() -> Spec:
    """The names, in the order in which they come."""
    axis = {"title": None, "labelLimit": {"expr": "width < 300 ? 110 : 190"}, "domain": False}
    return {"field": "label", "type": "nominal", "sort": None, "axis": axis}


def fold(columns: dict[str, str]) -> list[Spec]:
    """Several columns as one of ``value``, told apart by ``series``: titles by the columns."""
    names = list(columns)
    titles = " : ".join(f"datum.key == '{name}' ? '{columns[name]}'" for name in names)
    order = " : ".join(f"datum.key == '{name}' ? {place}" for place, name in enumerate(names))
    return [
        {"fold": names, "as": ["key", "value"]},
        {"calculate": f"{titles} : ''", "as": "series"},
        {"calculate": f"{order} : 0", "as": "place"},
    ]


def series(columns: dict[str, str], colours: Sequence[int] = (0, 1, 2, 3)) -> Spec:
    """The colour of each of the folded columns."""
    shades = [SERIES[colours[place]] for place in range(len(columns))]
    scale = {"domain": list(columns.values()), "range": shades}
    room = 105 * len(columns) - 70  # that they need side by side
    legend = {"columns": {"expr": f"width < {room} ? 2 : {len(columns)}"}}
    return {"field": "series", "type": "nominal", "scale": scale, "sort": None, "legend": legend}


def lines(columns: dict[str, str], colours: Sequence[int] = (0, 1, 2, 3)) -> Spec:
    """The same for lines."""
    return series(columns, colours) | {"legend": {"symbolType": "stroke", "symbolStrokeWidth": 3}}


def stacked(columns: dict[str, str], colours: Sequence[int] = (0, 1, 2, 3)) -> Spec:
    """Bars side on side: their colours and their order."""
    order = {"field": "place", "type": "quantitative"}
    return {"color": series(columns, colours), "order": order, "tooltip": TOLD}
