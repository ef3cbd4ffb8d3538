"""A receiver in a thread or in a process of its own, and somebody who sends to it."""

from __future__ import annotations

import contextlib
import gc
import hmac
import http.client
import json
import re
import socket
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from typing import Any

from connector.commands.serving.receiver import Receiver
from connector.warehouse import state
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.execute import execute, names_of
from connector.warehouse.state.workspace import Workspace
from tests.support.forked import Started
from tests.support.service import environment, start

SECRET = "the-secret-of-the-app"
APP = "abc"
SERVE = ("serve", "-v")
Json = dict[str, Any]


def body(id: str = "1", topic: str = "contact.user.updated", app: str = APP, **more: Any) -> bytes:
    """A notification of a contact."""
    item = {"type": "contact", "id": id, **more}
    return json.dumps({"topic": topic, "app_id": app, "data": {"item": item}}).encode()


def sign(sent: bytes, secret: str = SECRET) -> str:
    return "sha1=" + hmac.new(secret.encode(), sent, "sha1").hexdigest()


@dataclass(frozen=True)
class Answer:
    """What came back, the body as text."""

    status: int
    headers: Message
    text: str


@dataclass
class Sender:
    """Whoever sends to a port of this machine."""

    port: int

    def ask(
        self, method: str, sent: bytes | None = None, path: str = "/", **headers: str
    ) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request(
                method, path, sent, {n.replace("_", "-"): v for n, v in headers.items()}
            )
            came = connection.getresponse()
            return Answer(came.status, came.headers, came.read().decode())
        finally:
            connection.close()

    def post(self, sent: bytes | None = None, **headers: str) -> int:
        """The status that a body is answered with, which is signed unless a header says other."""
        sent = body() if sent is None else sent
        return self.ask("POST", sent, **{"X_Hub_Signature": sign(sent)} | headers).status

    def health(self) -> tuple[int, Json]:
        answer = self.ask("GET", path="/health")
        return answer.status, json.loads(answer.text)

    def connect(self, sent: bytes = b"") -> socket.socket:
        """A connection on which so much was said."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        connection.sendall(sent)
        return connection

    def raw(self, sent: bytes) -> bytes:
        """All that comes back until the connection ends."""
        with self.connect(sent) as connection:
            return rest(connection)


def rest(connection: socket.socket) -> bytes:
    """What is said on the connection until it ends."""
    found = b""
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65_536):
            found += piece
    return found


def statuses(answer: bytes) -> list[int]:
    return [int(code) for code in re.findall(rb"HTTP/1\.[01] (\d+)", answer)]


def head(length: int | None = None, signature: str = "sha1=0", *more: str) -> bytes:
    """The head of a POST."""
    lines = ["POST / HTTP/1.1", "Host: here", f"X-Hub-Signature: {signature}", *more]
    lines += [] if length is None else [f"Content-Length: {length}"]
    return "\r\n".join([*lines, "", ""]).encode()


def eventually(what: Callable[[], object], within: float = 15.0) -> None:
    """Wait until it is so."""
    deadline = time.monotonic() + within
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# -- in a thread -----------------------------------------------------------------------------


def pin(database: Database, code: str = APP) -> None:
    """The schema mirrors this workspace."""
    with database.transaction() as conn:
        state.pin(conn, Workspace(code, None, None, None, "2.16"))


def empty(database: Database) -> None:
    """Nothing was told yet."""
    with database.transaction() as conn:
        for table in ("sync_inbox", "sync_topics"):
            execute(conn, f"DELETE FROM {names_of(conn)(table)}")


@contextlib.contextmanager
def receiving(database: Database, delay: float = 2.0, **options: Any) -> Iterator[Sender]:
    """Receives in a thread."""
    receiver = Receiver(database, [SECRET], delay, **options)
    with receiver.running("127.0.0.1", 0) as port:
        yield Sender(port)
    with warnings.catch_warnings():  # a loop that ends does not close what it was accepting
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


# -- in a process ----------------------------------------------------------------------------


@dataclass
class Process:
    """``serve`` as a process of its own, listening."""

    process: Started | subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stderr
        self.lines.extend(iter(self.process.stderr.readline, ""))

    @property
    def sender(self) -> Sender:
        """Somebody who sends to it, once it listens."""
        eventually(lambda: self._ports() or self.process.poll() is not None, 60)
        assert self._ports(), self.said()
        return Sender(int(self._ports()[0]))

    def _ports(self) -> list[str]:
        return re.findall(r"listening at http://127\.0\.0\.1:(\d+)/", "".join(self.lines))

    def end(self, number: int, within: float = 5.0) -> int:
        """The exit code after a signal, which must come in time."""
        began = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(30)
        assert time.monotonic() - began < within, self.said()
        return self.process.returncode

    def said(self) -> str:
        """Everything that an ended process wrote."""
        self._reader.join(5)
        out = self.process.stdout.read() if self.process.poll() is not None else ""  # type: ignore[union-attr]
        return "".join(self.lines) + out


@contextlib.contextmanager
def serving(
    url: str, schema: str, *words: str, intercom: str = "", **more: str
) -> Iterator[Process]:
    """``serve`` with these words."""
    with watched(start(receiver(intercom, url, schema, **more), *SERVE, *words)) as it:
        yield it


def receiver(intercom: str, url: str, schema: str, **more: str) -> dict[str, str]:
    """What a process needs to receive."""
    settings = {"INTERCOM_CLIENT_SECRET": SECRET, "CONNECTOR_LISTEN": "127.0.0.1:0"} | more
    return environment(intercom, url, schema, **settings)


@contextlib.contextmanager
def watched(process: Started | subprocess.Popen[str]) -> Iterator[Process]:
    """The process with what it says; killed in the end if it goes on."""
    it = Process(process)
    try:
        yield it
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        it.said()
        process.stdout.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]
