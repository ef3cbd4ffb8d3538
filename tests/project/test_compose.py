"""The loop of ``docker-compose.yml``, run by this machine's shell: once a night, at an hour."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.places import ROOT

SERVICES: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text("utf-8"))[
    "services"
]
SERVICE: dict[str, Any] = SERVICES["sync"]
NOON = 1_780_056_000 // 86_400 * 86_400 + 12 * 3600

STUBS = {
    "intercom-warehouse": 'echo "$@" >>ran; exit 1',
    "date": f"echo {NOON}",
    # The second pause never ends: the night after is not waited for.
    "sleep": 'echo "$1" >>paused; test "$(wc -l <paused)" -lt 2 || exit 1',
}


def run(directory: Path, hour: str | None) -> subprocess.CompletedProcess[str]:
    """What the service does with that SYNC_HOUR, its commands replaced."""
    for name, body in STUBS.items():
        stub = directory / name
        stub.write_text(f"#!/bin/sh\n{body}\n")
        stub.chmod(0o755)
    environ = {"PATH": f"{directory}:{os.environ['PATH']}"}
    if hour is not None:
        environ["SYNC_HOUR"] = hour
    script = SERVICE["command"][0].replace("$$", "$")
    return subprocess.run(
        [*SERVICE["entrypoint"], script],
        env=environ,
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("hour", "until"),
    [
        ("3", 15), ("03", 15), ("08", 20), ("09", 21), ("8 ", 20), (" 8", 20), ("0", 12),
        ("00", 12), ("12", 24), ("23", 11), ("", 15), (None, 15), ("20", 8), ("10", 22),
    ],
)  # fmt: skip
def test_it_pauses_until_the_hour(tmp_path: Path, hour: str | None, until: int) -> None:
    done = run(tmp_path, hour)
    assert (tmp_path / "ran").read_text().splitlines() == ["sync", "sync"]
    pauses = [int(line) for line in (tmp_path / "paused").read_text().splitlines()]
    assert pauses == [until * 3600] * 2
    assert "sync ended with exit code 1; the next one starts at" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    "hour", ["24", "-1", "3am", "3:30", "08:00", "8 9", "1e1", "0x8", "008", "*", "$(echo 3)", "٣"]
)
def test_another_hour_is_refused_and_nothing_synced(tmp_path: Path, hour: str) -> None:
    done = run(tmp_path, hour)
    assert done.returncode == 2
    assert done.stderr == f"SYNC_HOUR must be an hour from 0 to 23 (UTC), not '{hour}'\n"
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "paused").exists()


def test_the_service_gets_the_hour_from_env_or_three() -> None:
    assert SERVICE["environment"]["SYNC_HOUR"] == "${SYNC_HOUR:-3}"


def test_without_a_profile_there_are_a_server_and_a_sync() -> None:
    assert {name for name, one in SERVICES.items() if "profiles" not in one} == {"postgres", "sync"}
    live = {name for name, one in SERVICES.items() if one.get("profiles") == ["live"]}
    assert live == {"serve", "caddy"}


def test_no_other_profile_needs_a_variable_that_the_default_does_not() -> None:
    text = (ROOT / "docker-compose.yml").read_text("utf-8")
    assert set(re.findall(r"\$\{(\w+):\?", text)) == {"POSTGRES_PASSWORD"}
