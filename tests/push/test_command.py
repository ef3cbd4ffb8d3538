"""The command line of push: what it is asked, what it says, how it ends."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest

from tests.support.living import until
from tests.support.service import start

pytestmark = pytest.mark.in_turn(2)


def test_a_model_is_shown_pushed_and_pushed_again(line):
    code, out, errors = line.push("contacts", "--from", line.model, "--dry-run")
    assert code == 0, errors
    assert "15 to update" in out
    assert line.pusher.states() == {}
    code, out, errors = line.push("contacts", "--from", line.model, "--json")
    assert code == 0, errors
    report = json.loads(out)
    assert report["states"]["done"] == 15
    assert report["plan"]["updates"] == 15
    code, out, _ = line.push("contacts", "--from", line.model, "--json")
    assert (code, json.loads(out)["writes"]) == (0, 0)
    named = line.pusher.harness.query("SELECT object_id, body FROM outbox")
    assert all(line.pusher.contact(r["object_id"])["name"] == r["body"]["name"] for r in named)


def test_a_plan_that_touches_too_much_sends_nothing(line):
    everyone = line.model.replace("LIMIT 15", "")
    code, out, _ = line.push("contacts", "--from", everyone)
    assert code == 2
    assert "--yes" in out
    assert line.pusher.states() == {}
    code, out, errors = line.push("contacts", "--from", everyone, "--limit", "10")
    assert code == 0, errors
    assert line.pusher.states() == {"done": 10}


def test_a_wrong_model_is_said_and_nothing_is_sent(line):
    for template, words in [
        ("SELECT id, nme FROM (SELECT id, name AS nme FROM {}.users) x", "nme"),
        ("SELECT id, 1 AS name FROM {}.users", "name"),
        ("no.such_table", "no.such_table"),
    ]:
        code, out, errors = line.push(
            "contacts", "--from", template.format(line.pusher.harness.schema)
        )
        assert code == 2
        assert words in errors
        assert "Traceback" not in errors + out
    assert not line.pusher.control.writes()


def test_failed_wishes_are_said_shown_and_tried_again(line):
    one = line.pusher.harness.query("SELECT id FROM contacts WHERE role = 'user'")[0]["id"]
    line.pusher.control.refuse_items(ids=[one], message="No, says Intercom")
    wish = line.pusher.wish("contacts", "update", {"name": "Again"}, object_id=one)
    code, out, errors = line.push()
    assert code == 1
    assert "1 failed" in out
    assert "No, says Intercom" in errors
    code, out, _ = line.push("--status")
    assert code == 1
    assert "1 failed" in out
    line.pusher.control.accept_items()
    code, out, errors = line.push("--retry")
    assert code == 0, errors
    assert line.pusher.row(wish)["state"] == "done"
    code, out, _ = line.push("--status", "--json")
    assert (code, json.loads(out)["done"]) == (0, 1)


def test_a_token_that_may_not_write_ends_with_what_is_missing(line):
    wish = line.pusher.wish("contacts", "upsert", {"name": "A"}, external_id="new-1")
    line.pusher.control.withhold()
    code, _, errors = line.push()
    assert code == 3
    assert "INTERCOM_WRITE_TOKEN" in errors
    assert line.pusher.row(wish)["state"] == "waiting"
    line.pusher.control.allow_all()
    assert line.push()[0] == 0


def test_push_uses_the_token_that_writes_and_no_secret_is_shown(line):
    line.pusher.wish("contacts", "upsert", {"name": "A"}, external_id="new-1")
    secret = "a-token-that-opens-nothing-at-all"
    code, out, errors = line.push(INTERCOM_WRITE_TOKEN=secret)
    assert code == 3
    assert secret not in out + errors
    assert line.push(INTERCOM_WRITE_TOKEN="sim-token", INTERCOM_ACCESS_TOKEN=secret)[0] == 0


def test_what_is_asked_together_must_go_together(line, tmp_path: Path):
    for words in (["contacts"], ["--dry-run"], ["--from", "x"], ["--model", "x"]):
        code, _, errors = line.push(*words)
        assert code == 2
        assert errors
    metrics = tmp_path / "push.prom"
    code, out, errors = line.push("--metrics-file", str(metrics))
    assert (code, metrics.exists()) == (0, True), errors
    assert "nothing to send" in out


def test_a_token_that_is_refused_is_named(line):
    for settings, name in [
        ({"INTERCOM_ACCESS_TOKEN": "bad"}, "INTERCOM_ACCESS_TOKEN"),
        ({"INTERCOM_WRITE_TOKEN": "bad"}, "INTERCOM_WRITE_TOKEN"),
    ]:
        code, _, errors = line.push(**settings)
        assert code == 3
        assert f"check {name} and" in errors
    code, _, errors = line.push(INTERCOM_WRITE_TOKEN="a b")
    assert (code, "INTERCOM_WRITE_TOKEN holds" in errors) == (2, True), errors


def test_status_is_asked_for_alone(line):
    for words in (["--retry"], ["--retry", "--model", "x"], ["contacts", "--from", "x"]):
        code, _, errors = line.push("--status", *words)
        assert (code, "give it alone" in errors) == (2, True), errors


def test_a_plan_against_what_was_never_read_says_so(line):
    words = ("contacts", "--from", line.model, "--dry-run")
    assert line.push(*words)[2] == ""
    line.pusher.harness.query("UPDATE sync_state SET last_success_at = NULL")
    code, _, errors = line.push(*words)
    assert (code, "has never read any contacts" in errors) == (0, True), errors


def test_a_plan_that_the_outbox_refuses_is_wrong_in_words(line):
    line.pusher.harness.query("ALTER TABLE outbox ADD CHECK (model IS NULL)")
    code, _, errors = line.push("contacts", "--from", line.model)
    assert (code, "cannot be put into the outbox" in errors) == (2, True), errors
    assert line.pusher.states() == {}


def test_json_has_the_same_keys_however_it_ends(line):
    _, out, _ = line.push("--json")
    fine = json.loads(out)
    for words, settings in [
        (["contacts", "--from", "nowhere"], {}),
        ([], {"INTERCOM_ACCESS_TOKEN": "bad"}),
        (["contacts", "--from", line.model.replace("LIMIT 15", "")], {}),
    ]:
        code, out, _ = line.push(*words, "--json", **settings)
        told = json.loads(out)
        assert told.keys() == fine.keys()
        assert (told["exit_code"], bool(told["error"])) == (code, True)
        assert code in (2, 3)


def test_a_lead_that_a_killed_push_left_is_in_the_exit_code(line):
    wish = line.pusher.wish("contacts", "create", {"role": "lead", "email": "l@example.com"})
    line.pusher.harness.query(
        "UPDATE outbox SET state = 'sending', attempts = 1, sent_at = now() - interval '1 minute'"
    )
    code, out, errors = line.push("--json", CONNECTOR_INDEX_LAG="3600")
    assert (code, json.loads(out)["states"]["unknown"]) == (1, 1), errors
    assert [one["code"] for one in json.loads(out)["reasons"]] == ["lost_reply"]
    assert line.push(CONNECTOR_INDEX_LAG="3600")[0] == 0  # touched nothing
    assert line.push(CONNECTOR_INDEX_LAG="1")[0] == 0
    assert line.pusher.row(wish)["state"] == "done"
    assert len(line.pusher.by(email="l@example.com")) == 1


def test_status_says_what_waits_for_an_earlier_wish(line):
    [one] = line.pusher.harness.query("SELECT id FROM contacts WHERE role = 'user' LIMIT 1")
    body = {"event_name": "e", "created_at": 1795800000}
    line.pusher.wish("contacts", "update", {"name": "A"}, object_id=one["id"], state="sent")
    held = line.pusher.wish("contacts", "update", {"name": "B"}, object_id=one["id"])
    line.pusher.wish("events", "create", body, object_id=one["id"])
    line.pusher.wish("contacts", "upsert", {"name": "C"}, external_id="free-1")
    line.pusher.wish("tags", "create", {"name": "T"})
    code, out, _ = line.push("--status")
    assert code == 0
    assert f"2 of those that wait, such as outbox.id {held}, wait for an earlier wish" in out
    found = json.loads(line.push("--status", "--json")[1])
    assert (found["waiting"], found["held_up"], found["held_up_example"]) == (4, 2, held)


def test_a_transaction_that_is_cancelled_is_repeated_and_hides_nothing(line):
    lead = line.pusher.wish("contacts", "create", {"role": "lead", "email": "l@example.com"})
    line.pusher.harness.query("UPDATE outbox SET state = 'sending', attempts = 1, sent_at = now()")
    line.pusher.wish("contacts", "upsert", {"name": "U"}, external_id="once")
    schema = line.pusher.harness.schema
    cancel = "SELECT pg_cancel_backend(pid) FROM pg_locks WHERE NOT granted AND relation = %s::oid"
    [table] = line.pusher.harness.query("SELECT 'outbox'::regclass::oid::bigint AS id")
    with psycopg.connect(line.pusher.harness.database_url) as other:
        other.execute(f"LOCK TABLE {schema}.outbox IN ACCESS EXCLUSIVE MODE")
        process = start(line.environ | {"CONNECTOR_INDEX_LAG": "3600"}, "push", "--json")
        until(lambda: line.pusher.harness.query(cancel, table["id"]))
        other.rollback()
    out, errors = process.communicate(timeout=60)
    assert "again after" in errors
    assert (process.returncode, json.loads(out)["states"]["unknown"]) == (1, 1), errors
    assert line.pusher.row(lead)["state"] == "unknown"
    assert len(line.pusher.by(external_id="once")) == 1
