"""Houses: what others have set at server, database, role and environment, as values.

Each can be put around a schema of the test server; what is right must be right in all of them.
"""

from __future__ import annotations

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from connector.warehouse.migrate import migrate
from connector.warehouse.schema import versions
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo

PASSWORD = "of-the-house"
_numbers = itertools.count(1)


@dataclass(frozen=True)
class House:
    """What is set for a role, for a database of its own, and in the environment of the process.

    ``owns``: the role owns its schema; else it owns nothing and was granted what a sync needs.
    """

    name: str
    role: dict[str, str] = field(default_factory=dict)
    database: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    before: str = ""  # statements in the database, as its superuser
    attributes: str = ""  # of the role
    owns: bool = True
    pooled: bool = False  # behind a transaction pooler, which logs every role in as the superuser

    @property
    def apart(self) -> bool:
        """Whether it has a database of its own."""
        return bool(self.database or self.before or self.pooled) or not self.owns


def zone(name: str) -> House:
    return House(f"timezone {name}", role={"timezone": name})


HASTE = {
    "statement_timeout": "1s",
    "lock_timeout": "300ms",
    "idle_in_transaction_session_timeout": "300ms",
    "idle_session_timeout": "200ms",
}

HOUSES = (
    zone("America/New_York"),
    zone("Europe/London"),
    zone("Africa/Abidjan"),
    zone("Asia/Kathmandu"),
    House("database in New York", database={"timezone": "America/New_York"}),
    House("process in New York", environment={"TZ": "America/New_York", "PGTZ": "EST5EDT"}),
    House("German dates", role={"datestyle": "German, DMY", "intervalstyle": "sql_standard"}),
    House("SQL dates", database={"datestyle": "SQL, DMY", "intervalstyle": "iso_8601"}),
    House("dates of the environment", environment={"PGDATESTYLE": "Postgres, DMY"}),
    House("PGCLIENTENCODING LATIN1", environment={"PGCLIENTENCODING": "LATIN1"}),
    House("PGCLIENTENCODING WIN1252", environment={"PGCLIENTENCODING": "WIN1252"}),
    House("PGCLIENTENCODING SQL_ASCII", environment={"PGCLIENTENCODING": "SQL_ASCII"}),
    House("role in LATIN1", role={"client_encoding": "LATIN1"}),
    House("hasty role", role=HASTE),
    House(
        "hasty environment",
        environment={"PGOPTIONS": "-c statement_timeout=1000 -c lock_timeout=300"},
    ),
    House(
        "very hasty environment",
        environment={
            "PGOPTIONS": "-c statement_timeout=300 -c lock_timeout=300"
            " -c idle_in_transaction_session_timeout=300"
        },
    ),
    House(
        "others' functions first",
        role={"search_path": "others, pg_catalog"},
        before="CREATE SCHEMA others; GRANT USAGE ON SCHEMA others TO PUBLIC;"
        " CREATE FUNCTION others.now() RETURNS timestamptz"
        " LANGUAGE sql AS $$ SELECT timestamptz '2001-01-01' $$;"
        " CREATE FUNCTION others.hashtextextended(text, bigint) RETURNS bigint"
        " LANGUAGE sql AS $$ SELECT 1::bigint $$;"
        " CREATE FUNCTION others.set_config(text, text, boolean) RETURNS text"
        " LANGUAGE sql AS $$ SELECT 'nothing' $$",
    ),
    House("empty search path", role={"search_path": ""}),
    House(
        "old meanings",
        role={
            "array_nulls": "off",
            "transform_null_equals": "on",
            "standard_conforming_strings": "off",
            "backslash_quote": "on",
            "quote_all_identifiers": "on",
            "extra_float_digits": "-15",
            "bytea_output": "escape",
        },
    ),
    House(
        "serializable",
        role={
            "default_transaction_isolation": "serializable",
            "default_transaction_deferrable": "on",
        },
    ),
    House("read-only by default", role={"default_transaction_read_only": "on"}),
    House("errors for policies", role={"row_security": "off"}),
    House("no foreign keys", role={"session_replication_role": "replica"}, attributes="SUPERUSER"),
    House(
        "odd plans",
        role={
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "enable_nestloop": "off",
            "work_mem": "64kB",
            "plan_cache_mode": "force_generic_plan",
            "jit_above_cost": "0",
        },
    ),
    House("a role that owns nothing", role={"timezone": "America/New_York"}, owns=False),
    House("a hasty role that owns nothing", role=HASTE, owns=False),
)
POOLED = House(
    "behind PgBouncer",
    database={"timezone": "America/New_York", "datestyle": "German, DMY"} | HASTE,
    pooled=True,
)


