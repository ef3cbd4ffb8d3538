"""The metric relations of a small workspace, beside values that were worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pytest

from connector.warehouse.metrics import anew
from connector.warehouse.sql.names import Names
from tests.support.warehouse import BY_TABLE, Warehouse, at, opened

Record = dict[str, Any]
Table = dict[Any, tuple[Any, ...]]

# -- a workspace in New York, in March 2026 --------------------------------------------------
#
# All times are UTC. The clocks there go forward on March 8 at 07:00: midnight is at 05:00 at the
# beginning of that day, and at 04:00 at its end.


def utc(text: str) -> datetime:
    """A moment of 2026: month, day and time."""
    return datetime.strptime(f"2026-{text}", "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)


def unix(text: str) -> int:
    return int(utc(text).timestamp())


C1, C4 = ({"type": "user", "id": key} for key in ("c1", "c4"))
LEAD, VISITOR = {"type": "lead", "id": "c4"}, {"type": "visitor", "id": "nobody"}
A1, A2, A3, A4 = ({"type": "admin", "id": f"a{n}"} for n in range(1, 5))
BOT = {"type": "bot", "id": "a9", "from_ai_agent": False, "is_ai_answer": False}
FIN = {"type": "bot", "id": "a9", "from_ai_agent": True, "is_ai_answer": False}
ANSWER = {"type": "admin", "id": "a9", "from_ai_agent": False, "is_ai_answer": True}
TEAM = {"type": "team", "id": "t1"}
SAID = "<p>said</p>"


def part(
    id: str, when: str, kind: str | None, author: Record, body: Any = None, **more: Any
) -> Record:
    return {
        "id": id,
        "created_at": unix(when),
        "part_type": kind,
        "author": author,
        "body": body,
        "redacted": False,
        "assigned_to": None,
    } | more


def to(kind: str, id: str) -> Record:
    return {"assigned_to": {"type": kind, "id": id}}


def rated(rating: int, when: str, admin: str | None, **more: Any) -> Record:
    given = {"rating": rating, "created_at": unix("03-01 00:00:00"), "updated_at": unix(when)}
    teammate = {"type": "admin", "id": admin} if admin else None
    return {"conversation_rating": given | {"teammate": teammate, "remark": "so"} | more}


def conversation(
    id: str, when: str, opener: Record | None, contacts: str, *parts: Record, **more: Any
) -> Record:
    tags = [{"id": tag} for tag in more.pop("tagged", "").split()]
    return {
        "id": id,
        "created_at": unix(when),
        "updated_at": unix("04-02 00:00:00"),
        "state": "closed",
        "open": False,
        "source": opener and {"type": "email", "body": None, "author": opener},
        "contacts": {"contacts": [{"id": key} for key in contacts.split()]},
        "tags": {"tags": tags},
        "conversation_parts": {"conversation_parts": list(parts)},
    } | more


CONVERSATIONS = (
    # Of a contact; all kinds of parts.
    conversation(
        "1", "03-07 15:00:00", C1, "c1",
        # In one second the numbers go first, by value: 9 asks, 10 answers.
        part("10", "03-07 15:10:00", "comment", A1, SAID),
        part("9", "03-07 15:10:00", "comment", C1, SAID),
        # Then what is no number: 11 asks, x1 answers.
        part("x1", "03-07 15:20:00", "comment", A2, SAID),
        part("11", "03-07 15:20:00", "comment", C1, SAID),
        part("12", "03-07 15:30:00", "note", A1, SAID),  # a note with a body is no reply
        part("13", "03-07 15:31:00", "note_and_reopen", A1, SAID),  # nor is this: but a reopen
        part("14", "03-07 15:32:00", "comment", A1, ""),  # says nothing
        part("15", "03-07 15:40:00", "comment", C1, None, redacted=True),  # said something once
        part("16", "03-07 15:50:01", "assignment", A2, SAID, **to("team", "t1")),  # a reply as well
        part("17", "03-07 16:00:00", "assign_and_reopen", BOT, **to("admin", "a1")),
        part("18", "03-07 16:10:00", "close", A1, SAID),  # a reply as well; nobody waited for it
        part("19", "03-07 16:20:00", "quick_reply", C1, "Yes"),
        part("20", "03-07 16:20:30", "comment", ANSWER, SAID),  # the AI's, although under an admin
        part("21", "03-07 16:20:31", "open", C1),
        part("22", "03-07 16:30:00", "close", BOT),
        part("23", "03-07 16:31:00", "snoozed", A1),
        part("24", "03-07 16:32:00", "assignment", BOT, **to("team", "t2")),
        admin_assignee_id="a1", team_assignee_id="t2", tagged="g1",
        **rated(5, "04-01 05:00:00", "a2"),  # in April there too
    ),
    # Of an admin, a second before midnight; answered over the change of clocks.
    conversation(
        "2", "03-08 04:59:59", A2, "c2",
        part("30", "03-08 05:00:00", "comment", A1, SAID),  # on the next day; no contact wrote yet
        part("31", "03-08 06:59:00", "comment", C1, SAID),  # at 01:59
        part("32", "03-08 06:59:10", "comment", FIN, SAID),
        part("33", "03-08 06:59:30", "comment", C1, SAID),  # waits no longer than the first
        part("34", "03-08 07:00:00", "comment", A2, SAID),  # at 03:00, a minute later
        part("35", "03-08 07:00:01", "comment", A2, SAID),  # nobody waits any more
        part("36", "03-09 04:00:00", "close", A2),  # at midnight: on the 9th
        part("37", "03-10 12:00:00", "open", C1),
        state="open", open=True, admin_assignee_id="a2", waiting_since=unix("03-10 12:00:00"),
        **rated(4, "03-10 00:00:00", "a2"),
    ),
    # Of nobody; two identities of one contact, two living tags, a removed admin.
    conversation(
        "3", "03-08 12:00:00", None, "c1 c2",
        part("40", "03-08 12:30:00", "comment", VISITOR, SAID),
        part("39", "03-08 12:29:00", "comment", FIN, SAID),  # nobody asked yet
        part("46", "03-08 12:30:02", "comment", FIN, SAID),
        part("41", "03-08 12:30:05", "comment", TEAM, SAID),  # a team is nobody
        part("42", "03-08 12:31:01", "comment", A3, SAID),
        part("43", "03-08 12:40:00", "comment", C1, SAID),
        part("44", "03-08 12:40:02", "comment", A3, SAID),
        part("45", "03-08 12:41:00", "closed", A3),
        team_assignee_id="t4", tagged="g1 g2 g3",
    ),
    # Of a lead; an admin reply and a close are dated before it.
    conversation(
        "4", "03-09 10:00:00", LEAD, "c3 c4",
        part("52", "03-09 09:58:00", "close", BOT),  # which leaves it open
        part("50", "03-09 09:59:00", "comment", A1, SAID),
        part("51", "03-09 10:05:00", "comment", A1, SAID),
        state="open", open=True, admin_assignee_id="a1", team_assignee_id="t1",
        **rated(2, "03-10 00:00:00", "a3"),
    ),
    # Of the AI agent, which resolves it; a bot closes it.
    conversation(
        "5", "03-09 11:00:00", FIN, "c4",
        part("60", "03-09 11:10:00", "comment", C4, SAID),
        part("61", "03-09 11:10:30", "comment", FIN, SAID),
        part("62", "03-09 11:20:00", "close", BOT),
        ai_agent_participated=True,
        ai_agent={"resolution_state": "assumed_resolution", "rating": 5},
        **rated(3, "03-10 00:00:00", None),
    ),
    # A second before midnight, of a contact who is gone; handed over, snoozed.
    conversation(
        "6", "03-10 03:59:59", C1, "c3",
        state="snoozed", open=True, waiting_since=unix("03-10 03:59:59"),
        ai_agent_participated=True, ai_agent={"resolution_state": "routed_to_team", "rating": 2},
    ),
    # A second before April.
    conversation(
        "7", "04-01 03:59:59", C1, "c1 c4",
        part("70", "04-01 04:00:00", "comment", A2, SAID),
        part("71", "04-01 04:00:01", "close", A1),
        part("72", "04-01 04:00:05", "close", A2),
    ),
    conversation("8", "03-07 15:00:00", C1, "c1", state="open"),  # a ticket
    conversation("dead", "03-01 15:00:00", C1, "c1", state="open"),
)  # fmt: skip


def contact(id: str, companies: str = "", **more: Any) -> Record:
    listed = {"data": [{"id": key} for key in companies.split()]}
    return {
        "id": id,
        "role": "user",
        "updated_at": unix("03-01 00:00:00"),
        "companies": listed,
    } | more


CONTACTS = (
    contact("c1", "k1 k2", email="Twin@Example.com", phone="+1 (555) 01"),
    contact("c2", "k4", email="twin@example.com"),  # merged into c1
    contact("c3", "k1", email="twin@example.com"),  # deleted
    contact("c4", "k1 K3", email=" twin@example.COM", phone="1-55501", external_id="X"),
    contact("c5", email="", phone="12345", external_id="X"),  # too few digits
    contact("c6", email="", phone="1-2345", external_id="x"),
    # Merged into c4, which its own row does not tell yet.
    contact("c7", email="twin@example.com", external_id="X"),
)


MERGED = {"c2": "c1", "c7": "c4"}


def fill(warehouse: Warehouse) -> None:
    """Write it all as syncs do, what is gone included."""
    warehouse.execute(
        "INSERT INTO sync_workspace (id_code, timezone) VALUES ('w', 'America/New_York')"
    )
    compute(warehouse)
    write = warehouse.write
    write(
        "admins", *({"id": key, "name": f"{key}'s name"} for key in ("a1", "a2", "a3", "a4", "a5"))
    )
    write("teams", *({"id": key, "name": f"{key}'s name"} for key in ("t1", "t2", "t3", "t4")))
    write("companies", *({"id": key} for key in ("k1", "k2", "K3", "k4")))
    names = {"g1": "beta", "g2": "gone", "g3": "Alpha", "g4": "none"}
    write("tags", *({"id": key, "name": name} for key, name in names.items()))
    write("contacts", *CONTACTS)
    omitted = part("49", "03-08 12:00:01", "comment", A4, SAID)
    first = CONVERSATIONS[2]
    longer = [omitted, *first["conversation_parts"]["conversation_parts"]]
    first = first | {"conversation_parts": {"conversation_parts": longer}}
    write("conversations", first, by_id=True)
    write("conversations", *CONVERSATIONS, by_id=True, read=1)
    write("tickets", {"id": "8", "category": "Customer"})
    merges = ({"source_contact_id": s, "target_contact_id": t} for s, t in MERGED.items())
    write("contact_merges", *merges)
    gone = {
        "admins": ("a3", "a5"), "teams": ("t4",), "companies": ("k2",), "tags": ("g2",),
        "contacts": ("c2", "c3"), "conversations": ("dead",),
    }  # fmt: skip
    with warehouse.database.transaction() as conn:
        for table, ids in gone.items():
            deaths = dict.fromkeys(ids, at(2))
            warehouse.loader.mark_deleted(conn, BY_TABLE[table], deaths, 1)


def compute(warehouse: Warehouse) -> None:
    """Have all figures made as they are to be, as runs do where that changed."""
    with warehouse.database.transaction() as conn:
        anew.begin(conn, again=True)
        while anew.step(conn, Names(warehouse.schema)):
            pass


@pytest.fixture(scope="module")
def warehouse(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as warehouse:
        fill(warehouse)
        yield warehouse


def shown(warehouse: Warehouse, relation: str, key: str, columns: str) -> Table:
    """These columns of a relation, by the others; averages and rates to three places."""
    rows = warehouse.query(f"SELECT {key}, {columns} FROM {relation}")
    number = len(key.split(", "))
    found: Table = {}
    for row in rows:
        values = [round(v, 3) if isinstance(v, Decimal) else v for v in row.values()]
        found[values[0] if number == 1 else tuple(values[:number])] = tuple(values[number:])
    return found


def test_everything_is_counted(warehouse: Warehouse) -> None:
    columns = (
        "started_by, parts, contact_replies, admin_replies, ai_replies, bot_replies, notes,"
        " assignments, reopens, closes, snoozes, responses"
    )
    assert shown(warehouse, "conversation_metrics", "conversation_id", columns) == {
        # Contacts: 9, 11, 15, 19. Admins: 10, x1, 16, 18. Notes: 12, 13. Assignments: 16, 17, 24.
        # Reopens: 13, 17, 21. Closes: 18, 22. Responses: 10, x1, 16.
        "1": ("contact", 17, 4, 4, 1, 0, 2, 3, 3, 2, 1, 3),
        # Contacts: 31, 33. Admins: 30, 34, 35. Only 34 was waited for.
        "2": ("admin", 8, 2, 3, 1, 0, 0, 0, 1, 1, 0, 1),
        # Part 49 is gone. Responses: 42, 44.
        "3": (None, 8, 2, 2, 2, 1, 0, 0, 0, 1, 0, 2),
        # 50 is dated before the opening that it follows; before 51 nobody wrote after 50.
        "4": ("contact", 3, 0, 2, 0, 0, 0, 0, 0, 1, 0, 0),
        "5": ("ai", 3, 1, 0, 1, 0, 0, 0, 0, 1, 0, 0),
        "6": ("contact", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        "7": ("contact", 3, 0, 1, 0, 0, 0, 0, 0, 2, 0, 1),
    }


def test_times_are_of_the_first_and_the_last(warehouse: Warehouse) -> None:
    columns = (
        "first_contact_message_at, last_contact_reply_at, first_admin_reply_at,"
        " last_admin_reply_at, first_ai_reply_at, first_assigned_at, first_closed_at,"
        " last_closed_at"
    )
    found = shown(warehouse, "conversation_metrics", "conversation_id", columns)
    told = {
        key: tuple(when and f"{when.astimezone(UTC):%m-%d %H:%M:%S}" for when in times)
        for key, times in found.items()
    }
    assert told == {
        "1": (
            "03-07 15:00:00",  # the opening
            "03-07 16:20:00",  # 19
            "03-07 15:10:00",  # 10
            "03-07 16:10:00",  # 18
            "03-07 16:20:30",  # 20
            "03-07 15:50:01",  # 16
            "03-07 16:10:00",  # 18
            "03-07 16:30:00",  # 22, a bot's close is one
        ),
        "2": (
            "03-08 06:59:00",  # 31: the opening is an admin's
            "03-08 06:59:30",  # 33
            "03-08 05:00:00",  # 30: a reply, if no response
            "03-08 07:00:01",  # 35
            "03-08 06:59:10",  # 32
            None,
            "03-09 04:00:00",
            "03-09 04:00:00",
        ),
        "3": (
            "03-08 12:30:00",  # 40: there is no opening
            "03-08 12:40:00",  # 43
            "03-08 12:31:01",  # 42, and not 49, which is gone
            "03-08 12:40:02",  # 44
            "03-08 12:29:00",  # 39
            None,
            "03-08 12:41:00",
            "03-08 12:41:00",
        ),
        "4": (
            "03-09 10:00:00",
            None,
            "03-09 09:59:00",  # 50
            "03-09 10:05:00",  # 51
            None,
            None,
            "03-09 09:58:00",  # 52
            "03-09 09:58:00",
        ),
        "5": (
            "03-09 11:10:00",  # 60: the opening is the AI's
            "03-09 11:10:00",
            None,
            None,
            "03-09 11:10:30",  # 61: the opening is no reply
            None,
            "03-09 11:20:00",
            "03-09 11:20:00",
        ),
        # An opening without a body is a message.
        "6": ("03-10 03:59:59", None, None, None, None, None, None, None),
        "7": (
            "04-01 03:59:59",
            None,
            "04-01 04:00:00",
            "04-01 04:00:00",
            None,
            None,
            "04-01 04:00:01",  # 71
            "04-01 04:00:05",  # 72
        ),
    }


def test_durations_are_whole_seconds_by_the_clock_on_the_wall(warehouse: Warehouse) -> None:
    columns = (
        "first_response_seconds, first_ai_response_seconds, median_response_seconds,"
        " time_to_first_close_seconds, time_to_last_close_seconds"
    )
    assert shown(warehouse, "conversation_metrics", "conversation_id", columns) == {
        # 15:00:00 to 15:10:00; to 16:20:30; the middle of 600, 0 (x1) and 601 (16, for 15).
        "1": (600, 4830, 600, 4200, 5400),
        # 31 to 34, over the change of clocks; to 32; 04:59:59 to 04:00:00 is 23:00:01.
        "2": (60, 10, 60, 82_801, 82_801),
        # 40 to 42; to 46, for 39 came before; the middle of 61 and 2 is 31.5.
        "3": (61, 2, 31, 2460, 2460),
        # The first reply after the opening is dated before it, and so is the close.
        "4": (None, None, None, None, None),
        "5": (None, 30, None, 1200, 1200),
        "6": (None, None, None, None, None),
        "7": (1, None, 1, 2, 6),
    }


def test_it_is_known_who_did_it_and_whose_it_is(warehouse: Warehouse) -> None:
    columns = (
        "is_closed, first_admin_id, last_admin_id, first_closed_by_admin_id,"
        " last_closed_by_admin_id, first_team_id, last_team_id, tag_names, contact_ids,"
        " contact_company_ids"
    )
    assert shown(warehouse, "conversation_metrics", "conversation_id", columns) == {
        # A bot's close, the last one, is no admin's. c1 has k1 and the deleted k2.
        "1": (True, "a1", "a1", "a1", "a1", "t1", "t2", ["beta"], ["c1"], ["k1"]),
        # c2 is c1 now; what c2 had of its own was k4.
        "2": (False, "a1", "a2", "a2", "a2", None, None, [], ["c1"], ["k1"]),
        # c1 and c2 are one; capitals sort first; g2 is gone.
        "3": (True, "a3", "a3", "a3", "a3", None, None, ["Alpha", "beta"], ["c1"], ["k1"]),
        # c3 is gone.
        "4": (False, "a1", "a1", None, None, None, None, [], ["c4"], ["K3", "k1"]),
        "5": (True, None, None, None, None, None, None, [], ["c4"], ["K3", "k1"]),
        "6": (False, None, None, None, None, None, None, [], [], []),
        "7": (True, "a2", "a2", "a1", "a2", None, None, [], ["c1", "c4"], ["K3", "k1"]),
    }


def test_ratings_and_the_ai_agents_part(warehouse: Warehouse) -> None:
    columns = "rating, rating_remark, rated_at, rated_admin_id, ai_rating, ai_outcome"
    assert shown(warehouse, "conversation_metrics", "conversation_id", columns) == {
        "1": (5, "so", utc("04-01 05:00:00"), "a2", None, None),
        "2": (4, "so", utc("03-10 00:00:00"), "a2", None, None),
        "3": (None, None, None, None, None, None),
        "4": (2, "so", utc("03-10 00:00:00"), "a3", None, None),
        "5": (3, "so", utc("03-10 00:00:00"), None, 5, "resolved"),
        "6": (None, None, None, None, 2, "escalated"),
        "7": (None, None, None, None, None, None),
    }


def test_only_who_waits_in_an_open_conversation_waits(warehouse: Warehouse) -> None:
    passed = "waiting_seconds - floor(extract(epoch FROM now() - waiting_since))::bigint"
    found = shown(warehouse, "conversation_metrics", "conversation_id", f"{passed} AS more")
    # Since the tests' own time cannot be told, only where it waits: 6 is snoozed.
    assert found == {key: (0,) if key == "2" else (None,) for key in "1234567"}


def test_days_are_those_of_new_york(warehouse: Warehouse) -> None:
    columns = (
        "opened, closed, reopened, backlog, median_first_response_seconds,"
        " median_time_to_first_close_seconds"
    )
    found = shown(warehouse, "conversations_by_day", "day", columns)
    days = list(found)
    assert days == [date.fromordinal(date(2026, 3, 7).toordinal() + n) for n in range(len(days))]
    [today] = warehouse.query("SELECT (now() AT TIME ZONE 'America/New_York')::date AS day")
    assert days[-1] == today["day"]
    told = {f"{day:%m-%d}": row for day, row in found.items() if any(row[:3]) or any(row[4:])}
    assert told == {
        # 1 and 2 begin. 1 is closed twice: once in closed; reopened by 13, 17 and 21.
        "03-07": (2, 1, 3, 1, 600, 4200),
        # 3 begins and is closed. Responses: 60 in 2, 61 in 3; 60.5 is 60. 2 is open.
        "03-08": (1, 1, 0, 1, 60, 2460),
        # 4, 5 and 6 begin; 2 (82,801 s), 5 (1,200 s) and 4 (less than none) are closed: 42,000.5.
        # 4 and 6 are open: what closed 4 came before it began.
        "03-09": (3, 3, 0, 2, None, 42_000),
        # 2 is opened again.
        "03-10": (0, 0, 1, 3, None, None),
        # 7 begins, and is answered and closed on the next day.
        "03-31": (1, 0, 0, 4, None, None),
        "04-01": (0, 1, 0, 3, 1, 2),
    }
    assert found[date(2026, 3, 11)] == found[date(2026, 4, 2)] == (0, 0, 0, 3, None, None)


ADMINS = (
    "replies, conversations_replied, closes, conversations_closed_last,"
    " median_first_response_seconds, median_response_seconds, rating_average, ratings"
)


def test_what_admins_did(warehouse: Warehouse) -> None:
    columns = f"name, removed, assigned_open, {ADMINS}"
    assert shown(warehouse, "admin_metrics", "admin_id", columns) == {
        # Replies: 10 and 18, 30, 50 and 51. Closes: 18, 71, which 72 follows. Of 1 and 4 only 4
        # is open.
        "a1": ("a1's name", False, 1, 5, 3, 2, 1, 600, 600, None, 0),
        # Replies: x1 and 16, 34 and 35, 70. Closes: 36, 72. First: 60, 1. All: 0, 601, 60, 1;
        # 30.5 is 30.
        "a2": ("a2's name", False, 1, 5, 3, 2, 2, 30, 30, Decimal("4.5"), 2),
        "a3": ("a3's name", True, 0, 2, 1, 1, 1, 61, 31, Decimal(2), 1),
        # Only 49 was theirs, and it is gone. The removed a5 did nothing; the bot is no admin.
        "a4": ("a4's name", False, 0, 0, 0, 0, 0, None, None, None, 0),
    }


MARCH, APRIL = date(2026, 3, 1), date(2026, 4, 1)


def test_what_admins_did_when_they_did_it(warehouse: Warehouse) -> None:
    columns = f"removed, {ADMINS}"
    assert shown(warehouse, "admin_metrics_by_month", "month, admin_id", columns) == {
        (MARCH, "a1"): (False, 5, 3, 1, 1, 600, 600, None, 0),
        (APRIL, "a1"): (False, 0, 0, 1, 0, None, None, None, 0),
        (MARCH, "a2"): (False, 4, 2, 1, 1, 60, 60, Decimal(4), 1),
        (APRIL, "a2"): (False, 1, 1, 1, 1, 1, 1, Decimal(5), 1),
        (MARCH, "a3"): (True, 2, 1, 1, 1, 61, 31, Decimal(2), 1),
    }


GROUPED = (
    "conversations, open, closed, median_first_response_seconds,"
    " median_time_to_first_close_seconds, rating_average, ratings, ai_involved, ai_resolved"
)
NOTHING = (0, 0, 0, None, None, None, 0, 0, 0)
HALF = Decimal("0.5")
WHOLE = {
    "team": {
        "t1": (1, 1, 0, None, None, Decimal(2), 1, 0, 0),  # 4
        "t2": (1, 0, 1, 600, 4200, Decimal(5), 1, 0, 0),  # 1
        "t3": NOTHING,
    },
    "company": {
        # All but 6, 7 once. 600, 60, 61, 1: 60.5. 4200, 82801, 2460, 1200, 2. 5, 4, 2, 3.
        "k1": (6, 2, 4, 60, 2460, Decimal("3.5"), 4, 1, 1),
        # 4, 5, 7: those of c4. 1. 1200, 2. 2, 3.
        "K3": (3, 1, 2, 1, 601, Decimal("2.5"), 2, 1, 1),
        "k4": NOTHING,
    },
    "contact": {
        # 1, 2, 3, 7: 600, 60, 61, 1. 4200, 82801, 2460, 2: 3330. 5, 4.
        "c1": (4, 1, 3, 60, 3330, Decimal("4.5"), 2, 0, 0),
        "c4": (3, 1, 2, 1, 601, Decimal("2.5"), 2, 1, 1),
        "c5": NOTHING,
        "c6": NOTHING,
        "c7": NOTHING,
    },
    "tag": {
        "g1": (2, 0, 2, 330, 3330, Decimal(5), 1, 0, 0),  # 1 and 3: 600 and 61, 4200 and 2460
        "g3": (1, 0, 1, 61, 2460, None, 0, 0, 0),  # 3
        "g4": NOTHING,
    },
}
# Of the contacts of 7 in March; it began a second before April.
MONTHS = {
    group: {(MARCH, key): row for key, row in rows.items() if row[0]}
    for group, rows in WHOLE.items()
}


@pytest.mark.parametrize("group", WHOLE)
def test_conversations_of_teams_companies_contacts_and_tags(
    warehouse: Warehouse, group: str
) -> None:
    assert shown(warehouse, f"{group}_metrics", f"{group}_id", GROUPED) == WHOLE[group]
    by_month = shown(warehouse, f"{group}_metrics_by_month", f"month, {group}_id", GROUPED)
    assert by_month == MONTHS[group]


def test_teams_have_names(warehouse: Warehouse) -> None:
    named = {"t1": ("t1's name",), "t2": ("t2's name",), "t3": ("t3's name",)}
    assert shown(warehouse, "team_metrics", "team_id", "name") == named


def test_the_ai_agent_by_month(warehouse: Warehouse) -> None:
    columns = (
        "conversations, involved, involvement_rate, resolved, resolution_rate, escalated,"
        " rating_average, ai_rating_average"
    )
    found = shown(warehouse, "ai_agent_metrics", "month", columns)
    # 5 and 6 of seven; of them only 5 was rated, and the AI agent with 5 and with 2.
    assert found.pop(MARCH) == (7, 2, Decimal("0.286"), 1, HALF, 1, Decimal(3), Decimal("3.5"))
    assert next(iter(found)) == APRIL
    assert set(found.values()) == {(0, 0, None, 0, None, 0, None, None)}


def test_contacts_that_look_alike(warehouse: Warehouse) -> None:
    found = shown(warehouse, "contact_duplicates", "match, value", "contact_ids, contacts")
    assert found == {
        # Of c2 and c3, who are gone, nothing is told; c7 is c4.
        ("email", "twin@example.com"): (["c1", "c4"], 2),
        ("external_id", "X"): (["c4", "c5"], 2),  # x is another
        ("phone", "155501"): (["c1", "c4"], 2),
    }
