"""Writes one contact as Intercom does, whether alone or as an item of a bulk request.

Users are unique, leads are not. A lead's external id is Intercom's own: what is sent for it is
ignored. A lead can become a user, a user never a lead.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from connector.simulator.encoding import decode
from connector.simulator.messages import ApiError
from connector.simulator.records.shelf import Item
from connector.simulator.records.workspace import Record, Workspace
from connector.simulator.writes import attributes, values
from connector.simulator.writes.values import invalid

if TYPE_CHECKING:
    from connector.simulator.simulator import Simulator
    from connector.simulator.writes.hub import Writes

_READERS: dict[str, Callable[[Workspace, str, Any], Any]] = {
    "role": values.role,
    "external_id": values.text,
    "email": values.email,
    "phone": values.text,
    "name": values.text,
    "avatar": values.avatar,
    "signed_up_at": values.integer,
    "last_seen_at": values.integer,
    "owner_id": values.owner,
    "unsubscribed_from_emails": values.boolean,
    "language_override": values.language,
    "custom_attributes": attributes.of_contacts,
}
EVERY = tuple(_READERS)
# What a bulk update sets; anything else in an item is ignored in silence.
BULK_UPDATE = tuple(n for n in EVERY if n not in ("role", "signed_up_at", "last_seen_at"))


class ContactWrites:
    """Creates, updates, deletes; raises what Intercom says where it does not."""

    def __init__(self, simulator: Simulator, writes: Writes) -> None:
        self._simulator = simulator
        self._writes = writes

    def create(self, given: Record) -> str:
        """A new contact and never an old one. Returns its id."""
        fields = self._read(given, EVERY)
        role = fields.pop("role", "user")
        external_id, email = fields.get("external_id"), fields.get("email")
        self._writes.refusals.check(None, external_id or email)
        if role == "lead":
            fields.pop("external_id", None)
        elif external_id is None and email is None:
            raise invalid("A user must have an external_id or an email")
        else:
            self._claim(email, external_id)
        id = self._simulator.control.create_contact(role, **fields)
        self._writes.log.note("created", "contacts", id)
        return id

    def update(self, item: Item, given: Record, names: Iterable[str] = EVERY) -> None:
        """Set what is given; the same again leaves updated_at where it is."""
        record = decode(item.body)
        fields = self._read(given, names)
        self._writes.refusals.check(item.id, record["external_id"])
        role = fields.pop("role", item.group)
        if role == "lead" and item.group == "user":
            raise invalid("A user can not be turned into a lead")
        if role == "lead":
            fields.pop("external_id", None)
        else:
            self._claim_changed(item, record, fields)
        if role != item.group:
            fields["role"] = role
        changed = self._simulator.control.update_contact(item.id, **fields)
        self._writes.log.note("updated" if changed else "unchanged", "contacts", item.id)

    def delete(self, id: str) -> Item:
        """Delete for ever, also what is archived. Returns what it was."""
        space = self._simulator.workspace
        gone = space.gone.get("contacts", {}).get(id)
        item = space.contacts.get(id) or (gone.item if gone is not None else None)
        if item is None:
            raise ApiError(404, "not_found", "User Not Found")
        self._writes.refusals.check(id, decode(item.body)["external_id"])
        self._simulator.control.delete_contact(id)
        self._writes.log.note("deleted", "contacts", id)
        return item

    def living(self, id: Any) -> Item:
        """The contact with this id, for an item of a bulk request."""
        item = self._simulator.workspace.contacts.get(str(id))
        if item is None:
            raise ApiError(404, "not_found", "User Not Found")
        return item

    def check(self, given: Record, names: Iterable[str] = EVERY) -> None:
        """Raise what is wrong with the fields, and change nothing."""
        self._read(given, names)

    def _read(self, given: Record, names: Iterable[str]) -> Record:
        space = self._simulator.workspace
        return {name: _READERS[name](space, name, given[name]) for name in names if name in given}

    def _claim_changed(self, item: Item, record: Record, fields: Record) -> None:
        # A lead that becomes a user claims also the email that it has; its key it loses.
        known = record if item.group == "user" else {"email": None, "external_id": None}
        after = {"email": fields.get("email", record["email"])}
        after["external_id"] = fields.get("external_id", known["external_id"])
        claimed = {name: value for name, value in after.items() if value != known[name]}
        self._claim(claimed.get("email"), claimed.get("external_id"), item.id)

    def _claim(self, email: str | None, external_id: str | None, own: str | None = None) -> None:
        conflict = self._writes.identities.conflict(email, external_id, own)
        if conflict is not None:
            raise conflict
