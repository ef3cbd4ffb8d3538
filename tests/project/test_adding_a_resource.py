"""The page on adding a resource is so: its diff and its commands, in a copy of the repository.

The lines of the diff are put after those that they stand under, wherever others have added theirs.
Where the example itself was added, another name stands for it.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from connector.resources import BY_NAME
from connector.warehouse.sql import embedded
from migrations import new
from tests.support.places import ROOT

PAGE = (ROOT / "docs/contributing/adding-a-resource.md").read_text(encoding="utf-8")
NEEDED = ("connector", "migrations", "tests", "bench", "docs")
FILES = ("Makefile", "README.md", "pyproject.toml")
[SHOWN] = re.findall(r"^```diff\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
[EXAMPLE] = re.findall(r"^make migration NAME=(\w+)$", PAGE, re.MULTILINE)
NAME = "worked_examples" if EXAMPLE in BY_NAME else EXAMPLE
Hunk = tuple[str, list[str]]
# Of the tests that the page names those that a forgotten step would fail.
FOLLOWED = (
    NAME,
    "autogenerate",
    "is_declared",
    "declarations_say",
    "is_in_it",
    "refer",
    "speak_of_the_same",
    "cover_every",
    "drawer",
)
Copy = Path


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy of the repository with the lines of the diff."""
    copy = tmp_path_factory.mktemp("repository")
    for name in NEEDED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    _put(copy, NAME)
    return copy


def _put(copy: Copy, name: str) -> None:
    """Put the lines of the diff into the copy, for a resource of this name."""
    diff = SHOWN.replace(EXAMPLE, name).replace(EXAMPLE.upper(), name.upper())
    for file, lines in _hunks(diff.replace(EXAMPLE[:-1], name[:-1])):
        path = copy / file
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        for line in lines:
            told = f"{file} has no line any more that the page shows: {line}"
            assert line.startswith("+") or f"{line[1:]}\n" in text, told
        before = list(itertools.takewhile(lambda line: not line.startswith("+"), lines))[-1:]
        under = "".join(f"{line[1:]}\n" for line in before)
        added = "".join(f"{line[1:]}\n" for line in lines if line.startswith("+"))
        path.write_text(text.replace(under, under + added, 1), encoding="utf-8")


def _hunks(diff: str) -> Iterator[Hunk]:
    """The files of a diff, and the lines of each place in them."""
    for part in re.split(r"^--- .*\n", diff, flags=re.MULTILINE)[1:]:
        header, *places = re.split(r"^@@ .*\n", part, flags=re.MULTILINE)
        for place in places:
            yield header.strip().removeprefix("+++ b/"), place.splitlines()


def _run(copy: Copy, *words: str, text: str = "", **environment: str) -> str:
    """What a command prints that is run in the copy, with its code and without its caches."""
    ended = subprocess.run(
        words,
        cwd=copy,
        input=text,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONPATH": str(copy), **environment},
    )
    assert ended.returncode == 0, ended.stdout
    return ended.stdout


def _make(copy: Copy, name: str) -> str:
    """What ``make migration`` prints, by this interpreter and no environment of its own."""
    here = f"BIN={Path(sys.executable).parent}"
    return _run(copy, "make", "migration", f"NAME={name}", here, "READY=")


def test_where_all_is_migrated_no_migration_is_written(
    shared_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    running = SimpleNamespace(get_uri=lambda: shared_url)
    monkeypatch.setattr(embedded, "start", lambda directory: running)
    monkeypatch.setattr(embedded, "stop", lambda server: None)
    assert new.write("nothing_at_all") is None


@pytest.mark.parametrize("name", ["", "Of course", "what-it-does", "../x", "9"])
def test_a_name_that_is_no_name_is_refused(name: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError):
        new.named(name)


def test_the_diff_is_short() -> None:
    assert len(SHOWN.splitlines()) < 60


def test_the_diff_fits_where_others_added_theirs_at_the_same_places(tmp_path: Path) -> None:
    for name in ("connector", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name)
    for name in ("atlas_pages", NAME):
        _put(tmp_path, name)
    asked = "from connector.resources import TABLES as t; print(*(table.name for table in t))"
    tables = _run(tmp_path, sys.executable, "-c", asked).split()
    assert {"atlas_pages", NAME} <= set(tables)


def test_the_page_leads_to_a_resource_that_is_synced(copy: Copy, shared_url: str) -> None:
    before = {path.name for path in (copy / "migrations/versions").glob("*.py")}
    said = _make(copy, NAME)
    [made] = {path.name for path in (copy / "migrations/versions").glob("*.py")} - before
    assert made == f"{len(before) + 1:04}_{NAME}.py"
    assert made in said
    assert f"### {NAME}" in (copy / "docs/tables.md").read_text(encoding="utf-8")
    files = {file for file, _ in _hunks(SHOWN.replace(EXAMPLE, NAME)) if file.endswith(".py")}
    written = [f"migrations/versions/{made}", *sorted(files)]
    for words in (("check", "--fix"), ("format", "--check")):
        _run(copy, sys.executable, "-m", "ruff", *words, "--no-cache", *written)
    named = re.findall(r"tests/[\w/]+\.py", PAGE[PAGE.index("-m pytest") :].splitlines()[0])
    tests = [sys.executable, "-m", "pytest", *named, "-k", " or ".join(FOLLOWED)]
    place = ["-p", "no:cacheprovider", f"--basetemp={copy / 'tmp'}"]
    ended = _run(copy, *tests, *place, "-rA", TEST_DATABASE_URL=shared_url)
    assert re.search(rf"PASSED .*and_so_is_what_comes_changes_and_goes\[{NAME}\]", ended)
    assert re.search(rf"PASSED .*test_no_leaf_.*\[simulated GET /{NAME}\]", ended)
