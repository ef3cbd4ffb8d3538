"""Writes one company as Intercom does, whether alone or as an item of a bulk request.

Matched by the client's own company_id, which nothing changes once it is set. To delete one is to
archive it, which takes a while: until then it can be read, and even written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from connector.simulator.encoding import decode
from connector.simulator.messages import ApiError
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Record, Workspace
from connector.simulator.writes import attributes, values

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator
    from connector.simulator.writes.hub import Writes

_READERS: dict[str, Callable[[Workspace, str, Any], Any]] = {
    "name": values.text,
    "plan": values.plan,
    "size": values.integer,
    "website": values.text,
    "industry": values.text,
    "remote_created_at": values.integer,
    "monthly_spend": values.amount,
    "custom_attributes": attributes.of_companies,
}
ACCEPTED = frozenset({*_READERS, "company_id", "update_last_request_at"})


class CompanyWrites:
    """Creates or updates, updates, deletes; raises what Intercom says where it does not."""

    def __init__(self, simulator: Simulator, writes: Writes) -> None:
        self._simulator = simulator
        self._writes = writes

    def upsert(self, given: Record) -> str:
        """Create it, or update the one that has its key. Returns its id."""
        space = self._simulator.workspace
        key = values.text(space, "company_id", given.get("company_id"))
        if key is None:
            raise ApiError(400, "parameter_not_found", "company_id not specified")
        known = self._writes.identities.company(key)
        if known is not None:
            self.update(self.living(known), given)
            return known
        fields = self._read(given)
        self._writes.refusals.check(None, key)
        # Not even the name has to be given.
        id = self._simulator.control.create_company(fields.pop("name", ""), key, **fields)
        self._writes.log.note("created", "companies", id)
        return id

    def update(self, item: Item, given: Record) -> None:
        """Set what is given; a company_id is ignored, for it cannot change."""
        fields = self._read(given)
        self._writes.refusals.check(item.id, decode(item.body)["company_id"])
        changed = self._simulator.control.update_company(item.id, **fields)
        self._writes.log.note("updated" if changed else "unchanged", "companies", item.id)

    def delete(self, item: Item) -> None:
        """Archive it after a while, which takes its contacts from it."""
        self._writes.refusals.check(item.id, decode(item.body)["company_id"])
        self._writes.log.note("deleted", "companies", item.id)
        delay = self._writes.settings.archive_delay
        self._writes.later(self._simulator.now() + delay, lambda: self._archive(item.id))

    def living(self, id: Any) -> Item:
        """The company with this id."""
        item = self._simulator.workspace.companies.get(str(id))
        if item is None:
            raise ApiError(404, "company_not_found", "Company Not Found")
        return item

    def _archive(self, id: str) -> None:
        if self._simulator.workspace.companies.get(id) is not None:
            self._simulator.control.delete_company(id)

    def _read(self, given: Record) -> Record:
        space = self._simulator.workspace
        fields = {
            name: read(space, name, given[name])
            for name, read in _READERS.items()
            if name in given and not (name in _KEPT and given[name] is None)
        }
        if given.get("update_last_request_at") is True:
            fields["last_request_at"] = int(self._simulator.now())
        return fields


# These a company always has: null leaves them as they are.
_KEPT = frozenset({"name", "monthly_spend", "custom_attributes"})
