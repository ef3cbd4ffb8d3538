"""What of a text is no content: the query by which a file server signs and dates an address. Pure.

Texts are stored as sent. Where two of them are compared, in Python or in SQL, addresses on file
hosts count without their query, so that a row is not written because a signature changed. The
hosts are Intercom's own and what a setting adds; everybody else's links count with every character.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

# Intercom's own file hosts, each with all hosts below it.
INTERCOM_HOSTS = (
    r"intercomcdn\.(?:com|eu)",
    r"intercomassets\.(?:com|eu)",
    r"intercom-attachments(?:-[0-9]+)?\.(?:com|eu)",
)

KEPT = r"\1"
"""What takes the place of what an expression finds: all but the query."""

FILE_LISTS = (r'("(?:https?:)?\\*/\\*/[^"?\\]*)\?(?:[^"\\]|\\.)*"', r'\1"')
"""The same for the JSON text of a list of files, on whatever host: expression, replacement."""

# One language for Python's re and for PostgreSQL's; both are told to ignore case. Slashes may be
# escaped and characters spelled out, since an address can stand in JSON, once more escaped.
_ENTITY = r"(?:quot|apos|lt|gt|nbsp|#0*3[49]|#x0*2[27]);"  # ends an address
_SPELLED = r"\\+u(?!00(?:[01]|2[0267]|3[ce]|5c))[0-9a-f]{4}"  # does not
# An address that other links embed is a part of them: before it stands nothing that links hold.
_BEFORE = (
    r"(?:^|[^a-z0-9%._~!$*+:;@=?#/&\\-]|(?:^|[\u0001-\u0020])[a-z_-]{1,20}[=:]"
    rf"|&(?:amp;)*{_ENTITY}|\\[bfnrt]|\\u(?!00(?:2[3-6abdef]|3[0-9abdf]|[4-7]))[0-9a-f]{{4}})"
)
_SCHEME = "(?:https?:)?"


class Signatures:
    """Tells content from signatures; ``hosts`` are file hosts besides Intercom's own."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self.hosts = tuple(hosts)
        domains = "|".join((*INTERCOM_HOSTS, *(host.replace(".", r"\.") for host in self.hosts)))
        flags = re.IGNORECASE | re.ASCII
        self.expression = _address(domains, slash=r"\\*/", before=_BEFORE + _SCHEME)
        # Python finds what begins with slashes many times faster, and looks before it afterwards.
        self._escaped = re.compile(_address(domains, slash=r"\\*/"), flags)
        self._plain = re.compile(_address(domains, slash="/"), flags)

    def unsigned(self, text: str) -> str:
        """The text as it is compared; JSON text stays JSON."""
        if "?" not in text:
            return text
        found = self._escaped if "\\/" in text else self._plain
        return found.sub(_without_query, text)


_BEFORE_SLASHES = re.compile(rf"{_BEFORE}{_SCHEME}\\*$", re.IGNORECASE | re.ASCII)
_LONGEST_BEFORE = 60  # characters that are looked at before an address


def _without_query(found: re.Match[str]) -> str:
    start = found.start()
    before = found.string[max(0, start - _LONGEST_BEFORE) : start]
    return found[1] if _BEFORE_SLASHES.search(before) else found[0]


def _address(domains: str, slash: str, before: str = "") -> str:
    """An address on these hosts, its query outside of the only group."""
    first = slash if before else "/"  # what escapes it, Python has looked past
    also = rf"(?:&|\\+u0026)(?!(?:amp;)*{_ENTITY})#?"
    comma = rf",(?!https?:|{slash}{slash})"  # between two addresses it belongs to neither
    one_slash = rf"{slash}(?!{slash})"  # two begin another address
    within = rf"(?:{also}|{comma}|{one_slash}|{_SPELLED})"
    host = rf"(?:[a-z0-9_-]+\.)*(?:{domains})(?::[0-9]+)?(?={slash}|\?)"
    name = r"[^\u0001-\u0020\"'<>\\?#/]*"
    path = rf"(?:{one_slash}{name}(?:{_SPELLED}{name})*)*(?<![])}}.,;:!])"
    sign = "[a-z0-9%._~!$*+:@=;?-]"
    query = rf"(?:{sign}|{within}){sign}*(?:{within}{sign}*)*"
    # A full stop after an address is the sentence's.
    return rf"({before}{first}{slash}{host}{path})\?{query}(?<![.,:;!?])"


INTERCOM = Signatures()
