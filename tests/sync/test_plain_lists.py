"""Lists that do nothing but list: as the simulator serves them, and as the warehouse mirrors them.

Every entry of PLAIN is tested here by itself: a new one needs no test of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from connector.resources import RESOURCES, TABLE_BY_NAME
from connector.resources.readings import Catalogue, Snapshot
from connector.resources.resource import Kind, Table
from connector.simulator import Simulator, Workspace
from connector.simulator.api.pages import routes
from connector.simulator.records.plain import PLAIN, PlainList
from connector.simulator.requests.routing import Router
from connector.simulator.transport.caller import Caller
from tests.support.harness import NOW, Harness
from tests.support.truth.compared import differences

DAY = 86_400.0


@pytest.mark.parametrize("kind", PLAIN)
async def test_a_plain_list_is_mirrored_and_so_is_what_comes_changes_and_goes(
    harness: Harness, kind: str
) -> None:
    harness.simulate(Workspace.generate(5, contacts=20, companies=3, conversations=3, now=int(NOW)))
    only = tuple(r.name for r in RESOURCES if r.table.name == kind)
    first = str(harness.control.truth(kind)[0]["id"])
    made = harness.control.create_record(kind)
    await _synced(harness, kind, only)
    assert {first, made} <= set(harness.rows(kind))
    harness.pass_time(DAY)
    harness.control.update_record(kind, first, **{_text(harness, kind): "changed"})
    harness.control.delete_record(kind, made)
    await _synced(harness, kind, only)
    assert harness.rows(kind)[made]["_deleted_at"] is not None
    before = harness.versions()
    await _synced(harness, kind, only)
    assert harness.versions() == before


async def _synced(harness: Harness, kind: str, only: tuple[str, ...]) -> None:
    """Sync these resources; then the table is as the simulator knows it."""
    outcome = await harness.sync(only=only)
    assert outcome.exit_code == 0, outcome.error
    assert differences(harness, [TABLE_BY_NAME[kind]]) == []


def _text(harness: Harness, kind: str) -> str:
    """A text that a record of the kind has at its top."""
    record = harness.control.truth(kind)[0]
    texts = [column.path for column in TABLE_BY_NAME[kind].columns if column.kind is Kind.TEXT]
    return next(path for path in texts if isinstance(record.get(path), str))


async def test_plain_lists_refer_to_what_the_simulator_has_and_others_to_what_they_have(
    harness: Harness,
) -> None:
    harness.simulate(Workspace.generate(5, contacts=20, companies=3, conversations=3, now=int(NOW)))
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    for kind in PLAIN:
        unknown = [row["id"] for row in harness.query(f"SELECT id FROM {kind} WHERE _placeholder")]
        assert not unknown, f"simulated records refer to {kind} that PLAIN[{kind!r}] has not"
        for (table, column), target in _references(TABLE_BY_NAME[kind]):
            rows = f"{table} r JOIN {target} o ON o.id = r.{column} AND o._placeholder"
            unknown = [row["id"] for row in harness.query(f"SELECT o.id FROM {rows}")]
            told = f"{table}.{column} of PLAIN[{kind!r}] names {target} that no workspace has"
            assert not unknown, f"{told}: {unknown}"


def _references(table: Table) -> Iterator[tuple[tuple[str, str], str]]:
    """What its rows, links and children refer to: table and column, and the table referred to."""
    for part in table.family():
        for column in part.columns:
            if column.refers_to:
                yield (part.name, column.name), column.refers_to
        for link in part.links:
            yield (link.table, link.target), link.refers_to


# -- the declarations ------------------------------------------------------------------------


def test_every_resource_comes_after_what_it_refers_to() -> None:
    filled_later = {r.name for r in RESOURCES if getattr(r.reading, "within", "")}
    first: dict[str, int] = {}
    for place, resource in enumerate(RESOURCES):
        first.setdefault(resource.table.name, place)
    for resource in RESOURCES:
        for (table, _), target in _references(resource.table):
            late = first[target] > first[resource.table.name] and table not in filled_later
            assert not late, f"RESOURCES: {resource.name} stands before {target}, of which it tells"


@pytest.mark.parametrize("kind", PLAIN)
def test_the_declaration_and_the_simulator_speak_of_the_same_list(kind: str) -> None:
    found = [r for r in RESOURCES if r.table.name == kind]
    assert len(found) == 1, f"PLAIN[{kind!r}]: the key must be the name of one resource's table"
    [resource], listed = found, PLAIN[kind]
    reading, wanted = resource.reading, Catalogue if listed.per_page else Snapshot
    assert isinstance(reading, wanted), f"PLAIN[{kind!r}] has per_page={listed.per_page}"
    assert (reading.path, reading.key) == (listed.path, listed.key)
    by_id = f"{listed.path}/{{id}}" if listed.by_id else ""
    assert resource.by_id == by_id, (
        f"PLAIN[{kind!r}] has by_id={listed.by_id}, so the resource's by_id must be {by_id!r}"
    )


# -- the routes ------------------------------------------------------------------------------


LISTS = {
    "brooms": PlainList("/brooms", "brooms", "broom.list", by_id=True),
    "spells": PlainList("/spells", per_page=2, most=4),
}


@pytest.fixture
def caller(monkeypatch: pytest.MonkeyPatch) -> Caller:
    """A simulator that has these two lists as well, of five records each."""
    monkeypatch.setattr("connector.simulator.simulator.ROUTER", Router(routes(LISTS)))
    for kind, listed in LISTS.items():
        monkeypatch.setitem(PLAIN, kind, listed)
    space = Workspace.generate(1, contacts=2, companies=1, conversations=1, now=int(NOW))
    for kind in LISTS:
        space.directory(kind).update({str(n): {"id": str(n)} for n in range(1, 6)})
    return Caller(Simulator(space, clock=lambda: NOW))


def _ids(answer: dict[str, Any], key: str = "data") -> list[str]:
    return [one["id"] for one in answer[key]]


def test_a_whole_list_has_its_key_and_its_type(caller: Caller) -> None:
    answer = caller.get("/brooms")
    assert answer.keys() == {"type", "brooms"}
    assert answer["type"] == "broom.list"
    assert _ids(answer, "brooms") == ["1", "2", "3", "4", "5"]


def test_one_record_is_read_by_id_only_where_there_is_such_a_read(caller: Caller) -> None:
    assert caller.get("/brooms/3") == {"id": "3"}
    assert caller.ask("GET", "/brooms/6").status == 404
    assert caller.ask("GET", "/spells/3").status == 404


def test_a_paged_list_has_pages(caller: Caller) -> None:
    first, last = caller.get("/spells"), caller.get("/spells", page=3)
    assert (_ids(first), _ids(last)) == (["1", "2"], ["5"])
    assert first["total_count"] == 5
    assert first["pages"]["total_pages"] == 3
    assert _ids(caller.get("/spells", per_page=4)) == ["1", "2", "3", "4"]
    assert caller.ask("GET", "/spells", per_page=5).status == 400


def test_records_are_created_and_left_out_as_those_of_other_lists(caller: Caller) -> None:
    control = caller.simulator.control
    made = control.create_record("brooms", name="new")
    control.omit("brooms", ["2"], 60)
    assert _ids(caller.get("/brooms"), "brooms") == ["1", "3", "4", "5", made]
    assert caller.get(f"/brooms/{made}")["name"] == "new"
    control.cut_lists("brooms", 1)
    assert _ids(caller.get("/brooms"), "brooms") == ["1"]


def test_workspaces_do_not_share_their_records() -> None:
    one, other = (
        Workspace.generate(1, contacts=2, companies=1, conversations=1, now=int(NOW))
        for _ in range(2)
    )
    for kind in PLAIN:
        for record in one.directory(kind).values():
            record["id"] = "changed"
        assert "changed" not in {record["id"] for record in other.directory(kind).values()}
