"""What is asked of a plan, and what it answers: values, without SQL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from connector.errors import SettingsError
from connector.push.kinds import Kind

MODES = ("upsert", "update", "create")
ON_NULLS = ("keep", "clear")
ON_DRIFT = ("overwrite", "keep", "report")
LARGEST_LIMIT = 10**12
_LONGEST = 60  # characters of a query in a message


class Asked(Struct, frozen=True):
    """What is to be planned: ``model`` names a table or view, or is a query.

    ``nulls``: whether NULL leaves a field alone or empties it. ``on_drift``: what becomes of a
    field that changed at Intercom since it was last pushed. ``limit``: so many differing rows at
    most. ``yes`` lets a plan of any size pass.
    """

    kind: Kind
    model: str
    mode: str = "upsert"
    nulls: str = "keep"
    on_drift: str = "overwrite"
    limit: int | None = None
    yes: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        _one_of("mode", self.mode, MODES)
        _one_of("nulls", self.nulls, ON_NULLS)
        _one_of("on-drift", self.on_drift, ON_DRIFT)
        if self.limit is not None and not 1 <= self.limit <= LARGEST_LIMIT:
            raise SettingsError(
                f"--limit {self.limit}: give a number of rows, 1 to {LARGEST_LIMIT:,}"
            )

    def wrong(self, what: str) -> SettingsError:
        """The error that says what is wrong with the model."""
        return SettingsError(f"model {shortened(self.model)}: {what}")


def shortened(text: str) -> str:
    """A text in one line and not too long for a message."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else line[: _LONGEST - 3] + "..."


def _one_of(name: str, given: str, known: tuple[str, ...]) -> None:
    if given not in known:
        raise SettingsError(f"--{name} {given}: it is one of {', '.join(known)}")


class Sample(Struct, frozen=True):
    """One difference: ``change`` is create, update or drift; a create has the whole body as new.

    ``field`` is as in the body, a custom attribute as custom_attributes.<name>; "" for a create.
    """

    change: str
    key: str
    field: str
    old: Any
    new: Any


class Plan(Struct, frozen=True):
    """What a model comes to, in rows; nothing was written if ``fuse`` says why, or in a dry run.

    ``drifted``: rows with a field that changed at Intercom since it was last pushed, whatever
    becomes of it. ``skipped``: rows that are left out, by reason. ``failed``: rows put into the
    outbox as failed, by error code.
    """

    rows: int = 0
    creates: int = 0
    updates: int = 0
    unchanged: int = 0
    drifted: int = 0
    skipped: Mapping[str, int] = field(default_factory=dict)
    failed: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    fuse: str | None = None
    dry_run: bool = False
