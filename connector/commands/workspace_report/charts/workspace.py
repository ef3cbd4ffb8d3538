"""The sections of the workspace, each of its charts, and the last thirty days in six numbers.

All values are those of the metric views (docs/metrics.md).
"""

from __future__ import annotations

from msgspec import Struct

from connector.commands.workspace_report.charts.chart import Chart
from connector.commands.workspace_report.charts.conversations import (
    BACKLOG,
    CLOSE,
    LOAD,
    OPENED,
    RESPONSE,
)
from connector.commands.workspace_report.charts.groups import (
    ADMINS,
    COMPANIES,
    FIN,
    FIN_RATES,
    TAGS,
    TEAMS,
)


class Section(Struct, frozen=True):
    """Charts that belong together, under one heading."""

    key: str
    title: str
    charts: tuple[Chart, ...]
    wide: bool = False  # each as wide as the page


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
