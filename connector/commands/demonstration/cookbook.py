"""Fills the answers into pages of questions: docs/cookbook.md, docs/numbers.md.

``python -m connector.commands.demonstration.cookbook PAGE...`` runs every query of a page on the
fixed workspace and puts what it gives into the block that follows the query.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from pathlib import Path

from connector.commands.demonstration import fixed
from connector.commands.demonstration.tables import grid
from connector.warehouse.sql import embedded
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute
from connector.warehouse.sql.session import READS

MOST_ROWS = 7  # the days of a week
_ASKED = re.compile(r"(?P<query>^```sql\n(?P<text>.*?)^```\n)(?:\n```\n.*?^```\n)?", re.M | re.S)


def queries(page: str) -> list[str]:
    """The queries of a page, in their order."""
    return [asked["text"] for asked in _ASKED.finditer(page)]


def filled(page: str, database: Database) -> str:
    """The page with the answers of this warehouse."""
    return _ASKED.sub(
        lambda asked: f"{asked['query']}\n```\n{_answer(asked['text'], database)}\n```\n", page
    )


def _answer(query: str, database: Database) -> str:
    with database.transaction(READS) as conn:
        for statement in fixed.first_statements(database):
            execute(conn, statement)
        return grid(execute(conn, query), most=MOST_ROWS)


def main(names: list[str]) -> None:
    """Fill these files anew, or none if a query of one fails."""
    with tempfile.TemporaryDirectory(prefix="intercom-warehouse-pages-") as place:
        server = embedded.start(Path(place) / "postgres")
        database = Database(server.get_uri(), "intercom")
        try:
            asyncio.run(fixed.load(database))
            pages = {Path(name): filled(Path(name).read_text("utf-8"), database) for name in names}
        finally:
            database.close()
            embedded.stop(server)
    for path, page in pages.items():
        path.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
