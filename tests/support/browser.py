"""Chromium without a window, by its DevTools protocol: opens a page, asks it, takes its picture."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import re
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp

PROGRAM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
PATIENCE = 60.0  # seconds for it to begin, and for each answer
SWITCHES = (
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"),
    *("--no-first-run", "--disable-background-networking", "--hide-scrollbars"),
    *("--remote-debugging-port=0", "--force-device-scale-factor=1"),
)
BETWEEN = re.compile(r"navigated|context", re.IGNORECASE)  # said while a page takes over
SAID = ("Runtime.consoleAPICalled", "Runtime.exceptionThrown", "Log.entryAdded")


class BrowserError(Exception):
    """The browser did not carry out a command."""


class Page:
    """One page of the browser; ``said`` is what came to its console, refusals included."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self.said: list[dict[str, Any]] = []
        self.requested: list[str] = []

    async def listen(self) -> None:
        """Take what the browser sends, until it ends."""
        async for message in self._socket:
            told = json.loads(message.data)
            if told.get("id") in self._waiting:
                self._waiting.pop(told["id"]).set_result(told)
            elif told.get("method") in SAID:
                self.said.append(told["params"])
            elif told.get("method") == "Network.requestWillBeSent":
                self.requested.append(told["params"]["request"]["url"])

    async def call(self, method: str, **parameters: Any) -> Any:
        """One command of the protocol and its result."""
        number = next(self._numbers)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": number, "method": method, "params": parameters})
        told = await asyncio.wait_for(answer, PATIENCE)
        if "error" in told:
            raise BrowserError(method, told["error"].get("message", ""))
        return told["result"]

    async def ask(self, expression: str) -> Any:
        """The value of a JavaScript expression, awaited if it is a promise."""
        asked = {"expression": expression, "returnByValue": True, "awaitPromise": True}
        told = await self.call("Runtime.evaluate", **asked)
        assert "exceptionDetails" not in told, told
        return told["result"].get("value")

    async def until(self, expression: str) -> None:
        """Wait until the expression is true, in whatever page the browser is by then."""
        async with asyncio.timeout(PATIENCE):
            while True:
                try:
                    if await self.ask(expression):
                        return
                except BrowserError as refused:
                    if not BETWEEN.search(str(refused)):
                        raise
                await asyncio.sleep(0.05)

    async def open(self, file: Path, width: int = 1400, *, dark: bool = False) -> None:
        """Open the file at that width, and wait until its charts are drawn."""
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        await self.call("Emulation.setDeviceMetricsOverride", **size)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=file.resolve().as_uri())
        await self.until(
            "document.readyState == 'complete'"
            " && (!!document.body.dataset.drawn || !window.vegaEmbed)"
        )

    async def picture(self, height: int | None = None) -> bytes:
        """The whole page, or its upper part, as PNG."""
        size = (await self.call("Page.getLayoutMetrics"))["cssContentSize"]
        clip = {"x": 0, "y": 0, "width": size["width"], "height": height or size["height"]}
        clip["scale"] = 1
        told = await self.call("Page.captureScreenshot", clip=clip, captureBeyondViewport=True)
        return base64.b64decode(told["data"])


@contextlib.asynccontextmanager
async def browser() -> AsyncIterator[Page]:
    """A browser that ends with this context, with one page."""
    with tempfile.TemporaryDirectory(prefix="chromium-", ignore_cleanup_errors=True) as home:
        command = [PROGRAM, *SWITCHES, f"--user-data-dir={home}", "about:blank"]
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
        )
        try:
            address = await asyncio.wait_for(_address(process), PATIENCE)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://{address}/json/list") as reply:
                    pages = [one for one in await reply.json() if one["type"] == "page"]
                url = pages[0]["webSocketDebuggerUrl"]
                async with session.ws_connect(url, max_msg_size=0) as socket:
                    page = Page(socket)
                    listener = asyncio.create_task(page.listen())
                    for domain in ("Page", "Runtime", "Log", "Network"):
                        await page.call(f"{domain}.enable")
                    yield page
                    await page.call("Browser.close")
                    listener.cancel()
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


async def _address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        if found := re.search(rb"listening on ws://([^/]+)/", line):
            return found[1].decode()
    raise AssertionError("the browser did not begin")
