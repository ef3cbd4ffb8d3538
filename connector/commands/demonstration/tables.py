"""What an analyst looks at, in plain SQL: the tables that ``demo`` prints. Knows no HTTP."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from decimal import Decimal
from textwrap import dedent, indent
from typing import Any

import psycopg
import sqlalchemy as sa

from connector.commands.terminal.grids import Grid, fitted, plain
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.session import READS

TABLES = ("companies", "contacts", "conversations", "conversation_parts")

WRITTEN = """
    SELECT '{table}' AS "table", count(*) AS rows,
           count(*) FILTER (WHERE _run_id = (SELECT max(id) FROM sync_runs))
             AS "written by the second sync"
    FROM {table}"""

QUESTIONS = (
    (
        "Open conversations by team",
        """
        SELECT coalesce(t.name, '(no team)') AS team,
               count(*) AS open,
               count(c.waiting_since) AS waiting
        FROM conversations_live c
        LEFT JOIN teams t ON t.id = c.team_assignee_id
        WHERE c.open
        GROUP BY 1
        ORDER BY 2 DESC""",
    ),
    (
        "Companies with most users",
        """
        SELECT c.name AS company, c.monthly_spend, count(*) AS users
        FROM companies_live c
        JOIN contact_companies cc ON cc.company_id = c.id
        JOIN users u ON u.id = cc.contact_id
        GROUP BY c.id, c.name, c.monthly_spend
        ORDER BY users DESC, c.name
        LIMIT 5""",
    ),
    (
        "Most used tags",
        """
        SELECT t.name AS tag,
               (SELECT count(*) FROM contact_tags x WHERE x.tag_id = t.id) AS contacts,
               (SELECT count(*) FROM conversation_tags x WHERE x.tag_id = t.id) AS conversations
        FROM tags_live t
        ORDER BY contacts DESC, tag
        LIMIT 5""",
    ),
    (
        "Newest conversation parts",
        """
        SELECT p.created_at, p.part_type, p.author_type, p.author_name,
               left(regexp_replace(p.body, '<[^>]+>', '', 'g'), 32) AS text
        FROM conversation_parts p
        WHERE p._deleted_at IS NULL
        ORDER BY p.created_at DESC, p.id
        LIMIT 5""",
    ),
)


def show(url: str, say: Callable[[str], None]) -> None:
    """Ask the warehouse what an analyst would, and print questions and answers."""
    database = Database(url, "intercom")
    with database.transaction(READS) as conn:
        execute(conn, "SET LOCAL search_path = intercom")
        say(shown(execute(conn, " UNION ALL ".join(WRITTEN.format(table=t) for t in TABLES))))
        say("\n== What an analyst looks at.")
        ask(conn, QUESTIONS, say)
    database.close()


def ask(
    conn: sa.Connection, questions: Sequence[tuple[str, str]], say: Callable[[str], None]
) -> None:
    """Print each question, its SQL, and what it gives."""
    for question, statement in questions:
        say(f"-- {question}\n{indent(dedent(statement).strip(), '   ')}")
        say(shown(execute(conn, statement)) + "\n")


def shown(cursor: psycopg.Cursor[Any]) -> str:
    """The rows of a query, for whoever watches: on a terminal as a table that fits."""
    found = _grid(cursor, cursor.fetchall())
    return fitted(found) or _bordered(found)


def grid(cursor: psycopg.Cursor[Any], most: int | None = None) -> str:
    """The rows of a query, or the first of them, as a table of text, numbers to the right."""
    found = cursor.fetchall()
    rows = found[:most]
    more = f"\n ... {len(found) - len(rows):,} more" if len(found) > len(rows) else ""
    return _bordered(_grid(cursor, rows)) + more


def _grid(cursor: psycopg.Cursor[Any], rows: Sequence[Sequence[Any]]) -> Grid:
    head = [column.name for column in cursor.description or ()]
    numbers = [n for n in range(len(head)) if _is_number([row[n] for row in rows])]
    return Grid(head, [[_text(value) for value in row] for row in rows], numbers)


def _bordered(found: Grid) -> str:
    return indent(plain(found, " | ", "-+-"), " ")


def _is_number(column: Sequence[Any]) -> bool:
    values = [value for value in column if value is not None]
    return bool(values) and all(isinstance(value, int | Decimal) for value in values)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    # Names hold tabs and line breaks, too.
    return f"{value:,}" if isinstance(value, int | Decimal) else " ".join(str(value).split())
