"""Settings, checked once at the start; the only reader of the environment and of ``.env``.

Flags win over the environment, the environment over ``.env``. Each setting can also be given as
``NAME_FILE``, the path of a file that holds it, as container secrets are.
"""

from __future__ import annotations

import difflib
import logging
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from connector.errors import SettingsError
from connector.resources import TABLES
from connector.resources.selection import Selection, called, select
from connector.sources import Source

logger = logging.getLogger(__name__)

CENTURY = 36_500  # days; the calendar of Python ends
POOL = 25_000  # requests a minute that Intercom allows a workspace, all its apps together
EMBEDDED = "embedded"
REGIONS = {
    "us": "https://api.intercom.io",
    "eu": "https://api.eu.intercom.io",
    "au": "https://api.au.intercom.io",
}


@dataclass(frozen=True)
class Settings:
    """What the user decides; secrets stay out of ``repr``."""

    tokens: tuple[str, ...] = field(repr=False)  # of one workspace, each another app's
    base_url: str
    version: str
    allow_http: bool
    database_url: str | None = field(repr=False)  # None: not set; "embedded": the embedded server
    schema: str
    home: Path
    resources: Selection
    auto_migrate: bool
    lookback: int  # seconds
    sweep_days: int  # events, notes and subscriptions of every contact are read again within
    full_pass_days: int  # every list is read whole again within
    full_pass_requests: int  # that a run spends on full passes before they must be
    activity_feed: bool
    keep_runs_days: int  # what runs did is forgotten after so many
    concurrency: int | None  # None: as many requests in flight as the tokens need
    requests_per_minute: int | None  # of all tokens together
    ca_bundle: str | None
    notify_url: str | None = field(repr=False)  # may hold a secret of its own
    exclude: str = ""  # names of fields, read by warehouse.excludable
    hash_key: str = field(default="", repr=False)
    scrubs_deleted: bool = False  # contacts deleted at Intercom are emptied
    client_secrets: tuple[str, ...] = field(default=(), repr=False)  # sign notifications
    listen: tuple[str, int] = ("127.0.0.1", 8088)
    live_delay: float = 2.0  # seconds that a notification waits for others of the same object
    write_token: str = field(default="", repr=False)  # of push alone; the first one where unset
    index_lag: float = 300.0  # seconds after which Intercom's search shows every change
    push_keep_days: int = 30  # for so long the bodies of wishes that were done are kept
    sync_every: float = 3600.0  # seconds between two passes of a process that goes on; 0: none
    history: tuple[str, ...] = ()  # the tables of which it is kept
    history_days: int | None = None  # versions that ended longer ago are removed; None: never
    file_hosts: tuple[str, ...] = ()  # whose signed addresses are compared without their query

    def require_home(self) -> Path:
        """The folder of the embedded server, or SettingsError if this user can have none."""
        if self.home.parts[:1] and self.home.parts[0].startswith("~"):
            raise SettingsError(
                f"the embedded Postgres has nowhere to live: this user has no home directory for"
                f" {self.home}; set CONNECTOR_HOME to a folder of its own, or DATABASE_URL to a"
                " Postgres server"
            )
        return self.home

    def require_write_token(self) -> str:
        """The one token that writes; SettingsError if none is set at all, or several to write."""
        tokens = _parts(self.write_token) or self.require_tokens()[:1]
        if len(tokens) > 1:
            raise SettingsError(
                f"INTERCOM_WRITE_TOKEN names {len(tokens)} tokens, and push writes with one"
            )
        return tokens[0]

    def require_tokens(self) -> tuple[str, ...]:
        """The tokens, at least one, or SettingsError if none is set."""
        if not self.tokens:
            raise SettingsError(
                "INTERCOM_ACCESS_TOKEN is not set; create an app in Intercom's Developer Hub and"
                " put its access token into the environment, into .env, or into a file named by"
                " INTERCOM_ACCESS_TOKEN_FILE"
            )
        return self.tokens


