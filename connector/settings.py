"""Settings, checked once at the start; the only reader of the environment and of ``.env``.

Flags win over the environment, the environment over ``.env``. Each setting can also be given as
``NAME_FILE``, the path of a file that holds it, as container secrets are.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from dotenv import dotenv_values

from connector.errors import SettingsError
from connector.resources import BY_NAME, TABLES
from connector.resources.resource import Resource

D = TypeVar("D", int, None)

EMBEDDED = "embedded"
REGIONS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}


@dataclass(frozen=True)
class Settings:
    """What the user decides; secrets stay out of ``repr``."""

    token: str = field(repr=False)
    base_url: str
    version: str
    allow_http: bool
    database_url: str | None = field(repr=False)  # None: not set; "embedded": the embedded server
    schema: str
    home: Path
    resources: tuple[str, ...] | None  # None: everything
    auto_migrate: bool
    lookback: int  # seconds
    sweep_days: int  # events, notes and subscriptions of every contact are read again within
    full_pass_days: int  # every list is read whole again within
    full_pass_requests: int  # that a run spends on full passes before they must be
    activity_feed: bool
    keep_runs_days: int  # what runs did is forgotten after so many
    concurrency: int
    requests_per_minute: int | None
    ca_bundle: str | None
    notify_url: str | None = field(repr=False)  # may hold a secret of its own
    exclude: str = ""  # names of fields, read by warehouse.excludable
    hash_key: str = field(default="", repr=False)
    scrubs_deleted: bool = False  # contacts deleted at Intercom are emptied

    def require_token(self) -> str:
        """The token, or SettingsError if none is set."""
        if not self.token:
            raise SettingsError(
                "INTERCOM_ACCESS_TOKEN is not set; create an app in Intercom's Developer Hub and"
                " put its access token into the environment, into .env, or into a file named by"
                " INTERCOM_ACCESS_TOKEN_FILE"
            )
        return self.token


class Source:
    """The environment over ``.env``, read setting by setting."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        file = directory / ".env"
        stored = dotenv_values(file, interpolate=False) if file.is_file() else {}
        self._values = {k: v for k, v in stored.items() if v is not None} | dict(environ)

    def text(self, name: str, default: str = "") -> str:
        """The setting, from ``NAME`` or the file that ``NAME_FILE`` names; trimmed."""
        value = self._values.get(name, "").strip()
        path = self._values.get(f"{name}_FILE", "").strip()
        if value or not path:
            return value or default
        try:
            return Path(path).read_text(encoding="utf-8").strip() or default
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(
                f"{name}_FILE names {path}, which cannot be read: {error}"
            ) from None

    def number(self, name: str, default: D, least: int = 0) -> int | D:
        """A whole number that is not less than ``least``."""
        value = self.text(name)
        if not value:
            return default
        if not value.isdigit() or int(value) < least:
            raise SettingsError(f"{name} must be a whole number from {least} on, not {value!r}")
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        """1, true, yes, on; or 0, false, no, off."""
        value = self.text(name).lower()
        if not value:
            return default
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        raise SettingsError(f"{name} must be 1 or 0, not {value!r}")


