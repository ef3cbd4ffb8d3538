"""The Help Center: help centers, collections and articles, each read whole."""

from connector.resources.readings import Catalogue, Snapshot
from connector.resources.resource import (
    Embedded,
    Notified,
    Resource,
    Table,
    assignee,
    count,
    flag,
    identifier,
    instant,
    json,
    text,
)

HELP_CENTERS_TABLE = Table(
    name="help_centers",
    comment="Help Centers of the workspace.",
    columns=(
        identifier("id", "Intercom's id of the Help Center"),
        identifier("workspace_id", "Code of the Intercom workspace"),
        instant("created_at", "When it was created"),
        instant("updated_at", "When it last changed"),
        text("identifier", "Identifier in its address"),
        flag("website_turned_on", "Whether its website is public"),
        text("display_name", "Name that visitors see"),
        text("url", "Address of its website"),
        text("custom_domain", "Domain of the customer's own that leads to it"),
        flag("default", "Whether it is the workspace's default"),
        json("locales", "Codes of its languages"),
    ),
)

COLLECTIONS_TABLE = Table(
    name="collections",
    comment="Collections of articles; those with a parent are sections of it.",
    columns=(
        identifier("id", "Intercom's id of the collection"),
        identifier("workspace_id", "Code of the Intercom workspace"),
        text("name", "Name in the default language"),
        text("description", "Description in the default language"),
        instant("created_at", "When it was created"),
        instant("updated_at", "When it last changed"),
        text("url", "Address in the Help Center"),
        text("icon", "Name of its icon"),
        count("order", "Place among its siblings"),
        text("default_locale", "Code of the default language"),
        json("translated_content", "Name and description by language"),
        assignee("parent_id", "Collection it is a section of; null at the top", "collections"),
        assignee("help_center_id", "Help Center it belongs to", "help_centers"),
    ),
)

ARTICLES_TABLE = Table(
    name="articles",
    comment="Articles of the Help Center. updated_at follows the default language only.",
    columns=(
        identifier("id", "Intercom's id of the article"),
        identifier("workspace_id", "Code of the Intercom workspace"),
        text("title", "Title in the default language"),
        text("description", "Description in the default language"),
        text("body", "Text in the default language as HTML"),
        text("body_markdown", "Text in the default language as Markdown"),
        assignee("author_id", "Admin who wrote it", "admins"),
        text("state", "published or draft"),
        instant("created_at", "When it was created"),
        instant("updated_at", "When the default language last changed"),
        flag("has_unpublished_changes", "Whether there is a draft beside what is published"),
        instant("draft_updated_at", "When that draft last changed"),
        text("url", "Address in the Help Center"),
        json("parent_ids", "Ids of the collections that hold it"),
        flag("ai_chatbot_availability", "Whether the AI agent may use it"),
        flag("ai_copilot_availability", "Whether the teammates' copilot may use it"),
        flag("ai_sales_agent_availability", "Whether the sales agent may use it"),
        assignee("created_by_id", "Admin who created it", "admins"),
        assignee("updated_by_id", "Admin who last changed it", "admins"),
        flag("exclude_from_article_suggestions", "Whether it is left out of suggestions"),
        text("help_center_audience", "Who may see it"),
        instant("scheduled_publish_at", "When it will be published"),
        instant("scheduled_unpublish_at", "When it will be withdrawn"),
        text("default_locale", "Code of the default language"),
        json("translated_content", "Title, text and state by language"),
        json(
            "tags.tags",
            "Tags on the article, a list of references",
            name="tags",
            embeds=(Embedded("tags"),),
        ),
    ),
)

HELP_CENTERS = Resource(
    "help_centers",
    HELP_CENTERS_TABLE,
    Snapshot("/help_center/help_centers"),
    by_id="/help_center/help_centers/{id}",
)
COLLECTIONS = Resource(
    "collections",
    COLLECTIONS_TABLE,
    Catalogue("/help_center/collections", per_page=50),
    by_id="/help_center/collections/{id}",
)
ARTICLES = Resource(
    "articles",
    ARTICLES_TABLE,
    Catalogue("/articles", per_page=50),
    by_id="/articles/{id}",
    notified=Notified(
        ("article",),
        (
            "article.created",
            "article.updated",
            "article.published",
            "article.unpublished",
            "article.deleted",
        ),
    ),
)
