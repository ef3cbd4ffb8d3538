"""``status``: what the warehouse holds, how fresh it is, and what is still pending."""

from __future__ import annotations

import json
from typing import Any

import sqlalchemy as sa

from connector.commands.reporting import live, wishes
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
        "workspace": vars(workspace) if workspace else None,
        "resources": {r.name: _resource(conn, schema, r) for r in RESOURCES},
        "history": _history(conn, schema),
        "usable_since": state.usable_since(conn),
        "failed": state.last_failures(conn),
        "pending": [vars(entry) for entry in waiting],
        "facts": [vars(one) for one in state.refuted(conn) if one.fact in BY_ID],
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
        facts |= vars(coverage(conn, Names(schema), resource.name))
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
        print(f"usable since {facts['usable_since']:%Y-%m-%d %H:%M:%S %Z}")
    for name, resource in facts.get("resources", {}).items():
        fresh = resource["fresh_as_of"]
        when = f"fresh as of {fresh:%Y-%m-%d %H:%M:%S %Z}" if fresh else "never read"
        print(
            f"{name:<22}{resource['rows']:>12,} rows {resource['deleted']:>8,} deleted"
            f" {resource['placeholders']:>8,} placeholders  {when}"
        )
        if "parts" in resource:
            print(
                f"{'':<22}{resource['parts']:>12,} parts; {resource['incomplete']:,} lack parts"
                f" that Intercom counts, {resource['truncated']:,} have more than it shows"
            )
        if "contacts" in resource:
            since = resource["complete_since"]
            whole = f"; complete since {since:%Y-%m-%d %H:%M:%S %Z}" if since else ""
            print(f"{'':<22}of {resource['read']:,} of {resource['contacts']:,} contacts{whole}")
    for name, history in facts.get("history", {}).items():
        ended = history["ended_at"]
        until = f", until {ended:%Y-%m-%d %H:%M:%S %Z}" if ended else ""
        print(
            f"history of {name:<11}{history['versions']:>12,} versions"
            f" since {history['since']:%Y-%m-%d %H:%M:%S %Z}{until}"
        )
    for name, reason in facts.get("failed", {}).items():
        print(f"not read in the last run: {name}: {reason}")
    for one in facts.get("facts", []):
        print(f"not true of this workspace: {BY_ID[one['fact']].sentence} Seen: {one['detail']}")
    for entry in facts.get("pending", []):
        print(f"pending: {entry['resource']} {entry['id']}: {entry['reason']}")
    for sentence in live.sentences(facts["live"]) if facts.get("live") else ():
        print(sentence)
    for sentence in wishes.sentences(facts["outbox"]) if facts.get("outbox") else ():
        print(sentence)
    for run_ in facts.get("runs", []):
        started = f"{run_['started_at']:%Y-%m-%d %H:%M:%S %Z}"
        print(
            f"run {run_['id']:>6} {run_['command']:<10}{run_['status']:<12}{started}"
            f" {run_['requests']:>10,} requests"
        )
    print(f"schema {facts['schema']}: {facts['advice']}")
