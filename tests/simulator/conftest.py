"""Who asks the simulator that a file of tests makes."""

from __future__ import annotations

import pytest

from connector.simulator.transport.caller import Caller


@pytest.fixture
def caller(simulator) -> Caller:
    return Caller(simulator)
