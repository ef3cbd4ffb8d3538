"""Compares what the warehouse says of deletes and merges with what became of the objects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from connector.resources.resource import Table
from tests.support.harness import Harness
from tests.support.truth.doubts import Doubts

Record = dict[str, Any]

# A pass cannot have begun, by the Date of its replies, more exactly than this.
SECONDS = timedelta(seconds=2)


def deletions(harness: Harness, table: Table, doubts: Doubts) -> list[str]:
    """Rows whose objects are gone and that do not say so, or not when."""
    if table.key != ("id",):
        return []
    rows, found = harness.rows(table.name), []
    for one in buried(harness, table):
        row = rows.get(one["id"])
        if row is None or row["_placeholder"]:
            continue  # never seen alive
        how, at = one["how"], instant(one["at"])
        name = f"{table.name} {one['id']}, {how} {at}"
        if row["_deleted_at"] is None:
            if not doubts.may_live(table.name, one["id"], how, one["at"]):
                found.append(f"{name}: should not live")
        elif doubts.was_told(table.name, how, one["at"]):
            if row["_deleted_at"] != at:
                found.append(f"{name}: _deleted_at is {row['_deleted_at']}")
        elif not instant(one["since"]) - SECONDS <= row["_deleted_at"] <= _later(harness):
            found.append(f"{name}: _deleted_at is {row['_deleted_at']}")
    hidden = {str(r["id"]) for r in harness.control.truth(table.name) if r.get("_hidden")}
    dead = [key for key in hidden & set(rows) if rows[key]["_deleted_at"]]
    return found[:8] + [f"{table.name} {key} lives, hidden from lists" for key in dead[:3]]


def _later(harness: Harness) -> datetime:
    return instant(harness.now) + SECONDS


def buried(harness: Harness, table: Table) -> list[Record]:
    """What became of the objects of a table that are gone."""
    return [one for one in harness.control.truth_deleted() if one["kind"] == table.name]


def merges(harness: Harness, doubts: Doubts) -> list[str]:
    """What contact_merges says that is not so, and what it does not say."""
    stored = {
        row["source_contact_id"]: row for row in harness.query("SELECT * FROM contact_merges")
    }
    true = {one["source_contact_id"]: one for one in harness.control.truth("contact_merges")}
    found = [f"contact_merges: {key} was never merged" for key in stored if key not in true]
    for key, one in true.items():
        row, at = stored.get(key), instant(one["merged_at"])
        told = doubts.was_told("contacts", "merged", one["merged_at"])
        if row is None:
            # Once the survivor is gone too, nothing but the feed tells of the merge.
            late = (one["target_contact_id"],) in doubts.about("contacts")
            if told or not (late or one["_hidden"]):
                found.append(f"contact_merges: {key}, merged {at}, is missing")
            continue
        # Whoever was merged on stands for those who were merged into them before.
        if row["target_contact_id"] not in chain(key, true):
            found.append(f"contact_merges: {key} went into {row['target_contact_id']}")
        if row["merged_at"] != at and (told or row["merged_at"] is not None):
            found.append(f"contact_merges: {key} at {row['merged_at']}, not {at}")
        if row["source_contact_role"] not in (None, one["source_contact_role"]):
            found.append(f"contact_merges: {key} was no {row['source_contact_role']}")
    return found


def chain(id: str, merged: dict[str, Record]) -> list[str]:
    """The contacts into which this one went, one after the other."""
    found: list[str] = []
    while id in merged:
        id = merged[id]["target_contact_id"]
        found.append(id)
    return found


def identities(harness: Harness, doubts: Doubts) -> list[str]:
    """Contacts that contact_identities takes for others than they are."""
    rows = harness.query("SELECT * FROM contact_identities")
    stored = {row["contact_id"]: row["current_contact_id"] for row in rows}
    true = {one["source_contact_id"]: one for one in harness.control.truth("contact_merges")}
    known = {row["source_contact_id"] for row in harness.query("SELECT * FROM contact_merges")}
    found = []
    if len(stored) != len(rows):
        found.append("contact_identities: a contact stands there twice")
    if set(stored) != set(harness.rows("contacts")):
        found.append("contact_identities: other contacts than in contacts")
    for key, current in stored.items():
        passed = [key, *chain(key, true)]
        # What is missing in contact_merges is told there, if it should be there.
        if all(one in known for one in passed[:-1]) and current != passed[-1]:
            found.append(f"contact_identities: {key} is {current}, not {passed[-1]}")
    return found


def once(harness: Harness, table: Table) -> list[str]:
    """What the live view of a table shows twice, or not at all, of one contact's identities."""
    owner, rest = table.once_for, [name for name in table.key if name != table.once_for]
    shown = list(_identified(harness, f"{table.name}_live", owner, rest))
    stored = set(_identified(harness, table.name, owner, rest))
    found = []
    if len(shown) != len(set(shown)):
        found.append(f"{table.name}_live: something is shown twice")
    if set(shown) != stored:
        found.append(f"{table.name}_live: {sorted(stored ^ set(shown), key=str)[:3]} differ")
    return found


def _identified(
    harness: Harness, name: str, owner: str, rest: list[str]
) -> Iterator[tuple[Any, ...]]:
    rows = harness.query(
        f'SELECT i.current_contact_id, o.* FROM "{name}" o JOIN contact_identities i'
        f" ON i.contact_id = o.{owner} WHERE o._deleted_at IS NULL"
    )
    for row in rows:
        yield row["current_contact_id"], *(row[column] for column in rest)


def instant(seconds: float) -> datetime:
    """A time of the simulator's as the warehouse holds it."""
    return datetime.fromtimestamp(int(seconds), UTC)
