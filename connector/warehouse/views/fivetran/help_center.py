"""The Help Center in the shape; executes nothing."""

from __future__ import annotations

from connector.resources.declarations.help_center import (
    ARTICLES_TABLE,
    COLLECTIONS_TABLE,
    HELP_CENTERS_TABLE,
)
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.rows import living
from connector.warehouse.views.definitions import Around
from connector.warehouse.views.fivetran import columns as c
from connector.warehouse.views.fivetran.objects import history
from connector.warehouse.views.view import Shown, View


def articles(around: Around) -> View:
    """Articles with the collection that holds them; Intercom's lists carry no statistics."""
    table, collection = ARTICLES_TABLE, _collection(around.names)
    percentage = "percentage of readers who reacted"
    first = [
        *c.several(table, "id", "title", "state"),
        c.of(table, "author_id"),
        Shown(
            "collection_id",
            collection,
            "The first of articles.parent_ids that is a collection that lives.",
        ),
        c.nothing("section_id", "text", "Section that holds it: collections have replaced these"),
        *c.several(table, "description", "body", "url"),
        c.constant("type", "article", "What it is: article."),
        Shown(
            "parent_type",
            f"CASE WHEN {collection} IS NOT NULL THEN 'collection'::text END",
            "collection where a collection holds it.",
        ),
        *c.several(table, "default_locale", "workspace_id"),
        c.nothing("statistics_type", "text", "Kind of its statistics"),
        c.nothing("statistics_views", "integer", "Number of views"),
        c.nothing("statistics_conversations", "integer", "Number of conversations begun from it"),
        c.nothing("statistics_reactions", "integer", "Number of reactions"),
        *(
            c.nothing(
                f"statistics_{mood}_reaction_percentage",
                "double precision",
                f"{mood.capitalize()}: {percentage}",
            )
            for mood in ("happy", "neutral", "sad")
        ),
        *c.several(table, "created_at", "updated_at"),
    ]
    return history(around, "article_history", table, first)


def _collection(names: Names) -> str:
    listed = "CASE WHEN jsonb_typeof(o.parent_ids) = 'array' THEN o.parent_ids ELSE '[]' END"
    return (
        f"(SELECT p.id FROM jsonb_array_elements_text({listed}) WITH ORDINALITY p (id, place)"
        f" JOIN {names(COLLECTIONS_TABLE.name)} c ON c.id = p.id"
        f" WHERE {living('c')} ORDER BY p.place LIMIT 1)"
    )


def collections(around: Around) -> View:
    """Collections, those that are sections of others too."""
    table = COLLECTIONS_TABLE
    first = [
        *c.several(table, "id", "name", "help_center_id", "parent_id"),
        c.small(table, "order", "order"),
        *c.several(table, "description", "url", "icon"),
        c.constant("type", "collection", "What it is: collection."),
        *c.several(table, "default_locale", "workspace_id", "created_at", "updated_at"),
    ]
    return history(around, "collection_history", table, first)


def help_centers(around: Around) -> View:
    """Help Centers."""
    names = ("id", "display_name", "identifier", "website_turned_on", "workspace_id")
    first = c.several(HELP_CENTERS_TABLE, *names, "created_at", "updated_at")
    return history(around, "help_center_history", HELP_CENTERS_TABLE, first)
