"""Writes of companies, tags and attributes, one request at a time."""

from __future__ import annotations

import pytest

from connector.simulator.transport.caller import Caller
from tests.simulator.writes.writing import NOW


def test_a_company_is_created_once_and_then_updated(writer):
    body = {"company_id": "c-1", "name": "Acme", "plan": "Gold"}
    first = writer.ok("POST", "/companies", body)
    assert first["plan"]["name"] == "Gold"
    writer.control.advance(10)
    second = writer.ok("POST", "/companies", {"company_id": "c-1", "size": 7})
    assert (second["id"], second["name"], second["size"]) == (first["id"], "Acme", 7)
    assert second["updated_at"] == NOW + 10
    assert writer.ok("POST", "/companies", body)["updated_at"] == NOW + 10


def test_a_company_without_contacts_is_on_no_list(writer):
    id = writer.ok("POST", "/companies", {"company_id": "c-1", "name": "Acme"})["id"]
    user = writer.user(external_id="x-1")
    for count in (0, 1):
        writer.control.advance(1000)
        listed = writer.stable.post("/companies/list", per_page=60)["data"]
        assert [one["id"] for one in listed].count(id) == count
        writer.ok("POST", f"/contacts/{user}/companies", {"id": id})


def test_a_company_id_is_needed_and_cannot_change(writer):
    assert writer.refused("POST", "/companies", {"name": "Acme"})[:2] == (
        400,
        "parameter_not_found",
    )
    id = writer.company()
    key = writer.get("companies", id)["company_id"]
    after = writer.ok("PUT", f"/companies/{id}", {"company_id": "other", "name": "Acme"})
    assert (after["company_id"], after["name"]) == (key, "Acme")
    assert writer.refused("PUT", "/companies/ffff", {})[:2] == (404, "company_not_found")


def test_a_parameter_that_is_not_known_is_an_error(writer):
    refused = writer.refused("POST", "/companies", {"company_id": "c-1", "test": "invalid"})
    assert refused == (400, "bad_request", "bad 'test' parameter")


def test_amounts_are_cut_and_times_of_requests_are_now(writer):
    body = {"company_id": "c-1", "name": "A", "monthly_spend": 155.98}
    assert writer.ok("POST", "/companies", body)["monthly_spend"] == 155
    id = writer.ok("POST", "/companies", {**body, "monthly_spend": 2**40})["id"]
    assert writer.get("companies", id)["monthly_spend"] == 2**31 - 1
    after = writer.ok("PUT", f"/companies/{id}", {"update_last_request_at": True})
    assert after["last_request_at"] == NOW


def test_attributes_of_companies_are_checked_as_those_of_contacts(writer):
    id = writer.company()
    unknown = {"custom_attributes": {"plan_tier": "pro"}}
    assert writer.refused("PUT", f"/companies/{id}", unknown)[2] == (
        "Custom attribute 'plan_tier' does not exist"
    )
    after = writer.ok(
        "PUT", f"/companies/{id}", {"custom_attributes": {"arr": 1, "old_region": "EU"}}
    )
    assert after["custom_attributes"]["arr"] == 1
    assert "old_region" not in after["custom_attributes"]


def test_a_deleted_company_goes_later_and_leaves_its_contacts(writer):
    id, user = writer.company(), writer.user(external_id="x-1")
    writer.ok("POST", f"/contacts/{user}/companies", {"id": id})
    assert writer.ok("DELETE", f"/companies/{id}") == {
        "id": id,
        "object": "company",
        "deleted": True,
    }
    assert writer.ask("GET", f"/companies/{id}").status == 200
    writer.control.advance(10)
    assert writer.ask("GET", f"/companies/{id}").status == 404
    assert writer.get("contacts", user)["companies"]["total_count"] == 0
    assert writer.refused("DELETE", f"/companies/{id}")[:2] == (404, "company_not_found")


def test_what_is_written_to_a_company_that_goes_goes_with_it(writer):
    id = writer.company()
    key = writer.get("companies", id)["company_id"]
    writer.ok("DELETE", f"/companies/{id}")
    assert writer.ok("POST", "/companies", {"company_id": key, "name": "Late"})["id"] == id
    writer.control.advance(10)
    assert writer.ok("POST", "/companies", {"company_id": key, "name": "Again"})["id"] != id


