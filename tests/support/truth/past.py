"""What was true at instants that have passed, and whether the versions of rows say so."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from connector.warehouse.privacy.personal import personal
from connector.warehouse.schema import versions
from tests.support.harness import Harness
from tests.support.truth.compared import comparable
from tests.support.truth.gone import instant

EVERY = tuple(versions.VERSIONED)


Row = dict[str, Any]


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
        found: list[str] = []
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
