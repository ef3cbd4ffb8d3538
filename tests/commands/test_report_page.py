"""The page that ``report`` writes: its values, hostile names, and what a browser makes of it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import statistics
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from functools import partial
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from connector.cli import main
from connector.commands.reporting import metrics
from connector.commands.workspace_report import figures, page, report, vega
from connector.commands.workspace_report.collect import Asked, collect
from connector.commands.workspace_report.names import Names, on_axis
from connector.simulator import Workspace
from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from tests.support.browser import PROGRAM, browser
from tests.support.harness import NOW, Harness

pytestmark = pytest.mark.in_turn(2)

needs_chromium = pytest.mark.skipif(not PROGRAM, reason="no chromium on this machine: a browser")

MARKUP = "<img src=x onerror=pwned=1>\"'></td><b>bold</b>"
SCRIPT = "</script><script>pwned=1</script><!--<script>"
LINK = "javascript:pwned=1//${pwned=1}{{pwned=1}}"
TURNED = "\u202eevil\u2066 \u05d0\u05d1\u05d2 datum.pwned=1"
LONG = "W" * 10_000
HOSTILE = (MARKUP, SCRIPT, LINK, TURNED, LONG)
ZONE = ZoneInfo("America/New_York")


def space() -> Workspace:
    return Workspace.generate(4, contacts=120, companies=20, conversations=80, now=int(NOW))


def shown(
    harness: Harness, since: date | None = None, *, anonymous: bool = False, library: str = ""
) -> str:
    """The page of the harness's warehouse, as ``report`` makes it."""
    return of(harness.database_url, harness.schema, Asked(since, anonymous), library)


def of(url: str, schema: str, asked: Asked, library: str = "") -> str:
    database = Database(url, schema)
    try:
        found = database.read(partial(collect, schema=schema, asked=asked))
    finally:
        database.close()
    return page.document(found, asked, library)


