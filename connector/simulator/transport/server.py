"""Serves a simulator over real HTTP and acts out its faults on the wire; knows no resource."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from connector.simulator.encoding import decode, encode
from connector.simulator.messages import Fault, Request, Response
from connector.simulator.simulator import Simulator

Latency = float | Callable[[Request], float]
_CONTROL = "/_control/"
# How long a stalled reply keeps silent, and how often it looks whether the client has gone.
_LONG = 3600.0
_GLANCE = 0.02


class _Handler:
    def __init__(self, simulator: Simulator, latency: Latency, control: bool) -> None:
        self._simulator = simulator
        self._latency = latency
        self._control = control

    async def __call__(self, incoming: web.BaseRequest) -> web.StreamResponse:
        body = await incoming.read()
        if self._control and incoming.path.startswith(_CONTROL):
            return self._controlled(incoming.path[len(_CONTROL) :], body)
        request = Request(incoming.method, incoming.path, incoming.query, incoming.headers, body)
        stats = self._simulator.stats
        stats.enter()
        try:
            await self._wait(request)
            response = self._simulator.respond(request)
            if response.fault is not None:
                return await self._spoilt(incoming, response, response.fault)
            return web.Response(
                status=response.status, body=response.body, headers=response.headers
            )
        finally:
            stats.leave()

    async def _wait(self, request: Request) -> None:
        seconds = self._latency(request) if callable(self._latency) else self._latency
        if seconds > 0:
            await asyncio.sleep(seconds)

    async def _spoilt(
        self, incoming: web.BaseRequest, response: Response, fault: Fault
    ) -> web.StreamResponse:
        if fault.kind == "delay":
            await asyncio.sleep(fault.delay)
            return web.Response(
                status=response.status, body=response.body, headers=response.headers
            )
        if fault.kind == "stall":
            await _stall(incoming, fault.delay)
        elif fault.kind == "cut":
            return await self._cut(incoming, response, fault)
        if incoming.transport is not None:
            incoming.transport.abort()
        return web.Response(status=500)

    async def _cut(
        self, incoming: web.BaseRequest, response: Response, fault: Fault
    ) -> web.StreamResponse:
        stream = web.StreamResponse(status=response.status, headers=response.headers)
        stream.content_length = len(response.body)
        await stream.prepare(incoming)
        sent = len(response.body) // 2 if fault.after is None else fault.after
        await stream.write(response.body[:sent])
        if incoming.transport is not None:
            incoming.transport.close()
        return stream

    def _controlled(self, name: str, body: bytes) -> web.Response:
        try:
            result: Any = self._simulator.control.call(name, decode(body) if body else {})
        except (LookupError, TypeError, ValueError) as error:
            answer = encode({"error": f"{type(error).__name__}: {error}"})
            return web.Response(status=400, body=answer, content_type="application/json")
        return web.Response(body=encode(result), content_type="application/json")


async def _stall(incoming: web.BaseRequest, seconds: float) -> None:
    # Nothing comes; the client's own patience ends it, or the time the fault gives.
    loop = asyncio.get_running_loop()
    until = loop.time() + (seconds or _LONG)
    while loop.time() < until:
        if incoming.transport is None or incoming.transport.is_closing():
            return
        await asyncio.sleep(_GLANCE)


@asynccontextmanager
async def serve(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    latency: Latency = 0.0,
    control: bool = False,
) -> AsyncIterator[str]:
    """Serve on a port (0: any free one) for as long as the context lasts; gives the address."""
    handler = _Handler(simulator, latency, control)
    # One bare handler: the application layer of aiohttp costs a third of the throughput.
    server = web.Server(handler, access_log=None)
    runner = web.ServerRunner(server, shutdown_timeout=1.0)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=1024)
        await site.start()
        bound = runner.addresses[0][1]
        yield f"http://{host}:{bound}"
    finally:
        await runner.cleanup()


def run(
    simulator: Simulator,
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    latency: Latency = 0.0,
    control: bool = True,
    ready: Callable[[str], None] | None = None,
    beside: Iterable[Callable[[], Coroutine[Any, Any, None]]] = (),
) -> None:
    """Serve until interrupted or terminated; `ready` is told the address once it answers.

    What is `beside` runs meanwhile, and is cancelled at the end; its first error ends everything.
    """
    asyncio.run(_run(simulator, host, port, latency, control, ready, beside))


async def _run(
    simulator: Simulator,
    host: str,
    port: int,
    latency: Latency,
    control: bool,
    ready: Callable[[str], None] | None,
    beside: Iterable[Callable[[], Coroutine[Any, Any, None]]],
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with serve(simulator, host, port, latency=latency, control=control) as url:
        if ready is not None:
            ready(url)
        await _meanwhile(stop, [asyncio.create_task(begin()) for begin in beside])


async def _meanwhile(stop: asyncio.Event, tasks: list[asyncio.Task[None]]) -> None:
    stopped = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait([stopped, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                task.result()
    finally:
        for one in (stopped, *tasks):
            one.cancel()
        await asyncio.gather(stopped, *tasks, return_exceptions=True)
