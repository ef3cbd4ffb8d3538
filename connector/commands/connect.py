"""Opens the two ends of a sync as the settings say, and what is kept out between them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector.errors import SettingsError
from connector.intercom.client import Client
from connector.intercom.clock import Clock
from connector.intercom.tokens.tokens import tokens_of
from connector.settings import EMBEDDED, Settings
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.privacy import pinning
from connector.warehouse.privacy.excludable import parse
from connector.warehouse.schema import damage
from connector.warehouse.sql import embedded
from connector.warehouse.sql.database import Database
from connector.warehouse.values.signatures import Signatures

logger = logging.getLogger(__name__)


def open_client(settings: Settings, *, writes: bool = False) -> Client:
    """A client for the configured workspace; SettingsError for what cannot work.

    ``writes``: with the token that writes, where there is one, leaving half of the budget to
    others where others spend too; else with the first of those that read, for what a bulk job is
    told is told to one app.
    """
    secrets = (settings.require_write_token(),) if writes else settings.require_tokens()
    own = "INTERCOM_WRITE_TOKEN" if writes and settings.write_token else ""
    most, named = settings.requests_per_minute, own or "the access token"
    tokens = tokens_of(secrets, clock=Clock(), per_minute=most, yields=writes, name=named)
    return Client(
        token=tokens,
        token_name=own or "INTERCOM_ACCESS_TOKEN",
        base_url=settings.base_url,
        version=settings.version,
        concurrency=settings.concurrency or tokens.in_flight,
        ca_bundle=settings.ca_bundle,
        allow_http=settings.allow_http,
    )


def privacy(settings: Settings) -> Privacy:
    """What is kept out of the warehouse; SettingsError for a name that cannot be excluded."""
    signatures = Signatures(settings.file_hosts)
    exclusions = parse(settings.exclude, settings.hash_key, signatures)
    return Privacy(exclusions, settings.scrubs_deleted)


def admit(database: Database, settings: Settings) -> None:
    """SettingsError if a command that is no whole run may not write under these settings."""
    kept_out = privacy(settings).exclusions
    database.write(lambda conn: pinning.admit(conn, database.schema, kept_out, whole=False))


def warn_of_exclusions(database: Database, settings: Settings) -> None:
    """Log a warning where the schema is pinned to other exclusions than the settings name."""
    try:
        if differing := exclusions_differ(database, settings):
            logger.warning("%s", differing)
    except SettingsError as error:
        logger.warning("%s", error)


def exclusions_differ(database: Database, settings: Settings) -> str:
    """How the exclusions of the settings differ from the pinned ones, in a sentence, or ""."""
    kept_out = privacy(settings).exclusions
    found = database.write(lambda conn: pinning.difference(conn, database.schema, kept_out))
    return pinning.told(found, database.schema) if found else ""


@contextmanager
def open_database(settings: Settings, say: Callable[[str], None]) -> Iterator[Database]:
    """The configured database; the embedded server runs for as long as the context lasts."""
    if settings.database_url is None:
        raise SettingsError("DATABASE_URL is not set")
    server = None
    url = settings.database_url
    if url == EMBEDDED:
        server = embedded.start(settings.require_home() / "postgres")
        url = server.get_uri()
        say(f"embedded Postgres: {url}")
    database = Database(url, settings.schema, explain=damage.told)
    try:
        yield database
    finally:
        database.close()
        if server:
            embedded.stop(server)
