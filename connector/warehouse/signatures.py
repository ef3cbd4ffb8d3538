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

KEPT = r"\1\2\3"
"""What takes the place of what an expression finds: all of it, or all but the query."""

FILE_LISTS = (r'("(?:https?:)?\\*/\\*/[^"?\\]*)\?(?:[^"\\]|\\.)*"', r'\1"')
"""The same for the JSON text of a list of files, on whatever host: expression, replacement."""


class Signatures:
    """Tells content from signatures; ``hosts`` are file hosts besides Intercom's own."""

    def __init__(self, hosts: Iterable[str] = ()) -> None:
        self.hosts = tuple(hosts)
        domains = "|".join((*INTERCOM_HOSTS, *(host.replace(".", r"\.") for host in self.hosts)))
        self.expression = _expression(domains, slash=r"\\*/")
        self._found = re.compile(self.expression, re.IGNORECASE | re.ASCII)
        plain = _expression(domains, slash="/")  # which is searched for many times faster
        self._found_plain = re.compile(plain, re.IGNORECASE | re.ASCII)

    def unsigned(self, text: str) -> str:
        """The text as it is compared; JSON text stays JSON."""
        if "?" not in text:
            return text
        found = self._found if "\\/" in text else self._found_plain
        return found.sub(KEPT, text)


def _expression(domains: str, slash: str) -> str:
    """Finds links whole, or on a file host without the query, in three groups.

    One expression for Python's re and for PostgreSQL's; both are told to ignore case. Characters
    may be spelled out, since an address can stand in JSON, once more escaped. Whatever link comes
    first is passed over whole, so that what it embeds counts as its own.
    """
    spelled = r"\\+u(?!00(?:[01]|2[0267]|3[ce]|5c))[0-9a-f]{4}"
    entity_ends = r"(?:amp;)*(?:quot|apos|lt|gt|nbsp|#0*3[49]|#x0*2[27]);"
    also = rf"(?:&|\\+u0026)(?!{entity_ends})#?"
    comma = rf",(?!https?:|{slash}{slash})"  # between two addresses it belongs to neither
    one_slash = rf"{slash}(?!{slash})"  # two begin another address
    within = rf"(?:{also}|{comma}|{spelled})"
    host = rf"(?:[a-z0-9_-]+\.)*(?:{domains})(?::[0-9]+)?(?={slash}|\?)"
    name = r"[^\u0001-\u0020\"'<>\\?#/]*"
    path = rf"(?:{one_slash}{name}(?:{spelled}{name})*)*(?<![])}}.,;:!])"
    sign = "[a-z0-9%._~!$*+:@=;?-]"
    query = rf"(?:{sign}|{one_slash}|{within}){sign}*(?:(?:{one_slash}|{within}){sign}*)*"
    sign = "[a-z0-9%._~!$*+:@=;?#-]"
    link = rf"{sign}*(?:(?:{slash}|{within}){sign}*)*"
    # A full stop after an address is the sentence's.
    return rf"(/{slash})(?:((?!{host}){link})|({host}{path})\?{query}(?<![.,:;!?]))"


INTERCOM = Signatures()
