"""What happens to contacts in a simulated year."""

from __future__ import annotations

from typing import Any

from tests.support.life.kind import Change, Kind


class Contacts(Kind):
    """What happens to contacts."""

    def changes(self) -> list[tuple[int, Change]]:
        """What happens to contacts, and how often."""
        return [
            (6, self.create), (10, self.update), (5, self.update_silently), (6, self.tag),
            (4, self.untag), (2, self.tag_a_lot), (6, self.attach), (4, self.detach),
            (5, self.note), (5, self.subscribe), (6, self.move), (3, self.convert),
            (3, self.merge), (1, self.merge_by_hand), (2, self.archive), (1, self.unarchive),
            (3, self.delete), (6, self.server_event), (4, self.browser_event),
        ]  # fmt: skip

    def group(self, role: str) -> list[str]:
        return [item.id for item in self.items("contacts") if item.group == role]

    def create(self) -> str | None:
        if len(self.space.contacts) > 1.3 * self.sizes["contacts"]:
            return None
        role, name = self.random.choice(["user", "lead"]), self.word()
        fields = {"external_id": name} if role == "user" else {}
        id = self.control.create_contact(role, name=name, email=f"{name}@example.com", **fields)
        if self.random.random() < 0.3:
            self.control.tag_contact(id, self.some_record("tags") or "")
        return f"create contact {id} {role}"

    def update(self) -> str | None:
        id = str(self.any("contacts"))
        fields: dict[str, Any] = self.random.choice(
            [
                {"name": self.word()},
                {"email": f"{self.word()}@example.com"},
                {"custom_attributes": {"seats": self.random.randrange(100)}},
                {"owner_id": int(self.admin())},
                {"last_seen_at": int(self.harness.now)},
            ]
        )
        return (
            f"update contact {id} {fields}" if self.control.update_contact(id, **fields) else None
        )

    def update_silently(self) -> str:
        id, browser = self.any("contacts"), self.word()
        self.control.update_contact_silently(str(id), browser=browser)
        return f"silently update contact {id} browser {browser}"

    def tag(self) -> str | None:
        id, tag = self.any("contacts"), self.some_record("tags")
        return f"tag contact {id} {tag}" if self.control.tag_contact(str(id), str(tag)) else None

    def untag(self) -> str | None:
        item = self.one([one for one in self.items("contacts") if one.owned.tags])
        if item is None:
            return None
        tag = self.one(item.owned.tags[-1:] if self.random.random() < 0.5 else item.owned.tags).id
        self.control.untag_contact(item.id, tag)
        return f"untag contact {item.id} {tag}"

    def tag_a_lot(self) -> str:
        id = str(self.any("contacts"))
        for tag in list(self.space.tags):
            self.control.tag_contact(id, tag)
        return f"tag contact {id} with everything"

    def attach(self) -> str | None:
        id, company = self.any("contacts"), self.any("companies")
        if company is None or not self.control.attach_company(
            str(id), company, bump=self.random.random() < 0.5
        ):
            return None
        return f"attach contact {id} to company {company}"

    def detach(self) -> str | None:
        item = self.one([one for one in self.items("contacts") if one.owned.companies])
        if item is None:
            return None
        company = self.one(item.owned.companies)
        self.control.detach_company(item.id, company, bump=self.random.random() < 0.5)
        return f"detach contact {item.id} from company {company}"

    def note(self) -> str:
        id = str(self.any("contacts"))
        return f"note {self.control.add_note(id, admin=self.admin())} on contact {id}"

    def subscribe(self) -> str:
        id, type = str(self.any("contacts")), str(self.some_record("subscription_types"))
        self.control.subscribe_contact(id, type, self.random.random() < 0.5)
        return f"subscribe contact {id} {type}"

    def move(self) -> str:
        id, segments = str(self.any("contacts")), sorted(self.space.segments)
        chosen = self.random.sample(segments, self.random.randint(0, min(3, len(segments))))
        self.control.set_segments(id, chosen)
        return f"move contact {id} into {chosen}"

    def convert(self) -> str | None:
        id = self.one(self.group("lead"))
        if id is not None:
            self.control.convert_lead(id)
        return id and f"convert contact {id}"

    def merge(self) -> str | None:
        lead, user = self.one(self.group("lead")), self.one(self.group("user"))
        if lead is None or user is None or not self.is_crowded("contacts"):
            return None
        self.control.merge_contacts(lead, user)
        return f"merge contact {lead} into {user}"

    def merge_by_hand(self) -> str | None:
        users = self.group("user")
        merged = {i.id for i in self.items("contacts") if i.owned.merges}
        # Preferably one into whom others were merged: so chains arise.
        source = self.one([id for id in users if id in merged] or users)
        target = self.one([id for id in users if id != source])
        if target is None or not self.is_crowded("contacts"):
            return None
        self.control.merge_contacts(source, target, by_hand=True)
        return f"merge contact {source} into {target} by hand"

    def archive(self) -> str | None:
        id = self.any("contacts")
        if id is None or not self.is_crowded("contacts"):
            return None
        self.control.archive_contact(id)
        return f"archive contact {id}"

    def unarchive(self) -> str | None:
        graves = self.space.gone.get("contacts", {}).values()
        id, bump = (
            self.one([g.id for g in graves if g.how == "archived"]),
            self.random.random() < 0.5,
        )
        if id is not None:
            self.control.unarchive_contact(id, bump)
        return id and f"unarchive contact {id} bump={bump}"

    def delete(self) -> str | None:
        id = self.any("contacts")
        if id is None or not self.is_crowded("contacts"):
            return None
        self.control.delete_contact(id)
        return f"delete contact {id}"

    def server_event(self) -> str:
        id, name = str(self.any("contacts")), f"server-{self.random.randrange(4)}"
        self.control.track_event(id, name, {"n": self.random.randrange(9)})
        return f"event {name} of contact {id}"

    def browser_event(self) -> str:
        id = str(self.any("contacts"))
        self.control.track_event(id, "visit", server_side=False)
        return f"event visit of contact {id}"
