"""What comes together by day, and what the AI agent did by month."""

from __future__ import annotations

from connector.warehouse.metrics.words import median
from connector.warehouse.sql.names import Names
from connector.warehouse.views.view import View, over

_DAYS = {
    "day": "The day, in the timezone of the workspace",
    "opened": "Number of conversations that began",
    "closed": "Number of conversations that were closed for the first time",
    "reopened": "Number of times that conversations were opened again",
    "backlog": "Number of conversations that were not closed when the day ended",
    "median_first_response_seconds": "Median of the seconds to first responses given that day",
    "median_time_to_first_close_seconds": "Median of the seconds to the first close, of those"
    " that closed counts",
}
_AI = {
    "month": "First day of the month",
    "conversations": "Number of conversations that began",
    "involved": "In how many of them the AI agent took part",
    "involvement_rate": "involved / conversations; null without any",
    "resolved": "How many of them the AI agent resolved",
    "resolution_rate": "resolved / involved; null where it took part in none",
    "escalated": "How many of them the AI agent handed over",
    "rating_average": "Average of the contacts' ratings of those in which it took part",
    "ai_rating_average": "Average of the contacts' ratings of the AI agent",
}


def _today(names: Names) -> str:
    return f"(now() AT TIME ZONE (SELECT timezone FROM {names('sync_metrics')} LIMIT 1))"


def conversations_by_day(names: Names) -> View:
    """Every day from the first conversation to today."""
    table = names("_conversation_days")
    query = f"""
        SELECT s.day::date AS day, coalesce(d.opened, 0) AS opened, coalesce(d.closed, 0) AS closed,
               coalesce(d.reopened, 0) AS reopened,
               coalesce(sum(d.change) OVER (ORDER BY s.day), 0)::bigint AS backlog,
               d.median_first_response_seconds, d.median_time_to_first_close_seconds
        FROM generate_series(
                (SELECT min(t.day) FROM {table} t WHERE t.opened > 0)::timestamp,
                {_today(names)}, interval '1 day') s (day)
        LEFT JOIN (
            SELECT t.day, sum(t.opened) AS opened, sum(t.closed) AS closed,
                   sum(t.reopened) AS reopened, sum(t.backlog_change) AS change,
                   {median("t.first_response_seconds")} AS median_first_response_seconds,
                   {median("t.time_to_first_close_seconds")} AS median_time_to_first_close_seconds
            FROM {table} t GROUP BY t.day
        ) d ON d.day = s.day::date"""
    source, columns = over(query, "m", _DAYS)
    return View(
        "conversations_by_day",
        "A row for every day from the first conversation to today: opened, closed, backlog.",
        source,
        columns,
        tells_of=("conversations", "conversation_parts"),
    )


def ai_agent_metrics(names: Names) -> View:
    """Every month from the first conversation to now."""
    table = names("_conversation_figures")
    query = f"""
        SELECT s.month::date AS month, coalesce(g.conversations, 0) AS conversations,
               coalesce(g.involved, 0) AS involved,
               g.involved::numeric / nullif(g.conversations, 0) AS involvement_rate,
               coalesce(g.resolved, 0) AS resolved,
               g.resolved::numeric / nullif(g.involved, 0) AS resolution_rate,
               coalesce(g.escalated, 0) AS escalated, g.rating_average, g.ai_rating_average
        FROM generate_series(
                (SELECT min(t.month) FROM {table} t)::timestamp, {_today(names)}, interval '1 month'
             ) s (month)
        LEFT JOIN (
            SELECT t.month, count(*) AS conversations,
                   count(*) FILTER (WHERE t.ai_involved) AS involved,
                   count(*) FILTER (WHERE t.ai_outcome = 'resolved') AS resolved,
                   count(*) FILTER (WHERE t.ai_outcome = 'escalated') AS escalated,
                   avg(t.rating) FILTER (WHERE t.ai_involved) AS rating_average,
                   avg(t.ai_rating) FILTER (WHERE t.ai_involved) AS ai_rating_average
            FROM {table} t GROUP BY t.month
        ) g ON g.month = s.month::date"""
    source, columns = over(query, "m", _AI)
    return View(
        "ai_agent_metrics",
        "A row for every month from the first conversation to now: what the AI agent did.",
        source,
        columns,
        tells_of=("conversations",),
    )
