"""Finds the handler of a method and a path; knows nothing of what handlers do."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from msgspec import Struct

from connector.simulator.messages import Response
from connector.simulator.requests.call import Call

Handler = Callable[[Call], Response]


class Route(Struct, frozen=True):
    """A method, a path with `{}` for each parameter, and its handler."""

    method: str
    path: str
    handler: Handler

    @property
    def name(self) -> str:
        """How statistics call the endpoint."""
        return f"{self.method} {self.path.replace('{}', '{id}')}"


class Router:
    """Routes by exact path first, then by segments: `/contacts/search` is not a contact."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._exact: dict[tuple[str, str], Route] = {}
        self._patterns: dict[tuple[str, int], list[tuple[list[str], Route]]] = {}
        for route in routes:
            if "{}" not in route.path:
                self._exact[route.method, route.path] = route
                continue
            segments = route.path.split("/")
            self._patterns.setdefault((route.method, len(segments)), []).append((segments, route))

    def find(self, method: str, path: str) -> tuple[Route, tuple[str, ...]] | None:
        """The route and its parameters, or None."""
        exact = self._exact.get((method, path))
        if exact is not None:
            return exact, ()
        segments = path.split("/")
        for pattern, route in self._patterns.get((method, len(segments)), ()):
            params = _match(pattern, segments)
            if params is not None:
                return route, params
        return None


def _match(pattern: list[str], segments: list[str]) -> tuple[str, ...] | None:
    params = []
    for wanted, segment in zip(pattern, segments, strict=True):
        if wanted == "{}":
            params.append(segment)
        elif wanted != segment:
            return None
    return tuple(params)
