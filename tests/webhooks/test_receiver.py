"""What the receiver answers over real HTTP, and what is committed when it does."""

from __future__ import annotations

import contextlib
import gzip
import http.client
import json
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import psycopg
import pytest

from connector.commands.serving import health, receiver
from connector.errors import SettingsError
from connector.resources.hint import Hint
from connector.warehouse import state
from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.state import inbox
from connector.webhooks import arrivals, bodies, connections, server
from tests.support.postgres.locks import held_up_by
from tests.support.postgres.server import Server
from tests.support.receiving import (
    APP,
    SECRET,
    Sender,
    body,
    empty,
    eventually,
    head,
    pin,
    receiving,
    rest,
    sign,
    statuses,
)
from tests.support.warehouse import Warehouse, opened


@pytest.fixture(scope="module")
def warehouse(database_url: str) -> Iterator[Warehouse]:
    with opened(database_url) as warehouse:
        pin(warehouse.database)
        yield warehouse


@pytest.fixture
def kept(warehouse: Warehouse) -> Iterator[Warehouse]:
    """The warehouse, of which nothing was told."""
    yield warehouse
    empty(warehouse.database)


@pytest.fixture
def sender(kept: Warehouse) -> Iterator[Sender]:
    with receiving(kept.database) as sender:
        yield sender


def hinted(warehouse: Warehouse) -> set[tuple[str, str]]:
    with warehouse.database.transaction() as conn:
        found = inbox.waiting(conn, ["contacts"], 10_000, state.clock(conn))
        conn.rollback()
    return {(one.resource, one.id) for one in found}


def topics(warehouse: Warehouse) -> dict[str, tuple[int, int]]:
    with warehouse.database.transaction() as conn:
        return {one["topic"]: (one["received"], one["ignored"]) for one in inbox.topics(conn)}


# -- answers ---------------------------------------------------------------------------------


def test_a_signed_notification_is_committed_and_then_answered(kept, sender):
    assert sender.post(body("7")) == 200
    assert hinted(kept) == {("contacts", "7")}
    assert topics(kept) == {"contact.user.updated": (1, 0)}


@pytest.mark.parametrize(
    ("sent", "headers", "status"),
    [
        (body(), {"X_Hub_Signature": "sha1=" + "0" * 40}, 401),
        (body(), {"X_Hub_Signature": sign(body(), "another")}, 401),
        (body(), {"X_Hub_Signature": ""}, 401),
        (b"no json", {}, 400),
        (b"", {}, 400),
        (b"[]", {}, 400),
        (b"[" * 100_000, {}, 400),
        (gzip.compress(body(), mtime=0), {"Content_Encoding": "gzip"}, 400),
        (body(), {"Content_Encoding": "gzip"}, 200),
        (b"{}", {}, 200),
        (body(topic="nobody.knows"), {}, 200),
        (json.dumps({"topic": "ping", "data": {"item": {"type": "ping"}}}).encode(), {}, 200),
        (body(updated_at=10**400), {}, 200),
        (body(text="ä" * 1_500_000), {}, 200),
    ],
)
def test_what_is_sent_is_answered(sender, sent, headers, status):
    assert sender.post(sent, **headers) == status


def test_nothing_is_kept_of_what_is_not_signed_or_not_readable(kept, sender):
    assert sender.ask("POST", body()).status == 401
    assert sender.post(body(), X_Hub_Signature=sign(b"other")) == 401
    assert sender.post(b"x") == 400
    assert hinted(kept) == set()
    assert topics(kept) == {}


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_nothing_but_posts_is_taken(sender, method):
    answer = sender.ask(method, path="/hook")
    assert (answer.status, answer.headers["Allow"]) == (405, "POST, HEAD")


def test_a_head_of_any_path_is_answered_without_a_signature(sender):
    for path in ("/", "/any/path?x=1", "/health"):
        asked = f"HEAD {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n"
        answer, _, followed = sender.raw(asked.encode()).partition(b"\r\n\r\n")
        assert (statuses(answer), followed) == ([200], b"")


def test_any_path_takes_notifications(sender):
    sent = body()
    assert sender.ask("POST", sent, "/in/deep?a=b", X_Hub_Signature=sign(sent)).status == 200