class Parsed(HTMLParser):
    """What a browser reads: elements with their attributes, tables by caption, the visible text."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.tables: dict[str, list[list[str]]] = {}
        self.inside: list[str] = []
        self.text = ""
        self._caption, self._rows = "", []  # type: ignore[var-annotated]
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "br"):
            self.inside.append(tag)
        if tag == "table":
            self._caption, self._rows = "", []
        if tag == "tr":
            self._rows.append([])
        if tag in ("td", "th"):
            self._rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        assert self.inside.pop() == tag, "elements end in the order in which they began"
        if tag == "table":
            self.tables[self._caption] = self._rows[1:]

    def handle_data(self, data: str) -> None:
        if "caption" in self.inside:
            self._caption += data
        if {"td", "th"} & set(self.inside):
            self._rows[-1][-1] += data
        if not {"script", "style"} & set(self.inside):
            self.text += data


def drawn(text: str) -> dict[str, Any]:
    """The specifications of the charts by their keys."""
    (found,) = re.findall(r'<script type="application/json" id="charts">(.*?)</script>', text)
    specs: dict[str, Any] = json.loads(found)["specs"]
    return specs


def values(text: str, key: str, *names: str) -> list[tuple[Any, ...]]:
    """Of one chart the rows that it draws."""
    rows = drawn(text)[key]["data"]["values"]
    return [tuple(row[name] for name in names) for row in rows]


def asked(harness: Harness, query: str) -> list[tuple[Any, ...]]:
    return [
        tuple(value.isoformat() if isinstance(value, date) else value for value in row.values())
        for row in harness.query(query)
    ]


# -- values -----------------------------------------------------------------------------------


async def test_the_values_are_those_of_the_metric_views(harness: Harness) -> None:
    await harness.load(space())
    text = shown(harness)
    days = asked(
        harness, "SELECT day, opened, closed, backlog FROM conversations_by_day ORDER BY 1"
    )
    assert sum(row[1] for row in days) == 80
    assert values(text, "opened", "day", "opened", "closed") == [row[:3] for row in days]
    assert values(text, "backlog", "day", "backlog") == [(row[0], row[3]) for row in days]
    assert f"Backlog today{days[-1][3]:,}" in Parsed(text).text
    for key, query in {
        "teams": "SELECT name, conversations, open, closed FROM team_metrics",
        "tags": "SELECT o.name, conversations, open, closed FROM tag_metrics v"
        " JOIN tags o ON o.id = v.tag_id",
        "companies": "SELECT o.name, conversations, open, closed FROM company_metrics v"
        " JOIN companies o ON o.id = v.company_id",
        "admins": "SELECT name, replies, closes FROM admin_metrics",
    }.items():
        counts = ("replies", "closes") if key == "admins" else ("conversations", "open", "closed")
        known = Counter(row[1:] for row in asked(harness, query))
        found = values(text, key, *counts)
        assert found
        assert not Counter(found) - known
        most = sorted((row[0] for row in known.elements()), reverse=True)
        assert [row[0] for row in found] == [n for n in most if n][:12]
    query = "SELECT month, involved, resolved, involvement_rate FROM ai_agent_metrics ORDER BY 1"
    months = [
        (month, involved, resolved, None if rate is None else float(rate))
        for month, involved, resolved, rate in asked(harness, query)
    ]
    assert values(text, "fin", "month", "involved", "resolved") == [row[:3] for row in months]
    rates = [(row[0], row[3]) for row in months]
    assert values(text, "fin_rates", "month", "involvement_rate") == rates


async def test_weeks_and_hours_are_those_of_the_conversations(harness: Harness) -> None:
    await harness.load(space())
    text = shown(harness)
    rows = harness.query(
        "SELECT first_contact_message_at AS wrote, first_response_seconds AS response,"
        " first_closed_at AS closed, time_to_first_close_seconds AS lasted"
        " FROM conversation_metrics"
    )
    wrote = [row["wrote"].astimezone(ZONE) for row in rows if row["wrote"]]
    hours = Counter((at.isoweekday(), at.hour) for at in wrote)
    found = values(text, "load", "weekday", "hour", "conversations")
    assert {(weekday, hour): number for weekday, hour, number in found} == dict(hours)

    def medians(pairs: Iterator[tuple[datetime, int]]) -> list[tuple[str, int]]:
        weeks: dict[date, list[int]] = {}
        for at, seconds in pairs:
            day = at.astimezone(ZONE).date()
            weeks.setdefault(day - timedelta(days=day.weekday()), []).append(seconds)
        return [(w.isoformat(), int(statistics.median(weeks[w]))) for w in sorted(weeks)]

    responses = (
        (row["wrote"] + timedelta(seconds=row["response"]), row["response"])
        for row in rows
        if row["response"] is not None
    )
    closes = ((row["closed"], row["lasted"]) for row in rows if row["lasted"] is not None)
    assert values(text, "response", "week", "median_seconds") == medians(responses)
    assert values(text, "close", "week", "median_seconds") == medians(closes)


async def test_a_table_under_each_chart_says_the_same(harness: Harness) -> None:
    await harness.load(space())
    text = shown(harness)
    tables = Parsed(text).tables
    days = values(text, "opened", "day", "opened", "closed")
    written = [
        [figures.day(date.fromisoformat(d)), f"{opened:,}", f"{closed:,}"]
        for d, opened, closed in days
    ]
    assert [row[:3] for row in tables["Opened and closed"]] == written[::-1]
    assert len(Parsed(text).elements) > 1_000
    cards = text.count("data-chart=")
    assert cards == len(drawn(text)) == 14
    assert text.count("<summary>The figures as a table</summary>") == cards
    assert text.count("<summary>The SQL</summary>") == cards


async def test_the_sql_that_is_shown_gives_what_is_drawn(harness: Harness) -> None:
    await harness.load(space())
    for since in (None, date(2026, 1, 1)):
        parsed = re.findall(
            r'data-chart="(\w+)".*?<pre><code>(.*?)</code></pre>', shown(harness, since), re.DOTALL
        )
        text = shown(harness, since)
        for key, sql in parsed:
            sql = sql.replace("&#x27;", "'").replace("&gt;", ">").replace("&lt;", "<")
            found = harness.query(sql.replace("%", "%%"))
            assert len(found) == len(drawn(text)[key]["data"]["values"]), key


async def test_since_leaves_out_what_came_before(harness: Harness) -> None:
    await harness.load(space())
    since = datetime.fromtimestamp(NOW, UTC).date() - timedelta(days=100)
    text = shown(harness, since)
    assert min(values(text, "opened", "day"))[0] == since.isoformat()
    for key, field in (("response", "week"), ("close", "week")):
        assert min(values(text, key, field))[0] >= (since - timedelta(days=6)).isoformat()
    month = since.replace(day=1).isoformat()
    assert min(values(text, "fin", "month"))[0] == month
    query = (
        "SELECT sum(conversations)::int AS n FROM team_metrics_by_month"
        f" WHERE month >= '{month}' GROUP BY team_id ORDER BY 1 DESC"
    )
    assert values(text, "teams", "conversations") == asked(harness, query)
    longest = shown(harness, date(1, 1, 1))  # no day before the first run, nor of older centuries
    assert len(values(longest, "rows", "day")) <= 2
    assert len(values(longest, "opened", "day")) <= 3_660
    nothing = shown(harness, date(2100, 1, 1))
    assert "nothing to show since Fri 1 Jan 2100" in nothing


# -- the sync ---------------------------------------------------------------------------------


async def test_the_half_of_the_sync_says_what_the_state_tables_hold(harness: Harness) -> None:
    await harness.load(space())
    tables = Parsed(shown(harness)).tables
    resources = {row[0]: row for row in tables["Freshness and completeness of each resource"]}
    (known,) = harness.query("SELECT count(*) AS n FROM companies_live")
    assert resources["companies"][2] == f"{known['n']:,}"
    (run,) = harness.query("SELECT sum(requests) AS requests, sum(inserted) AS new"
                           " FROM sync_run_resources")  # fmt: skip
    (last,) = tables["The last runs"]
    assert last[0] == "1 sync"
    assert last[4:6] == [f"{run['requests']:,}", f"{run['new']:,}"]
    nights = tables["Rows written"]
    assert len(nights) == 30
    assert sum(int(row[2].replace(",", "")) for row in nights) == run["new"]


async def test_what_waits_and_what_failed_is_told(harness: Harness) -> None:
    await harness.load(space())
    harness.query("UPDATE sync_run_resources SET status = 'failed', error = 'a scope is missing'"
                  " WHERE resource = 'tags'")  # fmt: skip
    harness.query("INSERT INTO sync_pending VALUES ('users', 'u1', 'HTTP 500', 1, now(), now()),"
                  " ('users', 'u2', 'HTTP 500', 1, now(), now())")  # fmt: skip
    harness.query("INSERT INTO sync_topics VALUES ('contact.user.updated', 7, 0, now())")
    harness.query("INSERT INTO outbox (kind, op, object_id, body, state, error_code, error)"
                  " VALUES ('contacts', 'update', 'x', '{}', 'failed', 'gone', 'not there')"
                  )  # fmt: skip
    parsed = Parsed(shown(harness))
    assert "failed: a scope is missing" in parsed.text
    assert parsed.tables["Pending objects"] == [["users", "HTTP 500", "2"]]
    assert "Notifications7" in parsed.text
    assert re.search(r"1 failed with gone, such as outbox.id \d+: not there", parsed.text)
    assert "Not all is well: not read in the last run: tags" in parsed.text


async def test_a_view_that_is_not_there_spoils_its_own_chart_alone(harness: Harness) -> None:
    await harness.load(space())
    harness.query("DROP VIEW team_metrics CASCADE")
    text = shown(harness)
    assert 'This could not be asked: relation "team_metrics" does not exist' in Parsed(text).text
    assert set(drawn(text)) >= {"opened", "admins", "tags"}
    assert "teams" not in drawn(text)


def test_an_empty_warehouse_has_a_page_that_says_so(database: Database, database_url: str) -> None:
    for step in (lambda: None, lambda: migrate(database)):
        step()
        text = of(database_url, database.schema, Asked())
        parsed = Parsed(text)
        assert "Nothing is here yet: run sync." in parsed.text
    assert "There is nothing to show yet." in parsed.text


# -- names ------------------------------------------------------------------------------------


def rename(harness: Harness, names: tuple[str, ...]) -> None:
    """Give these names to whatever bears one, and to what may quote one."""
    for table in ("teams", "admins", "tags", "companies"):
        rows = harness.query(f"SELECT id FROM {table} ORDER BY id")
        for place, row in enumerate(rows):
            name = names[place % len(names)]
            harness.query(f"UPDATE {table} SET name = %s WHERE id = %s", name, row["id"])
    for name in names:
        harness.query(
            "INSERT INTO sync_pending VALUES ('users', %s, %s, 1, now(), now())", name, name
        )
    harness.query("UPDATE sync_workspace SET name = %s", names[0])
    harness.query("UPDATE sync_runs SET error = %s", names[1])
    harness.query("UPDATE sync_run_resources SET error = %s WHERE resource = 'tags'", names[2])
    for name in names:
        harness.query(
            "INSERT INTO outbox (kind, op, object_id, body, state, error_code, error)"
            " VALUES ('contacts', 'update', 'x', '{}', 'failed', %s, %s)",
            name,
            name,
        )


async def test_hostile_names_are_text_wherever_a_name_stands(harness: Harness) -> None:
    await harness.load(space())
    tame = tuple(f"name {number}" for number in range(len(HOSTILE)))
    rename(harness, tame)
    before = Parsed(shown(harness))
    harness.query("DELETE FROM sync_pending; DELETE FROM outbox")
    rename(harness, HOSTILE)
    text = shown(harness)
    after = Parsed(text)

    def shape(parsed: Parsed) -> list[tuple[str, list[str]]]:
        return [(tag, list(attributes)) for tag, attributes in parsed.elements]

    assert shape(after) == shape(before)
    for caption in ("Teams", "Admins", "Tags", "Companies"):
        assert {row[0] for row in after.tables[caption]} & {MARKUP, SCRIPT, LINK, TURNED}, caption
    assert LONG[:400] not in text
    assert not re.search(r"<(img|b|iframe)\b|onerror=[^&p]|[\u2028\u2029]", text)
    for tag, attributes in after.elements:
        assert tag not in ("a", "img", "iframe", "object", "form", "link", "base")
        assert not [name for name in attributes if name.startswith("on")]
    # Names are isolated: what turns the direction ends with its name.
    assert text.count("<bdi>") == text.count("</bdi>") >= 20
    specs = json.dumps(
        [{key: part for key, part in one.items() if key != "data"} for one in drawn(text).values()]
    )
    assert "pwned" not in specs


async def test_an_anonymous_page_holds_no_name(harness: Harness) -> None:
    await harness.load(space())
    secrets = tuple(f"Secret{number} & Söhne" for number in range(5))
    rename(harness, secrets)
    text = shown(harness, anonymous=True)
    assert "Secret" not in text
    assert "sim00001" not in text
    assert harness.schema not in text
    parsed = Parsed(text)
    assert [row[0] for row in parsed.tables["Teams"]][:2] == ["Team 1", "Team 2"]
    assert parsed.tables["Admins"][1][0] == "Admin 2"
    assert parsed.tables["Companies"][2][0] == "Company 3"
    assert parsed.tables["Tags"][3][0] == "Tag 4"
    named = shown(harness)
    assert named.count("Secret") > 20


def test_names_are_cut_cleaned_and_told_apart() -> None:
    names = Names()
    assert names("Team", " a\x00\n\u2028b ", 1) == "a b"
    assert names("Team", None, 1) == names("Team", " \ufeff", 1) == "(no name)"
    assert names("Team", "O&#39;Brien &amp; Sons", 1) == "O'Brien & Sons"
    assert len(names("Team", LONG, 1)) == 120
    assert len(set(on_axis([LONG, LONG, "a", "a", "a (2)"]))) == 5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        *((None, "–"), (0, "0 s"), (1.25, "1.2 s"), (59, "59 s"), (61, "1 min 1 s")),
        *((1_500, "25 min"), (3_600, "1 h"), (5_400, "1 h 30 min"), (90_000, "1 d 1 h")),
        *((86_399, "1 d"), (40_000_000, "463 d")),
    ],
)
def test_durations_are_written_as_people_read_them(seconds: float | None, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize("most", [1, 7, 59, 61, 3_601, 86_400, 90_000, 10**6, 43_000_000, 10**9])
def test_axes_of_durations_are_marked_at_few_round_places(most: int) -> None:
    ticks = figures.ticks(most)
    assert 2 <= len(ticks) <= 7
    assert ticks[-1] >= most * 0.8
    assert ticks[1] in (1, 2, 5, 10, 15, 30) or ticks[1] % 60 == 0


# -- the file ---------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def library() -> str:
    return vega.library()


async def test_nothing_in_the_file_comes_from_outside(harness: Harness, library: str) -> None:
    await harness.load(space())
    text = shown(harness, library=library)
    assert len(text.encode()) < 3_000_000
    (policy,) = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', text)
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    for kind, source in re.findall(r"<(script|style)>(.*?)</(?:script|style)>", text, re.DOTALL):
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy, kind
    for _, attributes in Parsed(text).elements:
        assert not {"src", "href", "srcset", "action"} & set(attributes)
    assert "@import" not in text
    assert "url(" not in text.split("<style>")[1].split("</style>")[0]


async def test_the_command_writes_the_file_says_where_and_changes_nothing(
    harness: Harness,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    await harness.load(space())
    before = harness.text()
    (tmp_path / "other.html").touch(mode=0o640)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", harness.database_url)
    monkeypatch.setattr(vega, "library", lambda: "")
    words = ["report", "--schema", harness.schema]
    assert main(words) == 0
    file = tmp_path / "intercom-report.html"
    assert f"{file.resolve()} (" in capsys.readouterr().out
    assert file.read_text("utf-8").startswith("<!DOCTYPE html>\n")
    assert main([*words, "-o", "other.html", "--anonymous", "--since", "2026-01-01"]) == 0
    assert "since Thu 1 Jan 2026" in (tmp_path / "other.html").read_text("utf-8")
    assert sorted(path.name for path in tmp_path.iterdir()) == [file.name, "other.html"]
    assert (tmp_path / "other.html").stat().st_mode & 0o777 == 0o640
    assert harness.text() == before
    for wrong, told in (
        (["-o", "nowhere/page.html"], "there is no folder nowhere"),
        (["-o", "."], "is a folder"),
        (["--since", "yesterday"], "no date such as"),
        (["--schema", "nowhere"], "there is no warehouse in schema nowhere"),
    ):
        assert main([*words, *wrong]) == 2
        assert told in capsys.readouterr().err


def test_what_is_no_file_is_written_to_and_stays(tmp_path: Path) -> None:
    """Root may replace /dev/null, and whoever does ends all other work on the machine."""
    for write in (report._write, metrics._replace):
        pipe = tmp_path / write.__name__
        os.mkfifo(pipe)
        with ThreadPoolExecutor(1) as pool:
            taken = pool.submit(pipe.read_text, "utf-8")
            write(pipe, "the page")
            assert taken.result(10) == "the page"
        assert pipe.is_fifo()


def test_a_link_goes_on_leading_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "page.html").symlink_to(tmp_path / "there" / "real.html")
    report._write(tmp_path / "page.html", "the page")
    assert (tmp_path / "page.html").is_symlink()
    assert (tmp_path / "there" / "real.html").read_text("utf-8") == "the page"


def test_without_the_extra_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    assert main(["report"]) == 2
    assert "pip install 'intercom-warehouse[report]'" in capsys.readouterr().err


# -- in a browser -----------------------------------------------------------------------------

UNDRAWN = """[...document.querySelectorAll('[data-chart]')].filter(one => !one.dataset.drawn ||
    ![...one.querySelectorAll('svg .mark-rect path, svg .mark-line path, svg .mark-area path')]
        .some(path => path.getBoundingClientRect().width > 0)).map(one => one.dataset.chart)"""
FITS = """[document.documentElement.scrollWidth <= innerWidth,
    [...document.querySelectorAll('svg')].every(one =>
        one.getBoundingClientRect().right <= one.closest('.card').getBoundingClientRect().right),
    [...document.querySelectorAll('svg text:not([opacity="0"])')].filter(one => {
        const [text, svg] = [one, one.closest('svg')].map(each => each.getBoundingClientRect());
        return text.right > svg.right + 1 || text.left < svg.left - 1;
    }).map(one => one.textContent)]"""
LABELS = """[...document.querySelectorAll('svg text')].map(one => one.textContent)"""
TOLD = """(() => {
    const bar = document.querySelector('[data-chart=teams] .mark-rect path');
    const at = bar.getBoundingClientRect();
    const where = {bubbles: true, clientX: at.left + 2, clientY: at.top + 2};
    for (const name of ['mouseover', 'mousemove', 'pointerover', 'pointermove'])
        bar.dispatchEvent(new (name[0] == 'p' ? PointerEvent : MouseEvent)(name, where));
    const box = document.getElementById('told');
    return [box.hidden, box.textContent, box.children.length];
})()"""


@needs_chromium
async def test_a_browser_draws_every_chart_and_runs_nothing_of_what_names_say(
    harness: Harness, library: str, tmp_path: Path
) -> None:
    await harness.load(space())
    rename(harness, HOSTILE)
    file = tmp_path / "page.html"
    file.write_text(shown(harness, library=library), encoding="utf-8")
    async with browser() as page:
        for width, dark in ((1400, False), (400, False), (400, True)):
            await page.open(file, width, dark=dark)
            assert await page.ask(UNDRAWN) == []
            assert await page.ask("document.querySelectorAll('[data-drawn] svg').length") == 14
            assert await page.ask(FITS) == [True, True, []]
            assert await page.ask("typeof window.pwned") == "undefined"
        labels = await page.ask(LABELS)
        assert any("<img src=x" in label for label in labels)
        assert all(len(label) < 100 for label in labels)
        hidden, told, children = await page.ask(TOLD)
        assert (hidden, children) == (False, 0)
        assert "Conversations: " in told
    assert page.said == []  # refusals of the policy would stand there too
    assert set(page.requested) == {file.resolve().as_uri()}


@needs_chromium
async def test_a_browser_shows_it_light_and_dark_at_any_width_and_opens_it_by_keyboard(
    harness: Harness, library: str, tmp_path: Path
) -> None:
    await harness.load(space())
    file = tmp_path / "page.html"
    file.write_text(shown(harness, library=library), encoding="utf-8")
    seen = []
    look = """[getComputedStyle(document.body).backgroundColor, getComputedStyle(
        document.querySelector('[data-chart=backlog] svg text')).fill]"""
    async with browser() as page:
        for dark in (False, True):
            await page.open(file, dark=dark)
            seen.append(await page.ask(look))
        for width in (400, 900, 1400):  # charts grow and shrink with the window
            size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
            await page.call("Emulation.setDeviceMetricsOverride", **size)
            await page.ask("new Promise(done => setTimeout(done, 300))")
            assert await page.ask(FITS) == [True, True, []]
        await page.ask("document.querySelector('#days summary').focus()")
        for kind in ("rawKeyDown", "char", "keyUp"):
            key = {"key": "Enter", "code": "Enter", "windowsVirtualKeyCode": 13, "text": "\r"}
            await page.call("Input.dispatchKeyEvent", type=kind, **key)
        assert await page.ask("document.querySelector('#days details').open")
    (light, light_text), (night, night_text) = seen
    assert light != night
    assert light_text != night_text


@needs_chromium
async def test_a_browser_shows_the_page_of_an_empty_warehouse(
    database: Database, database_url: str, library: str, tmp_path: Path
) -> None:
    migrate(database)
    file = tmp_path / "page.html"
    file.write_text(of(database_url, database.schema, Asked(), library), encoding="utf-8")
    async with browser() as page:
        await page.open(file, 400)
        assert (await page.ask(FITS))[0]
        assert await page.ask(UNDRAWN) == []
    assert page.said == []
