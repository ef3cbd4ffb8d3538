"""A served mirror with an outbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from connector.simulator import Simulator
from tests.push.pushed import Pushed
from tests.support.life import small_workspace
from tests.support.living import SECRET
from tests.support.service import served


@pytest.fixture
def pushed(database_url: str, schema: str) -> Iterator[Pushed]:
    simulator = Simulator(small_workspace(3), index_lag=60.0)
    simulator.webhooks.subscribe(SECRET)
    with served(simulator) as url:
        pushed = Pushed(database_url, schema, url, simulator)
        assert pushed.run("sync").returncode == 0
        yield pushed
        pushed.harness.close()
