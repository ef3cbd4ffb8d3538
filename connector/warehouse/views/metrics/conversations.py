"""``conversation_metrics``: one row for each conversation."""

from __future__ import annotations

from collections.abc import Iterator

from connector.resources import TABLE_BY_NAME
from connector.resources.resource import Kind
from connector.warehouse.sql.names import Names, quote
from connector.warehouse.sql.rows import living
from connector.warehouse.views import identities
from connector.warehouse.views.view import Shown, View

NAME = "conversation_metrics"
_TABLE = TABLE_BY_NAME["conversations"]
_STATISTICS, _OFFICE = "statistics_", "office_"
_SCALAR = {Kind.COUNT, Kind.INSTANT, Kind.ID, Kind.TEXT, Kind.FLAG, Kind.MONEY}


def conversation_metrics(names: Names) -> View:
    """Straight columns, the stored figures, what is joined at the question, Intercom's own."""
    figures, conversations = names("_conversation_figures"), names(_TABLE.name)
    return View(
        NAME,
        "One row for each living conversation: what happened in it, when, and how long it took."
        " Wall clock; office_ columns are Intercom's own statistics, in office hours only.",
        f"{figures} f JOIN {conversations} c ON c.id = f.conversation_id",
        tuple(_columns(names)),
        tells_of=("conversation_parts",),
    )


def _columns(names: Names) -> Iterator[Shown]:
    truncated = "; later than it was where parts_truncated"
    yield from _figures({"conversation_id": "Intercom's id (conversations.id)"})
    yield from _figures({"created_at": "When the conversation began"})
    yield _straight("updated_at", "When it last changed at Intercom")
    yield from _figures({"state": "open, closed or snoozed"})
    yield _straight("title", "Title of the conversation")
    yield _straight("source_type", "How it began: conversation, email, ...")
    yield _straight("source_delivered_as", "How the first message was delivered")
    yield from _figures(
        {
            "started_by": "Side of the opening message: contact, admin, ai or bot; null without",
            "parts": "Number of living parts",
            "contact_replies": "Number of replies by contacts, the opening message not counted",
            "admin_replies": "Number of replies by admins, the opening message not counted",
            "ai_replies": "Number of replies by the AI agent",
            "bot_replies": "Number of replies by bots and workflows",
            "notes": "Number of internal notes",
            "assignments": "Number of assignments",
            "reopens": "Number of times that it was opened again",
            "closes": "Number of times that it was closed",
            "snoozes": "Number of times that it was snoozed",
        }
    )
    yield _straight("parts_truncated", "Whether Intercom no longer shows its oldest parts")
    yield from _figures(
        {
            "first_contact_message_at": "When a contact first wrote, the opening message counted"
            + truncated,
            "first_admin_reply_at": f"When an admin first replied{truncated}",
            "last_admin_reply_at": "When an admin last replied",
            "last_contact_reply_at": "When a contact last replied",
            "first_ai_reply_at": f"When the AI agent first replied{truncated}",
            "first_response_seconds": "Seconds from first_contact_message_at to the first admin"
            " reply after it; null without one",
            "first_ai_response_seconds": "Seconds from first_contact_message_at to the AI agent's"
            " first reply after it; null without one",
            "median_response_seconds": "Median of the seconds from the first message that waited"
            " to the admin reply that answered it",
            "responses": "Number of admin replies that answered a waiting message",
            "first_assigned_at": f"When it was first assigned{truncated}",
            "first_closed_at": f"When it was first closed{truncated}",
            "last_closed_at": "When it was last closed",
            "time_to_first_close_seconds": "Seconds from its beginning to first_closed_at",
            "time_to_last_close_seconds": "Seconds from its beginning to last_closed_at",
        }
    )
    yield Shown("is_closed", "(f.state = 'closed')", "Whether it is closed now")
    yield from _figures(
        {
            "first_admin_id": "Author of the first admin reply (admins.id)",
            "last_admin_id": "Author of the last admin reply (admins.id)",
            "first_closed_by_admin_id": "Author of the first close by an admin (admins.id)",
            "last_closed_by_admin_id": "Author of the last close by an admin (admins.id)",
            "first_team_id": "Team of the first assignment to one (teams.id)",
            "last_team_id": "Team of the last assignment to one (teams.id)",
            "admin_assignee_id": "Admin to whom it is assigned now (admins.id)",
            "team_assignee_id": "Team to which it is assigned now (teams.id)",
        }
    )
    yield _straight("company_id", "Company it belongs to (companies.id)")
    yield _straight("priority", "Priority")
    yield _straight("waiting_since", "Since when the contact waits for a reply")
    yield _straight("snoozed_until", "Until when it is snoozed")
    waited = "floor(extract(epoch FROM now() - c.waiting_since))::bigint"
    yield Shown(
        "waiting_seconds",
        f"CASE WHEN f.state = 'open' AND c.waiting_since <= now() THEN {waited} END",
        "Seconds that the contact waits by now; null unless it is open and waits",
    )
    yield _straight("ai_agent_participated", "Whether the AI agent took part")
    yield _straight("ai_agent_resolution_state", "How its part ended, in Intercom's words")
    yield from _figures(
        {
            "ai_outcome": "resolved, escalated or unresolved; null if it took no part",
            "rating": "Rating by the contact, 1 to 5",
        }
    )
    yield _straight("rating_remark", "The contact's remark")
    yield from _figures(
        {
            "rated_at": "When the contact rated, where Intercom tells",
            "rated_admin_id": "Admin who was rated (admins.id)",
            "ai_rating": "Rating of the AI agent by the contact",
        }
    )
    yield _straight("sla_name", "Name of the SLA that applies", "sla_applied_sla_name")
    yield _straight("sla_status", "hit, missed, cancelled or active", "sla_applied_sla_status")
    yield Shown("tag_names", _tags(names), "Names of its living tags, sorted")
    yield Shown("contact_ids", _contacts(names), "Living contacts who take part, after merges")
    yield Shown("contact_company_ids", _companies(names), "Living companies of those contacts")
    for column in _TABLE.columns:
        if column.name.startswith(_STATISTICS) and column.kind in _SCALAR:
            name = _OFFICE + column.name.removeprefix(_STATISTICS)
            told = f"{column.comment}, as Intercom counts it: in office hours only"
            yield _straight(name, told, column.name)


