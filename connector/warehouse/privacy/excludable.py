"""What CONNECTOR_EXCLUDE may name, read into exclusions; knows the declarations, not SQL."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache

from msgspec import Struct, field
from msgspec.structs import replace

from connector.errors import SettingsError
from connector.resources import PERSONS, RESOURCES, TABLES
from connector.resources.readings import PerContact
from connector.resources.resource import Column, Kind, Link, Table
from connector.warehouse.encode.exclusions import Exclusions, Rule
from connector.warehouse.schema.tables import BOOKKEEPING
from connector.warehouse.values.shape import is_wrapped_list
from connector.warehouse.values.signatures import INTERCOM, Signatures

HASHED = "hash:"
LEAST_KEY = 32  # characters
HASHABLE = (Kind.ID, Kind.TEXT, Kind.URL)


class _Home(Struct):
    """One table or link table: its columns, and why some cannot be excluded."""

    columns: dict[str, Column]
    kept: dict[str, str] = field(default_factory=dict)
    fields: frozenset[str] = frozenset()  # top-level keys of a record, where it has extra


def parse(text: str, key: str = "", signatures: Signatures = INTERCOM) -> Exclusions:
    """The exclusions that a setting names, by commas or lines; ``\\,`` is a comma in a name.

    Raises SettingsError for what does not exist or cannot be excluded, and for a missing key.
    """
    rules: dict[str, Rule] = {}
    for part in re.split(r"(?<!\\),|\n", text):
        name = part.replace("\\,", ",").strip()
        if not name:
            continue
        rule = _rule(name.removeprefix(HASHED).strip(), name.startswith(HASHED))
        if rules.setdefault(rule.name, rule) != rule:
            raise SettingsError(f"CONNECTOR_EXCLUDE names {rule.name} both with and without hash:")
    if any(rule.hashed for rule in rules.values()):
        _check_key(key)
    return Exclusions(rules.values(), key, signatures)


def restored(manners: Mapping[str, str], given: Exclusions) -> tuple[Exclusions, list[str]]:
    """Exclusions made again from how they are stored, by name, with the key of the given ones.

    Also the names of those that are hashed with another key: they are only emptied. Fields that
    are not declared any more are left out.
    """
    rules: list[Rule] = []
    strange: list[str] = []
    for name, manner in manners.items():
        try:
            rule = _rule(name, hashed=manner.startswith(HASHED))
        except SettingsError:
            continue
        if given.manner(rule) != manner:
            strange.append(name)
            rule = replace(rule, hashed=False)
        rules.append(rule)
    return given.with_rules(rules), strange


def _check_key(key: str) -> None:
    if not key:
        raise SettingsError(
            "CONNECTOR_EXCLUDE asks for hashes, but CONNECTOR_HASH_KEY is not set; make one with"
            " 'openssl rand -hex 32' and keep it as you keep a password"
        )
    if len(key) < LEAST_KEY:
        raise SettingsError(f"CONNECTOR_HASH_KEY must have at least {LEAST_KEY} characters")


def _rule(name: str, hashed: bool) -> Rule:
    table, _, rest = name.partition(".")
    home = _homes().get(table)
    if home is None or not rest:
        raise SettingsError(f"CONNECTOR_EXCLUDE: {name!r} is no table.column{_near(name)}")
    column_name, _, key = rest.partition(".")
    if column_name == "extra" and key and home.fields:
        return _undeclared(name, table, key, home, hashed)
    if column_name in home.kept:
        reason = home.kept[column_name]
        raise SettingsError(f"CONNECTOR_EXCLUDE: {name} cannot be excluded: {reason}")
    column = home.columns.get(column_name)
    if column is None:
        raise SettingsError(f"CONNECTOR_EXCLUDE: {table} has no column {rest!r}{_near(name)}")
    if key and column.kind is not Kind.MAP:
        raise SettingsError(f"CONNECTOR_EXCLUDE: {table}.{column_name} is no map, so no {key!r}")
    if hashed and not key and column.kind not in HASHABLE:
        raise SettingsError(f"CONNECTOR_EXCLUDE: {name} is no text, so it cannot be hashed")
    path = _place(column)
    other_shapes = tuple(
        other.name
        for other in home.columns.values()
        if other is not column and not key and _overlap(path, _place(other))
    )
    rule = Rule(name, table, column_name, path, hashed, other_shapes=other_shapes)
    if key:
        return replace(rule, key=key, path=(*path, key))
    return replace(rule, kind=column.kind)


def _undeclared(name: str, table: str, key: str, home: _Home, hashed: bool) -> Rule:
    """A field that no column holds."""
    if hashed:
        raise SettingsError(f"CONNECTOR_EXCLUDE: {name} is no text column, so it cannot be hashed")
    if key in home.fields:
        raise SettingsError(f"CONNECTOR_EXCLUDE: {name} has columns of its own{_near(name)}")
    return Rule(name, table, "extra", (key,), key=key)


def _place(column: Column) -> tuple[str, ...]:
    """Where a column's value stands, with what Intercom wraps around a list."""
    return column.keys[:-1] if is_wrapped_list(column) else column.keys


