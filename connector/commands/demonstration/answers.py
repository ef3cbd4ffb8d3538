"""The part of the demo that asks the metric views, as docs/cookbook.md does at length."""

from __future__ import annotations

from collections.abc import Callable

from connector.commands.demonstration.tables import ask
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.session import READS

QUESTIONS = (
    (
        "The backlog, day by day",
        """
        SELECT day, opened, closed, reopened, backlog
        FROM conversations_by_day
        ORDER BY day DESC
        LIMIT 7""",
    ),
    (
        "Teams side by side",
        """
        SELECT name AS team, conversations, open,
               round(median_first_response_seconds / 3600.0, 1) AS "hours to first response",
               round(rating_average, 1) AS rating, ai_resolved AS "by the AI agent"
        FROM team_metrics
        ORDER BY conversations DESC, team_id""",
    ),
    (
        "What the AI agent did, month by month",
        """
        SELECT month, conversations, involved, resolved, escalated,
               round(100 * resolution_rate) AS "% resolved"
        FROM ai_agent_metrics
        ORDER BY month""",
    ),
)


def show(url: str, say: Callable[[str], None]) -> None:
    """Ask, and print questions and answers."""
    database = Database(url, "intercom")
    with database.transaction(READS) as conn:
        execute(conn, "SET LOCAL search_path = intercom")
        ask(conn, QUESTIONS, say)
    database.close()
