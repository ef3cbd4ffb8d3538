"""Bulk writes: jobs and tasks, items whose fate nobody tells, what is ignored in silence."""

from __future__ import annotations

import pytest

from connector.simulator.encoding import decode
from connector.simulator.transport.caller import Caller, where
from tests.simulator.writes.writing import NOW, Writer

DELAY = 5
JOB = ("id", "type", "state", "created_at", "updated_at", "completed_at", "tasks", "url")
TASK = ("id", "item_count", "state", "created_at", "started_at", "completed_at")


def create(writer: Writer, *items: dict, **more) -> dict:
    return writer.bulk("POST", "/contacts/bulk", contacts=list(items), **more)


def update(writer: Writer, *items: dict, **more) -> dict:
    return writer.bulk("PUT", "/contacts/bulk", contacts=list(items), **more)


def test_a_job_starts_later_and_ends_later(writer):
    job = create(writer, {"external_id": "x-1"}, {"external_id": "x-2"})
    assert tuple(job) == JOB
    [task] = job["tasks"]
    assert tuple(task) == TASK
    assert (job["state"], task["state"], task["item_count"]) == ("running", "pending", 2)
    assert writer.job(job) == job
    writer.control.advance(DELAY)
    [task] = writer.job(job)["tasks"]
    assert (task["state"], task["started_at"]) == ("running", NOW + DELAY)
    assert writer.simulator.writes.identities.users("external_id", "x-1") == []
    writer.control.advance(DELAY)
    after = writer.job(job)
    assert (after["state"], after["completed_at"]) == ("completed", NOW + 2 * DELAY)
    assert after["updated_at"] == after["tasks"][0]["completed_at"] == NOW + 2 * DELAY
    assert writer.counted("created") == 2


def test_what_was_done_late_counts_from_when_it_was_due(writer):
    create(writer, {"external_id": "x-1"})
    writer.control.advance(1000)
    assert writer.simulator.writes.identities.users("external_id", "x-1") == []
    [made] = [one for one in writer.control.truth("contacts") if one["external_id"] == "x-1"]
    assert made["created_at"] == NOW + 2 * DELAY
    assert writer.stable.found("contacts", where("external_id", "=", "x-1")) == [made["id"]]


def test_the_reply_has_no_ids_and_a_failed_item_no_name(writer):
    known = writer.user(external_id="x-1")
    archived = writer.user(email="gone@example.com")
    writer.control.archive_contact(archived)
    items = [{"external_id": "x-1"}, {"email": "gone@example.com"}, {"external_id": "x-2"}, {}]
    job = create(writer, *items)
    writer.done()
    answer = writer.preview.ask("GET", f"/contacts/bulk/{job['id']}").body
    assert (
        decode(answer)["state"] == decode(answer)["tasks"][0]["state"] == ("completed_with_errors")
    )
    assert known.encode() not in answer
    assert b"exists" not in answer
    assert writer.fates(job) == ["failed", "failed", "done", "failed"]


def test_a_create_never_updates(writer):
    id = writer.user(external_id="x-1", name="Ada")
    create(writer, {"external_id": "x-1", "name": "Eve"})
    writer.done()
    assert writer.get("contacts", id)["name"] == "Ada"


def test_the_same_user_twice_in_one_request_is_created_once(writer):
    job = create(writer, {"external_id": "x-1"}, {"external_id": "x-1"})
    writer.done()
    assert writer.fates(job) == ["done", "failed"]


def test_the_same_lead_twice_is_two_leads(writer):
    lead = {"role": "lead", "email": "lead@example.com"}
    create(writer, lead, lead)
    writer.done()
    assert writer.counted("created") == 2


def test_an_update_needs_ids_and_ignores_what_it_does_not_know(writer):
    lead = writer.control.create_contact("lead", email="lead@example.com")
    before = writer.get("contacts", lead)
    ignored = {"role": "user", "signed_up_at": 5, "last_seen_at": 6, "shoe_size": 7}
    job = update(writer, {"id": lead, **ignored, "external_id": "x-1"})
    writer.done()
    assert writer.job(job)["state"] == "completed"
    assert writer.get("contacts", lead) == before
    update(writer, {"id": lead, **ignored, "name": "Ada"})
    writer.done()
    assert writer.get("contacts", lead)["name"] == "Ada"
    assert writer.get("contacts", lead)["role"] == "lead"


