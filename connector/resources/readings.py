"""The ways in which Intercom lists things, as values; each is read in ``sync/readings``."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum

from msgspec import Struct


class Granularity(Enum):
    """How exactly Intercom's search compares instants."""

    SECOND = "second"
    DAY = "day"


class Part(Struct, frozen=True):
    """One of the requests that make up a snapshot.

    ``given`` is what its records do not say themselves, ``renamed`` the keys under which they
    say it elsewhere: (key of the record that the declarations know, key that Intercom uses).
    """

    params: tuple[tuple[str, str], ...] = ()
    path: str = ""  # "" is the snapshot's own
    given: tuple[tuple[str, str], ...] = ()
    renamed: tuple[tuple[str, str], ...] = ()


class Snapshot(Struct, frozen=True):
    """Reading: unpaged lists that are always complete, so absence means deleted."""

    path: str
    key: str = "data"
    parts: tuple[Part, ...] = (Part(),)


class Catalogue(Struct, frozen=True):
    """Reading: a paged list, read whole each time, because it is short or tells no changes.

    One that ``grows`` for ever is read whole only as often as the budget of full passes allows.
    """

    path: str
    key: str = "data"
    per_page: int = 50
    by_cursor: bool = False  # else by page numbers
    grows: bool = False


class Log(Struct, frozen=True):
    """Reading: a list that only ever grows, asked for what came since the cursor.

    ``since`` names the parameter that takes the bound, in Unix seconds.
    """

    path: str
    key: str
    since: str


class PerContact(Struct, frozen=True):
    """Reading: one request (or more) for each contact, because there is no list of them all.

    ``path`` holds {id} where the contact's id goes into the path, else ``param`` takes it.
    ``within`` is the path under which the list is put into a record of the contact, so that it
    merges as a link or child of it; "" where the elements are rows of their own, which then get
    the contact's id as ``contact_id``. ``counted`` tells where to see whether the stored ones
    are as many as Intercom counts: child table, its parent column, count column of contacts.
    ``follows`` are the contact's columns that tell when it was active: it is read again when it was
    since. ``shown_for``: what is older Intercom does not show any more.
    """

    path: str
    key: str = "data"
    param: str = ""
    params: tuple[tuple[str, str], ...] = ()
    numbered: bool = False
    backwards: bool = False  # next links that go back in time
    within: str = ""
    counted: tuple[str, str, str] | None = None
    follows: tuple[str, ...] = ()
    shown_for: timedelta | None = None
    embedded: bool = False  # contacts embed it: read only of those that do not


class Members(Struct, frozen=True):
    """Reading: the members of each group by a search of what they are, as a link of the group."""

    path: str
    key: str
    field: str  # what the search compares with the group's id
    within: str
    granularity: Granularity = Granularity.DAY  # as of ``Search``


class FullScan(Struct, frozen=True):
    """Reading: every object, every time, because Intercom cannot be asked for changes.

    A scroll, with the paged list (below its cap) where the scroll is not to be had.
    """

    scroll: str
    list: str
    key: str = "data"


class Search(Struct, frozen=True):
    """Reading: search by time; the whole object by id where search returns only a part of it.

    ``granularity`` holds for the stable API version; Preview compares by the second everywhere.
    """

    path: str
    key: str
    granularity: Granularity
    filters: tuple[tuple[str, str, str], ...] = ()
    whole_by_id: bool = False
    per_page: int = 150


class Deletions(Struct, frozen=True):
    """Reading: a feed of the objects that were deleted and when, newest first, by page numbers."""

    path: str
    key: str
    at: str = "deleted_at"
    per_page: int = 60


class Activities(Struct, frozen=True):
    """Reading: a feed of what happened to contacts, oldest first, by cursor.

    Entries of the kind ``deleted`` tell that their contact is gone, those of the kind ``merged``
    make a row: ``row`` are its columns with the keys they come from. ``version`` is the API
    version in which alone the feed exists, asked for with each request.
    """

    path: str
    version: str
    deleted: str
    merged: str
    row: tuple[tuple[str, str], ...]
    key: str = "data"
    per_page: int = 150


Reading = (
    Snapshot | Catalogue | Log | FullScan | Search | PerContact | Members | Deletions | Activities
)
