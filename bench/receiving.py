"""What ``serve --receive-only`` takes: notifications a second, and how long each waits for its 200.

``python -m bench.receiving [SECONDS [RATE ...]]`` sends notifications that were signed before, from
a process of its own on the same machine, at a fixed rate over 64 connections, whether or not the
earlier ones are answered: a wait counts from the moment at which one was due to be sent. Without
rates: 1,000 and 2,500 a second into an empty inbox, then 1,000 a second while 900,000 hints wait.
Prints how long answers took, what was answered, what of it is in the database, and the memory and
CPU of the receiver, as Markdown.
"""

from __future__ import annotations

import asyncio
import hmac
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, deque
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg

from bench.runs import postgres
from connector.warehouse import state
from connector.warehouse.migrate import migrate
from connector.warehouse.sql.database import Database
from connector.warehouse.state.workspace import Workspace
from tests.support.service import environment

SCHEMA, SECRET, APP = "bench", "bench-secret", "abc12345"
CONNECTIONS, CONTACTS, PATIENCE = 64, 20_000, 30.0
FILL = (
    "INSERT INTO {0}.sync_inbox (resource, id, version, gone, attempts, not_before, first_told_at,"
    " told_at) SELECT 'contacts', 'waits' || n, 1, false, 0, now(), now(), now()"
    " FROM generate_series(1, {1}) n"
)


def main(seconds: float, rates: list[float]) -> None:
    """All loads, one after the other, on one receiver."""
    loads = [(rate, 0) for rate in rates] or [(1_000.0, 0), (2_500.0, 0), (1_000.0, 900_000)]
    print("| sent a second | waiting before | 200 | other | p50 ms | p99 ms | worst ms |", end="")
    print(" in the database | MB | CPU |\n|" + "---|" * 10)
    with postgres() as database_url, psycopg.connect(database_url, autocommit=True) as conn:
        prepare(database_url)
        with receiving(database_url) as (port, process):
            for rate, waiting in loads:
                conn.execute(f"TRUNCATE {SCHEMA}.sync_inbox, {SCHEMA}.sync_topics")
                conn.execute(FILL.format(SCHEMA, waiting))
                time.sleep(31.0)  # until waiting ones are counted anew
                print_line(rate, waiting, load(port, process, rate, seconds), conn)
            conn.execute(f"TRUNCATE {SCHEMA}.sync_inbox")
            conn.execute(FILL.format(SCHEMA, 1_000_000))
            time.sleep(31.0)
            load(port, process, 100.0, 1.0)
            print(f"\nWith 1,000,000 hints waiting it holds {memory(process):.0f} MB.")


def prepare(database_url: str) -> None:
    """A schema that mirrors a workspace."""
    database = Database(database_url, SCHEMA)
    migrate(database)
    with database.transaction() as conn:
        state.pin(conn, Workspace(APP, None, None, None, "2.16"))
    database.close()


@contextmanager
def receiving(database_url: str) -> Iterator[tuple[int, int]]:
    """The port and the number of a receiver."""
    settings = {"INTERCOM_CLIENT_SECRET": SECRET, "CONNECTOR_LISTEN": "127.0.0.1:0"}
    environ = environment("", database_url, SCHEMA, **settings)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "log"
        with path.open("w") as log:
            command = [sys.executable, "-m", "connector", "serve", "--receive-only", "-v"]
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log)
        try:
            while not (found := re.search(r"127\.0\.0\.1:(\d+)/", path.read_text())):
                if process.poll() is not None:
                    raise SystemExit(path.read_text())
                time.sleep(0.05)
            yield int(found[1]), process.pid
        finally:
            process.terminate()
            process.wait(10)


