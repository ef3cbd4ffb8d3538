"""What others did to our tables ends in one clear error, whichever command meets it."""

from __future__ import annotations

import json

import pytest

from tests.support.postgres.triggers import free, keep

FREE = free("outbox")
DAMAGED = (
    (
        "CREATE RULE quiet AS ON UPDATE TO outbox DO INSTEAD NOTHING",
        "DROP RULE quiet ON outbox",
        "outbox has the rule quiet",
    ),
    (keep("outbox"), FREE, "outbox has the trigger keep"),
    (
        keep("outbox", "NEW.state := OLD.state; RETURN NEW;"),
        FREE,
        "outbox has the trigger keep",
    ),
    (
        keep("outbox", "PERFORM no_such_function(); RETURN NEW;"),
        FREE,
        "outbox has the trigger keep",
    ),
    (
        "ALTER TABLE outbox RENAME body TO content",
        "ALTER TABLE outbox RENAME content TO body",
        "outbox lacks the column body",
    ),
    (
        "ALTER TABLE outbox ALTER body TYPE text",
        "ALTER TABLE outbox ALTER body TYPE jsonb USING body::jsonb",
        "outbox.body is of type text, not jsonb",
    ),
    (
        "ALTER TABLE outbox RENAME TO kept; CREATE VIEW outbox AS SELECT DISTINCT * FROM kept",
        "DROP VIEW outbox; ALTER TABLE kept RENAME TO outbox",
        "outbox is a view, not a table",
    ),
    (
        "ALTER TABLE outbox RENAME TO kept",
        "ALTER TABLE kept RENAME TO outbox",
        "the table outbox is gone",
    ),
)


def test_what_others_did_to_the_outbox_ends_a_push_in_one_clear_error(line):
    pusher = line.pusher
    [one] = pusher.harness.query("SELECT id FROM contacts WHERE role = 'user' LIMIT 1")
    wish = pusher.wish("contacts", "update", {"name": "Kept"}, object_id=one["id"])
    for harm, mend, words in DAMAGED:
        pusher.harness.query(harm)
        code, out, errors = line.push()
        pusher.harness.query(mend)
        assert code == 5, (harm, errors)
        assert words in errors, harm
        assert "Traceback" not in out + errors
        assert not pusher.control.writes(), harm
    code, _, errors = line.push()
    assert (code, pusher.row(wish)["state"]) == (0, "done"), errors


def test_wishes_that_the_outbox_does_not_take_are_no_success(line):
    query, quiet = line.pusher.harness.query, "RULE quiet AS ON INSERT TO outbox DO INSTEAD NOTHING"
    query(f"CREATE {quiet}")
    code, _, errors = line.push("contacts", "--from", line.model)
    assert code == 2
    assert "of 15 wishes it takes 0; outbox has the rule quiet" in errors
    event = f"SELECT id, 'made' AS event_name, 1779900000 AS created_at FROM ({line.model}) x"
    code, _, errors = line.push("events", "--from", event)
    assert code == 2, errors
    assert "of 15 wishes it takes 0" in errors


def test_what_became_of_a_wish_and_cannot_be_noted_is_told(line):
    pusher = line.pusher
    found = pusher.harness.query("SELECT id FROM contacts WHERE role = 'user' LIMIT 3")
    wishes = [
        pusher.wish("contacts", "update", {"name": "Noted"}, object_id=one["id"]) for one in found
    ]
    when = f"NEW.id = {wishes[1]} AND NEW.state = 'done'"
    pusher.harness.query(keep("outbox", f"IF {when} THEN RETURN NULL; END IF; RETURN NEW;"))
    code, _, errors = line.push()
    assert code == 1
    assert "what became of 1 wishes could not be noted (outbox has the trigger keep)" in errors
    assert pusher.states() == {"sending": 1, "done": 2}


@pytest.mark.parametrize(
    "trigger",
    [
        "TRIGGER harm BEFORE INSERT ON push_digests",
        "TRIGGER harm BEFORE INSERT ON sync_inbox",
        "CONSTRAINT TRIGGER harm AFTER UPDATE ON outbox DEFERRABLE INITIALLY DEFERRED",
    ],
)
def test_a_trigger_that_refuses_is_named_by_its_function(line, trigger):
    pusher = line.pusher
    [one] = pusher.harness.query("SELECT id FROM contacts WHERE role = 'user' LIMIT 1")
    wish = pusher.wish("contacts", "update", {"name": "Secret"}, object_id=one["id"])
    raising = "BEGIN RAISE EXCEPTION ''%'', NEW; END"
    pusher.harness.query(
        f"CREATE FUNCTION harm() RETURNS trigger LANGUAGE plpgsql AS '{raising}';"
        f" CREATE {trigger} FOR EACH ROW EXECUTE FUNCTION harm()"
    )
    ended, _, errors = line.push()
    assert ended == 1, errors
    named = f"{pusher.harness.schema}.harm"
    assert f"Postgres refuses a row (P0001 RaiseException, in the function {named})" in errors
    assert "Secret" not in errors
    pusher.harness.query("DROP FUNCTION harm CASCADE")
    assert line.push()[0] == 0
    assert pusher.row(wish)["state"] == "done"


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        ("DROP TABLE contacts CASCADE", "the table contacts is gone"),
        ("ALTER TABLE contacts DROP COLUMN name CASCADE", "contacts lacks the column name"),
    ],
)
def test_a_table_that_somebody_dropped_is_one_clear_error_of_every_command(line, harm, words):
    [one] = line.pusher.harness.query("SELECT id FROM contacts WHERE role = 'user' LIMIT 1")
    line.pusher.wish("contacts", "update", {"name": "A"}, object_id=one["id"])
    line.pusher.harness.query(harm)
    commands = [("sync", "--only", "users"), ("verify", "--only", "users"), ("check",)]
    commands += [("forget", one["id"]), ("refetch", "users", one["id"])]
    if "TABLE contacts CASCADE" in harm:
        commands += [("push",), ("status",), ("views", "--rebuild")]
    for command in commands:
        code, out, errors = line.run(*command)
        told = out + errors
        assert words in told, (command, told)
        assert "Traceback" not in told, command
        assert code == 5, (command, told)
        assert "restore the schema from a backup" in told
    code, out, _ = line.run("sync", "--only", "users", "--json")
    assert (code, words in json.loads(out)["error"]) == (5, True)


def test_check_warns_of_triggers_of_others(line):
    line.pusher.harness.query(keep("outbox", "RETURN NEW;"))
    code, out, _ = line.run("check")
    assert code == 0
    assert "WARNING: " in out
    assert "is up to date, but outbox has the trigger keep: that may keep rows other" in out
    line.pusher.harness.query(FREE)
    assert "the trigger" not in line.run("check")[1]


@pytest.mark.parametrize("table", ["contacts", "custom_columns", "data_attributes"])
def test_nothing_is_up_to_date_where_a_table_was_renamed(line, table):
    line.pusher.harness.query(f"ALTER TABLE {table} RENAME TO kept")
    for command in (("migrate",), ("views",), ("sync", "--only", "users")):
        code, out, errors = line.run(*command)
        assert code == 5, (command, out + errors)
        assert "up to date" not in out
        assert f"the table {table} is gone" in out + errors
    line.pusher.harness.query(f"ALTER TABLE kept RENAME TO {table}")
    for command in (("migrate",), ("views",), ("sync", "--only", "users")):
        assert line.run(*command)[0] == 0, command