@dataclass(frozen=True)
class Applied:
    """A house around a schema: the address of its role, and that of who looks from outside."""

    house: House
    url: str
    outside: str
    schema: str
    role: str


@contextmanager
def applied(
    house: House, database_url: str, schema: str, pooler: str | None = None
) -> Iterator[Applied]:
    """Set what the house sets for a role that owns the schema, and take it all away again.

    ``pooler`` is the address of the one before the server, where the house has one.
    """
    name = f"house_{os.getpid()}_{next(_numbers)}"
    parts = conninfo_to_dict(conninfo(database_url))
    outside = make_conninfo("", **parts | ({"dbname": name} if house.apart else {}))
    with ExitStack() as stack:
        admin = stack.enter_context(psycopg.connect(conninfo(database_url), autocommit=True))
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{PASSWORD}' {house.attributes}")
        stack.callback(admin.execute, f"DROP ROLE {name}")
        if house.apart:
            admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8'")
            stack.callback(admin.execute, f"DROP DATABASE {name} WITH (FORCE)")
        _furnish(house, outside, schema, name)
        if not house.apart:
            stack.callback(_clear, outside, schema, name)
        _set(admin, f"DATABASE {name}", house.database)
        _set(admin, f"ROLE {name}", house.role)
        stack.enter_context(_environment(house.environment))
        url = make_conninfo(outside, user=name, password=PASSWORD)
        if pooler:
            url = make_conninfo("", **conninfo_to_dict(conninfo(pooler)) | {"dbname": name})
        yield Applied(house, url, outside, schema, name)


def _furnish(house: House, outside: str, schema: str, role: str) -> None:
    """Make the schema, and give the role what it needs there."""
    with psycopg.connect(outside, autocommit=True) as inside:
        inside.execute(house.before)
        owner = f"AUTHORIZATION {role}" if house.owns and not house.pooled else ""
        inside.execute(f'CREATE SCHEMA "{schema}" {owner}')
        if house.owns:
            return
        database = Database(outside, schema)
        migrate(database, tuple(versions.VERSIONED))
        database.close()
        inside.execute(
            f"REVOKE TEMPORARY ON DATABASE {role} FROM PUBLIC;"
            f'GRANT TEMPORARY ON DATABASE {role} TO {role}; GRANT USAGE ON SCHEMA "{schema}" TO'
            f' {role}; GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "{schema}"'
            f" TO {role}"
        )


def _set(admin: psycopg.Connection[Any], what: str, values: dict[str, str]) -> None:
    for name, value in values.items():
        text = value if name == "search_path" and value else f"'{value}'"
        admin.execute(f"ALTER {what} SET {name} = {text}")


def _clear(outside: str, schema: str, role: str) -> None:
    with psycopg.connect(outside, autocommit=True) as admin:
        admin.execute(f'DROP SCHEMA IF EXISTS "{schema}" CASCADE')
        admin.execute(f"DROP OWNED BY {role}")


@contextmanager
def _environment(values: dict[str, str]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        for name, value in values.items():
            patched.setenv(name, value)
        time.tzset()
        yield
    time.tzset()


def parameters() -> list[Any]:
    """Every house as a parameter."""
    return [pytest.param(house, id=house.name) for house in (*HOUSES, POOLED)]
