"""Lets a served workspace live on at a steady pace; knows no kind of change."""

from __future__ import annotations

import asyncio

from connector.simulator.simulator import Simulator

_LONGEST = 0.1


async def live(simulator: Simulator, per_second: float) -> None:
    """Make so many changes a second until cancelled, evenly, however long each takes."""
    loop = asyncio.get_running_loop()
    began, made = loop.time(), 0
    while True:
        await asyncio.sleep(min(_LONGEST, 1 / per_second))
        due = int((loop.time() - began) * per_second) - made
        # One at a time: requests are answered in between.
        for _ in range(due):
            simulator.control.live()
            await asyncio.sleep(0)
        made += due
