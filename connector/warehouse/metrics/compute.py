"""The SQL that computes the stored figures of some conversations; executes nothing.

Aliases are the same throughout: ``c`` is a conversation, ``s`` what was said in it (its parts, in
their order ``n``), ``t`` a turn: what contacts said since the admin reply before, and the next one.
The opening message comes before every part and is no reply. Inside, a conversation is its place
``k`` among the keys, for numbers are sorted faster than texts.
"""

from __future__ import annotations

from functools import cache
from hashlib import md5

import sqlalchemy as sa

from connector.resources import TABLE_BY_NAME
from connector.warehouse.metrics import words
from connector.warehouse.metrics.words import median, seconds
from connector.warehouse.schema import figures
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.rows import apart, living
from connector.warehouse.state.tables import EXCLUSIONS, METRICS

TABLE = TABLE_BY_NAME["conversations"]
_WITHOUT_TIME = "'-infinity'::date"


@cache
def remove(names: Names) -> str:
    """Remove the figures of some conversations. Parameter: keys."""
    deletes = [
        f"DELETE FROM {names(table.name)} WHERE conversation_id = ANY(%(keys)s::text[])"
        for table in figures.TABLES
    ]
    removed = [f"r{n} AS ({delete})" for n, delete in enumerate(deletes)]
    return f"WITH {', '.join(removed)} SELECT"


def definition() -> str:
    """What the figures are computed by, in short."""
    return md5(add(Names("")).encode()).hexdigest()


@cache
def add(names: Names) -> str:
    """Compute and store the figures of those that live, of some conversations that have none.

    Parameter: keys.
    """
    return f"""
        WITH zone AS MATERIALIZED (
            SELECT timezone AS name FROM {names(METRICS.name)} LIMIT 1
        ), texts AS MATERIALIZED (
            SELECT EXISTS (SELECT FROM {names(EXCLUSIONS.name)}
                           WHERE name = 'conversation_parts.body' AND manner = 'null') AS lack
        ), chosen AS MATERIALIZED (
            SELECT k.k, c.id, c.created_at, c.state, c.admin_assignee_id, c.team_assignee_id,
                   CASE WHEN c.source_author_type IS NOT NULL
                        THEN {words.side("c.source_author")} END AS started_by,
                   c.rating_rating AS rating,
                   CASE WHEN c.rating_rating IS NOT NULL
                        THEN coalesce(c.rating_updated_at, c.rating_created_at) END AS rated_at,
                   c.rating_teammate_id AS rated_admin_id, c.ai_agent_rating AS ai_rating,
                   coalesce(c.ai_agent_participated, false) AS ai_involved,
                   {words.ai_outcome("c")} AS ai_outcome
            FROM unnest(%(keys)s::text[]) WITH ORDINALITY k (id, k)
            CROSS JOIN LATERAL (
                SELECT * FROM {names(TABLE.name)} c WHERE c.id = k.id OFFSET 0) c
            WHERE {living("c")} AND {apart(names, TABLE, "c")}
        ), said AS MATERIALIZED ({_said(names)}
        ), turns AS MATERIALIZED ({_turns()}
        ), figures AS MATERIALIZED ({_figures()}
        ), conversations AS (
            {_insert(names, figures.CONVERSATIONS, "figures")}
        ), admins AS (
            {_insert(names, figures.ADMINS, f"({_admins()}) x")}
        )
        {_insert(names, figures.DAYS, f"({_days()}) x")}"""


def _insert(names: Names, table: sa.Table, query: str) -> str:
    columns = ", ".join(column.name for column in table.columns)
    return f"INSERT INTO {names(table.name)} ({columns}) SELECT {columns} FROM {query}"


def _said(names: Names) -> str:
    """The parts in their order, with what each is; ``turn``: how many admin replies came before."""
    return f"""
            SELECT s.*, count(*) FILTER (WHERE by_admin) OVER (
                       PARTITION BY k ORDER BY n
                       ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS turn
            FROM (
                SELECT k, at, n, author_id, side, assigned_team_id,
                       is_note, is_assignment, is_reopen, is_close, is_snooze,
                       is_reply AND side = 'contact' AS by_contact,
                       is_reply AND side = 'admin' AS by_admin,
                       is_reply AND side = 'ai' AS by_ai,
                       is_reply AND side = 'bot' AS by_bot
                FROM (
                    SELECT c.k, p.created_at AS at, p.author_id,
                           row_number() OVER (
                               PARTITION BY c.k ORDER BY {words.order("p")}) AS n,
                           {words.side("p.author")} AS side,
                           {words.reply("p", "(SELECT lack FROM texts)")} AS is_reply,
                           {words.note("p")} AS is_note,
                           {words.assignment("p")} AS is_assignment,
                           {words.reopen("p")} AS is_reopen,
                           {words.close("p")} AS is_close,
                           {words.snooze("p")} AS is_snooze,
                           CASE WHEN p.assigned_to_type = 'team' AND {words.assignment("p")}
                                THEN p.assigned_to_id END AS assigned_team_id
                    FROM chosen c CROSS JOIN LATERAL (
                        SELECT * FROM {names("conversation_parts")} p
                        WHERE p.conversation_id = c.id AND {living("p")} OFFSET 0) p
                ) s
            ) s"""


