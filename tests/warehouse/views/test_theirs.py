"""What others made in the schema, or of our views, stays: it is named, never replaced."""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from connector.commands import views as command
from connector.errors import NamesTakenError, SchemaBusyError, ViewsInUseError
from connector.simulator import Workspace
from connector.warehouse.migrate import check, migrate, refuse_taken
from connector.warehouse.schema import relations
from connector.warehouse.schema.tables import metadata
from connector.warehouse.sql import database as database_module
from connector.warehouse.sql import locks
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.sql.execute import scalar
from connector.warehouse.views.definitions import makers
from tests.support.harness import NOW, Harness
from tests.support.postgres import older
from tests.support.records import attribute
from tests.support.warehouse import Warehouse, opened
from tests.warehouse.house import House, by_default, columns, reads

pytestmark = pytest.mark.in_turn(2)

# -- names that somebody else has ------------------------------------------------------------

THEIRS = {
    "table contacts": "CREATE TABLE contacts (x int)",
    "view users": "CREATE VIEW users AS SELECT 1 AS x",
    "materialized view tags_live": "CREATE MATERIALIZED VIEW tags_live AS SELECT 1 AS x",
    "sequence tags": "CREATE SEQUENCE tags",
    "index tickets_created_at_idx": "CREATE TABLE other (x int);"
    " CREATE INDEX tickets_created_at_idx ON other (x)",
    "partitioned table events": "CREATE TABLE events (x int) PARTITION BY LIST (x)",
    "composite type calls": "CREATE TYPE calls AS (x int)",
    "type macros": "CREATE TYPE macros AS ENUM ('x')",
    "type outbox_id_seq": "CREATE TYPE outbox_id_seq AS ENUM ('x')",
    "view conversation_parts_live": "CREATE VIEW conversation_parts_live AS SELECT 1 AS x",
    "table sync_version": "CREATE TABLE sync_version (installed_rank int)",
    "view sync_workspace": "CREATE VIEW sync_workspace AS SELECT 1 AS x",
    "sequence sync_runs_id_seq": "CREATE SEQUENCE sync_runs_id_seq",
    "table admins_pkey": "CREATE TABLE admins_pkey (x int)",
    "foreign table teams": "CREATE FOREIGN DATA WRAPPER w_{schema};"
    " CREATE SERVER s_{schema} FOREIGN DATA WRAPPER w_{schema};"
    " CREATE FOREIGN TABLE teams (x int) SERVER s_{schema}",
}


@pytest.fixture
def occupied(house: House) -> Iterator[House]:
    """A schema of somebody else, in which much bears names that are needed."""
    quoted = f'"{house.schema}"'
    house.do(f"CREATE SCHEMA {quoted}")
    house.do(*(statement.format(schema=house.schema) for statement in THEIRS.values()))
    yield house
    house.do(f"DROP FOREIGN DATA WRAPPER w_{house.schema} CASCADE")


def test_all_names_that_are_taken_are_told_at_once_and_nothing_is_made(occupied: House):
    before = occupied.relations()
    with pytest.raises(NamesTakenError) as caught:
        occupied.migrate()
    assert caught.value.exit_code == 2
    told = str(caught.value).partition("needs: ")[2].partition(";")[0]
    assert sorted(told.split(", ")) == sorted(THEIRS)
    assert occupied.relations() == before


@pytest.mark.parametrize("name", ["sync_windows", "sync_nominees", "sync_hidden"])
@pytest.mark.parametrize("made", ["TABLE {} (x int)", "VIEW {} AS SELECT 1 AS a"])
def test_names_that_migrations_need_for_a_while_are_refused_too(house: House, name: str, made: str):
    house.do(f'CREATE SCHEMA "{house.schema}"')
    house.do("CREATE " + made.format(f'"{house.schema}".{name}'))
    before = house.relations()
    with pytest.raises(NamesTakenError, match=name):
        house.migrate()
    assert house.relations() == before


