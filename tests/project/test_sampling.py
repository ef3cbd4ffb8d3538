"""What of the suite is run today, and that nothing is never run."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import sampling


@dataclass
class Item:
    """A test as pytest collects it, as far as choosing looks at it."""

    name: str
    given: pytest.Mark
    path: Path = Path("test_one.py")
    added: list[str] = field(default_factory=list)

    @property
    def nodeid(self) -> str:
        return f"{self.path}::{self.name}"

    def get_closest_marker(self, name: str) -> pytest.Mark | None:
        return self.given if self.given.name == name else None

    def add_marker(self, mark: pytest.MarkDecorator) -> None:
        self.added.append(mark.name)


def run_today(seed: str, mark: Any, names: list[str], monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Which of these tests of one file are run."""
    monkeypatch.setenv(sampling.SEED, seed)
    items: list[Any] = [Item(name, mark.mark) for name in names]
    sampling.mark_the_rest(items)
    return {item.name for item in items if "chaos" not in item.added}


def test_two_days_run_all_tests_of_a_file_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sampling.NAMED, "")
    names = ["a", "b[1]", "b[2]", "c", "d"]
    mark = pytest.mark.in_turn(2)
    first, second = (run_today(seed, mark, names, monkeypatch) for seed in ("20787", "20788"))
    assert first == {"b[1]", "b[2]", "d"}
    assert second == {"a", "c"}
    jobs = [run_today(f"7 {job}", mark, names, monkeypatch) for job in range(2)]
    assert set.union(*jobs) == set(names)


def test_files_that_are_named_are_run_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sampling.NAMED, "1")
    assert run_today("1", pytest.mark.in_turn(2), ["a", "b"], monkeypatch) == {"a", "b"}


def test_of_many_cases_as_many_as_marked_are_run(monkeypatch: pytest.MonkeyPatch) -> None:
    names = [f"a[{number}]" for number in range(9)]
    chosen = [run_today(str(day), pytest.mark.sampled(2), names, monkeypatch) for day in range(40)]
    assert {len(one) for one in chosen} == {2}
    assert set.union(*chosen) == set(names)