def _turns() -> str:
    """Each turn with the seconds to its response, if it has one; ``is_first`` of those asked."""
    return f"""
            SELECT t.*, {seconds("asked_at", "answered_at")} AS seconds
            FROM (
                SELECT t.*, asked AND turn = min(turn) FILTER (WHERE asked)
                                             OVER (PARTITION BY k) AS is_first
                FROM (
                    SELECT s.k, s.turn,
                           bool_or(by_contact) OR (turn = 0 AND started_by = 'contact') AS asked,
                           CASE WHEN turn = 0 AND started_by = 'contact' THEN c.created_at
                                ELSE min(at) FILTER (WHERE by_contact) END AS asked_at,
                           max(at) FILTER (WHERE by_admin) AS answered_at,
                           max(author_id) FILTER (WHERE by_admin) AS admin_id
                    FROM said s JOIN chosen c ON c.k = s.k
                    WHERE by_contact OR by_admin
                    GROUP BY s.k, s.turn, c.started_by, c.created_at
                ) t
            ) t"""


def _figures() -> str:
    first, last = "1", "count(*)"
    team = "assigned_team_id IS NOT NULL"
    closer = "is_close AND side = 'admin'"

    def times(condition: str) -> str:
        return f"count(*) FILTER (WHERE {condition})"

    def one(column: str, condition: str, place: str) -> str:
        such = f"FILTER (WHERE {condition})"
        place = place if place == first else f"{place} {such}"
        return f"(array_agg({column} ORDER BY n) {such})[{place}]"

    numbers = ", ".join(
        f"coalesce(s.{name}, 0) AS {name}"
        for name in (
            *("parts", "contact_replies", "admin_replies", "ai_replies", "bot_replies", "notes"),
            *("assignments", "reopens", "closes", "snoozes"),
        )
    )
    return f"""
            SELECT c.k, c.id AS conversation_id, c.created_at, {_month("c.created_at")} AS month,
                   c.state, c.admin_assignee_id, c.team_assignee_id, c.started_by, {numbers},
                   CASE WHEN c.started_by = 'contact' THEN c.created_at
                        ELSE s.first_contact_reply_at END AS first_contact_message_at,
                   s.last_contact_reply_at, s.first_admin_reply_at, s.last_admin_reply_at,
                   s.first_ai_reply_at, t.first_response_seconds,
                   CASE WHEN c.started_by = 'contact'
                        THEN {seconds("c.created_at", "s.first_ai_reply_at")}
                        ELSE {seconds("s.first_contact_reply_at", "s.ai_answered_at")} END
                       AS first_ai_response_seconds,
                   t.median_response_seconds, coalesce(t.responses, 0) AS responses,
                   s.first_assigned_at, s.first_closed_at, s.last_closed_at,
                   {seconds("c.created_at", "s.first_closed_at")} AS time_to_first_close_seconds,
                   {seconds("c.created_at", "s.last_closed_at")} AS time_to_last_close_seconds,
                   s.first_admin_id, s.last_admin_id,
                   s.first_closed_by_admin_id, s.last_closed_by_admin_id,
                   s.first_team_id, s.last_team_id,
                   c.rating, c.rated_at, c.rated_admin_id, c.ai_rating, c.ai_involved, c.ai_outcome
            FROM chosen c LEFT JOIN (
                SELECT k, count(*) AS parts,
                       {times("by_contact")} AS contact_replies,
                       {times("by_admin")} AS admin_replies,
                       {times("by_ai")} AS ai_replies, {times("by_bot")} AS bot_replies,
                       {times("is_note")} AS notes, {times("is_assignment")} AS assignments,
                       {times("is_reopen")} AS reopens, {times("is_close")} AS closes,
                       {times("is_snooze")} AS snoozes,
                       min(at) FILTER (WHERE by_contact) AS first_contact_reply_at,
                       max(at) FILTER (WHERE by_contact) AS last_contact_reply_at,
                       min(at) FILTER (WHERE by_admin) AS first_admin_reply_at,
                       max(at) FILTER (WHERE by_admin) AS last_admin_reply_at,
                       min(at) FILTER (WHERE by_ai) AS first_ai_reply_at,
                       min(at) FILTER (WHERE by_ai AND n > asked_n) AS ai_answered_at,
                       min(at) FILTER (WHERE is_assignment) AS first_assigned_at,
                       min(at) FILTER (WHERE is_close) AS first_closed_at,
                       max(at) FILTER (WHERE is_close) AS last_closed_at,
                       {one("author_id", "by_admin", first)} AS first_admin_id,
                       {one("author_id", "by_admin", last)} AS last_admin_id,
                       {one("author_id", closer, first)} AS first_closed_by_admin_id,
                       {one("author_id", closer, last)} AS last_closed_by_admin_id,
                       {one("assigned_team_id", team, first)} AS first_team_id,
                       {one("assigned_team_id", team, last)} AS last_team_id
                FROM (
                    SELECT s.*, min(n) FILTER (WHERE by_contact)
                                       OVER (PARTITION BY k) AS asked_n
                    FROM said s
                ) s
                GROUP BY k
            ) s ON s.k = c.k
            LEFT JOIN (
                SELECT k, count(seconds) AS responses,
                       {median("seconds")} AS median_response_seconds,
                       min(seconds) FILTER (WHERE is_first) AS first_response_seconds
                FROM turns GROUP BY k
            ) t ON t.k = c.k"""


