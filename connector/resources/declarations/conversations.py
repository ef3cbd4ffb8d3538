"""Conversations with their parts: searched by the second, then read whole, one GET each."""

from connector.resources.readings import Deletions, Granularity, Search
from connector.resources.resource import (
    Attributes,
    Child,
    Column,
    Embedded,
    Link,
    Notified,
    Parts,
    Resource,
    Table,
    anyone,
    assignee,
    count,
    files,
    flag,
    identifier,
    instant,
    json,
    mapping,
    personal,
    text,
    url,
)

ATTACHMENTS = Table(
    name="conversation_part_attachments",
    comment="Files attached to conversation parts, in the order of the part's list.",
    columns=(
        *personal(
            "author_id",
            text("name", "Name of the file"),
            url("url", "Address of the file"),
        ),
        text("content_type", "MIME type of the file"),
        count("filesize", "Size of the file in bytes"),
        count("width", "Width of an image in pixels"),
        count("height", "Height of an image in pixels"),
    ),
    positioned=True,
)


def author(path: str, of: str) -> tuple[Column, ...]:
    """An author as it was when writing: history, kept as sent."""
    return (
        identifier(f"{path}.id", f"Id of the author of {of}: an admin, contact, bot or team"),
        text(f"{path}.type", f"Kind of the author of {of}"),
        *personal(
            f"{path.replace('.', '_')}_id",
            text(f"{path}.name", f"Name of the author of {of} as sent"),
            text(f"{path}.email", f"Email address of the author of {of} as sent"),
        ),
        flag(f"{path}.from_ai_agent", f"Whether the author of {of} is the AI agent"),
        flag(f"{path}.is_ai_answer", f"Whether {of} is an answer by the AI agent"),
    )


def email_message(path: str, author: str, of: str) -> tuple[Column, ...]:
    """What Intercom keeps of the email that a message came by.

    Its addresses and what it quotes are about the contacts of the conversation, whoever wrote it.
    """
    return (
        *personal(
            author,
            text(f"{path}.subject", "Subject of the email"),
            text(f"{path}.message_id", "Message-ID of the email"),
        ),
        *personal(
            "conversation_contacts",
            json(f"{path}.email_address_headers", "Senders and recipients of the email"),
            text(f"{path}.history", f"Quoted history of the {of}"),
        ),
    )


PARTS = Table(
    name="conversation_parts",
    comment="Parts of conversations: replies, notes, assignments, state changes. Intercom returns"
    " the newest 500 of a conversation; parts seen earlier are kept.",
    columns=(
        identifier("id", "Intercom's id of the part"),
        text("part_type", "What the part is: comment, note, assignment, close, ..."),
        *personal(
            "author_id",
            text("body", "Text of the part as HTML; null where there is none or it was redacted"),
        ),
        instant("created_at", "When the part was created"),
        instant("updated_at", "When the part last changed"),
        instant("notified_at", "When the recipient was notified"),
        anyone("assigned_to.id", "Id of whom the part assigned the conversation to"),
        text("assigned_to.type", "Kind of whom the part assigned the conversation to"),
        *author("author", "the part"),
        identifier("external_id", "Id of the part in the system it was imported from"),
        flag("redacted", "Whether the text was redacted"),
        text("state", "State of the conversation when the part was written"),
        text("app_package_code", "Code of the app that made the part"),
        *email_message("email_message_metadata", "author_id", "email"),
        *personal(
            "author_id",
            mapping("metadata", "Details of the part, such as quick replies"),
            json("event_details", "What happened, for parts that record an event"),
        ),
    ),
    links=(
        Link(
            table="conversation_part_tags",
            comment="Which tags are on which part of a conversation.",
            path="tags|tags.tags|tags.data",
            owner="part_id",
            target="tag_id",
            refers_to="tags",
            columns=(
                instant("applied_at", "When the tag was applied, where Intercom tells"),
                identifier("applied_by.id", "Id of who applied the tag, where Intercom tells"),
                text("applied_by.type", "Kind of who applied the tag, where Intercom tells"),
            ),
            null_is_empty=True,  # the description lets Intercom write null where there is none
        ),
    ),
    children=(Child(ATTACHMENTS, "attachments", "part_id", permanent=False),),
)

TEAM = (Embedded("teams", prefix="team_"),)

