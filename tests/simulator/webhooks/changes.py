"""Every change to a simulated workspace: the topics it is told by, or that it is silent."""

from __future__ import annotations

from collections.abc import Callable

from tests.support.listening import NOW, Listener


def _archived_and_back(on: Listener) -> None:
    contact = on.a("contacts")
    on.control.archive_contact(contact)
    on.control.unarchive_contact(contact)


def _participant_goes(on: Listener) -> None:
    id = on.a("conversations")
    contact = on.stranger("conversations", id)
    on.control.add_participant(id, contact)
    on.control.remove_participant(id, contact)


def _redacted(on: Listener) -> None:
    id = on.a("conversations")
    on.control.reply(id, admin=on.space.me)
    on.control.redact_part(id)


def _ticket_contact_goes(on: Listener) -> None:
    id = on.a("tickets")
    contact = on.stranger("tickets", id)
    on.control.add_ticket_contact(id, contact)
    on.control.remove_ticket_contact(id, contact)


Did = Callable[[Listener], object]


TOLD: dict[str, tuple[Did, set[str]]] = {
    "create_contact": (lambda on: on.control.create_contact("user"), {"contact.user.created"}),
    "update_contact": (
        lambda on: on.control.update_contact(on.a("contacts", "user"), name="N"),
        {"contact.user.updated"},
    ),
    "tag_contact": (
        lambda on: on.control.tag_contact(on.untagged("user"), on.tag()),
        {"contact.user.tag.created"},
    ),
    "tag_contacts": (
        lambda on: on.control.tag_contacts([on.untagged("lead")], on.tag()),
        {"contact.lead.tag.created"},
    ),
    "untag_contact": (
        lambda on: on.control.untag_contact(
            (c := next(i for i in on.space.contacts.current.values() if i.owned.tags)).id,
            c.owned.tags[0].id,
        ),
        {"contact.user.tag.deleted", "contact.lead.tag.deleted"},
    ),
    "attach_company": (
        lambda on: on.control.attach_company(*on.untied()),
        {"company.contact.attached"},
    ),
    "detach_company": (
        lambda on: on.control.detach_company(*on.tied()),
        {"company.contact.detached"},
    ),
    "subscribe_contact": (
        lambda on: on.control.subscribe_contact(on.a("contacts"), "135"),
        {"granular.subscribe"},
    ),
    "convert_lead": (
        lambda on: on.control.convert_lead(on.a("contacts", "lead")),
        {"contact.lead.signed_up"},
    ),
    "merge_contacts": (
        lambda on: on.control.merge_contacts(on.a("contacts", "lead"), on.a("contacts", "user")),
        {"contact.merged"},
    ),
    "archive_contact": (
        lambda on: on.control.archive_contact(on.a("contacts")),
        {"contact.archived"},
    ),
    "unarchive_contact": (
        _archived_and_back,
        {"contact.archived", "contact.unarchived"},
    ),
    "delete_contact": (lambda on: on.control.delete_contact(on.a("contacts")), {"contact.deleted"}),
    "track_event": (
        lambda on: on.control.track_event(on.a("contacts"), "e", server_side=False),
        {"event.created"},
    ),
    "create_company": (lambda on: on.control.create_company("C"), {"company.created"}),
    "update_company": (
        lambda on: on.control.update_company(on.a("companies"), name="C"),
        {"company.updated"},
    ),
    "delete_company": (
        lambda on: on.control.delete_company(on.a("companies")),
        {"company.deleted"},
    ),
    "create_conversation": (
        lambda on: on.control.create_conversation(on.a("contacts")),
        {"conversation.user.created"},
    ),
    "send_outbound": (
        lambda on: on.control.send_outbound(on.a("contacts")),
        {"conversation.admin.single.created"},
    ),
    "reply": (
        lambda on: on.control.reply(on.a("conversations"), admin=on.space.me),
        {"conversation.admin.replied"},
    ),
    "note": (lambda on: on.control.note(on.a("conversations")), {"conversation.admin.noted"}),
    "close": (lambda on: on.control.close(on.a("conversations")), {"conversation.admin.closed"}),
    "reopen": (
        lambda on: on.control.reopen(on.control.create_conversation(on.a("contacts"))),
        {"conversation.user.created", "conversation.admin.opened"},
    ),
    "snooze": (
        lambda on: on.control.snooze(on.a("conversations"), NOW + 60),
        {"conversation.admin.snoozed"},
    ),
    "assign": (
        lambda on: on.control.assign(on.a("conversations")),
        {"conversation.admin.assigned"},
    ),
    "rate": (lambda on: on.control.rate(on.a("conversations")), {"conversation.rating.added"}),
    "tag_conversation": (
        lambda on: on.control.tag_conversation(
            on.control.create_conversation(on.a("contacts")), on.tag()
        ),
        {"conversation.user.created", "conversation_part.tag.created"},
    ),
    "mark_read": (lambda on: on.control.mark_read(on.a("conversations")), {"conversation.read"}),
    "update_conversation": (
        lambda on: on.control.update_conversation(on.a("conversations"), priority="priority"),
        {"conversation.priority.updated"},
    ),
    "add_participant": (
        lambda on: on.control.add_participant(
            c := on.a("conversations"), on.stranger("conversations", c)
        ),
        {"conversation.contact.attached"},
    ),
    "remove_participant": (
        _participant_goes,
        {"conversation.contact.attached", "conversation.contact.detached"},
    ),
    "redact_part": (
        _redacted,
        {"conversation.admin.replied", "conversation_part.redacted"},
    ),
    "delete_conversation": (
        lambda on: on.control.delete_conversation(on.a("conversations")),
        {"conversation.deleted"},
    ),
    "create_ticket": (lambda on: on.control.create_ticket(), {"ticket.created"}),
    "reply_ticket": (
        lambda on: on.control.reply_ticket(on.a("tickets"), note=True),
        {"ticket.note.created"},
    ),
    "set_ticket_state": (
        lambda on: on.control.set_ticket_state(on.a("tickets"), "in_progress"),
        {"ticket.state.updated"},
    ),
    "set_ticket_attribute": (
        lambda on: on.control.set_ticket_attribute(on.control.create_ticket(), "Retries", 3),
        {"ticket.created", "ticket.attribute.updated"},
    ),
    "assign_ticket": (
        lambda on: on.control.assign_ticket(on.a("tickets"), team=next(iter(on.space.teams))),
        {"ticket.team.assigned"},
    ),
    "add_ticket_contact": (
        lambda on: on.control.add_ticket_contact(t := on.a("tickets"), on.stranger("tickets", t)),
        {"ticket.contact.attached"},
    ),
    "remove_ticket_contact": (
        _ticket_contact_goes,
        {"ticket.contact.attached", "ticket.contact.detached"},
    ),
    "create_article": (lambda on: on.control.create_article(), {"article.created"}),
    "create_call": (
        lambda on: on.control.create_call(),
        {"call.started", "call.ended", "call.recording_available"},
    ),
    "create_record": (lambda on: on.control.create_record("articles"), {"article.created"}),
    "update_record": (
        lambda on: on.control.update_record("calls", next(iter(on.space.calls)), state="completed"),
        {"call.transcription_available"},
    ),
    "delete_record": (
        lambda on: on.control.delete_record("articles", on.article()),
        {"article.deleted"},
    ),
    "log_activity": (
        lambda on: on.control.log_activity("admin_login_success"),
        {"admin.activity_log_event.created", "admin.logged_in"},
    ),
    "create_admin": (
        lambda on: on.control.create_admin("A", "a@example.com"),
        {"admin.added_to_workspace"},
    ),
    "update_admin": (
        lambda on: on.control.update_admin(
            a := on.space.me, away_mode_enabled=not on.space.admins[a]["away_mode_enabled"]
        ),
        {"admin.away_mode_updated"},
    ),
    "remove_admin": (
        lambda on: on.control.remove_admin(on.space.me),
        {"admin.removed_from_workspace"},
    ),
}


