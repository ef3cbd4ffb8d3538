"""HTML of which nothing that is given can become markup: whatever is no ``Html`` is escaped."""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Sequence


class Html(str):
    """Text that is markup already: made here alone, of escaped parts."""

    __slots__ = ()


def escaped(part: object) -> Html:
    """The part as markup that shows it as it is."""
    return part if isinstance(part, Html) else Html(html.escape(str(part), quote=True))


def join(*parts: object, by: str = "") -> Html:
    """Parts side by side."""
    return Html(escaped(by).join(escaped(part) for part in parts))


def element(tag: str, *children: object, **attributes: object) -> Html:
    """An element; ``class_`` and ``data_x`` stand for class and data-x, None leaves one out."""
    named = "".join(
        f' {name.strip("_").replace("_", "-")}="{escaped(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{named}>{join(*children)}</{tag}>")


def isolated(name: str) -> Html:
    """A name in whatever direction it is written; its marks of direction end with it."""
    return element("bdi", name)


def folded(summary: str, *children: object) -> Html:
    """What opens at a click, or with the keyboard."""
    return element("details", element("summary", summary), *children)


def table(
    caption: str,
    head: Sequence[object],
    rows: Iterable[Sequence[object]],
    numbers: Sequence[bool],
) -> Html:
    """A table with a caption; the first cell of a row is its heading."""
    right = ["n" if is_number else None for is_number in numbers]
    titles = [
        element("th", one, scope="col", class_=side) for one, side in zip(head, right, strict=True)
    ]
    lines = [_row(row, right) for row in rows]
    body = element(
        "table",
        element("caption", element("span", caption)),
        element("thead", element("tr", *titles)),
        element("tbody", *lines),
    )
    # What scrolls must be reached by keyboard.
    return element("div", body, class_="scroll", tabindex=0, role="region", aria_label=caption)


def _row(row: Sequence[object], right: Sequence[str | None]) -> Html:
    first, *others = row
    cells = [element("td", cell, class_=side) for cell, side in zip(others, right[1:], strict=True)]
    return element("tr", element("th", first, scope="row", class_=right[0]), *cells)


def data(id: str, value: object) -> Html:
    """A value as JSON in a script element that no browser executes, and that nothing can end."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    for character in "<>&":  # U+2028 and its like are escaped as all that is not ASCII
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Html(f'<script type="application/json" id="{escaped(id)}">{text}</script>')


def script(source: str) -> Html:
    """A script of our own; nothing in it may end its element."""
    return Html(f"<script>{unbroken(source)}</script>")


def unbroken(source: str) -> str:
    """The source without what would end its element, or begin a comment in it."""
    lines = source.replace("\r\n", "\n").replace("\r", "\n")
    return lines.replace("</script", "<\\/script").replace("<!--", "<\\!--")
