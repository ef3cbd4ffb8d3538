"""docs/tables.md says what the declarations say, and all that a migrated schema holds."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from connector.commands.tables import tables_markdown
from tests.support.places import ROOT
from tests.support.warehouse import Warehouse, opened

DOCUMENT = ROOT / "docs" / "tables.md"
REMEDY = "docs/tables.md is out of date: python -m connector.commands.tables > docs/tables.md"


@pytest.fixture(scope="module")
def warehouse(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as warehouse:
        yield warehouse


@pytest.fixture(scope="module")
def document() -> str:
    return DOCUMENT.read_text(encoding="utf-8")


def test_the_document_is_what_the_declarations_say(document):
    # Not the two texts side by side: the difference would drown the remedy.
    assert (document == tables_markdown()) is True, REMEDY


def _relations(warehouse: Warehouse, kinds: str) -> set[str]:
    found = warehouse.query(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relkind::text = ANY(string_to_array(%s, ','))",
        warehouse.schema,
        kinds,
    )
    return {row["relname"] for row in found}


def test_every_table_of_a_migrated_schema_is_documented_and_no_other(warehouse, document):
    tables = _relations(warehouse, "r,p")
    assert tables == set(re.findall(r"^### (\w+)$", document, re.MULTILINE))


def test_every_view_of_a_migrated_schema_is_documented_and_no_other(warehouse, document):
    views = _relations(warehouse, "v,m")
    assert {"contacts_live", "users", "leads"} <= views
    assert views == set(re.findall(r"^- View: `(\w+)`", document, re.MULTILINE))


def test_every_column_of_a_migrated_schema_is_documented_with_its_comment(warehouse, document):
    columns = warehouse.query(
        "SELECT c.relname, a.attname, col_description(c.oid, a.attnum) AS told"
        " FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped"
        " WHERE n.nspname = %s AND c.relkind IN ('r', 'p')",
        warehouse.schema,
    )
    common, *_ = document.split("## Resources")
    for column in columns:
        section = re.search(rf"^### {column['relname']}$(.*?)(?=^##|\Z)", document, re.M | re.S)
        assert section
        told = re.escape(column["told"]) if column["told"] else ".+"  # Alembic's own table
        cells = re.compile(rf"^\| `{column['attname']}`.* \| {told} \|$", re.M)
        assert cells.search(section[1]) or cells.search(common), column


def test_every_foreign_key_of_a_migrated_schema_is_in_the_diagram(warehouse, document):
    keys = warehouse.query(
        "SELECT c.conrelid::regclass::text AS source, c.confrelid::regclass::text AS target,"
        " a.attname AS name FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace"
        " JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]"
        " WHERE c.contype = 'f' AND n.nspname = %s",
        warehouse.schema,
    )
    drawn = set(re.findall(r'^    (\w+) }o--(?:o\||\|\|) (\w+) : "(\w+)"$', document, re.M))
    assert {(key["source"], key["target"], key["name"]) for key in keys} == drawn
