"""Commands typed against the simulator that a file of tests makes."""

from __future__ import annotations

from pathlib import Path

import pytest

from connector.simulator import Simulator
from tests.support.service import environment
from tests.support.terminal import TOKEN, Terminal, Warehouse


@pytest.fixture
def terminal(
    intercom: tuple[Simulator, str], database_url: str, schema: str, tmp_path: Path
) -> Terminal:
    environ = environment(intercom[1], database_url, schema, INTERCOM_ACCESS_TOKEN=TOKEN)
    return Terminal(environ, tmp_path)


@pytest.fixture
def warehouse(database_url: str, schema: str) -> Warehouse:
    return Warehouse(database_url, schema)
