"""Writes of single contacts: conflicts, leads, what is ignored in silence, what is for ever."""

from __future__ import annotations

import pytest

from connector.simulator.encoding import decode
from connector.simulator.transport.caller import Caller, where
from tests.simulator.writes.writing import LAG, NOW, error


def exists(id: str, which: str = "A") -> tuple[int, str, str]:
    message = f"{which} contact matching those details already exists with id={id}"
    return 409, "conflict", message


SEVERAL = (
    409,
    "conflict",
    "Multiple existing users match this email address - must be more specific using user_id",
)


def test_a_contact_is_created_and_shown_at_once_but_listed_later(writer):
    made = writer.ok("POST", "/contacts", {"external_id": "x-1", "email": "x@example.com"})
    assert (made["role"], made["external_id"], made["created_at"]) == ("user", "x-1", NOW)
    assert writer.get("contacts", made["id"])["email_domain"] == "example.com"
    assert writer.stable.found("contacts", where("external_id", "=", "x-1")) == []
    writer.control.advance(LAG)
    assert writer.stable.found("contacts", where("external_id", "=", "x-1")) == [made["id"]]


@pytest.mark.parametrize("same", [{"external_id": "x-1"}, {"email": "X@example.com"}])
def test_creating_what_exists_is_a_conflict_that_names_it(writer, same):
    id = writer.user(external_id="x-1", email="x@example.com")
    assert writer.refused("POST", "/contacts", same) == exists(id)


def test_a_conflict_names_the_owner_of_the_key_before_that_of_the_email(writer):
    writer.user(email="x@example.com")
    keyed = writer.user(external_id="x-1")
    both = {"external_id": "x-1", "email": "x@example.com"}
    assert writer.refused("POST", "/contacts", both) == exists(keyed)


def test_an_archived_twin_keeps_its_identifiers_until_it_is_deleted(writer):
    id = writer.user(external_id="x-1", email="x@example.com")
    writer.ok("POST", f"/contacts/{id}/archive")
    same = {"email": "x@example.com"}
    assert writer.refused("POST", "/contacts", same) == exists(id, "An archived")
    assert writer.refused("PUT", f"/contacts/{id}", {"name": "X"})[0] == 404
    writer.ok("POST", f"/contacts/{id}/unarchive")
    assert writer.ok("PUT", f"/contacts/{id}", {"name": "X"})["name"] == "X"
    writer.ok("POST", f"/contacts/{id}/archive")
    writer.ok("DELETE", f"/contacts/{id}")
    assert writer.ok("POST", "/contacts", same)["id"] != id
    assert writer.refused("POST", f"/contacts/{id}/unarchive")[0] == 404


@pytest.mark.parametrize("taken", [{"email": "x@example.com"}, {"external_id": "x-1"}])
def test_taking_anothers_identifier_is_a_conflict(writer, taken):
    owner = writer.user(external_id="x-1", email="x@example.com")
    other = writer.user(external_id="x-2")
    assert writer.refused("PUT", f"/contacts/{other}", taken) == exists(owner)
    assert writer.ok("PUT", f"/contacts/{owner}", taken)["id"] == owner


def test_an_identifier_that_is_given_up_is_free(writer):
    first = writer.user(email="x@example.com")
    writer.ok("PUT", f"/contacts/{first}", {"email": "y@example.com"})
    assert writer.ok("POST", "/contacts", {"email": "x@example.com"})["id"] != first


def test_of_several_users_with_one_email_none_is_named(writer):
    one = writer.user(email="x@example.com")
    writer.user(email="x@example.com")
    other = writer.user(external_id="x-3")
    assert writer.refused("POST", "/contacts", {"email": "x@example.com"}) == SEVERAL
    assert writer.refused("PUT", f"/contacts/{other}", {"email": "x@example.com"}) == SEVERAL
    assert writer.ok("PUT", f"/contacts/{one}", {"email": "x@example.com", "name": "One"})


def test_leads_are_created_again_and_again(writer):
    writer.user(email="x@example.com")
    lead = {"role": "lead", "email": "x@example.com", "external_id": "x-1"}
    first, second = (writer.ok("POST", "/contacts", lead) for _ in range(2))
    assert first["id"] != second["id"]
    assert first["external_id"] not in ("x-1", None, second["external_id"])


