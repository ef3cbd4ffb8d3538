"""How long the metric views take over a large warehouse, as a whole and for one month.

``python -m bench.answers [CONVERSATIONS [PARTS]]`` fills a schema by SQL alone (so many
conversations over two years, so many parts each), computes the stored figures, and asks. Prints
seconds: of computing them all, of each view as a whole, and of the question about one month.
"""

from __future__ import annotations

import sys
import time
from functools import partial

import sqlalchemy as sa

from bench.runs import postgres
from connector.warehouse import migrate
from connector.warehouse.metrics import anew
from connector.warehouse.schema import figures
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute, fetch
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.statistics import analyze
from connector.warehouse.views.definitions import metrics

SCHEMA = "answers"
MONTH = "date_trunc('month', now() - interval '5 months')::date"
BY_CREATION = (
    "created_at >= date_trunc('month', now() - interval '5 months')"
    " AND created_at < date_trunc('month', now() - interval '4 months')"
)
FILL = """
INSERT INTO admins (id, name, email, _placeholder)
SELECT 'a' || n, 'Admin ' || n, 'a' || n || '@example.com', false FROM generate_series(1, 50) n;
INSERT INTO teams (id, name, _placeholder) SELECT 't' || n, 'Team ' || n, false
FROM generate_series(1, 12) n;
INSERT INTO tags (id, name, _placeholder) SELECT 'g' || n, 'Tag ' || n, false
FROM generate_series(1, 60) n;
INSERT INTO companies (id, name, _placeholder) SELECT 'o' || n, 'Company ' || n, false
FROM generate_series(1, {conversations} / 50) n;
INSERT INTO contacts (id, role, email, name, _placeholder)
SELECT md5('k' || n), 'user', 'k' || n % ({conversations} / 3 - 500) || '@example.com',
       'Contact ' || n, false
FROM generate_series(1, {conversations} / 3) n;
INSERT INTO contact_companies (contact_id, company_id)
SELECT md5('k' || n), 'o' || (1 + n % ({conversations} / 50))
FROM generate_series(1, {conversations} / 3) n;
INSERT INTO conversations (id, created_at, updated_at, state, source_type, source_author_type,
    source_author_id, source_body, admin_assignee_id, team_assignee_id, rating_rating,
    rating_created_at, rating_teammate_id, ai_agent_participated, ai_agent_resolution_state,
    statistics_count_reopens, _placeholder)
SELECT (1000000 + n)::text, x.at, x.at + interval '3 days',
       (ARRAY['open', 'closed', 'closed', 'closed', 'snoozed'])[1 + n % 5],
       'conversation', (ARRAY['user', 'user', 'lead', 'admin'])[1 + n % 4],
       md5('k' || n % 1000),
       repeat('Hello, how do I do this? ', 10), 'a' || (1 + n % 50), 't' || (1 + n % 12),
       CASE WHEN n % 6 = 0 THEN 1 + n % 5 END,
       CASE WHEN n % 6 = 0 THEN x.at + interval '3 days' END,
       CASE WHEN n % 6 = 0 THEN 'a' || (1 + n % 50) END, n % 3 = 0,
       (ARRAY['assumed_resolution', 'escalated', NULL])[1 + n % 3], 0, false
FROM generate_series(1, {conversations}) n,
     LATERAL (SELECT now() - (n % 730) * interval '1 day'
                           - (n % 86399) * interval '1 second') x (at);
INSERT INTO conversation_contacts (conversation_id, contact_id)
SELECT (1000000 + n)::text, md5('k' || (1 + n % ({conversations} / 3)))
FROM generate_series(1, {conversations}) n;
INSERT INTO conversation_tags (conversation_id, tag_id)
SELECT (1000000 + n)::text, 'g' || (1 + (n + t * 7) % 60)
FROM generate_series(1, {conversations}) n, generate_series(1, 2) t;
INSERT INTO contact_merges (source_contact_id, target_contact_id, _placeholder)
SELECT md5('k' || n), md5('k' || (n + 1)), false
FROM generate_series(1, {conversations} / 3 - 1, 40) n;
UPDATE contacts SET _deleted_at = now() WHERE id IN (SELECT source_contact_id FROM contact_merges);
"""
PARTS = """
INSERT INTO conversation_parts (id, conversation_id, part_type, body, created_at, author_id,
    author_type, assigned_to_id, assigned_to_type, _placeholder)
SELECT (10000000 + n * {parts} + p)::text, c.id, (ARRAY['comment', 'comment', 'note', 'comment',
           'assignment', 'comment', 'close', 'open', 'comment', 'close'])[1 + p % 10],
       CASE WHEN p % 10 NOT IN (4, 7) THEN repeat('Please try this. ', 8) END,
       c.created_at + p * interval '31 minutes' + (n % 3000) * interval '1 second',
       CASE WHEN p % 2 = 0 THEN 'a' || (1 + (n + p) % 50) ELSE md5('k' || n % 1000) END,
       CASE WHEN p % 2 = 0 THEN 'admin' ELSE 'user' END,
       CASE WHEN p % 10 = 4 THEN 't' || (1 + n % 12) END,
       CASE WHEN p % 10 = 4 THEN 'team' END, false
FROM generate_series({first}, {last}) n, generate_series(0, {parts} - 1) p,
     LATERAL (SELECT id, created_at FROM conversations WHERE id = (1000000 + n)::text OFFSET 0) c
"""


