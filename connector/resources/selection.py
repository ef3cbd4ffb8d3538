"""Which resources a name means, and which of them a list of names selects.

The only reader of such names: a table's name stands for the resources that fill it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from msgspec import Struct

from connector.errors import SettingsError
from connector.resources import BY_NAME, RESOURCES, TABLES
from connector.resources.readings import Activities, Deletions, Members, PerContact
from connector.resources.resource import Resource, Table

EVERYTHING = "all"
LEAVES_OUT = "-"


class Selection(Struct, frozen=True):
    """What is to be read: ``only`` these (None: everything), and not what is ``left_out``."""

    only: tuple[str, ...] | None = None
    left_out: frozenset[str] = frozenset()

    def takes(self, resource: Resource) -> bool:
        """Whether it is to be read: named, or read along with what it hastens."""
        if resource.name in self.left_out:
            return False
        return self.only is None or not {resource.name, *resource.early_signal_of}.isdisjoint(
            self.only
        )


def called(name: str, where: str = "") -> tuple[Resource, ...]:
    """The resource of that name, or those that fill the table of that name.

    Raises SettingsError with the nearest name and all others; ``where`` is what named it.
    """
    wanted = name.strip().lower()
    found = [BY_NAME[wanted]] if wanted in BY_NAME else list(_filling(wanted))
    if not found:
        raise SettingsError(_unknown(name.strip(), where))
    return tuple(found)


def select(text: str, where: str) -> Selection:
    """What names separated by commas select; ``-name`` leaves one out, of all if none is named.

    ``where`` is the setting or flag, for the SettingsError of a name that means nothing.
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    given = [word for word in words if not word.startswith(LEAVES_OUT)]
    left_out = {
        resource.name
        for word in words
        if word.startswith(LEAVES_OUT)
        for resource in called(word.removeprefix(LEAVES_OUT), where)
    }
    left_out |= {
        r.name for r in RESOURCES if r.early_signal_of and left_out.issuperset(r.early_signal_of)
    }
    if not given or any(word.lower() == EVERYTHING for word in given):
        only = None
        left = left_out.symmetric_difference(BY_NAME)
    else:
        left = {resource.name for word in given for resource in called(word, where)} - left_out
        only = tuple(name for name in BY_NAME if name in left)
    if words and not left:
        raise SettingsError(f"{where} leaves nothing to read: {text}")
    return Selection(only, frozenset(left_out))


def _filling(table: str) -> Iterator[Resource]:
    """The resources whose own objects are the rows of that table."""
    for resource in RESOURCES:
        reading = resource.reading
        beside = isinstance(reading, PerContact | Members) and reading.within
        tells = isinstance(reading, Activities | Deletions)
        if resource.table.name == table and not beside and not tells:
            yield resource


def _unknown(name: str, where: str) -> str:
    named = f"{where} names {name!r}, which is" if where else f"{name!r} is"
    if parent := _parent(name.lower()):
        return f"{named} read with {parent.name}: name that"
    known = sorted({*BY_NAME, *(table.name for table in TABLES)})
    near = difflib.get_close_matches(name.lower(), known, 1)
    guess = f" (did you mean {near[0]}?)" if near else ""
    return f"{named} no resource{guess}; known resources are {', '.join(BY_NAME)}"


def _parent(name: str) -> Table | None:
    """The table of objects whose records hold the rows of that child or link table."""
    for table in TABLES:
        for member in table.family():
            if name in {member.name, *(link.table for link in member.links)}:
                return table
    return None
