"""Which column of a model means what: its names and types, compared with what can be written."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from functools import cached_property

import sqlalchemy as sa
from msgspec import Struct

from connector.push.kinds import EVENTS, TAGS, Field, Key, Kind, Type
from connector.push.kinds.digest import CUSTOM, is_address
from connector.push.planning.asked import Asked
from connector.warehouse.sql.describe import Described
from connector.warehouse.sql.execute import fetch
from connector.warehouse.views import custom_columns
from connector.warehouse.views.custom_columns import PREFIX, CustomColumn

_WHOLE, _FRACTIONS, _UUID = (20, 21, 23), (700, 701, 1700), (2950,)
_INSTANTS, _JSON, _FLAG = (1082, 1114, 1184), (114, 3802), (16,)
_TEXTS, _LISTS = "text, varchar or an enum", "text[]"
_OF_TYPE: dict[str, Type] = {
    "integer": Type.INTEGER,
    "float": Type.NUMBER,
    "decimal": Type.NUMBER,
    "boolean": Type.FLAG,
    "date": Type.INSTANT,
    "datetime": Type.INSTANT,
}
_RIGHT = {
    Type.TEXT: _TEXTS,
    Type.EMAIL: _TEXTS,
    Type.PHONE: _TEXTS,
    Type.ID: "text, bigint or uuid",
    Type.INTEGER: "bigint or numeric",
    Type.NUMBER: "numeric, bigint or double precision",
    Type.FLAG: "boolean",
    Type.INSTANT: "timestamptz, timestamp (taken as UTC), date or bigint (Unix seconds)",
}
_OWNED = "owner_id"


class Given(Struct, frozen=True):
    """One column of a model: where it stands, and what it means.

    ``path`` is its name in a body, for a custom attribute the attribute's; "" where it is no field
    of the object. ``kept`` is the SQL type of what is not kept as text.
    """

    position: int
    name: str
    oid: int
    type: Type
    key: Key | None = None
    path: str = ""
    column: str = ""
    custom: bool = False
    address: bool = False
    kept: str = ""

    @property
    def stage(self) -> str:
        """Its column in temporary tables: the model's value."""
        return f"c{self.position}"

    @property
    def shown(self) -> str:
        """The column there of the mirror's value."""
        return f"m{self.position}"

    @property
    def field(self) -> str:
        """The field, as samples and digests name it."""
        return CUSTOM + self.path if self.custom else self.path

    @property
    def escaped(self) -> bool:
        """Whether Intercom shows it HTML-escaped."""
        return self.type is Type.TEXT and not self.custom and not self.address

    @property
    def is_owner(self) -> bool:
        """Whether it names an admin: nobody is 0 or null."""
        return self.type is Type.ID and self.key is None and bool(self.path)

    @property
    def clearable(self) -> bool:
        """Whether NULL may empty it: texts and custom attributes, but no key, role, owner, flag."""
        texts = self.type in (Type.TEXT, Type.PHONE, Type.INTEGER) and self.path != "role"
        return self.custom or (texts and self.key is None)


class Model(Struct, frozen=True, dict=True):
    """The columns of a model, checked."""

    kind: Kind
    columns: tuple[Given, ...]

    def get(self, name: str) -> Given | None:
        """The column of that name."""
        return next((given for given in self.columns if given.name == name), None)

    def named(self, name: str) -> str:
        """The temporary tables' column of that name; NULL where the model has none."""
        given = self.get(name)
        return given.stage if given else "NULL::text"

    @cached_property
    def keys(self) -> tuple[Given, ...]:
        """The columns that name the object, the first wins."""
        order = [key.name for key in self.kind.keys]
        found = [given for given in self.columns if given.key]
        return tuple(sorted(found, key=lambda given: order.index(given.name)))

    @cached_property
    def fields(self) -> tuple[Given, ...]:
        """The columns that are compared with a field of the object."""
        return tuple(given for given in self.columns if given.path)


def checked(
    conn: sa.Connection, asked: Asked, described: Sequence[Described], excluded: Collection[str]
) -> Model:
    """The model of that kind with these columns; SettingsError names the first that is wrong."""
    if asked.kind is TAGS:
        raise asked.wrong("tags have no model; insert into the outbox, or use tags_add of contacts")
    known = _Known(conn, asked)
    twice = [name for name, times in Counter(d.name for d in described).items() if times > 1]
    if twice:
        raise asked.wrong(f"column {twice[0]} is there twice")
    columns = tuple(known.given(number, d) for number, d in enumerate(described, 1))
    model = Model(asked.kind, columns)
    _check_whole(asked, model)
    _check_types(conn, asked, model)
    _check_excluded(asked, model, excluded)
    return model


