"""Settings: where they stand, what is wrong with them, what is misspelled; names of resources."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import traceback
from pathlib import Path
from typing import Any

import pytest

from connector import settings
from connector.errors import SettingsError
from connector.resources import BY_NAME
from connector.resources.selection import called, select
from tests.support.places import ROOT


def load(directory: Path, **environ: str) -> settings.Settings:
    return settings.load(environ, directory)


# -- .env ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"INTERCOM_SCHEMA=caf\xe9\n", "no UTF-8"),
        (b"# good\nINTERCOM_SCHEMA=a\nthis is = no setting 'at all\n", "line 3"),
        (b"INTERCOM_SCHEMA='open\n", "line 1"),
        (b"=value\n", "line 1"),
        (b"INTERCOM_SCHEMA=\"a\0b\"\n", "NUL"),
    ],
)  # fmt: skip
def test_a_dotenv_that_cannot_be_read_is_said(tmp_path: Path, content: bytes, told: str) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(SettingsError, match=told):
        load(tmp_path)


def test_a_dotenv_that_is_a_directory_or_leads_nowhere_is_said(tmp_path: Path) -> None:
    (tmp_path / ".env").mkdir()
    with pytest.raises(SettingsError, match=r"\.env .*directory"):
        load(tmp_path)
    (tmp_path / ".env").rmdir()
    (tmp_path / ".env").symlink_to(tmp_path / "missing")
    with pytest.raises(SettingsError, match=r"\.env .*No such file"):
        load(tmp_path)


def test_a_dotenv_of_another_user_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").write_text("INTERCOM_SCHEMA=a\n")

    def refuse(self: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(Path, "read_bytes", refuse)
    with pytest.raises(SettingsError, match=r"\.env .*belongs to another user"):
        load(tmp_path)


def test_a_dotenv_with_a_byte_order_mark_and_comments_is_read(tmp_path: Path) -> None:
    text = "\ufeffINTERCOM_SCHEMA='a # b'  # mine\nexport CONNECTOR_LOOKBACK=5\n\nOTHER\n"
    (tmp_path / ".env").write_text(text)
    found = load(tmp_path)
    assert (found.schema, found.lookback) == ("a # b", 5)
    assert load(tmp_path / "none").schema == "intercom"


# -- NAME_FILE -------------------------------------------------------------------------------


def test_a_secret_file_is_trimmed(tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes("\ufefftok\r\n\n".encode())
    assert load(tmp_path, INTERCOM_ACCESS_TOKEN_FILE=f"{tmp_path}/token").tokens == ("tok",)


@pytest.mark.parametrize(
    ("content", "told"),
    [(None, "No such file"), (b"", "empty"), (b" \n", "empty"), (b"\xff\xfe", "no UTF-8")],
)
def test_a_secret_file_that_cannot_be_used_is_said(
    tmp_path: Path, content: bytes | None, told: str
) -> None:
    if content is not None:
        (tmp_path / "token").write_bytes(content)
    with pytest.raises(SettingsError, match=f"INTERCOM_ACCESS_TOKEN_FILE names .*{told}"):
        load(tmp_path, INTERCOM_ACCESS_TOKEN_FILE=f"{tmp_path}/token")


def test_a_secret_file_that_is_a_directory_is_said(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"CONNECTOR_EXCLUDE_FILE names .*directory"):
        load(tmp_path, CONNECTOR_EXCLUDE_FILE=str(tmp_path))


def test_a_setting_and_its_file_are_not_both_set(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file")
    both = {"INTERCOM_ACCESS_TOKEN": "tok", "INTERCOM_ACCESS_TOKEN_FILE": f"{tmp_path}/token"}
    with pytest.raises(SettingsError, match="INTERCOM_ACCESS_TOKEN_FILE are both set"):
        load(tmp_path, **both)
    lines = [f"{name}={value}" for name, value in both.items()]
    (tmp_path / ".env").write_text("\n".join(lines))
    with pytest.raises(SettingsError, match="both set"):
        load(tmp_path)
    # What the environment says, in either way, wins over .env.
    (tmp_path / ".env").write_text(lines[0])
    assert load(tmp_path, INTERCOM_ACCESS_TOKEN_FILE=f"{tmp_path}/token").tokens == ("from-file",)
    (tmp_path / ".env").write_text(lines[1])
    assert load(tmp_path, INTERCOM_ACCESS_TOKEN="tok").tokens == ("tok",)


# -- values ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONNECTOR_LOOKBACK", "²"), ("CONNECTOR_LOOKBACK", "٣"), ("CONNECTOR_LOOKBACK", "-1"),
        ("CONNECTOR_LOOKBACK", "9" * 12), ("CONNECTOR_LOOKBACK", "9" * 5_000),
        ("CONNECTOR_KEEP_RUNS_DAYS", "999999999"), ("CONNECTOR_FULL_PASS_DAYS", "1e3"),
        ("CONNECTOR_EVENTS_SWEEP_DAYS", "0"), ("CONNECTOR_CONCURRENCY", "0"),
        ("CONNECTOR_ACTIVITY_FEED", "maybe"), ("CONNECTOR_NOTIFY_URL", "ftp://x/s3cret"),
        ("INTERCOM_SCHEMA", "a\udcff"), ("INTERCOM_ACCESS_TOKEN", "a\0b"),
    ],
)  # fmt: skip
def test_a_wrong_value_names_its_setting(tmp_path: Path, name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=name) as told:
        load(tmp_path, **{name: value})
    assert "s3cret" not in str(told.value)


def test_a_user_without_home_is_told_so_only_where_one_is_needed() -> None:
    script = (
        "import pwd, os, sys\n"
        "def nobody(*_): raise KeyError('no such user')\n"
        "pwd.getpwuid = pwd.getpwnam = nobody\n"
        "os.environ.pop('HOME', None)\n"
        "from connector.cli import main\n"
        "sys.exit(main(['status']))\n"
    )

    def run(**environ: str) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-c", script],
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"], **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, done.stderr

    code, told = run(DATABASE_URL="embedded")
    assert code == 2
    assert "no home directory" in told
    assert "CONNECTOR_HOME" in told
    code, told = run()
    assert code == 2
    assert "DATABASE_URL is not set" in told


# -- slips -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("INTERCOM_REGOIN", "INTERCOM_REGION"),
        ("INTERCOM_ACCES_TOKEN", "INTERCOM_ACCESS_TOKEN"),
        ("CONNECTOR_RESSOURCES", "CONNECTOR_RESOURCES"),
        ("CONNECTOR_RESOURCE", "CONNECTOR_RESOURCES"),
        ("INTERCOM_RESOURCES", "CONNECTOR_RESOURCES"),
        ("CONNECTER_LOOKBACK", "CONNECTOR_LOOKBACK"),
        ("intercom_region", "INTERCOM_REGION"),
        ("INTERCOM_ACCESS_TOKEN_FIEL", "INTERCOM_ACCESS_TOKEN_FILE"),
        ("DATABASE_URI", "DATABASE_URL"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_what_is_misspelled_is_warned_of_with_the_nearest_name(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, name: str, near: str, in_file: bool
) -> None:
    if in_file:
        (tmp_path / ".env").write_text(f"{name}=x\n")
    load(tmp_path, **({} if in_file else {name: "x"}))
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    where = "in .env" if in_file else "in the environment"
    assert f"no setting is called {name} ({where}): did you mean {near}?" in caplog.text


@pytest.mark.parametrize(
    "name",
    [
        "CONNECTOR_EXCLUDES", "CONNECTOR_EXLUDE", "CONNECTOR_EXCLUDE_FIELDS", "INTERCOM_EXCLUDE",
        "CONECTOR_EXCLUDE", "CONNECTOR_HASHKEY", "CONNECTOR_HASH", "CONNECTOR_FORGET",
        "CONNECTOR_DELETE", "CONNECTOR_ON_DELET", "CONNECTOR_SCRUB", "CONNECTOR_EXCLUDES_FILE",
        "connector_exclude",
    ],
)  # fmt: skip
@pytest.mark.parametrize("in_file", [False, True])
def test_a_misspelled_privacy_setting_is_refused(tmp_path: Path, name: str, in_file: bool) -> None:
    if in_file:
        (tmp_path / ".env").write_text(f"{name}=contacts.email\n")
    with pytest.raises(SettingsError, match=f"no setting is called {name}"):
        load(tmp_path, **({} if in_file else {name: "contacts.email"}))


def test_what_belongs_to_others_is_passed_over(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    others = {
        "INTERCOM_APP_ID": "x", "CONNECTOR_FOO": "x", "INTERCOM_WEBHOOK_SECRET": "x",
        "CONNECTOR_": "x", "EXCLUDE": "x", "HASH_KEY": "x", "POSTGRES_PASSWORD": "x",
        "SYNC_HOUR": "3", "COMPOSE_PROFILES": "simulator", "SSL_CERT_DIR": "/x", "HTTPS_PROXY": "x",
        "DATABASE_URI": "x", "DATABASE_URL": "y", "CONNECTOR_EXCLUDES": " ",
    }  # fmt: skip
    load(tmp_path, **others)
    assert caplog.text == ""
    with caplog.at_level(logging.INFO):
        load(tmp_path, **others)
    named = [record.getMessage().split()[4] for record in caplog.records]
    assert named == ["CONNECTOR_", "CONNECTOR_FOO", "INTERCOM_APP_ID", "INTERCOM_WEBHOOK_SECRET"]


# -- names of resources ----------------------------------------------------------------------


def names(text: str) -> list[str]:
    selection = select(text, "--only")
    return [name for name, resource in BY_NAME.items() if selection.takes(resource)]


def test_a_table_means_the_resources_that_fill_it() -> None:
    assert [one.name for one in called("contacts")] == ["leads", "users"]
    assert [one.name for one in called(" Users ")] == ["users"]
    assert [one.name for one in called("conversations")] == ["conversations"]
    assert [one.name for one in called("segments")] == ["segments"]
    for name, resource in BY_NAME.items():
        assert called(name) == (resource,)
        assert called(resource.table.name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("tags", {"tags"}),
        ("users, tags,users", {"tags", "users", "contact_merges"}),
        ("contacts,teams", {"leads", "users", "teams", "contact_merges"}),
        ("users,leads,-leads", {"users", "contact_merges"}),
        ("conversations,-deleted_conversations", {"conversations"}),
        ("all", set(BY_NAME)),
        ("", set(BY_NAME)),
        (" , ", set(BY_NAME)),
        ("all,-calls", set(BY_NAME) - {"calls"}),
        ("ALL,-Calls,-macros", set(BY_NAME) - {"calls", "macros"}),
        ("-calls,all", set(BY_NAME) - {"calls"}),
        ("-calls", set(BY_NAME) - {"calls"}),
        ("all,- contacts", set(BY_NAME) - {"leads", "users", "contact_merges"}),
        ("all,-conversations", set(BY_NAME) - {"conversations", "deleted_conversations"}),
    ],
)
def test_a_list_of_names_selects(text: str, expected: set[str]) -> None:
    assert set(names(text)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("user", "did you mean users"),
        ("contacs", "did you mean contacts"),
        ("all,-cals", "did you mean calls"),
        ("fish", "known resources are tags, segments"),
        ("conversation_parts", "read with conversations"),
        ("contact_tags", "read with contacts"),
        ("users,-contacts", "nothing to read"),
        ("-", "no resource"),
    ],
)
def test_a_name_that_means_nothing_is_said(text: str, told: str) -> None:
    with pytest.raises(SettingsError, match=told) as error:
        select(text, "CONNECTOR_RESOURCES")
    assert "CONNECTOR_RESOURCES" in str(error.value)


def test_settings_hide_their_secrets(tmp_path: Path) -> None:
    secrets: dict[str, Any] = {
        "INTERCOM_ACCESS_TOKEN": "s3cret", "DATABASE_URL": "postgresql://u:s3cret@h/d",
        "CONNECTOR_NOTIFY_URL": "https://h/s3cret", "CONNECTOR_HASH_KEY": "s3cret" * 8,
    }  # fmt: skip
    assert "s3cret" not in repr(load(tmp_path, **secrets))
    assert "s3cret" not in repr(settings.reporting(secrets, tmp_path))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CONNECTOR_NOTIFY_URL", "https://x:s3cret/y@h"),
        ("CONNECTOR_NOTIFY_URL", "https://127.0.0.1:99999/s3cret"),
    ],
)
def test_an_address_that_cannot_be_read_is_told_without_its_password(
    tmp_path: Path, name: str, value: str
) -> None:
    environ = {"INTERCOM_ACCESS_TOKEN": "t", "DATABASE_URL": "postgresql://h/d", name: value}
    with pytest.raises(SettingsError, match="URL") as caught:
        load(tmp_path, **environ)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_an_empty_schema_on_the_command_line_is_not_the_default(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="schema name ''"):
        settings.load({"INTERCOM_ACCESS_TOKEN": "t"}, tmp_path, schema="")