@pytest.mark.parametrize(
    "wrong",
    [
        {"custom_attributes": {"shoe_size": 7}},
        {"owner_id": "1"},
        {"email": "taken@example.com"},
        {"companies": [{"name": "Acme"}]},
    ],
)
def test_a_wrong_item_fails_alone(writer, wrong):
    writer.user(email="taken@example.com")
    one, other = writer.user(external_id="x-1"), writer.user(external_id="x-2")
    job = update(writer, {"id": one, "name": "A", **wrong}, {"id": other, "name": "B"})
    writer.done()
    assert writer.fates(job) == ["failed", "done"]
    assert writer.get("contacts", one)["name"] is None
    assert writer.get("contacts", other)["name"] == "B"


def test_an_archived_attribute_fails_no_item(writer):
    id = writer.user(external_id="x-1")
    job = update(writer, {"id": id, "custom_attributes": {"old_score": 1, "seats": 2}})
    writer.done()
    assert writer.fates(job) == ["done"]
    assert writer.get("contacts", id)["custom_attributes"] == {"seats": 2}


def test_tags_come_later_and_unknown_ones_are_skipped(writer):
    one, other = writer.tag(0), writer.tag(1)
    id = writer.user(external_id="x-1")
    writer.control.tag_contact(id, other)
    tags = {"add": [{"id": one}, {"id": "1"}], "remove": [{"id": other}, {"id": "2"}]}
    job = update(writer, {"id": id, "tags": tags})
    writer.control.advance(2 * DELAY)
    assert writer.job(job)["state"] == "completed"
    assert [tag["id"] for tag in writer.get("contacts", id)["tags"]["data"]] == [other]
    writer.control.advance(2)
    assert [tag["id"] for tag in writer.get("contacts", id)["tags"]["data"]] == [one]
    assert (writer.counted("tagged"), writer.counted("untagged")) == (1, 1)


def test_a_missing_company_is_created_and_one_that_exists_renamed(writer):
    known = writer.company()
    key = writer.get("companies", known)["company_id"]
    companies = [{"company_id": "c-new", "name": "New"}, {"company_id": key, "name": "Renamed"}]
    create(writer, {"external_id": "x-1", "companies": companies})
    writer.done()
    assert writer.get("companies", known)["name"] == "Renamed"
    made = writer.stable.get("/companies", company_id="c-new")
    [id] = writer.simulator.writes.identities.users("external_id", "x-1")
    attached = [one["id"] for one in writer.get("contacts", id)["companies"]["data"]]
    assert attached == [made["id"], known]
    update(writer, {"id": id, "companies": [{"company_id": key, "remove": True}]})
    writer.done()
    assert [one["id"] for one in writer.get("contacts", id)["companies"]["data"]] == [made["id"]]


def test_deleting_is_for_ever_and_a_missing_contact_fails_alone(writer):
    id, archived = writer.user(external_id="x-1"), writer.user(external_id="x-2")
    writer.control.archive_contact(archived)
    contacts = [{"id": id}, {"id": "ffff"}, {"id": archived}, {"id": id}]
    job = writer.bulk("POST", "/contacts/bulk/delete", contacts=contacts)
    writer.done()
    assert writer.fates(job) == ["done", "failed", "done", "failed"]
    assert writer.ask("POST", f"/contacts/{archived}/unarchive").status == 404


def test_what_was_merged_or_deleted_meanwhile_fails(writer):
    user, lead = writer.user(external_id="x-1"), writer.control.create_contact("lead")
    gone = writer.user(external_id="x-2")
    job = update(writer, *({"id": id, "name": "Late"} for id in (user, lead, gone)))
    writer.control.merge_contacts(lead, user)
    writer.control.delete_contact(gone)
    writer.done()
    assert writer.fates(job) == ["done", "failed", "failed"]


def test_companies_are_upserted_by_key_and_updated_by_id(writer):
    known = writer.company()
    key = writer.get("companies", known)["company_id"]
    items = [
        {"company_id": key, "size": 7, "test": "ignored"},
        {"company_id": "c-1", "name": "New", "plan": "Gold", "monthly_spend": 1.9},
        {"name": "Nameless"},
    ]
    job = writer.bulk("POST", "/companies/bulk", companies=items)
    assert job["type"] == "companies.bulk.job"
    writer.done()
    assert writer.job(job)["state"] == "completed_with_errors"
    assert writer.fates(job) == ["done", "done", "failed"]
    assert writer.get("companies", known)["size"] == 7
    made = writer.stable.get("/companies", company_id="c-1")
    assert (made["plan"]["name"], made["monthly_spend"]) == ("Gold", 1)
    job = writer.bulk(
        "PUT", "/companies/bulk", companies=[{"id": known, "name": "A"}, {"id": "ffff"}]
    )
    writer.done()
    assert writer.fates(job) == ["done", "failed"]
    job = writer.bulk("POST", "/companies/bulk/delete", companies=[{"id": known}])
    writer.done()
    assert writer.ask("GET", f"/companies/{known}").status == 404


