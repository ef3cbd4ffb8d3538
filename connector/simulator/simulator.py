"""Answers requests as Intercom would, without I/O; knows the order of checks, not the resources."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from random import Random
from typing import Any, Literal
from uuid import UUID

from connector.simulator.api import ROUTER
from connector.simulator.api.scroll import Scroll
from connector.simulator.control import Control
from connector.simulator.encoding import signer, unsign
from connector.simulator.faults.bulk import Swell, swell
from connector.simulator.faults.falsehoods import LAG, LONG_LAG, Falsehoods
from connector.simulator.faults.hooks import Hooks
from connector.simulator.faults.rules import Faults, Rule
from connector.simulator.faults.shortage import Shortage
from connector.simulator.messages import (
    ApiError,
    Request,
    Response,
    error_body,
    malformed_body,
)
from connector.simulator.records.journal import Journal
from connector.simulator.records.ticket import show_as_conversations
from connector.simulator.records.workspace import Workspace
from connector.simulator.requests.apps import App
from connector.simulator.requests.call import Call, MalformedBodyError, not_found
from connector.simulator.requests.gate import Gate
from connector.simulator.requests.stats import Stats
from connector.simulator.webhooks.hub import Webhooks
from connector.simulator.writes.hub import Writes

_JSON = "application/json; charset=utf-8"
# Signed addresses live for half an hour.
_SIGNATURE_LIFE = 1800
_KEPT_SELECTIONS = 64
_DONE = frozenset({200, 202})


class Simulator:
    """An Intercom workspace behind its REST API.

    `index_lag` is how long lists and searches go on showing a record as it was before its last
    change, in seconds or as a range to draw from. `rate_limit` is the number of requests in each
    10-second window; None never refuses and sends no rate headers. `token` is one, or several of
    the workspace's apps, each with a limit of its own; `workspace_limit` is what all of them
    together may send in a window. `app_version` answers requests
    without a version header. `inclusive` makes `>` and `<` on conversations include their bound,
    which Intercom documents but does not clearly do. `midnight_hole` hides contacts from day
    searches when they were updated within so many seconds of midnight. `user_count_delay` is how
    long a company's user_count stays behind its users, `feed_lag` how long the feeds of deletions
    and activities stay behind what they tell of.

    Not known of Intercom, so to be chosen: `archived_by_id` is what a read by id says of an
    archived contact, `missing` (404), `marked` (`"archived": true`) or `shown` (as if it were
    not). `merges_inherited` is whether a contact's merge history tells of what was merged into
    the contacts that were merged into it. With `merges_move` a merge puts the survivor into the
    conversations and tickets of the contact that goes, and their updated_at does not tell.
    `swells` make answers large as they leave. `clocks` are the errors, in seconds, of the clocks of
    the front ends, one of which answers each request; None is one that sends no Date.
    """

    def __init__(
        self,
        workspace: Workspace,
        *,
        token: str | Sequence[str] = "sim-token",
        clock: Callable[[], float] = time.time,
        index_lag: float | tuple[float, float] = 60.0,
        rate_limit: int | None = None,
        workspace_limit: int | None = None,
        rate_headers: bool = True,
        signed_urls: bool = True,
        app_version: str = "2.15",
        inclusive: bool = False,
        midnight_hole: int = 0,
        user_count_delay: float = 91.0,
        tickets_in_conversations: bool = False,
        feed_lag: float = 0.0,
        archived_by_id: Literal["missing", "marked", "shown"] = "missing",
        merges_inherited: bool = True,
        merges_move: bool = False,
        swells: Sequence[Swell] = (),
        clocks: Sequence[float | None] = (0.0,),
    ) -> None:
        self.workspace = workspace
        self.clock = clock
        self.offset = 0.0
        self.index_lag = index_lag
        self.signed_urls = signed_urls
        self.inclusive = inclusive
        self.midnight_hole = midnight_hole
        self.user_count_delay = user_count_delay
        self.tickets_in_conversations = tickets_in_conversations
        self.feed_lag = feed_lag
        self.archived_by_id = archived_by_id
        self.merges_inherited = merges_inherited
        self.merges_move = merges_move
        self.swells = list(swells)
        if tickets_in_conversations:
            show_as_conversations(workspace)
        tokens = (token,) if isinstance(token, str) else tuple(token)
        self.gate = Gate(
            [App(one, position) for position, one in enumerate(tokens, 1)],
            rate_limit,
            rate_headers,
            app_version,
            workspace_limit,
            clocks=clocks,
        )
        self.faults = Faults()
        self.hooks = Hooks()
        self.shortage = Shortage()
        self.false = Falsehoods()
        self.journal = Journal()
        self.stats = Stats()
        self.scroll: Scroll | None = None
        self.webhooks = Webhooks(self)
        self.writes = Writes(self)
        self.control = Control(self)
        self._moment: float | None = None
        self._random = Random(workspace.seed)
        self._requests = 0
        self._signatures = 0
        self._selections: OrderedDict[Any, Any] = OrderedDict()

    def now(self) -> float:
        """The simulator's present: the injected clock plus what was advanced."""
        return self.clock() + self.offset if self._moment is None else self._moment

    @contextmanager
    def at(self, moment: float) -> Iterator[None]:
        """Let it be an earlier time, for what was due then and is done only now."""
        before, self._moment = self._moment, moment
        try:
            yield
        finally:
            self._moment = before

    def settle(self) -> None:
        """Do what should have happened by now."""
        self.workspace.catch_up(self.now())

    def visible_at(self) -> float:
        """When a change made now will be seen in lists."""
        lag = LONG_LAG if LAG in self.false else self.index_lag
        return self.now() + (lag if isinstance(lag, int | float) else self._random.uniform(*lag))

    def respond(self, request: Request) -> Response:
        """The answer to one request."""
        self.hooks.run(request, before=True)
        response = self._respond(request)
        self.hooks.run(request, before=False)
        return response

    def _respond(self, request: Request) -> Response:
        now = self.now()
        self.settle()
        self.gate.choose()
        self._requests += 1
        request_id = str(UUID(int=(self._requests * 0x9E3779B97F4A7C15F39CC0605CEDC834) % 2**128))
        found = ROUTER.find(request.method, request.path)
        endpoint = found[0].name if found else f"{request.method} (unknown)"
        rule = self.faults.pick(request)
        if rule is not None and rule.is_instead:
            response = self._instead(rule, request_id)
        else:
            response = self._answer(request, now, request_id)
            if rule is None and response.status in _DONE:
                rule = self.faults.pick(request, response.body)
            if rule is not None and rule.is_instead:
                response = self._instead(rule, request_id)
            elif rule is not None:
                response = rule.spoil(response, request_id)
        response.headers.update(self.gate.date(now))
        response.headers["X-Request-Id"] = request_id
        response = self.false.distort(request, response)
        self.stats.count(endpoint, response.status, now)
        return response

    def signer(self) -> Callable[[bytes], bytes]:
        """What signs the addresses of one reply; the next reply is signed otherwise."""
        if not self.signed_urls:
            return unsign
        self._signatures += 1
        signature = sha256(b"%d" % self._signatures).hexdigest()
        return signer(int(self.now()) + _SIGNATURE_LIFE + self._signatures % 60, signature)

    def recall(self, key: Any) -> Any:
        """What was kept under a key, or None."""
        kept = self._selections.get(key)
        if kept is not None:
            self._selections.move_to_end(key)
        return kept

    def remember(self, key: Any, value: Any) -> None:
        """Keep the outcome of a scan or a sort for the pages that follow."""
        self._selections[key] = value
        if len(self._selections) > _KEPT_SELECTIONS:
            self._selections.popitem(last=False)

    def _instead(self, rule: Rule, request_id: str) -> Response:
        if rule.kind == "scroll_network":
            # Such a scroll cannot be continued, only begun again.
            self.scroll = None
        return rule.answer(request_id)

    def _answer(self, request: Request, now: float, request_id: str) -> Response:
        headers: dict[str, str] = {}
        try:
            self.gate.authenticate(request)
            headers.update(self.gate.count(now))
            self.gate.accept(request)
            version = self.gate.version(request)
            headers["Intercom-Version"] = version
            self.gate.allow(request)
            self.gate.follow(request)
            response = self._handle(request, version, now)
            self.gate.remember(response)
            swell(self.swells, request, response)
        except ApiError as error:
            body = error_body(error.code, error.message, request_id, error.field)
            response = Response(error.status, body, {"Content-Type": _JSON, **error.headers})
        except MalformedBodyError as error:
            response = Response(400, malformed_body(str(error)), {"Content-Type": _JSON})
        response.headers.update(headers)
        return response

    def _handle(self, request: Request, version: str, now: float) -> Response:
        found = ROUTER.find(request.method, request.path)
        if found is None:
            raise not_found("The requested resource was not found")
        route, params = found
        return route.handler(Call(self, request, version, now, params))
