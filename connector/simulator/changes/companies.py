"""What happens to companies, some of it later than its cause; knows no search."""

from __future__ import annotations

from typing import Any

from connector.simulator.changes.base import Changes
from connector.simulator.encoding import decode, encode
from connector.simulator.generation.companies import company_item, new_company, tag_reference
from connector.simulator.webhooks import items


def move_user_count(changes: Changes, company: str, by: int) -> None:
    """Count a user more or less, and move updated_at, but only after a while."""
    simulator = changes.simulator
    space = simulator.workspace

    def recount(at: int) -> None:
        item = space.companies.get(company)
        if item is None:
            return
        record = decode(item.body)
        record["user_count"] = max(0, record["user_count"] + by)
        record["updated_at"] = max(record["updated_at"], at)
        visible_at = at + max(0.0, simulator.visible_at() - simulator.now())
        changes._put("companies", company_item(record), visible_at)

    space.later(simulator.now() + simulator.user_count_delay, recount)


class CompanyChanges(Changes):
    """Changes to companies."""

    def create_company(self, name: str, company_id: str | None = None, **fields: Any) -> str:
        """A company without users: by id only, until somebody belongs to it. Returns its id."""
        self.simulator.settle()
        key = company_id or f"customer-new-{self._space.next_number('company_key')}"
        record = new_company(self._space, self._now, name, key)
        record.update(fields)
        item = company_item(record)
        self._put("companies", item)
        self._tell("company.created", items.company_created, item)
        return item.id

    def update_company(self, id: str, **fields: Any) -> bool:
        """Set fields, None unsets (Intercom then omits the key); a no-op moves nothing."""
        record = decode(self._item("companies", id).body)
        before = encode(record)
        for name, value in fields.items():
            if value is None:
                record.pop(name, None)
            elif name == "custom_attributes":
                record[name] = {**record[name], **value}
            else:
                record[name] = value
        if encode(record) == before:
            return False
        if "updated_at" not in fields:
            record["updated_at"] = self._now
        item = company_item(record)
        self._put("companies", item)
        self._tell("company.updated", items.company, item)
        return True

    def tag_company(self, company: str, tag: str) -> None:
        """Attach a tag; moves updated_at. Tagging twice is nothing."""
        self._tags(company, add=tag)

    def untag_company(self, company: str, tag: str) -> None:
        """Detach a tag; moves updated_at."""
        self._tags(company, remove=tag)

    def delete_company(self, id: str) -> None:
        """Delete it; its contacts lose it, and their updated_at does not tell."""
        self._bury("companies", id, "deleted")
        self._tell("company.deleted", items.company_gone, id)
        self._retie(
            lambda ties: ties._replace(companies=tuple(c for c in ties.companies if c != id))
        )

    def _tags(self, company: str, add: str | None = None, remove: str | None = None) -> None:
        record = decode(self._item("companies", company).body)
        known = {tag["id"] for tag in record["tags"]["tags"]}
        if add in known or (remove is not None and remove not in known):
            return
        tags = [tag for tag in record["tags"]["tags"] if tag["id"] != remove]
        if add is not None:
            tags.append(tag_reference(self._space, add))
        record["tags"]["tags"] = tags
        record["updated_at"] = self._now
        self._put("companies", company_item(record))
