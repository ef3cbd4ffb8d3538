"""Asks whether a token may write, by requests that change nothing: their content is refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field

from connector.errors import (
    BadRequestError,
    ConnectorError,
    NotFoundError,
    NotPermittedError,
    WrongWorkspaceError,
)
from connector.intercom.client import Client
from connector.intercom.writes import is_of_the_body, write
from connector.sync.tenure import opened_by
from connector.warehouse.state.workspace import Workspace

NOBODY = "0" * 24  # an id that no contact has


class Probe(Struct, frozen=True):
    """A write that cannot succeed: refused for its content by whoever would allow it."""

    what: str
    permission: str
    method: str
    path: str
    body: Mapping[str, Any] = field(default_factory=dict)


PROBES = (
    Probe("contacts and companies", "Write users and companies", "PUT", f"/contacts/{NOBODY}"),
    Probe("tags", "Write tags", "POST", "/tags"),
    Probe(
        "events",
        "Write events",
        "POST",
        "/events",
        {"id": NOBODY, "event_name": "intercom-warehouse-check", "created_at": 1},
    ),
)


async def look(client: Client, probe: Probe) -> str:
    """In words whether it is permitted; a warning where it is not, or where nobody knows."""
    try:
        await write(client, probe.method, probe.path, dict(probe.body))
    except NotPermittedError as error:
        if not is_of_the_body(error):
            return (
                f"WARNING: the token that writes may not ({error}); give its app the permission"
                f" {probe.permission!r} in Intercom's Developer Hub, or push fails"
            )
    except (BadRequestError, NotFoundError):
        pass
    except ConnectorError as error:
        return f"WARNING: it could not be found out ({error})"
    return "permitted"


async def check_workspace(client: Client, workspace: Workspace) -> str:
    """In words that both tokens open the same workspace; WrongWorkspaceError if they do not."""
    found = await opened_by(client)
    if found.id_code != workspace.id_code:
        raise WrongWorkspaceError(
            f"INTERCOM_WRITE_TOKEN opens the workspace {found.name!r} ({found.id_code}), but"
            f" INTERCOM_ACCESS_TOKEN opens {workspace.name!r} ({workspace.id_code}): both must"
            " be of the workspace that the schema mirrors"
        )
    return f"opens the same workspace {found.name} ({found.id_code})"