def load(
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    *,
    schema: str | None = None,
) -> Settings:
    """The settings; SettingsError names the one that is wrong and what would be right.

    ``schema`` is the flag that wins over INTERCOM_SCHEMA.
    """
    source = Source(os.environ if environ is None else environ, directory or Path.cwd())
    return Settings(
        token=source.text("INTERCOM_ACCESS_TOKEN"),
        base_url=_base_url(source),
        version=source.text("INTERCOM_VERSION", "2.16"),
        allow_http=source.flag("CONNECTOR_ALLOW_HTTP", False),
        database_url=source.text("DATABASE_URL") or None,
        schema=check_schema(schema or source.text("INTERCOM_SCHEMA", "intercom")),
        home=Path(source.text("CONNECTOR_HOME", "~/.local/share/intercom-warehouse")).expanduser(),
        resources=names(source.text("CONNECTOR_RESOURCES"), "CONNECTOR_RESOURCES"),
        auto_migrate=source.flag("CONNECTOR_AUTO_MIGRATE", True),
        lookback=source.number("CONNECTOR_LOOKBACK", 900),
        sweep_days=source.number("CONNECTOR_EVENTS_SWEEP_DAYS", 30, least=1),
        full_pass_days=source.number("CONNECTOR_FULL_PASS_DAYS", 7),
        full_pass_requests=source.number("CONNECTOR_FULL_PASS_REQUESTS", 2_000),
        activity_feed=source.flag("CONNECTOR_ACTIVITY_FEED", True),
        keep_runs_days=source.number("CONNECTOR_KEEP_RUNS_DAYS", 400, least=1),
        concurrency=source.number("CONNECTOR_CONCURRENCY", 50, least=1),
        requests_per_minute=source.number("CONNECTOR_REQUESTS_PER_MINUTE", None, least=1),
        ca_bundle=source.text("SSL_CERT_FILE") or None,
        notify_url=_notify_url(source),
        exclude=source.text("CONNECTOR_EXCLUDE"),
        hash_key=source.text("CONNECTOR_HASH_KEY"),
        scrubs_deleted=_scrubs_deleted(source),
    )


def _base_url(source: Source) -> str:
    given, region = source.text("INTERCOM_BASE_URL"), source.text("INTERCOM_REGION", "us").lower()
    if given:
        return given
    if region not in REGIONS:
        raise SettingsError(f"INTERCOM_REGION must be us, eu or au, not {region!r}")
    return REGIONS[region]


def _scrubs_deleted(source: Source) -> bool:
    value = source.text("CONNECTOR_ON_DELETE", "keep").lower()
    if value not in ("keep", "scrub"):
        raise SettingsError(f"CONNECTOR_ON_DELETE must be keep or scrub, not {value!r}")
    return value == "scrub"


def _notify_url(source: Source) -> str | None:
    url = source.text("CONNECTOR_NOTIFY_URL")
    if url and not url.startswith(("https://", "http://")):
        raise SettingsError("CONNECTOR_NOTIFY_URL must begin with https:// or http://")
    return url or None


def check_schema(name: str) -> str:
    """The name of a schema that can be created; SettingsError if it is none."""
    if not re.fullmatch(r"[^\x00-\x1f]+", name) or len(name.encode()) > 63:
        raise SettingsError(f"the schema name {name!r} must have 1 to 63 bytes, all printable")
    if name.lower().startswith("pg_") or name.lower() == "information_schema":
        raise SettingsError(f"the schema name {name!r} belongs to PostgreSQL; choose another")
    return name


def resource(name: str) -> Resource:
    """The resource of that name; SettingsError if there is none."""
    if name not in BY_NAME:
        raise SettingsError(f"no resource is named {name!r}; known are {', '.join(BY_NAME)}")
    return BY_NAME[name]


def names(text: str, setting: str) -> tuple[str, ...] | None:
    """Resource names, separated by commas; None if there are none given."""
    given = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in given if name not in BY_NAME]
    if unknown:
        raise SettingsError(
            f"{setting} names {', '.join(unknown)}; known resources are {', '.join(BY_NAME)}"
        )
    return given or None


def allowed_deletes(text: str | None) -> bool | tuple[str, ...]:
    """What --allow-deletes opens: nothing, all, or the resources and tables that it names.

    SettingsError for a name that is neither.
    """
    if text is None or text.strip() == "all":
        return text is not None
    tables = (part.name for table in TABLES for part in table.family())
    known = dict.fromkeys((*BY_NAME, *tables))
    given = tuple(name.strip() for name in text.split(",") if name.strip())
    unknown = [name for name in given if name not in known]
    if unknown or not given:
        raise SettingsError(
            f"--allow-deletes names {', '.join(unknown) or 'nothing'}; known resources and tables"
            f" are {', '.join(known)}"
        )
    return given
