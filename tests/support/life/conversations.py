"""What happens to conversations in a simulated year."""

from __future__ import annotations

from tests.support.life.kind import DAY, Change, Kind


class Conversations(Kind):
    """What happens to conversations."""

    def changes(self) -> list[tuple[int, Change]]:
        """What happens to conversations, and how often."""
        return [
            (4, self.create), (2, self.send_outbound), (2, self.answer_outbound), (5, self.reply),
            (4, self.answer), (3, self.close), (2, self.reopen), (1, self.snooze),
            (3, self.assign), (2, self.rate), (3, self.rate_silently), (3, self.tag),
            (3, self.untag), (4, self.mark_read), (1, self.redact), (2, self.update),
            (2, self.update_silently), (3, self.delete),
        ]  # fmt: skip

    def listed(self) -> str:
        return str(self.one([item.id for item in self.items("conversations", shown=True)]))

    def create(self) -> str | None:
        if len(self.space.conversations) > 1.3 * self.sizes["conversations"]:
            return None
        contact = self.any("contacts")
        return f"create conversation {self.control.create_conversation(contact)} of {contact}"

    def send_outbound(self) -> str | None:
        if len(self.items("conversations", shown=False)) > 8:
            return None
        contact = str(self.any("contacts"))
        return f"create outbound conversation {self.control.send_outbound(contact)} to {contact}"

    def answer_outbound(self) -> str | None:
        item = self.one(self.items("conversations", shown=False))
        if item is not None:
            self.control.reply(item.id)
        return item and f"answer outbound conversation {item.id}"

    def reply(self) -> str:
        id = self.listed()
        self.control.reply(id, self.random.randint(1, 3))
        return f"reply to conversation {id}"

    def answer(self) -> str:
        id, admin = self.listed(), self.admin()
        self.control.reply(id, 1, admin)
        return f"admin {admin} replies to conversation {id}"

    def close(self) -> str:
        id = self.listed()
        self.control.close(id, self.admin())
        return f"close conversation {id}"

    def reopen(self) -> str:
        id = self.listed()
        self.control.reopen(id)
        return f"reopen conversation {id}"

    def snooze(self) -> str:
        id = self.listed()
        self.control.snooze(id, int(self.harness.now) + DAY)
        return f"snooze conversation {id}"

    def assign(self) -> str:
        id = self.listed()
        team = self.some_record("teams") if self.random.random() < 0.4 else None
        admin = self.admin() if team is None and self.random.random() < 0.7 else None
        self.control.assign(id, admin, team)
        return f"assign conversation {id} to admin {admin} team {team}"

    def rate(self) -> str:
        id = self.listed()
        self.control.rate(id, self.random.randint(1, 5))
        return f"rate conversation {id}"

    def rate_silently(self) -> str:
        id = self.listed()
        self.control.rate(id, self.random.randint(1, 5), self.word(), silent=True)
        return f"silently rate conversation {id}"

    def tag(self) -> str:
        id, tag = self.listed(), str(self.some_record("tags"))
        self.control.tag_conversation(id, tag)
        return f"tag conversation {id} {tag}"

    def untag(self) -> str | None:
        tagged = [i for i in self.items("conversations", shown=True) if b'"applied_at"' in i.body]
        if not tagged:
            return None
        id = self.one(tagged).id
        tag = self.control.truth_one("conversations", id)["tags"]["tags"][0]["id"]
        self.control.untag_conversation(id, tag)
        return f"untag conversation {id} {tag}"

    def mark_read(self) -> str:
        id, read = self.listed(), self.random.random() < 0.5
        self.control.mark_read(id, read)
        return f"mark conversation {id} read={read}"

    def redact(self) -> str | None:
        id = self.listed()
        try:
            return f"redact part {self.control.redact_part(id)} of conversation {id}"
        except KeyError:
            return None

    def update(self) -> str:
        id = self.listed()
        self.control.update_conversation(id, custom_attributes={"Issue type": self.word()})
        return f"update conversation {id}"

    def update_silently(self) -> str:
        id, title = self.listed(), self.word()
        self.control.update_conversation_silently(id, title=title)
        return f"silently update conversation {id} title {title}"

    def delete(self) -> str | None:
        id = self.any("conversations")
        if id is None or not self.is_crowded("conversations"):
            return None
        self.control.delete_conversation(id, self.random.random() < 0.5)
        return f"delete conversation {id}"
