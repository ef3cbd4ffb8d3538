"""The site of ``make site``: built strictly, all pages in it, to be read without a network."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.support.browser import PROGRAM, browser
from tests.support.places import ROOT

BESIDE = ("README", "CHANGELOG", "CONTRIBUTING", "SECURITY")
# What a browser fetches by itself; a link that somebody must follow is none of them.
FETCHED = {"link": "href", "script": "src", "img": "src", "iframe": "src", "source": "src"}


class Parsed(HTMLParser):
    """What a page links to and fetches, its anchors, the text of its paragraphs."""

    def __init__(self, page: Path) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.fetched: list[str] = []
        self.anchors: set[str] = set()
        self.paragraphs: list[str] = []
        self._inside = False
        self.feed(page.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.anchors.add(values.get("id", ""))
        if tag == "a" and "href" in values:
            self.links.append(values["href"])
        if (address := values.get(FETCHED.get(tag, ""))) is not None:
            self.fetched.append(address)
        if tag == "p":
            self._inside = True
            self.paragraphs.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "p"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.paragraphs[-1] += data


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site as ``make site`` makes it, elsewhere; a warning is an error."""
    place = tmp_path_factory.mktemp("site")
    rule = (ROOT / "Makefile").read_text(encoding="utf-8")
    words = re.search(r"^\t\$\(BIN\)/sphinx-build (.*) build/site$", rule, re.MULTILINE)
    assert words, "Makefile: how the site is made"
    assert "-W" in words[1].split()
    caches = ["-d", str(tmp_path_factory.mktemp("doctrees"))]
    command = [sys.executable, "-m", "sphinx", *words[1].split(), str(place), *caches]
    ended = subprocess.run(
        command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    assert ended.returncode == 0, ended.stdout
    return place


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Parsed]:
    return {page: Parsed(page) for page in site.rglob("*.html")}


def test_every_page_is_in_it(site: Path) -> None:
    written = [*(ROOT / f"{name}.md" for name in BESIDE), *(ROOT / "docs").rglob("*.md")]
    for page in written:
        assert (site / page.relative_to(ROOT).with_suffix(".html")).exists(), page
    assert 'url=README.html"' in (site / "index.html").read_text(encoding="utf-8")


def test_every_link_leads_somewhere(pages: dict[Path, Parsed]) -> None:
    assert len(pages) > 25
    for page, parsed in pages.items():
        for link in parsed.links:
            parts = urlsplit(link)
            if parts.scheme:
                continue
            other = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert other.exists(), (page, link)
            if parts.fragment:
                assert parts.fragment in pages[other].anchors, (page, link)


def test_nothing_is_fetched_from_elsewhere(site: Path, pages: dict[Path, Parsed]) -> None:
    for page, parsed in pages.items():
        assert parsed.fetched or page.name == "index.html"
        for address in parsed.fetched:
            assert not urlsplit(address).netloc, (page, address)
    for style in (*site.rglob("*.css"), *site.rglob("*.svg")):
        text = style.read_text(encoding="utf-8")
        assert not re.search(r"@import|url\([\"']?(https?:)?//", text), style


def test_lists_tables_and_diagrams_are_not_left_as_they_are_written(
    site: Path, pages: dict[Path, Parsed]
) -> None:
    for page, parsed in pages.items():
        for text in parsed.paragraphs:
            assert not re.search(r"^(- |\||```)", text, re.MULTILINE), (page, text)
        assert "erDiagram" not in page.read_text(encoding="utf-8"), page
    tables = (site / "docs/tables.html").read_text(encoding="utf-8")
    assert re.search(r"contact_tags</span>.{1,200}tag_id</span>.{1,200}tags</span>", tables, re.S)


@pytest.mark.skipif(not PROGRAM, reason="no chromium on this machine: a browser")
async def test_it_can_be_searched_without_a_server(site: Path) -> None:
    found = "[...document.querySelectorAll('#search-results li a')]"
    found += ".some(link => link.href.includes('docs/concepts.html'))"
    async with browser() as page:
        await page.open(site / "README.html")
        await page.ask("document.querySelector('input[name=q]').value = 'placeholder'")
        await page.ask("void document.querySelector('form[role=search]').submit()")
        await page.until(found)
        assert all(address.startswith(("file:", "data:")) for address in page.requested)
