"""What a test may do to writes: lost replies, refused items, scopes, limits, the log."""

from __future__ import annotations

import pytest

from connector.simulator import serve
from connector.simulator.encoding import decode
from tests.simulator.writes.writing import NOW, Writer, error

LOST = ("reset", "stall", "empty", "cut", "garbage", "content_type", "late_status")


@pytest.mark.parametrize("kind", LOST)
def test_a_reply_can_be_lost_after_the_write(writer, kind):
    lead = {"role": "lead", "email": "lead@example.com"}
    for path in ("/contacts", "/contacts/bulk"):
        writer.control.fail({"path": f"^{path}$"}, kind=kind)
        body = lead if path == "/contacts" else {"contacts": [lead]}
        for _ in range(2):
            writer.preview.ask("POST", path, body)
    writer.done()
    assert writer.counted("created") == 4
    assert [entry["items"] for entry in writer.control.writes()] == [1] * 4


@pytest.mark.parametrize("fault", [{"kind": "status"}, {"kind": "refuse"}, {"status": 429}])
def test_a_request_can_be_refused_before_the_write(writer, fault):
    writer.control.fail({"path": "^/contacts"}, times=2, **fault)
    writer.ask("POST", "/contacts", {"external_id": "x-1"})
    writer.preview.ask("POST", "/contacts/bulk", {"contacts": [{"external_id": "x-1"}]})
    writer.done()
    assert writer.control.writes() == writer.control.jobs() == []
    assert writer.ask("POST", "/contacts", {"external_id": "x-1"}).status == 200


def test_beyond_the_rate_limit_nothing_is_written():
    writer = Writer(rate_limit=1)
    statuses = [writer.ask("POST", "/contacts", {"external_id": f"x-{n}"}).status for n in range(2)]
    assert statuses == [200, 429]
    assert writer.counted("created") == 1


@pytest.mark.parametrize(("cost", "remaining"), [(0, "99"), (1, "94")])
def test_each_item_can_cost_a_request(cost, remaining):
    writer = Writer(rate_limit=100)
    writer.control.writing(item_cost=cost)
    contacts = [{"external_id": f"x-{number}"} for number in range(5)]
    writer.bulk("POST", "/contacts/bulk", contacts=contacts)
    assert writer.ask("GET", "/me").headers["X-RateLimit-Remaining"] == remaining


def test_a_refused_item_fails_in_bulk_without_and_singly_with_its_reason(writer):
    one, other = writer.user(external_id="x-1"), writer.user(external_id="x-2")
    writer.control.refuse_items(ids=[one], external_ids=["x-3"], message="No", code="data_invalid")
    update = writer.bulk(
        "PUT",
        "/contacts/bulk",
        contacts=[{"id": one, "name": "A"}, {"id": other, "name": "B"}],
    )
    create = writer.bulk("POST", "/contacts/bulk", contacts=[{"external_id": "x-3"}])
    writer.done()
    assert writer.fates(update) == ["failed", "done"]
    assert writer.job(update)["state"] == "completed_with_errors"
    assert writer.fates(create) == ["failed"]
    refusal = (400, "data_invalid", "No")
    assert writer.refused("PUT", f"/contacts/{one}", {"name": "A"}) == refusal
    assert writer.refused("DELETE", f"/contacts/{one}") == refusal
    assert writer.refused("POST", "/contacts", {"external_id": "x-3"}) == refusal
    writer.control.accept_items()
    assert writer.ok("PUT", f"/contacts/{one}", {"name": "A"})["name"] == "A"


def test_companies_are_refused_by_their_keys(writer):
    writer.control.refuse_items(external_ids=["c-1"], message="No", status=422)
    body = {"company_id": "c-1", "name": "Acme"}
    assert writer.refused("POST", "/companies", body) == (422, "parameter_invalid", "No")
    job = writer.bulk("POST", "/companies/bulk", companies=[body, {**body, "company_id": "c-2"}])
    writer.done()
    assert writer.fates(job) == ["failed", "done"]


def test_a_share_of_all_items_is_refused_and_always_the_same(writer):
    writer.control.refuse_items(share=0.3)
    contacts = [{"external_id": f"x-{number}"} for number in range(100)]
    job = writer.bulk("POST", "/contacts/bulk", contacts=contacts)
    writer.done()
    fates = writer.fates(job)
    assert 15 < fates.count("failed") < 45
    for contact, fate in zip(contacts, fates, strict=True):
        expected = 400 if fate == "failed" else 409
        assert writer.ask("POST", "/contacts", contact).status == expected


@pytest.mark.parametrize(("status", "code"), [(403, "forbidden"), (401, "token_unauthorized")])
def test_a_token_may_read_and_not_write(writer, status, code):
    writer.control.withhold(status=status)
    for method, path, scope in (
        ("POST", "/contacts", "write_users_companies"),
        ("PUT", f"/contacts/{writer.pick('user')}", "write_users_companies"),
        ("POST", "/tags", "write_tags"),
        ("POST", "/events", "write_events"),
        ("POST", "/data_attributes", "write_data_attributes"),
    ):
        refused = writer.refused(method, path, {})
        message = f"You do not have the required scope ({scope}) to access this resource"
        assert refused == (status, code, message)
    assert writer.bulk_refused("POST", "/contacts/bulk", contacts=[{}])[0] == status
    assert writer.ask("GET", "/me").status == 200
    assert writer.control.writes() == []
    writer.control.allow_all()
    assert writer.ask("POST", "/contacts", {"external_id": "x-1"}).status == 200