def test_a_leads_external_id_is_not_for_the_client_to_set(writer):
    lead = writer.control.create_contact("lead", email="lead@example.com")
    before = writer.get("contacts", lead)
    after = writer.ok("PUT", f"/contacts/{lead}", {"external_id": "x-1"})
    assert after == before


def test_a_lead_becomes_a_user_with_a_key_given_in_the_same_call(writer):
    lead = writer.control.create_contact("lead", email="lead@example.com")
    after = writer.ok("PUT", f"/contacts/{lead}", {"role": "user", "external_id": "x-1"})
    assert (after["role"], after["external_id"]) == ("user", "x-1")
    feed = writer.preview.get("/contacts/activities")["data"]
    assert feed[-1]["event_type"] == "contact.role_updated"


def test_a_lead_that_becomes_a_user_loses_the_id_that_intercom_gave_it(writer):
    lead = writer.control.create_contact("lead", email="lead@example.com")
    assert writer.ok("PUT", f"/contacts/{lead}", {"role": "user"})["external_id"] is None


def test_a_lead_with_the_email_of_a_user_cannot_become_one(writer):
    user = writer.user(email="x@example.com")
    lead = writer.control.create_contact("lead", email="x@example.com")
    assert writer.refused("PUT", f"/contacts/{lead}", {"role": "user"}) == exists(user)


def test_a_user_never_becomes_a_lead(writer):
    id = writer.pick("user")
    assert writer.refused("PUT", f"/contacts/{id}", {"role": "lead"})[:2] == (
        400,
        "parameter_invalid",
    )
    assert writer.get("contacts", id)["role"] == "user"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"role": "user"},
        {"role": "visitor"},
        {"email": "nobody"},
        {"external_id": "x", "owner_id": "1"},
        {"external_id": "x", "signed_up_at": "yesterday"},
        {"external_id": "x", "unsubscribed_from_emails": "no"},
        {"external_id": "x", "custom_attributes": {"seats": "five"}},
    ],
)
def test_what_is_wrong_is_refused_and_nothing_is_created(writer, body):
    count = len(writer.space.contacts)
    assert writer.refused("POST", "/contacts", body)[:2] == (400, "parameter_invalid")
    assert len(writer.space.contacts) == count
    assert writer.control.writes() == []


def test_an_unknown_attribute_is_an_error_and_an_archived_one_is_ignored(writer):
    id = writer.pick("user")
    unknown = {"custom_attributes": {"shoe_size": 7}}
    assert writer.refused("PUT", f"/contacts/{id}", unknown) == (
        400,
        "parameter_invalid",
        "Custom attribute 'shoe_size' does not exist",
    )
    mixed = {"custom_attributes": {"old_score": 1, "seats": 3}}
    attributes = writer.ok("PUT", f"/contacts/{id}", mixed)["custom_attributes"]
    assert attributes["seats"] == 3
    assert "old_score" not in attributes


def test_a_language_that_is_none_becomes_null(writer):
    id = writer.pick("user")
    assert writer.ok("PUT", f"/contacts/{id}", {"language_override": "fr"})["language_override"]
    after = writer.ok("PUT", f"/contacts/{id}", {"language_override": "klingon"})
    assert after["language_override"] is None


def test_an_owner_must_be_a_member(writer):
    id, [admin, *_] = writer.pick("user"), list(writer.space.admins)
    assert writer.ok("PUT", f"/contacts/{id}", {"owner_id": admin})["owner_id"] == admin
    gone = next(iter(writer.space.removed_admins))
    assert writer.refused("PUT", f"/contacts/{id}", {"owner_id": gone})[0] == 400


def test_writing_the_same_again_moves_nothing(writer):
    id = writer.pick("user")
    body = {"name": "Ada", "custom_attributes": {"seats": 3}}
    first = writer.ok("PUT", f"/contacts/{id}", body)
    writer.control.advance(10)
    assert writer.ok("PUT", f"/contacts/{id}", body) == first
    assert [entry["effects"][0]["did"] for entry in writer.control.writes()] == [
        "updated",
        "unchanged",
    ]


