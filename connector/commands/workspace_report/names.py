"""Names that somebody typed at Intercom, made fit to be shown, or kept out of the page."""

from __future__ import annotations

import html
import re

from msgspec import Struct

LONGEST, SHORT = 120, 36  # characters: in a table, and on an axis
WITHHELD = "(not shown in an anonymous report)"
_UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufff9-\ufffb]+|\s+")
_FIRST, _LAST = "\u2068", "\u2069"  # isolate what stands between, whatever its direction


def clean(text: str | None, longest: int = LONGEST) -> str:
    """On one line, without what cannot be seen, and cut; Intercom sends some names as HTML."""
    line = _UNSEEN.sub(" ", html.unescape((text or "")[: longest * 8])).strip()
    return line if len(line) <= longest else line[: longest - 1].rstrip() + "…"


class Names(Struct, frozen=True):
    """How names are shown: as they are, or anonymously as what they name and a number."""

    anonymous: bool = False

    def __call__(self, word: str, name: str | None, place: int) -> str:
        """The name of the place-th of what the word says."""
        if self.anonymous:
            return f"{word} {place}"
        return clean(name) or "(no name)"

    def told(self, text: str | None) -> str:
        """A text that may quote a name, such as an error."""
        return WITHHELD if self.anonymous and text else clean(text, 400)


def apart(name: str) -> str:
    """The name between marks that end its direction with it, where there is no markup."""
    return f"{_FIRST}{name}{_LAST}"


def on_axis(names: list[str]) -> list[str]:
    """The names short, no two alike, since an axis has one place for each."""
    found: list[str] = []
    for name in names:
        short, times = clean(name, SHORT), 1
        while (label := short if times == 1 else f"{short} ({times})") in found:
            times += 1
        found.append(label)
    return [apart(name) for name in found]
