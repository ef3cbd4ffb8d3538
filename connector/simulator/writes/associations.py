"""What a bulk item brings along: companies by the client's own key, and tags by id.

A company that is missing is created, one that is there gets the name that is given. Tags are
applied some time after the item; those that do not exist are skipped, and nobody is told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from connector.simulator.messages import ApiError
from connector.simulator.records.workspace import Record
from connector.simulator.writes.values import invalid

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator
    from connector.simulator.writes.hub import Writes


class Associations:
    """Attaches and detaches; also what single requests attach and detach."""

    def __init__(self, simulator: Simulator, writes: Writes) -> None:
        self._simulator = simulator
        self._writes = writes

    def check(self, given: Record) -> None:
        """Raise what is wrong with the companies of an item, and change nothing."""
        for company in _listed(given, "companies"):
            if not isinstance(company, dict) or not company.get("company_id"):
                raise invalid("companies must be identified by company_id")

    def apply(self, contact: str, given: Record) -> None:
        """All that an item brings along: companies now, tags later."""
        for company in _listed(given, "companies"):
            if company.get("remove") is True:
                self._leave(contact, str(company["company_id"]))
            else:
                self._join(contact, company)
        tags = given.get("tags")
        if isinstance(tags, dict) and tags:
            at = self._simulator.now() + self._writes.settings.tag_delay
            self._writes.later(at, lambda: self._tag(contact, tags))

    def attach(self, contact: str, company: str) -> None:
        """Attach to a company, unless the contact has as many as it can have."""
        ties = self._simulator.workspace.contacts.current[contact].owned
        most = self._writes.settings.company_limit
        if company not in ties.companies and len(ties.companies) >= most:
            message = f"Contact has reached the maximum of {most} company associations"
            raise ApiError(400, "contact_company_limit_exceeded", message)
        done = self._simulator.control.attach_company(contact, company)
        self._writes.log.note("attached" if done else "unchanged", "contacts", contact)

    def detach(self, contact: str, company: str) -> None:
        """Detach from a company; doing it again is nothing."""
        done = self._simulator.control.detach_company(contact, company)
        self._writes.log.note("detached" if done else "unchanged", "contacts", contact)

    def tag(self, contact: str, tag: str) -> None:
        """Attach a tag; doing it again is nothing."""
        done = self._simulator.control.tag_contact(contact, tag)
        self._writes.log.note("tagged" if done else "unchanged", "contacts", contact)

    def untag(self, contact: str, tag: str) -> None:
        """Detach a tag; doing it again is nothing."""
        done = self._simulator.control.untag_contact(contact, tag)
        self._writes.log.note("untagged" if done else "unchanged", "contacts", contact)

    def _join(self, contact: str, company: Record) -> None:
        known = self._writes.identities.company(str(company["company_id"]))
        if known is None or company.get("name"):
            named = {name: company[name] for name in ("company_id", "name") if company.get(name)}
            known = self._writes.companies.upsert(named)
        self.attach(contact, known)

    def _leave(self, contact: str, key: str) -> None:
        known = self._writes.identities.company(key)
        if known is not None:
            self.detach(contact, known)

    def _tag(self, contact: str, tags: Record) -> None:
        space = self._simulator.workspace
        if contact not in space.contacts.current:
            return
        for name, change in (("add", self.tag), ("remove", self.untag)):
            for tag in _listed(tags, name):
                id = str(tag.get("id")) if isinstance(tag, dict) else ""
                if id in space.tags:
                    change(contact, id)


def _listed(given: Record, name: str) -> list[Any]:
    listed = given.get(name)
    return listed if isinstance(listed, list) else []
