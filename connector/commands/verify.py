"""``verify``: prints how a sample of rows compares with Intercom, resource by resource."""

from __future__ import annotations

import json
from collections.abc import Mapping

from connector.sync.verify import Verified


def report(found: Mapping[str, Verified], *, as_json: bool) -> int:
    """Print it; 1 if a row differs or could not be read, else 0."""
    if as_json:
        print(json.dumps({name: vars(outcome) for name, outcome in found.items()}))
    else:
        for name, outcome in found.items():
            _print(name, outcome)
    return 1 if any(outcome.differences or outcome.unread for outcome in found.values()) else 0


def _print(name: str, outcome: Verified) -> None:
    print(
        f"{name:<22}{outcome.equal:>6} equal {outcome.changed_since:>6} changed since"
        f" {len(outcome.differences):>6} different {len(outcome.unread):>6} not readable"
    )
    for key, columns in outcome.differences.items():
        print(f"  {key}: {', '.join(columns)}; 'refetch {name} {key}' reads it again")
    for key, reason in outcome.unread.items():
        print(f"  {key}: {reason}")
