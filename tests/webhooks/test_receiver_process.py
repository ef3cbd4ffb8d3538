"""``serve`` as a process: how it begins and ends, and that no answer outlives what it was for."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import random
import re
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from connector.settings import load
from connector.simulator import Simulator
from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.webhooks.notification import read
from tests.support.harness import Harness
from tests.support.listening import NOW, workspace
from tests.support.postgres.server import Server
from tests.support.receiving import (
    SECRET,
    SERVE,
    Process,
    Sender,
    body,
    eventually,
    head,
    pin,
    receiver,
    serving,
    watched,
)
from tests.support.service import served, small, spawn

pytestmark = pytest.mark.in_turn(2)

ONLY = "--receive-only"


@pytest.fixture
def warehouse(harness: Harness) -> Harness:
    """A migrated schema that mirrors a workspace."""
    database = Database(harness.database_url, harness.schema)
    pin(database)
    database.close()
    return harness


@contextlib.contextmanager
def receiving(harness: Harness, **settings: str) -> Iterator[Process]:
    with serving(harness.database_url, harness.schema, ONLY, **settings) as it:
        yield it


def healthy(sender: Sender, status: int) -> bool:
    """Whether its health is answered with that status."""
    return sender.health()[0] == status


def ended(it: Process, code: int) -> str:
    """What it said before it ended by itself."""
    assert it.process.wait(60) == code, it.said()
    said = it.said()
    assert "Traceback" not in said
    assert SECRET not in said
    return said


# -- how it begins ---------------------------------------------------------------------------


def test_it_does_not_begin_without_a_secret_or_with_settings_that_are_none(warehouse):
    with receiving(warehouse, INTERCOM_CLIENT_SECRET="") as it:
        assert "INTERCOM_CLIENT_SECRET is not set" in ended(it, 2)
    with receiving(warehouse, INTERCOM_CLIENT_SECRET=" , ") as it:
        assert "INTERCOM_CLIENT_SECRET is not set" in ended(it, 2)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        (
            "CONNECTOR_LISTEN",
            ["here", ":8088", "a:b", "a:-1", "a:65536", "a:8１", "[::1]", "1.2.3.4"],
        ),
        ("CONNECTOR_LIVE_DELAY", ["-1", "soon", "nan", "1e3", "999999", "2s", "٣"]),
        ("CONNECTOR_SYNC_EVERY", ["-1h", "1y", "h", "nan", "1e9", "99999999999d", "1h30m"]),
    ],
)
def test_settings_that_are_none_are_said_in_words(name, values):
    for value in values:
        with pytest.raises(Exception, match=name) as caught:
            load({name: value}, Path("/nowhere"))
        assert caught.value.exit_code == 2  # type: ignore[attr-defined]


def test_a_setting_that_is_none_ends_it_with_2(warehouse):
    with receiving(warehouse, CONNECTOR_LISTEN="nowhere") as it:
        assert "CONNECTOR_LISTEN must be HOST:PORT" in ended(it, 2)
    with receiving(warehouse, CONNECTOR_LISTEN="no.such.host.invalid:18201") as it:
        assert "cannot listen at no.such.host.invalid:18201" in ended(it, 2)


def test_a_port_that_is_taken_ends_it_with_2(warehouse):
    with receiving(warehouse) as first:
        port = first.sender.port
        with receiving(warehouse, CONNECTOR_LISTEN=f"127.0.0.1:{port}") as it:
            assert f"cannot listen at 127.0.0.1:{port}" in ended(it, 2)
        assert first.end(signal.SIGTERM) == 0


def test_it_needs_no_token_and_no_more_than_its_rights(warehouse):
    role, schema = f"receiver_{os.getpid()}", warehouse.schema
    url = make_conninfo(conninfo(warehouse.database_url), user=role, password="secret")
    admin = psycopg.connect(conninfo(warehouse.database_url), autocommit=True)
    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    try:
        admin.execute(f'GRANT USAGE ON SCHEMA "{schema}" TO {role}')
        admin.execute(f'GRANT SELECT ON "{schema}".sync_workspace TO {role}')
        admin.execute(f'GRANT SELECT ON "{schema}".sync_inbox, "{schema}".sync_topics TO {role}')
        with serving(url, schema, ONLY, INTERCOM_ACCESS_TOKEN="") as it:
            assert "the role needs USAGE on the schema" in ended(it, 5)
        for table in ("sync_inbox", "sync_topics"):
            admin.execute(f'GRANT INSERT, UPDATE ON "{schema}"."{table}" TO {role}')
        with serving(url, schema, ONLY, INTERCOM_ACCESS_TOKEN="") as it:
            assert it.sender.post() == 200
            assert it.sender.health()[0] == 200
            assert it.end(signal.SIGTERM) == 0
    finally:
        admin.execute(f"DROP OWNED BY {role}")
        admin.execute(f"DROP ROLE {role}")
        admin.close()


def test_a_schema_that_has_no_inbox_is_said(database_url, fresh_schema):
    with serving(database_url, fresh_schema, ONLY) as it:
        assert "run 'intercom-warehouse migrate' first" in ended(it, 2)


def test_a_database_that_is_not_there_ends_it_with_5_and_a_signal_before():
    nowhere = "postgresql://nobody@127.0.0.1:1/nothing"
    for number, code in ((signal.SIGTERM, 0), (signal.SIGINT, 130)):
        with serving(nowhere, "intercom", ONLY) as it:
            eventually(lambda: "trying again" in "".join(it.lines), 60)
            assert it.end(number) == code
    with serving("postgresql://u@127.0.0.1/x?sslmode=rubbish", "intercom", ONLY) as it:
        assert "Traceback" not in ended(it, 5)


def test_a_token_that_is_refused_ends_it_with_3(warehouse):
    simulator = small(contacts=5, conversations=2)
    with served(simulator) as url:
        arguments = {"intercom": url, "INTERCOM_ACCESS_TOKEN": "wrong"}
        with serving(warehouse.database_url, warehouse.schema, **arguments) as it:
            ended(it, 3)


# -- how it ends -----------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_also_while_it_begins(warehouse, number, code):
    for tenths in range(1, 16, 2):
        environ = receiver("", warehouse.database_url, warehouse.schema)
        with watched(spawn(environ, *SERVE, ONLY)) as it:
            time.sleep(0.05 + tenths / 10)
            assert it.end(number) == code, f"after {tenths / 10} s: {it.said()}"
            assert "Traceback" not in it.said()


def test_health_notices_by_itself_that_the_database_is_away(server: Server, own: str) -> None:
    for fate, within in ((stopped, 2.0), (frozen, 5.0)):
        with serving(server.url, own, ONLY) as it:
            sender = it.sender
            assert sender.health()[0] == 200
            with fate(server):
                eventually(partial(healthy, sender, 503), within)
            eventually(partial(healthy, sender, 200))
            assert it.end(signal.SIGTERM) == 0


class Load(threading.Thread):
    """Sends without a pause until it is over; counts the answers."""

    def __init__(self, sender: Sender) -> None:
        super().__init__(daemon=True)
        self._sender, self._over = sender, threading.Event()
        self.answers: Counter[int] = Counter()
        self.start()

    def run(self) -> None:
        number = 0
        while not self._over.is_set():
            number += 1
            with contextlib.suppress(OSError, http.client.HTTPException):
                self.answers[self._sender.post(body(str(number)))] += 1

    def end(self) -> Counter[int]:
        self._over.set()
        self.join(10)
        return self.answers


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_under_load(warehouse, number, code):
    with receiving(warehouse) as it:
        loads = [Load(it.sender) for _ in range(3)]
        idle = [it.sender.connect(), it.sender.connect(head(1_000) + b"abc")]
        eventually(lambda: sum(load.answers[200] for load in loads) > 30)
        assert it.end(number) == code
        answers = sum((load.end() for load in loads), Counter())
        for connection in idle:
            connection.close()
        said = ended(it, code)
        assert answers.keys() == {200}
        [row] = warehouse.query("SELECT sum(received) AS n FROM sync_topics")
        assert row["n"] >= answers[200]
        assert ("interrupted" in said) == (code == 130)


FIND = "SELECT pid FROM pg_stat_activity WHERE application_name = 'intercom-warehouse'"


@contextlib.contextmanager
def stopped(server: Server) -> Iterator[None]:
    """Meanwhile the database does not run."""
    server.stop()
    try:
        yield
    finally:
        server.start()


@contextlib.contextmanager
def frozen(server: Server) -> Iterator[None]:
    """Meanwhile whoever was connected to the database gets no answers."""
    found = [pid for [pid] in server.execute(FIND)]
    for pid in found:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in found:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def own(server: Server, fresh_schema: str) -> Iterator[str]:
    """A schema that mirrors a workspace, on a server that may be stopped."""
    database = Database(server.url, fresh_schema)
    migrate(database)
    pin(database)
    database.close()
    yield fresh_schema
    server.execute(f'DROP SCHEMA "{fresh_schema}" CASCADE')


@pytest.mark.parametrize("fate", [stopped, frozen])
def test_it_ends_when_the_database_is_away(server: Server, own: str, fate: Any) -> None:
    with serving(server.url, own, ONLY) as it:
        sender = it.sender
        assert sender.post() == 200
        with fate(server):
            load = Load(sender)
            eventually(lambda: load.answers[503] or fate is frozen)
            assert it.end(signal.SIGTERM) == 0
            load.end()
        ended(it, 0)


@pytest.mark.sampled(1)
@pytest.mark.parametrize("fate", [stopped, frozen])
def test_the_whole_ends_when_the_database_is_away(
    server: Server, fresh_schema: str, fate: Any
) -> None:
    with (
        served(small(contacts=5, conversations=2)) as url,
        serving(server.url, fresh_schema, intercom=url) as it,
    ):
        sender = it.sender
        eventually(lambda: sender.health()[1]["last_sync_at"], 60)
        assert sender.post(b"{}") == 200
        with fate(server):
            assert sender.post() == 503
            assert sender.ask("HEAD").status == 200
            eventually(lambda: sender.health()[0] == 503)
            assert it.end(signal.SIGTERM) == 0
        ended(it, 0)
    server.execute(f'DROP SCHEMA "{fresh_schema}" CASCADE')


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_ends_while_a_sync_goes_on(harness, number, code):
    simulator = small(contacts=800, conversations=300)
    with (
        served(simulator, latency=0.02) as url,
        serving(harness.database_url, harness.schema, intercom=url) as it,
    ):
        load = Load(it.sender)
        before = simulator.stats.as_dict()["requests"]
        eventually(lambda: simulator.stats.as_dict()["requests"] > before + 10)
        assert it.end(number) == code
        load.end()
        ended(it, code)


# -- kill -9 ---------------------------------------------------------------------------------


class Bookkeeper:
    """Sends what a simulator tells, and keeps what was answered with 200."""

    def __init__(self, harness: Harness, seed: int) -> None:
        self.harness, self.dice = harness, random.Random(seed)
        self.simulator = Simulator(workspace(), clock=lambda: float(NOW))
        self.simulator.webhooks.subscribe(SECRET)
        self.simulator.control.webhook_chaos(duplicates=0.1, foreign=0.1, unknown=0.1, shuffle=0.0)
        database = Database(harness.database_url, harness.schema)
        pin(database, self.simulator.workspace.app["id_code"])
        database.close()
        self.answered: list[bytes] = []
        self.kills = 0

    def life(self) -> None:
        """One process: killed at any moment while it is sent to."""
        with serving(self.harness.database_url, self.harness.schema, ONLY) as it:
            sender = it.sender
            killer = threading.Timer(self.dice.uniform(0.0, 0.5), it.process.kill)
            killer.start()
            asyncio.run(self._send(sender.port, it))
            killer.join()
            assert it.process.wait(10) == -signal.SIGKILL
            self.kills += 1

    async def _send(self, port: int, it: Process) -> None:
        connector = aiohttp.TCPConnector(limit=32)
        async with aiohttp.ClientSession(connector=connector) as session:
            while it.process.poll() is None:
                for _ in range(10):
                    self.simulator.control.live()
                due = self.simulator.webhooks.due()
                await asyncio.gather(*(self._post(session, port, one.request()) for one in due))
                for one in due:
                    self.simulator.webhooks.answered(one, 200)

    async def _post(self, session: Any, port: int, request: tuple[Any, bytes]) -> None:
        headers, sent = request
        with contextlib.suppress(aiohttp.ClientError, OSError):
            url = f"http://127.0.0.1:{port}/"
            async with session.post(url, data=sent, headers=headers) as answer:
                if answer.status == 200:
                    self.answered.append(sent)

    def lost(self) -> list[Any]:
        """What was answered with 200 and is not in the database."""
        query = "SELECT *, extract(epoch FROM announced)::bigint AS at FROM sync_inbox"
        rows = {(row["resource"], row["id"]): row for row in self.harness.query(query)}
        counts = {r["topic"]: r for r in self.harness.query("SELECT * FROM sync_topics")}
        code = self.simulator.workspace.app["id_code"]
        came = [read(sent) for sent in self.answered]
        topics = Counter(one.topic for one in came)
        found: list[Any] = [
            t for t, n in topics.items() if t not in counts or counts[t]["received"] < n
        ]
        for hint in (hint for one in came if one.app_id == code for hint in one.hints):
            row = rows.get((hint.resource, hint.id))
            if row is None or row["gone"] < hint.gone:
                found.append(hint)
        return found


def killed(harness: Harness, times: int, seed: int) -> None:
    keeper = Bookkeeper(harness, seed)
    while keeper.kills < times:
        keeper.life()
        assert keeper.lost() == []
    assert len(keeper.answered) > 5 * times


def test_no_answer_of_200_outlives_its_hint(harness: Harness) -> None:
    killed(harness, 5, seed=1)


@pytest.mark.chaos
def test_no_answer_of_200_outlives_its_hint_in_a_hundred_kills(harness: Harness) -> None:
    killed(harness, 100, seed=2)


# -- memory ----------------------------------------------------------------------------------


def memory(it: Process, what: str = "VmRSS") -> float:
    """MB that the process holds now; VmHWM: that it held at most."""
    status = Path(f"/proc/{it.process.pid}/status").read_text()
    return int(re.search(rf"{what}:\s+(\d+) kB", status)[1]) / 1024  # type: ignore[index]


def test_memory_is_bounded_whatever_is_sent(warehouse):
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells the memory of a process there")
    with receiving(warehouse) as it:
        sender = it.sender
        sender.post()
        before = memory(it)
        forged = [sender.connect() for _ in range(30)]
        senders = [threading.Thread(target=_flood, args=(one, 12_000_000)) for one in forged]
        for thread in senders:
            thread.start()
        for thread in senders:
            thread.join()
        for _ in range(200):
            forged.append(sender.connect(b"POST / HTTP/1.1\r\n" + b"X: y\r\n" * 20))
        assert sender.post(body(text="x" * 500_000)) == 200
        assert memory(it) - before < 130
        for one in forged:
            one.close()
        assert it.end(signal.SIGTERM) == 0


LARGE = 15_000_000
SMALL = b'{"a":1,"b":[]},'


@pytest.mark.parametrize("odd", [b"", b"NaN,"])
def test_large_bodies_of_small_objects_cost_little_more_than_their_size(warehouse, odd):
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux tells the memory of a process there")
    whole = body(parts=[])
    sent = whole.replace(b"[]", b"[" + odd + SMALL * (LARGE // len(SMALL)) + b"0]")
    with receiving(warehouse) as it:
        sender = it.sender
        sender.post()
        before, answers = memory(it), list[int]()
        sending = [
            threading.Thread(target=lambda: answers.append(sender.post(sent))) for _ in range(3)
        ]
        for thread in sending:
            thread.start()
        for thread in sending:
            thread.join()
        assert 200 in answers
        assert memory(it, "VmHWM") - before < (250 if odd else 110)
        assert it.end(signal.SIGTERM) == 0


def _flood(connection: Any, size: int) -> None:
    with contextlib.suppress(OSError):
        connection.sendall(head(size + 10) + b"x" * size)
