"""The apps of a workspace, each with its token: what it may read, and how it is counted.

Intercom counts requests by app, and those of all apps of a workspace once more. Page tokens and
the scroll are given to an app; whether another one may go on with them is documented nowhere, so
here it may not.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from msgspec import Struct, field

from connector.simulator.messages import ApiError, Request, Response

WINDOW = 10
_KEPT = 100_000  # page tokens that are remembered
_GIVEN = re.compile(rb'"starting_after": ?"([^"]+)"')
_REFUSALS = {
    "forbidden": "You do not have the required scope (read) to access this resource",
    "api_plan_restricted": "Active subscription needed.",
}


class Denial(Struct):
    """Paths the token or the plan does not open, and how Intercom says so."""

    path: re.Pattern[str]
    status: int
    code: str | None = None
    message: str | None = None

    def error(self) -> ApiError:
        """The refusal; the usual code of the status and the usual sentence of the code."""
        code = self.code or ("token_unauthorized" if self.status == 401 else "forbidden")
        message = self.message or _REFUSALS.get(code, "Not authorized to access resource")
        return ApiError(self.status, code, message)


class Count(Struct):
    """Requests in the present window of ten seconds."""

    window: int = -1
    used: int = 0

    def at(self, now: float) -> int:
        """How many there were in the window of this time."""
        if int(now // WINDOW) != self.window:
            self.window, self.used = int(now // WINDOW), 0
        return self.used

    def add(self, now: float, requests: int = 1) -> None:
        """So many more."""
        self.at(now)
        self.used += requests


class App(Struct):
    """An app with its token; ``opens`` is the id of another workspace, if it is installed there."""

    token: str
    position: int
    revoked: bool = False
    opens: str | None = None
    denials: list[Denial] = field(default_factory=list)
    count: Count = field(default_factory=Count)
    requests: int = 0
    crossed: int = 0  # requests that went on with what was given to another app


class Given:
    """Which apps were given which page tokens."""

    def __init__(self) -> None:
        self._apps: OrderedDict[str, set[int]] = OrderedDict()

    def note(self, app: App, response: Response) -> None:
        """Remember the page tokens of a reply."""
        for token in _GIVEN.findall(response.body):
            key = token.decode()
            self._apps.setdefault(key, set()).add(app.position)
            self._apps.move_to_end(key)
        while len(self._apps) > _KEPT:
            self._apps.popitem(last=False)

    def check(self, app: App, request: Request) -> None:
        """400 for a page token that other apps were given, and this one was not."""
        found = [token.decode() for token in _GIVEN.findall(request.body)]
        for token in (*found, request.query.get("starting_after")):
            apps = self._apps.get(token or "")
            if apps and app.position not in apps:
                app.crossed += 1
                raise ApiError(
                    400,
                    "client_error",
                    "Invalid starting_after param. Please try again using a starting_after value"
                    " from a paginated response",
                )
