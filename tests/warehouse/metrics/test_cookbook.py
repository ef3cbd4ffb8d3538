"""The answers in docs/cookbook.md and docs/numbers.md are what their queries give: none is stale.

One load of the fixed workspace for all of them.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Iterator

import psycopg
import pytest

from connector.commands.demonstration import cookbook, fixed
from connector.simulator import Workspace
from connector.simulator.encoding import decode
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute, scalar
from connector.warehouse.sql.names import quote
from tests.support.places import ROOT

DOCS = ROOT / "docs"
PAGES = ("cookbook.md", "numbers.md")


@pytest.fixture(scope="module")
def loaded(shared_url: str) -> Iterator[Database]:
    """The fixed workspace as the pages were made from it."""
    database = Database(shared_url, f"t_{os.getpid()}_pages")
    asyncio.run(fixed.load(database))
    yield database
    with database.transaction() as conn:
        execute(conn, f"DROP SCHEMA {quote(database.schema)} CASCADE")
    database.close()


@pytest.mark.parametrize("name", PAGES)
def test_the_page_holds_the_answers_of_its_queries(loaded: Database, name: str) -> None:
    page = (DOCS / name).read_text(encoding="utf-8")
    assert cookbook.queries(page)
    assert cookbook.filled(page, loaded) == page, "make docs"


def test_each_question_has_one_query_and_rows_to_show() -> None:
    page = (DOCS / "cookbook.md").read_text(encoding="utf-8")
    questions = re.split(r"^### ", page, flags=re.MULTILINE)[1:]
    assert len(questions) >= 25
    for question in questions:
        assert len(cookbook.queries(question)) == 1, question.splitlines()[0]
        (answer,) = re.findall(r"^```\n\n```\n(.*?)^```$", question, re.MULTILINE | re.DOTALL)
        assert 3 <= len(answer.splitlines()) <= cookbook.MOST_ROWS + 3, question.splitlines()[0]


def test_an_answer_that_is_out_of_date_is_replaced(loaded: Database) -> None:
    page = "Ask.\n\n```sql\nSELECT 7 AS n;\n```\n\n```\n n\n --\n 6\n```\n\nText.\n"
    assert cookbook.filled(page, loaded) == page.replace(" --\n 6", " -\n 7")
    without = page.replace("```\n n\n --\n 6\n```\n\n", "")
    assert cookbook.filled(without, loaded) == cookbook.filled(page, loaded)


def test_the_clock_stands_still_for_pages_and_views(loaded: Database) -> None:
    with loaded.transaction() as conn:
        for statement in fixed.first_statements(loaded):
            execute(conn, statement)
        assert scalar(conn, "SELECT extract(epoch FROM now())") == fixed.NOW
        assert scalar(conn, "SELECT max(day)::text FROM conversations_by_day") == "2026-05-29"
        waited = "SELECT max(waiting_seconds - (extract(epoch FROM now() - waiting_since)))"
        assert scalar(conn, f"{waited} FROM conversation_metrics") == 0


def test_a_query_can_only_read(loaded: Database) -> None:
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        cookbook.filled("```sql\nDELETE FROM tags;\n```\n", loaded)


def test_nothing_in_a_lifelike_workspace_happens_later_than_now() -> None:
    space = fixed.workspace()
    for item in space.conversations.current.values():
        record, parts = decode(item.body), [decode(part) for part in item.owned]
        moments = [record["created_at"], *(part["created_at"] for part in parts)]
        assert max(moments) <= fixed.FIRST - 900
        assert min(moments) == record["created_at"]
        assert moments[1:] == sorted(moments[1:]), record["id"]


def test_a_lifelike_workspace_may_lack_whom_it_needs() -> None:
    space = Workspace.generate(1, contacts=0, companies=0, conversations=9, lifelike=True)
    assert not space.conversations.current
    small = Workspace.generate(
        1, contacts=60, companies=3, conversations=9, teams=0, tags=0, lifelike=True
    )
    assert len(small.conversations.current) == 9
