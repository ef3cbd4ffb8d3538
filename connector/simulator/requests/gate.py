"""Lets a request in or refuses it: token, rate limit, Accept, version. Knows no resource."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random

from connector.simulator.messages import ApiError, Request

VERSIONS = frozenset(
    [f"1.{minor}" for minor in range(5)] + [f"2.{minor}" for minor in range(17)] + ["Preview"]
)
WINDOW = 10
# Reset is announced six seconds after the window really ends.
_RESET_AFTER = 16
_REFUSALS = {
    "forbidden": "You do not have the required scope (read) to access this resource",
    "api_plan_restricted": "Active subscription needed.",
}


@dataclass(slots=True)
class Denial:
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


@dataclass(slots=True)
class Gate:
    """The state of the border: the token, the limit and the refused scopes."""

    token: str
    rate_limit: int | None
    rate_headers: bool
    app_version: str
    revoked: bool = False
    denials: list[Denial] = field(default_factory=list)
    # Scopes of writing that the token lacks, each with the status that says so.
    withheld: dict[str, int] = field(default_factory=dict)
    # What the clocks of the front ends are ahead by, in seconds; None sends no Date.
    clocks: Sequence[float | None] = (0.0,)
    ahead: float | None = 0.0
    random: Random = field(default_factory=lambda: Random(0))
    _window: int = -1
    _used: int = 0

    def authenticate(self, request: Request) -> None:
        """401 unless the token is the right one and still valid."""
        sent = request.header("authorization")
        if sent != f"Bearer {self.token}":
            raise ApiError(401, "unauthorized", "Access Token Invalid")
        if self.revoked:
            raise ApiError(401, "token_revoked", "Access Token has been revoked")

    def count(self, now: float) -> dict[str, str]:
        """Count an authenticated request; the headers to send, or 429 beyond the limit."""
        if self.rate_limit is None:
            return {}
        window = int(now // WINDOW)
        if window != self._window:
            self._window, self._used = window, 0
        # The first request of a window is told that the whole limit remains.
        remaining = self.rate_limit - self._used
        self._used += 1
        headers = self._headers(now + (self.ahead or 0.0), max(0, remaining))
        if remaining <= 0:
            message = f"Exceeded rate limit of {self.rate_limit} in 10_seconds"
            raise ApiError(429, "rate_limit_exceeded", message, headers=headers)
        return headers

    def spend(self, now: float, requests: int) -> None:
        """Another app of the workspace uses up some of the window they share."""
        window = int(now // WINDOW)
        if window != self._window:
            self._window, self._used = window, 0
        self._used += requests

    def accept(self, request: Request) -> None:
        """406 unless the caller asks for JSON by name; `*/*` is not enough."""
        if "application/json" not in (request.header("accept") or "").lower():
            message = "The Accept header should send a media type of application/json"
            raise ApiError(406, "media_type_not_acceptable", message)

    def version(self, request: Request) -> str:
        """The version asked for; without the header, the one set on the app, not the latest."""
        version = request.header("intercom-version") or self.app_version
        version = "Preview" if version == "Unstable" else version
        if version not in VERSIONS:
            message = f"The requested version {version!r} could not be found"
            raise ApiError(400, "intercom_version_invalid", message)
        return version

    def allow(self, request: Request) -> None:
        """401 or 403 where the token lacks a scope or the workspace a plan."""
        for denial in self.denials:
            if denial.path.search(request.path):
                raise denial.error()

    def require(self, scope: str) -> None:
        """401 or 403 where the token may read but not write."""
        status = self.withheld.get(scope)
        if status is not None:
            message = f"You do not have the required scope ({scope}) to access this resource"
            code = "token_unauthorized" if status == 401 else "forbidden"
            raise ApiError(status, code, message)

    def choose(self) -> None:
        """Let one of the front ends answer the request that comes now."""
        self.ahead = self.clocks[0] if len(self.clocks) == 1 else self.random.choice(self.clocks)

    def date(self, now: float) -> dict[str, str]:
        """The Date header by the clock of the front end that answers, if it sends one."""
        if self.ahead is None:
            return {}
        return {"Date": formatdate(max(0, int(now + self.ahead)), usegmt=True)}

    def _headers(self, now: float, remaining: int) -> dict[str, str]:
        if not self.rate_headers:
            return {}
        reset = int(now // WINDOW) * WINDOW + _RESET_AFTER
        return {
            "X-RateLimit-Limit": str(self.rate_limit),
            "X-RateLimit-Remaining": str(remaining),
            "X-RateLimit-Reset": str(reset),
        }
