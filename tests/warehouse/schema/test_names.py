"""Names that SQL, the driver or a template could take for more than a name, all the way through."""

from __future__ import annotations

import itertools
import os
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from connector.commands import status
from connector.commands import views as command
from connector.simulator import Workspace
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.migrate import migrate
from connector.warehouse.privacy import erasure
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.reports.unmapped import unclaimed
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import copy, execute, fetch, scalar, scalars
from connector.warehouse.sql.names import Names, literal, quote
from connector.warehouse.views.custom_columns import LONGEST
from tests.support.harness import NOW, Harness
from tests.support.records import attribute, contact, conversation, list_attributes, listed, part
from tests.support.warehouse import BY_TABLE, Warehouse, at, opened

SCHEMAS = [
    'we "quote" it\'s',
    "100%",
    "%s %(a)s",
    "Sp ace",
    "UPPER",
    "a:b :c ü{}",
    "Größe",
    "back\\slash\\",
    "$1 $$ {schema}.",
]
WORST = 'a"b\'c %s %(x)s :n \\ {0} Ü "" %'  # all at once

_numbers = itertools.count(1)


@pytest.fixture
def worst(database_url: str) -> Iterator[Database]:
    """The warehouse in a schema of the worst name; dropped afterwards."""
    database = Database(database_url, f"{WORST}{os.getpid()} {next(_numbers)}")
    yield database
    drop = f"DROP SCHEMA IF EXISTS {quote(database.schema)} CASCADE"
    database.write(lambda conn: execute(conn, drop))
    database.close()


@pytest.fixture
def warehouse(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url, WORST) as own:
        yield own


# -- text ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*SCHEMAS, WORST])
def test_names_and_texts_stand_for_themselves_with_and_without_parameters(
    worst: Database, name: str
):
    table, column = Names(worst.schema)(name), quote(name)

    def work(conn: Any) -> None:
        execute(conn, f"CREATE SCHEMA {quote(worst.schema)}")
        execute(conn, f"CREATE TABLE {table} ({column} text)")
        execute(conn, f"COMMENT ON COLUMN {table}.{column} IS {literal(name)}")
        execute(conn, f"INSERT INTO {table} VALUES ({literal(name)})")
        execute(conn, f"INSERT INTO {table} VALUES (%s)", [name])
        query = f"SELECT {column}, {literal(name)} AS {column} FROM {table}"
        assert fetch(conn, query) == [(name, name)] * 2
        assert fetch(conn, f"{query} WHERE {column} = %(n)s", {"n": name}) == [(name, name)] * 2
        assert fetch(conn, f"{query} LIMIT %s", [1]) == [(name, name)]
        found = execute(conn, f"{query} WHERE true", {"not": "asked for"})
        assert [column.name for column in found.description or ()] == [name, name]
        assert scalars(conn, f"SELECT {column} FROM {table} WHERE {column} <> ALL (%s)", [[]]) == (
            [name, name]
        )
        copy(conn, f"COPY {table} ({column}) FROM STDIN", b"x\n")
        assert scalar(conn, f"SELECT count(*) FROM {table}") == 3
        assert scalar(conn, f"SELECT {column} FROM {table} WHERE false", ()) is None

    worst.write(work)


def test_a_refused_statement_is_the_drivers_error_whichever_way_it_went(worst: Database):
    ways: list[Callable[[sa.Connection], object]] = [
        lambda conn: conn.execute(sa.select(sa.table("nowhere", sa.column("x")))),
        *(
            partial(execute, statement="SELECT FROM nowhere", parameters=given)
            for given in (None, (), {"x": 1})
        ),
    ]
    for way in ways:
        with pytest.raises(psycopg.errors.UndefinedTable) as caught:
            worst.write(way)
        told = "".join(traceback.format_exception(caught.value))
        assert told.count("psycopg.errors.UndefinedTable: ") == 1


# -- schemas ---------------------------------------------------------------------------------


@pytest.mark.sampled(4)
@pytest.mark.parametrize("suffix", [*SCHEMAS, WORST])
def test_any_name_of_a_schema_works(database_url: str, suffix: str):
    with opened(database_url, suffix) as odd:
        odd.write("contacts", contact(role="user", tags=listed("a"), owner_id="9"))
        talk = conversation(part("p", files=1))
        odd.write("conversations", talk)
        odd.write("conversations", conversation(), read=1)
        with odd.database.transaction() as conn:
            assert odd.loader.mark_absent(conn, BY_TABLE["tags"], [], at(1), 1) == 0
            assert odd.loader.mark_deleted(conn, BY_TABLE["contacts"], {"nobody": at(1)}, 1) == []
            assert odd.loader.known(conn, BY_TABLE["contacts"], ["1"])
            odd.loader.note_tried(conn, BY_TABLE["tags"], ["a"])
            assert odd.loader.unfilled(conn, BY_TABLE["tags"], 9, 9) == ["a"]
        assert odd.links("contact_tags") == {("1", "a")}
        assert [row["id"] for row in odd.query("SELECT id FROM users")] == ["1"]
        assert odd.one("conversation_parts", "p")["_deleted_at"] == at(1)
        assert migrate(odd.database) is False
        assert command.run(odd.database, rebuild=True) == 0
        assert command.run(odd.database, rebuild=False) == 0
        odd.database.lock()


