"""A request, a response and Intercom's error envelopes; knows no transport and no workspace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from connector.simulator.encoding import encode


class Request(Struct, frozen=True):
    """One HTTP request as the simulator sees it. Header names are compared without case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The header's value, or None; `name` is in lower case."""
        value = self.headers.get(name)
        if value is not None:
            return value
        for key, candidate in self.headers.items():
            if key.lower() == name:
                return candidate
        return None


class Fault(Struct, frozen=True):
    """What the outer layer must do to the reply instead of sending it whole.

    `kind` is one of delay, cut, reset, refuse, stall. `after` is the number of body bytes to send
    before a cut; None means half of the body.
    """

    kind: str
    delay: float = 0.0
    after: int | None = None


class Response(Struct):
    """One HTTP response; `fault` asks the outer layer to spoil it."""

    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None


class ApiError(Exception):
    """An answer in Intercom's error envelope, raised where the request is refused."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        field: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(f"{status} {code}: {message}")
        self.status = status
        self.code = code
        self.message = message
        self.field = field
        self.headers = dict(headers or {})


def error_body(code: str, message: str, request_id: str, field: str | None = None) -> bytes:
    """The `error.list` envelope."""
    entry: dict[str, Any] = {"code": code, "message": message}
    if field is not None:
        entry["field"] = field
    return encode({"type": "error.list", "request_id": request_id, "errors": [entry]})


def malformed_body(detail: str) -> bytes:
    """Intercom answers a body that is not JSON in a shape of its own, not in `error.list`."""
    text = f"There was a problem in the JSON you submitted [ddf8bd5e]: {detail}"
    return encode({"status": 400, "error": text})


HTML_NOT_FOUND = (
    b"<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n"
    b"<center><h1>404 Not Found</h1></center>\r\n<hr>"
    b"<center>nginx</center>\r\n</body>\r\n</html>\r\n"
)
