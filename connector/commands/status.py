"""``status``: what the warehouse holds, how fresh it is, and what is still pending."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from msgspec.structs import asdict

from connector.commands.reporting import live, wishes
from connector.commands.terminal.grids import Grid, draw, style_of
from connector.commands.terminal.screen import tell
from connector.commands.terminal.streams import is_terminal
from connector.intercom.facts import BY_ID
from connector.resources import RESOURCES
from connector.resources.readings import Deletions, PerContact
from connector.resources.resource import Resource
from connector.warehouse import migrate, state
from connector.warehouse.history import kept
from connector.warehouse.reports.completeness import measure
from connector.warehouse.schema import version
from connector.warehouse.sql.database import Database, is_locked
from connector.warehouse.sql.execute import fetch, scalar
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.rows import living, owned
from connector.warehouse.state.reads import coverage
from connector.warehouse.state.tables import RUN_RESOURCES, RUNS

KILLED = "interrupted"  # what still counts as running, though nobody holds its lock


def run(database: Database, *, as_json: bool) -> int:
    """Print the state of the schema; 0 if the last run succeeded or is running, else 1."""
    database.wait()
    facts = database.read(lambda conn: collect(conn, database.schema))
    if as_json:
        print(json.dumps(facts, default=str))
    elif is_terminal("stdout"):
        _show(facts)
    else:
        _print(facts)
    return 0 if facts["fine"] else 1


def collect(conn: sa.Connection, schema: str) -> dict[str, Any]:
    """Everything that ``status`` tells."""
    if version.present(conn, schema) is None:
        return {"schema": schema, "fine": False, "advice": "never synced: run sync"}
    migrate.require_newest(conn, schema)
    workspace = state.pinned(conn)
    spent = RUN_RESOURCES
    requests = (
        sa.select(sa.func.coalesce(sa.func.sum(spent.c.requests), 0))
        .where(spent.c.run_id == RUNS.c.id)
        .scalar_subquery()
    )
    query = sa.select(RUNS, requests.label("requests")).order_by(RUNS.c.id.desc()).limit(5)
    runs = [dict(row) for row in conn.execute(query).mappings()]
    if runs and runs[0]["status"] == "running" and not is_locked(conn, schema):
        runs[0]["status"] = KILLED
    waiting = state.pending(conn)
    return {
        "schema": schema,
        "workspace": asdict(workspace) if workspace else None,
        "resources": {r.name: _resource(conn, schema, r) for r in RESOURCES},
        "history": _history(conn, schema),
        "usable_since": state.usable_since(conn),
        "failed": state.last_failures(conn),
        "pending": [asdict(entry) for entry in waiting],
        "facts": [asdict(one) for one in state.refuted(conn) if one.fact in BY_ID],
        "live": live.facts(conn),
        "outbox": wishes.facts(conn),
        "runs": runs,
        "fine": bool(runs) and runs[0]["status"] in ("succeeded", "running"),
        "advice": _advice(runs),
    }


def _resource(conn: sa.Connection, schema: str, resource: Resource) -> dict[str, Any]:
    progress = state.progress(conn, resource.name)
    facts = _counts(conn, schema, resource) | {"fresh_as_of": progress.fresh_as_of}
    if resource.has_parts:
        found = measure(conn, Names(schema), resource.table)
        facts |= {name: getattr(found, name) for name in ("parts", "incomplete", "truncated")}
    if isinstance(resource.reading, PerContact) and resource.reading.shown_for:
        facts |= asdict(coverage(conn, Names(schema), resource.name))
    return facts


def _counts(conn: sa.Connection, schema: str, resource: Resource) -> dict[str, Any]:
    """Rows of the table that the resource fills: the object's own, or a link or child of it."""
    beside = getattr(resource.reading, "within", "")
    table = Names(schema)(resource.name if beside else resource.table.name)
    if any(link.table == resource.name for link in resource.table.links):
        number = scalar(conn, f"SELECT count(*) FROM {table}")
        return {"rows": number, "deleted": 0, "placeholders": 0}
    (counts,) = fetch(
        conn,
        f"SELECT count(*) FILTER (WHERE {living()}),"
        " count(*) FILTER (WHERE _deleted_at IS NOT NULL), count(*) FILTER (WHERE _placeholder)"
        f" FROM {table} WHERE {owned(resource)}",
    )
    found = dict(zip(("rows", "deleted", "placeholders"), counts, strict=True))
    if isinstance(resource.reading, Deletions):  # a feed has no rows of its own
        found |= {"rows": 0, "placeholders": 0}
    return found


def _history(conn: sa.Connection, schema: str) -> dict[str, Any]:
    """By table: how many versions there are, since when they are kept, and when that ended."""
    found = kept.all_kept(conn)
    versions = kept.counts(conn, Names(schema), found)
    return {
        name: {"versions": versions[name], "since": one.began_at, "ended_at": one.ended_at}
        for name, one in found.items()
    }


