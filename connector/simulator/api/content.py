"""Serves Help Centers, collections, articles and news, in page-number lists that shift."""

from __future__ import annotations

from connector.simulator.api.pages import by_id, newest_first, numbered
from connector.simulator.messages import Response
from connector.simulator.records.workspace import Record
from connector.simulator.requests.call import Call, not_found
from connector.simulator.requests.routing import Route


def list_articles(call: Call) -> Response:
    """GET /articles: the last changed first, without statistics."""
    found = newest_first(call.listed("articles"))
    listed = [{k: v for k, v in one.items() if k != "statistics"} for one in found]
    return numbered(call, "articles", [_parents(call, one) for one in listed], 25)


def get_article(call: Call) -> Response:
    """GET /articles/{id}: with statistics."""
    record = call.space.articles.get(call.params[0])
    if record is None:
        raise not_found()
    return call.json(_parents(call, record))


def _parents(call: Call, record: Record) -> Record:
    if call.is_at_least(16):
        return record
    # Before 2.16 one parent stood out.
    ids = record["parent_ids"]
    kind = "collection" if ids else None
    return {**record, "parent_id": ids[0] if ids else None, "parent_type": kind}


def list_collections(call: Call) -> Response:
    """GET /help_center/collections: the last changed first."""
    return numbered(call, "collections", newest_first(call.listed("collections")), 20)


def list_help_centers(call: Call) -> Response:
    """GET /help_center/help_centers: whole."""
    return call.json({"type": "list", "data": call.listed("help_centers")})


def list_news_items(call: Call) -> Response:
    """GET /news/news_items."""
    return numbered(call, "news_items", call.listed("news_items"), 10)


def list_newsfeeds(call: Call) -> Response:
    """GET /news/newsfeeds."""
    return numbered(call, "newsfeeds", call.listed("newsfeeds"), 10)


def newsfeed_items(call: Call) -> Response:
    """GET /news/newsfeeds/{id}/items: the live ones assigned to it."""
    feed = call.params[0]
    if feed not in call.space.newsfeeds:
        raise not_found()
    found = [
        item
        for item in call.listed("news_items")
        if item["state"] == "live"
        and any(str(one["newsfeed_id"]) == feed for one in item["newsfeed_assignments"])
    ]
    return numbered(call, "news_items", found, 20)


ROUTES = [
    Route("GET", "/articles", list_articles),
    Route("GET", "/articles/{}", get_article),
    Route("GET", "/help_center/collections", list_collections),
    Route("GET", "/help_center/collections/{}", by_id("collections")),
    Route("GET", "/help_center/help_centers", list_help_centers),
    Route("GET", "/help_center/help_centers/{}", by_id("help_centers")),
    Route("GET", "/news/news_items", list_news_items),
    Route("GET", "/news/news_items/{}", by_id("news_items")),
    Route("GET", "/news/newsfeeds", list_newsfeeds),
    Route("GET", "/news/newsfeeds/{}", by_id("newsfeeds")),
    Route("GET", "/news/newsfeeds/{}/items", newsfeed_items),
]
