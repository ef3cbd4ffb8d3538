"""Schemas that others share, and roles that read them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator

import psycopg
import pytest

from connector.warehouse.sql.dsn import conninfo
from tests.support.postgres import older
from tests.support.warehouse import Warehouse, opened
from tests.warehouse.house import House

_numbers = itertools.count(1)


@pytest.fixture
def house(database_url: str) -> Iterator[House]:
    """A schema that is not there yet."""
    house = House(database_url, f"h_{os.getpid()}_{next(_numbers)}")
    yield house
    house.close()


@pytest.fixture
def old(house: House) -> House:
    """A schema as version 0.1.0 left it."""
    older.build(house.url, house.schema)
    return house


@pytest.fixture
def analyst(database_url: str) -> Iterator[str]:
    """A role that may log in and do nothing else."""
    name = f"analyst_{os.getpid()}_{next(_numbers)}"
    with psycopg.connect(conninfo(database_url), autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret'")
        yield name
        [(base,)] = admin.execute("SELECT current_database()").fetchall()
        admin.execute(f'REVOKE ALL ON DATABASE "{base}" FROM {name}')
        admin.execute(f"DROP OWNED BY {name} CASCADE")
        admin.execute(f"DROP ROLE {name}")


@pytest.fixture(scope="module")
def shared(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as warehouse:
        yield warehouse


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    return shared
