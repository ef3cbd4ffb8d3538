"""The same rows in every house: whatever server, database, role and environment have set."""

from __future__ import annotations

import itertools
import signal
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.conninfo import make_conninfo

from connector.errors import DatabaseRefusedError
from connector.simulator import Simulator, Workspace
from connector.sync.planning import plan
from connector.sync.readings import search_full
from connector.warehouse import rights, state
from connector.warehouse.migrate import migrate
from connector.warehouse.schema import foreign_keys
from connector.warehouse.sql import session
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.lives import houses
from tests.lives.houses import Applied, House, applied
from tests.lives.nights import night_by_night
from tests.support.harness import NOW, Harness
from tests.support.life import Life, small_workspace
from tests.support.mirror import Mirror
from tests.support.postgres import older
from tests.support.postgres.server import PGBOUNCER, pooled
from tests.support.receiving import SECRET, Sender, eventually, receiving, serving
from tests.support.service import FEW, environment, served, start
from tests.support.truth.compared import differences
from tests.support.truth.figures import outdated
from tests.support.truth.past import EVERY, Past

pytestmark = pytest.mark.in_turn(2)

DAY = 86_400.0
_numbers = itertools.count(1)


@pytest.fixture
def home(request: pytest.FixtureRequest) -> Iterator[Applied]:
    """The house that is the test's parameter, around a schema."""
    house: House = request.param
    schema = f"home_{next(_numbers)}"
    if not house.pooled:
        with applied(house, request.getfixturevalue("database_url"), schema) as found:
            yield found
        return
    if not PGBOUNCER:
        pytest.skip("the program pgbouncer is not installed")
    server = request.getfixturevalue("server")
    with pooled(server, PGBOUNCER) as url, applied(house, server.url, schema, url) as found:
        yield found


@pytest.fixture
def harness(home: Applied) -> Iterator[Harness]:
    """A harness in that house."""
    options = {} if home.house.owns else {"auto_migrate": False}
    harness = Harness(home.url, home.schema, home.outside, **options)
    yield harness
    harness.close()


# -- what is right in every house ------------------------------------------------------------


@pytest.mark.sampled(1)
@pytest.mark.parametrize("home", houses.parameters(), indirect=True)
async def test_load_night_and_full_pass_are_right_in_this_house(
    harness: Harness, home: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_full, "LARGE", 50)  # so that foreign keys go and come back
    sizes: dict[str, Any] = FEW | {"contacts": 120, "companies": 20, "conversations": 40}
    harness.simulate(Workspace.generate(11, now=int(NOW), **sizes))
    for night, full in enumerate((False, False, False, True)):
        before = harness.versions() if night else {}
        if night == 2:
            harness.control.change(fraction=0.1, seed=5)
        harness.pass_time(DAY)
        outcome = await harness.sync(full=full, history=EVERY)
        assert outcome.exit_code == 0, outcome.error
        assert differences(harness) == []
        assert outdated(harness) == []
        assert Past(harness).broken() == []
        if night in (1, 3):
            assert harness.versions() == before
    assert any(not (row["name"] or "").isascii() for row in harness.rows("contacts").values())
    keys = harness.query(
        "SELECT 1 FROM pg_constraint WHERE contype = 'f' AND connamespace = %s::regnamespace",
        harness.schema,
    )
    assert len(keys) == len(foreign_keys.declared())


@pytest.mark.sampled(1)
@pytest.mark.parametrize("home", houses.parameters(), indirect=True)
async def test_nights_are_right_in_this_house(harness: Harness, home: Applied) -> None:
    await night_by_night(harness, nights=8)


@pytest.mark.chaos
@pytest.mark.parametrize("home", houses.parameters(), indirect=True)
async def test_two_months_are_right_in_this_house(harness: Harness) -> None:
    await night_by_night(harness, nights=61)


# -- what is told is right in every house ----------------------------------------------------


def deliver(simulator: Simulator, sender: Sender) -> list[int]:
    """Send what is due, as Intercom does; the answers."""
    answers: list[int] = []

    def post(headers: dict[str, str], body: bytes) -> int:
        named = {name.replace("-", "_"): value for name, value in headers.items()}
        answers.append(sender.ask("POST", body, **named).status)
        return answers[-1]

    simulator.webhooks.deliver(post)
    return answers


