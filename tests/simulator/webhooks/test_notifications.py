"""What the simulator tells, in the shapes and with the traps of Intercom's notifications."""

from __future__ import annotations

import hmac
import json
import re
from hashlib import sha1

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.webhooks.chaos import FOREIGN_APP, UNKNOWN
from tests.support.listening import NOW, SECRET, Listener, workspace

WITH_MS = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.(?!000)\d{3}(\+00:00|Z)")


# -- the envelope -------------------------------------------------------------------------------


def test_the_envelope_has_every_field_that_was_seen(listener: Listener) -> None:
    listener.control.update_contact(listener.a("contacts", "user"), name="Ada")
    [told] = listener.heard()
    id = told.pop("id")
    assert re.fullmatch(r"notif_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", id)
    assert told.pop("data")["type"] == "notification_event_data"
    assert told == {
        "type": "notification_event",
        "app_id": listener.space.app["id_code"],
        "topic": "contact.user.updated",
        "links": {},
        "delivery_status": "pending",
        "delivery_attempts": 1,
        "delivered_at": 0,
        "first_sent_at": NOW,
        "created_at": NOW,
        "self": None,
    }


def test_the_signature_is_that_of_the_raw_body(listener: Listener) -> None:
    listener.control.update_contact(listener.a("contacts"), name="Größe 🎬")
    listener.heard()
    digest = hmac.new(SECRET.encode(), listener.raw, sha1).hexdigest()
    assert listener.headers == {
        "X-Hub-Signature": f"sha1={digest}",
        "User-Agent": "intercom-parrot-service-client/1.0",
        "Content-Type": "application/json; charset=utf-8",
    }


def test_a_ping_has_neither_id_nor_status_and_needs_no_topic() -> None:
    listener = Listener()
    listener.simulator.webhooks.subscriptions.clear()
    listener.simulator.webhooks.subscribe(SECRET, ["company.created"])
    listener.control.update_contact(listener.a("contacts"), name="unheard")
    listener.control.ping()
    [told] = listener.heard()
    assert (told["topic"], told["id"], told["delivery_status"]) == ("ping", None, None)
    assert told["data"]["item"]["type"] == "ping"


def test_a_conversation_that_was_read_has_no_notification_id(listener: Listener) -> None:
    listener.control.mark_read(listener.a("conversations"))
    [told] = listener.heard()
    assert (told["topic"], told["id"]) == ("conversation.read", None)


def test_nothing_is_made_if_nobody_subscribed() -> None:
    simulator = Simulator(workspace(), clock=lambda: float(NOW))
    simulator.webhooks.tell("contact.user.updated", pytest.fail, "made")
    simulator.control.change(0.5, everything=True)
    assert simulator.webhooks.due() == []


def test_a_hostile_workspace_is_told_in_json() -> None:
    listener = Listener()
    space = Workspace.generate(contacts=60, companies=6, conversations=6, now=NOW, hostile=1.0)
    listener.simulator.workspace = space
    for id in list(space.contacts.current):
        listener.control.update_contact(id, name="any")
    assert len(listener.heard()) == 60


def test_two_apps_hear_everything_twice_under_two_ids_and_secrets(listener: Listener) -> None:
    listener.simulator.webhooks.subscribe("another")
    listener.control.update_contact(listener.a("contacts"), name="Ada")
    one, other = listener.simulator.webhooks.due()
    assert one.notification.item == other.notification.item
    assert one.notification.id != other.notification.id
    assert one.request()[0] != other.request()[0]


# -- items --------------------------------------------------------------------------------------


def test_times_of_contacts_are_texts_with_milliseconds(listener: Listener) -> None:
    id = listener.a("contacts", "user")
    listener.control.update_contact(id, name="Ada", signed_up_at=NOW - 5)
    item = listener.item("contact.user.updated")
    assert (item["type"], item["id"]) == ("contact", id)
    for name in ("created_at", "updated_at", "signed_up_at"):
        assert WITH_MS.fullmatch(item[name]), name
    assert item["updated_at"].startswith("2026-05-28T20:26:40.")
    assert item["last_email_clicked_at"] is None or isinstance(item["last_email_clicked_at"], str)


def test_times_of_companies_and_articles_are_texts_too(listener: Listener) -> None:
    control = listener.control
    control.create_company("Acme")
    company = listener.item("company.created")
    assert WITH_MS.fullmatch(company["created_at"])
    assert WITH_MS.fullmatch(company["updated_at"])
    control.create_article("Help")
    assert WITH_MS.fullmatch(listener.item("article.created")["updated_at"])


