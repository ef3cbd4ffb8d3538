"""Lives under Fivetran's shape: each night its active rows are what lives, and t finds what was."""

from __future__ import annotations

from datetime import UTC, datetime
from random import Random
from typing import Any

import pytest

from connector.commands import views
from connector.warehouse.schema import versions
from connector.warehouse.sql.database import Database
from connector.warehouse.views.suites import FIVETRAN
from tests.support.harness import Harness
from tests.support.life import Life, small_workspace
from tests.support.truth.past import Past
from tests.warehouse.views.fivetran.by_hand import KEYS

SHOWN = {  # the table, its columns, and what they are called in the shape
    "contact": ("contacts", {"name": "name", "email": "email", "owner_id": "admin_id"}),
    "company": ("companies", {"name": "name", "plan_name": "plan_name", "size": "size"}),
    "conversation": ("conversations", {"state": "state", "admin_assignee_id": "assignee_id"}),
}
LINKS = ("contact_company", "contact_tag", "company_tag", "conversation_tag")


def of(harness: Harness, view: str, where: str) -> list[dict[str, Any]]:
    return harness.query(f'SELECT * FROM "{harness.schema}_fivetran".{view}_history WHERE {where}')


def wrong(harness: Harness, rows: dict[str, dict[str, dict[str, Any]]], where: str) -> list[str]:
    """How the rows of the shape that meet a condition differ from these; a few sentences."""
    found = []
    tickets = {row["id"] for row in harness.query("SELECT id FROM tickets_live")}
    for noun, (table, columns) in SHOWN.items():
        shown = [
            tuple(row[c] for c in ("id", *columns.values())) for row in of(harness, noun, where)
        ]
        apart = tickets if table == "conversations" else set()
        expected = {
            (key, *(row[c] for c in columns))
            for key, row in rows[table].items()
            if key not in apart
        }
        found += [f"{noun} {row} {where}" for row in set(shown) ^ expected]
        found += [f"{noun}: twice" for _ in range(len(shown) - len(set(shown)))]
    for link in LINKS:
        noun, _, other = link.partition("_")
        table = SHOWN[noun][0]
        apart = tickets if table == "conversations" else set()
        shown = [(row[f"{noun}_id"], row[f"{other}_id"]) for row in of(harness, link, where)]
        expected = {
            (key, target)
            for key, row in rows[table].items()
            if key not in apart
            for target in row[f"{other}_ids"]
        }
        found += [f"{link} {row} {where}" for row in set(shown) ^ expected]
        found += [f"{link}: twice" for _ in range(len(shown) - len(set(shown)))]
    return found[:10]


def broken(harness: Harness) -> list[str]:
    """Keys with two active rows, or with rows that overlap."""
    found = []
    for view, key in KEYS.items():
        relation = f'"{harness.schema}_fivetran".{view}'
        several = f"SELECT {key} FROM {relation} WHERE _fivetran_active GROUP BY {key}"
        found += [f"{view} {r}" for r in harness.query(f"{several} HAVING count(*) > 1")]
        ended = f"SELECT {key} FROM {relation} WHERE _fivetran_end < _fivetran_start"
        overlapping = (
            f"SELECT {key} FROM (SELECT {key}, _fivetran_start AS since, lag(_fivetran_end) OVER"
            f" (PARTITION BY {key} ORDER BY _fivetran_start, _fivetran_end) AS before"
            f" FROM {relation}) x WHERE since <= before"
        )
        found += [f"{view} {r}" for r in (*harness.query(overlapping), *harness.query(ended))]
    return found[:10]


def at(moment: datetime) -> str:
    told = moment.astimezone(UTC).replace(tzinfo=None)
    return f"timestamp '{told}' BETWEEN _fivetran_start AND _fivetran_end"


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.chaos)])
@pytest.mark.parametrize("kept", ["always", "at times"])
async def test_what_was_true_each_night_is_found(harness: Harness, seed: int, kept: str) -> None:
    harness.simulate(small_workspace(3, scale=0.5), index_lag=(0.0, 0.0), feed_lag=0.0)
    life, past, dice = Life(harness, seed), Past(harness), Random(seed)
    for night in range(6):
        if night:
            life.night(25)
        on = [name for name in versions.VERSIONED if kept == "always" or dice.random() < 0.5]
        outcome = await harness.sync(full=night % 3 != 1, history=tuple(on))
        assert outcome.exit_code == 0, outcome.error
        if not night:
            database = Database(harness.database_url, harness.schema)
            assert views.begin(database, FIVETRAN) == ""
            database.close()
        past.remember()
        told = f"night {night}, of {on}\n{life.told()}"
        assert broken(harness) == [], told
        assert wrong(harness, past.nights[-1][1], "_fivetran_active") == [], told
        if kept == "always":
            for moment, rows in past.nights:
                assert wrong(harness, rows, at(moment)) == [], told