def test_an_index_of_others_is_not_renamed_with_our_table(house: House):
    house.do(f'CREATE SCHEMA "{house.schema}"', f'CREATE TABLE "{house.schema}".o1 (x int)')
    house.do(f'CREATE INDEX sync_windows_pkey ON "{house.schema}".o1 (x)')
    with pytest.raises(NamesTakenError, match="index sync_windows_pkey"):
        house.migrate()


@pytest.mark.parametrize("what", THEIRS)
def test_each_kind_of_relation_is_refused_alone(house: House, what: str):
    house.do(f'CREATE SCHEMA "{house.schema}"', THEIRS[what].format(schema=house.schema))
    before = house.relations()
    with pytest.raises(NamesTakenError, match=what):
        house.migrate()
    assert house.relations() == before
    if "foreign" in what:
        house.do(f"DROP FOREIGN DATA WRAPPER w_{house.schema} CASCADE")


def test_what_bears_other_names_is_no_hindrance_and_stays(house: House):
    house.do(
        f'CREATE SCHEMA "{house.schema}"',
        "CREATE TABLE my_contacts (x int)",
        "CREATE VIEW my_users AS SELECT * FROM my_contacts",
        "CREATE SEQUENCE contacts_seq",
        "CREATE TYPE admins_pkey AS ENUM ('x')",  # no index clashes with a type
        "CREATE FUNCTION contacts() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    )
    before = house.relations()
    assert house.migrate() is True
    assert [row for row in house.relations() if row in before] == before


def test_what_is_needed_is_what_a_migrated_schema_holds(house: House):
    house.migrate()
    held = {row["relname"]: row["relkind"] for row in house.relations()}
    assert held == relations.needed(makers())
    with house.database() as database, database.transaction() as conn:
        assert relations.noted(conn) == set(held)


# -- upgrades --------------------------------------------------------------------------------


def views(house: House) -> dict[str, str]:
    rows = house.ask(
        "SELECT viewname, definition FROM pg_views WHERE schemaname = %s", house.schema
    )
    return {row["viewname"]: row["definition"] for row in rows}


def test_the_views_of_an_older_version_are_known_and_brought_up_to_date(old: House, caplog):
    before = {view: columns(old, view) for view in views(old)}
    assert old.migrate() is True
    assert caplog.messages == []
    assert set(views(old)) == set(makers())
    for view, names in before.items():
        assert columns(old, view)[: len(names)] == names
    with old.database() as database:
        assert command.run(database, rebuild=False) == 0
        with database.transaction() as conn:
            assert check(conn, old.schema) is True
            noted = relations.made(conn, makers())
    assert all(made.fingerprint and made.comments for made in noted.values())
    assert set(noted) == set(makers())


def test_views_that_cannot_be_recognized_at_the_upgrade_are_recognized_later(
    old: House, analyst: str, caplog: pytest.LogCaptureFixture
):
    [row] = old.ask("SELECT current_database() AS base")
    old.do(f'REVOKE TEMPORARY ON DATABASE "{row["base"]}" FROM PUBLIC')
    try:
        old.do(f'ALTER SCHEMA "{old.schema}" OWNER TO {analyst}')
        for relation in old.relations():
            if relation["relkind"] in ("r", "v"):
                old.do(f'ALTER TABLE "{relation["relname"]}" OWNER TO {analyst}')
        with old.database(analyst) as database:
            add_attribute(database, "new")
            assert migrate(database) is True
        assert "permission denied to create temporary" in caplog.text
        assert "custom_new" not in columns(old, "contacts_live")
    finally:
        old.do(f'GRANT TEMPORARY ON DATABASE "{row["base"]}" TO PUBLIC')
    with old.database(analyst) as database:
        assert command.run(database, rebuild=False) == 0
    assert "custom_new" in columns(old, "contacts_live")


def test_an_upgrade_refuses_before_it_changes_anything(old: House):
    old.do(
        "CREATE VIEW conversation_parts_live AS SELECT id FROM conversation_parts",
        "CREATE TABLE ticket_parts_live (x int)",
        "CREATE INDEX sync_relations ON contacts (email)",
        "DROP VIEW tags_live",
        "CREATE TABLE tags_live (x int)",
    )
    before = old.relations()
    with pytest.raises(NamesTakenError) as caught:
        old.migrate()
    told = str(caught.value).partition("needs: ")[2].partition(";")[0]
    assert told.split(", ") == [
        "view conversation_parts_live",
        "index sync_relations",
        "table tags_live",
        "table ticket_parts_live",
    ]
    assert old.relations() == before


MASKED = (
    "CREATE OR REPLACE VIEW tags_live AS SELECT id, NULL::text AS name, extra, _changed_at,"
    " _run_id, _read_at, _deleted_at, _placeholder FROM tags"
)


def fewer_rows(house: House, view: str) -> str:
    """Somebody's own view under that name: the same columns, fewer rows."""
    shown = house.definition(view).rstrip("; \n")
    return f"CREATE OR REPLACE VIEW {view} AS {shown} AND false"


def masked(house: House, view: str, column: str, of: str) -> str:
    """Somebody's own view under that name, in which one column shows nothing."""
    listed = ", ".join(
        f"NULL::{of} AS {name}" if name == column else f"o.{name}" for name in columns(house, view)
    )
    return f"CREATE OR REPLACE VIEW {view} AS SELECT {listed} FROM (TABLE {view}) o"


def replaced_by_others(house: House) -> dict[str, str]:
    """Views of ours that somebody gave queries of his own, with what they show."""
    house.do(MASKED, fewer_rows(house, "contacts_live"), fewer_rows(house, "segments_live"))
    hidden = house.definition("companies_live").replace(
        "CASE", "CASE WHEN true THEN NULL::numeric ELSE CASE", 1
    )
    hidden = hidden.replace("END AS custom_arr", "END END AS custom_arr")
    assert hidden != house.definition("companies_live")
    house.do(f"CREATE OR REPLACE VIEW companies_live AS {hidden}")
    return {
        view: house.definition(view)
        for view in ("tags_live", "contacts_live", "segments_live", "companies_live")
    }


def test_a_view_that_somebody_replaced_before_the_upgrade_stays_his(old: House, caplog):
    theirs = replaced_by_others(old)
    with old.database() as database:
        add_attribute(database, "new")
        add_attribute(database, "new", model="company")
    caplog.clear()
    assert old.migrate() is True
    for view, definition in theirs.items():
        assert old.definition(view) == definition
    assert "contacts_live is not up to date: it is not the view that this connector" in caplog.text
    assert "companies_live is not up to date" in caplog.text
    with old.database() as database:
        assert command.run(database, rebuild=True) == 1
    for view, definition in theirs.items():
        assert old.definition(view) == definition


def add_attribute(database: Database, name: str, **more: Any) -> None:
    """Intercom lists one more custom attribute."""
    values = {"_read_at": sa.func.now(), **attribute(name, **more)}
    table = metadata().tables["data_attributes"]
    with database.transaction() as conn:
        conn.execute(sa.insert(table).values(**values))


def test_a_view_that_somebody_replaced_later_stays_his(house: House, capsys):
    house.migrate()
    with house.database() as database:
        add_attribute(database, "plan")
        assert command.run(database, rebuild=False) == 0
        theirs = fewer_rows(house, "contacts_live")
        house.do(theirs)
        definition = house.definition("contacts_live")
        add_attribute(database, "seats")
        capsys.readouterr()
        assert command.run(database, rebuild=False) == 1
        assert "contacts_live was left as it is: it is not the view" in capsys.readouterr().err
        assert house.definition("contacts_live") == definition
        assert command.run(database, rebuild=True) == 1
        assert house.definition("contacts_live") == definition
        house.do("DROP VIEW users, leads", "ALTER VIEW contacts_live RENAME TO my_contacts")
        assert command.run(database, rebuild=False) == 0
    assert "custom_seats" in columns(house, "contacts_live")
    assert house.definition("my_contacts") == definition


def test_a_new_comment_does_not_make_somebodys_query_ours(house: House):
    house.migrate()
    with house.database() as database:
        add_attribute(database, "plan")
        assert command.run(database, rebuild=False) == 0
        house.do(fewer_rows(house, "contacts_live"))
        definition = house.definition("contacts_live")
        house.do("UPDATE data_attributes SET label = 'Plan'")
        assert command.run(database, rebuild=False) == 1
        add_attribute(database, "seats")
        assert command.run(database, rebuild=False) == 1
    assert house.definition("contacts_live") == definition


def test_what_postgres_shows_otherwise_is_still_ours(house: House):
    house.migrate()
    renamed = f"{house.schema}_new"
    house.do(
        "UPDATE sync_relations SET fingerprint = 'as another version of PostgreSQL shows it'",
        f"ALTER SCHEMA {house.schema} RENAME TO {renamed}",
    )
    house.schema = renamed
    with house.database() as database:
        add_attribute(database, "plan")
        assert command.run(database, rebuild=False) == 0
    for view in ("contacts_live", "users", "leads"):
        assert columns(house, view)[-1] == "custom_plan"


def test_a_relation_of_another_kind_in_the_place_of_a_view_is_refused(house: House):
    house.migrate()
    house.do("DROP VIEW leads", "CREATE TABLE leads (id text)")
    with pytest.raises(NamesTakenError, match="table leads"):
        house.migrate()


# -- what others gave our views --------------------------------------------------------------

# What a view is, but for its query and its columns' number.
CATALOG = """
    SELECT c.relname, pg_get_userbyid(c.relowner) AS owner, c.reloptions,
        (SELECT array_agg(x::text ORDER BY x::text)
         FROM aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) x) AS rights,
        obj_description(c.oid) AS comment,
        (SELECT array_agg(concat_ws(' ', a.attname, a.attacl, pg_get_expr(d.adbin, d.adrelid))
                          ORDER BY a.attname)
         FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND (a.attacl IS NOT NULL OR d.adbin IS NOT NULL)
        ) AS columns,
        col_description(c.oid, 2) AS column_comment,
        (SELECT array_agg(pg_get_triggerdef(t.oid) || obj_description(t.oid, 'pg_trigger'))
         FROM pg_trigger t WHERE t.tgrelid = c.oid) AS triggers,
        (SELECT array_agg(pg_get_ruledef(r.oid) || obj_description(r.oid, 'pg_rewrite'))
         FROM pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN') AS rules
    FROM pg_class c WHERE c.relnamespace = %s::regnamespace AND c.relkind = 'v'
    AND c.relname = ANY(%s) ORDER BY 1"""
DRESSED = ["contacts_live", "leads", "tags_live", "users"]


def dress(house: House, role: str) -> None:
    """Give the views everything that others can give a view."""
    house.do(
        f'GRANT USAGE ON SCHEMA "{house.schema}" TO {role}',
        f'GRANT CREATE ON SCHEMA "{house.schema}" TO {role}',
        "ALTER VIEW contacts_live SET (security_invoker = true, security_barrier = true)",
        "ALTER VIEW users SET (check_option = cascaded)",
        f"GRANT SELECT (id, role, custom_attributes) ON contacts_live TO {role}",
        f"GRANT SELECT (id, role), UPDATE (id) ON contacts TO {role}",
        f"GRANT UPDATE (id) ON users TO {role} WITH GRANT OPTION",
        f"GRANT SELECT, INSERT ON users TO {role} WITH GRANT OPTION",
        "REVOKE DELETE ON users FROM CURRENT_USER",
        f"SET ROLE {role}",
        "GRANT SELECT ON users TO PUBLIC",
        "RESET ROLE",
        "COMMENT ON VIEW leads IS 'mine: 100% \"leads\"'",
        "COMMENT ON COLUMN leads.email IS 'it''s mine'",
        "COMMENT ON COLUMN contacts_live.role IS 'theirs'",
        "ALTER VIEW leads ALTER COLUMN name SET DEFAULT 'nobody'",
        "CREATE RULE quiet AS ON DELETE TO leads DO INSTEAD NOTHING",
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
        "CREATE TRIGGER kept INSTEAD OF INSERT ON users FOR EACH ROW EXECUTE FUNCTION keep()",
        "COMMENT ON TRIGGER kept ON users IS 'why'",
        "COMMENT ON RULE quiet ON leads IS 'why not'",
        f"ALTER VIEW leads OWNER TO {role}",
        "ALTER VIEW tags_live SET (security_barrier = true)",
    )


def dressed(house: House) -> list[dict[str, Any]]:
    return house.ask(CATALOG, f'"{house.schema}"', DRESSED)


def test_growing_keeps_what_others_gave_the_views(house: House, analyst: str):
    house.migrate()
    dress(house, analyst)
    before = dressed(house)
    with house.database() as database:
        add_attribute(database, "plan")
        assert command.run(database, rebuild=False) == 0
    assert columns(house, "users")[-1] == columns(house, "leads")[-1] == "custom_plan"
    assert dressed(house) == before


def test_a_rebuild_keeps_what_others_gave_the_views(house: House, analyst: str):
    house.migrate()
    dress(house, analyst)
    with house.database() as database:
        for name in ("plan", "seats"):
            add_attribute(database, name)
        assert command.run(database, rebuild=False) == 0
        house.do(
            f"GRANT SELECT (custom_plan, custom_seats) ON contacts_live TO {analyst}",
            # what is made anew would be given more than it had
            f'ALTER DEFAULT PRIVILEGES IN SCHEMA "{house.schema}" GRANT ALL ON TABLES TO PUBLIC',
            "UPDATE data_attributes SET archived = true WHERE name = 'plan'",
        )
        before = dressed(house)
        oids = {row["relname"]: row["oid"] for row in house.relations()}
        assert command.run(database, rebuild=True) == 0
    assert "custom_plan" not in columns(house, "contacts_live")
    after = dressed(house)
    gone = f"custom_plan {{{analyst}=r/postgres}}"
    assert gone in before[0]["columns"]
    before[0]["columns"].remove(gone)
    assert after == before
    now = {row["relname"]: row["oid"] for row in house.relations()}
    assert now["users"] != oids["users"]
    assert now["tags_live"] == oids["tags_live"]  # it need not be made anew


def test_an_upgrade_keeps_what_others_gave_the_views(old: House, analyst: str):
    dress(old, analyst)
    with old.database() as database:
        add_attribute(database, "new")
    before = dressed(old)
    assert old.migrate() is True
    assert columns(old, "users")[-1] == columns(old, "leads")[-1] == "custom_new"
    assert dressed(old) == before


def test_a_rebuild_that_cannot_give_everything_again_does_nothing(
    house: House, analyst: str, monkeypatch: pytest.MonkeyPatch
):
    house.migrate()
    with house.database() as database:
        add_attribute(database, "plan")
        assert command.run(database, rebuild=False) == 0
        house.do(
            "UPDATE data_attributes SET archived = true WHERE name = 'plan'",
            f"GRANT SELECT ON users TO {analyst}",
            f'ALTER SCHEMA "{house.schema}" OWNER TO {analyst}',
        )
        house.do(f'GRANT ALL ON ALL TABLES IN SCHEMA "{house.schema}" TO {analyst}')
        for view in ("contacts_live", "users"):
            house.do(f"ALTER VIEW {view} OWNER TO {analyst}")
        before = house.relations()
    with house.database(analyst) as database, pytest.raises(ViewsInUseError, match="nothing was"):
        command.run(database, rebuild=True)  # leads is not its own
    assert house.relations() == before
    assert house.ask(f'SELECT count(*) FROM "{house.schema}".custom_columns')[0]["count"] == 1


def test_a_view_of_another_owner_is_told_and_the_others_grow(
    house: House, analyst: str, capsys: pytest.CaptureFixture[str]
):
    with house.database() as database:
        house.do(f'CREATE SCHEMA "{house.schema}" AUTHORIZATION {analyst}')
        with house.database(analyst) as own:
            migrate(own)
            add_attribute(own, "plan")
            add_attribute(own, "arr", model="company")
            house.do("ALTER VIEW contacts_live OWNER TO CURRENT_USER")
            assert command.run(own, rebuild=False) == 1
        told = capsys.readouterr()
        assert "contacts_live was left as it is" in told.err
        assert "it belongs to the role postgres" in told.err
        assert columns(house, "companies_live")[-1] == "custom_arr"
        assert command.run(database, rebuild=False) == 0
    assert columns(house, "users")[-1] == "custom_plan"


# -- nobody sees more ------------------------------------------------------------------------


def restrict(house: House, role: str) -> None:
    """Ten contacts of which the role may see three, and of the view only their ids."""
    house.do(
        "INSERT INTO contacts (id, role) SELECT n::text, 'user' FROM generate_series(1, 10) n",
        f'GRANT USAGE ON SCHEMA "{house.schema}" TO {role}',
        f"GRANT SELECT ON contacts TO {role}",
        f"GRANT SELECT (id) ON contacts_live TO {role}",
        "ALTER TABLE contacts ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY three ON contacts FOR SELECT TO {role} USING (id::int <= 3)",
        "ALTER VIEW contacts_live SET (security_invoker = true)",
    )


@pytest.mark.parametrize("what", ["growth", "rebuild", "upgrade"])
def test_nobody_sees_more_afterwards(house: House, analyst: str, what: str):
    if what == "upgrade":
        older.build(house.url, house.schema)
    else:
        house.migrate()
    restrict(house, analyst)
    assert reads(house, analyst, "contacts_live") == 3
    house.do(
        f'ALTER DEFAULT PRIVILEGES IN SCHEMA "{house.schema}" GRANT SELECT ON TABLES TO {analyst}'
    )
    with house.database() as database:
        add_attribute(database, "brand new")
        migrate(database)
        command.run(database, rebuild=False)
        if what == "rebuild":
            house.do("UPDATE data_attributes SET archived = true")
            assert command.run(database, rebuild=True) == 0
            assert "custom_brand_new" not in columns(house, "contacts_live")
        else:
            assert "custom_brand_new" in columns(house, "contacts_live")
            assert reads(house, analyst, "contacts_live", "custom_brand_new") == "refused"
    assert reads(house, analyst, "contacts_live") == 3
    for name in ("email", "custom_attributes"):
        assert reads(house, analyst, "contacts_live", name) == "refused"
    assert reads(house, analyst, "users") == "refused"


def test_a_new_view_shows_nobody_what_its_tables_do_not(old: House, analyst: str):
    old.do(
        f'GRANT USAGE ON SCHEMA "{old.schema}" TO {analyst}',
        by_default(old, analyst),
        f"GRANT SELECT ON tickets, ticket_parts, contacts, contact_notes TO {analyst}",
        "INSERT INTO conversations (id) VALUES ('c')",
        "INSERT INTO conversation_parts (id, conversation_id) VALUES ('p', 'c')",
        "INSERT INTO tickets (id) VALUES ('t')",
        "INSERT INTO ticket_parts (id, ticket_id) VALUES ('p', 't'), ('q', 't')",
        "INSERT INTO contacts (id) VALUES ('x')",
        "INSERT INTO contact_notes (id, contact_id) VALUES ('n', 'x')",
        "ALTER TABLE ticket_parts ENABLE ROW LEVEL SECURITY",
        f"CREATE POLICY one ON ticket_parts FOR SELECT TO {analyst} USING (id = 'p')",
    )
    assert old.migrate() is True
    assert reads(old, analyst, "conversation_parts_live") == "refused"
    assert reads(old, analyst, "ticket_parts_live") == 1
    assert reads(old, analyst, "contact_notes_live") == 1
    assert len(old.ask(f'SELECT * FROM "{old.schema}".conversation_parts_live')) == 1
    assert len(old.ask(f'SELECT * FROM "{old.schema}".ticket_parts_live')) == 2


def test_a_view_that_was_dropped_comes_back_showing_no_more(house: House, analyst: str):
    house.migrate()
    restrict(house, analyst)
    house.do(
        f"GRANT SELECT ON contacts_live TO {analyst}",
        by_default(house, analyst),
        "DROP VIEW users",
    )
    with house.database() as database:
        assert command.run(database, rebuild=False) == 0
    assert reads(house, analyst, "users") == 3


def test_no_planted_function_gets_into_a_view(house: House):
    house.migrate()
    fake = "LANGUAGE sql AS 'SELECT now()'"
    house.do(
        f"CREATE FUNCTION to_timestamp(numeric) RETURNS timestamptz {fake}",
        f"CREATE OR REPLACE FUNCTION public.to_timestamp(numeric) RETURNS timestamptz {fake}",
    )
    try:
        with house.database() as database:
            add_attribute(database, "since", data_type="date")
            assert command.run(database, rebuild=False) == 0
        house.do("DROP FUNCTION to_timestamp(numeric)")
    finally:
        house.do("DROP FUNCTION public.to_timestamp(numeric)")


# -- locks -----------------------------------------------------------------------------------


@contextlib.contextmanager
def reading(house: House, *names: str) -> Iterator[None]:
    """Somebody has a transaction open that has read these."""
    with psycopg.connect(conninfo(house.url)) as conn:
        for name in names:
            conn.execute(f'SELECT count(*) FROM "{house.schema}".{name}')
        yield


class Waits:
    """Reads again and again, and notes the longest wait as a share of all the time it took."""

    def __init__(self, house: House, *names: str) -> None:
        self.longest, self.share, self._over = 0.0, 0.0, threading.Event()
        self._reads = [f'SELECT count(*) FROM "{house.schema}".{name}' for name in names]
        self._thread = threading.Thread(target=self._read, args=[house.url])

    def _read(self, url: str) -> None:
        with psycopg.connect(conninfo(url), autocommit=True) as conn:
            while not self._over.wait(0.005):
                for statement in self._reads:
                    began = time.monotonic()
                    conn.execute(statement)
                    self.longest = max(self.longest, time.monotonic() - began)

    def __enter__(self) -> Waits:
        self._began = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.share = self.longest / (time.monotonic() - self._began)
        self._over.set()
        self._thread.join()


def test_an_upgrade_keeps_nobody_out_of_a_view_that_is_being_read(
    old: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    monkeypatch.setattr(locks, "WAIT", 0.2)
    with old.database() as database:
        for model in ("contact", "company", "conversation"):
            add_attribute(database, "new", model=model)
    idle = ("users", "companies_live", "conversations_live", "leads")
    with reading(old, *idle), Waits(old, "contacts_live", *idle) as waits:
        assert old.migrate() is True
    # Not a sum over the views: each is waited for alone, and the others can be read.
    assert waits.share < 0.5
    for view in ("contacts_live", "companies_live", "conversations_live"):
        assert f"{view} is not up to date: others are reading it" in caplog.text
        assert "custom_new" not in columns(old, view)
    assert {"conversation_parts_live", "ticket_parts_live"} <= set(views(old))
    with old.database() as database:
        assert command.run(database, rebuild=False) == 0
    for view in idle:
        assert "custom_new" in columns(old, view)


def test_a_migration_that_waits_lets_readers_through_and_gives_up_with_a_reason(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(locks, "WAIT", 0.2)
    monkeypatch.setattr(database_module, "PAUSE", 0.01)
    house.do(f'CREATE SCHEMA "{house.schema}"')
    with house.database() as database:
        older.migrate_to(database, "0001")
        before = house.relations()
        names = ("sync_state", "sync_run_resources")  # 0002 alters both
        with (
            reading(house, *names),
            Waits(house, *names, "contacts") as waits,
            pytest.raises(SchemaBusyError, match=r"process \d+ of postgres") as caught,
        ):
            migrate(database)
        assert caught.value.exit_code == 5
        assert waits.share < 0.5  # of six tries
        assert house.relations() == before
        assert migrate(database) is True


def test_a_schema_that_somebody_else_is_making_is_waited_for_no_longer(
    house: House, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(locks, "WAIT", 0.1)
    monkeypatch.setattr(database_module, "PAUSE", 0.01)
    other = psycopg.connect(conninfo(house.url))
    with house.database() as database, contextlib.closing(other):
        other.execute(f'CREATE SCHEMA "{house.schema}"')
        with pytest.raises(SchemaBusyError, match="others are changing something in it"):
            migrate(database)
        other.rollback()
        assert migrate(database) is True


def test_all_locks_of_a_block_are_waited_for_together(house: House, monkeypatch):
    monkeypatch.setattr(locks, "WAIT", 0.3)
    house.migrate()
    now = "SELECT current_setting('lock_timeout')"
    waited: list[str] = []
    passed = [0.0]
    monkeypatch.setattr(locks, "now", lambda: sum(passed))

    def work(conn: sa.Connection) -> None:
        with locks.briefly(conn):
            waited.append(scalar(conn, now))
            passed.append(0.1)
            waited.append(str(conn.execute(sa.text(now)).scalar()))
            conn.execute(sa.text(f'LOCK TABLE "{house.schema}".tags'))

    with house.database() as database:
        with reading(house, "tags"), database.transaction() as conn:
            with pytest.raises(psycopg.OperationalError) as caught:
                work(conn)
            assert locks.is_busy(caught.value)
        with database.transaction() as conn:
            before = scalar(conn, now)
            work(conn)
            assert scalar(conn, now) == before
    first, second = (int(text.removesuffix("ms")) for text in waited[:2])
    assert (first, second) == (300, 200)


# -- around a sync ---------------------------------------------------------------------------


async def test_a_house_full_of_others_things_syncs_grows_rebuilds(
    harness: Harness, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.WARNING)
    space = Workspace.generate(7, contacts=40, companies=6, conversations=8, now=int(NOW))
    await harness.load(space)
    house = House(harness.database_url, harness.schema)
    house.do(
        "CREATE VIEW open_conversations AS SELECT * FROM conversations_live WHERE open",
        "CREATE MATERIALIZED VIEW tiers AS SELECT custom_plan_tier, count(*) FROM users GROUP BY 1",
        "CREATE FUNCTION newest() RETURNS SETOF companies_live LANGUAGE sql"
        " AS 'SELECT * FROM companies_live LIMIT 1'",
        "CREATE TABLE contacts_of_mine AS SELECT * FROM contacts_live",
        "ALTER VIEW contacts_live SET (security_barrier = true)",
    )
    theirs = {v: house.definition(v) for v in ("open_conversations", "tiers")}
    try:
        harness.control.create_data_attribute("contact", "Region")
        harness.control.create_data_attribute("conversation", "Region", "list")
        harness.pass_time(86_400)
        assert (await harness.sync()).exit_code == 0
        assert caplog.messages == []
        assert "custom_region" in columns(house, "users")
        assert "custom_region" in columns(house, "conversations_live")
        harness.control.update_data_attribute("contact", "Region", archived=True)
        harness.pass_time(86_400)
        assert (await harness.sync()).exit_code == 0
        with house.database() as database, pytest.raises(ViewsInUseError, match="tiers"):
            command.run(database, rebuild=True)
        assert {v: house.definition(v) for v in theirs} == theirs
    finally:
        house.do("DROP FUNCTION newest()")
        house.close()


def test_a_warehouse_of_others_views_is_no_obstacle(database_url: str):
    with opened(database_url) as warehouse:
        assert isinstance(warehouse, Warehouse)
        warehouse.execute("CREATE VIEW mine AS SELECT * FROM conversation_parts_live")
        with warehouse.database.transaction() as conn:
            refuse_taken(conn, warehouse.schema)
