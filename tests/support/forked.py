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
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.support.places import ROOT

EARLY = ("PYTHON", "LANG", "LC_")  # settings that act before anything is imported


@dataclass
class Ended:
    """What a command came to."""

    code: int
    out: str
    err: str


class Forker:
    """Runs commands one after the other; begins with the first and ends with ``close``."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._ours: socket.socket
        self._turn = threading.Lock()

    def run(
        self, words: Sequence[str], environ: Mapping[str, str], directory: Path, timeout: float = 60
    ) -> Ended:
        """``python -m connector`` with these words, to its end; TimeoutError after so long."""
        with self._turn, TemporaryDirectory() as place:
            self._start()
            self._ours.settimeout(timeout)
            order = (list(words), dict(environ), str(directory), place)
            self._ours.send(pickle.dumps(order))
            try:
                code = pickle.loads(self._ours.recv(1 << 16))
            except TimeoutError:
                self._end()
                raise
            out, err = (Path(place, name).read_text("utf-8") for name in ("out", "err"))
            return Ended(code, out, err)

    def _start(self) -> None:
        if self._process:
            return
        self._ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-c", f"from {__name__} import serve; serve({theirs.fileno()})"],
                pass_fds=[theirs.fileno()],
                cwd=ROOT,
                process_group=0,
            )

    def _end(self) -> None:
        if self._process:
            os.killpg(self._process.pid, 9)
            self._process.wait()
            self._ours.close()
            self._process = None

    @property
    def pid(self) -> int:
        """Of the process that is forked from; 0 while there is none."""
        return self._process.pid if self._process else 0

    def close(self) -> None:
        """End the process that is forked from."""
        with self._turn:
            self._end()


FORKER = Forker()
"""That of this test process; closed at its end."""


def serve(descriptor: int) -> None:
    """Fork for each order until nobody can give one any more; answer with exit codes."""
    import connector.cli  # noqa: F401 - what each command would import

    orders = socket.socket(fileno=descriptor)
    while received := orders.recv(1 << 20):
        child = os.fork()
        if not child:
            orders.close()
            _become(*pickle.loads(received))
        _, status = os.waitpid(child, 0)
        orders.send(pickle.dumps(os.waitstatus_to_exitcode(status)))


def _become(words: Sequence[str], environ: Mapping[str, str], directory: str, place: str) -> None:
    """Be the process of this command, to its end."""
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    os.chdir(directory)
    for number, name in enumerate((os.devnull, f"{place}/out", f"{place}/err")):
        opened = os.open(name, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(opened, number)
        os.close(opened)
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
