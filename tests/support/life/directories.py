"""What happens to the small lists and to content in a simulated year."""

from __future__ import annotations

from tests.support.life.kind import Change, Kind

TIMEZONES = ("America/New_York", "Pacific/Kiritimati", "America/Los_Angeles", "UTC", "Asia/Kolkata")


class Directories(Kind):
    """What happens to the small lists and to content."""

    def changes(self) -> list[tuple[int, Change]]:
        """What happens to the small lists and to content, and how often."""
        small = [
            (2, self.create_tag), (2, self.rename_tag), (1, self.delete_tag),
            (1, self.create_segment), (1, self.update_segment), (1, self.delete_segment),
            (1, self.create_admin), (1, self.update_admin), (1, self.remove_admin),
            (1, self.change_team), (1, self.replace_team), (1, self.change_timezone),
            (1, self.create_attribute), (1, self.archive_attribute),
        ]  # fmt: skip
        content = [
            (2, self.create_record), (4, self.update_record), (2, self.delete_record),
            (1, self.translate), (2, self.call), (2, self.log_activity),
        ]  # fmt: skip
        return small + content

    def create_tag(self) -> str | None:
        if len(self.space.tags) > 18:
            return None
        return f"create tag {self.control.create_tag(self.word())}"

    def rename_tag(self) -> str:
        id, name = str(self.some_record("tags")), self.word()
        self.control.rename_tag(id, name)
        return f"rename tag {id} {name}"

    def delete_tag(self) -> str | None:
        id = self.some_record("tags")
        if id is None or len(self.space.tags) < 12:
            return None
        self.control.delete_tag(id)
        return f"delete tag {id}"

    def create_segment(self) -> str | None:
        if len(self.space.segments) > 8:
            return None
        return f"create segment {self.control.create_segment(self.word())}"

    def update_segment(self) -> str:
        id = str(self.some_record("segments"))
        self.control.update_segment(id, name=self.word())
        return f"update segment {id}"

    def delete_segment(self) -> str | None:
        id = self.some_record("segments")
        if id is None or len(self.space.segments) < 4:
            return None
        self.control.delete_segment(id)
        return f"delete segment {id}"

    def create_admin(self) -> str | None:
        name = self.word()
        if len(self.space.admins) > 8:
            return None
        return f"create admin {self.control.create_admin(name, f'{name}@example.com')}"

    def update_admin(self) -> str:
        id = self.admin()
        self.control.update_admin(id, name=self.word(), away_mode_enabled=self.one([True, False]))
        return f"update admin {id}"

    def remove_admin(self) -> str | None:
        id = self.one([one for one in self.teammates() if one != self.space.me])
        if id is None or len(self.space.admins) < 5:
            return None
        self.control.remove_admin(id)
        return f"remove admin {id}"

    def change_team(self) -> str | None:
        id, admins = self.some_record("teams"), self.teammates()
        chosen = self.random.sample(admins, self.random.randint(0, len(admins)))
        if id is not None:
            self.control.update_team(id, name=self.word(), admin_ids=[int(one) for one in chosen])
        return id and f"change team {id} to {chosen}"

    def replace_team(self) -> str:
        id = self.some_record("teams")
        if id is not None and len(self.space.teams) > 2:
            self.control.delete_team(id)
            return f"delete team {id}"
        return f"create team {self.control.create_team(self.word(), [self.admin()])}"

    def change_timezone(self) -> str:
        zone = self.random.choice(TIMEZONES)
        self.control.set_timezone(zone)
        return f"move the workspace to {zone}"

    def create_attribute(self) -> str | None:
        if len(self.space.data_attributes) > 60:
            return None
        model = self.random.choice(["contact", "company", "conversation"])
        return f"create attribute {self.control.create_data_attribute(model, self.word())}"

    def archive_attribute(self) -> str | None:
        custom = [one for one in self.space.data_attributes if one.get("custom")]
        one = self.one(custom)
        if one is None:
            return None
        archived = not one["archived"]
        self.control.update_data_attribute(one["model"], one["name"], archived=archived)
        return f"attribute {one['name']} of {one['model']} archived={archived}"

    def create_record(self) -> str:
        create = {
            "article": self.control.create_article, "macro": self.control.create_macro,
            "news item": self.control.create_news_item, "newsfeed": self.control.create_newsfeed,
            "collection": self.control.create_collection,
        }  # fmt: skip
        name = self.random.choice(sorted(create))
        return f"create {name} {create[name](self.word())}"

    def update_record(self) -> str | None:
        kind, title = self.random.choice(
            [("articles", "title"), ("macros", "name"), ("news_items", "title"),
             ("newsfeeds", "name"), ("collections", "name"), ("calls", "ended_reason")]
        )  # fmt: skip
        id = self.some_record(kind)
        if id is None:
            return None
        update = self.one([self.control.update_record, self.control.update_record_silently])
        update(kind, id, **{title: self.word()})
        return f"{update.__name__} {kind} {id}"

    def delete_record(self) -> str | None:
        kind = self.random.choice(["articles", "macros", "news_items", "newsfeeds", "collections"])
        id = self.some_record(kind)
        if id is None or len(self.space.directory(kind)) < 3:
            return None
        self.control.delete_record(kind, id)
        return f"delete {kind} {id}"

    def translate(self) -> str | None:
        id = self.some_record("articles")
        if id is not None:
            self.control.translate_article(id, self.one(["fr", "de"]), title=self.word())
        return id and f"translate articles {id}"

    def call(self) -> str | None:
        if len(self.space.calls) > 30:
            return None
        return f"create call {self.control.create_call(contact_id=self.any('contacts'))}"

    def log_activity(self) -> str:
        return f"log activity {self.control.log_activity(admin=self.admin())}"
