"""The shape of a table's records, known before any comes: paths, lists, what is no data. Pure."""

from __future__ import annotations

from functools import cache

from msgspec import Struct

from connector.resources import TABLES
from connector.resources.resource import Column, Link, Table

Path = tuple[str, ...]

# What stands around a list or names a record's own type is no data.
WRAPPER = frozenset({"type", "url", "has_more", "total_count", "pages"})
REFERENCE = frozenset({"id", "type", "url"})


class Shape(Struct, frozen=True):
    """What is known of a table before any record: object paths, and the keys known in each."""

    prefixes: tuple[Path, ...]
    known: dict[Path, frozenset[str]]
    leaves: frozenset[Path]
    lists: frozenset[Path]

    @classmethod
    @cache
    def of(cls, table: Table) -> Shape:
        leaves = [column.keys for column in table.columns]
        lists = [path for link in table.links for path in link.every_path]
        lists += [path for child in table.children for path in child.paths]
        known: dict[Path, set[str]] = {(): {"type"}}
        for path in (*leaves, *lists):
            for depth in range(len(path)):
                known.setdefault(path[:depth], {"type"}).add(path[depth])
        wrapped = [path for path in lists if len(path) > 1]
        wrapped += [column.keys for column in table.columns if is_wrapped_list(column)]
        for path in wrapped:
            known[path[:-1]] |= WRAPPER
        known[()] |= {told.path for told in table.derived}
        for repeated in table.repeats:
            *outer, last = repeated.split(".")
            known.setdefault(tuple(outer), {"type"}).add(last)
        for c in table.columns:
            if len(c.keys) > 1 and c.keys[-1] == "id":
                named = (c.refers_to, *c.names) if c.refers_to else c.names
                known[c.keys[:-1]] |= frozenset().union(*map(copied, named))
        prefixes = tuple(sorted((path for path in known if path), key=len))
        return cls(
            prefixes,
            {path: frozenset(keys) for path, keys in known.items()},
            frozenset(leaves),
            frozenset(lists),
        )


@cache
def copied(name: str) -> frozenset[str]:
    """The keys of a reference to a row of that table that are copies of it, and no data."""
    table = next(table for table in TABLES if table.name == name)
    return REFERENCE | table.top_keys()


def copies(kind: str) -> frozenset[str]:
    """What a reference of this ``type`` copies from the row that its id names."""
    return _copies().get(kind, frozenset())


@cache
def _copies() -> dict[str, frozenset[str]]:
    return {kind: copied(table.name) - REFERENCE for table in TABLES for kind in table.types}


def is_wrapped_list(column: Column) -> bool:
    """Whether the column holds the list inside ``{type: list, data: [...]}``."""
    keys = column.keys
    return len(keys) > 1 and (keys[-1] == "data" or keys[-1] == keys[-2])


@cache
def link_keys(link: Link) -> frozenset[str]:
    """What an element may hold that is stored, or a copy."""
    told = {column.keys[0] for column in link.columns} | {link.item.split(".")[0]}
    return copied(link.refers_to) | told
