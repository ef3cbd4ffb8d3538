"""The vocabulary in which is declared what can be written; knows neither HTTP nor SQL."""

from __future__ import annotations

from enum import Enum

from msgspec import Struct
from msgspec.structs import force_setattr

from connector.resources.resource import Table


class Type(Enum):
    """What a field takes, as it stands in a body."""

    TEXT = "text"  # a string, which Intercom may show HTML-escaped
    EMAIL = "email"  # a string, in any case the same
    PHONE = "phone"  # a string, with any spaces and signs between its digits the same
    ID = "id"  # an identifier: a number or a string
    INTEGER = "integer"
    NUMBER = "number"
    FLAG = "flag"  # true or false
    INSTANT = "instant"  # Unix seconds


class Field(Struct, frozen=True):
    """One field of a body: the API's own name, its type, and where it is shown when it is read.

    ``column`` is the mirror's column with the same value; ``shown`` is the path in a record of
    Intercom's, the name where it is none. ``bulk``: whether bulk requests carry it; where they do
    not, they pass it over in silence.
    """

    name: str
    type: Type
    column: str = ""
    shown: tuple[str, ...] = ()
    bulk: bool = True

    def __post_init__(self) -> None:
        force_setattr(self, "column", self.column or self.name)
        force_setattr(self, "shown", self.shown or (self.name,))


class Key(Struct, frozen=True):
    """A column that names the object: in models and, by the same name, in the outbox.

    ``column`` is the mirror's. The first key of a kind that is given wins over the others.
    """

    name: str
    outbox: str
    column: str
    type: Type = Type.TEXT


class Kind(Struct, frozen=True, eq=False):
    """What can be written of one kind of object.

    ``table`` is the mirror's table of such objects, None where a wish is no object's state.
    ``keys`` name the object, ``fields`` can be written, ``custom`` whether custom attributes can.
    ``lists``: whether tags and companies can be put on it. ``ops`` are what can be wished.
    ``passed`` are what a body may hold besides, which no object shows.
    """

    name: str
    table: Table | None
    keys: tuple[Key, ...]
    fields: tuple[Field, ...]
    ops: tuple[str, ...]
    custom: bool = False
    lists: tuple[str, ...] = ()
    passed: tuple[str, ...] = ()

    def field(self, name: str) -> Field | None:
        """The field of that name."""
        return next((field for field in self.fields if field.name == name), None)
