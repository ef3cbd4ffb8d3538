"""Any record that Intercom's description allows, and worse: it lands, and no leaf of it is lost."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connector.resources.resource import Kind
from connector.simulator import SimulatorTransport, Workspace
from connector.warehouse.encode.encoder import encode
from tests.support.harness import NOW, Harness
from tests.support.leaves import Collector, as_read
from tests.support.places import DATA
from tests.support.records import JSON_VALUES
from tests.support.warehouse import BY_TABLE, T0, Warehouse, opened

pytestmark = pytest.mark.in_turn(2)

STORED = DATA / "openapi/responses-2.16.json"
SCHEMAS: dict[str, Any] = json.loads(STORED.read_text(encoding="utf-8"))["schemas"]
# Tables whose records the description describes, and under which name.
DESCRIBED: dict[str, Any] = {
    "tags": "tag",
    "segments": "segment",
    "admins": "admin",
    "teams": "team",
    "data_attributes": "data_attribute",
    "subscription_types": "subscription_type",
    "companies": "company",
    "contacts": "contact",
    "conversations": "conversation",
    "tickets": "ticket",
    "ticket_types": "ticket_type",
    "ticket_states": "ticket_state_detailed",
    "articles": "article",
    "collections": "collection",
    "help_centers": "help_center",
    "calls": "call",
    "activity_logs": "activity_log",
    "macros": "macro",
    "news_items": "news_item",
    "newsfeeds": "newsfeed",
}
EXAMPLES = 25  # as the marks say
SLOW = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
# Texts that Postgres holds and that are no signed addresses: those are other tests' business.
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0?"), max_size=12)
INSTANTS = st.integers(1, 4_000_000_000)


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as warehouse:
        yield warehouse


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    return shared


# -- records as described --------------------------------------------------------------------


@functools.cache
def described(name: str) -> st.SearchStrategy[Any]:
    """Values of a schema of the description; where they nest, lists end after a few."""
    return st.deferred(lambda: _values(SCHEMAS[name], name))


def _values(schema: dict[str, Any], name: str = "") -> st.SearchStrategy[Any]:
    found = _not_null(schema, name)
    return st.none() | found if schema.get("nullable") else found


def _not_null(schema: dict[str, Any], name: str) -> st.SearchStrategy[Any]:
    if schema.get("$ref", "").endswith("/datetime"):
        return INSTANTS | INSTANTS.map(lambda time: datetime.fromtimestamp(time, UTC).isoformat())
    if "$ref" in schema:
        return described(schema["$ref"].rsplit("/", 1)[-1])
    for several in ("oneOf", "anyOf", "allOf"):
        if several in schema:
            return st.one_of([_values(one, name) for one in schema[several]])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        return st.lists(_values(schema.get("items", {}), name), max_size=2)
    if kind == "object" or "properties" in schema:
        return _objects(schema)
    if kind == "integer":
        return INSTANTS if schema.get("format") == "date-time" else st.integers(1, 2**40)
    if kind == "number":
        return st.integers(-(10**9), 10**9).map(lambda number: number / 100)
    if kind == "boolean":
        return st.booleans()
    return TEXT


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    properties = schema.get("properties", {})
    inner = {key: _values(value) for key, value in properties.items()}
    lists = [key for key, value in properties.items() if value.get("type") == "array"]
    if lists and "id" not in inner:
        inner["type"] = st.just("thing.list")
        schema = schema | {"required": [*schema.get("required", ()), *lists]}
    if not inner:
        return st.dictionaries(TEXT.filter(bool), TEXT | st.integers() | st.booleans(), max_size=3)
    required = {key: inner.pop(key) for key in schema.get("required", ()) if key in inner}
    return st.fixed_dictionaries(required, optional=inner)


def identified(value: Any, numbers: Iterator[int] | None = None) -> Any:
    """The value, every object in a list with an id of its own, as in a real workspace."""
    numbers = numbers or itertools.count(1)
    if isinstance(value, list):
        return [
            identified({**item, "id": str(next(numbers))} if isinstance(item, dict) else item,
                       numbers)
            for item in value
        ]  # fmt: skip
    if isinstance(value, dict):
        return {key: identified(inner, numbers) for key, inner in value.items()}
    return value


def record_of(table: str, data: st.DataObject) -> dict[str, Any]:
    record = identified(data.draw(_not_null(SCHEMAS[DESCRIBED[table]], table)))
    kinds = {name: BY_TABLE[table].column(name).kind for name in BY_TABLE[table].key}
    return record | {name: 5 if kind is Kind.INSTANT else "x1" for name, kind in kinds.items()}


@pytest.mark.fault(
    "any record that Intercom's OpenAPI description allows, of 20 tables",
    "every leaf is in a column, a link, a child or extra",
    times=25,
)
@pytest.mark.parametrize("table", DESCRIBED)
def test_no_leaf_of_any_described_record_is_lost(
    warehouse: Warehouse, injected: Any, table: str
) -> None:
    every_leaf_is_kept(warehouse, injected, table, derandomize=True, max_examples=EXAMPLES)


@pytest.mark.chaos
@pytest.mark.fault("the same, other ones each time", "the same", times=100)
@pytest.mark.parametrize("table", DESCRIBED)
def test_no_leaf_of_many_described_records_is_lost(
    warehouse: Warehouse, injected: Any, table: str
) -> None:
    every_leaf_is_kept(warehouse, injected, table, max_examples=100)


def every_leaf_is_kept(warehouse: Warehouse, injected: Any, table: str, **how: Any) -> None:
    @settings(deadline=None, database=None, suppress_health_check=SLOW, **how)
    @given(st.data())
    def each(data: st.DataObject) -> None:
        warehouse.clear()
        record = record_of(table, data)
        warehouse.write(table, as_read(record))
        lost = Collector(warehouse).lost(table, record)
        # A null in an object's place says the same as its empty columns.
        assert [leaf for leaf in lost if not leaf.endswith("= None")] == []
        injected()

    each()


# -- and worse -------------------------------------------------------------------------------


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of every value inside a value."""
    if path:
        yield path
    if isinstance(value, dict | list):
        inner = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in inner:
            yield from places(item, (*path, key))


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy with another value in one place."""
    if not path:
        return new
    copy: Any = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


HOSTILE: st.SearchStrategy[Any] = JSON_VALUES | st.sampled_from(
    [None, [], {}, 0, "", -1, 2**63, -(2**70), 1e308, "\0", "\udfff", 253402300800, -62135596801]
)


@pytest.mark.fault(
    "records of 20 tables with anything at all in up to three places: null for an object, an"
    " object for a list, NUL, lone surrogates, numbers past 64 bits, instants before 1970 and past"
    " 9999",
    "the record and its neighbour land, the second time without a write",
    times=25,
)
@pytest.mark.parametrize("table", DESCRIBED)
def test_anything_in_any_place_stops_no_batch_and_is_written_once(
    warehouse: Warehouse, injected: Any, table: str
) -> None:
    anything_lands(warehouse, injected, table, derandomize=True, max_examples=EXAMPLES)


@pytest.mark.chaos
@pytest.mark.fault("the same, other ones each time", "the same", times=60)
@pytest.mark.parametrize("table", DESCRIBED)
def test_anything_in_many_places_stops_no_batch_and_is_written_once(
    warehouse: Warehouse, injected: Any, table: str
) -> None:
    anything_lands(warehouse, injected, table, max_examples=60)


def anything_lands(warehouse: Warehouse, injected: Any, table: str, **how: Any) -> None:
    @settings(deadline=None, database=None, suppress_health_check=SLOW, **how)
    @given(st.data())
    def each(data: st.DataObject) -> None:
        warehouse.clear()
        record = record_of(table, data)
        for _ in range(data.draw(st.integers(1, 3))):
            ways = [path for path in places(record) if path[0] not in BY_TABLE[table].key]
            if ways:
                path = data.draw(st.sampled_from(ways))
                record = replaced(record, path, data.draw(HOSTILE))
        key = BY_TABLE[table].key[-1]
        neighbour = record_of(table, data) | {key: "x2"}
        written = warehouse.write(table, record, neighbour, by_id=True)
        assert written.inserted == 2
        assert len(warehouse.query(f'SELECT FROM "{table}" WHERE NOT _placeholder')) == 2
        before = warehouse.versions()
        again = warehouse.write(table, record, neighbour, by_id=True)
        assert (again.inserted, again.updated) == (0, 0)
        assert warehouse.versions() == before
        injected()

    each()


@pytest.mark.fault(
    "a record of 10 MB, attribute names of 200 characters with quotes, percent signs and emoji",
    "lands as it was sent",
    times=5,
)
def test_large_records_and_odd_attribute_names_land_as_they_were_sent(
    warehouse: Warehouse, injected: Any
) -> None:
    names = ['"; DROP TABLE contacts; --', "100 % %s %(x)s {0} {x}", "\U0001f600 \u4f60\u597d",
             "n" * 200, "back\\slash 'quote' :colon"]  # fmt: skip
    attributes: dict[str, Any] = {name: name for name in names}
    attributes["long"] = "x" * 10_000_000
    warehouse.write("contacts", {"id": "1", "custom_attributes": attributes})
    assert warehouse.one("contacts", "1")["custom_attributes"] == attributes
    injected(len(names))


async def test_what_a_page_repeats_or_leaves_out_stops_no_run(harness: Harness) -> None:
    """Duplicate ids in one page, records without an id, over the whole way."""
    few: dict[str, Any] = {
        "events": 20, "tickets": 5, "articles": 5, "macros": 5, "calls": 5, "activity_logs": 5,
    }  # fmt: skip
    harness.simulate(
        Workspace.generate(3, contacts=30, companies=5, conversations=10, now=int(NOW), **few)
    )
    transport = SimulatorTransport(harness.simulator)
    answer = harness.simulator.respond

    def spoilt(request: Any) -> Any:
        response = answer(request)
        if request.path in ("/tags", "/contacts/search", "/conversations/search", "/events"):
            body = json.loads(response.body)
            key = next(name for name, value in body.items() if isinstance(value, list))
            body[key] = [*body[key], *body[key][:3], {}, {"id": None}, {"id": [1]}, None, 7]
            response.body = json.dumps(body).encode()
        return response

    harness.simulator.respond = spoilt  # type: ignore[method-assign]
    outcome = await harness.sync(harness.client(transport=transport))
    assert outcome.exit_code == 0, outcome.error
    assert outcome.resources["tags"].warnings > 0
    for table, number in (("contacts", 30), ("conversations", 10)):
        rows = harness.query(f"SELECT count(*) AS n FROM {table}_live")
        assert rows == [{"n": number}]
    assert encode(BY_TABLE["tags"], [{}, {"id": "1"}], [T0, T0]).staged["tags"].rows == 1
