"""Compares the warehouse with what the simulator knows to be true, row by row and link by link.

The expected values are made here from the complete records by the rules of the mapping alone:
no encoder, no SQL of the loader. Differences come back as sentences; none means equal.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.resources import TABLES
from connector.resources.resource import Child, Column, Kind, Link, Table
from tests.support.harness import Harness
from tests.support.truth import gone
from tests.support.truth.doubts import Doubts

Record = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
QUERY = re.compile(r"(https?://[^\s\"'<>?]+\.intercom(?:cdn|assets)\.com[^\s\"'<>?]*)\?[^\s\"'<>]*")
# What references in JSON values copy of objects that have rows of their own: table, column.
COPIED = {
    ("ticket_types", "ticket_states"): {"category", "internal_label", "external_label"},
    ("ticket_states", "ticket_types"): {
        *("name", "description", "icon", "archived", "is_internal", "category"),
    },
    ("articles", "tags"): {"name"},
    ("conversations", "statistics_assigned_team_first_response_time"): {"team_name"},
    (
        "conversations",
        "statistics_assigned_team_first_response_time_in_office_hours",
    ): {"team_name"},
}


def differences(
    harness: Harness,
    tables: Iterable[Table] = TABLES,
    *,
    began: float | None = None,
    after_full: bool = True,
) -> list[str]:
    """What is not as it should be, at most a few per table.

    ``began`` is when the sync began, if something changed shortly before or since: what its lists
    could not show is then left out. Without ``after_full`` so is what only a full pass shows and
    none has shown yet. ``tests/support/truth/doubts.py`` says what that is.
    """
    found: list[str] = []
    members = harness.members()
    doubts = Doubts(harness, began, after_full)
    for table in tables:
        if table.name == "contact_merges":
            found += gone.merges(harness, doubts)
            continue
        records = harness.control.truth(table.name)
        shown = [_with_separate_lists(table, r, members) for r in records if not r.get("_hidden")]
        # What no list shows any more may live on; of what is gone, ``deletions`` tells.
        apart = {_record_key(r, table) for r in records if r.get("_hidden")}
        apart |= {(one["id"],) for one in gone.buried(harness, table)}
        found += _table(harness, table, shown, doubts, apart=apart)
        found += gone.deletions(harness, table, doubts)
        if table.once_for:
            found += gone.once(harness, table)
    return found + gone.identities(harness, doubts)


def _with_separate_lists(table: Table, record: Record, members: dict[str, list[str]]) -> Record:
    """The record with its separate lists."""
    if table.name == "contacts":
        for name in ("notes", "subscriptions"):
            record[name]["complete"] = record[name]["data"]
    if table.name == "segments":
        ids = members.get(record["id"], [])
        record["members"] = {"complete": [{"id": key} for key in ids]}
    return record


def _table(
    harness: Harness,
    table: Table,
    records: list[Record],
    doubts: Doubts,
    parent: str = "",
    owners: frozenset[str] = frozenset(),
    apart: set[tuple[str, ...]] | None = None,
) -> list[str]:
    unknown = doubts.about(table.name)
    rows = {_key(row, table): row for row in harness.query(f'SELECT * FROM "{table.name}"')}
    if parent:  # what belonged to an object that is gone stays as it was
        rows = {key: row for key, row in rows.items() if row[parent] in owners}
    alive = {key for key, row in rows.items() if not row["_placeholder"] and not row["_deleted_at"]}
    wanted = {key: record for record in records if (key := _record_key(record, table))}
    # Events are listed for 90 days; what was stored before stays.
    over = set() if table.name == "events" else alive - set(wanted) - (apart or set()) - unknown
    lost = set(wanted) - alive - unknown
    found = [f"{table.name}: row {key} should not live" for key in sorted(over)[:5]]
    found += [f"{table.name}: row {key} is missing" for key in sorted(lost)[:5]]
    sure = {key: record for key, record in wanted.items() if key not in unknown}
    for key, record in sure.items():
        if key in rows:
            found += _row(table, rows[key], record)
    for link in table.links:
        found += _link(harness, link, list(sure.values()), doubts)
    for child in table.children:
        found += _children(harness, child, list(sure.values()), doubts)
    return found[:20]


def _key(row: Record, table: Table) -> tuple[str, ...]:
    return tuple(str(row[name]) for name in table.key)


def _record_key(record: Record, table: Table) -> tuple[str, ...]:
    return tuple(str(expected(table.column(name), record)) for name in table.key)


def _row(table: Table, row: Record, record: Record) -> list[str]:
    found = []
    for column in table.columns:
        stored, true = row[column.name], expected(column, record)
        copied = COPIED.get((table.name, column.name))
        if copied and true is not None:
            true = [{k: v for k, v in one.items() if k not in copied} for one in true]
        if stored != true and comparable(stored) != comparable(true):
            found.append(
                f"{table.name} {_key(row, table)}: {column.name} is {stored!r}, not {true!r}"
            )
    return found


def expected(column: Column, record: Record) -> Any:
    """What a column should hold of a record."""
    value = at(record, column.keys)
    if isinstance(value, dict) and column.kind not in (Kind.JSON, Kind.MAP):
        return None
    if value is None:
        return None
    if column.kind is Kind.ID:
        return None if column.zero_is_null and str(value) == "0" else str(value)
    if column.kind is Kind.INSTANT:
        return instant(value)
    return value


def instant(value: Any) -> datetime:
    """Unix seconds or ISO 8601, as Intercom sends both."""
    if isinstance(value, str):
        return datetime.fromisoformat(value)
    return EPOCH + timedelta(seconds=value)


def comparable(value: Any) -> Any:
    """A value without the queries of addresses of Intercom's files: signatures are no content."""
    match value:
        case str():
            return QUERY.sub(r"\1", value)
        case list():
            return [comparable(item) for item in value]
        case dict():
            return {key: comparable(item) for key, item in value.items()}
    return value


