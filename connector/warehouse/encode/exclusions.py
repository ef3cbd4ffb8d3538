"""What the settings keep out of the warehouse, as a value; knows the declarations, not SQL.

An excluded value is taken out of a record before anything else looks at it, together with
whatever stands where it should be: so it can reach no column, no ``extra`` and no warning. It is
also taken out of the copies that other objects embed as references.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cached_property
from typing import Any, Final

from msgspec import Struct, field

from connector.resources.lists import Record
from connector.resources.resource import Column, Kind, Link, Table
from connector.warehouse.values.fields import tidy
from connector.warehouse.values.shape import Path
from connector.warehouse.values.signatures import INTERCOM, Signatures

GONE: Final = object()


class Rule(Struct, frozen=True):
    """One excluded field: of which table, where it stands in a record, which column holds it.

    ``key`` is the one entry of the map ``column`` that is meant; "" means all of the column.
    ``other_shapes`` are columns of the same place in another shape: they hold nothing either.
    """

    name: str
    table: str
    column: str
    path: Path
    hashed: bool = False
    key: str = ""
    other_shapes: tuple[str, ...] = ()
    kind: Kind | None = None  # of the column; None where no column is meant


class Node(Struct, eq=False):
    """What is known of one place in a record: it is excluded, or leads to what is.

    ``is_map``: its keys are the customer's own, and are cleaned before they are stored.
    """

    rule: Rule | None = None
    inner: dict[str, Node] = field(default_factory=dict)
    elements: Node | None = None
    is_map: bool = False

    def at(self, path: Path) -> Node:
        """The node at a path below this one."""
        node = self
        for key in path:
            node = node.inner.setdefault(key, Node())
        return node

    def excluding(self, rule: Rule) -> None:
        """Note the rule below this node, unless there is one already."""
        place = self.at(rule.path)
        place.rule = place.rule or rule
        if rule.key:
            self.at(rule.path[:-1]).is_map = True

    @property
    def leads_on(self) -> bool:
        return bool(self.rule or self.inner or self.elements)


Leaf = Callable[[Rule, Any], Any]


class Exclusions:
    """The excluded fields; false if there are none. Pure: records in, records out.

    ``signatures`` tell what of a text is no content: hashes are made of the rest, so that the
    same content has the same hash at every read.
    """

    def __init__(
        self, rules: Iterable[Rule] = (), key: str = "", signatures: Signatures = INTERCOM
    ) -> None:
        self.rules = tuple(sorted(rules, key=lambda rule: rule.name))
        self.signatures = signatures
        self._key = key.encode()

    def __bool__(self) -> bool:
        return bool(self.rules)

    def __repr__(self) -> str:
        return f"Exclusions({', '.join(rule.name for rule in self.rules)})"  # never the key

    @cached_property
    def fingerprint(self) -> str:
        """Another text for other exclusions or another key, "" for none; never tells the key."""
        if not self.rules:
            return ""
        told = "\n".join(f"{rule.name}\t{self.manner(rule)}" for rule in self.rules)
        return hashlib.sha256(told.encode()).hexdigest()

    def manner(self, rule: Rule) -> str:
        """How the field is stored: "null", or "hash:" and what tells one key from another."""
        return f"hash:{self._hashed('intercom-warehouse')[:16]}" if rule.hashed else "null"

    def only(self, names: Iterable[str]) -> Exclusions:
        """Those of these names."""
        wanted = set(names)
        return self.with_rules(rule for rule in self.rules if rule.name in wanted)

    def with_rules(self, rules: Iterable[Rule]) -> Exclusions:
        """Others, hashed with the same key."""
        return Exclusions(rules, self._key.decode(), self.signatures)

    def on(self, tables: Collection[str]) -> Exclusions:
        """Those of fields of these tables."""
        return self.only(rule.name for rule in self.rules if rule.table in tables)

    def records(self, table: Table, records: Sequence[Record]) -> Sequence[Record]:
        """The records as they may be stored; the given ones stay as they are."""
        node = self._tree(table)
        if not node.leads_on:
            return records
        return [_object(node, record, self._stored) for record in records]

    def lists(
        self, table: Table, lists: Mapping[tuple[int, str], Sequence[Any]]
    ) -> Mapping[tuple[int, str], Sequence[Any]]:
        """Complete lists of records, by (place of the record, link table)."""
        nodes = {link.table: self._elements(link) for link in table.links}
        return {
            (key, name): _list(node, elements, self._stored)
            if (node := nodes.get(name)) and node.leads_on
            else elements
            for (key, name), elements in lists.items()
        }

    def extra(self, table: Table, extra: dict[str, Any]) -> dict[str, Any]:
        """A stored ``extra`` without what is excluded, and without objects that this empties."""
        return _object(self._tree(table), extra, lambda rule, value: GONE, prune=True)

    def extra_keys(self, table: Table) -> list[str]:
        """The keys of ``extra`` under which something excluded could be stored."""
        return sorted(self._tree(table).inner)

    def stored(self, rule: Rule, text: str | None) -> str | None:
        """What is to be stored in place of a text that is stored now."""
        if not rule.hashed or text is None:
            return None
        if rule.kind is Kind.URL:
            return self._hashed(text.partition("?")[0])
        return self._hashed(self.signatures.unsigned(text))

    # -- inside ------------------------------------------------------------------------------

    def _stored(self, rule: Rule, value: Any) -> Any:
        if type(value) is int and rule.kind is Kind.ID:  # stored as text
            value = str(value)
        if type(value) is str and rule.hashed:
            return self.stored(rule, tidy(value))
        return GONE if rule.key else None

    def _hashed(self, text: str) -> str:
        return hmac.new(self._key, text.encode(), hashlib.sha256).hexdigest()

    @cached_property
    def _by_table(self) -> dict[str, list[Rule]]:
        found: dict[str, list[Rule]] = {}
        for rule in self.rules:
            found.setdefault(rule.table, []).append(rule)
        return found

    @cached_property
    def _trees(self) -> dict[Table, Node]:
        return {}

    def _tree(self, table: Table) -> Node:
        if table not in self._trees:
            self._trees[table] = self._grown(table)
        return self._trees[table]

    def _grown(self, table: Table) -> Node:
        root = Node()
        for rule in self._by_table.get(table.name, ()):
            root.excluding(rule)
        for column in table.columns:
            if column.refers_to and len(column.keys) > 1 and column.keys[-1] == "id":
                self._copies(root, column.refers_to, column.keys[:-1], table.columns)
        for link in table.links:
            self._graft(root, link.every_path, self._elements(link))
        for child in table.children:
            self._graft(root, child.paths, self._tree(child.table))
        return root

    def _elements(self, link: Link) -> Node:
        """The elements of a list of references."""
        node = Node()
        for rule in self._by_table.get(link.table, ()):
            node.excluding(rule)
        if link.item:  # else the elements are ids
            self._copies(node, link.refers_to, tuple(link.item.split(".")[:-1]), link.columns)
        return node

    def _copies(self, node: Node, table: str, at: Path, own: Iterable[Column]) -> None:
        """What a reference may copy of an object of that table, unless a column of its own."""
        kept = {column.keys for column in own}
        for rule in self._by_table.get(table, ()):
            if (*at, *rule.path) not in kept:
                node.at(at).excluding(rule)

    def _graft(self, root: Node, paths: Iterable[Path], elements: Node) -> None:
        if elements.leads_on:
            for path in paths:
                root.at(path).elements = elements


NONE: Final = Exclusions()


class Privacy(Struct, frozen=True):
    """What is never stored, and whether a contact deleted at Intercom is emptied here too."""

    exclusions: Exclusions = NONE
    scrubs_deleted: bool = False


def _object(
    node: Node, value: Mapping[str, Any], leaf: Leaf, prune: bool = False
) -> dict[str, Any]:
    out = dict(value)
    for key, inner in node.inner.items():
        for found in _spellings(key, out, node.is_map):
            new = _value(inner, out[found], leaf, prune)
            if new is GONE or (prune and new == {}):
                del out[found]
            else:
                out[found] = new
    return out


def _spellings(key: str, value: Mapping[str, Any], is_map: bool) -> list[str]:
    """The key; in a map also others that are stored under its name, cleaned."""
    if not is_map:
        return [key] if key in value else []
    return [found for found in value if found == key or tidy(found) == key]


def _value(node: Node, value: Any, leaf: Leaf, prune: bool) -> Any:
    """What may be stored of the value; GONE where even its shape would tell."""
    if node.rule:
        return leaf(node.rule, value)
    if value is None:
        return None
    if node.elements and (type(value) is list or not node.inner):  # else it may be wrapped
        return _list(node.elements, value, leaf) if type(value) is list else GONE
    if node.is_map and prune:  # what did not fit into a map stands there, under any spelling
        return GONE
    return _object(node, value, leaf, prune) if type(value) is dict else GONE


def _list(node: Node, elements: Sequence[Any], leaf: Leaf) -> list[Any]:
    """The elements; of what is no object only the place is left."""
    return [_object(node, element, leaf) if type(element) is dict else None for element in elements]
