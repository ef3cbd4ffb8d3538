"""Commands as processes of their own that need not import everything anew: forks of one that has.

A process like that of ``python -m connector`` in all but its beginning: it has its own environment,
directory, standard streams and exit code. What acts before the first import (PYTHON..., LANG) needs
a process from the beginning.
"""

from __future__ import annotations

import atexit
import os
import pickle
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.support.places import ROOT

EARLY = ("PYTHON", "LANG", "LC_")  # settings that act before anything is imported
LONGEST = 1 << 20  # bytes of an order


@dataclass
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str


class Started:
    """A command that goes on, to be handled as one of ``subprocess.Popen``."""

    def __init__(self, words: Sequence[str], told: socket.socket, out: IO[str], err: IO[str]):
        self.args = tuple(words)
        self.stdout: IO[str] | None = out
        self.stderr: IO[str] | None = err
        self.returncode: int | Any = None  # as of Popen
        self._told, self._lock = told, threading.Lock()
        self.pid: int = pickle.loads(told.recv(64))

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code; subprocess.TimeoutExpired after so many seconds."""
        with self._lock:
            if self.returncode is None:
                self._told.settimeout(timeout)
                try:
                    self.returncode = pickle.loads(self._told.recv(64))
                except (TimeoutError, BlockingIOError):
                    raise subprocess.TimeoutExpired(self.args, timeout or 0) from None
                self._told.close()
            return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """All that it still says to its end; subprocess.TimeoutExpired after so many seconds."""
        assert self.stdout
        assert self.stderr
        said: dict[IO[str], str] = {}
        streams = (self.stdout, self.stderr)
        readers = [
            threading.Thread(target=lambda s: said.update({s: s.read()}), args=(one,), daemon=True)
            for one in streams
        ]
        for reader in readers:
            reader.start()
        self.wait(timeout)
        for reader in readers:
            reader.join()
        for one in streams:
            one.close()
        return said[self.stdout], said[self.stderr]

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


class Forker:
    """Starts commands, side by side; begins with the first and ends with ``close``."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ours: socket.socket
        self._started: list[Started] = []
        self._turn = threading.Lock()

    def start(self, words: Sequence[str], environ: Mapping[str, str], directory: Path) -> Started:
        """``python -m connector`` with these words, its output captured."""
        with self._turn:
            self._begin()
            (out, out_end), (err, err_end) = os.pipe(), os.pipe()
            told, telling = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            order = pickle.dumps((list(words), dict(environ), str(directory)))
            socket.send_fds(self._ours, [order], [telling.fileno(), out_end, err_end])
            telling.close()
            os.close(out_end)
            os.close(err_end)
            opened = (open(number, encoding="utf-8") for number in (out, err))  # noqa: SIM115
            started = Started(words, told, *opened)
            self._started = [one for one in self._started if one.poll() is None] + [started]
            return started

    def run(
        self, words: Sequence[str], environ: Mapping[str, str], directory: Path, timeout: float = 60
    ) -> Ended:
        """The same to its end; killed, and subprocess.TimeoutExpired, after so many seconds."""
        started = self.start(words, environ, directory)
        try:
            out, err = started.communicate(timeout)
        finally:
            started.kill()
        return Ended(started.wait(), out, err)

    def _begin(self) -> None:
        if self._process:
            return
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LONGEST)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                process_group=0,
            )

    @property
    def pid(self) -> int:
        """Of the process that is forked from; 0 while there is none."""
        return self._process.pid if self._process else 0

    def left_over(self) -> list[tuple[str, ...]]:
        """The words of commands that go on."""
        return [one.args for one in self._started if one.poll() is None]

    def close(self) -> None:
        """End the process that is forked from, and all that were."""
        with self._turn:
            if self._process:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
                self._ours.close()
                self._process = None


FORKER = Forker()
"""That of this test process; closed at its end."""


def serve(descriptor: int) -> None:
    """Fork for each order, until nobody can give one any more."""
    import connector.cli  # noqa: F401 - what each command would import

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for those who wait
    orders = socket.socket(fileno=descriptor)
    while True:
        received, descriptors, *_ = socket.recv_fds(orders, LONGEST, 3)
        if not received:
            return
        if not os.fork():
            orders.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            _tell(pickle.loads(received), *descriptors)
        for one in descriptors:
            os.close(one)


def _tell(order: tuple[Sequence[str], Mapping[str, str], str], telling: int, *ends: int) -> None:
    """Start what is ordered, and tell whoever ordered it which process that is and how it ended."""
    child = os.fork()
    if not child:
        os.close(telling)
        _become(*order, *ends)
    for one in ends:
        os.close(one)
    os.write(telling, pickle.dumps(child))
    _, status = os.waitpid(child, 0)
    with suppress(OSError):  # nobody wants to know any more
        os.write(telling, pickle.dumps(os.waitstatus_to_exitcode(status)))
    os._exit(0)


def _become(
    words: Sequence[str], environ: Mapping[str, str], directory: str, out: int, err: int
) -> None:
    """Be the process of this command, to its end."""
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(directory)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number, end in enumerate((nowhere, out, err)):
        os.dup2(end, number)
        os.close(end)
    sys.argv = ["connector", *words]
    os._exit(_main())


def _main() -> int:
    """What an interpreter does with a main module, and at its end."""
    code: Any = 0
    try:
        runpy.run_module("connector", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        code = end.code
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120
    if isinstance(code, str):
        return 1
    return int(code or 0)