def load(
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    *,
    schema: str | None = None,
) -> Settings:
    """The settings; SettingsError names the one that is wrong and what would be right.

    ``schema`` is the flag that wins over INTERCOM_SCHEMA.
    """
    source = _source(environ, directory)
    tokens = _tokens(source)
    settings = Settings(
        tokens=tokens,
        base_url=_base_url(source),
        version=source.text("INTERCOM_VERSION", "2.16"),
        allow_http=source.flag("CONNECTOR_ALLOW_HTTP", False),
        database_url=source.text("DATABASE_URL") or None,
        schema=check_schema(
            source.text("INTERCOM_SCHEMA", "intercom") if schema is None else schema
        ),
        home=_home(source),
        resources=select(source.text("CONNECTOR_RESOURCES"), "CONNECTOR_RESOURCES"),
        auto_migrate=source.flag("CONNECTOR_AUTO_MIGRATE", True),
        lookback=source.number("CONNECTOR_LOOKBACK", 900, most=CENTURY * 86_400),
        sweep_days=source.number("CONNECTOR_EVENTS_SWEEP_DAYS", 30, least=1, most=CENTURY),
        full_pass_days=source.number("CONNECTOR_FULL_PASS_DAYS", 7, most=CENTURY),
        full_pass_requests=source.number("CONNECTOR_FULL_PASS_REQUESTS", 2_000),
        activity_feed=source.flag("CONNECTOR_ACTIVITY_FEED", True),
        keep_runs_days=source.number("CONNECTOR_KEEP_RUNS_DAYS", 400, least=1, most=CENTURY),
        concurrency=source.number("CONNECTOR_CONCURRENCY", None, least=1),
        requests_per_minute=_requests_per_minute(source, len(tokens)),
        ca_bundle=source.text("SSL_CERT_FILE") or None,
        notify_url=_notify_url(source),
        exclude=source.text("CONNECTOR_EXCLUDE"),
        hash_key=source.text("CONNECTOR_HASH_KEY"),
        scrubs_deleted=_scrubs_deleted(source),
        client_secrets=_secrets(source),
        listen=_listen(source.text("CONNECTOR_LISTEN", "127.0.0.1:8088")),
        live_delay=_seconds("CONNECTOR_LIVE_DELAY", source.text("CONNECTOR_LIVE_DELAY", "2")),
        write_token=source.text("INTERCOM_WRITE_TOKEN"),
        index_lag=_seconds("CONNECTOR_INDEX_LAG", source.text("CONNECTOR_INDEX_LAG", "300")),
        push_keep_days=source.number("CONNECTOR_PUSH_KEEP_DAYS", 30, most=CENTURY),
        sync_every=duration("CONNECTOR_SYNC_EVERY", source.text("CONNECTOR_SYNC_EVERY", "1h")),
        history=_history(source),
        history_days=source.number("CONNECTOR_HISTORY_DAYS", None, least=1, most=CENTURY),
        file_hosts=_file_hosts(source),
    )
    _tell_strays(source)
    return settings


def _source(environ: Mapping[str, str] | None, directory: Path | None) -> Source:
    # Relative, as the working directory may have been deleted.
    return Source(os.environ if environ is None else environ, directory or Path("."))


def _tell_strays(source: Source) -> None:
    """Warn of what is misspelled; SettingsError if it was to keep personal data out."""
    for stray in source.strays():
        if stray.is_private:
            raise SettingsError(
                f"{stray} It looks like one that keeps personal data out, so it is not passed over:"
                " correct it, or unset it"
            )
        logger.log(logging.WARNING if stray.near else logging.INFO, "%s", stray)


@dataclass(frozen=True)
class Reporting:
    """Where the end of a run is reported to, read also where other settings are wrong."""

    schema: str
    notify_url: str | None = field(default=None, repr=False)
    ca_bundle: str | None = None


def reporting(
    environ: Mapping[str, str] | None = None,
    directory: Path | None = None,
    *,
    schema: str | None = None,
) -> Reporting:
    """As much of it as can be read; raises nothing."""
    try:
        source = _source(environ, directory)
    except SettingsError:  # of .env: what the environment says is known all the same
        source = _source(environ, Path(os.devnull))
    return Reporting(
        schema=schema or _if_readable(lambda: source.text("INTERCOM_SCHEMA")) or "intercom",
        notify_url=_if_readable(lambda: _notify_url(source)),
        ca_bundle=_if_readable(lambda: source.text("SSL_CERT_FILE")) or None,
    )


def _if_readable(read: Callable[[], str | None]) -> str | None:
    try:
        return read()
    except SettingsError:
        return None


def _home(source: Source) -> Path:
    """Where the embedded server lives; left as written where the user has no home directory."""
    path = Path(source.text("CONNECTOR_HOME", "~/.local/share/intercom-warehouse"))
    try:
        return path.expanduser()
    except RuntimeError:
        return path


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


def _parts(text: str) -> tuple[str, ...]:
    """What stands between commas and ends of lines: each once, none that is empty."""
    parts = (part.strip() for part in re.split(r"[,\r\n]", text))
    return tuple(dict.fromkeys(part for part in parts if part))


def _tokens(source: Source) -> tuple[str, ...]:
    """Each with a budget of its own; the same token twice has one."""
    text = source.text("INTERCOM_ACCESS_TOKEN")
    tokens = _parts(text)
    if text and not tokens:
        raise SettingsError("INTERCOM_ACCESS_TOKEN holds commas and no token")
    return tokens


