"""What happens to content, calls, logs and catalogues; their lists do not lag."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from connector.simulator.changes.base import Changes
from connector.simulator.generation import catalogue
from connector.simulator.generation.content import (
    new_article,
    new_collection,
    new_news_item,
    new_newsfeed,
    translation,
)
from connector.simulator.generation.operations import iso, new_activity, new_call, new_macro
from connector.simulator.records.plain import PLAIN
from connector.simulator.records.workspace import DIRECTORIES, Gone, Record
from connector.simulator.webhooks import items

_LOGINS = {"admin_login_success": "admin.logged_in", "admin_logout": "admin.logged_out"}
_KINDS = (DIRECTORIES | PLAIN.keys()) - {"tags", "segments", "admins", "teams"}


class ContentChanges(Changes):
    """Changes to what is kept as plain records."""

    def create_article(self, title: str = "New article", **fields: Any) -> str:
        """A draft. Returns its id."""
        record = new_article(self._space, self._now, title, int(self._space.me))
        return self._keep("articles", record, fields)

    def translate_article(self, id: str, locale: str, **fields: Any) -> None:
        """Write another language: the article's updated_at follows the default one only."""
        article = self._space.articles[id]
        content = dict(article["translated_content"] or {"type": "article_translated_content"})
        content[locale] = translation(article, self._now, **fields)
        article["translated_content"] = content

    def view_article(self, id: str, views: int = 1) -> None:
        """Somebody reads it: statistics move no updated_at and are in no list."""
        statistics = self._space.articles[id]["statistics"]
        statistics["views"] += views

    def create_collection(self, name: str = "New collection", **fields: Any) -> str:
        """A collection. Returns its id."""
        return self._keep("collections", new_collection(self._space, self._now, name), fields)

    def create_news_item(self, title: str = "News", **fields: Any) -> str:
        """A draft of a news item. Returns its id."""
        record = new_news_item(self._space, self._now, title, int(self._space.me))
        return self._keep("news_items", record, fields)

    def create_newsfeed(self, name: str = "Feed", **fields: Any) -> str:
        """A newsfeed. Returns its id."""
        return self._keep("newsfeeds", new_newsfeed(self._space, self._now, name), fields)

    def create_macro(self, name: str = "Macro", **fields: Any) -> str:
        """A macro. Returns its id."""
        return self._keep("macros", new_macro(self._space, self._now, name), fields)

    def create_call(self, **fields: Any) -> str:
        """A call that ends as it begins. Returns its id."""
        return self._keep("calls", new_call(self._space, self._now, **fields), {})

    def log_activity(
        self,
        kind: str = "app_name_change",
        admin: str | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> str:
        """An admin did something. Returns the entry's id."""
        author = self._author(admin)
        entry = new_activity(self._space, self._now, author, kind, metadata)
        self._space.activity_logs.append(entry)
        self._tell("admin.activity_log_event.created", items.activity, entry)
        if kind in _LOGINS:
            self._tell(_LOGINS[kind], items.admin, author)
        return str(entry["id"])

    def create_record(self, kind: str, **fields: Any) -> str:
        """One more of a plain list, like its first but for these fields. Returns its id."""
        id = self._space.next_number(kind, 900_001)
        like = deepcopy(next(iter(self._space.directory(kind).values())))
        return self._keep(kind, {**like, "id": str(id)}, fields)

    def update_record(self, kind: str, id: str, **fields: Any) -> None:
        """Set fields of an article, a macro, a ticket type …; updated_at moves where there is one.

        Calls keep the notation of their times.
        """
        record = self._record(kind, id)
        before = dict(record)
        record.update(fields)
        if "updated_at" in record and "updated_at" not in fields:
            written = isinstance(record["updated_at"], str)
            record["updated_at"] = iso(self._now) if written else self._now
        self._tell_update(kind, before, record)

    def update_record_silently(self, kind: str, id: str, **fields: Any) -> None:
        """Set fields and leave updated_at alone."""
        self._record(kind, id).update(fields)

    def delete_record(self, kind: str, id: str) -> None:
        """Delete: gone from its list and by id at once."""
        record = self._record(kind, id)
        del self._space.directory(kind)[id]
        self._space.bury(Gone(kind, id, "deleted", self._now))
        if kind == "articles":
            self._tell("article.deleted", items.article, record)

    def create_data_attribute(self, model: str, name: str, data_type: str = "string") -> str:
        """A custom attribute of contacts, companies or conversations. Returns its full name."""
        space = self._space
        if model == "conversation":
            record = catalogue.of_conversations(space, name, data_type, self._now)
            space.conversation_attributes.append(record)
            return name
        record = catalogue.custom(space, model, name, data_type, self._now)
        space.data_attributes.append(record)
        return str(record["full_name"])

    def update_data_attribute(self, model: str, name: str, **fields: Any) -> None:
        """Set fields (`archived`, `data_type`); custom ones have an updated_at that moves."""
        record = self._attribute(model, name)
        record.update(fields)
        if "updated_at" in record:
            record["updated_at"] = self._now

    def remove_data_attribute(self, model: str, name: str) -> None:
        """It vanishes from its list, also from that of archived ones."""
        gone = self._attribute(model, name)
        for known in (self._space.data_attributes, self._space.conversation_attributes):
            known[:] = [record for record in known if record is not gone]

    def _attribute(self, model: str, name: str) -> Record:
        space = self._space
        known = space.conversation_attributes if model == "conversation" else space.data_attributes
        for record in known:
            if record["name"] == name and record.get("model", model) == model:
                return record
        raise KeyError(f"no attribute {name} of {model}")

    def _record(self, kind: str, id: str) -> Record:
        if kind not in _KINDS:
            raise KeyError(f"{kind} have methods of their own")
        return self._space.directory(kind)[id]

    def _keep(self, kind: str, record: Record, fields: dict[str, Any]) -> str:
        record.update(fields)
        self._space.directory(kind)[record["id"]] = record
        if kind == "articles":
            self._tell("article.created", items.article, record)
        elif kind == "calls":
            self._tell_call(record)
        return str(record["id"])

    def _tell_update(self, kind: str, before: Record, after: Record) -> None:
        if kind == "articles":
            self._tell("article.updated", items.article, after)
            if after["state"] != before["state"]:
                published = after["state"] == "published"
                topic = "article.published" if published else "article.unpublished"
                self._tell(topic, items.article, after)
        elif kind == "calls":
            # What is known later is its text.
            self._tell("call.transcription_available", items.call, after)

    def _tell_call(self, record: Record) -> None:
        self._tell("call.started", items.call, record)
        if record["ended_at"] is not None:
            self._tell("call.ended", items.call, record)
        if record["recording_url"] is not None:
            self._tell("call.recording_available", items.call, record)