def test_companies_have_other_fields_than_rest_shows(listener: Listener) -> None:
    created = listener.control.create_company("Acme")
    item = listener.item("company.created")
    assert item["plan_id"] is None
    assert item["tag_ids"] == []
    assert "tags" not in item
    listener.control.update_company(created, plan={"type": "plan", "id": "3", "name": "Pro"})
    item = listener.item("company.updated")
    assert item["plan"] is None
    assert "plan_id" not in item
    assert "segments" not in item
    assert item["industry"] is None


def test_leads_have_topics_of_their_own(listener: Listener) -> None:
    control = listener.control
    lead = control.create_contact("lead")
    assert listener.item("contact.lead.created")["external_id"]
    control.update_contact(lead, email="lead@example.com")
    assert listener.topics() == ["contact.lead.updated", "contact.lead.added_email"]
    control.tag_contact(lead, listener.tag())
    control.untag_contact(lead, listener.tag())
    assert listener.topics() == ["contact.lead.tag.created", "contact.lead.tag.deleted"]
    control.convert_lead(lead)
    assert listener.topics() == ["contact.lead.signed_up"]
    control.update_contact(lead, email="user@example.com")
    assert listener.topics() == ["contact.user.updated", "contact.email.updated"]


def test_what_is_deleted_or_archived_leaves_a_stub(listener: Listener) -> None:
    control = listener.control
    user = control.create_contact("user", external_id="42")
    nameless = control.create_contact("user")
    listener.heard()
    control.archive_contact(user)
    stub = {"id": user, "external_id": "42", "type": "contact"}
    assert listener.item("contact.archived") == {**stub, "archived": True}
    control.unarchive_contact(user)
    assert listener.item("contact.unarchived")["role"] == "user"
    control.delete_contact(user)
    assert listener.item("contact.deleted") == {**stub, "deleted": True}
    control.delete_contact(nameless)
    assert listener.item("contact.deleted") == {"id": nameless, "type": "contact", "deleted": True}
    company = listener.a("companies")
    control.delete_company(company)
    told = {"id": company, "type": "company", "deleted": True}
    assert listener.item("company.deleted") == told


def test_a_deleted_conversation_has_no_id(listener: Listener) -> None:
    id = listener.a("conversations")
    listener.control.delete_conversation(id)
    item = listener.item("conversation.deleted")
    assert item == {"type": "conversation", "conversation_id": id}


def test_a_deleted_article_looks_as_if_it_were_there(listener: Listener) -> None:
    id = next(iter(listener.space.articles))
    listener.control.update_record("articles", id, title="last")
    before = listener.item("article.updated")
    listener.control.delete_record("articles", id)
    assert listener.item("article.deleted") == before
    assert "deleted" not in before
    assert before["title"] == "last"


def test_a_merge_names_the_survivor_only(listener: Listener) -> None:
    source, target = listener.a("contacts", "lead"), listener.a("contacts", "user")
    listener.control.merge_contacts(source, target)
    [told] = listener.heard()
    assert (told["topic"], told["data"]["item"]["id"]) == ("contact.merged", target)
    assert source not in json.dumps(told)


def test_a_conversation_holds_only_its_new_part(listener: Listener) -> None:
    id = listener.a("conversations")
    listener.control.reply(id, 3, body="<p>Hello &amp; <b>bye</b></p>")
    told = listener.heard()
    assert [one["topic"] for one in told] == ["conversation.user.replied"] * 3
    items = [one["data"]["item"] for one in told]
    truth = listener.control.truth_one("conversations", id)
    parts = [one["conversation_parts"]["conversation_parts"] for one in items]
    newest = truth["conversation_parts"]["conversation_parts"][-3:]
    assert [[part["id"] for part in one] for one in parts] == [[part["id"]] for part in newest]
    assert parts[0][0]["body"] == "Hello &amp; bye"
    for item in items:
        assert item["conversation_parts"]["total_count"] == 1
        count = item["statistics"]["count_conversation_parts"]
        assert count == truth["conversation_parts"]["total_count"] + 1 > 3
        assert isinstance(item["updated_at"], int)


def test_one_act_can_have_two_topics(listener: Listener) -> None:
    id, admin = listener.a("conversations"), listener.space.me
    listener.control.assign(id, admin)
    listener.control.close(id)
    listener.heard()
    listener.control.reopen(id)
    assert listener.topics() == [
        "conversation.admin.opened",
        "conversation.admin.open.assigned",
    ]


def test_the_bot_is_an_operator(listener: Listener) -> None:
    bot = next(a for a in listener.space.admins.values() if a["email"].startswith("operator+"))
    listener.control.reply(listener.a("conversations"), admin=bot["id"])
    assert listener.topics() == ["conversation.operator.replied"]


