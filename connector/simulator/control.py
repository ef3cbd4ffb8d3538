"""Everything a test may do to a simulator: time, changes, faults, scopes, limits, truth, counts.

The same methods answer over HTTP under /_control/<name> where a server allows it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from connector.simulator import truth
from connector.simulator.changes.living import Living
from connector.simulator.faults.falsehoods import FALSEHOODS
from connector.simulator.faults.hooks import Hook, Match
from connector.simulator.faults.rules import KINDS, Rule
from connector.simulator.faults.shortage import Cut
from connector.simulator.records.workspace import SHELVES
from connector.simulator.requests.apps import Denial
from connector.simulator.webhooks.hub import WebhookControls
from connector.simulator.writes.controls import WriteControls

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator


class Control(Living, WebhookControls, WriteControls):
    """The switchboard of one simulator."""

    def __init__(self, simulator: Simulator) -> None:
        super().__init__(simulator)
        self._scrolls_held = 0

    def call(self, name: str, arguments: dict[str, Any]) -> Any:
        """Call a method by name, as /_control does."""
        method = None if name.startswith("_") or name == "call" else getattr(self, name, None)
        if not inspect.ismethod(method):
            raise LookupError(f"no control named {name}")
        return method(**arguments)

    def advance(self, seconds: float) -> float:
        """Move the simulator's clock forward. Returns its present."""
        self.simulator.offset += seconds
        return self.simulator.now()

    def truth(self, kind: str) -> list[dict[str, Any]]:
        """Every living record of a kind, current and complete.

        `_hidden` is true of what no list shows: companies without users, events past 90 days.
        """
        return truth.truth(self.simulator, kind)

    def truth_one(self, kind: str, id: str) -> dict[str, Any]:
        """One complete record of contacts, companies, conversations or tickets."""
        return truth.complete(self.simulator, kind, self._item(kind, id))

    def truth_deleted(self) -> list[dict[str, Any]]:
        """What is gone: kind, id, how, at, since, target."""
        return truth.deleted(self._space)

    def fail(
        self,
        match: dict[str, str] | None = None,
        *,
        times: int | None = 1,
        kind: str = "status",
        status: int | None = None,
        code: str | None = None,
        message: str | None = None,
        probability: float = 1.0,
        after: int = 0,
        seconds: float = 0.0,
        cut_after: int | None = None,
        headers: dict[str, str] | None = None,
        holds: str | None = None,
    ) -> None:
        """Spoil requests that match (method, path regex, body regex).

        With `holds`, an id, only where the reply would hold that record, on whatever page; a text
        with a quotation mark in it is looked for as it stands.

        Instead of an answer, nothing being done: status, html, scroll_network, refuse.
        After the request was carried out: empty, cut, reset, stall, delay, content_type, garbage,
        and late_status, which says that it failed though it did not.
        `times` None is for ever; `after` lets so many matching requests pass first.
        """
        if kind not in KINDS:
            raise ValueError(f"{kind} is not one of {', '.join(sorted(KINDS))}")
        self.simulator.faults.rules.append(
            Rule(
                kind,
                Match.of(match),
                times=times,
                skip=after,
                probability=probability,
                status=status or (404 if kind == "html" else 500),
                code=code,
                message=message,
                cut_after=cut_after,
                seconds=seconds,
                headers=headers,
                holds=holds,
            )
        )

    def clear_faults(self) -> None:
        """Forget every rule of `fail`."""
        self.simulator.faults.rules.clear()

    def when(
        self,
        match: dict[str, str] | None,
        change: Callable[[], object] | str,
        arguments: dict[str, Any] | None = None,
        *,
        times: int | None = 1,
        after: int = 0,
        before: bool = False,
    ) -> None:
        """Make a change just after (or before) a request that matches is answered.

        The change is a function, or a control by name with its arguments. `match`, `times` and
        `after` are as in `fail`; the change happens whatever becomes of the request.
        """
        act = change if callable(change) else partial(self.call, change, arguments or {})
        self.simulator.hooks.add(Hook(Match.of(match), act, times, after, before))

    def clear_hooks(self) -> None:
        """Forget everything that `when` was told."""
        self.simulator.hooks.clear()

    def falsify(self, *facts: str) -> None:
        """Make what is known of Intercom false; without a name nothing is false any more.

        Names are those of `docs/facts.md`.
        """
        if unknown := set(facts) - FALSEHOODS:
            raise ValueError(f"nobody can make false: {', '.join(sorted(unknown))}")
        self.simulator.false.ids = set(facts)

    def omit(self, kind: str, ids: list[str], seconds: float) -> None:
        """Lists and searches of a kind leave these out for so long; reads by id show them."""
        simulator = self.simulator
        until = simulator.now() + seconds
        simulator.shortage.omit(kind, ids, until)
        if kind in SHELVES:
            self._space.shelf(kind).omit(ids, until)

    def cut_lists(self, kind: str, after: int | None, told: bool = True) -> None:
        """Every list and search of a kind ends after so many records; None ends that.

        With `told` their total_count still counts everything.
        """
        self.simulator.shortage.cut(kind, None if after is None else Cut(after, told))

    def unsettled(self, kind: str, since: float) -> list[str]:
        """The ids of which lists asked for at `since` may not have shown the last change."""
        return self.simulator.journal.unsettled(kind, since)

    def silent(self, kind: str, since: float) -> list[str]:
        """The ids whose last change moved no updated_at and was not shown before `since`."""
        return self.simulator.journal.silent(kind, since)

    def hold_scroll(self, seconds: float) -> None:
        """Another client of the workspace has a scroll open for so long."""
        from connector.simulator.api.scroll import Scroll

        self._scrolls_held += 1
        until = self.simulator.now() + seconds
        self.simulator.scroll = Scroll(f"foreign-{self._scrolls_held}", [], until)

    def revoke_token(self, revoked: bool = True, token: int = 1) -> None:
        """Revoke a token, by its position, or give it back."""
        self.simulator.gate.app(token).revoked = revoked

    def install_elsewhere(self, token: int, id_code: str | None) -> None:
        """A token opens another workspace, of this id; None is the one that is simulated."""
        self.simulator.gate.app(token).opens = id_code

    def deny(
        self,
        path: str,
        status: int = 403,
        code: str | None = None,
        message: str | None = None,
        token: int | None = None,
    ) -> None:
        """Refuse paths that match the expression: 401 or 403, as for a missing scope.

        The code `api_plan_restricted` is a plan that lacks the endpoint; the message follows.
        `token` is the position of the only one that lacks it.
        """
        gate = self.simulator.gate
        denials = gate.denials if token is None else gate.app(token).denials
        denials.append(Denial(re.compile(path), status, code, message))

    def allow_all(self) -> None:
        """Give every scope back."""
        self.simulator.gate.denials.clear()
        for app in self.simulator.gate.apps:
            app.denials.clear()
        self.simulator.gate.withheld.clear()

    def limit(self, n: int | None) -> None:
        """Set the number of requests of each token in a 10-second window; None is no limit."""
        self.simulator.gate.rate_limit = n

    def limit_workspace(self, n: int | None) -> None:
        """Set the number of requests of all tokens in a 10-second window; None is no limit."""
        self.simulator.gate.workspace_limit = n

    def spend(self, n: int, token: int = 1) -> None:
        """Another tool makes n requests with the same token in the present window."""
        gate = self.simulator.gate
        gate.spend(self.simulator.now(), n, gate.app(token))

    def share(self, n: int) -> None:
        """Other integrations have made n requests of the pool whenever a window begins."""
        self.simulator.gate.others = n

    def stats(self) -> dict[str, Any]:
        """Requests by endpoint, status and window, refusals, the most in flight at once.

        Of each token, by position, its requests, and those that `crossed`: that went on with a
        page token or scroll of another.
        """
        apps = self.simulator.gate.apps
        tokens = {str(a.position): {"requests": a.requests, "crossed": a.crossed} for a in apps}
        return self.simulator.stats.as_dict() | {"tokens": tokens}

    def reset_stats(self) -> None:
        """Begin to count anew."""
        self.simulator.stats.reset()
        for app in self.simulator.gate.apps:
            app.requests = app.crossed = 0
