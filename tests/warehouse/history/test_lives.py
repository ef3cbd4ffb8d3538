"""Lives with history: at each night's instant the versions valid then are what was true that night.

The mirror is compared with the simulator's truth every night (``tests/support/truth``) and
remembered; in the end the versions that are valid at each of these instants must be those rows.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from connector.commands import forget
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.merge.loader import Loader
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.privacy.personal import personal
from connector.warehouse.sql.database import Database
from tests.support.harness import Harness
from tests.support.life import Life, small_workspace
from tests.support.sampling import short_lives
from tests.support.truth.compared import differences
from tests.support.truth.past import EVERY, Past

_numbers = itertools.count(1)


@contextmanager
def a_harness(database_url: str) -> Iterator[Harness]:
    schema = f"t_{os.getpid()}_past_{next(_numbers)}"
    harness = Harness(database_url, schema, history=EVERY)
    try:
        yield harness
    finally:
        harness.close()
        database = Database(database_url, schema)
        with database.transaction() as conn:
            conn.execute(sa.text(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE'))
        database.close()


CIRCUMSTANCES = st.fixed_dictionaries(
    {
        "seed": st.integers(0, 10**6),
        "has_feeds": st.booleans(),
        "on_delete": st.booleans(),
        "kills": st.booleans(),
        "merges_inherited": st.booleans(),
        "merges_move": st.booleans(),
    }
)


@short_lives(2)
@given(circumstances=CIRCUMSTANCES)
def test_versions_are_what_was_true_each_night(
    database_url: str, circumstances: dict[str, Any]
) -> None:
    with a_harness(database_url) as harness:
        asyncio.run(live(harness, circumstances, nights=6))


@pytest.mark.chaos
@short_lives(10)
@given(circumstances=CIRCUMSTANCES)
def test_versions_are_what_was_true_each_night_of_many_lives(
    database_url: str, circumstances: dict[str, Any]
) -> None:
    with a_harness(database_url) as harness:
        asyncio.run(live(harness, circumstances, nights=12))


async def live(harness: Harness, circumstances: dict[str, Any], nights: int) -> None:
    """So many nights with deletes, merges, revivals, erasure, an exclusion, and kills."""
    simulated = {k: circumstances[k] for k in ("merges_inherited", "merges_move")}
    harness.simulate(small_workspace(3, scale=0.5), index_lag=(0.0, 0.0), feed_lag=0.0, **simulated)
    life, past = Life(harness, circumstances["seed"]), Past(harness)
    dice = Random(circumstances["seed"])
    if not circumstances["has_feeds"]:
        harness.control.deny("^/contacts/activities|^/conversations/deleted")
    exclusions = parse("")

    for night in range(nights):
        if night:
            life.night(25)
        privacy = Privacy(exclusions, circumstances["on_delete"])
        if circumstances["kills"]:
            await _killed(harness, dice, privacy)
        outcome = await harness.sync(full=night % 3 != 1, privacy=privacy)
        assert outcome.exit_code == 0, outcome.error
        past.remember()
        told = f"night {night}\n{life.told()}"
        if not exclusions and not circumstances["on_delete"] and not life.log.count("forget"):
            assert night % 3 == 1 or differences(harness, began=harness.began) == [], told
        if circumstances["on_delete"]:
            _mend(past)
        assert past.differences() == [], told
        assert past.number() >= night * 5, told
        if night == nights // 2:
            exclusions = parse("contacts.email")
            past.exclude("contacts", "email")
        if night == nights - 2:
            _forget(harness, life, past)


async def _killed(harness: Harness, dice: Random, privacy: Privacy) -> None:
    """A run that dies while it merges: whatever transaction is open then is rolled back."""
    left = dice.randrange(1, 12)

    class Killed(BaseException):
        pass

    merge = Loader.merge

    def dies(self: Loader, *given: Any, **options: Any) -> Any:
        nonlocal left
        done = merge(self, *given, **options)
        left -= 1
        if left == 0:
            raise Killed
        return done

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Loader, "merge", dies)
        with contextlib.suppress(Killed):
            await harness.sync(privacy=privacy)


def _forget(harness: Harness, life: Life, past: Past) -> None:
    """Forget somebody who wrote."""
    rows = past.rows("conversations").values()
    living = past.rows("contacts")
    written = sorted({key for row in rows for key in row["contact_ids"] if key in living})
    if not written:
        return
    key = written[0]
    merged = harness.query(
        "WITH RECURSIVE f (id) AS (SELECT %s UNION SELECT m.source_contact_id FROM contact_merges m"
        " JOIN f ON m.target_contact_id = f.id) SELECT id FROM f",
        key,
    )
    past.forget(*(row["id"] for row in merged))
    life.log.append("forget")
    database = Database(harness.database_url, harness.schema)
    try:
        assert forget.run(database, [key], as_json=True, unknown=False) == 0
    finally:
        database.close()


def _mend(past: Past) -> None:
    """Contacts that Intercom deleted are emptied in what was before."""
    gone = past.harness.query("SELECT contact_id, reason FROM sync_forgotten")
    own = [row["contact_id"] for row in gone]
    about = [row["contact_id"] for row in gone if row["reason"] != "merged"]
    for _, tables in past.nights:
        for key in own:
            if row := tables["contacts"].get(key):
                for part in personal():
                    if part.is_person:
                        row.update(dict.fromkeys(part.columns))
                        row["extra"] = None
    past.forget(*about)