def main(conversations: int, parts: int) -> None:
    """Fill, compute, ask."""
    with postgres() as url:
        database = Database(url, SCHEMA)
        names = Names(SCHEMA)
        migrate.migrate(database)
        database.write(lambda conn: fill(conn, FILL.format(conversations=conversations)))
        for first in range(1, conversations + 1, 50_000):
            last = min(first + 49_999, conversations)
            some = PARTS.format(first=first, last=last, parts=parts)
            database.write(partial(fill, statements=some))
        database.write(lambda conn: execute(conn, "ANALYZE"))
        began = time.monotonic()
        database.write(anew.begin)
        while database.write(lambda conn: anew.step(conn, names)):
            pass
        database.write(lambda conn: analyze(conn, names, figures.NAMES))
        told("stored figures, all", time.monotonic() - began)
        print("| relation | whole, s | one month, s |\n|---|---|---|", flush=True)
        for name in metrics():
            print_line(database, names, name)
        database.close()


def fill(conn: sa.Connection, statements: str) -> None:
    """Execute them in the schema."""
    execute(conn, f"SET LOCAL search_path = {SCHEMA}")
    execute(conn, "SET LOCAL session_replication_role = replica")
    execute(conn, statements)


def print_line(database: Database, names: Names, name: str) -> None:
    """The seconds of one view."""
    whole = asked(database, f"SELECT count(*), count(x) FROM {names(name)} x")
    month = ""
    if name.endswith("_by_month"):
        month = f"{asked(database, f'SELECT * FROM {names(name)} WHERE month = {MONTH}'):.2f}"
    elif name == "conversation_metrics":
        month = f"{asked(database, f'SELECT * FROM {names(name)} WHERE {BY_CREATION}'):.2f}"
    told(name, whole, month)


def asked(database: Database, query: str) -> float:
    """Seconds of the second of two answers, all rows fetched."""
    for _ in range(2):
        began = time.monotonic()
        database.read(lambda conn: fetch(conn, query))
        seconds = time.monotonic() - began
    return seconds


def told(what: str, seconds: float, more: str = "") -> None:
    """One row of the table."""
    print(f"| {what} | {seconds:.2f} | {more} |", flush=True)


if __name__ == "__main__":
    given = [int(one) for one in sys.argv[1:]]
    main(*given, *(100_000, 10)[len(given) :])