def test_deleting_is_for_ever_and_answers_with_a_stub(writer):
    id = writer.user(external_id="x-1")
    assert writer.ok("DELETE", f"/contacts/{id}") == {
        "type": "contact",
        "id": id,
        "external_id": "x-1",
        "deleted": True,
    }
    assert writer.ask("GET", f"/contacts/{id}").status == 404
    assert writer.ask("DELETE", f"/contacts/{id}").status == 404
    assert {"kind": "contacts", "id": id, "how": "deleted"}.items() <= (
        writer.control.truth_deleted()[-1].items()
    )


def test_archiving_again_is_404_where_archived_contacts_cannot_be_read(writer):
    id = writer.user(external_id="x-1")
    assert writer.ok("POST", f"/contacts/{id}/archive")["archived"] is True
    assert writer.ask("POST", f"/contacts/{id}/archive").status == 404
    writer.simulator.archived_by_id = "shown"
    assert writer.ask("POST", f"/contacts/{id}/archive").status == 200
    assert writer.ok("POST", f"/contacts/{id}/unarchive")["archived"] is False
    assert writer.ok("POST", f"/contacts/{id}/unarchive")["archived"] is False


def test_a_merge_is_of_a_lead_into_a_user_that_looks_like_the_same_person(writer):
    user = writer.user(email="x@example.com")
    lead = writer.control.create_contact("lead", email="y@example.com")
    body = {"from": lead, "into": user}
    assert writer.refused("POST", "/contacts/merge", {"from": user, "into": lead})[0] == 400
    assert writer.refused("POST", "/contacts/merge", body)[:2] == (400, "invalid_merge")
    writer.control.update_contact(lead, email="x@example.com")
    assert writer.ok("POST", "/contacts/merge", body)["id"] == user
    gone = writer.ask("PUT", f"/contacts/{lead}", {"name": "Late"})
    assert gone.status == 410
    assert gone.headers["Link"] == f'</contacts/{user}>; rel="canonical"'
    assert Caller(writer.simulator, "2.15").ask("PUT", f"/contacts/{lead}", {}).status == 404


def test_a_merge_of_strangers_can_be_forced(writer):
    user, lead = writer.user(external_id="x-1"), writer.control.create_contact("lead")
    body = {"from": lead, "into": user, "skip_duplicate_validation": True}
    assert writer.ok("POST", "/contacts/merge", body)["id"] == user


def test_tags_are_attached_and_detached_any_number_of_times(writer):
    id, tag = writer.user(external_id="x-1"), writer.tag()
    for _ in range(2):
        shown = writer.ok("POST", f"/contacts/{id}/tags", {"id": int(tag)})
    assert (shown["id"], shown["applied_by"]["id"]) == (tag, writer.space.me)
    assert writer.get("contacts", id)["tags"]["total_count"] == 1
    for _ in range(2):
        assert writer.ok("DELETE", f"/contacts/{id}/tags/{tag}")["id"] == tag
    assert writer.get("contacts", id)["tags"]["total_count"] == 0


def test_a_missing_contact_and_a_missing_tag_are_404_each_in_its_words(writer):
    id = writer.user(external_id="x-1")
    assert writer.refused("POST", "/contacts/ffff/tags", {"id": writer.tag()})[2] == (
        "User Not Found"
    )
    assert writer.refused("POST", f"/contacts/{id}/tags", {"id": "1"})[2] == "Resource Not Found"
    assert writer.refused("DELETE", f"/contacts/{id}/tags/1")[0] == 404


def test_subscriptions_are_chosen_and_taken_back(writer):
    id = writer.user(external_id="x-1")
    path = f"/contacts/{id}/subscriptions"
    for _ in range(2):
        assert writer.ok("POST", path, {"id": "136", "consent_type": "opt_in"})["id"] == "136"
    writer.ok("POST", path, {"id": "135", "consent_type": "opt_out"})
    assert [one["id"] for one in writer.stable.get(path)["data"]] == ["135", "136"]
    for type in ("135", "136"):
        writer.ok("DELETE", f"{path}/{type}")
    assert writer.stable.get(path)["data"] == []
    assert writer.refused("POST", path, {"id": "1", "consent_type": "opt_in"})[0] == 404
    assert writer.refused("POST", path, {"id": "135"})[0] == 400


