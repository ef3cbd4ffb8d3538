"""Lets an httpx client talk to a simulator without a socket, faults included; knows no resource."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import httpx

from connector.simulator.messages import Fault, Request, Response
from connector.simulator.simulator import Simulator


class SimulatorTransport(httpx.AsyncBaseTransport):
    """An httpx transport over a simulator.

    `latency` is awaited before each answer with the request, so that a test decides what waiting
    means; `sleep` is awaited with the seconds of a `delay` fault.
    """

    def __init__(
        self,
        simulator: Simulator,
        *,
        latency: Callable[[Request], Awaitable[None]] | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self._simulator = simulator
        self._latency = latency
        self._sleep = sleep

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer one request, or raise what httpx raises when the wire fails."""
        body = await request.aread()
        query = dict(request.url.params.multi_items())
        asked = Request(request.method, request.url.path, query, request.headers, body)
        stats = self._simulator.stats
        stats.enter()
        try:
            if self._latency is not None:
                await self._latency(asked)
            response = self._simulator.respond(asked)
            if response.fault is not None:
                await self._act_out(response.fault, request)
            return _answer(response, request)
        finally:
            stats.leave()

    async def _act_out(self, fault: Fault, request: httpx.Request) -> None:
        if fault.kind == "delay":
            if self._sleep is not None:
                await self._sleep(fault.delay)
        elif fault.kind == "stall":
            raise httpx.ReadTimeout("the simulator stalls", request=request)
        elif fault.kind == "refuse":
            raise httpx.ConnectError("the simulator refuses the connection", request=request)
        elif fault.kind == "reset":
            raise httpx.ReadError("the simulator resets the connection", request=request)


class _CutStream(httpx.AsyncByteStream):
    def __init__(self, body: bytes, sent: int) -> None:
        self._body = body
        self._sent = sent

    async def __aiter__(self):  # type: ignore[no-untyped-def]
        yield self._body[: self._sent]
        raise httpx.RemoteProtocolError(
            f"peer closed connection without sending complete message body (received {self._sent}"
            f" bytes, expected {len(self._body)})"
        )


def _answer(response: Response, request: httpx.Request) -> httpx.Response:
    body, fault = response.body, response.fault
    headers = {**response.headers, "Content-Length": str(len(body))}
    if fault is not None and fault.kind == "cut":
        sent = len(body) // 2 if fault.after is None else fault.after
        return httpx.Response(
            response.status, headers=headers, stream=_CutStream(body, sent), request=request
        )
    return httpx.Response(response.status, headers=headers, content=body, request=request)
