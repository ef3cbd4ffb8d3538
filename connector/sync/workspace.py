"""Which workspace the token opens, and whether it is the one that the schema mirrors."""

from __future__ import annotations

import sqlalchemy as sa

from connector.errors import BadAnswerError, WrongWorkspaceError
from connector.intercom.client import Client
from connector.warehouse import migrate, state
from connector.warehouse.schema import version
from connector.warehouse.state.workspace import Workspace


async def opened_by(client: Client) -> Workspace:
    """The workspace that the token opens; TokenRefusedError if it opens none."""
    reply = await client.request("GET", "/me")
    me = reply.json()
    app = me.get("app") if isinstance(me, dict) else None
    if not isinstance(app, dict) or not isinstance(app.get("id_code"), str):
        raise BadAnswerError(
            "the reply names no workspace", method="GET", path="/me", status=reply.status
        )
    return Workspace(
        id_code=app["id_code"],
        name=_text(app.get("name")),
        region=_text(app.get("region")),
        timezone=_text(app.get("timezone")),
        api_version=client.version,
    )


def _text(value: object) -> str | None:
    return value.replace("\0", "") if isinstance(value, str) else None


def check_same(conn: sa.Connection, workspace: Workspace, schema: str) -> Workspace | None:
    """What the schema is pinned to, if anything; WrongWorkspaceError if to another workspace.

    Raises SchemaTooNewError for a schema of a newer version.
    """
    if version.present(conn, schema) is None:
        return None
    migrate.check(conn, schema)
    pinned = state.pinned(conn)
    if pinned and pinned.id_code != workspace.id_code:
        raise WrongWorkspaceError(
            f"schema {schema} mirrors the workspace {pinned.name!r} ({pinned.id_code}), but the"
            f" token opens {workspace.name!r} ({workspace.id_code}); give this workspace a schema"
            " of its own with INTERCOM_SCHEMA or --schema, or use the other token"
        )
    return pinned