@pytest.mark.sampled(1)
@pytest.mark.parametrize("home", houses.parameters(), indirect=True)
async def test_what_is_told_is_right_in_this_house(harness: Harness, home: Applied) -> None:
    mirror = Mirror(harness, SECRET, index_lag=60.0, user_count_delay=0.0)
    migrates = home.house.owns
    assert (await harness.sync()).exit_code == 0
    life = Life(harness, seed=3)
    with receiving(mirror.database, delay=0.0) as sender:
        for _ in range(2):
            for _ in range(10):
                life.change(life.changes)
                harness.pass_time(20)
            assert set(deliver(mirror.simulator, sender)) == {200}
            harness.pass_time(90)  # events are shown late
            mirror.hurry()
            outcome = await mirror.settle(auto_migrate=migrates)
            assert outcome.exit_code == 0, outcome.error
        assert sender.health()[0] == 200
    assert all(row["gone"] for row in mirror.waiting())  # archived, and back again
    mirror.database.close()
    harness.pass_time(1_800)
    assert (await harness.sync(full_pass_requests=0)).exit_code == 0
    assert differences(harness, began=harness.began, after_full=False) == []


@pytest.mark.sampled(1)
@pytest.mark.parametrize("home", houses.parameters(), indirect=True)
def test_the_live_mirror_lives_in_this_house(harness: Harness, home: Applied) -> None:
    simulator = harness.simulate(small_workspace(5))
    simulator.webhooks.subscribe(SECRET)
    settings = {"CONNECTOR_LIVE_DELAY": "0.1", "CONNECTOR_SYNC_EVERY": "0"}
    if not home.house.owns:
        settings["CONNECTOR_AUTO_MIGRATE"] = "false"
    with (
        served(simulator) as url,
        serving(home.url, home.schema, intercom=url, **settings) as it,
    ):
        sender = it.sender
        eventually(lambda: sender.health()[1]["last_sync_at"], 60)
        for number in range(3):
            for one in harness.control.truth("contacts")[:10]:
                harness.control.update_contact(one["id"], name=f"Told {number}")
            assert set(deliver(simulator, sender)) == {200}
            eventually(lambda: harness.query("SELECT id FROM sync_inbox") == [], 30)
            assert differences(harness) == []
            assert outdated(harness) == []
        assert sender.health()[1]["trouble"] is None
        assert it.end(signal.SIGTERM) == 0


@pytest.mark.parametrize("home", houses.parameters(), indirect=True)
def test_every_transaction_has_our_settings_in_this_house(home: Applied) -> None:
    database = Database(home.url, home.schema)

    def look(conn: sa.Connection) -> dict[str, str]:
        names = [setting.name for setting in session.SETTINGS]
        names += ["transaction_isolation", "transaction_read_only", "transaction_deferrable"]
        query = sa.text("SELECT n, current_setting(n, true) FROM unnest(CAST(:n AS text[])) n")
        found: dict[str, str | None] = dict(iter(conn.execute(query, {"n": names})))
        return {name: value for name, value in found.items() if value is not None}

    fixed = {setting.name: setting.value for setting in session.SETTINGS}
    modes = {"transaction_isolation": "read committed", "transaction_deferrable": "off"}
    newer = {"transaction_timeout"}
    for found, read_only in (
        (database.write(look), "off"),
        (database.read(look), "on"),
        (_locker(database, look), "off"),
    ):
        expected = fixed | modes | {"transaction_read_only": read_only}
        assert found.keys() | newer == expected.keys()
        assert found == {name: expected[name] for name in found}
    database.close()


def _locker(database: Database, look: Any) -> dict[str, str]:
    database.lock()
    assert database._locker is not None
    found: dict[str, str] = look(database._locker)
    return found


