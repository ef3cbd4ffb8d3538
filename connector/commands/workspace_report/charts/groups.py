"""Charts of teams and admins, of the AI agent, of tags and companies."""

from __future__ import annotations

from connector.commands.workspace_report.charts import marks
from connector.commands.workspace_report.charts.chart import (
    MONTH,
    NAME,
    RATE,
    RATING,
    SECONDS,
    Chart,
    Column,
    Spec,
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