def test_company_contacts_are_wrapped_without_type_or_id(listener: Listener) -> None:
    contact, company = listener.untied()
    listener.control.attach_company(contact, company)
    item = listener.item("company.contact.attached")
    assert item.keys() == {"company", "contact"}
    assert (item["company"]["id"], item["contact"]["id"]) == (company, contact)
    assert "plan_id" in item["company"]
    assert "tag_ids" in item["company"]
    assert [one["id"] for one in item["contact"]["companies"]["data"]] == [company]
    listener.control.detach_company(contact, company)
    item = listener.item("company.contact.detached")
    assert item.keys() == {"company", "contact"}
    # As recorded: the contact is shown as it was.
    assert [one["id"] for one in item["contact"]["companies"]["data"]] == [company]


def test_conversation_contacts_are_an_inner_serialisation_with_numbers(listener: Listener) -> None:
    id = listener.a("conversations")
    contact = listener.stranger("conversations", id)
    listener.control.add_participant(id, contact)
    listener.control.add_participant(id, contact)
    item = listener.item("conversation.contact.attached")
    assert item.keys() == {"conversation", "contact"}
    assert item["conversation"].keys() == {"parts", "options", "model"}
    model, [part] = item["conversation"]["model"], item["conversation"]["parts"]
    assert model["id"] == part["conversation_id"] == int(id)
    assert isinstance(model["app_id"], int)
    assert "type" not in model
    assert isinstance(model["updated_at"], str)
    assert item["contact"]["id"] == contact
    listener.control.remove_participant(id, contact)
    assert listener.item("conversation.contact.detached")["conversation"]["model"]["id"] == int(id)


def test_the_last_contact_of_a_conversation_stays(listener: Listener) -> None:
    id = listener.control.create_conversation(contact := listener.a("contacts"))
    with pytest.raises(ValueError, match="stays"):
        listener.control.remove_participant(id, contact)


def test_tags_name_contact_and_tag_and_come_one_by_one(listener: Listener) -> None:
    contacts, tag = list(listener.space.contacts.current), listener.tag()
    did = listener.control.tag_contacts(contacts, tag)
    told = listener.heard()
    assert len(told) == did > 20
    item = told[0]["data"]["item"]
    assert item.keys() == {"type", "created_at", "tag", "contact"}
    assert item["type"] == "contact_tag"
    assert item["tag"] == listener.space.tags[tag]
    assert len({one["data"]["item"]["contact"]["id"] for one in told}) == did


def test_subscriptions_have_three_shapes_of_names(listener: Listener) -> None:
    contact, [type, *_] = listener.a("contacts", "user"), sorted(listener.space.subscription_types)
    listener.control.subscribe_contact(contact, type, subscribed=False)
    item = listener.item("granular.unsubscribe")
    assert item.keys() == {"type", "contact", "subscription_types", "created_at"}
    assert item["type"] == "granular_unsubscribe"
    assert [one["id"] for one in item["subscription_types"]["data"]] == [type]
    listener.control.update_contact(contact, unsubscribed_from_emails=False)
    listener.heard()
    listener.control.update_contact(contact, unsubscribed_from_emails=True)
    item = listener.item("contact.unsubscribed")
    assert (item["type"], item["subscription_types"]["data"]) == ("contact_unsubscribe", [])


def test_a_ticket_holds_only_its_new_part_and_assignees_as_texts(listener: Listener) -> None:
    id = listener.a("tickets")
    listener.control.assign_ticket(id, listener.space.me)
    listener.heard()
    listener.control.set_ticket_state(id, "in_progress")
    item = listener.item("ticket.state.updated")
    assert (item["type"], item["id"]) == ("ticket", id)
    assert item["admin_assignee_id"] == listener.space.me
    assert len(item["ticket_parts"]["ticket_parts"]) == item["ticket_parts"]["total_count"] == 1


def test_what_is_done_to_a_ticket_stands_beside_it(listener: Listener) -> None:
    id = listener.a("tickets")
    listener.control.reply_ticket(id, admin=listener.space.me)
    item = listener.item("ticket.admin.replied")
    assert item.keys() == {"type", "ticket", "ticket_part"}
    assert (item["type"], item["ticket"]["id"]) == ("ticket_ticket_part", id)
    assert item["ticket"]["ticket_parts"]["ticket_parts"] == [item["ticket_part"]]


def test_a_closed_ticket_is_wrapped_and_a_resolved_one_not(listener: Listener) -> None:
    id = listener.a("tickets")
    listener.control.set_ticket_state(id, "resolved")
    items = {one["topic"]: one["data"]["item"] for one in listener.heard()}
    assert items.keys() == {"ticket.state.updated", "ticket.resolved", "ticket.closed"}
    assert items["ticket.resolved"]["id"] == id
    assert items["ticket.closed"].keys() == {"ticket"}
    assert items["ticket.closed"]["ticket"] == items["ticket.resolved"]


