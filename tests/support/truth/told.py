"""Which differences from the truth are of what notifications told, and which nobody can know."""

from __future__ import annotations

import re
from collections.abc import Collection

from connector.resources import TABLES
from tests.support.harness import Harness
from tests.support.truth.compared import differences

# No topic tells of these.
_UNTOLD = ("contact_notes", "contact_segments")
# Events show their contact's present external id, and only new events are told of.
_COPIED = re.compile(r"^events \(.*\): user_id is ")


def wrong(harness: Harness, hinted: Collection[tuple[str, str]]) -> list[str]:
    """What differs of the objects that were told of, but for what no topic tells."""
    found = differences(harness, [table for table in TABLES if table.name != "segments"])
    return [one for one in found if _was_told(one, hinted)]


def _was_told(sentence: str, hinted: Collection[tuple[str, str]]) -> bool:
    table, owner = sentence.split(" ")[0].strip(":"), re.search(r"'([^']*)'", sentence)
    if _COPIED.match(sentence) or table in _UNTOLD or owner is None or table not in _ROOTS:
        return False
    return any((name, owner[1]) in hinted for name in (_ROOTS[table], table))


_ROOTS = {
    name: table.name
    for table in TABLES
    for part in table.family()
    for name in (part.name, *(link.table for link in part.links))
}
