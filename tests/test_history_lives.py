"""Lives with history: at each night's instant the versions valid then are what was true that night.

The mirror is compared with the simulator's truth every night (``tests/truth.py``) and remembered;
in the end the versions that are valid at each of these instants must be those rows and links.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
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
from connector.warehouse.schema import versions
from connector.warehouse.sql.database import Database
from tests.gone import instant
from tests.harness import Harness
from tests.life import Life, small_workspace
from tests.test_year import short_lives
from tests.truth import comparable, differences

EVERY = tuple(versions.VERSIONED)
Row = dict[str, Any]

_numbers = itertools.count(1)


@dataclass
class Past:
    """What was true at each of some instants: by table the living rows, with their links."""

    harness: Harness
    nights: list[tuple[datetime, dict[str, dict[str, Row]]]] = field(default_factory=list)

    def remember(self) -> None:
        """What the mirror holds now; a second passes, so that what was read counts."""
        self.harness.pass_time(1)
        moment = instant(self.harness.now)
        self.nights.append((moment, {name: self.rows(name) for name in EVERY}))
        self.harness.pass_time(1)

    def rows(self, name: str) -> dict[str, Row]:
        """The living rows of a table, with the arrays that their versions are to have."""
        table = versions.VERSIONED[name]
        columns = ", ".join(f'"{one}"' for one in ("id", *versions.content(table)))
        found = {
            row["id"]: row
            for row in self.harness.query(
                f"SELECT {columns} FROM {name} WHERE _deleted_at IS NULL AND NOT _placeholder"
            )
        }
        for one in versions.linked(table):
            for row in found.values():
                row[one.name] = []
            links = self.harness.query(
                f"SELECT {one.own} AS own, {one.other} AS other FROM {one.table}"
            )
            for link in links:
                if link["own"] in found:
                    found[link["own"]][one.name].append(link["other"])
            for row in found.values():
                row[one.name].sort()
        return found

    def forget(self, *ids: str) -> None:
        """What is about these contacts was never to be seen."""
        now = {name: self.rows(name) for name in EVERY}
        for _, tables in self.nights:
            for part in personal():
                for row in tables.get(part.table.name, {}).values():
                    here = now[part.table.name].get(row["id"], row)
                    if _is_about(part, row, ids) or _is_about(part, here, ids):
                        row.update(dict.fromkeys(part.columns))
                        row["extra"] = _left(row["extra"], part.keys)

    def exclude(self, table: str, column: str) -> None:
        """Nor this column."""
        for _, tables in self.nights:
            for row in tables[table].values():
                row[column] = None

    def differences(self) -> list[str]:
        """Where versions are not what was true; a few sentences."""
        found = []
        for moment, tables in self.nights:
            for name, rows in tables.items():
                found += _differing(name, moment, rows, self._valid(name, moment))
        return found[:10] + self.broken()

    def number(self) -> int:
        """How many versions have ended."""
        ended = "SELECT count(*) AS n FROM {}_history WHERE valid_to IS NOT NULL"
        return sum(int(self.harness.query(ended.format(name))[0]["n"]) for name in EVERY)

    def _valid(self, name: str, moment: datetime) -> dict[str, Row]:
        valid = self.harness.query(
            f"SELECT * FROM {name}_history WHERE valid_from <= %s"
            " AND (valid_to IS NULL OR valid_to > %s)",
            moment,
            moment,
        )
        assert len({row["id"] for row in valid}) == len(valid), f"{name}: two at {moment}"
        return {row["id"]: row for row in valid}

    def broken(self, on: Collection[str] = EVERY) -> list[str]:
        """What never may be: versions that overlap, or open ones that are not the living rows.

        History of the tables that are not ``on`` has ended, or never began.
        """
        found = []
        for name in EVERY if on == EVERY else kept(self.harness):
            overlapping = self.harness.query(
                f"SELECT a.id FROM {name}_history a JOIN {name}_history b ON a.id = b.id"
                " AND a.valid_from < b.valid_from"
                " AND (a.valid_to IS NULL OR a.valid_to > b.valid_from)"
            )
            ends = self.harness.query(f"SELECT id FROM {name}_history WHERE valid_to < valid_from")
            found += [f"{name} {row['id']} overlaps or ends first" for row in (*overlapping, *ends)]
            open_ones = self.harness.query(f"SELECT * FROM {name}_history WHERE valid_to IS NULL")
            of = {row["id"]: row for row in open_ones}
            found += _differing(name, "open", self.rows(name) if name in on else {}, of)
        return found[:10]


def kept(harness: Harness, *, on: bool = False) -> list[str]:
    """The tables of which history was ever kept, or is now."""
    which = " WHERE ended_at IS NULL" if on else ""
    rows = harness.query(f"SELECT table_name AS name FROM sync_history{which} ORDER BY 1")
    return [row["name"] for row in rows]


def _is_about(part: Any, row: Row, ids: tuple[str, ...]) -> bool:
    if part.link:
        (array,) = [o.name for o in versions.linked(part.table) if o.table == part.link.table]
        return not set(ids).isdisjoint(row[array])
    return row[part.of] in ids


def _left(extra: Any, keys: tuple[str, ...]) -> Any:
    kept = {k: v for k, v in (extra or {}).items() if k not in keys} if keys else {}
    return kept or None


def _differing(
    name: str, when: object, rows: dict[str, Row], valid: dict[str, Row]
) -> Iterator[str]:
    for key in sorted(rows.keys() ^ valid.keys()):
        where = "no version" if key in rows else "a version, and no row"
        yield f"{name} {key} at {when}: {where}"
    for key in sorted(rows.keys() & valid.keys()):
        for column, value in rows[key].items():
            if comparable(value) != comparable(valid[key][column]):
                yield f"{name} {key} at {when}: {column} is {valid[key][column]!r}, not {value!r}"


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
