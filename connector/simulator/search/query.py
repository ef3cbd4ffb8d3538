"""Compiles a search body into ranges over sorted indexes plus tests, and runs it.

Knows the grammar and the limits of Intercom's search; what an operator means is in `operators`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from connector.simulator.records.shelf import INDEXED, Entry, Item, Shelf
from connector.simulator.search.days import Span, contains, intersection, union
from connector.simulator.search.fields import Field, Fields, Probe
from connector.simulator.search.operators import (
    OPERATORS,
    Dates,
    Test,
    date_test,
    invalid,
    scalar_test,
)
from connector.simulator.search.results import Run, Selection

# Intercom's limits of one search.
MAX_FILTERS = 15
MAX_NESTING = 2
_INDEXED_TIMES = ("created_at", "updated_at")


class Plan(Struct):
    """A compiled query: groups, ids and time ranges that an index answers, tests for the rest.

    ``ids`` only narrow down what is tested.
    """

    groups: frozenset[str] | None = None
    ids: frozenset[str] | None = None
    ranges: dict[str, list[Span]] = field(default_factory=dict)
    tests: list[Test] = field(default_factory=list)

    def accepts(self, item: Item) -> bool:
        """True when the record matches."""
        if self.groups is not None and item.group not in self.groups:
            return False
        for name, spans in self.ranges.items():
            at = item.created_at if name == "created_at" else item.updated_at
            if not contains(spans, at):
                return False
        if not self.tests:
            return True
        probe = Probe(item)
        return all(test(probe) for test in self.tests)


class Language(Struct, frozen=True):
    """What one search endpoint accepts: its fields, its dates, and the groups `role` names."""

    fields: Fields
    dates: Dates
    roles: frozenset[str] = frozenset()


def compile_query(query: Any, language: Language) -> Plan:
    """The plan of a whole `query` object; raises the 400 Intercom answers."""
    if not isinstance(query, Mapping):
        raise invalid("query is required", "parameter_not_found")
    return _compile(query, language, 0)


def _compile(node: Any, language: Language, depth: int) -> Plan:
    if not isinstance(node, Mapping):
        raise invalid("Each filter must be an object")
    if "field" in node:
        return _filter(node, language)
    operator, parts = node.get("operator"), node.get("value")
    if operator not in ("AND", "OR") or not isinstance(parts, list) or not parts:
        raise invalid("A group of filters needs the operator AND or OR and a list of filters")
    if len(parts) > MAX_FILTERS:
        raise invalid(f"A maximum of {MAX_FILTERS} filters is allowed in each group")
    if depth >= MAX_NESTING:
        raise invalid(f"Filters can be nested {MAX_NESTING} levels deep at most")
    plans = [_compile(part, language, depth + 1) for part in parts]
    return _both(plans) if operator == "AND" else _either(plans)


def _filter(node: Mapping[str, Any], language: Language) -> Plan:
    name, operator, value = node.get("field"), node.get("operator"), node.get("value")
    known: Field | None = language.fields.get(str(name))
    if known is None:
        raise invalid(f"{name} is not a valid search field", "invalid_field")
    if not isinstance(operator, str) or operator not in OPERATORS:
        raise invalid(f"{operator!r} is not a valid operator")
    if name == "role" and language.roles:
        return _role(operator, value, language.roles)
    if known.type != "date":
        tests = [scalar_test(str(name), known, operator, value)]
        return Plan(ids=_ids(operator, value) if name == "id" else None, tests=tests)
    spans = language.dates.spans(str(name), operator, value)
    if spans is not None and name in _INDEXED_TIMES:
        return Plan(ranges={str(name): spans})
    return Plan(tests=[date_test(known, spans, operator, value)])


def _ids(operator: str, value: Any) -> frozenset[str] | None:
    named = value if isinstance(value, list) else [value]
    if operator not in ("=", "IN") or not all(isinstance(one, str) for one in named):
        return None
    return frozenset(named)


def _role(operator: str, value: Any, roles: frozenset[str]) -> Plan:
    named = value if isinstance(value, list) else [value]
    if operator not in ("=", "!=", "IN", "NIN") or not all(
        isinstance(one, str) and one in roles for one in named
    ):
        raise invalid("role accepts user or lead")
    if isinstance(value, list) != (operator in ("IN", "NIN")):
        raise invalid(f"The value does not fit the operator {operator}")
    wanted = frozenset(named)
    return Plan(groups=wanted if operator in ("=", "IN") else roles - wanted)


def _both(plans: list[Plan]) -> Plan:
    whole = Plan()
    for plan in plans:
        if plan.groups is not None:
            whole.groups = plan.groups if whole.groups is None else whole.groups & plan.groups
        if plan.ids is not None:
            whole.ids = plan.ids if whole.ids is None else whole.ids & plan.ids
        for name, spans in plan.ranges.items():
            known = whole.ranges.get(name)
            whole.ranges[name] = spans if known is None else intersection(known, spans)
        whole.tests.extend(plan.tests)
    return whole


def _either(plans: list[Plan]) -> Plan:
    # Connectors ask `updated_at > x OR updated_at = x`: alternatives over one field stay a range.
    names = {name for plan in plans for name in plan.ranges}
    pure = all(len(p.ranges) == 1 and p.groups is None and not p.tests for p in plans)
    if pure and len(names) == 1:
        name = names.pop()
        return Plan(ranges={name: union([span for plan in plans for span in plan.ranges[name]])})
    if all(plan.groups is not None and not plan.ranges and not plan.tests for plan in plans):
        return Plan(groups=frozenset().union(*(plan.groups or () for plan in plans)))
    return Plan(tests=[lambda probe: any(plan.accepts(probe.item) for plan in plans)])


def select(
    shelf: Shelf, plan: Plan, sort: str, groups: frozenset[str], fields: Fields
) -> Selection:
    """Run a plan over what the index shows, in the order of `sort`."""
    wanted = sorted(groups if plan.groups is None else groups & plan.groups)
    is_time = sort != "id" and fields[sort].type == "date"
    only_sorted = all(name == sort for name in plan.ranges)
    if sort in INDEXED and only_sorted and not plan.tests:
        spans = plan.ranges.get(sort, [(None, None)])
        runs = [run for group in wanted for run in _runs(shelf.index(sort, group), spans)]
        return Selection(runs, is_time)
    found = [item for item in _candidates(shelf, plan, wanted) if plan.accepts(item)]
    if sort in INDEXED:
        entries = sorted(item.entry(sort) for item in found)
        return Selection([(entries, 0, len(entries))], is_time)
    entries = _by_field(found, fields[sort])
    return Selection([(entries, 0, len(entries))], is_time, nullable=True)


def _runs(entries: list[Entry], spans: list[Span]) -> list[Run]:
    return [
        (
            entries,
            0 if low is None else bisect_left(entries, (low,)),
            len(entries) if high is None else bisect_left(entries, (high,)),
        )
        for low, high in spans
    ]


def _candidates(shelf: Shelf, plan: Plan, groups: list[str]) -> list[Item]:
    if plan.ids is not None:
        return [item for item in shelf.listed_of(plan.ids) if item.group in groups]
    best: list[Run] | None = None
    for name, spans in plan.ranges.items():
        runs = [run for group in groups for run in _runs(shelf.index(name, group), spans)]
        if best is None or Selection(runs, False).total < Selection(best, False).total:
            best = runs
    if best is None:
        best = [run for g in groups for run in _runs(shelf.index("id", g), [(None, None)])]
    return [entry[2] for entries, lo, hi in best for entry in entries[lo:hi]]


def _by_field(found: list[Item], known: Field) -> list[Entry]:
    entries: list[Entry] = []
    for item in found:
        value = _sortable(known, known.read(Probe(item)))
        entries.append(((value is not None, value), item.key, item))
    entries.sort(key=lambda entry: entry[:2])
    return entries


def _sortable(known: Field, value: Any) -> Any:
    # Attributes may hold values of another type than they are declared with; those sort as null.
    is_text = known.type == "string"
    return value if isinstance(value, str if is_text else int | float) else None