def test_an_open_window_of_an_older_version_goes_on(
    database: Database, database_url: str, schema: str
) -> None:
    older.build(database_url, schema)
    old = "timestamptz '0001-01-01 00:00Z'", "timestamptz '9999-12-31 00:00Z'"
    query = (
        f'INSERT INTO "{schema}".sync_windows VALUES'
        f" ('users', {old[0]}, '2024-01-01Z'), ('users', '2024-01-01Z', {old[1]})"
    )
    database.write(lambda conn: conn.execute(sa.text(query)))
    assert migrate(database)
    [first, last] = database.read(lambda conn: state.all_spans(conn, "users"))
    assert (first.lower, last.upper) == (state.OPEN_LOWER, state.OPEN_UPPER)
    assert plan.first_partition(None).lower == first.lower
    database.write(lambda conn: state.finish_partition(conn, "users", first))
    assert database.read(lambda conn: state.all_spans(conn, "users", finished=False)) == [last]


# -- what analysts see -----------------------------------------------------------------------

ANALYSTS = (
    {"timezone": "America/New_York", "datestyle": "German, DMY"},
    {"timezone": "Asia/Kathmandu", "datestyle": "SQL, DMY", "intervalstyle": "iso_8601"},
    {"extra_float_digits": "-15", "timezone_abbreviations": "India", "bytea_output": "escape"},
    {"transform_null_equals": "on", "standard_conforming_strings": "off", "array_nulls": "off"},
)


async def test_views_show_the_same_values_in_every_session(database_url: str, schema: str) -> None:
    harness = Harness(database_url, schema)
    await harness.load(Workspace.generate(11, now=int(NOW), contacts=200, conversations=60, **FEW))
    odd = ["2020-02-29", "2020-01-02T03:04:05Z", "2021-05-06 07:08:09.5+05:45", 1.6e9, "soon"]
    for place, value in enumerate(odd):
        harness.query(
            "UPDATE contacts SET custom_attributes = (SELECT jsonb_object_agg(a.name, %s::jsonb)"
            " FROM data_attributes a WHERE a.model = 'contact' AND a.custom)"
            " WHERE id IN (SELECT id FROM contacts ORDER BY id OFFSET %s LIMIT 1)",
            psycopg.types.json.Json(value),
            place,
        )
    views = harness.query(
        "SELECT relname, (SELECT string_agg(format(CASE atttypid"
        "   WHEN 'timestamptz'::regtype THEN 'extract(epoch FROM %%I)::text'"
        "   WHEN 'date'::regtype THEN '(%%I - date ''2000-01-01'')::text'"
        "   ELSE '%%I::text' END, attname), ', ')"
        "  FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0"
        "   AND attname <> 'waiting_seconds') AS columns"  # each moment others
        " FROM pg_class c WHERE relkind = 'v' AND relnamespace = %s::regnamespace",
        harness.schema,
    )
    assert len(views) > 20
    shown = [_shown(harness, views, session) for session in ({}, *ANALYSTS)]
    harness.close()
    assert any("custom_" in view["columns"] for view in views)
    for other in shown[1:]:
        assert other == shown[0]


def _shown(
    harness: Harness, views: list[dict[str, Any]], settings: dict[str, str]
) -> dict[str, list[Any]]:
    with psycopg.connect(conninfo(harness.database_url), autocommit=True) as analyst:
        for name, value in settings.items():
            analyst.execute(f"SET {name} = '{value}'")
        analyst.execute(f'SET search_path = "{harness.schema}"')
        return {
            view["relname"]: sorted(
                map(repr, analyst.execute(f"SELECT {view['columns']} FROM {view['relname']}"))
            )
            for view in views
        }