def test_a_contact_of_a_ticket_comes_with_the_ticket_under_a_number(listener: Listener) -> None:
    id = listener.a("tickets")
    contact = listener.stranger("tickets", id)
    listener.control.add_ticket_contact(id, contact)
    item = listener.item("ticket.contact.attached")
    assert item.keys() == {"ticket", "contact"}
    assert item["ticket"]["id"] == int(id)
    assert "updated_at" not in item["ticket"]
    assert item["contact"]["id"] == contact


def test_an_event_names_its_contact_and_has_an_id_of_its_own(listener: Listener) -> None:
    contact = listener.a("contacts", "user")
    listener.control.track_event(contact, "bought", {"n": 1})
    item = listener.item("event.created")
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", item["id"])
    assert (item["type"], item["event_name"]) == ("event", "bought")
    assert item["intercom_user_id"] == contact
    assert item["created_at"] == NOW
    assert (item["metadata"], item["ext_metadata"]) == ({"n": 1}, {})


def test_admins_have_numbers_for_ids(listener: Listener) -> None:
    id = listener.control.create_admin("Ada", "ada@example.com")
    assert listener.item("admin.added_to_workspace")["id"] == int(id)
    listener.control.update_admin(id, name="Bea")
    assert listener.topics() == []
    listener.control.update_admin(id, away_mode_enabled=True)
    assert listener.item("admin.away_mode_updated")["away_mode_enabled"] is True
    listener.control.remove_admin(id)
    assert listener.item("admin.removed_from_workspace")["id"] == int(id)


def test_articles_are_published_and_withdrawn(listener: Listener) -> None:
    id = listener.control.create_article("Help")
    listener.control.update_record("articles", id, state="published")
    listener.control.update_record("articles", id, state="draft")
    assert listener.topics() == [
        "article.created", "article.updated", "article.published", "article.updated",
        "article.unpublished",
    ]  # fmt: skip


# -- chaos --------------------------------------------------------------------------------------


def upset(**knobs: float) -> Listener:
    listener = Listener()
    listener.control.webhook_chaos(**knobs)
    return listener


def test_duplicates_have_another_id() -> None:
    listener = upset(duplicates=1)
    listener.control.create_company("Acme")
    one, other = listener.heard()
    assert one["id"] != other["id"]
    assert one["data"] == other["data"]


def test_another_workspace_of_the_app_is_heard_as_well() -> None:
    listener = upset(foreign=1)
    listener.control.create_company("Acme")
    own = listener.space.app["id_code"]
    assert [one["app_id"] for one in listener.heard()] == [own, FOREIGN_APP]


def test_unknown_topics_come_beside_known_ones() -> None:
    listener = upset(unknown=1)
    listener.control.create_company("Acme")
    assert listener.topics() == ["company.created", UNKNOWN]


def test_a_share_is_never_sent() -> None:
    listener = upset(drop=0.5)
    for number in range(100):
        listener.control.create_company(f"Acme {number}")
    assert 30 < len(listener.heard()) < 70


def test_order_is_lost_within_so_many_seconds_and_the_seed_decides_how() -> None:
    def orders() -> list[str]:
        listener = upset(shuffle=30, delay=10)
        for number in range(20):
            listener.control.create_company(f"{number}")
        assert listener.heard() == []
        listener.control.advance(40)
        return [one["data"]["item"]["name"] for one in listener.heard()]

    names = orders()
    assert sorted(names, key=int) == [str(number) for number in range(20)] != names
    assert orders() == names


def test_bodies_can_be_larger_than_a_mebibyte() -> None:
    listener = upset(large=1)
    listener.control.reply(listener.a("conversations"))
    listener.heard()
    assert len(listener.raw) > 2**20


def test_contacts_of_another_version_have_other_topics_and_shapes() -> None:
    listener = upset(older=1)
    listener.control.create_contact("user", external_id="42")
    [told] = listener.heard()
    item = told["data"]["item"]
    assert (told["topic"], item["type"], item["user_id"]) == ("user.created", "user", "42")
    assert "updated_at" not in item
    listener.control.create_contact("lead")
    [told] = listener.heard()
    assert (told["topic"], told["data"]["item"]["type"]) == ("contact.created", "contact")


def test_conversations_of_another_version_have_times_as_texts() -> None:
    listener = upset(older=1)
    listener.control.reply(listener.a("conversations"))
    item = listener.item("conversation.user.replied")
    assert item["statistics"]["last_contact_reply_at"] == "2026-05-28T20:26:40.000Z"
    assert "contacts" not in item
    assert item["user"]["id"]
    listener.control.set_ticket_state(listener.a("tickets"), "resolved")
    assert listener.item("ticket.closed")["type"] == "ticket"


@pytest.mark.parametrize("knobs", [{"nothing": 1}, {"drop": 2}, {"delay": -1}])
def test_knobs_that_are_none_are_refused(listener: Listener, knobs: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"is (not one of|a share)"):
        listener.control.call("webhook_chaos", knobs)
