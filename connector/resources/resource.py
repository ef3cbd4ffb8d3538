"""The vocabulary in which resources are declared; knows neither HTTP nor SQL.

One declaration serves as table, as mapping and as documentation: the SQLAlchemy tables, the COPY
encoder, ``extra``, the column comments and the parametrised tests are all made from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from functools import cached_property

from msgspec import Struct, field
from msgspec.structs import force_setattr, replace

from connector.resources.readings import PerContact, Reading, Search


class Kind(Enum):
    """What a column holds, and which JSON values fit it. What does not fit goes to ``extra``."""

    ID = "id"  # an identifier: string or integer, stored as text
    TEXT = "text"  # a string
    INSTANT = "instant"  # Unix seconds, Unix milliseconds or ISO 8601, stored as timestamptz
    FLAG = "flag"  # true or false
    COUNT = "count"  # a whole number of 64 bits: counts and durations
    MONEY = "money"  # a finite number, stored as numeric: money and rates
    JSON = "json"  # any JSON value, stored as jsonb
    MAP = "map"  # an object with open keys, stored as jsonb; cleaned entry by entry
    URL = "url"  # an address whose query string is signed or expires: not compared as content
    FILES = "files"  # a list of files, stored as jsonb; the queries of their addresses likewise


UNITS = {
    Kind.INSTANT: ", stored as a UTC instant",
    Kind.URL: ", stored as sent; a new query string alone is no change",
    Kind.FILES: ", stored as sent; a new query string of an address alone is no change",
}


class Embedded(Struct, frozen=True):
    """References in the objects of a JSON value, whose other keys are copies of that table's rows.

    ``path`` leads from such an object to the reference, "" is the object itself. ``prefix``
    begins the keys of a reference that is spread over its object, such as ``team_``.
    """

    table: str
    path: str = ""
    prefix: str = ""


class Column(Struct, frozen=True, eq=False, dict=True):
    """One column: its dotted path in the payload, its kind, and the sentence that explains it.

    ``refers_to`` names the table of the one kind of object that the value identifies. A path
    that ends in ``.id`` then stands inside a reference: the keys beside it are copies of the
    object's own row, and no data. ``names`` are the tables of the several kinds that another
    reference can identify: the keys beside it are copies too, but no foreign key is made.
    ``embeds`` are references inside a JSON value: what they copy is taken out.
    ``zero_is_null``: Intercom writes 0 for "nobody".
    ``personal``: the value is about a contact and goes when that contact is to be forgotten; it
    names the column of the row, or of the row it belongs to, that holds the contact's id, or the
    link table that holds the row's contacts.
    """

    path: str
    kind: Kind
    comment: str
    name: str = ""
    refers_to: str = ""
    zero_is_null: bool = False
    personal: str = ""
    names: tuple[str, ...] = ()
    embeds: tuple[Embedded, ...] = ()

    def __post_init__(self) -> None:
        force_setattr(self, "name", self.name or self.path.replace(".", "_"))

    @cached_property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.path.split("."))


class Complete(Struct, frozen=True):
    """Where the complete list stands when the embedded one holds only its first elements.

    What tells in fewer requests that a stored list is still right: ``searched``, the field by
    which a search of owners takes a target's id, or ``counted``, the column of the target in which
    Intercom counts its owners. Neither: each list must be asked for.
    """

    path: str  # with {id}: the owner's
    key: str = "data"
    numbered: bool = False  # page numbers, at most 60 a page; else the whole list in one answer
    searched: str = ""
    counted: str = ""


class Link(Struct, frozen=True, eq=False, dict=True):
    """A list of references: a link table keyed by owner and target.

    ``path`` leads to the list itself; alternatives are separated by ``|``, because Intercom
    names some lists differently from its description. ``halves``: records embed it as these lists,
    which make the whole one together. ``null_is_empty``: Intercom writes null where the complete
    list has no element; elsewhere a null list says nothing. ``is_membership``: its owner is a
    group, and what it tells is as much the target's: to which groups it belongs.
    """

    table: str
    comment: str
    path: str
    owner: str  # name of the column that refers to the owner
    target: str  # name of the column that refers to the target
    refers_to: str  # table of the target
    item: str = "id"  # path of the target's id in an element; "" when the element is the id
    columns: tuple[Column, ...] = ()
    complete: Complete | None = None
    null_is_empty: bool = False
    halves: tuple[str, ...] = ()
    is_membership: bool = False

    @cached_property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(path.split(".")) for path in self.path.split("|"))

    @cached_property
    def half_paths(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(path.split(".")) for path in self.halves)

    @property
    def told_at(self) -> tuple[str, ...]:
        """Where in a record it is told; what does not fit into it is kept there."""
        return (self.half_paths or self.paths)[0]

    @property
    def every_path(self) -> tuple[tuple[str, ...], ...]:
        """All places where elements of it can stand."""
        return self.paths + self.half_paths


class Child(Struct, frozen=True, eq=False, dict=True):
    """A list of owned objects: a child table with a foreign key to its parent.

    ``permanent``: the objects can never be fetched again, so a complete list that omits one
    marks it deleted; otherwise its row goes. ``cap``: as many elements as Intercom returns at
    most; a list of that length is taken as cut.
    """

    table: Table
    path: str
    parent: str
    permanent: bool
    cap: int | None = None

    @cached_property
    def paths(self) -> tuple[tuple[str, ...], ...]:
        return tuple(tuple(path.split(".")) for path in self.path.split("|"))


class DerivedRows(Struct, frozen=True, eq=False):
    """Rows of another table that stand in the records of this one.

    ``owner`` is the column that gets the id of the record they stand in, ``subject`` the column
    that names what they tell of: what Intercom, asked by id, says was merged gives such a row too.
    """

    table: Table
    path: str
    owner: str
    subject: str


class Attributes(Struct, frozen=True):
    """The custom attributes of a table's rows, which the views show as columns.

    ``model`` is what data attributes call these objects; ``column`` is the map that holds the
    values. ``described_by`` names, where data attributes do not tell of them, the table and its
    column that list them.
    """

    model: str = ""
    column: str = "custom_attributes"
    described_by: tuple[str, str] | None = None

    def __bool__(self) -> bool:
        return bool(self.model)


class Parts(Struct, frozen=True):
    """The columns that tell how complete a row's parts are, of which Intercom shows so many.

    ``stored`` counts the rows that are here, ``truncated`` tells whether a list was cut;
    ``counted`` is the column in which Intercom counts them, and the first message with them.
    """

    stored: str = ""
    truncated: str = ""
    counted: str = ""


class Table(Struct, frozen=True, eq=False):
    """One table of rows that mirror one kind of Intercom object.

    ``key`` names the columns that identify a row, where Intercom gives its objects no id.
    ``apart_from`` names a table under whose ids the same object can stand a second time; the
    living rows of this one leave those out. ``repeats`` are paths that only repeat what stands
    elsewhere in the warehouse: no data.
    ``omits_unset``: Intercom leaves unset keys out of this payload, so an absent key is null;
    elsewhere an absent key leaves what is stored. ``types`` are what Intercom writes as ``type``
    of a reference to one: wherever it stands, its other keys are copies. ``retired`` is the flag
    of an object that is out of use: several can share a key, and the one in use counts.
    ``positioned``: elements have no id and are keyed by their place in the parent's list.
    ``attributes`` and ``parts`` are none where it has none. ``cut_by`` is the column that full
    passes cut the table by, indexed for that.
    ``once_for`` is the part of the key that names a contact: what stands under several of its
    identities is shown once. ``derived`` are rows of other tables that its records hold.
    ``tombstone`` names, for a table whose rows tell that an object is gone, the column that refers
    to it and the one that tells when. ``versioned``: what its rows were can be kept as versions.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    links: tuple[Link, ...] = ()
    children: tuple[Child, ...] = ()
    omits_unset: bool = False
    key: tuple[str, ...] = ("id",)
    repeats: tuple[str, ...] = ()
    apart_from: str = ""
    attributes: Attributes = Attributes()
    types: tuple[str, ...] = ()
    retired: str = ""
    positioned: bool = False
    parts: Parts = Parts()
    cut_by: str = ""
    once_for: str = ""
    derived: tuple[DerivedRows, ...] = ()
    tombstone: tuple[str, str] | None = None
    versioned: bool = False

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)

    def has_column(self, name: str) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def has_updated_at(self) -> bool:
        return self.has_column("updated_at")

    @property
    def has_complete_lists(self) -> bool:
        """Whether records embed only the first elements of a list, which can be had whole."""
        return any(link.complete for link in self.links)

    @property
    def holds_persons(self) -> bool:
        """Whether its rows are the contacts themselves."""
        return any(column.personal == "id" for column in self.columns)

    def top_keys(self) -> frozenset[str]:
        """The keys of a record that anything declared stands under."""
        paths = [column.keys for column in self.columns]
        for link in self.links:
            paths += link.every_path
        for child in self.children:
            paths += child.paths
        told = {told.path for told in self.derived}
        return frozenset(path[0] for path in paths) | told

    def family(self) -> Iterator[Table]:
        """This table and every child table below it, parents first."""
        yield self
        for child in self.children:
            yield from child.table.family()


