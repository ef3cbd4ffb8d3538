"""How Sphinx makes a site of the README, its neighbours and ``docs/``: ``make site``.

The pages are read where they stand, so a link that leads somewhere in the repository does so in the
site. Nothing of the site comes from elsewhere: it can be read without a network, and searched.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

from pygments.lexers.sql import PostgresLexer
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parents[2]))

from connector import __version__

project = "intercom-warehouse"
release = __version__
root_doc = "README"
include_patterns = ["*.md", "docs/*.md", "docs/*/*.md"]
exclude_patterns = [".*", "build", "connector", "deploy", "dist", "migrations", "tests", "bench"]
extensions = ["myst_parser"]
myst_heading_anchors = 4
highlight_language = "none"
smartquotes = False
html_theme = "furo"
html_title = project
html_copy_source = False
html_use_index = False
html_show_sphinx = False
html_show_copyright = False
html_static_path = ["static"]
html_css_files = ["site.css"]
html_extra_path = ["root"]

# The side of each page: what is read for which purpose. A page that no list names is a warning.
READERS = {
    "Ask questions": (
        *("what-you-get", "tables", "cookbook", "metrics", "numbers", "report", "history"),
        *("fivetran", "moving"),
    ),
    "Run it": (
        *("demo", "concepts", "configuration", "operations", "live", "push", "privacy"),
        *("performance", "reliability", "facts"),
    ),
    "Change it": (
        *("/CONTRIBUTING", "architecture", "glossary", "contributing/adding-a-resource"),
        *("contributing/releasing", "/SECURITY", "/CHANGELOG"),
    ),
}
DIAGRAM = re.compile(r"^```mermaid\nerDiagram\n(.*?)^```$", re.MULTILINE | re.DOTALL)
RELATION = re.compile(r"^ +(\w+) [|}]\S+ (\w+) : \"(\w+)\"$", re.MULTILINE)


def setup(app: Sphinx) -> None:
    """Have each page's text pass here before it is parsed; SQL is Postgres's."""
    app.connect("source-read", _read)
    app.add_lexer("sql", PostgresLexer)


def _read(app: Sphinx, page: str, source: list[str]) -> None:
    source[0] = DIAGRAM.sub(lambda diagram: _table(diagram[1]), source[0])
    if page == root_doc:
        source[0] += "".join(_side(reader, pages) for reader, pages in READERS.items())


def _side(reader: str, pages: tuple[str, ...]) -> str:
    places = "\n".join(page if page.startswith("/") else f"/docs/{page}" for page in pages)
    return f"\n```{{toctree}}\n:hidden:\n:caption: {reader}\n\n{places}\n```\n"


def _table(diagram: str) -> str:
    """A diagram that only Mermaid could draw, as a table of its lines."""
    lines = RELATION.findall(diagram)
    rows = [f"| `{one}` | `{column}` | `{other}` |" for one, other, column in lines]
    return "\n".join(["| table | column | refers to |", "|---|---|---|", *rows])
