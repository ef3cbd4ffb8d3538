"""``check``: settings, token, workspace, scopes, database, rights, schema, what ``extra`` holds."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from typing import Any

from msgspec import Struct, field
from msgspec.structs import asdict

from connector.commands import scopes
from connector.commands.connect import exclusions_differ, open_client, open_database, privacy
from connector.commands.pushing import permissions
from connector.commands.reporting import live, wishes
from connector.commands.scopes import Scope
from connector.commands.terminal.grids import Grid, draw, style_of
from connector.commands.terminal.streams import is_terminal
from connector.errors import (
    ConnectorError,
    DatabaseRefusedError,
    NamesTakenError,
    NotPermittedError,
    SettingsError,
    TokenRefusedError,
    WrongWorkspaceError,
)
from connector.intercom.client import Client
from connector.intercom.tokens.token import Token
from connector.intercom.tokens.tokens import Tokens
from connector.resources import RESOURCES
from connector.resources.resource import Resource
from connector.settings import Settings
from connector.sync.planning.tolerance import is_tolerated
from connector.sync.tenure import check_same, opened_by
from connector.warehouse import migrate, rights, state
from connector.warehouse.privacy.excludable import alike
from connector.warehouse.reports.unmapped import Unclaimed, unclaimed
from connector.warehouse.schema import damage, version
from connector.warehouse.sql.database import Database
from connector.warehouse.state.workspace import Workspace

WARNING = "WARNING: "  # begins what does not fail, and deserves a look
LONGEST_KEY = 60  # characters of a key that are printed
_OF_TOKENS = (TokenRefusedError, NotPermittedError, WrongWorkspaceError)


class Line(Struct):
    """One thing that was checked."""

    name: str
    fine: bool
    text: str
    exit_code: int = 0

    @classmethod
    def of(cls, name: str, error: ConnectorError) -> Line:
        """What is wrong with the thing of that name."""
        return cls(name, False, str(error), error.exit_code)

    @property
    def cells(self) -> tuple[str, str, str]:
        """It as a row of a table."""
        text = " ".join(self.text.split())
        if not self.fine:
            return "FAIL", self.name, text
        return ("warn" if text.startswith(WARNING) else "ok"), self.name, text.removeprefix(WARNING)


async def run(settings: Settings, *, as_json: bool) -> int:
    """Print one line for each thing; the exit code of the first that is not fine."""
    lines: list[Line] = []
    workspace, scopes = await _intercom(settings, lines)
    found = _warehouse(settings, workspace)
    # What was readable before decides whether being refused a scope is a failure.
    lines += [_scope(settings, scope, found.read_before) for scope in scopes]
    writes = await _writes(settings, workspace, found) if workspace else []
    return report(lines + found.lines + writes, as_json=as_json)


def report(lines: Sequence[Line], *, as_json: bool) -> int:
    """Print the lines; the exit code of the first that is not fine, 0 if all are."""
    if as_json:
        print(json.dumps([asdict(line) for line in lines]))
    elif is_terminal("stdout"):
        draw(Grid(("", "what", "how it is"), [line.cells for line in lines], style=style_of))
    else:
        for line in lines:
            print(f"{'ok  ' if line.fine else 'FAIL'} {line.name}: {' '.join(line.text.split())}")
    return next((line.exit_code for line in lines if not line.fine), 0)


def _privacy(settings: Settings) -> Line:
    """What is kept out, and where else the same personal values may stand."""
    try:
        kept_out = privacy(settings)
    except ConnectorError as error:
        return Line.of("privacy", error)
    names = [rule.name for rule in kept_out.exclusions.rules]
    text = f"excluded: {', '.join(names)}" if names else "nothing is excluded"
    others = alike(kept_out.exclusions)
    if others:
        text += f"; the same values may stand in {', '.join(others)}"
    text += f"; deleted contacts are {'emptied' if kept_out.scrubs_deleted else 'kept'}"
    return Line("privacy", True, text)


# -- Intercom --------------------------------------------------------------------------------


async def _intercom(
    settings: Settings, lines: list[Line]
) -> tuple[Workspace | None, Sequence[Scope]]:
    """The workspace that the tokens open, if any, and what of it can be read."""
    try:
        settings.require_tokens()
    except SettingsError as error:
        lines += [_address(settings), _privacy(settings), Line.of("token", error)]
        return None, ()
    try:
        client = open_client(settings)
    except SettingsError as error:
        name = "token" if "the access token" in str(error) else "settings"
        lines += [Line.of(name, error), _privacy(settings)]
        return None, ()
    lines += [_address(settings), _privacy(settings)]
    async with client:
        try:
            workspace = await opened_by(client)
        except ConnectorError as error:
            of_token = isinstance(error, _OF_TOKENS)
            lines.append(Line.of("token" if of_token else "intercom", error))
            return None, ()
        lines += [_token(client.tokens, token, workspace) for token in client.tokens]
        return workspace, [await _look(client, settings, resource) for resource in RESOURCES]


def _token(tokens: Tokens, token: Token, workspace: Workspace) -> Line:
    name = "token" if len(tokens) == 1 else f"token {token.position}"
    if token.refusal:  # the others go on without it, and so does a sync
        return Line(name, True, f"{WARNING}it is not used: {token.refusal}")
    return Line(name, True, f"opens the workspace {workspace.name} ({workspace.id_code})")


async def _look(client: Client, settings: Settings, resource: Resource) -> Scope:
    if not scopes.is_selected(settings, resource):
        return Scope(resource)
    return await scopes.look(client, resource)


def _scope(settings: Settings, scope: Scope, read_before: Collection[str]) -> Line:
    """What a sync would make of it."""
    resource, refusal = scope.resource, scope.refusal
    name = f"scope for {resource.name}"
    if not scopes.is_selected(settings, resource):
        return Line(name, True, "left out, as the settings say")
    if refusal is None:
        return Line(name, True, f"readable{scope.by_some}")
    asked_for, known = settings.resources.only is not None, resource.name in read_before
    if not is_tolerated(resource, refusal, asked_for=asked_for, read_before=known):
        why = ", though it was readable before" if known and resource.optional else ""
        return Line(name, False, f"not readable{why}: {refusal}", refusal.exit_code)
    reason = getattr(refusal, "message", "") or str(refusal)
    if resource.early_signal_of:
        text = f"not readable with this token, so only full passes tell ({reason})"
        return Line(name, True, text)
    return Line(name, True, f"not readable with this token, and so left out ({reason})")


def _address(settings: Settings) -> Line:
    return Line("settings", True, f"{settings.base_url}, version {settings.version}")


# -- writes ----------------------------------------------------------------------------------


async def _writes(settings: Settings, workspace: Workspace, found: Found) -> list[Line]:
    """What the token that writes may do, where anybody means to write."""
    if not settings.write_token and not found.has_wishes:
        return []
    try:
        async with open_client(settings, writes=True) as client:
            lines = []
            if settings.write_token:
                same = await permissions.check_workspace(client, workspace)
                lines.append(Line("write token", True, same))
            for probe in permissions.PROBES:
                told = await permissions.look(client, probe)
                lines.append(Line(f"writing {probe.what}", True, told))
            return lines
    except WrongWorkspaceError as error:
        return [Line.of("write token", error)]
    except ConnectorError as error:  # who only reads is none the worse for it
        return [Line("write token", True, f"{WARNING}push cannot use it: {error}")]


# -- the warehouse ---------------------------------------------------------------------------


class Found(Struct):
    """What was found in the warehouse, and which resources were read there before."""

    lines: list[Line] = field(default_factory=list)
    read_before: Collection[str] = ()
    has_wishes: bool = False


def _warehouse(settings: Settings, workspace: Workspace | None) -> Found:
    found = Found()
    try:
        with open_database(settings, say=lambda _: None) as database:
            database.wait()
            house = database.read(lambda conn: rights.look(conn, database.schema))
            told = f"answers: PostgreSQL {house.version}, {house.encoding}"
            found.lines.append(Line("database", True, told))
            found.lines.append(database.read(lambda conn: _rights(conn, database, settings)))
            if not found.lines[-1].fine:
                return found
            found.lines.append(_looked_at(database, settings))
            found.lines.append(_pinned(database, settings))
            if workspace:
                found.lines.append(_same(database, workspace))
            found.lines += database.read(lambda conn: _extra(conn, database))
            found.lines += database.read(lambda conn: _facts(conn, database))
            found.lines += database.read(lambda conn: _live(conn, database, settings))
            outbox = database.read(lambda conn: _outbox(conn, database))
            found.lines, found.has_wishes = found.lines + outbox, bool(outbox)
            found.read_before = database.read(lambda conn: _read_before(conn, database))
    except ConnectorError as error:
        found.lines.append(Line.of("database", error))
    return found


def _read_before(conn: Any, database: Database) -> Collection[str]:
    """The resources that a sync has read; none in a schema without state, or of older versions."""
    if version.present(conn, database.schema) != version.newest():
        return ()
    names = [resource.name for resource in RESOURCES]
    return {name for name in names if state.progress(conn, name).last_success_at is not None}


def _rights(conn: Any, database: Database, settings: Settings) -> Line:
    needs = rights.Needs(settings.auto_migrate, stages=True, history=settings.history)
    reasons = rights.missing(conn, database.schema, needs)
    if reasons:
        return Line("rights", False, "; ".join(reasons), DatabaseRefusedError.exit_code)
    return Line("rights", True, "the role may do what a sync does")


def _looked_at(database: Database, settings: Settings) -> Line:
    try:
        return database.read(lambda conn: _schema(conn, database, settings.history))
    except NamesTakenError as error:
        return Line("schema", False, str(error), error.exit_code)


def _pinned(database: Database, settings: Settings) -> Line:
    """Whether the schema is pinned to what these settings keep out; a warning if not."""
    try:
        differing = exclusions_differ(database, settings)
    except SettingsError as error:
        return Line("exclusions", True, f"{WARNING}not compared with the pinned ones: {error}")
    if differing:
        return Line("exclusions", True, f"{WARNING}{differing}; whatever writes will refuse that")
    return Line("exclusions", True, "none but those that the schema is pinned to, if it is")


def _schema(conn: Any, database: Database, history: Collection[str]) -> Line:
    migrate.refuse_taken(conn, database.schema, history)
    if version.present(conn, database.schema) is None:
        return Line("schema", True, f"{database.schema} is empty; the first sync will create it")
    if migrate.check(conn, database.schema):
        damage.require_whole(conn, database.schema)
        if others := damage.foreign(conn, database.schema):
            told = f"{damage.listed(others)}: that may keep rows other than they are written"
            return Line("schema", True, f"{WARNING}{database.schema} is up to date, but {told}")
        return Line("schema", True, f"{database.schema} is up to date")
    return Line("schema", True, f"{database.schema} is older; sync or migrate will upgrade it")


def _facts(conn: Any, database: Database) -> list[Line]:
    """What is known of Intercom and was seen to be false, for information."""
    if version.present(conn, database.schema) != version.newest():
        return []
    return [
        Line(f"fact {one.fact}", True, f"{WARNING}not true of this workspace: {one.detail}")
        for one in state.refuted(conn)
    ]


def _live(conn: Any, database: Database, settings: Settings) -> list[Line]:
    """What notifications brought, for information; nothing where none are meant to come."""
    if version.present(conn, database.schema) != version.newest():
        return []
    found = live.facts(conn)
    if found:
        return [Line("notifications", True, "; ".join(live.sentences(found)))]
    if not settings.client_secrets:
        return []
    text = f"{WARNING}INTERCOM_CLIENT_SECRET is set, and no notification ever came"
    return [Line("notifications", True, text)]


def _outbox(conn: Any, database: Database) -> list[Line]:
    """What became of wishes, for information; nothing where none was ever made."""
    if version.present(conn, database.schema) != version.newest():
        return []
    found = wishes.facts(conn)
    if not found:
        return []
    wrong = WARNING if found["failed"] or found["unknown"] else ""
    return [Line("outbox", True, wrong + "; ".join(wishes.sentences(found)))]


def _extra(conn: Any, database: Database) -> list[Line]:
    """What ``extra`` holds, for information: fields that Intercom added, values that misfit."""
    if version.present(conn, database.schema) != version.newest():
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
        return database.read(look)
    except ConnectorError as error:
        return Line.of("workspace", error)
