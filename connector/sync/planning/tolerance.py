"""When being refused a resource is no failure of the run; pure, and the only place that decides."""

from __future__ import annotations

import re

from connector.errors import ConnectorError
from connector.intercom.refusals import Asked, Meaning, is_closed, meaning
from connector.resources.resource import Resource

_TRACE = re.compile(r" \(request id [^)]*\)")


def is_tolerated(
    resource: Resource, error: ConnectorError, *, asked_for: bool, read_before: bool
) -> bool:
    """Whether it may not be read, could never be read here, and nobody asked for it by name.

    A feed that is refused only hastened what full passes find as well.
    """
    if resource.early_signal_of and meaning(error, Asked.FEED) is Meaning.TOLERATED:
        return True
    return resource.optional and is_closed(error) and not asked_for and not read_before


def is_news(error: str, before: str | None) -> bool:
    """Whether a failure says something else than that of the run before."""
    return before is None or _TRACE.sub("", error) != _TRACE.sub("", before)