def test_sixteen_megabytes_are_the_most(monkeypatch, sender):
    assert bodies.MOST_BYTES == 16 << 20
    monkeypatch.setattr(bodies, "MOST_BYTES", 2_000)
    assert sender.post(body(text="x" * 1_000)) == 200
    assert sender.post(body(text="x" * 2_000)) == 413
    chunk = b"800\r\n" + b"x" * 0x800 + b"\r\n"
    answer = sender.raw(
        head(None, "sha1=0", "Transfer-Encoding: chunked") + chunk * 9 + b"0\r\n\r\n"
    )
    assert statuses(answer) == [413]


def test_a_foreign_workspace_is_counted_and_never_hinted(kept, sender):
    assert sender.post(body("1", app="other")) == 200
    assert (
        sender.post(b'{"topic":"contact.deleted","data":{"item":{"type":"contact","id":"2"}}}')
        == 200
    )
    assert hinted(kept) == set()
    assert topics(kept) == {"contact.user.updated": (1, 1), "contact.deleted": (1, 1)}


def test_pings_and_topics_that_nobody_knows(kept, sender):
    ping = {"topic": "ping", "app_id": APP, "id": None, "data": {"item": {"type": "ping"}}}
    assert sender.post(json.dumps(ping).encode()) == 200
    assert sender.post(body("3", "contact.aura.changed")) == 200
    assert sender.post(b'{"app_id":"abc"}') == 200
    assert hinted(kept) == {("contacts", "3")}
    assert topics(kept) == {"ping": (1, 1), "contact.aura.changed": (1, 0), "(no topic)": (1, 1)}


