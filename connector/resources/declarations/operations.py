"""Calls, activity logs, macros and news: read where the token's scopes and the plan allow it."""

from connector.resources.readings import Catalogue, Log
from connector.resources.resource import (
    Column,
    Kind,
    Notified,
    Resource,
    Table,
    count,
    flag,
    identifier,
    instant,
    json,
    mapping,
    personal,
    text,
    url,
)

CALLS_TABLE = Table(
    name="calls",
    comment="Phone and video calls.",
    columns=(
        identifier("id", "Intercom's id of the call"),
        identifier("conversation_id", "Conversation of the call", refers_to="conversations"),
        identifier("admin_id", "Admin on the call", refers_to="admins"),
        identifier("contact_id", "Contact on the call", refers_to="contacts"),
        text("state", "State of the call"),
        instant("initiated_at", "When it was begun"),
        instant("answered_at", "When it was answered"),
        instant("ended_at", "When it ended"),
        instant("created_at", "When its record was created"),
        instant("updated_at", "When its record last changed"),
        *personal(
            "contact_id",
            url("recording_url", "Address of the recording"),
            url("transcription_url", "Address of the transcript"),
        ),
        text("call_type", "Kind of call: phone, messenger, ..."),
        text("direction", "inbound or outbound"),
        text("ended_reason", "Why it ended"),
        *personal("contact_id", text("phone", "Phone number of the contact")),
        count("duration", "Length of the call in seconds"),
        count("talk_time", "Seconds of talk"),
        count("hold_time", "Seconds on hold"),
        count("queue_time", "Seconds in the queue"),
        *personal(
            "contact_id",
            url("fin_recording_url", "Address of the recording of the AI agent's part"),
            url("fin_transcription_url", "Address of the transcript of the AI agent's part"),
        ),
    ),
)

ACTIVITY_LOGS_TABLE = Table(
    name="activity_logs",
    comment="What admins did in the workspace; entries are only ever added.",
    columns=(
        identifier("id", "Intercom's id of the entry"),
        identifier("performed_by.id", "Id of who did it"),
        text("performed_by.type", "Kind of who did it"),
        text("performed_by.email", "Email address of who did it, as logged"),
        text("performed_by.ip", "IP address from which it was done"),
        mapping("metadata", "Details, by the kind of activity"),
        instant("created_at", "When it was done"),
        text("activity_type", "Kind of activity"),
        text("activity_description", "Sentence that describes it"),
    ),
)

MACROS_TABLE = Table(
    name="macros",
    comment="Macros: saved replies.",
    columns=(
        identifier("id", "Intercom's id of the macro"),
        text("name", "Name of the macro"),
        text("body", "Text as HTML with placeholders"),
        text("body_text", "Text as plain text with placeholders"),
        instant("created_at", "When it was created"),
        instant("updated_at", "When it last changed"),
        text("visible_to", "everyone or specific_teams"),
        json("visible_to_team_ids", "Ids of the teams that see it"),
        json("available_on", "Where it can be used: inbox, messenger"),
    ),
)

NEWS_ITEMS_TABLE = Table(
    name="news_items",
    comment="News items.",
    columns=(
        identifier("id", "Intercom's id of the news item"),
        identifier("workspace_id", "Code of the Intercom workspace"),
        text("title", "Title"),
        text("body", "Text as HTML"),
        Column("sender_id", Kind.ID, "Admin who sends it", "", "admins", zero_is_null=True),
        text("state", "draft or live"),
        json("newsfeed_assignments", "Newsfeeds it is assigned to"),
        json("labels", "Labels"),
        url("cover_image_url", "Address of the cover image"),
        json("reactions", "Reactions offered to readers"),
        flag("deliver_silently", "Whether it is delivered without a notification"),
        instant("created_at", "When it was created"),
        instant("updated_at", "When it last changed"),
    ),
)

NEWSFEEDS_TABLE = Table(
    name="newsfeeds",
    comment="Newsfeeds.",
    columns=(
        identifier("id", "Intercom's id of the newsfeed"),
        text("name", "Name of the newsfeed"),
        instant("created_at", "When it was created"),
        instant("updated_at", "When it last changed"),
    ),
)

CALLS = Resource(
    "calls",
    CALLS_TABLE,
    Catalogue("/calls", per_page=25, grows=True),
    by_id="/calls/{id}",
    optional=True,
    notified=Notified(
        ("call",),
        (
            "call.started",
            "call.ended",
            "call.transcription_available",
            "call.recording_available",
        ),
    ),
)
ACTIVITY_LOGS = Resource(
    "activity_logs",
    ACTIVITY_LOGS_TABLE,
    Log("/admins/activity_logs", "activity_logs", since="created_at_after"),
    optional=True,
)
MACROS = Resource(
    "macros",
    MACROS_TABLE,
    Catalogue("/macros", per_page=150, by_cursor=True),
    by_id="/macros/{id}",
    optional=True,
)
NEWS_ITEMS = Resource(
    "news_items",
    NEWS_ITEMS_TABLE,
    Catalogue("/news/news_items", per_page=50),
    by_id="/news/news_items/{id}",
    optional=True,
)
NEWSFEEDS = Resource(
    "newsfeeds",
    NEWSFEEDS_TABLE,
    Catalogue("/news/newsfeeds", per_page=50),
    by_id="/news/newsfeeds/{id}",
    optional=True,
)
