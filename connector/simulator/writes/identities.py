"""Finds who has an email, an external id or a company id; keeps up with every change.

Users are unique by external id and by email, archived ones included; old workspaces have several
users with one email all the same. Leads are exempt: they are never found here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from connector.simulator.encoding import decode
from connector.simulator.messages import ApiError
from connector.simulator.records.shelf import Item, Shelf
from connector.simulator.records.workspace import Workspace

Key = tuple[str, str]


class Index:
    """The ids of one shelf by what their records hold; built when it is first asked."""

    def __init__(self, shelf: Shelf, known: Callable[[], Iterable[str]], find: Finder) -> None:
        self._shelf = shelf
        self._known = known
        self._find = find
        self._changed: set[str] | None = None
        self._keys: dict[str, list[Key]] = {}
        # Dictionaries, because their order is that of time.
        self._ids: dict[Key, dict[str, None]] = {}

    def ids(self, key: Key) -> list[str]:
        """Those that have it, in the order in which they got it."""
        self._keep_up()
        return list(self._ids.get(key, ()))

    def _keep_up(self) -> None:
        if self._changed is None:
            self._changed = self._shelf.watch()
            self._changed.update(self._known())
        while self._changed:
            id = self._changed.pop()
            self._place(id, self._find(id))

    def _place(self, id: str, keys: list[Key]) -> None:
        before = self._keys.pop(id, [])
        for key in before:
            if key not in keys:
                del self._ids[key][id]
        for key in keys:
            self._ids.setdefault(key, {})[id] = None
        if keys:
            self._keys[id] = keys


Finder = Callable[[str], list[Key]]


class Identities:
    """Who is who in one workspace."""

    def __init__(self, space: Workspace) -> None:
        self._space = space
        self._people = Index(space.contacts, self._known, self._keys)
        self._companies = Index(
            space.companies, lambda: list(space.companies.current), self._company_keys
        )

    def users(self, name: str, value: str, *, archived: bool = False) -> list[str]:
        """The users that have this `email` or `external_id`; an email has no case."""
        ids = self._people.ids(_key(name, value))
        return [id for id in ids if (id in self._space.contacts.current) != archived]

    def company(self, company_id: str) -> str | None:
        """The id of the company with this key."""
        return next(iter(self._companies.ids(("company_id", company_id))), None)

    def conflict(
        self, email: str | None, external_id: str | None, own: str | None = None
    ) -> ApiError | None:
        """The 409 for a user that would have these, unless it is the one that has them."""
        for name, value in (("external_id", external_id), ("email", email)):
            found = self._others(name, value, own, archived=False)
            if len(found) > 1:
                return several()
            if found:
                return _exists("A", found[0])
            if found := self._others(name, value, own, archived=True):
                return _exists("An archived", found[0])
        return None

    def _others(
        self, name: str, value: str | None, own: str | None, *, archived: bool
    ) -> list[str]:
        if value is None:
            return []
        return [id for id in self.users(name, value, archived=archived) if id != own]

    def _known(self) -> list[str]:
        return [*self._space.contacts.current, *self._space.gone.get("contacts", {})]

    def _person(self, id: str) -> Item | None:
        item = self._space.contacts.get(id)
        gone = self._space.gone.get("contacts", {}).get(id)
        return item or (gone.item if gone is not None else None)

    def _keys(self, id: str) -> list[Key]:
        item = self._person(id)
        if item is None or item.group != "user":
            return []
        record = decode(item.body)
        names = ("email", "external_id")
        return [_key(name, str(record[name])) for name in names if record[name] is not None]

    def _company_keys(self, id: str) -> list[Key]:
        item = self._space.companies.get(id)
        return [] if item is None else [("company_id", str(decode(item.body)["company_id"]))]


def several() -> ApiError:
    """The 409 for an email that several users have: it names none of them."""
    message = (
        "Multiple existing users match this email address - must be more specific using user_id"
    )
    return ApiError(409, "conflict", message)


def _exists(which: str, id: str) -> ApiError:
    message = f"{which} contact matching those details already exists with id={id}"
    return ApiError(409, "conflict", message)


def _key(name: str, value: str) -> Key:
    return (name, value.lower() if name == "email" else value)
