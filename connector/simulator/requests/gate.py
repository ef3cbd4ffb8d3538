"""Lets a request in or refuses it: token, rate limits, Accept, version. Knows no resource."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from random import Random

from connector.simulator.messages import ApiError, Request, Response
from connector.simulator.requests.apps import WINDOW, App, Count, Denial, Given

VERSIONS = frozenset(
    [f"1.{minor}" for minor in range(5)] + [f"2.{minor}" for minor in range(17)] + ["Preview"]
)
# Reset is announced six seconds after the window really ends.
_RESET_AFTER = 16


@dataclass(slots=True)
class Gate:
    """The state of the border: the apps, the limits and the refused scopes.

    `rate_limit` is what each app may send in a window of ten seconds, `workspace_limit` what all
    may, `others` what other integrations of the workspace have sent when one begins.
    """

    apps: Sequence[App]
    rate_limit: int | None
    rate_headers: bool
    app_version: str
    workspace_limit: int | None = None
    others: int = 0
    denials: list[Denial] = field(default_factory=list)
    # Scopes of writing that the token lacks, each with the status that says so.
    withheld: dict[str, int] = field(default_factory=dict)
    # What the clocks of the front ends are ahead by, in seconds; None sends no Date.
    clocks: Sequence[float | None] = (0.0,)
    ahead: float | None = 0.0
    random: Random = field(default_factory=lambda: Random(0))
    caller: App = field(init=False)
    given: Given = field(default_factory=Given)
    _pool: Count = field(default_factory=Count)

    def __post_init__(self) -> None:
        self.caller = self.apps[0]

    @property
    def token(self) -> str:
        """The first app's."""
        return self.apps[0].token

    def app(self, position: int) -> App:
        """The app whose token stands there, counted from 1."""
        if not 1 <= position <= len(self.apps):
            raise ValueError(f"there is no token {position}, only {len(self.apps)}")
        return self.apps[position - 1]

    def authenticate(self, request: Request) -> None:
        """401 unless the token is one of the apps' and still valid; whose it is, is `caller`."""
        sent = request.header("authorization")
        caller = next((app for app in self.apps if sent == f"Bearer {app.token}"), None)
        if caller is None:
            raise ApiError(401, "unauthorized", "Access Token Invalid")
        self.caller = caller
        caller.requests += 1
        if caller.revoked:
            raise ApiError(401, "token_revoked", "Access Token has been revoked")

    def count(self, now: float) -> dict[str, str]:
        """Count an authenticated request; the headers to send, or 429 beyond a limit."""
        sent = self._pool.at(now) + self.others
        full = self.workspace_limit is not None and sent >= self.workspace_limit
        headers = {} if self.rate_limit is None else self._count(now)
        if full:  # what is left to the app itself is in the headers
            message = "Exceeded rate limit of the workspace"
            raise ApiError(429, "rate_limit_exceeded", message, headers=headers)
        self._pool.add(now)
        return headers

    def _count(self, now: float) -> dict[str, str]:
        # The first request of a window is told that the whole limit remains.
        limit, count = self.rate_limit or 0, self.caller.count
        remaining = limit - count.at(now)
        count.add(now)
        headers = self._headers(now + (self.ahead or 0.0), max(0, remaining))
        if remaining <= 0:
            message = f"Exceeded rate limit of {limit} in 10_seconds"
            raise ApiError(429, "rate_limit_exceeded", message, headers=headers)
        return headers

    def spend(self, now: float, requests: int, app: App | None = None) -> None:
        """Somebody else uses up some of the window that an app has, the caller's by default."""
        (app or self.caller).count.add(now, requests)
        self._pool.add(now, requests)

    def follow(self, request: Request) -> None:
        """400 where one app goes on with the page token of another."""
        if len(self.apps) > 1:
            self.given.check(self.caller, request)

    def remember(self, response: Response) -> None:
        """Whom the page tokens of this reply were given to."""
        if len(self.apps) > 1:
            self.given.note(self.caller, response)

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
        for denial in (*self.denials, *self.caller.denials):
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