class Notified(Struct, frozen=True):
    """How Intercom's notifications name an object of the resource.

    ``kinds`` are the types of such an object, or the keys that it is wrapped in; ``keys`` the
    dotted paths under which its id may stand, the first that is there counts; ``at`` is the key
    of the time that a copy must be as new as. ``whole_list``: a short list is read for any of its
    objects. ``beside``: what is named is a list of the object that stands beside it, and ``keys``
    lead there from both. ``topics`` are worth subscribing.
    """

    kinds: tuple[str, ...] = ()
    topics: tuple[str, ...] = ()
    keys: tuple[str, ...] = ("id",)
    at: str = "updated_at"
    whole_list: bool = False
    beside: bool = False


class Resource(Struct, frozen=True):
    """One thing that Intercom has and the sync reads: which table, how to list it, how by id.

    ``params`` go with every request for its list or its objects.
    ``optional``: many tokens and plans do not open it; not being allowed to read it fails the
    run only if it was asked for by name or could be read before.
    ``early_signal_of`` names the resources whose full passes find the same, only later: it is read
    with any of them, and being refused it is no failure.
    ``notified`` says how notifications name its objects, for those that some topic tells of.
    """

    name: str
    table: Table
    reading: Reading
    by_id: str = ""  # path with {id}; "" where Intercom has no such read
    discriminator: tuple[tuple[str, str], ...] = field(
        default=()
    )  # rows of a shared table: (column, value)
    params: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    early_signal_of: tuple[str, ...] = ()
    notified: Notified = Notified()

    @property
    def hinted_as(self) -> str:
        """The table whose rows a hint means: what is listed contact by contact has its own."""
        return self.name if isinstance(self.reading, PerContact) else self.table.name

    @property
    def comes_last(self) -> bool:
        """Whether it exists only contact by contact: the warehouse is usable without."""
        return isinstance(self.reading, PerContact) and not self.reading.embedded

    @property
    def has_parts(self) -> bool:
        """Whether its objects have parts that Intercom may show only in part."""
        return bool(self.table.parts.truncated) and isinstance(self.reading, Search)


