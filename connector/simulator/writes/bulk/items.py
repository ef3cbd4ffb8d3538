"""What bulk requests hold, and how each kind of item is carried out when its task ends.

An item that fails leaves the others alone; fields that are not listed are ignored in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connector.simulator.messages import ApiError
from connector.simulator.records.workspace import Record
from connector.simulator.writes.contacts import BULK_UPDATE

if TYPE_CHECKING:
    from connector.simulator.writes.hub import Writes

# What an item of the first version of updates was called, until June 2026.
_FORMER = {"user_id": "external_id"}


class Bulk:
    """Carries out single items."""

    def __init__(self, writes: Writes) -> None:
        self._writes = writes
        self._do: dict[tuple[str, str], Callable[[Record], None]] = {
            ("contacts", "create"): self._create_contact,
            ("contacts", "update"): self._update_contact,
            ("contacts", "delete"): self._delete_contact,
            ("companies", "create"): self._upsert_company,
            ("companies", "update"): self._update_company,
            ("companies", "delete"): self._delete_company,
        }

    def carry(self, kind: str, does: str, given: Record) -> None:
        """One item; what is wrong with it is raised."""
        self._do[kind, does](given)

    def _create_contact(self, given: Record) -> None:
        self._writes.associations.check(given)
        id = self._writes.contacts.create(given)
        self._writes.associations.apply(id, given)

    def _update_contact(self, given: Record) -> None:
        contacts = self._writes.contacts
        item = contacts.living(given["id"])
        self._writes.associations.check(given)
        contacts.update(item, given, BULK_UPDATE)
        self._writes.associations.apply(item.id, given)

    def _delete_contact(self, given: Record) -> None:
        self._writes.contacts.delete(str(given["id"]))

    def _upsert_company(self, given: Record) -> None:
        self._writes.companies.upsert(given)

    def _update_company(self, given: Record) -> None:
        companies = self._writes.companies
        companies.update(companies.living(given["id"]), given)

    def _delete_company(self, given: Record) -> None:
        companies = self._writes.companies
        companies.delete(companies.living(given["id"]))


def items_of(body: Record, kind: str, most: int, *, by_id: bool, former: bool) -> list[Record]:
    """The items of a request, or the 422 that takes none of them."""
    missing = "missing_field" if former else "field_not_found"
    one = {"contacts": "contact", "companies": "company"}[kind]
    items: Any = body.get(kind)
    if items is None or items == []:
        raise ApiError(422, missing, f"{kind} field must be supplied")
    if not isinstance(items, list):
        raise ApiError(422, "type_mismatch", f"{kind} must be an array")
    if len(items) > most:
        message = f"maximum number of {kind} per request is {most}"
        raise ApiError(422, "parameter_invalid", message)
    if not all(isinstance(item, dict) for item in items):
        raise ApiError(422, "type_mismatch", f"each {one} must be an object")
    if by_id and not all(item.get("id") for item in items):
        raise ApiError(422, missing, f"{kind} must be identified by id")
    return [_present(item) for item in items] if former else items


def _present(item: Record) -> Record:
    renamed = {_FORMER.get(name, name): value for name, value in item.items()}
    if isinstance(company := renamed.pop("company", None), dict):
        renamed["companies"] = [company]
    return renamed
