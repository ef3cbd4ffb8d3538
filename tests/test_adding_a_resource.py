"""The page on adding a resource is so: its diff and its commands, in a copy of the repository."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from connector.warehouse.sql import embedded
from migrations import new

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs/contributing/adding-a-resource.md").read_text(encoding="utf-8")
NEEDED = ("connector", "migrations", "tests", "bench", "docs")
FILES = ("Makefile", "README.md", "pyproject.toml")
[DIFF] = re.findall(r"^```diff\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
[NAME] = re.findall(r"^make migration NAME=(\w+)$", PAGE, re.MULTILINE)
# Of the tests that the page names those that a forgotten step would fail.
FOLLOWED = (
    NAME,
    "autogenerate",
    "is_declared",
    "declarations_say",
    "is_in_it",
    "cover_every",
    "drawer",
)
Copy = Path


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy of the repository with the diff."""
    copy = tmp_path_factory.mktemp("repository")
    for name in NEEDED:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(ROOT / name, copy)
    _run(copy, "git", "apply", "--verbose", "-", text=DIFF)
    return copy


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
    assert len(DIFF.splitlines()) < 60


def test_the_page_leads_to_a_resource_that_is_synced(copy: Copy, shared_url: str) -> None:
    before = {path.name for path in (copy / "migrations/versions").glob("*.py")}
    said = _make(copy, NAME)
    [made] = {path.name for path in (copy / "migrations/versions").glob("*.py")} - before
    assert made == f"{len(before) + 1:04}_{NAME}.py"
    assert made in said
    assert f"### {NAME}" in (copy / "docs/tables.md").read_text(encoding="utf-8")
    written = [
        f"migrations/versions/{made}",
        *re.findall(r"^\+\+\+ b/(\S+\.py)$", DIFF, re.MULTILINE),
    ]
    for words in (("check",), ("format", "--check")):
        _run(copy, sys.executable, "-m", "ruff", *words, "--no-cache", *written)
    files = re.findall(r"tests/test_\w+\.py", PAGE[PAGE.index("-m pytest") :].splitlines()[0])
    tests = [sys.executable, "-m", "pytest", *files, "-k", " or ".join(FOLLOWED)]
    place = ["-p", "no:cacheprovider", f"--basetemp={copy / 'tmp'}"]
    ended = _run(copy, *tests, *place, "-rA", TEST_DATABASE_URL=shared_url)
    assert re.search(rf"PASSED .*and_so_is_what_comes_changes_and_goes\[{NAME}\]", ended)
    assert re.search(rf"PASSED .*test_no_leaf_.*\[simulated GET /{NAME}\]", ended)
