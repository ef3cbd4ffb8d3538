"""Generates what a workspace publishes: Help Centers, articles, news; knows no lists."""

from __future__ import annotations

from random import Random
from typing import Any

from connector.simulator.generation import texts
from connector.simulator.records.workspace import Record, Sizes, Workspace
from connector.simulator.times import History

_HELP = "https://help.example.com"


def fill(space: Workspace, random: Random, sizes: Sizes, years: float) -> None:
    """Put published content into the workspace."""
    maker = _Maker(space, random, years)
    articles, news = sizes.articles or 0, sizes.news_items or 0
    if articles:
        maker.help_centers()
        maker.collections(min(60, 2 + articles // 6))
    for _ in range(articles):
        maker.article()
    if news:
        maker.newsfeeds()
    for _ in range(news):
        maker.news_item()


def new_article(space: Workspace, created: int, title: str, author: int) -> Record:
    """An article with one language and no readers; lists leave the statistics out."""
    id = str(space.next_number("article", 39))
    return {
        "id": id,
        "type": "article",
        "workspace_id": space.app["id_code"],
        "title": title,
        "description": "",
        "body": "",
        "body_markdown": "",
        "author_id": author,
        "state": "draft",
        "created_at": created,
        "updated_at": created,
        "has_unpublished_changes": False,
        "draft_updated_at": None,
        "url": None,
        "parent_ids": [],
        "ai_chatbot_availability": True,
        "ai_copilot_availability": True,
        "ai_sales_agent_availability": False,
        "created_by_id": author,
        "updated_by_id": author,
        "exclude_from_article_suggestions": False,
        "help_center_audience": "everyone",
        "scheduled_publish_at": None,
        "scheduled_unpublish_at": None,
        "default_locale": "en",
        "translated_content": None,
        "tags": {"type": "tag.list", "tags": []},
        "statistics": {
            "type": "article_statistics",
            "views": 0,
            "conversions": 0,
            "reactions": 0,
            "happy_reaction_percentage": 0.0,
            "neutral_reaction_percentage": 0.0,
            "sad_reaction_percentage": 0.0,
            "fin_involvements": 0,
            "fin_resolutions": 0,
            "fin_resolution_rate": 0.0,
        },
    }


def translation(article: Record, at: int, **fields: Any) -> Record:
    """An article in one language."""
    kept = (
        "title", "body", "body_markdown", "author_id", "state",
        "has_unpublished_changes", "draft_updated_at", "ai_chatbot_availability",
        "ai_copilot_availability", "ai_sales_agent_availability", "created_by_id", "updated_by_id",
    )  # fmt: skip
    return {
        "type": "article_content",
        **{name: article[name] for name in kept},
        "description": article["description"] or "",
        "url": article["url"] or f"{_HELP}/en/articles/{article['id']}",
        "audience_ids": None,
        "created_at": article["created_at"],
        "updated_at": at,
        **fields,
    }


def new_collection(space: Workspace, created: int, name: str) -> Record:
    """A collection at the top, in no Help Center."""
    id = str(space.next_number("collection", 159))
    return {
        "id": id,
        "workspace_id": space.app["id_code"],
        "name": name,
        "url": f"{_HELP}/collection-{id}",
        "order": int(id),
        "created_at": created,
        "updated_at": created,
        "description": None,
        "icon": "bookmark",
        "default_locale": "en",
        "translated_content": None,
        "parent_id": None,
        "help_center_id": None,
    }


def new_news_item(space: Workspace, created: int, title: str, sender: int) -> Record:
    """A draft of a news item."""
    return {
        "id": str(space.next_number("news_item", 29)),
        "type": "news-item",
        "workspace_id": space.app["id_code"],
        "title": title,
        "body": "<p>Hello there,</p>",
        "sender_id": sender,
        "state": "draft",
        "labels": [],
        "cover_image_url": None,
        "reactions": [None, None, None, None],
        "deliver_silently": False,
        "created_at": created,
        "updated_at": created,
        "newsfeed_assignments": [],
    }


def new_newsfeed(space: Workspace, created: int, name: str) -> Record:
    """A newsfeed."""
    id = str(space.next_number("newsfeed", 68))
    times = {"created_at": created, "updated_at": created}
    return {"id": id, "type": "newsfeed", "name": name, **times}


class _Maker:
    def __init__(self, space: Workspace, random: Random, years: float) -> None:
        self.space = space
        self.random = random
        self.history = History(random, space.now, years)
        # Authors are not only those who are still there.
        self.authors = [int(id) for id in (*space.admins, *space.removed_admins)]

    def help_centers(self) -> None:
        created = self.space.app["created_at"]
        for id, name, domain, locales in (
            ("79", "Acme &amp; Söhne Help", "help.example.com", ["en", "fr", "pt-BR"]),
            ("93", "Partners", None, ["de"]),
        ):
            self.space.help_centers[id] = {
                "id": id,
                "workspace_id": self.space.app["id_code"],
                "created_at": created,
                "updated_at": created + 86_400,
                "identifier": f"help-center-{id}",
                "website_turned_on": domain is not None,
                "display_name": name,
                "url": f"https://{domain or 'intercom.help/partners'}",
                "custom_domain": domain,
                "default": id == "79",
                "locales": locales,
            }

    def collections(self, count: int) -> None:
        random, space = self.random, self.space
        for number in range(count):
            record = new_collection(space, self.history.created(), f"{texts.words(random, 2)}")
            record["updated_at"] = self.history.updated(record["created_at"])
            if number and random.random() < 0.4:
                # Sections belong to a collection, not to a Help Center of their own.
                record["parent_id"] = random.choice(list(space.collections))
            else:
                record["help_center_id"] = int(random.choice(list(space.help_centers)))
            if random.random() < 0.5:
                text = {"type": "group_content", "name": record["name"], "description": "é"}
                record["description"] = texts.words(random, 5)
                record["translated_content"] = {
                    "type": "group_translated_content",
                    "en": text,
                    "fr": {**text, "name": "Démarrer"},
                    "de": None,
                }
            space.collections[record["id"]] = record

    def article(self) -> None:
        random, space = self.random, self.space
        created = self.history.created()
        record = new_article(space, created, texts.words(random, 4), random.choice(self.authors))
        record["updated_at"] = self.history.updated(created)
        record["updated_by_id"] = random.choice([*self.authors, None])
        record["description"] = random.choice([None, "", texts.words(random, 6)])
        record["body"] = texts.html_body(random)
        record["body_markdown"] = texts.words(random, 10)
        count = random.choice([0, 1, 1, 2])
        record["parent_ids"] = [int(one) for one in random.sample(list(space.collections), count)]
        if random.random() < 0.8:
            record["state"] = "published"
            record["url"] = f"{_HELP}/en/articles/{record['id']}-größe"
        if random.random() < 0.2:
            record.update(has_unpublished_changes=True, draft_updated_at=record["updated_at"])
        if space.tags and random.random() < 0.2:
            record["tags"]["tags"] = [dict(space.tags[random.choice(list(space.tags))])]
        if random.random() < 0.3:
            record["help_center_audience"] = random.choice(["restricted", "all_users", None])
        if random.random() < 0.4:
            at = self.history.between(created, record["updated_at"])
            record["translated_content"] = {
                "type": "article_translated_content",
                "en": translation(record, record["updated_at"]),
                "fr": translation(record, at, title="Démarrer 🚀", state="draft"),
                "pt-BR": None,
            }
        views = random.choice([0, 7, 12_345])
        record["statistics"].update(views=views, reactions=views // 9, fin_involvements=views // 3)
        if views:
            record["statistics"]["happy_reaction_percentage"] = 33.33
        space.articles[record["id"]] = record

    def newsfeeds(self) -> None:
        created = self.space.app["created_at"]
        for name in ("Visitor feed", "Users &amp; leads"):
            record = new_newsfeed(self.space, created, name)
            self.space.newsfeeds[record["id"]] = record

    def news_item(self) -> None:
        random, space = self.random, self.space
        created = self.history.created()
        sender = random.choice(self.authors)
        record = new_news_item(space, created, texts.words(random, 3), sender)
        record["updated_at"] = self.history.updated(created)
        if random.random() < 0.7:
            feeds = random.sample(list(space.newsfeeds), random.randint(1, 2))
            record["state"] = "live"
            record["newsfeed_assignments"] = [
                {"newsfeed_id": int(id), "published_at": created + 60} for id in feeds
            ]
            record["labels"] = random.choice([[], ["Product"], ["Nouveauté", "β"]])
            record["reactions"] = random.choice([["👍", "👎", None, None], [None] * 4])
            record["cover_image_url"] = random.choice([None, texts.file_url(random, "c.png")])
        space.news_items[record["id"]] = record
