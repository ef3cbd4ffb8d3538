"""The simulator's companies: hidden ones, the list's limit, the scroll."""

from __future__ import annotations

import pytest

from connector.simulator import Simulator, Workspace
from connector.simulator.encoding import decode
from connector.simulator.transport.caller import Caller

NOW = 1_780_000_000


@pytest.fixture
def simulator() -> Simulator:
    space = Workspace.generate(seed=3, contacts=900, companies=250, conversations=0, now=NOW)
    return Simulator(space, clock=lambda: float(NOW), index_lag=30)


def scroll(caller: Caller, param: str | None = None):
    query = {"scroll_param": param} if param else {}
    return caller.ask("GET", "/companies/scroll", **query)


def scrolled(caller: Caller) -> list[str]:
    ids: list[str] = []
    param = None
    while True:
        page = decode(scroll(caller, param).body)
        param = page["scroll_param"]
        if not page["data"]:
            return ids
        ids += [one["id"] for one in page["data"]]


def test_companies_without_users_live_by_id_only(simulator, caller):
    truth = simulator.control.truth("companies")
    hidden = {one["id"] for one in truth if one["_hidden"]}
    shown = {one["id"] for one in truth if not one["_hidden"]}
    assert hidden
    assert set(scrolled(caller)) == shown
    listed = caller.post("/companies/list", per_page=60)
    assert listed["total_count"] == len(shown)
    assert caller.get(f"/companies/{next(iter(hidden))}")["user_count"] == 0
    preview = Caller(simulator, "Preview")
    query = {"field": "created_at", "operator": ">", "value": 0}
    assert set(preview.found("companies", query)) == shown


def test_unset_keys_are_left_out(simulator):
    companies = simulator.control.truth("companies")
    assert any("website" not in one for one in companies)
    assert any(one["plan"] == {} for one in companies)
    assert not any(value is None for one in companies for value in one.values())


def test_the_list_pages_by_number_and_next_is_an_address(caller):
    first = caller.post("/companies/list")
    assert (first["pages"]["per_page"], len(first["data"])) == (15, 15)
    assert first["pages"]["next"] == "https://api.intercom.io/companies/list?per_page=15&page=2"
    last = caller.post("/companies/list", per_page=60, page=first["total_count"] // 60 + 1)
    assert last["pages"]["next"] is None
    assert caller.ask("POST", "/companies/list", {}, per_page=61).status == 400


def test_the_list_stops_at_ten_thousand(caller):
    assert caller.ask("POST", "/companies/list", {}, per_page=50, page=200).status == 200
    response = caller.ask("POST", "/companies/list", {}, per_page=50, page=201)
    message = decode(response.body)["errors"][0]["message"]
    assert (response.status, message) == (400, "page limit reached, please use scroll API")


def test_only_one_scroll_at_a_time(caller):
    first = decode(scroll(caller).body)
    assert (first["pages"], first["total_count"], len(first["data"])) == (None, None, 100)
    second = scroll(caller)
    assert second.status == 400
    assert decode(second.body)["errors"][0]["code"] == "scroll_exists"
    following = decode(scroll(caller, first["scroll_param"]).body)
    assert following["scroll_param"] == first["scroll_param"]


def test_a_scroll_expires_after_a_minute_of_idleness(simulator, caller):
    param = decode(scroll(caller).body)["scroll_param"]
    simulator.control.advance(59)
    assert scroll(caller, param).status == 200
    simulator.control.advance(60)
    assert scroll(caller, param).status == 404
    assert scroll(caller).status == 200


def test_after_the_end_the_parameter_is_unknown(caller):
    param = decode(scroll(caller).body)["scroll_param"]
    while decode(scroll(caller, param).body)["data"]:
        pass
    assert scroll(caller, param).status == 404
    assert scroll(caller).status == 200


def test_a_foreign_scroll_is_in_the_way(simulator, caller):
    simulator.control.hold_scroll(30)
    assert scroll(caller).status == 400
    simulator.control.advance(31)
    assert scroll(caller).status == 200


def test_a_network_failure_ends_the_scroll(simulator, caller):
    param = decode(scroll(caller).body)["scroll_param"]
    simulator.control.fail({"path": "/companies/scroll"}, kind="scroll_network")
    broken = scroll(caller, param)
    assert broken.status == 500
    assert "Please restart the scroll" in decode(broken.body)["errors"][0]["message"]
    assert scroll(caller, param).status == 404
    assert scroll(caller).status == 200


def test_a_lost_page_of_a_scroll_cannot_be_had_again(simulator, caller):
    first = decode(scroll(caller).body)
    simulator.control.fail({"path": "/companies/scroll"}, kind="cut")
    lost = decode(scroll(caller, first["scroll_param"]).body)
    third = decode(scroll(caller, first["scroll_param"]).body)
    assert not {one["id"] for one in lost["data"]} & {one["id"] for one in third["data"]}


def test_a_user_is_counted_later_and_listed_later_still(simulator, caller):
    control = simulator.control
    company = control.create_company("Späte GmbH", "late-1")
    contact = next(iter(simulator.workspace.contacts.current))
    control.attach_company(contact, company)
    record = caller.get(f"/companies/{company}")
    assert (record["user_count"], record["updated_at"]) == (0, NOW)
    control.advance(92)
    record = caller.get(f"/companies/{company}")
    assert (record["user_count"], record["updated_at"]) == (1, NOW + 91)
    assert company not in scrolled(caller)
    control.advance(90)
    assert company in scrolled(caller)


def test_a_company_that_loses_its_last_user_vanishes_but_lives(simulator, caller):
    control = simulator.control
    company = control.create_company("Kurz AG")
    contact = next(iter(simulator.workspace.contacts.current))
    control.attach_company(contact, company)
    control.advance(400)
    assert company in scrolled(caller)
    control.detach_company(contact, company)
    control.advance(400)
    assert company not in scrolled(caller)
    assert caller.get(f"/companies/{company}")["name"] == "Kurz AG"


def test_by_its_own_key_a_company_is_a_single_object(simulator, caller):
    known = simulator.control.truth("companies")[5]
    found = caller.get("/companies", company_id=known["company_id"])
    assert (found["type"], found["id"]) == ("company", known["id"])
    missing = caller.ask("GET", "/companies", company_id="nobody")
    assert decode(missing.body)["errors"][0]["code"] == "company_not_found"


def test_a_deleted_company_leaves_its_contacts(simulator, caller):
    contact = next(i for i in simulator.workspace.contacts.current.values() if i.owned.companies)
    company = contact.owned.companies[0]
    simulator.control.delete_company(company)
    assert caller.ask("GET", f"/companies/{company}").status == 404
    assert company in scrolled(caller)
    after = caller.get(f"/contacts/{contact.id}")
    assert company not in [one["id"] for one in after["companies"]["data"]]
    assert after["updated_at"] == contact.updated_at
    [gone] = simulator.control.truth_deleted()
    assert (gone["kind"], gone["id"], gone["how"]) == ("companies", company, "deleted")
    assert (gone["at"], gone["since"], gone["target"]) == (NOW, NOW, None)