def _requests_per_minute(source: Source, tokens: int) -> int | None:
    number = source.number("CONNECTOR_REQUESTS_PER_MINUTE", None, least=1)
    if tokens > 1 and number is not None and number > POOL:
        raise SettingsError(
            f"CONNECTOR_REQUESTS_PER_MINUTE is at most {POOL} with several tokens, not {number}:"
            " Intercom allows all apps of a workspace together no more"
        )
    return number


def _secrets(source: Source) -> tuple[str, ...]:
    """Of several, separated by commas, each is good: one is being replaced."""
    given = source.text("INTERCOM_CLIENT_SECRET").split(",")
    return tuple(secret for one in given if (secret := one.strip()))


def _listen(value: str) -> tuple[str, int]:
    """Host and port; an IPv6 address stands in brackets."""
    host, _, port = value.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65_535:
        raise SettingsError(
            f"CONNECTOR_LISTEN must be HOST:PORT such as 127.0.0.1:8088, not {value!r}"
        )
    return host, int(port)


UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}


def duration(name: str, value: str) -> float:
    """Seconds of a number with s, m, h or d, such as 5m; SettingsError names what is wrong."""
    found = re.fullmatch(r"([0-9]{1,9}(?:\.[0-9]{1,3})?)\s*([smhd]?)", value.strip())
    if not found or float(found[1]) * UNITS[found[2]] > CENTURY * 86_400:
        raise SettingsError(f"{name} must be a number with s, m, h or d such as 5m, not {value!r}")
    return float(found[1]) * UNITS[found[2]]


def _seconds(name: str, value: str) -> float:
    found = re.fullmatch(r"[0-9]{1,5}(?:\.[0-9]{1,3})?", value.strip())
    if not found:
        raise SettingsError(f"{name} must be a number of seconds such as 2, not {value!r}")
    return float(value)


def _file_hosts(source: Source) -> tuple[str, ...]:
    """Names of hosts, each meant with all hosts below it; ``*.`` before one says the same."""
    given = re.split(r"[\s,]+", source.text("CONNECTOR_FILE_HOSTS").lower())
    hosts = tuple(dict.fromkeys(host.removeprefix("*.") for host in given if host))
    label = r"[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?"
    for host in hosts:
        if not re.fullmatch(rf"{label}(\.{label})+", host):
            raise SettingsError(
                f"CONNECTOR_FILE_HOSTS names {host!r}, which is no name of a host; give names like"
                " files.example.com, separated by commas, without https:// and paths"
            )
    return hosts


def _history(source: Source) -> tuple[str, ...]:
    """The tables of which history is to be kept, in the order of the tables."""
    known = [table.name for table in TABLES if table.versioned]
    given = re.split(r"[\s,]+", source.text("CONNECTOR_HISTORY"))
    wanted = {name for name in given if name}
    for name in sorted(wanted.difference(known)):
        near = difflib.get_close_matches(name, known, n=1)
        raise SettingsError(
            f"CONNECTOR_HISTORY names {name!r}, of which no history can be kept"
            f"{f'; did you mean {near[0]}?' if near else ''} It takes {', '.join(known)}"
        )
    return tuple(name for name in known if name in wanted)


def _notify_url(source: Source) -> str | None:
    url = source.text("CONNECTOR_NOTIFY_URL")
    if url and not url.startswith(("https://", "http://")):
        raise SettingsError("CONNECTOR_NOTIFY_URL must begin with https:// or http://")
    try:
        parts = urlsplit(url)
        usable = not url or (bool(parts.hostname) and parts.port != 0)
    except ValueError:  # whose words may quote a secret
        usable = False
    if not usable:
        raise SettingsError("CONNECTOR_NOTIFY_URL is no URL: check its host and port") from None
    return url or None


def check_schema(name: str) -> str:
    """The name of a schema that can be created; SettingsError if it is none."""
    if not re.fullmatch(r"[^\x00-\x1f]+", name) or len(name.encode()) > 63:
        raise SettingsError(f"the schema name {name!r} must have 1 to 63 bytes, all printable")
    if name.lower().startswith("pg_") or name.lower() == "information_schema":
        raise SettingsError(f"the schema name {name!r} belongs to PostgreSQL; choose another")
    return name


def allowed_deletes(text: str | None) -> bool | tuple[str, ...]:
    """What --allow-deletes opens: nothing, all, or the resources and tables that it names.

    SettingsError for a name that is no resource and no table.
    """
    if text is None or text.strip() == "all":
        return text is not None
    tables = {part.name for table in TABLES for part in table.family()}
    found = list[str]()
    for name in filter(None, (word.strip() for word in text.split(","))):
        known = name in tables
        found += [name] if known else [one.name for one in called(name, "--allow-deletes")]
    if not found:
        raise SettingsError(
            "--allow-deletes names nothing: give names of resources or tables, or none"
        )
    return tuple(found)
