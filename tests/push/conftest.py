"""Served mirrors with an outbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.simulator import Simulator, Workspace
from tests.push.pushed import Pushed
from tests.push.typed import Line
from tests.support.harness import Harness
from tests.support.life import small_workspace
from tests.support.living import SECRET
from tests.support.service import environment, served


@pytest.fixture
def pushed(database_url: str, schema: str) -> Iterator[Pushed]:
    simulator = Simulator(small_workspace(3), index_lag=60.0)
    simulator.webhooks.subscribe(SECRET)
    with served(simulator) as url:
        pushed = Pushed(database_url, schema, url, simulator)
        assert pushed.run("sync").returncode == 0
        yield pushed
        pushed.harness.close()


@pytest.fixture
def line(harness: Harness) -> Iterator[Line]:
    space = Workspace.generate(13, contacts=200, companies=10, conversations=0)
    harness.simulator = Simulator(space, rate_limit=None, index_lag=1)
    harness.control = harness.simulator.control
    with served(harness.simulator) as url:
        environ = environment(url, harness.database_url, harness.schema, CONNECTOR_INDEX_LAG="3")
        done = Line(harness, environ)
        code, _, errors = done.run("sync", "--only", "tags,companies,leads,users,data_attributes")
        assert code == 0, errors
        yield done
