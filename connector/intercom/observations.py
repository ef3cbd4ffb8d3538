"""What a run noticed of Intercom that contradicts a declared fact; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import Struct, field

from connector.intercom.facts import Fact


class Refutation(Struct):
    """A fact that was seen to be false: how often in this run, where, and by what at first.

    ``is_news``: no earlier run has seen it.
    """

    fact: Fact
    detail: str
    times: int = 0
    resources: set[str] = field(default_factory=set)
    is_news: bool = True

    @property
    def is_failure(self) -> bool:
        """Whether the run that saw it has failed."""
        return self.is_news or self.fact.leaves_rows_out

    def __str__(self) -> str:
        return f"{self.fact.sentence} Seen: {self.detail}. {self.fact.then} ({self.fact.id})"


class Observations:
    """What contradicts the facts: what was seen in this run, and what is on record.

    A detail says what was seen in shapes and counts, and names resources; it holds no value of the
    workspace.
    """

    def __init__(self) -> None:
        self.seen: dict[str, Refutation] = {}
        self.confirmed: set[tuple[str, str]] = set()
        """What was found to be true after all: the fact's id, and the resource."""
        self._on_record: set[str] = set()

    def recall(self, ids: Iterable[str]) -> None:
        """These facts were seen to be false by earlier runs."""
        self._on_record.update(ids)

    def refute(self, fact: Fact, detail: str, resource: str = "", times: int = 1) -> None:
        """The fact was seen to be false; the first detail is kept, the others are counted."""
        news = fact.id not in self._on_record
        one = self.seen.setdefault(fact.id, Refutation(fact, detail, is_news=news))
        one.times += times
        one.resources |= {resource} if resource else set()

    def confirm(self, fact: Fact, resource: str) -> None:
        """The fact was looked at, and is true of the resource."""
        self.confirmed.add((fact.id, resource))

    def is_refuted(self, fact: Fact) -> bool:
        """Whether it was seen to be false, by this run or an earlier one."""
        return fact.id in self.seen or fact.id in self._on_record
