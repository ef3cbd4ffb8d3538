"""A forgotten contact is emptied and stays so; the rows, the links and everybody else stay."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import sqlalchemy as sa

from connector.errors import RowRefusedError
from connector.resources import BY_NAME, PERSONS
from connector.sync.on_demand.verify import verify
from connector.sync.run import refetch
from connector.warehouse import followers
from connector.warehouse.changes import follow
from connector.warehouse.encode.exclusions import Privacy
from connector.warehouse.merge.loader import Loader
from connector.warehouse.privacy import erasure
from connector.warehouse.sql.database import Database
from tests.support.harness import Harness
from tests.support.postgres.triggers import free, keep
from tests.support.truth.compared import differences
from tests.support.warehouse import BY_TABLE, Warehouse, at, unix
from tests.warehouse.forgetting import run_forget

pytestmark = pytest.mark.in_turn(2)

MARK = "s3cr3t"
SCRUB = Privacy(scrubs_deleted=True)
DAY = 86_400.0


@pytest.fixture
def warehouse(shared: Warehouse) -> Warehouse:
    shared.clear()
    shared.execute("DELETE FROM sync_forgotten")
    shared.loader = Loader(shared.schema, followers=followers.declared(scrubs_deleted=True))
    return shared


# -- one contact, all that is stored of it ----------------------------------------------------


def contact(key: str, mark: str = MARK, moment: int = 0, **more: Any) -> dict[str, Any]:
    return {
        "id": key,
        "role": "user",
        "email": f"{mark}@example.com",
        "phone": [mark],
        "location": {"city": mark, "planet": mark},
        "custom_attributes": {"tax": mark},
        "signed_up_at": unix(-9),
        "created_at": unix(-9),
        "updated_at": unix(moment),
        "tags": {"data": [{"id": "t1"}]},
        "notes": {"complete": [{"id": f"n-{key}", "body": mark}, {"body": mark}]},
    } | more


def written(key: str, part: str, mark: str, **more: Any) -> dict[str, Any]:
    return {
        "id": part,
        "part_type": "comment",
        "body": f"<p>{mark}</p>",
        "author": {"id": key, "type": "user", "name": mark, "email": f"{mark}@example.com"},
        "email_message_metadata": {"subject": mark, "history": mark},
        "metadata": {"typed": mark},
        "attachments": [{"name": mark, "url": f"https://files/{mark}", "filesize": 7}],
        "created_at": unix(0),
        "odd": mark,
    } | more


def conversation(*parts: dict[str, Any], moment: int = 0) -> dict[str, Any]:
    return {
        "id": "v1",
        "title": MARK,
        "source": {
            "body": MARK,
            "author": {"id": "c1", "type": "user", "name": MARK, "email": MARK},
            "recipients": [MARK],
            "url": f"https://shop/{MARK}",
            "news": MARK,
        },
        "contacts": {"contacts": [{"id": "c1"}, {"id": "c2"}]},
        "conversation_rating": {"remark": MARK, "rating": 1, "contact": {"id": "c1"}},
        "sales_agent": {"collected_data": {"email": MARK}},
        "conversation_parts": {
            "conversation_parts": [*parts, {"author": {"id": "c1"}, "body": MARK}]
        },
        "created_at": unix(0),
        "updated_at": unix(moment),
    }


def ticket(moment: int = 0) -> dict[str, Any]:
    return {
        "id": "k1",
        "ticket_attributes": {"_default_title_": MARK},
        "contacts": {"contacts": [{"id": "c1"}]},
        "ticket_parts": {"ticket_parts": [written("c1", "tp1", MARK, attachments=[MARK])]},
        "created_at": unix(0),
        "updated_at": unix(moment),
    }


def event(key: str, mark: str, name: str = "bought") -> dict[str, Any]:
    return {
        "contact_id": key,
        "event_name": name,
        "created_at": unix(0),
        "email": mark,
        "user_id": mark,
        "metadata": {"card": mark},
        "odd": mark,
    }


def load(warehouse: Warehouse, moment: int = 0) -> None:
    """Everything that says something about c1, and about c2 who takes part."""
    parts = [
        written("c1", "p1", MARK),
        written("c2", "p2", "0ther"),
        written("adm", "p3", "re9ly", email_message_metadata={"email_address_headers": [MARK]}),
    ]
    if moment:
        parts.append(written("c1", "p4", MARK))
    warehouse.write(
        "contacts", contact("c1", moment=moment), contact("c2", "0ther", moment), read=moment
    )
    warehouse.write("conversations", conversation(*parts, moment=moment), read=moment)
    warehouse.write("tickets", ticket(moment), read=moment)
    warehouse.write("events", event("c1", MARK), event("c2", "0ther"), read=moment)
    call = {"id": "l1", "contact_id": "c1", "phone": MARK, "recording_url": f"https://r/{MARK}"}
    warehouse.write("calls", call, read=moment)


def forget(warehouse: Warehouse, *ids: str, reason: str = erasure.FORGOTTEN) -> int:
    names = warehouse.loader.names

    def work(conn: sa.Connection) -> int:
        changes = erasure.forget(conn, names, ids, reason, at(1), 7)
        follow(conn, names, changes, followers.declared())
        return changes.number_erased

    return warehouse.database.write(work)


def counts(warehouse: Warehouse) -> dict[str, int]:
    return {name: len(rows) for name, rows in warehouse.versions().items()}


def test_forgetting_empties_what_is_personal_and_nothing_else(warehouse: Warehouse) -> None:
    load(warehouse)
    assert warehouse.text().count(MARK) > 30
    before = counts(warehouse)
    assert forget(warehouse, "c1") > 8
    assert MARK not in warehouse.text()
    assert counts(warehouse) == before
    row = warehouse.one("contacts", "c1")
    assert (row["role"], row["signed_up_at"], row["_deleted_at"]) == ("user", at(-9), None)
    assert (row["extra"], row["custom_attributes"], row["_run_id"]) == (None, None, 7)
    assert warehouse.links("contact_tags") == {("c1", "t1"), ("c2", "t1")}
    assert warehouse.one("conversation_parts", "p1")["author_id"] == "c1"
    assert (
        warehouse.query("SELECT filesize FROM conversation_part_attachments")
        == [{"filesize": 7}] * 3
    )
    assert warehouse.one("conversations", "v1")["rating_rating"] == 1
    assert warehouse.one("conversations", "v1")["_run_id"] == 7


@pytest.mark.parametrize("table", ["contacts", "conversation_parts", "events"])
def test_what_a_trigger_of_others_keeps_is_not_taken_for_forgotten(
    warehouse: Warehouse, table: str
) -> None:
    load(warehouse)
    before = warehouse.versions()
    warehouse.execute(keep(table))
    try:
        with pytest.raises(RowRefusedError, match=f"{table} has the trigger keep"):
            forget(warehouse, "c1")
        assert warehouse.versions() == before
        assert warehouse.query("SELECT * FROM sync_forgotten") == []
    finally:
        warehouse.execute(free(table))
    assert forget(warehouse, "c1") > 8
    assert MARK not in warehouse.text()


def test_what_others_wrote_stays(warehouse: Warehouse) -> None:
    load(warehouse)
    before = warehouse.text()
    forget(warehouse, "c1")
    after = warehouse.text()
    assert after.count("re9ly") == before.count("re9ly") > 5
    # The history of an email quotes everybody, so it goes with the first who is forgotten.
    assert after.count("0ther") == before.count("0ther") - 1 > 15
    assert warehouse.one("conversation_parts", "p2")["body"] == "<p>0ther</p>"


def test_later_reads_of_living_and_changed_objects_stay_empty(warehouse: Warehouse) -> None:
    load(warehouse)
    forget(warehouse, "c1")
    load(warehouse, moment=20)
    assert MARK not in warehouse.text()
    assert warehouse.one("conversation_parts", "p4")["author_id"] == "c1"
    assert warehouse.one("conversation_parts", "p4")["body"] is None
    before = warehouse.versions()
    load(warehouse, moment=20)
    assert warehouse.versions() == before
    assert forget(warehouse, "c1") == 0
    assert warehouse.versions() == before


def test_a_contact_can_be_forgotten_before_it_is_known(warehouse: Warehouse) -> None:
    assert forget(warehouse, "c1") == 0
    load(warehouse)
    assert MARK not in warehouse.text()
    assert "0ther" in warehouse.text()


def test_forgetting_can_be_undone(warehouse: Warehouse) -> None:
    load(warehouse)
    forget(warehouse, "c1", "c2")
    undone = warehouse.database.write(
        lambda conn: erasure.remember(conn, warehouse.loader.names, ["c1", "nobody"])
    )
    assert undone == 1
    load(warehouse, moment=20)
    assert warehouse.text().count(MARK) > 30
    assert "0ther" not in warehouse.text()


def test_a_deleted_contact_is_emptied_in_the_same_transaction(warehouse: Warehouse) -> None:
    load(warehouse)
    loader = warehouse.loader

    def delete(conn: sa.Connection) -> None:
        assert loader.mark_deleted(conn, BY_TABLE["contacts"], {"c1": at(30)}, 8) == ["c1"]
        raise ArithmeticError

    with pytest.raises(ArithmeticError):
        warehouse.database.write(delete)
    assert warehouse.one("contacts", "c1")["email"] is not None
    mark_deleted(warehouse, "c1")
    assert MARK not in warehouse.text()
    assert warehouse.one("contacts", "c1")["_deleted_at"] == at(30)


def mark_deleted(warehouse: Warehouse, key: str, *, merged: bool = False) -> None:
    warehouse.database.write(
        lambda conn: warehouse.loader.mark_deleted(
            conn, BY_TABLE["contacts"], {key: at(30)}, 8, merged=[key] if merged else []
        )
    )


def test_deleted_contacts_are_kept_unless_asked_otherwise(warehouse: Warehouse) -> None:
    warehouse.loader = Loader(warehouse.schema, followers=followers.declared())
    load(warehouse)
    before = warehouse.text().count(MARK)
    mark_deleted(warehouse, "c1")
    assert warehouse.text().count(MARK) == before
    assert warehouse.query("SELECT * FROM sync_forgotten") == []


def test_a_lagging_list_brings_nothing_back_and_a_living_contact_everything(
    warehouse: Warehouse,
) -> None:
    load(warehouse)
    mark_deleted(warehouse, "c1")
    warehouse.write("contacts", contact("c1", moment=25), read=35, lag=10)
    load_parts = conversation(written("c1", "p1", MARK), written("c1", "p9", MARK), moment=50)
    warehouse.write("conversations", load_parts, read=50)
    assert MARK not in warehouse.text()
    warehouse.write("contacts", contact("c1", moment=25), read=60, by_id=True)
    row = warehouse.one("contacts", "c1")
    assert (row["email"], row["_deleted_at"]) == (f"{MARK}@example.com", None)
    assert warehouse.query("SELECT * FROM sync_forgotten") == []


def test_who_was_forgotten_on_demand_stays_so_even_when_read_by_id(warehouse: Warehouse) -> None:
    load(warehouse)
    forget(warehouse, "c1")
    mark_deleted(warehouse, "c1")
    warehouse.write("contacts", contact("c1", moment=90), read=99, by_id=True)
    assert MARK not in warehouse.text()
    assert warehouse.query("SELECT reason FROM sync_forgotten") == [{"reason": "forgotten"}]


def test_of_a_merged_contact_only_its_own_row_is_emptied(warehouse: Warehouse) -> None:
    load(warehouse)
    mark_deleted(warehouse, "c1", merged=True)
    assert warehouse.one("contacts", "c1")["email"] is None
    assert warehouse.one("conversation_parts", "p1")["body"] == f"<p>{MARK}</p>"
    assert warehouse.query("SELECT metadata FROM events WHERE contact_id = 'c1'") == [
        {"metadata": {"card": MARK}}
    ]
    forget(warehouse, "c1")
    assert MARK not in warehouse.text()


def test_who_was_merged_into_a_forgotten_contact_is_forgotten_too(warehouse: Warehouse) -> None:
    def merge(source: str, target: str) -> None:
        row = {"source_contact_id": source, "target_contact_id": target}
        warehouse.write("contact_merges", row)

    load(warehouse)
    merge("c1", "c2")
    merge("c2", "c3")
    assert forget(warehouse, "c3") > 8
    assert MARK not in warehouse.text()
    assert "0ther" not in warehouse.text()
    warehouse.write("contacts", contact("c0", "l8er"), read=5)
    merge("c0", "c1")
    names = warehouse.loader.names
    found = warehouse.database.write(
        lambda conn: erasure.forget_merged(conn, names, 9).number_erased
    )
    assert found == 2  # the contact and its note
    assert "l8er" not in warehouse.text()
    assert warehouse.database.write(lambda c: erasure.forget_merged(c, names, 9).number_erased) == 0
    assert warehouse.database.write(lambda c: erasure.remember(c, names, ["c3"])) == 4


def test_who_was_merged_into_a_contact_that_lives_again_is_whole_with_it(
    warehouse: Warehouse,
) -> None:
    load(warehouse)
    row = {"source_contact_id": "c1", "target_contact_id": "c2"}
    warehouse.write("contact_merges", row)
    mark_deleted(warehouse, "c1", merged=True)
    mark_deleted(warehouse, "c2")
    assert warehouse.one("conversation_parts", "p1")["body"] is None
    warehouse.write("contacts", contact("c2", "0ther", 25), read=60, by_id=True)
    warehouse.write("conversations", conversation(written("c1", "p1", MARK), moment=50), read=70)
    assert warehouse.one("conversation_parts", "p1")["body"] == f"<p>{MARK}</p>"
    assert warehouse.one("contacts", "c1")["email"] is None
    reasons = warehouse.query("SELECT contact_id, reason FROM sync_forgotten")
    assert reasons == [{"contact_id": "c1", "reason": "merged"}]


def test_every_personal_column_says_whose_it_is() -> None:
    named = {(part.table.name, name) for part in erasure.personal() for name in part.columns}
    assert ("contacts", "email") in named
    assert ("conversation_part_attachments", "url") in named
    assert PERSONS is BY_TABLE["contacts"]
    declared = {
        (part.name, column.name)
        for table in BY_TABLE.values()
        for part in table.family()
        for column in part.columns
        if column.personal
    }
    assert named == declared


def test_an_empty_list_of_forgotten_contacts_costs_one_question(
    warehouse: Warehouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    statements: list[str] = []
    real = erasure.empty_staged

    done = psycopg.Cursor.execute

    def execute(cursor: Any, statement: Any, *rest: Any) -> Any:
        statements.append(statement)
        return done(cursor, statement, *rest)

    def listened(*arguments: Any, **more: Any) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(psycopg.Cursor, "execute", execute)
            real(*arguments, **more)

    monkeypatch.setattr(erasure, "empty_staged", listened)
    warehouse.write("conversations", conversation(written("c1", "p1", MARK)))
    assert len(statements) == 1


# -- the loop --------------------------------------------------------------------------------


def secret(harness: Harness) -> tuple[str, str]:
    """A contact and a conversation of it, full of what must go."""
    harness.simulate()
    key = next(c["id"] for c in harness.control.truth("contacts") if c["role"] == "user")
    harness.control.update_contact(
        key, email=f"{MARK}@example.com", name=MARK, custom_attributes={"tax": MARK}
    )
    harness.control.add_note(key, body=MARK)
    harness.control.track_event(key, "bought", metadata={"card": MARK})
    conversation = harness.control.create_conversation(key, body=MARK)
    harness.control.reply(conversation, body=MARK)
    harness.control.reply(conversation, admin=an_admin(harness), body="our 4nswer")
    harness.pass_time(3600)
    return key, conversation


def an_admin(harness: Harness) -> str:
    return str(harness.control.truth("admins")[0]["id"])


async def test_a_contact_deleted_at_intercom_is_emptied_and_its_replies_stay_empty(
    harness: Harness,
) -> None:
    key, conversation = secret(harness)
    await harness.sync(privacy=SCRUB)
    assert harness.text().count(MARK) > 8
    harness.control.delete_contact(key)
    harness.pass_time(DAY)
    database = Database(harness.database_url, harness.schema)
    async with harness.client() as client:
        await refetch(client, database, BY_NAME["users"], [key], SCRUB)
    database.close()
    assert harness.rows("contacts")[key]["_deleted_at"] is not None
    assert MARK not in harness.text()
    assert "our 4nswer" in harness.text()
    harness.control.reply(conversation, admin=an_admin(harness), body="one m0re")
    harness.pass_time(DAY)
    assert (await harness.sync(privacy=SCRUB)).exit_code == 0
    assert MARK not in harness.text()
    assert "one m0re" in harness.text()
    before = harness.versions()
    assert (await harness.sync(privacy=SCRUB, full=True)).exit_code == 0
    assert MARK not in harness.text()
    assert harness.versions() == before


async def test_a_living_contact_once_forgotten_stays_forgotten(
    harness: Harness,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
) -> None:
    caplog.set_level("DEBUG")
    key, conversation = secret(harness)
    await harness.sync()
    run_forget(harness, key)
    assert MARK not in harness.text()
    harness.control.update_contact(key, phone=MARK)
    harness.control.reply(conversation, body=f"{MARK} again")
    harness.control.add_note(key, body=MARK)
    harness.control.track_event(key, "sold", metadata={"card": MARK})
    harness.pass_time(DAY)
    for full in (False, True):
        assert (await harness.sync(full=full)).exit_code == 0
        assert MARK not in harness.text()
    row = harness.rows("contacts")[key]
    assert (row["role"], row["_deleted_at"], row["_placeholder"]) == ("user", None, False)
    before = harness.versions()
    run_forget(harness, key)
    assert (await harness.sync(full=True)).exit_code == 0
    assert harness.versions() == before
    database = Database(harness.database_url, harness.schema)
    async with harness.client() as client:
        found = await verify(client, database, None, 500)
    database.close()
    assert all(not verified.differences for verified in found.values()), found
    said = capsys.readouterr()
    assert MARK not in caplog.text + said.out + said.err
    run_forget(harness, key, undo=True)
    await harness.sync(full=True)
    assert harness.rows("contacts")[key]["email"] == f"{MARK}@example.com"


async def test_forgetting_an_unknown_contact_says_so_and_holds(
    harness: Harness, capsys: pytest.CaptureFixture[str]
) -> None:
    key, _ = secret(harness)
    other = harness.control.truth("contacts")[5]["id"]
    await harness.sync(only=("tags",))
    run_forget(harness, key)
    run_forget(harness, other)
    assert capsys.readouterr().out.count("will stay forgotten") == 2
    await harness.sync()
    assert MARK not in harness.text()
    assert harness.rows("contacts")[other]["email"] is None


# -- merges and revivals ---------------------------------------------------------------------


def lead_and_user(harness: Harness) -> tuple[str, str]:
    """A lead who left traces of every kind, and a user with some of its own."""
    control = harness.control
    found = {c["role"]: c["id"] for c in reversed(control.truth("contacts")) if c["email"]}
    lead, user = found["lead"], found["user"]
    control.add_note(lead, body=f"{MARK} note")
    control.track_event(lead, "bought", metadata={"card": MARK})
    conversation = control.create_conversation(lead, body=f"{MARK} asks")
    control.reply(conversation, body=f"{MARK} replies")
    ticket = control.create_ticket(contact=lead, title=MARK)
    control.reply_ticket(ticket, body=f"{MARK} ticket")
    control.add_note(user, body="0wn note")
    control.track_event(user, "sold", metadata={"card": "0wn card"})
    harness.pass_time(3600)
    return lead, user


@pytest.mark.sampled(1)
@pytest.mark.parametrize("moves", [False, True])
async def test_what_was_about_a_forgotten_contact_stays_empty_after_a_merge(
    harness: Harness, moves: bool
) -> None:
    harness.simulate(merges_move=moves)
    lead, user = lead_and_user(harness)
    await harness.sync()
    run_forget(harness, lead)
    assert MARK not in harness.text()
    before = harness.rows("contacts")[user]
    harness.control.merge_contacts(lead, user)
    harness.pass_time(DAY)
    for full in (False, True):
        assert (await harness.sync(full=full)).exit_code == 0
        assert MARK not in harness.text()
    assert harness.text().count("0wn note") == 1  # the survivor's own stays
    assert "0wn card" in harness.text()
    assert harness.rows("contacts")[user]["email"] == before["email"]
    moved = harness.query("SELECT body FROM contact_notes WHERE contact_id = %s", user)
    assert {"body": None} in moved
    run_forget(harness, lead, undo=True)
    harness.pass_time(DAY)
    await harness.sync()
    assert f"{MARK} note" in harness.text()


async def test_who_was_forgotten_by_an_older_version_is_remembered_row_by_row(
    harness: Harness,
) -> None:
    harness.simulate()
    lead, user = lead_and_user(harness)
    await harness.sync()
    run_forget(harness, lead)
    harness.query("DELETE FROM sync_forgotten_rows")
    harness.query("UPDATE sync_forgotten SET rows_noted_at = NULL")
    harness.control.merge_contacts(lead, user)
    harness.pass_time(DAY)
    assert (await harness.sync()).exit_code == 0
    assert MARK not in harness.text()


async def test_who_lives_again_is_whole_again(harness: Harness) -> None:
    harness.simulate(archived_by_id="missing")
    control = harness.control
    call = next(c for c in control.truth("calls") if c["contact_id"] and c["phone"])
    key = str(call["contact_id"])
    control.add_note(key, body=MARK)
    control.track_event(key, "bought", metadata={"card": MARK})
    conversation = control.create_conversation(key, body=MARK)
    control.reply(conversation, body=MARK)
    left = control.create_conversation(key)
    control.reply(left, body=f"{MARK} left")
    control.update_conversation(left, contacts={"type": "contact.list", "contacts": []})
    harness.pass_time(3600)
    await harness.sync(privacy=SCRUB)
    assert MARK in harness.text()
    control.archive_contact(key)
    harness.pass_time(DAY)
    await harness.sync(privacy=SCRUB, full_pass_days=0)
    assert harness.rows("contacts")[key]["_deleted_at"] is not None
    assert MARK not in harness.text()
    assert harness.rows("calls")[str(call["id"])]["phone"] is None
    control.unarchive_contact(key)
    harness.pass_time(DAY)
    # No full pass of conversations: what was emptied is read again all the same.
    outcome = await harness.sync(privacy=SCRUB)
    assert outcome.exit_code == 0, outcome.error
    assert harness.rows("contacts")[key]["_deleted_at"] is None
    assert harness.rows("calls")[str(call["id"])]["phone"] == call["phone"]
    for table in ("contact_notes", "events", "conversations", "conversation_parts"):
        assert MARK in "\n".join(map(str, harness.rows(table).values())), table
    assert f"{MARK} left" in harness.text()
    assert differences(harness) == []
    assert harness.query("SELECT * FROM sync_pending") == []
