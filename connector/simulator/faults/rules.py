"""Rules that spoil chosen answers on purpose; knows requests and answers, no resource."""

from __future__ import annotations

from random import Random

from msgspec import Struct

from connector.simulator.faults.hooks import Match
from connector.simulator.messages import HTML_NOT_FOUND, Fault, Request, Response, error_body

# Faults that come instead of an answer: the request had no effect.
_INSTEAD = frozenset({"status", "html", "scroll_network", "refuse"})
# Faults of the way back: the request was carried out, its answer is spoilt or lost.
_AFTERWARDS = frozenset(
    {"empty", "cut", "reset", "stall", "delay", "content_type", "garbage", "late_status"}
)
KINDS = _INSTEAD | _AFTERWARDS
_MESSAGES = {
    429: ("rate_limit_exceeded", "Exceeded rate limit"),
    500: ("server_error", "An internal error occurred"),
    502: ("server_error", "Bad gateway"),
    503: ("service_unavailable", "Sorry, the API service is temporarily unavailable"),
    504: ("request_timeout", "The server failed to respond in time"),
}
SCROLL_NETWORK = (
    "Request failed due to an internal network error. Please restart the scroll operation."
)


class Rule(Struct):
    """One rule: which requests, which fault, how often."""

    kind: str
    match: Match
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    status: int = 500
    code: str | None = None
    message: str | None = None
    cut_after: int | None = None
    seconds: float = 0.0
    headers: dict[str, str] | None = None
    holds: str | None = None
    hits: int = 0

    @property
    def is_instead(self) -> bool:
        """True when the request is not carried out at all."""
        return self.kind in _INSTEAD

    def stands_in(self, body: bytes) -> bool:
        """True when a reply holds the record that this rule is about, or the text that it is."""
        wanted = (self.holds or "").encode()
        return b'"id":"%s"' % wanted in body or (b'"' in wanted and wanted in body)

    def answer(self, request_id: str) -> Response:
        """The answer that comes instead of the real one."""
        if self.kind == "html":
            return Response(self.status, HTML_NOT_FOUND, {"Content-Type": "text/html"})
        if self.kind == "refuse":
            return Response(503, b"", {}, Fault("refuse"))
        status = 500 if self.kind == "scroll_network" else self.status
        code, message = _MESSAGES.get(status, ("client_error", "The request was refused"))
        if self.kind == "scroll_network":
            message = SCROLL_NETWORK
        body = error_body(self.code or code, self.message or message, request_id)
        headers = {"Content-Type": "application/json; charset=utf-8", **(self.headers or {})}
        return Response(status, body, headers)

    def spoil(self, response: Response, request_id: str) -> Response:
        """The real answer, spoilt on its way back."""
        if self.kind == "late_status":
            return self.answer(request_id)
        if self.kind == "empty":
            response.body = b""
        elif self.kind == "content_type":
            response.headers["Content-Type"] = "text/html; charset=utf-8"
        elif self.kind == "garbage":
            response.body = response.body[: len(response.body) // 2]
        else:
            response.fault = Fault(self.kind, self.seconds, self.cut_after)
        return response


class Faults:
    """The rules in force, asked once for each request."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self.struck = 0
        self._random = Random(0)

    def pick(self, request: Request, body: bytes | None = None) -> Rule | None:
        """The first rule that strikes this request; a rule used up is dropped.

        With ``body``, of a reply that is made already, those about what replies hold; else those
        about requests.
        """
        for rule in self.rules:
            if not rule.match.fits(request) or (rule.holds is None) != (body is None):
                continue
            if body is not None and not rule.stands_in(body):
                continue
            if rule.skip > 0:
                rule.skip -= 1
                continue
            if rule.probability < 1 and self._random.random() >= rule.probability:
                continue
            rule.hits += 1
            self.struck += 1
            if rule.times is not None and rule.hits >= rule.times:
                self.rules.remove(rule)
            return rule
        return None
