"""Charts of conversations: by day, how long they take, and when contacts write."""

from __future__ import annotations

from connector.commands.workspace_report.charts import marks
from connector.commands.workspace_report.charts.chart import (
    CLOCK,
    DAY,
    SECONDS,
    WEEK,
    WEEKDAY,
    Chart,
    Column,
    Spec,
)

# -- day by day ------------------------------------------------------------------------------

_FLOW = {"opened": "Opened", "closed": "Closed"}
_SMOOTH: Spec = {
    "window": [{"op": "mean", "field": "value", "as": "mean"}],
    "frame": [-6, 0],
    "groupby": ["series"],
    "sort": [{"field": "day"}],
}
OPENED = Chart(
    "opened",
    "Opened and closed",
    "Conversations that began on each day (shaded), and those that were closed on it for the first"
    " time. The lines are the means of the seven days up to each.",
    """
SELECT day, opened, closed, reopened
FROM conversations_by_day
WHERE day > CURRENT_DATE - 3660
  AND day >= :since
ORDER BY day""",
    (
        Column("day", "Day", DAY),
        Column("opened", "Opened"),
        Column("closed", "Closed for the first time"),
        Column("reopened", "Reopened"),
    ),
    marks.chart(
        220,
        transform=[*marks.fold(_FLOW), _SMOOTH],
        layer=[
            {
                "transform": [{"filter": "datum.key == 'opened'"}],
                "mark": {"type": "area", "fillOpacity": 0.22, "interpolate": "step-after"},
                "encoding": {
                    "x": marks.time("day", "utcyearmonthdate"),
                    "y": marks.counted("value"),
                    "tooltip": marks.TOLD,
                },
            },
            {
                "mark": {"type": "line"},
                "encoding": {
                    "x": marks.time("day", "utcyearmonthdate"),
                    "y": marks.counted("mean"),
                    "color": marks.lines(_FLOW),
                },
            },
        ],
    ),
    newest_first=True,
)
BACKLOG = Chart(
    "backlog",
    "Backlog",
    "Conversations that had begun and were not closed when each day ended, snoozed ones included.",
    """
SELECT day, backlog
FROM conversations_by_day
WHERE day > CURRENT_DATE - 3660
  AND day >= :since
ORDER BY day""",
    (Column("day", "Day", DAY), Column("backlog", "Backlog")),
    marks.chart(
        150,
        mark={"type": "area", "line": True, "fillOpacity": 0.15, "interpolate": "step-after"},
        encoding={
            "x": marks.time("day", "utcyearmonthdate"),
            "y": marks.counted("backlog"),
            "tooltip": marks.TOLD,
        },
    ),
    newest_first=True,
)

# -- how long ---------------------------------------------------------------------------------

_FELT = {"p90_seconds": "90th percentile", "median_seconds": "Median"}


def _by_week(key: str, title: str, counts: str, seconds: str, at: str, what: str) -> Chart:
    return Chart(
        key,
        title,
        counts,
        f"""
SELECT date_trunc('week', x.at)::date AS week, count(*) AS {what},
       floor(percentile_cont(0.5) WITHIN GROUP (ORDER BY x.seconds))::bigint AS median_seconds,
       floor(percentile_cont(0.9) WITHIN GROUP (ORDER BY x.seconds))::bigint AS p90_seconds
FROM (
    SELECT c.{seconds} AS seconds,
           ({at}) AT TIME ZONE m.timezone AS at
    FROM conversation_metrics c CROSS JOIN sync_metrics m
    WHERE c.{seconds} IS NOT NULL
) x
WHERE x.at >= :since
GROUP BY 1
ORDER BY 1""",
        (
            Column("week", "Week", WEEK),
            Column(what, what.capitalize()),
            Column("median_seconds", "Median", SECONDS),
            Column("p90_seconds", "90th percentile", SECONDS),
        ),
        marks.chart(
            210,
            transform=marks.fold(_FELT),
            mark={"type": "line", "point": {"size": 18}},
            encoding={
                "x": marks.time("week", "utcyearmonthdate"),
                "y": marks.lasting("value", tuple(_FELT)),
                "color": marks.lines(_FELT, (2, 0)),
                "tooltip": marks.TOLD,
            },
        ),
        newest_first=True,
    )


RESPONSE = _by_week(
    "response",
    "First response",
    "Time from a contact's first message to the first reply by an admin after it, of the"
    " conversations that had it in each week.",
    "first_response_seconds",
    "c.first_contact_message_at + c.first_response_seconds * interval '1 second'",
    "responses",
)
CLOSE = _by_week(
    "close",
    "Time to close",
    "Time from the beginning of a conversation to its first close, of those that were first closed"
    " in each week.",
    "time_to_first_close_seconds",
    "c.first_closed_at",
    "closes",
)

# -- when -------------------------------------------------------------------------------------

_CELL: Spec = {"type": "rect", "cornerRadius": 3, "stroke": "var(--card)", "strokeWidth": 2}
_HOURS: Spec = {
    "field": "hour",
    "type": "ordinal",
    "scale": {"domain": list(range(24))},
    "axis": {
        "title": None,
        "domain": False,
        "labelAngle": 0,
        "values": list(range(0, 24, 3)),
        "labelExpr": "(datum.value < 10 ? '0' : '') + datum.value + ':00'",
        "labelOverlap": True,
    },
}
_WEEKDAYS: Spec = {
    "field": "weekday",
    "type": "ordinal",
    "scale": {"domain": list(range(1, 8))},
    "axis": {
        "title": None,
        "labelExpr": "['', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'][datum.value]",
    },
}
LOAD = Chart(
    "load",
    "Load by weekday and hour",
    "Conversations by the hour in which a contact first wrote in them: the fuller the colour, the"
    " more.",
    """
SELECT extract(isodow FROM x.at)::int AS weekday, extract(hour FROM x.at)::int AS hour,
       count(*) AS conversations
FROM (
    SELECT c.first_contact_message_at AT TIME ZONE m.timezone AS at
    FROM conversation_metrics c CROSS JOIN sync_metrics m
    WHERE c.first_contact_message_at IS NOT NULL
) x
WHERE x.at >= :since
GROUP BY 1, 2
ORDER BY 1, 2""",
    (
        Column("weekday", "Weekday", WEEKDAY),
        Column("hour", "Hour", CLOCK),
        Column("conversations", "Conversations"),
    ),
    marks.chart(
        7 * 26,
        encoding={"x": _HOURS, "y": _WEEKDAYS},
        layer=[
            {  # hours without any
                "data": {"sequence": {"start": 0, "stop": 168, "as": "cell"}},
                "transform": [
                    {"calculate": "floor(datum.cell / 24) + 1", "as": "weekday"},
                    {"calculate": "datum.cell % 24", "as": "hour"},
                ],
                "mark": _CELL | {"color": "var(--page)"},
            },
            {
                "mark": _CELL,
                "encoding": {
                    "fillOpacity": {
                        "field": "conversations",
                        "type": "quantitative",
                        "scale": {"domainMin": 0, "range": [0.08, 1]},
                        "legend": None,
                    },
                    "tooltip": marks.TOLD,
                },
            },
        ],
    ),
)
