"""What happens to tags, segments, admins, teams and the app; their lists do not lag."""

from __future__ import annotations

from typing import Any

from connector.simulator.changes.base import Changes
from connector.simulator.encoding import decode, encode, render
from connector.simulator.generation.companies import company_item
from connector.simulator.generation.directory import admin
from connector.simulator.records.shelf import Item
from connector.simulator.records.thread import Thread
from connector.simulator.records.workspace import Gone, Record
from connector.simulator.times import object_id
from connector.simulator.webhooks import items


class DirectoryChanges(Changes):
    """Changes to the small whole lists."""

    def create_tag(self, name: str) -> str:
        """A new tag. Returns its id."""
        id = str(8_000_000 + self._space.next_number("tag"))
        self._space.tags[id] = {"type": "tag", "id": id, "name": name}
        return id

    def rename_tag(self, id: str, name: str) -> None:
        """Rename; records that embed the name show the new one and do not tell."""
        self._space.tags[id] = {**self._space.tags[id], "name": name}

        def rename(tags: list[Record]) -> list[Record]:
            return [{**tag, "name": name} if tag["id"] == id else tag for tag in tags]

        self._rewrite_tags(id, rename)

    def delete_tag(self, id: str) -> None:
        """Delete; it disappears from everything it was on, and no updated_at moves."""
        del self._space.tags[id]
        self._bury_small("tags", id)
        self._retie(
            lambda ties: ties._replace(tags=tuple(tag for tag in ties.tags if tag.id != id))
        )
        self._rewrite_tags(id, lambda tags: [tag for tag in tags if tag["id"] != id])

    def create_segment(self, name: str, person_type: str = "user") -> str:
        """A new segment. Returns its id."""
        number = self._space.next_number("segment", 0x300000)
        id = object_id(self._now, "5e9d3bffd0", number)
        self._space.segments[id] = {
            "type": "segment",
            "id": id,
            "name": name,
            "created_at": self._now,
            "updated_at": self._now,
            "person_type": person_type,
        }
        return id

    def update_segment(self, id: str, **fields: Any) -> None:
        """Change its definition: updated_at moves. Membership does not do that."""
        self._space.segments[id].update({"updated_at": self._now, **fields})

    def delete_segment(self, id: str) -> None:
        """Delete."""
        del self._space.segments[id]
        self._bury_small("segments", id)

    def create_admin(self, name: str, email: str) -> str:
        """A new admin. Returns its id."""
        id = str(991_300_000 + self._space.next_number("admin"))
        self._space.admins[id] = admin(id, name, email)
        self._tell("admin.added_to_workspace", items.admin, self._space.admins[id])
        return id

    def update_admin(self, id: str, **fields: Any) -> None:
        """Change an admin; admins have no updated_at."""
        record = self._space.admins[id]
        away = record["away_mode_enabled"]
        record.update(fields)
        if record["away_mode_enabled"] != away:
            self._tell("admin.away_mode_updated", items.admin, record)

    def remove_admin(self, id: str) -> None:
        """The admin leaves: gone from lists and teams, still named by parts and assignments."""
        self._space.removed_admins[id] = self._space.admins.pop(id)
        self._bury_small("admins", id)
        self._tell("admin.removed_from_workspace", items.admin, self._space.removed_admins[id])
        for team in self._space.teams.values():
            team["admin_ids"] = [one for one in team["admin_ids"] if str(one) != id]
            for name, ids in team["admin_priority_level"].items():
                team["admin_priority_level"][name] = [one for one in ids if str(one) != id]

    def create_team(self, name: str, admin_ids: list[str] | None = None) -> str:
        """A new team. Returns its id."""
        id = str(6_000_000 + self._space.next_number("team"))
        self._space.teams[id] = {
            "type": "team",
            "id": id,
            "name": name,
            "admin_ids": [int(one) for one in admin_ids or []],
            "admin_priority_level": {"primary_admin_ids": [], "secondary_admin_ids": []},
            "assignment_limit": None,
            "distribution_method": None,
        }
        return id

    def update_team(self, id: str, **fields: Any) -> None:
        """Change a team."""
        self._space.teams[id].update(fields)

    def delete_team(self, id: str) -> None:
        """Delete."""
        del self._space.teams[id]
        self._bury_small("teams", id)

    def set_timezone(self, timezone: str) -> None:
        """Move the workspace, and with it the days of the contact search."""
        self._space.app["timezone"] = timezone

    def _bury_small(self, kind: str, id: str) -> None:
        self._space.bury(Gone(kind, id, "deleted", self._now))

    def _rewrite_tags(self, id: str, change: Any) -> None:
        mark = encode(id)
        for kind in ("companies", "conversations"):
            for item in list(self._space.shelf(kind).current.values()):
                if mark in item.body:
                    record = decode(item.body)
                    record["tags"]["tags"] = change(record["tags"]["tags"])
                    self._put(kind, self._remade(kind, item, record, id, change))
        for article in self._space.articles.values():
            article["tags"]["tags"] = change(article["tags"]["tags"])

    def _remade(self, kind: str, item: Item, record: Record, id: str, change: Any) -> Item:
        if kind == "companies":
            return company_item(record)
        thread = Thread(self._space, record, list(item.owned))
        for number, raw in enumerate(thread.parts):
            if encode(id) in raw:
                part = decode(raw)
                part["tags"] = change(part["tags"])
                thread.parts[number] = render(part)
        return thread.item()