STATISTICS = (
    count("statistics.time_to_assignment", "Seconds until the last assignment before first reply"),
    count("statistics.time_to_admin_reply", "Seconds until the first reply by an admin"),
    count("statistics.time_to_first_close", "Seconds until the conversation was first closed"),
    count("statistics.time_to_last_close", "Seconds until the conversation was last closed"),
    count("statistics.median_time_to_reply", "Median of the admins' reply times in seconds"),
    instant("statistics.first_contact_reply_at", "When a contact first replied"),
    instant("statistics.first_assignment_at", "When the conversation was first assigned"),
    instant("statistics.first_admin_reply_at", "When an admin first replied"),
    instant("statistics.first_close_at", "When the conversation was first closed"),
    instant("statistics.last_assignment_at", "When the conversation was last assigned"),
    instant(
        "statistics.last_assignment_admin_reply_at",
        "When an admin first replied after the last assignment",
    ),
    instant("statistics.last_contact_reply_at", "When a contact last replied"),
    instant("statistics.last_admin_reply_at", "When an admin last replied"),
    instant("statistics.last_close_at", "When the conversation was last closed"),
    assignee("statistics.last_closed_by_id", "Admin who last closed it", "admins"),
    count("statistics.count_reopens", "How often the conversation was reopened"),
    count("statistics.count_assignments", "How often the conversation was assigned"),
    count("statistics.count_conversation_parts", "Number of parts, the first message counted"),
    json(
        "statistics.assigned_team_first_response_time",
        "First response time of each assigned team in seconds",
        embeds=TEAM,
    ),
    json(
        "statistics.assigned_team_first_response_time_in_office_hours",
        "First response time of each assigned team in seconds of its office hours",
        embeds=TEAM,
    ),
    count("statistics.handling_time", "Seconds that admins spent on the conversation"),
    count("statistics.adjusted_handling_time", "Handling time in seconds, adjusted by Intercom"),
)

AI_AGENT = (
    flag("ai_agent_participated", "Whether the AI agent took part"),
    text("ai_agent.source_type", "What started the AI agent"),
    text("ai_agent.source_title", "Title of what started the AI agent"),
    text("ai_agent.last_answer_type", "Type of the AI agent's last answer"),
    text("ai_agent.resolution_state", "How the AI agent's part ended"),
    count("ai_agent.rating", "Rating of the AI agent by the contact"),
    *personal(
        "conversation_contacts",
        text("ai_agent.rating_remark", "The contact's remark on the AI agent"),
    ),
    instant("ai_agent.created_at", "When the AI agent joined"),
    instant("ai_agent.updated_at", "When the AI agent's record last changed"),
    json(
        "ai_agent.content_sources.content_sources",
        "What the AI agent's answers drew on",
        name="ai_agent_content_sources",
    ),
    flag("sales_agent_participated", "Whether the sales agent took part"),
    text("sales_agent.outcome", "What the sales agent made of the lead"),
    text("sales_agent.routing_outcome", "Where the sales agent sent the lead"),
    *personal(
        "conversation_contacts",
        mapping("sales_agent.collected_data", "What the sales agent collected"),
    ),
)

