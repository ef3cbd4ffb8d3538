"""When being refused a resource is no failure of the run; pure, and the only place that decides."""

from __future__ import annotations

import re

from connector.errors import (
    BadRequestError,
    ConnectorError,
    NotFoundError,
    NotPermittedError,
)
from connector.resources.resource import Resource

REFUSALS = (NotPermittedError, NotFoundError, BadRequestError)

_TRACE = re.compile(r" \(request id [^)]*\)")


def is_tolerated(
    resource: Resource, error: ConnectorError, *, asked_for: bool, read_before: bool
) -> bool:
    """Whether it could never be read here, and nobody asked for it by name.

    Either many tokens and plans do not open it anyway, or Intercom says that it has no such
    list: lists of what does not exist are empty, only an unknown endpoint is not found.
    A feed that is refused only hastened what full passes find as well.
    """
    if resource.hastens and isinstance(error, REFUSALS):
        return True
    closed = resource.optional and isinstance(error, NotPermittedError)
    if asked_for or not (closed or isinstance(error, NotFoundError)):
        return False
    return not read_before


def is_news(error: str, before: str | None) -> bool:
    """Whether a failure says something else than that of the run before."""
    return before is None or _TRACE.sub("", error) != _TRACE.sub("", before)
