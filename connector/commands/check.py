"""``check``: settings, token, workspace, scopes, database, migrations, what no column holds."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from connector.commands.connect import open_client, open_database, privacy
from connector.errors import (
    BadRequestError,
    ConnectorError,
    NotFoundError,
    NotPermittedError,
)
from connector.intercom.client import Client
from connector.resources import RESOURCES
from connector.resources.resource import (
    Activities,
    Catalogue,
    Deletions,
    Log,
    Members,
    PerContact,
    Resource,
    Search,
    Snapshot,
    Sweep,
)
from connector.settings import Settings
from connector.sync.workspace import check_same, opened_by
from connector.warehouse import migrate
from connector.warehouse.database import Database
from connector.warehouse.excludable import alike
from connector.warehouse.state import Workspace
from connector.warehouse.unclaimed import Unclaimed, unclaimed

NOBODY = "0" * 24  # an id that no contact has
LONGEST_KEY = 60  # characters of a key that are printed


@dataclass
class Line:
    """One thing that was checked."""

    name: str
    fine: bool
    text: str
    exit_code: int = 0


async def run(settings: Settings, *, as_json: bool) -> int:
    """Print one line for each thing; the exit code of the first that is not fine."""
    lines = [Line("settings", True, f"{settings.base_url}, version {settings.version}")]
    lines.append(_privacy(settings))
    workspace = await _intercom(settings, lines)
    _warehouse(settings, workspace, lines)
    if as_json:
        print(json.dumps([vars(line) for line in lines]))
    else:
        for line in lines:
            print(f"{'ok  ' if line.fine else 'FAIL'} {line.name}: {line.text}")
    return next((line.exit_code for line in lines if not line.fine), 0)


def _privacy(settings: Settings) -> Line:
    """What is kept out, and where else the same personal values may stand."""
    try:
        kept_out = privacy(settings)
    except ConnectorError as error:
        return Line("privacy", False, str(error), error.exit_code)
    names = [rule.name for rule in kept_out.exclusions.rules]
    text = f"excluded: {', '.join(names)}" if names else "nothing is excluded"
    others = alike(kept_out.exclusions)
    if others:
        text += f"; the same values may stand in {', '.join(others)}"
    text += f"; deleted contacts are {'emptied' if kept_out.scrubs_deleted else 'kept'}"
    return Line("privacy", True, text)


async def _intercom(settings: Settings, lines: list[Line]) -> Workspace | None:
    found: list[Workspace] = []
    try:
        async with open_client(settings) as client:

            async def token() -> str:
                found.append(await opened_by(client))
                return f"opens the workspace {found[0].name} ({found[0].id_code})"

            await _try(lines, "token", token)
            if found:
                for resource in RESOURCES:
                    await _try(lines, f"scope for {resource.name}", _reader(client, resource))
    except ConnectorError as error:
        lines.append(Line("token", False, str(error), error.exit_code))
    return found[0] if found else None


def _reader(client: Client, resource: Resource) -> Callable[[], Awaitable[str]]:
    async def read() -> str:
        try:
            await _probe(client, resource)
        except NotFoundError:
            return "readable"  # nobody by that id, but the question was allowed
        except (NotPermittedError, BadRequestError) as error:
            if resource.hastens:
                return f"not readable with this token, so only full passes tell ({error.message})"
            if resource.optional and isinstance(error, NotPermittedError):
                return f"not readable with this token, and so left out ({error.message})"
            raise
        return "readable"

    return read


async def _probe(client: Client, resource: Resource) -> None:
    """The smallest request that needs the scope of a resource."""
    match resource.reading:
        case Snapshot() as reading:
            first = reading.parts[0]
            await client.request("GET", first.path or reading.path, params=dict(first.params))
        case Catalogue() as reading:
            await client.request("GET", reading.path, params={"per_page": 1})
        case Log() as reading:
            await client.request("GET", reading.path, params={reading.since: _yesterday(client)})
        case Sweep() as reading:  # a scroll would stay open and be in the way for a minute
            await client.request("POST", reading.list, params={"page": 1, "per_page": 1})
        case PerContact() as reading:
            params = dict(reading.params) | ({reading.param: NOBODY} if reading.param else {})
            await client.request("GET", reading.path.format(id=NOBODY), params=params)
        case Deletions() as reading:
            await client.request("GET", reading.path, params={"per_page": 1})
        case Activities() as reading:
            await client.request(
                "GET", reading.path, params={"per_page": 1}, version=reading.version
            )
        case Search() | Members() as reading:
            query = {"field": "created_at", "operator": ">", "value": 0}
            await client.request(
                "POST", reading.path, json={"query": query, "pagination": {"per_page": 1}}
            )


def _yesterday(client: Client) -> int:
    return int(client.clock.likely_now().timestamp()) - 86_400


def _warehouse(settings: Settings, workspace: Workspace | None, lines: list[Line]) -> None:
    try:
        with open_database(settings, say=lambda _: None) as database:
            database.wait()
            lines.append(Line("database", True, "answers"))
            lines.append(database.write(lambda conn: _schema(conn, database)))
            if workspace:
                lines.append(_same(database, workspace))
            lines += database.write(lambda conn: _extra(conn, database))
    except ConnectorError as error:
        lines.append(Line("database", False, str(error), error.exit_code))


def _schema(conn: Any, database: Database) -> Line:
    if migrate.present(conn, database.schema) is None:
        return Line("schema", True, f"{database.schema} is empty; the first sync will create it")
    if migrate.check(conn, database.schema):
        return Line("schema", True, f"{database.schema} is up to date")
    return Line("schema", True, f"{database.schema} is older; sync or migrate will upgrade it")


def _extra(conn: Any, database: Database) -> list[Line]:
    """What ``extra`` holds, for information: fields that Intercom added, values that misfit."""
    if migrate.present(conn, database.schema) != migrate.newest():
        return []
    found = list(unclaimed(conn, database.schema))
    told = [Line(f"extra of {one.table}", True, _keys(one)) for one in found if one.keys]
    return told or [Line("extra", True, "empty: every field that was read has its column")]


def _keys(one: Unclaimed) -> str:
    keys = ", ".join(f"{_printable(key)} ({rows:,})" for key, rows in one.keys.items())
    return f"of {one.rows:,} rows looked at, so many hold what no column does: {keys}"


def _printable(key: str) -> str:
    shown = "".join(char if char.isprintable() else "?" for char in key)
    return shown if len(shown) <= LONGEST_KEY else shown[: LONGEST_KEY - 1] + "…"


def _same(database: Database, workspace: Workspace) -> Line:
    def look(conn: Any) -> Line:
        if not check_same(conn, workspace, database.schema):
            return Line("workspace", True, "not pinned yet")
        return Line("workspace", True, "the token opens the workspace that the schema mirrors")

    try:
        return database.write(look)
    except ConnectorError as error:
        return Line("workspace", False, str(error), error.exit_code)


async def _try(lines: list[Line], name: str, step: Callable[[], Awaitable[str]]) -> None:
    try:
        lines.append(Line(name, True, await step()))
    except ConnectorError as error:
        lines.append(Line(name, False, str(error), error.exit_code))
