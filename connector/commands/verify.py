"""``verify``: prints how a sample of rows compares with Intercom, resource by resource."""

from __future__ import annotations

import json
from collections.abc import Mapping

from msgspec.structs import asdict

from connector.commands.terminal.screen import tell
from connector.resources import BY_NAME
from connector.resources.readings import PerContact
from connector.sync.on_demand.verify import Verified


def report(found: Mapping[str, Verified], *, as_json: bool) -> int:
    """Print it; 1 if a row differs or could not be read, else 0."""
    if as_json:
        print(json.dumps({name: asdict(outcome) for name, outcome in found.items()}))
    else:
        for name, outcome in found.items():
            _print(name, outcome)
    return 1 if any(outcome.differences or outcome.unread for outcome in found.values()) else 0


def _print(name: str, outcome: Verified) -> None:
    if outcome.not_compared:
        tell(f"{name:<22}not compared: {outcome.not_compared}")
        return
    tell(
        f"{name:<22}{outcome.equal:>6} equal {outcome.changed_since:>6} changed since"
        f" {len(outcome.differences):>6} different {len(outcome.unread):>6} not readable"
    )
    for key, columns in outcome.differences.items():
        tell(f"  {key}: {', '.join(columns)}; {_remedy(name, key)}")
    for key, reason in outcome.unread.items():
        tell(f"  {key}: {reason}")


def _remedy(name: str, key: str) -> str:
    resource = BY_NAME[name]
    if resource.by_id or isinstance(resource.reading, PerContact):
        return f"'refetch {name} {key.split()[0]}' reads it again"
    return f"'sync --full --only {name}' reads it again"