def at(record: Any, path: Iterable[str]) -> Any:
    """The value at a path; None where it leads nowhere."""
    for key in path:
        record = record.get(key) if isinstance(record, dict) else None
    return record


def elements(record: Record, part: Link | Child) -> list[Any]:
    """The list of a link or child in a record."""
    lists = (at(record, path) for path in part.paths)
    return next((found for found in lists if isinstance(found, list)), [])


def _link(harness: Harness, link: Link, records: list[Record], doubts: Doubts) -> list[str]:
    owners, targets = doubts.about(link.table), doubts.about_targets(link.table)
    item = link.item.split(".") if link.item else []
    wanted = {
        (str(record["id"]), str(at(element, item)))
        for record in records
        if (str(record["id"]),) not in owners
        for element in elements(record, link)
    }
    living = {str(record["id"]) for record in records} - {key for (key,) in owners}
    rows = harness.query(f'SELECT * FROM "{link.table}"')
    stored = {(row[link.owner], row[link.target]) for row in rows if row[link.owner] in living}
    wanted = {pair for pair in wanted if (pair[1],) not in targets}
    stored = {pair for pair in stored if (pair[1],) not in targets}
    extra = [f"{link.table}: {pair} should not be" for pair in sorted(stored - wanted)[:5]]
    return extra + [f"{link.table}: {pair} is missing" for pair in sorted(wanted - stored)[:5]]


def _children(harness: Harness, child: Child, records: list[Record], doubts: Doubts) -> list[str]:
    owners = [(record, elements(record, child)) for record in records]
    if child.table.positioned:
        wanted = {(str(r["id"]), place) for r, files in owners for place in range(len(files))}
        listed = harness.query(f'SELECT * FROM "{child.table.name}"')
        parts = {str(r["id"]) for r, _ in owners}
        stored = {(r[child.parent], r["position"]) for r in listed if r[child.parent] in parts}
        return [f"{child.table.name}: {pair} differs" for pair in sorted(stored ^ wanted)[:5]]
    # Of a list past the cap, what was stored before it was cut stays and may be there.
    rows = {row["id"]: row for row in harness.query(f'SELECT * FROM "{child.table.name}"')}
    children = [
        part
        for _, listed in owners
        for place, part in enumerate(listed)
        if not child.cap or place >= len(listed) - child.cap or str(part["id"]) in rows
    ]
    living = frozenset(str(record["id"]) for record in records)
    found = _table(harness, child.table, children, doubts, child.parent, living)
    parents = {str(part["id"]): str(r["id"]) for r, listed in owners for part in listed}
    for key, row in rows.items():
        if key in parents and row[child.parent] != parents[key]:
            found.append(f"{child.table.name} {key} hangs on {row[child.parent]}")
    return found
