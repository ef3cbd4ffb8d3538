"""The tables of stored figures: what metric views tell of each conversation, kept beside it.

Their names begin with ``_``: analysts select from the views (``warehouse.views.metrics``). They
hold ids, times and numbers, no text that anybody wrote. Knows no rows.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from connector.warehouse.sql.types import INSTANT, plain

_meta = sa.MetaData()
_OF = "Row of conversations that it is about"


def _count(name: str, sentence: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=False, comment=sentence)


def _key(name: str, kind: sa.types.TypeEngine[Any], sentence: str) -> sa.Column[Any]:
    return sa.Column(name, kind, primary_key=True, comment=sentence)


def _flag(name: str, sentence: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False, comment=sentence)


def _seconds(name: str, sentence: str) -> sa.Column[Any]:
    return plain(name, sa.BigInteger(), sentence)


CONVERSATIONS = sa.Table(
    "_conversation_figures",
    _meta,
    _key("conversation_id", sa.Text(), _OF),
    plain("created_at", INSTANT, "When the conversation began"),
    plain("month", sa.Date(), "First day of the month in which it began"),
    plain("state", sa.Text(), "State of the conversation"),
    plain("admin_assignee_id", sa.Text(), "Admin to whom it is assigned"),
    plain("team_assignee_id", sa.Text(), "Team to which it is assigned"),
    plain("started_by", sa.Text(), "Side of the opening message"),
    _count("parts", "Number of living parts"),
    _count("contact_replies", "Number of replies by contacts"),
    _count("admin_replies", "Number of replies by admins"),
    _count("ai_replies", "Number of replies by the AI agent"),
    _count("bot_replies", "Number of replies by bots"),
    _count("notes", "Number of notes"),
    _count("assignments", "Number of assignments"),
    _count("reopens", "Number of reopens"),
    _count("closes", "Number of closes"),
    _count("snoozes", "Number of snoozes"),
    plain("first_contact_message_at", INSTANT, "When a contact first wrote"),
    plain("last_contact_reply_at", INSTANT, "When a contact last replied"),
    plain("first_admin_reply_at", INSTANT, "When an admin first replied"),
    plain("last_admin_reply_at", INSTANT, "When an admin last replied"),
    plain("first_ai_reply_at", INSTANT, "When the AI agent first replied"),
    _seconds("first_response_seconds", "Seconds to the first response by an admin"),
    _seconds("first_ai_response_seconds", "Seconds to the first response by the AI agent"),
    _seconds("median_response_seconds", "Median of the seconds to each response"),
    _count("responses", "Number of responses by admins"),
    plain("first_assigned_at", INSTANT, "When it was first assigned"),
    plain("first_closed_at", INSTANT, "When it was first closed"),
    plain("last_closed_at", INSTANT, "When it was last closed"),
    _seconds("time_to_first_close_seconds", "Seconds until it was first closed"),
    _seconds("time_to_last_close_seconds", "Seconds until it was last closed"),
    plain("first_admin_id", sa.Text(), "Author of the first admin reply"),
    plain("last_admin_id", sa.Text(), "Author of the last admin reply"),
    plain("first_closed_by_admin_id", sa.Text(), "Author of the first close by an admin"),
    plain("last_closed_by_admin_id", sa.Text(), "Author of the last close by an admin"),
    plain("first_team_id", sa.Text(), "Team of the first assignment to one"),
    plain("last_team_id", sa.Text(), "Team of the last assignment to one"),
    plain("rating", sa.BigInteger(), "Rating by the contact"),
    plain("rated_at", INSTANT, "When the contact rated"),
    plain("rated_admin_id", sa.Text(), "Admin who was rated"),
    plain("ai_rating", sa.BigInteger(), "Rating of the AI agent"),
    sa.Column(
        "ai_involved", sa.Boolean(), nullable=False, comment="Whether the AI agent took part"
    ),
    plain("ai_outcome", sa.Text(), "How the AI agent's part ended"),
    sa.Index("_conversation_figures_created_at_idx", "created_at"),
    sa.Index("_conversation_figures_month_idx", "month"),
    comment="What conversation_metrics shows of each living conversation and computes from its"
    " parts; kept up to date by whatever writes them. Select from conversation_metrics.",
)

ADMINS = sa.Table(
    "_conversation_admins",
    _meta,
    _key("conversation_id", sa.Text(), _OF),
    _key("admin_id", sa.Text(), "Admin who did it"),
    _key("month", sa.Date(), "First day of the month; -infinity where no time is known"),
    _count("replies", "Replies by the admin in that month"),
    _flag("replied_first", "Whether the admin's first reply to the conversation is among them"),
    _count("closes", "Closes by the admin in that month"),
    _flag("closed_last", "Whether the last close by an admin is among them"),
    _seconds("first_response_seconds", "Seconds to the first response, if it is among them"),
    sa.Column(
        "response_seconds",
        ARRAY(sa.BigInteger()),
        nullable=False,
        comment="Seconds of each response of the admin in that month",
    ),
    plain("rating", sa.BigInteger(), "Rating of the admin in that month"),
    sa.Index("_conversation_admins_month_idx", "month"),
    comment="What each admin did in each conversation, by month. Select from admin_metrics and"
    " admin_metrics_by_month.",
)

DAYS = sa.Table(
    "_conversation_days",
    _meta,
    _key("conversation_id", sa.Text(), _OF),
    _key("day", sa.Date(), "The day, in the timezone of the workspace"),
    _count("opened", "1 on the day on which it began"),
    _count("closed", "1 on the day on which it was first closed"),
    _count("reopened", "Reopens of the day"),
    _count("backlog_change", "1 if it became open on the day and stayed so, -1 if closed, else 0"),
    _seconds("first_response_seconds", "Seconds to the first response, if it came that day"),
    _seconds("time_to_first_close_seconds", "Seconds to the first close, if it came that day"),
    sa.Index("_conversation_days_day_idx", "day"),
    comment="What happened to each conversation on which day. Select from conversations_by_day.",
)

TABLES = (CONVERSATIONS, ADMINS, DAYS)
NAMES = tuple(table.name for table in TABLES)
