"""A simulator for benchmarks, in a process of its own: ``python -m bench.simulated SPEC``.

SPEC is JSON: ``workspace`` (arguments of ``Workspace.generate``), ``tokens``, ``rate_limit`` of
each and ``workspace_limit`` of all in ten seconds, ``latency`` in seconds, or ``"recorded"`` for a
distribution like that of Intercom's replies; ``swells`` (arguments of ``Swell``) make answers
large. Prints its address.
"""

from __future__ import annotations

import gc
import json
import math
import random
import sys
from typing import Any

from connector.simulator import Simulator, Workspace
from connector.simulator import run as serve
from connector.simulator.faults.bulk import Swell

MEDIAN, NINETIETH = 0.149, 0.484
"""Seconds that Intercom's replies take: the median and the 90th percentile of recorded traffic."""


def recorded(dice: random.Random) -> float:
    """Seconds of one reply, log-normal through the two recorded quantiles."""
    sigma = math.log(NINETIETH / MEDIAN) / 1.2816
    return MEDIAN * math.exp(sigma * dice.gauss(0.0, 1.0))


def main(spec: dict[str, Any]) -> None:
    """Serve until terminated."""
    space = Workspace.generate(1, **spec["workspace"])
    swells = [Swell(**one) for one in spec.get("swells", ())]
    simulator = Simulator(
        space,
        token=spec.get("tokens", ("sim-token",)),
        rate_limit=spec.get("rate_limit"),
        workspace_limit=spec.get("workspace_limit"),
        swells=swells,
    )
    latency = spec.get("latency", 0.0)
    if latency == "recorded":
        dice = random.Random(1)
        latency = lambda request: recorded(dice)  # noqa: E731
    gc.collect()
    gc.freeze()  # millions of records that stay: collecting them is no part of what is measured
    serve(simulator, port=0, latency=latency, ready=lambda url: print(url, flush=True))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
