"""The charts of the workspace: conversations, response times, load, people, Fin, what it is about.

All values are those of the metric views (docs/metrics.md).
"""

from __future__ import annotations

from dataclasses import dataclass

from connector.commands.workspace_report.charts import marks
from connector.commands.workspace_report.charts.chart import (
    CLOCK,
    DAY,
    MONTH,
    NAME,
    RATE,
    RATING,
    SECONDS,
    WEEK,
    WEEKDAY,
    Chart,
    Column,
    Spec,
)


@dataclass(frozen=True)
class Section:
    """Charts that belong together, under one heading."""

    key: str
    title: str
    charts: tuple[Chart, ...]
    wide: bool = False  # each as wide as the page


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
WHERE day >= :since
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
WHERE day >= :since
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

# -- who --------------------------------------------------------------------------------------

_STATES = {"open": "Open", "snoozed": "Snoozed", "closed": "Closed"}
_SHOWN = 12
_MONTHS = "Counted by whole months, that of the first day included."
_MEASURED = (
    Column("conversations", "Conversations"),
    Column("open", "Open"),
    Column("snoozed", "Snoozed"),
    Column("closed", "Closed"),
    Column("median_first_response_seconds", "First response, median", SECONDS),
    Column("rating_average", "Rating", RATING),
)


def _by_state() -> Spec:
    return marks.chart(
        {"step": 24},
        transform=marks.fold(_STATES),
        mark={"type": "bar", "cornerRadius": 1, "height": {"band": 0.72}},
        encoding={
            "y": marks.named(),
            "x": marks.counted("value"),
            **marks.stacked(_STATES, (0, 2, 3)),
        },
    )


def _grouped(word: str, title: str, counts: str, table: str, join: str, name: str) -> Chart:
    """Conversations by teams, companies or tags: the twelve with most."""
    view = f"{word.lower()}_metrics"
    return Chart(
        table,
        title,
        f"{counts}, by their state now; the {_SHOWN} with most.",
        f"""
SELECT {name} AS name, v.conversations, v.open,
       v.conversations - v.open - v.closed AS snoozed, v.closed,
       v.median_first_response_seconds, v.rating_average
FROM {view} v{join}
WHERE v.conversations > 0
ORDER BY v.conversations DESC, v.{word.lower()}_id
LIMIT {_SHOWN}""",
        (Column("name", word, NAME), *_MEASURED),
        _by_state(),
        names=word,
        sql_since=f"""
SELECT {name} AS name, sum(v.conversations) AS conversations, sum(v.open) AS open,
       sum(v.conversations - v.open - v.closed) AS snoozed, sum(v.closed) AS closed
FROM {view}_by_month v{join}
WHERE v.month >= date_trunc('month', :since)
GROUP BY v.{word.lower()}_id, {name}
ORDER BY 2 DESC, v.{word.lower()}_id
LIMIT {_SHOWN}""",
        counts_since=_MONTHS,
    )


TEAMS = _grouped("Team", "Teams", "Conversations assigned to each team", "teams", "", "v.name")
_DONE = {"replies": "Replies", "closes": "Closes"}
ADMINS = Chart(
    "admins",
    "Admins",
    f"Replies that each admin wrote, and conversations closed; the {_SHOWN} with most replies.",
    f"""
SELECT name, replies, closes, conversations_replied, assigned_open,
       median_first_response_seconds, median_response_seconds, rating_average
FROM admin_metrics
WHERE replies > 0 OR closes > 0
ORDER BY replies DESC, admin_id
LIMIT {_SHOWN}""",
    (
        Column("name", "Admin", NAME),
        Column("replies", "Replies"),
        Column("closes", "Closes"),
        Column("conversations_replied", "Conversations replied to"),
        Column("assigned_open", "Assigned and open"),
        Column("median_first_response_seconds", "First response, median", SECONDS),
        Column("median_response_seconds", "All responses, median", SECONDS),
        Column("rating_average", "Rating", RATING),
    ),
    marks.chart(
        {"step": 28},
        transform=marks.fold(_DONE),
        mark={"type": "bar", "cornerRadius": 1},
        encoding={
            "y": marks.named(),
            "yOffset": {"field": "place", "type": "nominal", "scale": {"paddingOuter": 0.2}},
            "x": marks.counted("value"),
            "color": marks.series(_DONE),
            "tooltip": marks.TOLD,
        },
    ),
    names="Admin",
    sql_since=f"""
SELECT name, sum(replies) AS replies, sum(closes) AS closes
FROM admin_metrics_by_month
WHERE month >= date_trunc('month', :since)
GROUP BY admin_id, name
HAVING sum(replies) > 0 OR sum(closes) > 0
ORDER BY replies DESC, admin_id
LIMIT {_SHOWN}""",
    counts_since=_MONTHS,
)

# -- the AI agent -----------------------------------------------------------------------------