def load(port: int, process: int, rate: float, seconds: float) -> dict[str, Any]:
    """Send from another process; what it found, and what the receiver used."""
    words = [sys.executable, "-m", "bench.receiving", "send", str(port), str(rate), str(seconds)]
    before = cpu(process)
    sent = subprocess.run(words, capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(sent.stdout)
    return found | {"memory": memory(process), "cpu": (cpu(process) - before) / seconds}


def memory(process: int) -> float:
    """MB that a process holds; Linux only, else 0."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0


def cpu(process: int) -> float:
    """Seconds of CPU that a process has used; Linux only, else 0."""
    try:
        fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / 100


def print_line(rate: float, waiting: int, found: dict[str, Any], conn: psycopg.Connection) -> None:
    """One load as a row of the table."""
    good = found["answers"].pop("200", 0)
    query = f"SELECT coalesce(sum(received), 0) FROM {SCHEMA}.sync_topics"
    [kept] = conn.execute(query).fetchone() or (0,)
    other = ", ".join(f"{n:,} x {code}" for code, n in found["answers"].items()) or "0"
    cells = [f"{found[name]:.0f}" for name in ("p50", "p99", "worst")]
    used = [f"{found['memory']:.0f}", f"{found['cpu']:.0%}"]
    row = [f"{rate:,.0f}", f"{waiting:,}", f"{good:,}", other, *cells, f"{kept:,}", *used]
    print(f"| {' | '.join(row)} |", flush=True)


# -- the sender, a process of its own --------------------------------------------------------


class Sending:
    """Sends what was signed before, each at its moment."""

    def __init__(self, rate: float, seconds: float) -> None:
        self.rate, self.number = rate, int(rate * seconds)
        self.requests = [request(n) for n in range(min(self.number, CONTACTS))]
        self.free: list[Connection] = []
        self.queue: deque[tuple[float, bytes]] = deque()
        self.waits: list[float] = []
        self.answers: Counter[str] = Counter()

    async def run(self, port: int) -> dict[str, Any]:
        """What was answered after how many milliseconds."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Connection(self), "127.0.0.1", port)
        began, made = loop.time(), 0
        while made < self.number:
            for n in range(made, min(self.number, int((loop.time() - began) * self.rate) + 1)):
                self.send(began + n / self.rate, self.requests[n % len(self.requests)])
                made = n + 1
            await asyncio.sleep(0.002)
        deadline = loop.time() + PATIENCE
        while len(self.waits) < self.number and loop.time() < deadline:
            await asyncio.sleep(0.01)
        return self.summary()

    def send(self, due: float, sent: bytes) -> None:
        """Send it, once a connection is free."""
        if self.free:
            self.free.pop().send(due, sent)
        else:
            self.queue.append((due, sent))

    def summary(self) -> dict[str, Any]:
        """The figures."""
        self.answers["none"] += self.number - len(self.waits)
        cuts = [1_000 * one for one in statistics.quantiles(self.waits, n=100)]
        figures = {"p50": cuts[49], "p99": cuts[98], "worst": 1_000 * max(self.waits)}
        return figures | {"answers": {code: n for code, n in self.answers.items() if n}}


class Connection(asyncio.Protocol):
    """One request after the other."""

    def __init__(self, sending: Sending) -> None:
        self.sending, self.due, self.came = sending, 0.0, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It can be used."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.sending.free.append(self)

    def send(self, due: float, sent: bytes) -> None:
        """Send one; it was due at that moment."""
        self.due, self.came = due, b""
        self.transport.write(sent)

    def data_received(self, data: bytes) -> None:
        """Note the answer once it is whole, and send the next one."""
        self.came += data
        head, found, rest = self.came.partition(b"\r\n\r\n")
        length = re.search(rb"(?i)content-length: (\d+)", head)
        if not found or (length and len(rest) < int(length[1])):
            return
        self.sending.answers[head[9:12].decode()] += 1
        self.sending.waits.append(asyncio.get_running_loop().time() - self.due)
        if self.sending.queue:
            self.send(*self.sending.queue.popleft())
        else:
            self.sending.free.append(self)


def request(number: int) -> bytes:
    """A whole request about a contact, as large as most are."""
    item = {
        "type": "contact",
        "id": f"65a0{number:020x}",
        "updated_at": "2026-01-10T04:39:55.465+00:00",
        "custom_attributes": {f"attribute_{n}": "a value of its own" for n in range(40)},
    }
    data = {"type": "notification_event_data", "item": item}
    envelope = {"type": "notification_event", "topic": "contact.user.updated", "app_id": APP}
    body = json.dumps(envelope | {"id": f"notif_{number}", "data": data}).encode()
    digest = hmac.new(SECRET.encode(), body, "sha1").hexdigest()
    lines = ["POST / HTTP/1.1", "Host: here", "Content-Type: application/json; charset=utf-8"]
    lines += [f"X-Hub-Signature: sha1={digest}", f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def send(port: int, rate: float, seconds: float) -> None:
    """Print what became of it as JSON."""
    print(json.dumps(asyncio.run(Sending(rate, seconds).run(port))))


if __name__ == "__main__":
    if sys.argv[1:2] == ["send"]:
        send(int(sys.argv[2]), float(sys.argv[3]), float(sys.argv[4]))
    else:
        given = [float(one) for one in sys.argv[1:]]
        main(given[0] if given else 20.0, given[1:])
