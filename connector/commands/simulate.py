"""``simulate``: the bundled simulator alone, over HTTP, with its controls."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from connector.errors import SettingsError

if TYPE_CHECKING:
    from connector.simulator import Simulator, Workspace

WORKSPACE_LIMIT = 4167  # 25,000 a minute
Beside = Callable[[], Coroutine[Any, Any, None]]


def add_options(sub: Any) -> None:
    """What a simulated workspace can be told to be."""
    sub.add_argument("--host", default="127.0.0.1")
    sub.add_argument("--port", type=int, default=8080)
    sub.add_argument("--seed", type=int, default=1)
    sub.add_argument("--contacts", type=int, default=2_000)
    sub.add_argument("--companies", type=int, default=200)
    sub.add_argument("--conversations", type=int, default=300)
    sub.add_argument(
        "--lifelike", action="store_true", help="conversations of a desk that answers, no oddities"
    )
    sub.add_argument("--latency", type=float, default=0.0, help="seconds before each reply")
    sub.add_argument(
        "--token", default="sim-token", help="the token it accepts, or several: one,two"
    )
    sub.add_argument(
        "--rate-limit", type=int, default=1667, help="requests in 10 s of each token; 0 is none"
    )
    sub.add_argument(
        "--workspace-limit",
        type=int,
        help="requests in 10 s of all tokens and others; 0 is none (4167, or none as --rate-limit)",
    )
    sub.add_argument(
        "--others", type=int, default=0, help="requests in 10 s that other integrations send"
    )
    sub.add_argument(
        "--without",
        action="append",
        default=[],
        metavar="N=PATHS",
        help="token N may not read paths that match: 2=^/conversations",
    )
    sub.add_argument(
        "--revoked", action="append", type=int, default=[], metavar="N", help="token N is revoked"
    )
    sub.add_argument("--webhooks", metavar="URL", help="a listener that gets notifications")
    sub.add_argument("--secret", help="the client secret that signs them")
    sub.add_argument("--changes", type=float, default=0.0, help="changes a second by themselves")


def workspace(arguments: argparse.Namespace) -> Workspace:
    """The workspace that the options describe."""
    from connector.simulator import Workspace  # only where it is wanted: no sync pays for it

    return Workspace.generate(
        arguments.seed,
        contacts=arguments.contacts,
        companies=arguments.companies,
        conversations=arguments.conversations,
        lifelike=arguments.lifelike,
    )


def run(arguments: argparse.Namespace) -> int:
    """Serve until interrupted."""
    _check(arguments)
    from connector.simulator import Simulator
    from connector.simulator import run as serve

    tokens = list(filter(None, map(str.strip, arguments.token.split(","))))
    if not tokens:
        raise SettingsError("--token names no token")
    simulator = Simulator(
        workspace(arguments),
        token=tokens,
        rate_limit=arguments.rate_limit or None,
        workspace_limit=_pool(arguments),
    )
    _restrict(simulator, arguments)

    def ready(url: str) -> None:
        print(
            f"Simulated Intercom at {url}; to sync it:\n"
            f"  INTERCOM_BASE_URL={url} INTERCOM_ACCESS_TOKEN={arguments.token}"
            " DATABASE_URL=embedded intercom-warehouse sync",
            flush=True,
        )

    host, port = arguments.host, arguments.port
    try:
        beside = list(_beside(simulator, arguments))
        serve(simulator, host, port, latency=arguments.latency, ready=ready, beside=beside)
    except (OSError, OverflowError, UnicodeError) as error:
        raise SettingsError(f"the simulator cannot listen at {host}:{port}: {error}") from error
    return 0


def _pool(arguments: argparse.Namespace) -> int | None:
    given = arguments.workspace_limit
    return (WORKSPACE_LIMIT if arguments.rate_limit else None) if given is None else given or None


def _restrict(simulator: Simulator, arguments: argparse.Namespace) -> None:
    """What single tokens may not, and what others send; SettingsError for what cannot be."""
    control = simulator.control
    control.share(arguments.others)
    try:
        for position in arguments.revoked:
            control.revoke_token(token=position)
        for one in arguments.without:
            position, _, paths = one.partition("=")
            control.deny(paths, token=int(position))
    except (ValueError, re.error) as error:
        raise SettingsError(f"--without and --revoked name tokens by position: {error}") from error


def _check(arguments: argparse.Namespace) -> None:
    # What is wrong is said without the address, which may hold a password, and without the secret.
    if arguments.webhooks is not None:
        if not arguments.secret:
            raise SettingsError("--webhooks needs the --secret that signs what is sent")
        if not _is_address(arguments.webhooks):
            raise SettingsError("--webhooks is not an address of http or https")
    if not 0 <= arguments.changes < math.inf:
        raise SettingsError("--changes is a number of changes a second, 0 or more")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _beside(simulator: Simulator, arguments: argparse.Namespace) -> Iterator[Beside]:
    from connector.simulator import live, send

    if arguments.webhooks is not None:
        yield partial(
            send, simulator, arguments.webhooks, secret=arguments.secret, waiting=_say_waiting
        )
    if arguments.changes:
        yield partial(live, simulator, arguments.changes)


def _say_waiting() -> None:
    print("The listener does not answer HEAD with 2xx yet: waiting for it.", flush=True)