@pytest.mark.parametrize("kind", ["contacts", "companies"])
@pytest.mark.parametrize(("method", "path"), [("POST", ""), ("PUT", ""), ("POST", "/delete")])
def test_a_request_is_refused_as_a_whole(writer, kind, method, path):
    one = {"contacts": "contact", "companies": "company"}[kind]
    at = f"/{kind}/bulk{path}"
    for items, code, message in (
        (None, "field_not_found", f"{kind} field must be supplied"),
        ({"id": "1"}, "type_mismatch", f"{kind} must be an array"),
        (["1"], "type_mismatch", f"each {one} must be an object"),
        (
            [{"id": "1"}] * 101,
            "parameter_invalid",
            f"maximum number of {kind} per request is 100",
        ),
    ):
        assert writer.bulk_refused(method, at, **{kind: items}) == (422, code, message)
    if (method, path) != ("POST", ""):
        refused = writer.bulk_refused(method, at, **{kind: [{"id": "1"}, {"name": "A"}]})
        assert refused == (422, "field_not_found", f"{kind} must be identified by id")
    assert writer.control.jobs() == []


def test_the_size_can_be_another(writer):
    writer.control.writing(bulk_size=1000)
    update(writer, *({"id": str(number + 1)} for number in range(1000)))
    refused = writer.bulk_refused("PUT", "/contacts/bulk", contacts=[{"id": "1"}] * 1001)
    assert refused[2] == "maximum number of contacts per request is 1000"


def test_tasks_are_appended_until_the_job_closes(writer):
    ids = [writer.user(external_id=f"x-{number}") for number in range(3)]
    job = update(writer, {"id": ids[0], "name": "A"})
    same = update(writer, {"id": ids[1], "name": "B"}, job={"id": job["id"]})
    assert same["id"] == job["id"]
    assert len(same["tasks"]) == 2
    writer.done()
    assert writer.job(job)["completed_at"] is not None
    again = update(writer, {"id": ids[2], "name": "C"}, job={"id": job["id"]})
    assert (again["state"], again["completed_at"]) == ("running", None)
    writer.control.advance(900)
    refused = writer.bulk_refused(
        "PUT", "/contacts/bulk", contacts=[{"id": ids[0]}], job={"id": job["id"]}
    )
    message = f"job {job['id']} is closed for new task updates"
    assert refused == (403, "forbidden", message)
    assert [task["state"] for task in writer.job(job)["tasks"]] == ["completed"] * 3


def test_a_job_can_close_at_once(writer):
    writer.control.writing(close_after=0)
    job = update(writer, {"id": "1"})
    refused = writer.bulk_refused(
        "PUT", "/contacts/bulk", contacts=[{"id": "1"}], job={"id": job["id"]}
    )
    assert refused[0] == 403


def test_a_job_that_is_not_there_is_not_found(writer):
    message = "job job_v2_99 not found"
    body = {"contacts": [{"id": "1"}], "job": {"id": "job_v2_99"}}
    assert writer.bulk_refused("PUT", "/contacts/bulk", **body) == (404, "job_not_found", message)
    assert writer.bulk_refused("GET", "/contacts/bulk/job_v2_99") == (
        404,
        "job_not_found",
        message,
    )
    job = update(writer, {"id": "1"})
    assert writer.bulk_refused("GET", f"/companies/bulk/{job['id']}")[1] == "job_not_found"


def test_a_job_that_ended_can_be_asked_for_only_so_long(writer):
    writer.control.writing(keep_jobs=100)
    job = update(writer, {"id": "1"})
    writer.control.advance(2 * DELAY + 100)
    assert writer.job(job)["state"] == "completed_with_errors"
    writer.control.advance(1)
    assert writer.bulk_refused("GET", f"/contacts/bulk/{job['id']}")[1] == "job_not_found"