_ENDED = {
    "resolved": "Resolved",
    "escalated": "Handed over",
    "unresolved": "Unresolved",
    "without": "Without Fin",
}
_RATES = {"involvement_rate": "Involvement", "resolution_rate": "Resolution"}
_AI_SINCE = "\nWHERE month >= date_trunc('month', :since)"
FIN = Chart(
    "fin",
    "What became of conversations",
    "Conversations that began in each month: resolved by the AI agent, handed over by it,"
    " unresolved, or without it.",
    f"""
SELECT month, conversations, involved, resolved, escalated,
       involved - resolved - escalated AS unresolved, conversations - involved AS without
FROM ai_agent_metrics{_AI_SINCE}
ORDER BY month""",
    (
        Column("month", "Month", MONTH),
        Column("conversations", "Conversations"),
        Column("involved", "With Fin"),
        Column("resolved", "Resolved by Fin"),
        Column("escalated", "Handed over"),
        Column("unresolved", "Unresolved"),
        Column("without", "Without Fin"),
    ),
    marks.chart(
        210,
        transform=marks.fold(_ENDED),
        mark={"type": "bar", "width": {"band": 0.8}},
        encoding={
            "x": marks.time("month", "utcyearmonth", band=True),
            "y": marks.counted("value"),
            **marks.stacked(_ENDED, (1, 2, 0, 3)),
        },
    ),
    newest_first=True,
)
FIN_RATES = Chart(
    "fin_rates",
    "Involvement and resolution",
    "Share of each month's conversations in which the AI agent took part, and of those the share"
    " that it resolved.",
    f"""
SELECT month, conversations, involvement_rate, resolution_rate, ai_rating_average
FROM ai_agent_metrics{_AI_SINCE}
ORDER BY month""",
    (
        Column("month", "Month", MONTH),
        Column("conversations", "Conversations"),
        Column("involvement_rate", "Involvement", RATE),
        Column("resolution_rate", "Resolution", RATE),
        Column("ai_rating_average", "Rating of Fin", RATING),
    ),
    marks.chart(
        210,
        transform=marks.fold(_RATES),
        mark={"type": "line", "point": {"size": 18}},
        encoding={
            "x": marks.time("month", "utcyearmonth"),
            "y": marks.share("value", domain=[0, 1]),
            "color": marks.lines(_RATES, (0, 1)),
            "tooltip": marks.TOLD,
        },
    ),
    newest_first=True,
)

# -- what about -------------------------------------------------------------------------------

TAGS = _grouped(
    "Tag",
    "Tags",
    "Conversations that bear each tag",
    "tags",
    " JOIN tags o ON o.id = v.tag_id",
    "o.name",
)
COMPANIES = _grouped(
    "Company",
    "Companies",
    "Conversations in which contacts of each company take part",
    "companies",
    " JOIN companies o ON o.id = v.company_id",
    "o.name",
)

SECTIONS = (
    Section("days", "Conversations", (OPENED, BACKLOG), wide=True),
    Section("times", "How long it takes, by week", (RESPONSE, CLOSE)),
    Section("hours", "When contacts write", (LOAD,), wide=True),
    Section("people", "Teams and admins", (TEAMS, ADMINS)),
    Section("agent", "Fin, the AI agent, by month", (FIN, FIN_RATES)),
    Section("topics", "Tags and companies", (TAGS, COMPANIES)),
)

LATELY = """
SELECT sum(d.opened) FILTER (WHERE d.age < 30) AS opened,
       sum(d.opened) FILTER (WHERE d.age >= 30) AS opened_before,
       sum(d.closed) FILTER (WHERE d.age < 30) AS closed,
       sum(d.closed) FILTER (WHERE d.age >= 30) AS closed_before,
       max(d.backlog) FILTER (WHERE d.age = 0) AS backlog,
       max(d.backlog) FILTER (WHERE d.age = 30) AS backlog_before,
       (SELECT floor(percentile_cont(0.5) WITHIN GROUP (ORDER BY c.first_response_seconds))::bigint
        FROM conversation_metrics c
        WHERE c.first_contact_message_at + c.first_response_seconds * interval '1 second'
              > now() - interval '30 days') AS median_first_response_seconds,
       (SELECT count(*) FILTER (WHERE c.ai_outcome = 'resolved')::numeric
               / nullif(count(c.ai_outcome), 0)
        FROM conversation_metrics c
        WHERE c.created_at > now() - interval '30 days') AS resolution_rate,
       (SELECT floor(percentile_cont(0.5) WITHIN GROUP (ORDER BY c.time_to_first_close_seconds))
        FROM conversation_metrics c
        WHERE c.first_closed_at > now() - interval '30 days') AS median_time_to_first_close_seconds
FROM (
    SELECT *, max(day) OVER () - day AS age FROM conversations_by_day
) d
WHERE d.age < 60"""
