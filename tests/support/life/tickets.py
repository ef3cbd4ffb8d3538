"""What happens to tickets in a simulated year."""

from __future__ import annotations

from tests.support.life.kind import Change, Kind


class Tickets(Kind):
    """What happens to tickets."""

    def changes(self) -> list[tuple[int, Change]]:
        """What happens to tickets, and how often."""
        return [
            (2, self.create), (3, self.reply), (4, self.move), (2, self.assign),
            (2, self.set_attribute), (1, self.redact), (2, self.update_silently), (1, self.delete),
        ]  # fmt: skip

    def ticket(self) -> str:
        return str(self.any("tickets"))

    def create(self) -> str | None:
        if len(self.space.tickets) > 1.3 * self.sizes["tickets"]:
            return None
        kinds = [id for id, one in self.space.ticket_types.items() if not one["archived"]]
        contact = self.any("contacts")
        id = self.control.create_ticket(self.one(kinds), contact, self.word())
        return f"create ticket {id} of contact {contact}"

    def reply(self) -> str:
        id, admin = self.ticket(), self.one([None, self.admin()])
        self.control.reply_ticket(id, 1, admin, note=admin is not None)
        return f"reply to ticket {id}"

    def move(self) -> str:
        states = [id for id, one in self.space.ticket_states.items() if not one["archived"]]
        id, state = self.ticket(), self.one(states)
        self.control.set_ticket_state(id, state, self.admin())
        return f"move ticket {id} to {state}"

    def assign(self) -> str:
        id, admin = self.ticket(), self.one([None, self.admin()])
        self.control.assign_ticket(id, admin)
        return f"assign ticket {id} to {admin}"

    def set_attribute(self) -> str:
        id, value = self.ticket(), self.random.randrange(99)
        self.control.set_ticket_attribute(id, "_default_title_", f"title {value}")
        return f"set title of ticket {id} to {value}"

    def redact(self) -> str | None:
        id = self.ticket()
        try:
            return f"redact part {self.control.redact_ticket_part(id)} of ticket {id}"
        except KeyError:
            return None

    def update_silently(self) -> str:
        id, shared = self.ticket(), self.random.random() < 0.5
        self.control.update_ticket_silently(id, is_shared=shared)
        return f"silently update ticket {id} is_shared={shared}"

    def delete(self) -> str | None:
        id = self.ticket()
        if not self.is_crowded("tickets"):
            return None
        self.control.delete_ticket(id)
        return f"delete ticket {id}"
