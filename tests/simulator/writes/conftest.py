"""A simulator that is written to."""

from __future__ import annotations

import pytest

from tests.simulator.writes.writing import Writer


@pytest.fixture
def writer() -> Writer:
    return Writer()
