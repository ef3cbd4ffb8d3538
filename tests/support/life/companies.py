"""What happens to companies in a simulated year."""

from __future__ import annotations

from tests.support.life.kind import Change, Kind


class Companies(Kind):
    """What happens to companies."""

    def changes(self) -> list[tuple[int, Change]]:
        """What happens to companies, and how often."""
        return [
            (2, self.create), (4, self.update), (2, self.tag), (2, self.untag),
            (2, self.empty), (3, self.regain), (1, self.delete),
        ]  # fmt: skip

    def create(self) -> str | None:
        if len(self.space.companies) > 1.3 * self.sizes["companies"]:
            return None
        id = self.control.create_company(self.word())
        if self.random.random() < 0.7:
            self.control.attach_company(str(self.any("contacts")), id)
        return f"create company {id}"

    def update(self) -> str | None:
        id, spend = str(self.any("companies")), self.random.randrange(10**6)
        fields = {"monthly_spend": spend, "website": self.one([None, "https://example.com/x"])}
        return f"update company {id}" if self.control.update_company(id, **fields) else None

    def tag(self) -> str:
        id, tag = str(self.any("companies")), str(self.some_record("tags"))
        self.control.tag_company(id, tag)
        return f"tag company {id} {tag}"

    def untag(self) -> str:
        id, tag = str(self.any("companies")), str(self.some_record("tags"))
        self.control.untag_company(id, tag)
        return f"untag company {id} {tag}"

    def empty(self) -> str:
        id = str(self.any("companies"))
        for item in self.items("contacts"):
            self.control.detach_company(item.id, id, bump=self.random.random() < 0.5)
        return f"empty company {id}"

    def regain(self) -> str | None:
        item = self.one(self.items("companies", shown=False))
        contact = self.any("contacts")
        if item is None or not self.control.attach_company(str(contact), item.id):
            return None
        return f"company {item.id} regains contact {contact}"

    def delete(self) -> str | None:
        id = self.any("companies")
        if id is None or not self.is_crowded("companies"):
            return None
        self.control.delete_company(id)
        return f"delete company {id}"
