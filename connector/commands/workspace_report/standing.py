"""The half of the page that tells of the sync: how fresh and complete, what failed, what waits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from datetime import datetime
from typing import Any

from msgspec import Struct

from connector.commands.reporting import wishes
from connector.commands.workspace_report import figures
from connector.commands.workspace_report.collect import Found
from connector.commands.workspace_report.markup import Html, element, folded, isolated, join, table
from connector.commands.workspace_report.names import Names

SHOWN = 12  # kinds of pending objects


class Tile(Struct, frozen=True):
    """A number that is seen first, what it is, and a word beside."""

    what: str
    value: str
    beside: object = ""

    def drawn(self) -> Html:
        """The tile."""
        return element(
            "div",
            element("dt", self.what),
            element("dd", self.value, element("small", self.beside) if self.beside else ""),
            class_="tile",
        )


def tiles(found: Found) -> Html:
    """The sync in six numbers."""
    facts, last = found.facts, found.runs[0] if found.runs else {}
    read = [one for one in facts["resources"].values() if one["fresh_as_of"]]
    oldest = min((one["fresh_as_of"] for one in read), default=None)
    rows = sum(one["rows"] for one in facts["resources"].values())
    started = figures.moment(last.get("started_at"), found.zone)
    shown = (
        Tile("Last run", last.get("status", "none"), started if last else ""),
        Tile("All of it fresh as of", *_fresh(found, oldest)),
        Tile("Rows", figures.number(rows), f"of {len(read)} resources"),
        Tile("Requests of the last run", figures.number(last.get("requests"))),
        Tile("Duration of the last run", figures.duration(last.get("seconds"))),
        Tile("Pending objects", figures.number(len(facts["pending"])), "to be read again"),
    )
    return _row(shown)


def _fresh(found: Found, oldest: datetime | None) -> tuple[str, str]:
    if oldest is None:
        return "never", ""
    passed = (found.asked_at - oldest).total_seconds()
    return figures.age(passed), figures.moment(oldest, found.zone)


# -- resources --------------------------------------------------------------------------------


def resources(found: Found, names: Names) -> Html:
    """Each resource: how fresh, how many rows, how complete."""
    return table(
        "Freshness and completeness of each resource",
        ("Resource", "Fresh as of", "Rows", "Deleted", "Pending", "Completeness"),
        _resources(found, names),
        (False, False, True, True, True, False),
    )


def _resources(found: Found, names: Names) -> Iterator[tuple[object, ...]]:
    waiting = Counter(entry["resource"] for entry in found.facts["pending"])
    for name, one in found.facts["resources"].items():
        failed = found.facts["failed"].get(name)
        yield (
            name,
            _when(one["fresh_as_of"], found),
            figures.number(one["rows"]),
            figures.number(one["deleted"] or None),
            figures.number(waiting[name] or None),
            _flag("bad", "failed: ", isolated(names.told(failed))) if failed else _complete(one),
        )


def _when(moment: datetime | None, found: Found) -> Html:
    return element("span", figures.moment(moment, found.zone), class_="when")


def _complete(one: dict[str, Any]) -> object:
    told = []
    if one["fresh_as_of"] is None:
        return element("span", "not read yet", class_="quiet")
    if one.get("incomplete"):
        told.append(f"{one['incomplete']:,} lack parts that Intercom counts")
    if one.get("truncated"):
        told.append(f"{one['truncated']:,} have more parts than Intercom shows")
    if one["placeholders"]:
        told.append(f"{one['placeholders']:,} known by their ids alone")
    if "contacts" in one and one["read"] < one["contacts"]:
        told.append(f"read of {one['read']:,} of {one['contacts']:,} contacts")
    return "; ".join(told) or _flag("good", "complete")


def _flag(kind: str, *words: object) -> Html:
    return element("span", *words, class_=kind)


# -- what went wrong, what waits --------------------------------------------------------------


def runs(found: Found, names: Names) -> Html:
    """The last runs, the newest first."""
    head = ("Run", "Began", "Ended", "Duration", "Requests", "New", "Changed", "Gone")
    rows = (
        (
            f"{run['id']} {run['command']}",
            _when(run["started_at"], found),
            _ended(run, names),
            figures.duration(run["seconds"]),
            *(figures.number(run[name]) for name in ("requests", "inserted", "updated", "deleted")),
        )
        for run in found.runs
    )
    return table("The last runs", head, rows, (False, False, False, *[True] * 5))


def _ended(run: Any, names: Names) -> object:
    if run["error"]:
        return _flag("bad", run["status"], ": ", isolated(names.told(run["error"])))
    return _flag("good" if run["status"] == "succeeded" else "quiet", run["status"])


def pending(found: Found, names: Names) -> Html:
    """What must be read again, by resource and reason; a sentence where nothing must."""
    entries = found.facts["pending"]
    if not entries:
        return element("p", "No object is pending: all that was listed could be read.")
    kinds = Counter((one["resource"], names.told(one["reason"])) for one in entries)
    rows = [
        (resource, isolated(reason), figures.number(times))
        for (resource, reason), times in kinds.most_common(SHOWN)
    ]
    more = len(kinds) - len(rows)
    return join(
        table("Pending objects", ("Resource", "Why", "Objects"), rows, (False, False, True)),
        element("p", f"And {more:,} more reasons.") if more > 0 else "",
    )


def beside(found: Found, names: Names) -> Html:
    """The live mirror and the outbox, where they are used."""
    told, outbox = found.facts["live"], found.facts["outbox"]
    return join(_live(found, told) if told else "", _outbox(outbox, names) if outbox else "")


def _live(found: Found, told: dict[str, Any]) -> Html:
    last = (found.asked_at - told["last_notification_at"]).total_seconds()
    tiles = (
        Tile("Notifications", figures.number(sum(told["received"].values())), "since the first"),
        Tile("Last notification", figures.age(last)),
        Tile("Hints that wait", figures.number(told["backlog"]), "to be read"),
        Tile("The oldest waits for", figures.duration(told["oldest_seconds"])),
    )
    unseen = told["unseen_topics"]
    return join(
        element("h3", "Live mirror"),
        _row(tiles),
        folded(f"{len(unseen):,} topics that never came", element("p", ", ".join(unseen)))
        if unseen
        else "",
    )


def _outbox(outbox: dict[str, Any], names: Names) -> Html:
    states = ("done", "waiting", "sending", "sent", "unknown", "failed")
    tiles = (Tile(state.capitalize(), figures.number(outbox[state])) for state in states)
    why = [element("p", isolated(names.told(one))) for one in wishes.reasons(outbox["reasons"])]
    reasons = element("div", *why, class_="card") if why else ""
    return join(element("h3", "Write back: wishes in the outbox"), _row(tiles), reasons)


def _row(tiles: Iterable[Tile]) -> Html:
    return element("dl", *(one.drawn() for one in tiles), class_="tiles")
