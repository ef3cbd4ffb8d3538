"""What a stranger finds: pages that tell the truth, a workflow that runs what is there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from connector import __version__
from tests.support.places import ROOT

PAGES = [ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs/contributing").glob("*.md")]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_target_file_and_setting_that_a_page_names_exists(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:`|^)make ([a-z-]+)", text, re.MULTILINE)) <= TARGETS
    for link in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", text):
        assert (page.parent / link).exists(), link
    settings = (ROOT / "connector/settings.py").read_text(encoding="utf-8")
    for name in re.findall(r"`((?:CONNECTOR|INTERCOM)_[A-Z_]+)`", text):
        assert name in settings, name


def test_the_workflow_runs_targets_that_exist_on_every_supported_version() -> None:
    [workflow] = [yaml.safe_load(path.read_text(encoding="utf-8")) for path in WORKFLOWS]
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    named = {word for step in steps for word in step.get("run", "").split() if word != "make"}
    assert named <= TARGETS
    assert {"lint", "types", "test", "package"} <= named
    pairs = workflow["jobs"]["test"]["strategy"]["matrix"]["include"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    told = {c.rsplit(" ", 1)[1] for c in project["classifiers"] if " :: 3." in c}
    assert {pair["python"] for pair in pairs} == told
    assert {pair["postgres"] for pair in pairs} == {"14", "15", "16", "17", "18"}
    assert project["requires-python"] == f">={min(told, key=lambda v: int(v.split('.')[1]))}"


def test_nothing_names_a_package_registry_or_this_machine() -> None:
    files = [*WORKFLOWS, ROOT / ".pre-commit-config.yaml", ROOT / "pyproject.toml"]
    for path in [*files, *(ROOT / ".github").rglob("*.yml")]:
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"pypi\.|registry|index-url|file:///|/opt/|/work/", text), path


def test_the_hooks_are_what_lint_and_types_run() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text(encoding="utf-8"))
    entries = {hook["entry"].removeprefix(".venv/bin/") for hook in hooks["repos"][0]["hooks"]}
    rules = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert entries == {"ruff format", "ruff check", "mypy"}
    assert all(f"$(BIN)/{entry}" in rules for entry in entries)


def test_the_newest_version_is_closed_in_the_changelog() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[([^\]]+)\](?: - (\S+))?$", text, re.MULTILINE)
    assert versions[0] == ("Unreleased", "")
    assert versions[1][0] == __version__
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", versions[1][1])