def test_companies_are_attached_by_intercoms_id(writer):
    id, company = writer.user(external_id="x-1"), writer.company()
    path = f"/contacts/{id}/companies"
    assert writer.ok("POST", path, {"id": company})["id"] == company
    assert writer.ok("POST", path, {"id": company})["id"] == company
    assert writer.get("contacts", id)["companies"]["total_count"] == 1
    assert writer.refused("POST", path, {"id": "customer-1"})[:2] == (404, "company_not_found")
    assert writer.refused("POST", path, {})[:2] == (400, "parameter_not_found")
    assert writer.ok("DELETE", f"{path}/{company}")["id"] == company
    assert writer.get("contacts", id)["companies"]["total_count"] == 0


def test_a_contact_has_no_more_than_a_thousand_companies(writer):
    assert writer.simulator.writes.settings.company_limit == 1000
    writer.control.writing(company_limit=1)
    id = writer.user(external_id="x-1")
    writer.ok("POST", f"/contacts/{id}/companies", {"id": writer.company(0)})
    refused = writer.refused("POST", f"/contacts/{id}/companies", {"id": writer.company(1)})
    assert refused[:2] == (400, "contact_company_limit_exceeded")
    assert writer.ask("POST", f"/contacts/{id}/companies", {"id": writer.company(0)}).status == 200


def test_events_are_of_users_by_any_key_and_of_leads_by_id_alone(writer):
    user = writer.user(external_id="x-1", email="x@example.com")
    lead = writer.control.create_contact("lead", email="lead@example.com")
    known = decode(writer.ask("GET", f"/contacts/{lead}").body)["external_id"]
    event = {"event_name": "paid", "created_at": NOW - 5}
    for number, who in enumerate(
        ({"id": user}, {"user_id": "x-1"}, {"email": "x@example.com"}, {"id": lead})
    ):
        response = writer.ask("POST", "/events", {**event, **who, "event_name": f"e{number}"})
        assert (response.status, response.body) == (202, b"")
    for who in ({"user_id": known}, {"email": "lead@example.com"}, {"user_id": "nobody"}):
        assert writer.refused("POST", "/events", event | who)[:2] == (404, "not_found")
    assert writer.refused("POST", "/events", event)[0] == 400
    assert len(writer.space.events[user]) == 3


def test_an_event_of_the_same_name_and_second_is_taken_and_dropped(writer):
    user = writer.user(external_id="x-1")
    event = {"user_id": "x-1", "event_name": "paid", "created_at": NOW - 5}
    for amount in (1, 2):
        assert writer.ask("POST", "/events", {**event, "metadata": {"n": amount}}).status == 202
    assert [decode(one.metadata) for one in writer.space.events[user]] == [{"n": 1}]
    writer.ask("POST", "/events", {**event, "created_at": NOW - 4})
    assert len(writer.space.events[user]) == 2


def test_an_event_keeps_ten_keys(writer):
    user = writer.user(external_id="x-1")
    metadata = {f"k{number}": number for number in range(12)}
    event = {"event_name": "paid", "created_at": NOW, "metadata": metadata}
    writer.ask("POST", "/events", {**event, "user_id": "x-1"})
    assert list(decode(writer.space.events[user][0].metadata)) == [f"k{n}" for n in range(10)]


def test_an_event_by_an_email_of_several_users_is_a_conflict(writer):
    for _ in range(2):
        writer.user(email="x@example.com")
    event = {"event_name": "paid", "created_at": NOW, "email": "x@example.com"}
    assert writer.refused("POST", "/events", event) == SEVERAL


def test_a_contact_can_go_between_reading_and_writing(writer):
    user = writer.user(external_id="x-1")
    match = {"method": "PUT", "path": f"^/contacts/{user}$"}
    writer.control.when(match, "delete_contact", {"id": user}, before=True)
    assert error(writer.ask("PUT", f"/contacts/{user}", {"name": "Late"}))[0] == 404


def test_somebody_else_can_create_it_meanwhile(writer):
    body = {"external_id": "x-1"}
    writer.control.when(
        {"method": "POST", "path": "^/contacts$"},
        "create_contact",
        {"role": "user", **body},
        before=True,
    )
    assert writer.refused("POST", "/contacts", body)[:2] == (409, "conflict")