# -- what is refused -------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["LATIN1", "WIN1252", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(
    database_url: str, encoding: str
) -> None:
    name = f"enc_{next(_numbers)}"
    with psycopg.connect(conninfo(database_url), autocommit=True) as admin:
        admin.execute(
            f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        try:
            database = Database(make_conninfo(conninfo(database_url), dbname=name), "s")
            with pytest.raises(DatabaseRefusedError, match=f"encoding {encoding}") as caught:
                rights.require(database, rights.Needs(migrates=True, stages=True))
            assert caught.value.exit_code == 2
            schemas = sa.text("SELECT count(*) FROM pg_namespace WHERE nspname = 's'")
            assert database.read(lambda conn: conn.scalar(schemas)) == 0
            database.close()
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize(("command", "told"), [("sync", "err"), ("check", "out")])
def test_the_commands_refuse_such_a_database_before_anything_is_written(
    database_url: str, command: str, told: str
) -> None:
    name, space = f"enc_{next(_numbers)}", Workspace.generate(3, contacts=5, **FEW)
    url = make_conninfo(conninfo(database_url), dbname=name)
    with (
        psycopg.connect(conninfo(database_url), autocommit=True) as admin,
        served(Simulator(space)) as address,
    ):
        admin.execute(
            f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0"
            " LC_COLLATE 'C' LC_CTYPE 'C'"
        )
        try:
            process = start(environment(address, url, "s"), command)
            out, err = process.communicate(timeout=60)
            with psycopg.connect(url, client_encoding="UTF8") as inside:
                schemas = inside.execute("SELECT FROM pg_namespace WHERE nspname = 's'")
                assert schemas.rowcount == 0
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
    assert process.returncode == 2, out + err
    assert "has the encoding LATIN1" in {"out": out, "err": err}[told]
    assert "Traceback" not in out + err


NIGHTLY = House("nightly", owns=False)


@pytest.mark.parametrize("home", [NIGHTLY], indirect=True, ids=["nightly"])
@pytest.mark.parametrize(
    ("statement", "reasons"),
    [
        ("REVOKE TEMPORARY ON DATABASE {role} FROM {role}", ["temporary tables", "GRANT TEMP"]),
        ("REVOKE USAGE ON SCHEMA {schema} FROM {role}", ["GRANT USAGE ON SCHEMA"]),
        ("REVOKE INSERT ON {schema}.contacts FROM {role}", ["INSERT on contacts", "GRANT INSERT"]),
        ("REVOKE DELETE ON {schema}.contact_tags FROM {role}", ["DELETE on contact_tags"]),
        ("REVOKE SELECT ON {schema}.sync_version FROM {role}", ["SELECT on sync_version"]),
        (
            "REVOKE INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} FROM {role};"
            " REVOKE TEMPORARY ON DATABASE {role} FROM {role}",
            ["INSERT, UPDATE, DELETE on activity_logs, ", "more tables", "GRANT TEMPORARY"],
        ),
        (
            "ALTER TABLE {schema}.contacts ENABLE ROW LEVEL SECURITY;"
            " CREATE POLICY users_only ON {schema}.contacts TO {role} USING (role = 'user')",
            ["policies hide rows of contacts", "BYPASSRLS"],
        ),
        (
            "ALTER TABLE {schema}.contacts ENABLE ROW LEVEL SECURITY;"
            " CREATE POLICY everything ON {schema}.contacts TO {role} USING (true)",
            [],
        ),
        ("REVOKE CREATE ON DATABASE {role} FROM PUBLIC", []),
    ],
)
def test_a_right_that_is_missing_is_named_with_what_gives_it(
    home: Applied, statement: str, reasons: list[str]
) -> None:
    role, schema = home.role, home.schema
    with psycopg.connect(home.outside, autocommit=True) as admin:
        admin.execute(statement.format(role=role, schema=schema))
    database = Database(home.url, schema)
    found = database.read(
        lambda conn: rights.missing(conn, schema, rights.Needs(migrates=True, stages=True))
    )
    database.close()
    if not reasons:
        assert found == []
    for reason in reasons:
        assert any(reason in sentence for sentence in found), found


@pytest.mark.parametrize("home", [NIGHTLY], indirect=True, ids=["nightly"])
def test_a_role_that_may_not_migrate_is_told_so_where_that_is_due(home: Applied) -> None:
    with psycopg.connect(home.outside, autocommit=True) as admin:
        admin.execute(f"UPDATE {home.schema}.sync_version SET version_num = '0001'")
    database = Database(home.url, home.schema)
    with pytest.raises(DatabaseRefusedError, match="GRANT CREATE ON SCHEMA"):
        rights.require(database, rights.Needs(migrates=True))
    database.close()


def test_a_role_without_a_schema_is_told_what_makes_one(database_url: str) -> None:
    with applied(House("plain"), database_url, "unused_home") as home:
        database = Database(home.url, "not_there_yet")
        with pytest.raises(DatabaseRefusedError, match=r"CREATE SCHEMA .* AUTHORIZATION"):
            rights.require(database, rights.Needs(migrates=True))
        rights.require(database, rights.Needs())
        database.close()