def test_a_tag_is_created_once_whatever_its_case(writer):
    made = writer.ok("POST", "/tags", {"name": "Late payer"})
    assert (made["type"], made["users"], made["companies"]) == ("tag", [], [])
    assert writer.ok("POST", "/tags", {"name": "LATE PAYER"})["id"] == made["id"]
    renamed = writer.ok("POST", "/tags", {"id": made["id"], "name": "Punctual"})
    assert (renamed["id"], renamed["name"]) == (made["id"], "Punctual")
    assert writer.refused("POST", "/tags", {"test": "invalid"}) == (
        400,
        "parameter_invalid",
        "invalid tag parameters",
    )


def test_many_contacts_are_tagged_at_once_and_unknown_ones_skipped(writer):
    ids = [writer.user(external_id=f"x-{number}") for number in range(3)]
    users = [{"id": id} for id in [*ids, "ffff"]]
    made = writer.ok("POST", "/tags", {"name": "Late payer", "users": users})
    assert made["users"] == [{"id": id, "tagged": True} for id in ids]
    for id in ids:
        assert writer.get("contacts", id)["tags"]["data"][0]["id"] == made["id"]
    assert writer.control.writes()[-1]["items"] == 4
    old = Caller(writer.simulator, "2.15").ask("POST", "/tags", {"name": "A", "users": users})
    assert old.status == 404


def test_companies_are_tagged_and_untagged_by_either_key(writer):
    one, other = writer.company(0), writer.company(1)
    key = writer.get("companies", other)["company_id"]
    companies = [{"id": one}, {"company_id": key}]
    made = writer.ok("POST", "/tags", {"name": "Late payer", "companies": companies})
    assert made["companies"] == [{"id": one, "tagged": True}, {"id": other, "tagged": True}]
    gone = [{"id": one, "untag": True}]
    assert writer.ok("POST", "/tags", {"name": "Late payer", "companies": gone})["companies"] == [
        {"id": one, "tagged": False}
    ]
    tags = [[t["id"] for t in writer.get("companies", id)["tags"]["tags"]] for id in (one, other)]
    assert [made["id"] in found for found in tags] == [False, True]
    missing = {"name": "Late payer", "companies": [{"company_id": "none"}]}
    assert writer.refused("POST", "/tags", missing)[:2] == (404, "company_not_found")


def test_an_attribute_is_defined_and_then_written(writer):
    body = {"name": "Mithril Shirt", "model": "company", "data_type": "boolean"}
    made = writer.ok("POST", "/data_attributes", {**body, "description": "Shiny"})
    assert (made["full_name"], made["description"]) == (
        "custom_attributes.Mithril Shirt",
        "Shiny",
    )
    attributes = {"custom_attributes": {"Mithril Shirt": True}}
    after = writer.ok("PUT", f"/companies/{writer.company()}", attributes)
    assert after["custom_attributes"]["Mithril Shirt"] is True


def test_an_attributes_name_is_taken_for_contacts_and_companies_together(writer):
    for model, new in (("contact", "people"), ("company", "company")):
        body = {"name": "arr", "model": model, "data_type": "float"}
        assert writer.refused("POST", "/data_attributes", body) == (
            400,
            "parameter_invalid",
            f"You already have 'arr' in your company data."
            f" To save this as new {new} data, use a different name.",
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "!nv@l!d n@me"},
        {"data_type": "mithril"},
        {"model": "ticket"},
        {"data_type": "options", "options": [{"value": "1-10"}]},
    ],
)
def test_a_wrong_attribute_is_refused(writer, wrong):
    body = {"name": "Ring", "model": "company", "data_type": "string"}
    assert writer.refused("POST", "/data_attributes", {**body, **wrong})[:2] == (
        400,
        "parameter_invalid",
    )
    options = {"data_type": "options", "options": [{"value": "a"}, {"value": "b"}]}
    assert writer.ok("POST", "/data_attributes", {**body, **options})["options"] == ["a", "b"]