TABLE = Table(
    name="conversations",
    attributes=Attributes("conversation"),
    comment="Conversations. parts_truncated marks those with more parts than Intercom returns. A"
    " Customer ticket is listed as a conversation too where the token may read tickets, under the"
    " same id: such rows stand in tickets as well, and conversations_live leaves them out.",
    columns=(
        identifier("id", "Intercom's id of the conversation"),
        *personal("source_author_id", text("title", "Title of the conversation")),
        instant("created_at", "When the conversation began"),
        instant("updated_at", "When the conversation last changed at Intercom"),
        instant("waiting_since", "Since when the contact waits for a reply; null if not"),
        instant("snoozed_until", "Until when the conversation is snoozed"),
        flag("open", "Whether the conversation is open"),
        text("state", "open, closed or snoozed"),
        flag("read", "Whether the conversation was read; does not move updated_at"),
        text("priority", "Priority: none, low, medium, high or urgent"),
        assignee("admin_assignee_id", "Admin to whom it is assigned; null if nobody", "admins"),
        assignee("team_assignee_id", "Team to which it is assigned; null if none", "teams"),
        identifier("company.id", "Company it belongs to", refers_to="companies"),
        identifier("source.id", "Id of the message that began it"),
        text("source.type", "How it began: conversation, email, push, facebook, ..."),
        text("source.delivered_as", "How the first message was delivered"),
        *personal(
            "conversation_contacts",  # also of what an admin sent to the contact
            json("source.recipients", "Recipients of the first message"),
            json("source.reply_to", "Reply-to addresses of the first message"),
        ),
        *personal(
            "source_author_id",
            text("source.subject", "Subject of the first message"),
            text("source.body", "Text of the first message as HTML"),
        ),
        *author("source.author", "the first message"),
        *personal(
            "source_author_id",
            files("source.attachments", "Files attached to the first message"),
            text("source.url", "Page on which the conversation was begun"),
        ),
        flag("source.redacted", "Whether the first message was redacted"),
        *email_message("source.email_message_metadata", "source_author_id", "first email"),
        instant("first_contact_reply.created_at", "When a contact first replied"),
        text("first_contact_reply.type", "How the contact first replied"),
        *personal(
            "conversation_contacts",
            text("first_contact_reply.url", "Page from which the contact first replied"),
        ),
        text("sla_applied.sla_name", "Name of the SLA that applies"),
        text("sla_applied.sla_status", "hit, missed, cancelled or active"),
        *STATISTICS,
        count("conversation_rating.rating", "Rating by the contact, 1 to 5", name="rating_rating"),
        *personal(
            "rating_contact_id",
            text("conversation_rating.remark", "The contact's remark", name="rating_remark"),
        ),
        instant(
            "conversation_rating.created_at", "When a rating was asked for", "rating_created_at"
        ),
        instant(
            "conversation_rating.updated_at", "When the rating last changed", "rating_updated_at"
        ),
        identifier(
            "conversation_rating.contact.id", "Contact who rated", "rating_contact_id", "contacts"
        ),
        identifier(
            "conversation_rating.teammate.id", "Admin who was rated", "rating_teammate_id", "admins"
        ),
        *AI_AGENT,
        text("channel.initial", "Channel on which it began"),
        text("channel.current", "Channel on which it is now"),
        mapping("custom_attributes", "The conversation's custom attributes by their names"),
        json("linked_objects.data", "Linked tickets and conversations", name="linked_objects"),
        json("external_references", "Ids of the conversation in other systems"),
        json("monitor_evaluations", "Evaluations by monitors"),
        json("scorecards", "Scorecards of the conversation"),
        json("topics", "Topics that Intercom found in the conversation"),
        json("ai_topics", "Topics that Intercom's AI found in the conversation"),
        *personal(
            "conversation_contacts",
            json("ticket", "Ticket data on conversations of older API versions"),
        ),
    ),
    links=(
        Link(
            table="conversation_contacts",
            comment="Which contacts take part in which conversation.",
            path="contacts.contacts|contacts.data",
            owner="conversation_id",
            target="contact_id",
            refers_to="contacts",
        ),
        Link(
            table="conversation_tags",
            comment="Which tags are on which conversation.",
            path="tags.tags|tags.data",
            owner="conversation_id",
            target="tag_id",
            refers_to="tags",
            columns=(
                instant("applied_at", "When the tag was applied"),
                identifier("applied_by.id", "Id of who applied the tag"),
                text("applied_by.type", "Kind of who applied the tag"),
            ),
        ),
        Link(
            table="conversation_teammates",
            comment="Which admins took part in which conversation.",
            path="teammates.admins|teammates.teammates",
            owner="conversation_id",
            target="admin_id",
            refers_to="admins",
            null_is_empty=True,  # the description's examples show null where nobody took part
        ),
    ),
    children=(
        Child(
            PARTS,
            "conversation_parts.conversation_parts",
            "conversation_id",
            permanent=True,
            cap=500,  # GET /conversations/{id} returns the 500 newest parts and has no paging
        ),
    ),
    parts=Parts(
        stored="parts_stored",
        truncated="parts_truncated",
        counted="statistics_count_conversation_parts",
    ),
    apart_from="tickets",
    cut_by="created_at",
    versioned=True,
)

CONVERSATIONS = Resource(
    "conversations",
    TABLE,
    Search("/conversations/search", "conversations", Granularity.SECOND, whole_by_id=True),
    by_id="/conversations/{id}",
    notified=Notified(
        ("conversation",),
        (
            "conversation.user.created",
            "conversation.user.replied",
            "conversation.admin.single.created",
            "conversation.admin.replied",
            "conversation.admin.noted",
            "conversation.admin.assigned",
            "conversation.admin.opened",
            "conversation.admin.open.assigned",
            "conversation.admin.closed",
            "conversation.admin.snoozed",
            "conversation.admin.unsnoozed",
            "conversation.operator.replied",
            "conversation.priority.updated",
            "conversation.rating.added",
            "conversation.contact.attached",
            "conversation.contact.detached",
            "conversation.company.updated",
            "conversation.read",
            "conversation.deleted",
            "conversation_part.tag.created",
            "conversation_part.redacted",
        ),
        keys=("id", "conversation_id", "model.id"),
    ),
)
DELETED_CONVERSATIONS = Resource(
    "deleted_conversations",
    TABLE,
    Deletions("/conversations/deleted", "conversations"),
    early_signal_of=("conversations",),
)