def test_many_at_once_are_few_transactions_and_each_is_kept(kept, sender):
    answers: list[int] = []

    def send(first: int) -> None:
        answers.extend(sender.post(body(str(first + n % 20))) for n in range(30))

    threads = [threading.Thread(target=send, args=(100 * n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [200] * 240
    assert len(hinted(kept)) == 160
    assert topics(kept) == {"contact.user.updated": (240, 0)}


def test_who_waits_for_hints_is_told(kept):
    came = threading.Event()
    with receiving(kept.database, came=came.set) as sender:
        assert sender.post(b"{}") == 200
        assert not came.is_set()
        assert sender.post() == 200
        assert came.is_set()


def test_one_who_waits_no_more_is_no_reason_to_refuse(kept):
    def came() -> None:
        raise RuntimeError("Event loop is closed")

    with receiving(kept.database, came=came) as sender:
        assert sender.post() == 200


# -- health ----------------------------------------------------------------------------------


def test_health_says_what_waits(kept, sender, monkeypatch):
    monkeypatch.setattr(health, "GOOD_FOR", 0.0)
    status, said = sender.health()
    assert status == 200
    assert said == {
        "status": "ok",
        "backlog": 0,
        "oldest_seconds": None,
        "last_notification_at": None,
        "last_sync_at": None,
        "trouble": None,
    }
    sender.post()
    status, said = sender.health()
    assert (status, said["status"], said["backlog"]) == (200, "ok", 1)
    assert 0 <= said["oldest_seconds"] < 60
    assert datetime.fromisoformat(said["last_notification_at"]).tzinfo


def test_health_is_degraded_where_hints_wait_for_long_or_somebody_is_in_trouble(kept, monkeypatch):
    monkeypatch.setattr(health, "GOOD_FOR", 0.0)
    trouble: list[str] = []
    with receiving(kept.database, trouble=lambda: trouble[0] if trouble else None) as sender:
        sender.post()
        trouble.append("the token is refused")
        assert sender.health()[1]["trouble"] == "the token is refused"
        assert sender.health()[1]["status"] == "degraded"
        trouble.clear()
        assert sender.health()[1]["status"] == "ok"
        monkeypatch.setattr(health, "LATE", -1.0)
        assert sender.health()[1]["status"] == "degraded"


def test_many_who_ask_for_health_cost_one_look(kept, sender, monkeypatch):
    looks: list[int] = []
    backlog = inbox.backlog

    def slow(conn: Any) -> Any:
        looks.append(1)
        time.sleep(0.3)
        return backlog(conn)

    monkeypatch.setattr(inbox, "backlog", slow)
    threads = [threading.Thread(target=sender.health) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(looks) <= 2


def test_an_inbox_that_cannot_be_read_is_said_in_health(kept, sender, monkeypatch):
    def broken(conn: Any) -> Any:
        raise KeyError("secret detail")

    monkeypatch.setattr(inbox, "backlog", broken)
    status, said = sender.health()
    assert (status, said["status"]) == (503, "degraded")
    assert "secret" not in str(said)


# -- what cannot be committed ----------------------------------------------------------------


def test_there_is_no_200_before_the_commit(kept, sender):
    assert sender.post(body("1")) == 200
    kept._reader.execute("BEGIN")
    kept._reader.execute("LOCK TABLE sync_inbox IN ACCESS EXCLUSIVE MODE")
    try:
        began = time.monotonic()
        assert sender.post(body("2")) == 503
        assert time.monotonic() - began < 5.0
        assert sender.ask("HEAD").status == 200
    finally:
        kept._reader.execute("ROLLBACK")
    eventually(lambda: sender.post(body("3")) == 200)
    assert hinted(kept) >= {("contacts", "1"), ("contacts", "3")}


def test_a_row_that_another_transaction_holds_is_waited_for(kept, sender):
    assert sender.post(body("1")) == 200
    kept._reader.execute("BEGIN")
    kept._reader.execute("UPDATE sync_inbox SET attempts = 1")
    timer = threading.Timer(0.3, lambda: kept._reader.execute("COMMIT"))
    timer.start()
    assert sender.post(body("1")) == 200
    timer.join()


def test_a_reader_that_takes_rows_in_another_order_is_no_reason_to_refuse(
    kept, sender, database_url
):
    item = {"company": {"id": "1"}, "contact": {"id": "2"}}
    sent = json.dumps({"topic": "t", "app_id": APP, "data": {"item": item}}).encode()
    assert sender.post(sent) == 200
    # Postgres tells of a deadlock to one of the two, on a slow machine perhaps to the reader.
    assert any(_told_to_the_receiver(sender, sent, kept.schema, database_url) for _ in range(9))


def _told_to_the_receiver(sender: Sender, sent: bytes, schema: str, url: str) -> bool:
    answers: list[int] = []
    sending = threading.Thread(target=lambda: answers.append(sender.post(sent)))
    take = f"UPDATE \"{schema}\".sync_inbox SET attempts = 1 WHERE resource = '%s'"
    told = True
    try:
        with psycopg.connect(conninfo(url)) as reader:
            reader.execute(take % "contacts")
            sending.start()
            eventually(lambda: held_up_by(reader.info.backend_pid, url))
            reader.execute(take % "companies")
    except psycopg.errors.DeadlockDetected:
        told = False
    sending.join(10)
    assert answers == [200]
    return told


def test_with_too_many_waiting_nothing_is_taken(kept, monkeypatch):
    monkeypatch.setattr(receiver, "COUNTED_FOR", 0.0)
    many = [1_000_001]
    monkeypatch.setattr(inbox, "count", lambda conn: many[0])
    recovered = threading.Event()
    with receiving(kept.database, recovered=recovered.set) as sender:
        assert sender.post() == 503
        status, said = sender.health()
        assert (status, said["status"]) == (200, "degraded")
        assert not recovered.is_set()
        many[0] = 1_000_000
        assert sender.post() == 200
        assert recovered.is_set()
    assert len(hinted(kept)) == 1


def test_what_comes_counts_until_it_is_counted_again(kept, monkeypatch):
    monkeypatch.setattr(receiver, "MOST_WAITING", 3)
    with receiving(kept.database) as sender:
        assert [sender.post(body(str(n))) for n in range(6)] == [200] * 4 + [503] * 2


def test_more_than_there_is_room_for_is_refused_and_repaired(kept, monkeypatch):
    monkeypatch.setattr(arrivals, "MOST_WAITING", 0)
    recovered = threading.Event()
    with receiving(kept.database, recovered=recovered.set) as sender:
        assert sender.post() == 503
        monkeypatch.setattr(arrivals, "MOST_WAITING", 10)
        assert sender.post() == 200
        assert recovered.is_set()


def test_that_they_can_be_kept_again_is_noticed_also_where_nothing_comes(kept, monkeypatch):
    monkeypatch.setattr(receiver, "TRY_AGAIN", 0.05)
    monkeypatch.setattr(receiver, "COUNTED_FOR", 0.0)
    many = [1_000_001]
    monkeypatch.setattr(inbox, "count", lambda conn: many[0])
    recovered = threading.Event()
    with receiving(kept.database, recovered=recovered.set) as sender:
        time.sleep(0.2)
        assert not recovered.is_set()
        assert sender.post() == 503
        assert not recovered.wait(0.2)
        many[0] = 0
        assert recovered.wait(10)


def test_a_fault_of_our_own_is_logged_and_answered(kept, monkeypatch, caplog):
    def broken(sent: bytes) -> Any:
        raise KeyError("what")

    monkeypatch.setattr(server, "read", broken)
    with receiving(kept.database) as sender:
        assert sender.post() == 503
    assert "a fault of intercom-warehouse itself" in caplog.text


@pytest.fixture
def own(server: Server, fresh_schema: str) -> Iterator[tuple[Server, Database]]:
    """A server that may be stopped, with a migrated schema that mirrors a workspace."""
    database = Database(server.url, fresh_schema)
    migrate(database)
    pin(database)
    yield server, database
    database.close()


def test_without_the_database_nothing_is_taken_until_it_is_back(own, monkeypatch):
    monkeypatch.setattr(health, "GOOD_FOR", 0.0)
    postgres, database = own
    recovered = threading.Event()
    with receiving(database, recovered=recovered.set) as sender:
        assert sender.post(body("1")) == 200
        postgres.stop()
        try:
            for _ in range(2):
                assert sender.post(body("2")) == 503
                assert sender.ask("HEAD").status == 200
                status, said = sender.health()
                assert (status, said["status"], said["backlog"]) == (503, "degraded", None)
        finally:
            postgres.start()
        eventually(lambda: sender.post(body("3")) == 200)
        assert recovered.is_set()
        eventually(lambda: sender.health()[1]["status"] == "ok")
        assert sender.health()[1]["backlog"] == 2


def test_a_database_that_is_frozen_keeps_nobody_waiting(own, monkeypatch):
    monkeypatch.setattr(server, "SECONDS_TO_COMMIT", 0.5)
    monkeypatch.setattr(health, "PATIENCE", 0.5)
    postgres, database = own
    find = "SELECT pid FROM pg_stat_activity WHERE application_name = 'intercom-warehouse'"
    with receiving(database) as sender:
        assert sender.post(body("1")) == 200
        frozen = [pid for [pid] in postgres.execute(find)]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        try:
            assert sender.post(body("2")) == 503
            assert sender.post(body("3")) == 503
            assert sender.ask("HEAD").status == 200
            assert sender.health()[0] in (200, 503)
        finally:
            for pid in frozen:
                os.kill(pid, signal.SIGCONT)
        eventually(lambda: sender.post(body("4")) == 200)


def test_it_ends_in_time_whatever_the_database_does(own):
    postgres, database = own
    find = "SELECT pid FROM pg_stat_activity WHERE application_name = 'intercom-warehouse'"
    frozen: list[int] = []
    try:
        with receiving(database) as sender:
            assert sender.post(body("1")) == 200
            frozen = [pid for [pid] in postgres.execute(find)]
            for pid in frozen:
                os.kill(pid, signal.SIGSTOP)
            waiting = threading.Thread(target=lambda: _ends(sender))
            waiting.start()
            time.sleep(0.2)
            began = time.monotonic()
        assert time.monotonic() - began < 4.0
        waiting.join()
    finally:
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)


def _ends(sender: Sender) -> None:
    with contextlib.suppress(OSError, http.client.HTTPException):  # it ends without an answer
        assert sender.post(body("2")) == 503


def test_a_port_that_is_taken_is_said(kept):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        it = receiver.Receiver(kept.database, [SECRET], 2.0)
        with pytest.raises(SettingsError, match=f"cannot listen at 127.0.0.1:{port}"):
            it.running("127.0.0.1", port).__enter__()


# -- odd connections -------------------------------------------------------------------------


def test_a_connection_serves_many_requests(kept, sender):
    sent = body("9")
    one = head(len(sent), sign(sent)) + sent
    with sender.connect() as connection:
        for _ in range(3):
            connection.sendall(one)
            assert statuses(connection.recv(65_536)) == [200]


def test_requests_that_come_at_once_are_answered_in_their_order(sender):
    good, bad = body(), b"x"
    sent = [
        head(len(good), sign(good)) + good,
        head(len(good), "sha1=1") + good,
        b"HEAD / HTTP/1.1\r\nHost: h\r\n\r\n",
        head(len(bad), sign(bad)) + bad,
        head(len(good), sign(good), "Connection: close") + good,
    ]
    assert statuses(sender.raw(b"".join(sent))) == [200, 401, 200, 400, 200]


def test_chunks_are_put_together(kept, sender):
    sent = body("5")
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in (sent[:3], sent[3:50], sent[50:]))
    coding = ("Transfer-Encoding: chunked", "Connection: close")
    assert statuses(sender.raw(head(None, sign(sent), *coding) + chunks + b"0\r\n\r\n")) == [200]
    assert hinted(kept) == {("contacts", "5")}


@pytest.mark.parametrize(
    "sent",
    [
        head(None, "sha1=0", "Transfer-Encoding: chunked") + b"zz\r\nabc\r\n0\r\n\r\n",
        head(None, "sha1=0", "Transfer-Encoding: chunked") + b"-1\r\nabc\r\n0\r\n\r\n",
        head(5, "sha1=0", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
        head(None, "sha1=0", "Content-Length: -5") + b"abcde",
        head(None, "sha1=0", "Content-Length: many") + b"abcde",
        head(None, "sha1=0", "Content-Length: 3", "Content-Length: 5") + b"abcde",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 50 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
    ],
    ids=lambda sent: repr(sent[-20:]),
)
def test_what_is_no_http_is_refused_in_silence(sender, caplog, capsys, sent):
    caplog.set_level(logging.INFO)
    assert statuses(sender.raw(sent)) == [400]
    assert sender.post() == 200
    assert caplog.text == ""
    assert capsys.readouterr() == ("", "")


def test_a_length_that_is_too_short_spoils_its_own_connection_only(sender):
    sent = body()
    assert set(statuses(sender.raw(head(len(sent) - 2, sign(sent)) + sent))) <= {400, 401}
    assert sender.post() == 200


def test_a_body_that_does_not_come_is_not_waited_for(kept, monkeypatch):
    monkeypatch.setattr(bodies, "SECONDS_FOR_BODY", 0.2)
    monkeypatch.setattr(server, "SECONDS_TO_DRAIN", 0.1)
    sent = body()
    with receiving(kept.database) as sender:
        with sender.connect(head(len(sent) + 10, sign(sent)) + sent) as connection:
            assert statuses(rest(connection)) == [408]
        assert sender.post() == 200


def test_whoever_hangs_up_leaves_nothing_behind(kept, caplog, capsys):
    caplog.set_level(logging.INFO)
    it = receiver.Receiver(kept.database, [SECRET], 2.0)
    watched: list[connections.Connections] = []
    made = connections.Connections.__init__

    def noted(self: connections.Connections) -> None:
        made(self)
        watched.append(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(connections.Connections, "__init__", noted)
        patch.setattr(connections, "GLANCE", 0.05)
        with it.running("127.0.0.1", 0) as port:
            sender = Sender(port)
            for _ in range(30):
                sender.connect(head(1_000) + b"abc").close()
            [found] = watched
            eventually(lambda: not found._busy and not found._heard and not found._first_seen)
    assert caplog.text == ""
    assert capsys.readouterr() == ("", "")


@pytest.fixture
def watchful(kept: Warehouse, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sender]:
    """Sends to a receiver that looks often at its connections, and drains them for a moment."""
    monkeypatch.setattr(connections, "SECONDS_FOR_REQUEST", 0.5)
    monkeypatch.setattr(connections, "GLANCE", 0.05)
    monkeypatch.setattr(server, "SECONDS_TO_DRAIN", 0.1)
    with receiving(kept.database) as sender:
        yield sender


def test_connections_that_say_nothing_whole_are_ended(watchful):
    sender, begun = watchful, b"POST / HTTP/1.1\r\nHost: h\r\nX-Hub-Sig"
    open_now = [sender.connect(begun if n % 2 else b"") for n in range(200)]
    assert sender.post() == 200
    for connection in open_now:
        assert rest(connection) == b""
        connection.close()
    assert sender.post() == 200


def test_of_too_many_connections_the_longest_silent_are_ended(watchful, monkeypatch):
    monkeypatch.setattr(connections, "MOST_CONNECTIONS", 10)
    monkeypatch.setattr(connections, "SECONDS_FOR_REQUEST", 60.0)
    sender = watchful
    open_now = [sender.connect() for _ in range(60)]
    for connection in open_now[:40]:
        assert rest(connection) == b""
    assert sender.post() == 200
    for connection in open_now:
        connection.close()


def test_forged_bodies_make_room_for_signed_ones(watchful, monkeypatch):
    sender = watchful
    monkeypatch.setattr(bodies, "MOST_IN_FLIGHT", 3 << 20)
    forged = [sender.connect(head(1_000_000) + b"x" * 900_000) for _ in range(12)]
    large = body(text="x" * 1_000_000)
    assert [sender.post(large) for _ in range(3)] == [200] * 3
    assert statuses(rest(forged[0])) == [503]
    for connection in forged:
        connection.close()


def test_a_flood_of_forged_ones_leaves_time_for_signed_ones(sender):
    over = threading.Event()

    def flood() -> None:
        sent = head(1_000) + b"x" * 1_000
        while not over.is_set():
            with sender.connect(sent * 20) as connection:
                connection.recv(65_536)

    flooding = [threading.Thread(target=flood) for _ in range(4)]
    for thread in flooding:
        thread.start()
    seconds = []
    for number in range(30):
        began = time.monotonic()
        assert sender.post(body(str(number))) == 200
        seconds.append(time.monotonic() - began)
    over.set()
    for thread in flooding:
        thread.join()
    assert max(seconds) < 4.0


def test_who_sends_many_requests_and_reads_no_answer_holds_nobody_up(sender):
    one = b"HEAD /" + b"a" * 200 + b" HTTP/1.1\r\nHost: h\r\n\r\n"
    with sender.connect() as connection:
        connection.setblocking(False)
        for _ in range(200):
            try:
                connection.send(one * 200)
            except BlockingIOError:
                time.sleep(0.005)
        assert sender.post() == 200


def test_a_client_that_asks_whether_to_go_on_is_answered(sender):
    sent = body()
    with sender.connect(head(len(sent), sign(sent), "Expect: 100-continue")) as connection:
        assert statuses(connection.recv(65_536)) == [100]
        connection.sendall(sent)
        assert statuses(connection.recv(65_536)) == [200]


# -- secrets ---------------------------------------------------------------------------------


def test_no_secret_is_shown_anywhere(kept, caplog, capsys, monkeypatch):
    caplog.set_level(logging.DEBUG)
    it = receiver.Receiver(kept.database, [SECRET], 2.0)
    assert SECRET not in repr(it)

    def fails(conn: Any, *_: Any) -> None:
        raise psycopg.OperationalError("nothing works")

    with it.running("127.0.0.1", 0) as port:
        sender = Sender(port)
        answers = [sender.ask("POST", body(), X_Hub_Signature=sign(b"x")), sender.ask("GET")]
        monkeypatch.setattr(inbox, "tell", fails)
        answers.append(sender.ask("POST", body(), X_Hub_Signature=sign(body())))
    assert [one.status for one in answers] == [401, 405, 503]
    shown = caplog.text + str(capsys.readouterr()) + "".join(one.text for one in answers)
    assert "nothing works" in shown
    assert SECRET not in shown
    bare = server.Server([SECRET], None, None)  # type: ignore[arg-type]
    assert SECRET not in repr(bare)


# -- rights at the start ---------------------------------------------------------------------


def test_an_inbox_that_can_be_used_is_no_trouble(kept):
    receiver.require_inbox(kept.database)
    with kept.database.transaction() as conn:
        assert inbox.count(conn) == 0
        inbox.tell(conn, [Hint("contacts", "1")], 0.0)


def test_a_schema_without_inbox_or_workspace_is_said(database_url, fresh_schema):
    database = Database(database_url, fresh_schema)
    with pytest.raises(SettingsError, match="migrate"):
        receiver.require_inbox(database)
    migrate(database)
    with pytest.raises(SettingsError, match="run sync once"):
        receiver.require_inbox(database)
    database.close()