def test_views_that_are_made_anew_get_back_what_others_gave_them(warehouse: Warehouse):
    list_attributes(warehouse, attribute("gone"))
    view = f"{quote(warehouse.schema)}.contacts_live"
    others = f"COMMENT ON VIEW {view} IS {literal(WORST)}; GRANT SELECT ON {view} TO PUBLIC"
    warehouse.database.write(lambda conn: execute(conn, others))
    warehouse.execute("UPDATE data_attributes SET archived = true")
    assert command.run(warehouse.database, rebuild=True) == 0
    [row] = warehouse.query(
        "SELECT obj_description(oid) AS told, relacl::text AS rights FROM pg_class"
        " WHERE oid = 'contacts_live'::regclass"
    )
    assert row["told"] == WORST
    assert "=r/" in row["rights"]


async def test_everything_that_a_sync_does_is_done_in_a_schema_of_any_name(
    worst: Database, database_url: str
):
    harness = Harness(database_url, worst.schema)
    harness.simulate(
        Workspace.generate(5, contacts=40, companies=6, conversations=10, now=int(NOW), hostile=0.5)
    )
    assert (await harness.sync()).exit_code == 0  # the first load
    before = harness.versions()
    harness.pass_time(4000)
    assert (await harness.sync()).exit_code == 0
    assert harness.versions() == before
    first, second, third = (c["id"] for c in harness.control.truth("contacts")[:3])
    harness.control.delete_contact(first)
    harness.control.add_note(second, body="new")
    harness.pass_time(4000)
    rules = parse("contacts.phone,hash:contacts.email", "k" * 32)
    outcome = await harness.sync(full=True, privacy=Privacy(rules))
    assert outcome.exit_code == 0
    assert harness.rows("contacts")[first]["_deleted_at"]
    assert not [c for c in harness.rows("contacts").values() if c["phone"]]
    names = Names(worst.schema)
    assert worst.write(
        lambda conn: erasure.forget(conn, names, [third], erasure.FORGOTTEN, None, 1)
    )
    assert harness.rows("contacts")[third]["name"] is None
    assert worst.write(lambda conn: erasure.remember(conn, names, [third])) == 1
    assert (await harness.sync(full=True, privacy=Privacy(rules))).exit_code == 0
    assert harness.rows("contacts")[third]["name"] is not None
    facts = worst.read(lambda conn: status.collect(conn, worst.schema))
    assert facts["fine"]
    assert facts["resources"]["users"]["rows"]
    assert worst.read(lambda conn: list(unclaimed(conn, worst.schema)))
    harness.close()


# -- custom attributes -----------------------------------------------------------------------


HOSTILE = [
    "x" * 200,
    "x" * 199 + "y",
    "quote \" and ' and ; DROP TABLE contacts; --",
    "per cent %s %(x)s 100%",
    "{n} {0} {{}}",
    "back\\slash\\",
    "a.b.c",
    "emoji 🎉",
    "🎉",
    "Город",
    "attributes",
    "tab\tnewline\n",
    "$1 $$ :bind",
    "?",
    "0",
    "A B",
    "a-b",
    "a_b",
]


def test_hostile_names_are_columns_like_any_other(warehouse):
    list_attributes(warehouse, *(attribute(name) for name in HOSTILE))
    values = {name: f"value of {name}" for name in HOSTILE}
    warehouse.write("contacts", {"id": "c", "role": "user", "custom_attributes": values})
    stored = warehouse.query("SELECT name, column_name FROM custom_columns")
    assert {row["name"] for row in stored} == set(HOSTILE)
    for view in ("contacts_live", "users"):
        row = warehouse.one(view, "c")
        for name in stored:
            assert row[name["column_name"]] == values[name["name"]]
    names = {row["name"]: row["column_name"] for row in stored}
    assert names["attributes"] == "custom_attributes_2"
    assert {names[name] for name in ("🎉", "Город", "?")} == {
        "custom_attribute",
        "custom_attribute_2",
        "custom_attribute_3",
    }
    assert len({names[name] for name in ("A B", "a-b", "a_b")}) == 3
    assert max(len(name) for name in names.values()) == LONGEST