def test_one_scope_of_writing_can_be_missing(writer):
    writer.control.withhold(["write_events"])
    event = {"user_id": "x-1", "event_name": "paid", "created_at": NOW}
    writer.ok("POST", "/contacts", {"external_id": "x-1"})
    assert writer.ask("POST", "/events", event).status == 403


@pytest.mark.parametrize(
    ("control", "wrong"),
    [
        ("writing", {"speed": 1}),
        ("writing", {"task_order": "backwards"}),
        ("writing", {"bulk_post": "upsert"}),
        ("withhold", {"scopes": ["write_everything"]}),
    ],
)
def test_what_cannot_be_chosen_is_an_error(writer, control, wrong):
    with pytest.raises(ValueError, match=r"one of|no s"):
        writer.control.call(control, wrong)


def test_the_log_says_what_each_request_did_and_with_whom(writer):
    made = writer.ok("POST", "/contacts", {"external_id": "x-1"})
    job = writer.bulk(
        "POST", "/contacts/bulk", contacts=[{"external_id": "x-1"}, {"external_id": "x-2"}]
    )
    writer.ask("POST", "/contacts", {"external_id": "x-1"})
    single, bulk = writer.control.writes()
    assert single["effects"] == [{"did": "created", "kind": "contacts", "id": made["id"]}]
    assert (bulk["method"], bulk["path"], bulk["items"]) == ("POST", "/contacts/bulk", 2)
    assert (bulk["job"], bulk["task"]) == (job["id"], job["tasks"][0]["id"])
    assert bulk["effects"] == []
    writer.done()
    [effect] = writer.control.writes()[1]["effects"]
    assert effect["did"] == "created"
    [task] = writer.control.jobs()[0]["tasks"]
    assert task["items"][1]["effects"] == [effect]
    assert task["items"][0]["error"].endswith(made["id"])


def test_what_was_written_follows_the_truth_and_the_index(writer):
    id = writer.ok("POST", "/contacts", {"external_id": "x-1", "name": "Ada"})["id"]
    assert writer.control.truth_one("contacts", id)["name"] == "Ada"
    assert id in writer.control.unsettled("contacts", NOW)


async def test_the_controls_answer_over_http(writer):
    import httpx

    async with (
        serve(writer.simulator, control=True) as url,
        httpx.AsyncClient(base_url=url, headers=writer.preview.headers) as client,
    ):
        for name, arguments in (
            ("writing", {"job_delay": 0, "task_order": "shuffled"}),
            ("refuse_items", {"external_ids": ["x-2"]}),
        ):
            assert (await client.post(f"/_control/{name}", json=arguments)).status_code == 200
        contacts = [{"external_id": "x-1"}, {"external_id": "x-2"}]
        taken = await client.post("/contacts/bulk", json={"contacts": contacts})
        assert taken.status_code == 202
        [job] = (await client.post("/_control/jobs", json={})).json()
        assert [item["state"] for item in job["tasks"][0]["items"]] == ["done", "failed"]
        [entry] = (await client.post("/_control/writes", json={})).json()
        assert len(entry["effects"]) == 1


def test_errors_have_the_envelope_of_all_errors(writer):
    response = writer.preview.ask("PUT", "/contacts/bulk", {})
    assert error(response)[0] == 422
    assert decode(response.body)["request_id"]


def test_a_write_can_be_said_to_have_failed_though_it_was_done(writer):
    writer.control.fail({"method": "POST", "path": "^/contacts$"}, kind="late_status", status=504)
    assert writer.refused("POST", "/contacts", {"external_id": "x-1"})[0] == 504
    assert writer.refused("POST", "/contacts", {"external_id": "x-1"})[0] == 409


def test_a_note_whose_reply_was_lost_is_there_twice_if_it_is_sent_again(writer):
    id = writer.user(external_id="x-1")
    writer.control.fail({"path": "/notes$"}, kind="reset")
    for _ in range(2):
        writer.ask("POST", f"/contacts/{id}/notes", {"body": "<p>called</p>"})
    assert [note["body"] for note in writer.stable.get(f"/contacts/{id}/notes")["data"]] == [
        "<p>called</p>"
    ] * 2
    assert writer.refused("POST", f"/contacts/{id}/notes", {"body": "x", "admin_id": 1})[0] == 404


def test_settings_are_shown_when_one_is_set(writer):
    assert writer.control.writing(job_delay=7)["job_delay"] == 7
    assert writer.control.writing()["bulk_size"] == 100


def test_who_has_what_is_known_however_it_changed(writer):
    space, identities = writer.space, writer.simulator.writes.identities
    identities.users("email", "nobody@example.com")
    for number in range(60):
        writer.control.live(10, seed=number)
        writer.control.advance(1)
        kept = [gone.item for gone in space.gone.get("contacts", {}).values() if gone.item]
        known: dict[tuple[str, str, bool], set[str]] = {}
        for item in [*space.contacts.current.values(), *kept]:
            record = decode(item.body)
            for name in ("email", "external_id"):
                if item.group == "user" and record[name] is not None:
                    key = name, record[name], item.id not in space.contacts.current
                    known.setdefault(key, set()).add(item.id)
        for (name, value, archived), ids in known.items():
            assert set(identities.users(name, value, archived=archived)) == ids
        for item in space.companies.current.values():
            assert identities.company(decode(item.body)["company_id"]) == item.id