def _figures(columns: dict[str, str]) -> Iterator[Shown]:
    for name, comment in columns.items():
        yield Shown(name, f"f.{name}", comment)


def _straight(name: str, comment: str, column: str = "") -> Shown:
    return Shown(name, f"c.{quote(column or name)}", comment)


def _tags(names: Names) -> str:
    return (
        f"ARRAY(SELECT g.name FROM {names('conversation_tags')} x"
        f" JOIN {names('tags')} g ON g.id = x.tag_id"
        f" WHERE x.conversation_id = c.id AND {living('g')} AND g.name IS NOT NULL"
        ' ORDER BY g.name COLLATE "C")'
    )


def _present(names: Names) -> str:
    """The living contacts of a conversation, after merges, as k."""
    return (
        f"{names('conversation_contacts')} x"
        f" CROSS JOIN LATERAL (SELECT {identities.current(names, 'x.contact_id')}) i (id)"
        f" JOIN {names('contacts')} k ON k.id = i.id AND {living('k')}"
    )


def _contacts(names: Names) -> str:
    return (
        f"ARRAY(SELECT d.id FROM (SELECT DISTINCT k.id FROM {_present(names)}"
        ' WHERE x.conversation_id = c.id) d ORDER BY d.id COLLATE "C")'
    )


def _companies(names: Names) -> str:
    return (
        f"ARRAY(SELECT d.id FROM (SELECT DISTINCT o.id FROM {_present(names)}"
        f" JOIN {names('contact_companies')} y ON y.contact_id = k.id"
        f" JOIN {names('companies')} o ON o.id = y.company_id AND {living('o')}"
        ' WHERE x.conversation_id = c.id) d ORDER BY d.id COLLATE "C")'
    )
