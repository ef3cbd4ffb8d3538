"""A simulator that somebody listens to."""

from __future__ import annotations

import pytest

from tests.support.listening import Listener


@pytest.fixture
def listener() -> Listener:
    return Listener()