class _Known:
    """Everything that a column can be called."""

    def __init__(self, conn: sa.Connection, asked: Asked) -> None:
        self.asked, self.kind = asked, asked.kind
        self.own = {
            *(key.name for key in self.kind.keys),
            *(field.name for field in self.kind.fields),
        }
        self.rest = dict(_rest(self.kind))
        self.custom: dict[str, CustomColumn] = {}
        self.archived: set[str] = set()
        if self.kind.custom and self.kind.table:
            self._read(conn)

    def _read(self, conn: sa.Connection) -> None:
        """The columns of living attributes, each as of the type that the attribute has now."""
        assert self.kind.table
        living = {
            a.full_name: a for a in custom_columns.attributes(conn, self.kind.table) if a.lives
        }
        for column in custom_columns.stored(conn, self.kind.table):
            if attribute := living.get(column.full_name):
                self.custom[column.column_name] = CustomColumn(
                    column.full_name, attribute.data_type, column.name, column.column_name, None
                )
            else:
                self.archived.add(column.column_name)

    def given(self, position: int, described: Described) -> Given:
        """What the column is; SettingsError if it is nothing that can be written."""
        name, oid = described.name, described.oid
        if name in self.own:
            return self._of_field(position, name, oid)
        if name in self.rest:
            of, kept = self.rest[name]
            return Given(position, name, oid, of, kept=kept)
        if column := self.custom.get(name):
            of = _OF_TYPE.get(column.data_type, Type.TEXT)
            return Given(position, name, oid, of, path=column.name, custom=True)
        raise self.asked.wrong(self._unknown(name))

    def _of_field(self, position: int, name: str, oid: int) -> Given:
        key = next((key for key in self.kind.keys if key.name == name), None)
        field: Field | None = self.kind.field(name)
        of = field.type if field else (key.type if key else Type.TEXT)
        of = Type.ID if key and of is Type.TEXT else of
        written = field and self.kind is not EVENTS
        return Given(
            position,
            name,
            oid,
            of,
            key,
            path=name if written else "",
            column=field.column if field else "",
            address=is_address(self.kind, name),
        )

    def _unknown(self, name: str) -> str:
        if name in self.archived:
            return (
                f"column {name}: its custom attribute is archived at Intercom, which ignores what"
                " is written to it; leave the column out, or unarchive the attribute"
            )
        names = [*self.own, *self.rest, *self.custom]
        near = difflib.get_close_matches(name, names, 1, 0.5)
        meant = f"; is {near[0]} meant?" if near else f"; known are {', '.join(sorted(names))}"
        new = " (an attribute is known once a sync has read it)" if name.startswith(PREFIX) else ""
        return f"column {name} is unknown for {self.kind.name}{new}{meant}"


def _rest(kind: Kind) -> Iterator[tuple[str, tuple[Type, str]]]:
    """Columns that are neither key nor field: their type, and how they are kept if not as text."""
    if "tags" in kind.lists:
        yield "tags_add", (Type.TEXT, "text[]")
        yield "tags_remove", (Type.TEXT, "text[]")
    if "companies" in kind.lists:
        yield "company_id", (Type.ID, "")
        yield "company_name", (Type.TEXT, "")
    if kind is EVENTS:
        yield "metadata", (Type.TEXT, "jsonb")


def _check_whole(asked: Asked, model: Model) -> None:
    """What is needed is there, and nothing is given twice."""
    if not model.keys:
        names = " or ".join(key.name for key in asked.kind.keys)
        raise asked.wrong(f"no column names the object; give {names}")
    needed = [field.name for field in EVENTS.fields] if asked.kind is EVENTS else []
    needed += ["company_id"] if model.get("company_name") else []
    if missing := [name for name in needed if not model.get(name)]:
        raise asked.wrong(f"column {missing[0]} is missing")
    custom = [given for given in model.columns if given.custom]
    for given in custom:
        if any(other.path == given.path for other in custom if other is not given):
            raise asked.wrong(f"column {given.name} is one of two of the same custom attribute")


def _check_types(conn: sa.Connection, asked: Asked, model: Model) -> None:
    query = (
        "SELECT t.oid::bigint, format_type(t.oid, NULL), t.typcategory::text,"
        " coalesce(e.typcategory::text, '') FROM pg_catalog.pg_type t"
        " LEFT JOIN pg_catalog.pg_type e ON e.oid = t.typelem WHERE t.oid = ANY (%(oids)s::oid[])"
    )
    oids = list({given.oid for given in model.columns})
    types = {oid: rest for oid, *rest in fetch(conn, query, {"oids": oids})}
    for given in model.columns:
        name, category, element = types[given.oid]
        if not _fits(given, category, element):
            right = _LISTS if given.kept == "text[]" else given.kept or _RIGHT[given.type]
            raise asked.wrong(f"column {given.name} is of type {name}; it must be {right}")


def _fits(given: Given, category: str, element: str) -> bool:
    """Whether a column of that SQL type can be read as what it is."""
    if given.kept:
        lists = category == "A" and element in ("S", "E")
        return lists if given.kept == "text[]" else given.oid in _JSON
    if given.type in (Type.INTEGER, Type.NUMBER):
        return given.oid in (*_WHOLE, *_FRACTIONS)
    if given.type is Type.INSTANT:
        return given.oid in (*_WHOLE, *_INSTANTS)
    if given.type is Type.FLAG:
        return given.oid in _FLAG
    texts = category in ("S", "E") or given.oid in _UUID
    return texts or (given.type is Type.ID and given.oid in _WHOLE)


def _check_excluded(asked: Asked, model: Model, excluded: Collection[str]) -> None:
    table = asked.kind.table.name if asked.kind.table else "contacts"
    for given in model.columns:
        places = [f"{table}.{given.column or given.name}", f"{table}.{given.name}"]
        if given.custom:
            places = [f"{table}.custom_attributes", f"{table}.custom_attributes.{given.path}"]
        if asked.kind is not EVENTS and (kept_out := [p for p in places if p in excluded]):
            raise asked.wrong(
                f"column {given.name} cannot be compared: CONNECTOR_EXCLUDE keeps {kept_out[0]} out"
                " of the warehouse; leave the column out"
            )