def identifier(path: str, comment: str, name: str = "", refers_to: str = "") -> Column:
    """An id, a foreign key when ``refers_to`` names a table."""
    return Column(path, Kind.ID, comment, name, refers_to)


def anyone(path: str, comment: str) -> Column:
    """A reference to an admin, a team or a contact; a column beside it tells which."""
    return Column(path, Kind.ID, comment, names=("admins", "teams", "contacts"))


def assignee(path: str, comment: str, refers_to: str) -> Column:
    """A reference in which Intercom writes 0 for nobody."""
    return Column(path, Kind.ID, comment, "", refers_to, zero_is_null=True)


def text(path: str, comment: str, name: str = "") -> Column:
    """A string."""
    return Column(path, Kind.TEXT, comment, name)


def instant(path: str, comment: str, name: str = "") -> Column:
    """A point in time."""
    return Column(path, Kind.INSTANT, comment, name)


def flag(path: str, comment: str, name: str = "") -> Column:
    """True or false."""
    return Column(path, Kind.FLAG, comment, name)


def count(path: str, comment: str, name: str = "") -> Column:
    """A whole number; the comment names its unit."""
    return Column(path, Kind.COUNT, comment, name)


def money(path: str, comment: str, name: str = "") -> Column:
    """An amount or a rate."""
    return Column(path, Kind.MONEY, comment, name)


def json(path: str, comment: str, name: str = "", embeds: tuple[Embedded, ...] = ()) -> Column:
    """Any JSON value, kept as it is but for copies of what has rows of its own."""
    return Column(path, Kind.JSON, comment, name, embeds=embeds)


def mapping(path: str, comment: str, name: str = "") -> Column:
    """An object whose keys are open."""
    return Column(path, Kind.MAP, comment, name)


def url(path: str, comment: str, name: str = "") -> Column:
    """An address that Intercom signs anew at each read."""
    return Column(path, Kind.URL, comment, name)


def files(path: str, comment: str, name: str = "") -> Column:
    """A list of files, whose addresses Intercom signs anew at each read."""
    return Column(path, Kind.FILES, comment, name)


def personal(of: str, *columns: Column) -> tuple[Column, ...]:
    """Columns that say something about a contact; ``of`` tells which, as ``Column.personal``."""
    return tuple(replace(column, personal=of) for column in columns)