def _advice(runs: list[dict[str, Any]]) -> str:
    if not runs:
        return "never synced: run sync"
    last = runs[0]
    since = f"{last['started_at']:%Y-%m-%d %H:%M %Z}"
    if last["status"] == "running":
        return f"run {last['id']} is running since {since}"
    if last["status"] == KILLED and last["finished_at"] is None:
        return (
            f"run {last['id']}, begun {since}, counts as running, but its process is gone:"
            " run sync, it goes on where that one was"
        )
    if last["status"] == "failed":
        return f"the last run failed: {last['error']}"
    if last["status"] == "interrupted":
        return "the last run was interrupted: run sync, it goes on where it was"
    return "fine"


def _print(facts: dict[str, Any]) -> None:
    if facts.get("workspace"):
        workspace = facts["workspace"]
        print(f"workspace {workspace['name']} ({workspace['id_code']}), {workspace['region']}")
    if facts.get("usable_since"):
        print(f"usable since {_at(facts['usable_since'])}")
    for name, resource in facts.get("resources", {}).items():
        fresh = resource["fresh_as_of"]
        when = f"fresh as of {_at(fresh)}" if fresh else "never read"
        print(
            f"{name:<22}{resource['rows']:>12,} rows {resource['deleted']:>8,} deleted"
            f" {resource['placeholders']:>8,} placeholders  {when}"
        )
        for number, sentence in _more(resource):
            print(f"{'':<22}{number}{sentence}")
    for name, history in facts.get("history", {}).items():
        print(f"history of {name:<11}{history['versions']:>12,} versions {_kept(history)}")
    for sentence, _ in _sentences(facts):
        print(sentence)
    for run_ in facts.get("runs", []):
        print(
            f"run {run_['id']:>6} {run_['command']:<10}{run_['status']:<12}"
            f"{_at(run_['started_at'])} {run_['requests']:>10,} requests"
        )
    print(f"schema {facts['schema']}: {facts['advice']}")


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M:%S %Z}"


def _more(resource: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What is said of a resource besides its rows: a number and the sentence that it begins."""
    if "parts" in resource:
        yield (
            f"{resource['parts']:>12,}",
            f" parts; {resource['incomplete']:,} lack parts that Intercom counts,"
            f" {resource['truncated']:,} have more than it shows",
        )
    if "contacts" in resource:
        since = resource["complete_since"]
        whole = f"; complete since {_at(since)}" if since else ""
        yield "", f"of {resource['read']:,} of {resource['contacts']:,} contacts{whole}"


def _kept(history: dict[str, Any]) -> str:
    ended = history["ended_at"]
    return f"since {_at(history['since'])}" + (f", until {_at(ended)}" if ended else "")


def _sentences(facts: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What deserves a look, and in which colour."""
    for name, reason in facts.get("failed", {}).items():
        yield f"not read in the last run: {name}: {reason}", "red"
    for one in facts.get("facts", []):
        sentence = BY_ID[one["fact"]].sentence
        yield f"not true of this workspace: {sentence} Seen: {one['detail']}", "yellow"
    for entry in facts.get("pending", []):
        yield f"pending: {entry['resource']} {entry['id']}: {entry['reason']}", "yellow"
    for sentence in live.sentences(facts["live"]) if facts.get("live") else ():
        yield sentence, ""
    for sentence in wishes.sentences(facts["outbox"]) if facts.get("outbox") else ():
        yield sentence, ""


def _show(facts: dict[str, Any]) -> None:
    """The same on a terminal: tables that fit it."""
    if facts.get("workspace"):
        workspace = facts["workspace"]
        tell(f"workspace {workspace['name']} ({workspace['id_code']}), {workspace['region']}\n")
    resources, runs = facts.get("resources", {}), facts.get("runs", [])
    rows = [
        (name, *(f"{one[figure]:,}" for figure in _FIGURES), _fresh(one))
        for name, one in resources.items()
    ]
    draw(Grid(("resource", *_FIGURES, "fresh as of"), rows, (1, 2, 3), (3, 2)))
    for name, resource in resources.items():
        for number, sentence in _more(resource):
            tell(f"{name}: {number.strip()}{sentence}", "dim")
    kept = [
        (name, f"{one['versions']:,}", _kept(one)) for name, one in facts.get("history", {}).items()
    ]
    draw(Grid(("history of", "versions", "kept"), kept, (1,)))
    told = [
        (f"{r['id']}", r["command"], r["status"], _at(r["started_at"]), f"{r['requests']:,}")
        for r in runs
    ]
    draw(Grid(("run", "command", "status", "began", "requests"), told, (0, 4), (4, 1), style_of))
    for sentence, style in _sentences(facts):
        tell(sentence, style)
    if facts.get("usable_since"):
        tell(f"usable since {_at(facts['usable_since'])}")
    tell(f"schema {facts['schema']}: {facts['advice']}", "green" if facts["fine"] else "red")


_FIGURES = ("rows", "deleted", "placeholders")


def _fresh(resource: dict[str, Any]) -> str:
    fresh = resource["fresh_as_of"]
    return _at(fresh) if fresh else "never read"
