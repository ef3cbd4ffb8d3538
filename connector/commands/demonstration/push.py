"""The part of the demo that writes back: from a table of the company to Intercom and the mirror."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from connector.commands.demonstration.tables import shown
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute, fetch
from connector.warehouse.sql.session import READS

MODEL = "billing.intercom_users"
ATTRIBUTE = "plan_tier"
PLAN = "platinum"

# Two users who pay, in a schema of the company's own.
_BILLING = f"""
    CREATE SCHEMA billing;
    CREATE TABLE billing.subscriptions AS
        SELECT external_id AS user_id, '{PLAN}' AS plan FROM intercom.users
        WHERE external_id IS NOT NULL ORDER BY id LIMIT 2;
    CREATE VIEW {MODEL} AS
        SELECT user_id AS external_id, plan AS custom_{ATTRIBUTE} FROM billing.subscriptions"""
_MIRRORED = f"""
    SELECT u.external_id, u.custom_{ATTRIBUTE} AS "{ATTRIBUTE} in the mirror"
    FROM intercom.users u JOIN billing.subscriptions s ON s.user_id = u.external_id ORDER BY 1"""

Control = Callable[..., Any]
Say = Callable[[str], None]


def show(database_url: str, control: Control, run: Callable[..., int], say: Say) -> int:
    """Push an attribute of two users; show it at Intercom, then in the mirror. The exit code."""
    database = Database(database_url, "intercom")
    try:
        with database.transaction() as conn:
            execute(conn, _BILLING)
        for words in (["--dry-run"], []):
            if code := run("push", "contacts", "--from", MODEL, *words):
                return code
        _show_at_intercom(database, control, say)
        say("The next sync reads what was pushed, as it reads every change:")
        if code := run("sync", "--only", "users"):
            return code
        with database.transaction(READS) as conn:
            say(shown(execute(conn, _MIRRORED)))
    finally:
        database.close()
    return 0


def _show_at_intercom(database: Database, control: Control, say: Say) -> None:
    with database.transaction(READS) as conn:
        pushed = [key for (key,) in fetch(conn, "SELECT user_id FROM billing.subscriptions")]
    for one in control("truth", kind="contacts"):
        if one["role"] == "user" and one["external_id"] in pushed:
            shown = one["custom_attributes"].get(ATTRIBUTE)
            say(f"At Intercom {one['external_id']} has {ATTRIBUTE} {shown!r} now.")
