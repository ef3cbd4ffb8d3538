"""The document: head, the sync, the workspace, and the scripts that draw, all in one text.

Nothing in it comes from outside, which its Content-Security-Policy says to the browser too: our
two scripts and the style are allowed by their hashes, and nothing else.
"""

from __future__ import annotations

import base64
import hashlib

from connector import __version__
from connector.commands.workspace_report import cards, figures, vega
from connector.commands.workspace_report.charts.chart import specification
from connector.commands.workspace_report.charts.marks import CONFIG
from connector.commands.workspace_report.collect import Asked, Found
from connector.commands.workspace_report.markup import (
    Html,
    data,
    element,
    folded,
    isolated,
    join,
    script,
    unbroken,
)
from connector.commands.workspace_report.names import Names, apart


def document(found: Found, asked: Asked, library: str) -> str:
    """The whole page as text; ``library`` is the JavaScript that draws."""
    names = Names(asked.anonymous)
    title = _title(found, names)
    drawer, style = vega.asset("page.js"), vega.asset("page.css")
    shown = {key: one for key, one in found.charts.items() if one.rows}
    charts = {key: specification(one, names) for key, one in shown.items()}
    sources = [unbroken(library), unbroken(drawer)] if shown else []
    body = join(
        _header(found, asked, title),
        element("main", *cards.halves(found, asked, names)),
        _footer(),
        data("charts", {"config": CONFIG, "specs": charts}),
        *(script(source) for source in sources),
    )
    head = join(
        Html('<meta charset="utf-8">'),
        Html(f'<meta http-equiv="Content-Security-Policy" content="{_policy(sources, style)}">'),
        Html('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Html('<meta name="color-scheme" content="light dark">'),
        Html('<meta name="referrer" content="no-referrer">'),
        element("title", f"{apart(title)}: report"),
        Html(f"<style>{style}</style>"),
    )
    page = element("html", element("head", head), element("body", body), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _policy(scripts: list[str], style: str) -> Html:
    allowed = " ".join(map(_hash, scripts)) or "'none'"
    return Html(
        f"default-src 'none'; script-src {allowed}; style-src {_hash(style)};"
        " base-uri 'none'; form-action 'none'"
    )


def _hash(source: str) -> str:
    digest = hashlib.sha256(source.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


# -- above and below --------------------------------------------------------------------------


def _title(found: Found, names: Names) -> str:
    if names.anonymous or not found.workspace:
        return "An Intercom workspace"
    return names("Workspace", found.workspace, 1)


def _header(found: Found, asked: Asked, title: str) -> Html:
    zone = getattr(found.zone, "key", "UTC")
    days = f"Days and hours are those of {found.timezone}."
    when = figures.moment(found.asked_at, found.zone)
    since = f", since {figures.day(asked.since)}" if asked.since else ""
    return element(
        "header",
        element("p", "Intercom report", class_="over"),
        element("h1", isolated(title)),
        element("p", f"As of {when} ({zone}){since}. {days}"),
        _standing(found),
    )


def _standing(found: Found) -> Html:
    """In a word how the sync stands; errors in full stand with the runs."""
    facts = found.facts
    if "resources" not in facts or not facts["runs"]:
        return element("p", "Nothing is here yet: run sync.", class_="state quiet")
    if facts["fine"] and not facts["failed"]:
        return element("p", "The sync is fine", class_="state good")
    failed = ", ".join(facts["failed"])
    told = f": not read in the last run: {failed}" if failed else ": see the last runs"
    return element("p", f"Not all is well{told}", class_="state bad")


def _footer() -> Html:
    return element(
        "footer",
        element(
            "p",
            f"Made by intercom-warehouse {__version__}. This file holds all that it shows, and"
            " loads nothing from elsewhere.",
        ),
        folded("Licences of what draws the charts", element("pre", vega.asset("licences.txt"))),
    )