def _overlap(one: tuple[str, ...], other: tuple[str, ...]) -> bool:
    shorter = min(len(one), len(other))
    return one[:shorter] == other[:shorter]


def _near(name: str) -> str:
    known = [f"{table}.{column}" for table, home in _homes().items() for column in home.columns]
    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    table = name.partition(".")[0]
    if not near and table in _homes():
        near = [known_name for known_name in known if known_name.startswith(f"{table}.")][:3]
    return f"; near are {', '.join(near)}" if near else "; docs/tables.md lists them all"


@cache
def _homes() -> dict[str, _Home]:
    found: dict[str, _Home] = {}
    for table in TABLES:
        for part in table.family():
            found[part.name] = _home(part)
            for link in part.links:
                found[link.table] = _link_home(link)
    for table in TABLES:
        for part in table.family():
            for child in part.children:
                found[child.table.name].kept |= {
                    child.parent: f"it refers to {part.name}",
                    "position": "it is part of the key",
                }
    for name, column, reason in _needed():
        found[name].kept[column] = reason
    return found


def _home(table: Table) -> _Home:
    kept = dict.fromkeys((*BOOKKEEPING, "extra"), "the connector keeps it for itself")
    kept["extra"] = "it is what no column holds; extra.NAME excludes one field of it"
    for column in table.columns:
        if column.refers_to:
            kept[column.name] = f"it refers to {column.refers_to}"
        if column.name in ("created_at", "updated_at"):
            kept[column.name] = "the sync decides by it what is new"
    for name in filter(None, (table.parts.stored, table.parts.truncated, table.parts.counted)):
        kept[name] = "the sync counts by it whether all parts are stored"
    kept |= dict.fromkeys(
        (column.personal for column in table.columns if column.personal),
        "the connector finds by it what a contact wrote, to empty it on demand",
    )
    kept |= dict.fromkeys(table.key, "it is part of the key")
    return _Home({column.name: column for column in table.columns}, kept, table.top_keys())


def _link_home(link: Link) -> _Home:
    kept = {link.owner: "it is part of the key", link.target: "it is part of the key"}
    return _Home({column.name: column for column in link.columns}, kept)


def _needed() -> Iterator[tuple[str, str, str]]:
    """Columns that the sync reads back: table, column, what for."""
    for resource in RESOURCES:
        for column, _ in resource.discriminator:
            yield resource.table.name, column, "it tells the resources of the table apart"
        if isinstance(resource.reading, PerContact):
            if resource.reading.counted:
                yield (
                    PERSONS.name,
                    resource.reading.counted[2],
                    "the sync sees by it what is missing",
                )
            if resource.reading.follows:
                yield PERSONS.name, "last_seen_at", "the sync sees by it whose events to read"


def alike(exclusions: Exclusions) -> list[str]:
    """Columns about contacts that may hold the same values as excluded ones, and are stored."""
    excluded = {(rule.table, rule.column) for rule in exclusions.rules if not rule.key}
    words = {name: column for table, name, column in _personal() if (table, name) in excluded}
    last = {column.keys[-1] for column in words.values()}
    return [
        f"{table}.{name}"
        for table, name, column in _personal()
        if column.keys[-1] in last and (table, name) not in excluded
    ]


def _personal() -> Iterator[tuple[str, str, Column]]:
    for table in TABLES:
        for part in table.family():
            for column in part.columns:
                if column.personal:
                    yield part.name, column.name, column
