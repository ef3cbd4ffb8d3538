"""Changes that happen while requests are answered; knows requests, not what changes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from connector.simulator.messages import Request


class Match(Struct, frozen=True):
    """Which requests a rule is about; what is None does not matter."""

    method: str | None = None
    path: re.Pattern[str] | None = None
    body: re.Pattern[str] | None = None

    @classmethod
    def of(cls, match: Mapping[str, str] | None) -> Match:
        """From a method and regular expressions for path and body, each optional."""
        match = match or {}
        path, body = match.get("path"), match.get("body")
        return cls(
            match.get("method"),
            None if path is None else re.compile(path),
            None if body is None else re.compile(body),
        )

    def fits(self, request: Request) -> bool:
        """True when the rule is about this request."""
        if self.method is not None and self.method != request.method:
            return False
        if self.path is not None and not self.path.search(request.path):
            return False
        return self.body is None or bool(
            self.body.search(request.body.decode("utf-8", "surrogateescape"))
        )


class Hook(Struct):
    """A change that happens before or after the answer to requests is made."""

    match: Match
    change: Callable[[], object]
    times: int | None
    skip: int
    before: bool


class Hooks:
    """The hooks in force."""

    def __init__(self) -> None:
        self._hooks: list[Hook] = []

    def add(self, hook: Hook) -> None:
        """One more."""
        self._hooks.append(hook)

    def clear(self) -> None:
        """Forget them all."""
        self._hooks.clear()

    def run(self, request: Request, *, before: bool) -> None:
        """Let happen what is to happen before, or after, this request is answered."""
        for hook in list(self._hooks):
            if hook.before != before or not hook.match.fits(request):
                continue
            if hook.skip > 0:
                hook.skip -= 1
                continue
            if hook.times is not None:
                hook.times -= 1
                if hook.times <= 0:
                    self._hooks.remove(hook)
            hook.change()