# Intercom has no topic for these, or says nothing where `updated_at` stays too.
SILENT: dict[str, Did] = {
    "add_note": lambda on: on.control.add_note(on.a("contacts")),
    "set_segments": lambda on: on.control.set_segments(on.a("contacts"), list(on.space.segments)),
    "update_contact_silently": lambda on: on.control.update_contact_silently(
        on.a("contacts"), name="N"
    ),
    "tag_company": lambda on: on.control.tag_company(on.a("companies"), on.tag()),
    "untag_company": lambda on: on.control.untag_company(on.a("companies"), on.tag()),
    "untag_conversation": lambda on: on.control.untag_conversation(on.a("conversations"), on.tag()),
    "update_conversation_silently": lambda on: on.control.update_conversation_silently(
        on.a("conversations"), title="T"
    ),
    "update_ticket_silently": lambda on: on.control.update_ticket_silently(
        on.a("tickets"), is_shared=False
    ),
    "redact_ticket_part": lambda on: on.control.redact_ticket_part(
        on.a("tickets"), on.ticket_part()
    ),
    "delete_ticket": lambda on: on.control.delete_ticket(on.a("tickets")),
    "create_tag": lambda on: on.control.create_tag("N"),
    "rename_tag": lambda on: on.control.rename_tag(on.tag(), "N"),
    "delete_tag": lambda on: on.control.delete_tag(on.tag()),
    "create_segment": lambda on: on.control.create_segment("N"),
    "update_segment": lambda on: on.control.update_segment(next(iter(on.space.segments)), name="N"),
    "delete_segment": lambda on: on.control.delete_segment(next(iter(on.space.segments))),
    "create_team": lambda on: on.control.create_team("N"),
    "update_team": lambda on: on.control.update_team(next(iter(on.space.teams)), name="N"),
    "delete_team": lambda on: on.control.delete_team(next(iter(on.space.teams))),
    "set_timezone": lambda on: on.control.set_timezone("UTC"),
    "create_data_attribute": lambda on: on.control.create_data_attribute("contact", "n"),
    "update_data_attribute": lambda on: on.control.update_data_attribute(
        "contact", "seats", archived=True
    ),
    "remove_data_attribute": lambda on: on.control.remove_data_attribute("contact", "seats"),
    "translate_article": lambda on: on.control.translate_article(on.article(), "fr", title="T"),
    "view_article": lambda on: on.control.view_article(on.article()),
    "update_record_silently": lambda on: on.control.update_record_silently(
        "articles", on.article(), title="T"
    ),
    "create_collection": lambda on: on.control.create_collection(),
    "create_news_item": lambda on: on.control.create_news_item(),
    "create_newsfeed": lambda on: on.control.create_newsfeed(),
    "create_macro": lambda on: on.control.create_macro(),
}