def _admins() -> str:
    """What each admin did, by the month in which it happened."""
    return f"""
            SELECT c.id AS conversation_id, a.*
            FROM chosen c JOIN (
                SELECT k, admin_id, month, sum(reply) AS replies,
                       bool_or(is_first_reply) AS replied_first, sum(close) AS closes,
                       bool_or(is_last_close) AS closed_last,
                       min(seconds) FILTER (WHERE is_first) AS first_response_seconds,
                       coalesce(array_agg(seconds ORDER BY seconds)
                                FILTER (WHERE seconds IS NOT NULL), '{{}}') AS response_seconds,
                       max(rating) AS rating
                FROM (
                    SELECT k, author_id AS admin_id, {_own_month("at")} AS month,
                           by_admin::int AS reply,
                           by_admin AND n = min(n) FILTER (WHERE by_admin)
                               OVER (PARTITION BY k, author_id) AS is_first_reply,
                           is_close::int AS close,
                           is_close AND n = max(n) FILTER (WHERE is_close)
                               OVER (PARTITION BY k) AS is_last_close,
                           NULL::bigint AS seconds, false AS is_first, NULL::bigint AS rating
                    FROM said WHERE side = 'admin' AND (by_admin OR is_close)
                    UNION ALL
                    SELECT k, admin_id, {_own_month("answered_at")},
                           0, false, 0, false, seconds, is_first, NULL
                    FROM turns WHERE seconds IS NOT NULL
                    UNION ALL
                    SELECT k, rated_admin_id, {_own_month("rated_at")},
                           0, false, 0, false, NULL, false, rating
                    FROM chosen WHERE rating IS NOT NULL
                ) a
                WHERE admin_id IS NOT NULL
                GROUP BY k, admin_id, month
            ) a ON a.k = c.k"""


def _days() -> str:
    """What happened to each conversation by day; a day ends as its last change of state left it."""
    return f"""
            SELECT c.id AS conversation_id, d.*
            FROM chosen c JOIN (
                SELECT k, day, sum(opened) AS opened, sum(closed) AS closed,
                       sum(reopened) AS reopened, sum(change) AS backlog_change,
                       max(responded) AS first_response_seconds,
                       max(closed_after) AS time_to_first_close_seconds
                FROM (
                    SELECT k, day, opened, 0 AS closed, 0 AS reopened,
                           is_open - coalesce(lag(is_open) OVER (PARTITION BY k ORDER BY day), 0)
                               AS change,
                           NULL::bigint AS responded, NULL::bigint AS closed_after
                    FROM (
                        SELECT k, day, max(opening) AS opened,
                               (array_agg(is_open ORDER BY n))[count(*)] AS is_open
                        FROM (
                            SELECT k, {_day("created_at")} AS day, 0 AS n, 1 AS is_open,
                                   1 AS opening
                            FROM chosen WHERE created_at IS NOT NULL
                            UNION ALL
                            SELECT s.k, {_day("s.at")}, s.n, (NOT s.is_close)::int, 0
                            FROM said s JOIN chosen c ON c.k = s.k
                            WHERE (s.is_close OR s.is_reopen) AND s.at >= c.created_at
                        ) x
                        GROUP BY k, day
                    ) x
                    UNION ALL
                    SELECT k, {_day("first_closed_at")}, 0, 1, 0, 0, NULL,
                           time_to_first_close_seconds
                    FROM figures WHERE first_closed_at IS NOT NULL
                    UNION ALL
                    SELECT k, {_day("at")}, 0, 0, 1, 0, NULL, NULL
                    FROM said WHERE is_reopen AND at IS NOT NULL
                    UNION ALL
                    SELECT k, {_day("answered_at")}, 0, 0, 0, 0, seconds, NULL
                    FROM turns WHERE is_first AND seconds IS NOT NULL
                ) d
                GROUP BY k, day
            ) d ON d.k = c.k"""


def _own_month(at: str) -> str:
    return f"coalesce({_month(at)}, {_WITHOUT_TIME})"


def _month(at: str) -> str:
    return f"date_trunc('month', {_local(at)})::date"


def _day(at: str) -> str:
    return f"({_local(at)})::date"


def _local(at: str) -> str:
    return f"{at} AT TIME ZONE (SELECT name FROM zone)"
