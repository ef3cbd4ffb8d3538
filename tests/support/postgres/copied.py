"""Instead of the shared database and an empty schema: a copy that holds a migrated one.

A test module that imports these begins each test with what ``migrate`` leaves, but for those that
are marked ``bare``.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.postgres.template import Template


@pytest.fixture
def database_url(
    request: pytest.FixtureRequest, database_url: str, template: Template | None
) -> Iterator[str]:
    """The address of a database of the test's own."""
    if template is None or request.node.get_closest_marker("bare"):
        yield database_url
    else:
        with template.copy() as url:
            yield url


@pytest.fixture
def schema(request: pytest.FixtureRequest, template: Template | None) -> str:
    """The schema that is there already; of a bare test one that is not."""
    if template is None or request.node.get_closest_marker("bare"):
        return str(request.getfixturevalue("fresh_schema"))
    return template.schema