def test_jobs_can_vanish_with_what_they_have_not_done(writer):
    one, other = writer.user(external_id="x-1"), writer.user(external_id="x-2")
    ended = update(writer, {"id": one, "name": "A"})
    writer.done()
    begun = update(writer, {"id": other, "name": "B"})
    writer.control.writing(vanish=True)
    later = update(writer, {"id": other, "name": "C"})
    for job in (ended, begun, later):
        assert writer.bulk_refused("GET", f"/contacts/bulk/{job['id']}")[0] == 404
    writer.done()
    assert [writer.fates(job) for job in (ended, begun, later)] == [["done"], ["lost"], ["lost"]]
    assert writer.get("contacts", other)["name"] is None


def test_tasks_keep_their_order_or_do_not(writer):
    def ends() -> list[str]:
        for name in "ABCDEFGH":
            update(writer, {"id": id, "name": name})
        writer.control.advance(1000)
        writer.job(job)
        found = [(one["tasks"][0]["completed_at"], one["id"]) for one in writer.control.jobs()]
        return [id for _, id in sorted(found)[-8:]]

    id = writer.user(external_id="x-1")
    job = update(writer, {"id": id, "name": "0"})
    in_order = ends()
    assert in_order == sorted(in_order, key=lambda one: int(one[7:]))
    assert writer.get("contacts", id)["name"] == "H"
    writer.control.writing(task_order="shuffled")
    shuffled = ends()
    assert shuffled != sorted(shuffled, key=lambda one: int(one[7:]))


def test_a_job_can_run_for_minutes(writer):
    writer.control.writing(job_delay=600)
    job = update(writer, {"id": writer.user(external_id="x-1"), "name": "A"})
    writer.control.advance(1199)
    assert writer.job(job)["state"] == "running"
    writer.control.advance(1)
    assert writer.job(job)["state"] == "completed"


def test_bulk_is_previews_alone(writer):
    body = {"contacts": [{"external_id": "x-1"}]}
    for method, path in (
        ("POST", "/contacts/bulk"),
        ("PUT", "/contacts/bulk"),
        ("POST", "/contacts/bulk/delete"),
        ("GET", "/contacts/bulk/job_v2_1"),
        ("POST", "/companies/bulk"),
    ):
        assert writer.refused(method, path, body)[:2] == (404, "not_found")
    assert Caller(writer.simulator, "2.99").ask("POST", "/contacts/bulk", body).status == 400
    writer.control.writing(preview=False)
    assert writer.bulk_refused("POST", "/contacts/bulk", **body)[:2] == (
        400,
        "intercom_version_invalid",
    )
    assert writer.control.jobs() == []


def test_until_june_a_post_was_an_update(writer):
    writer.control.writing(bulk_post="update")
    new = {"contacts": [{"external_id": "x-1", "name": "A"}]}
    assert writer.bulk_refused("POST", "/contacts/bulk", **new) == (
        422,
        "missing_field",
        "contacts must be identified by id",
    )
    id = writer.user(external_id="x-1")
    assert writer.bulk_refused("PUT", "/contacts/bulk", contacts=[{"id": id}])[0] == 404
    former = {"id": id, "user_id": "x-2", "company": {"company_id": "c-1", "name": "Acme"}}
    create(writer, former)
    writer.done()
    after = writer.get("contacts", id)
    assert (after["external_id"], after["companies"]["total_count"]) == ("x-2", 1)


def test_what_bulk_wrote_is_told_to_webhooks_and_feeds(writer):
    writer.simulator.webhooks.subscribe("secret")
    id = writer.user(external_id="x-1")
    create(writer, {"external_id": "x-2"})
    update(writer, {"id": id, "name": "A", "tags": {"add": [{"id": writer.tag()}]}})
    writer.simulator.webhooks.deliver(lambda headers, body: 200)
    writer.control.advance(60)
    told: list[str] = []

    def hear(headers: object, body: bytes) -> int:
        told.append(decode(body)["topic"])
        return 200

    writer.simulator.webhooks.deliver(hear)
    assert sorted(told) == [
        "contact.user.created",
        "contact.user.tag.created",
        "contact.user.updated",
    ]
    feed = writer.preview.get("/contacts/activities")["data"]
    assert [one["event_type"] for one in feed[-2:]] == ["contact.created"] * 2


def test_a_repeated_update_moves_nothing(writer):
    id = writer.user(external_id="x-1")
    update(writer, {"id": id, "name": "A"})
    writer.done()
    before = writer.get("contacts", id)
    update(writer, {"id": id, "name": "A"})
    writer.done()
    assert writer.get("contacts", id) == before
    assert writer.counted("unchanged") == 1
