"""Commands on a terminal of their own, of some size; what they send it, and what is seen there."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from io import StringIO
from typing import Self

STYLES = re.compile(r"\x1b\[[\d;]*m")
COLOURS = re.compile(r"\x1b\[(?:[\d;]*;)?(?:3\d|9\d)[\d;]*m")
CONTROLS = re.compile(r"\x1b\[[\d;?]*[A-Za-z]")
FRAME = "\x1b[2K"  # begins the wiping of what was drawn before


class Screen(StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


class Pty:
    """A process whose three streams are one terminal."""

    def __init__(
        self, command: list[str], environ: Mapping[str, str], columns: int = 80, lines: int = 40
    ) -> None:
        self._ours, theirs = pty.openpty()
        self.resize(columns, lines)
        here = {"TERM": "xterm-256color"} | dict(environ)
        for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR"):
            if name not in environ or environ[name] == os.environ.get(name):
                here.pop(name, None)
        self.process = subprocess.Popen(
            command,
            env=here,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(theirs)
        self._read = b""

    @classmethod
    def of(
        cls, environ: Mapping[str, str], *words: str, columns: int = 80, lines: int = 40
    ) -> Self:
        """A command of the connector."""
        command = [sys.executable, "-m", "connector", *words]
        return cls(command, environ, columns, lines)

    def resize(self, columns: int, lines: int) -> None:
        """As when a user pulls at the corner of the window."""
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._ours, termios.TIOCSWINSZ, size)

    def press(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    @property
    def text(self) -> str:
        """All that came so far, lines as the terminal was given them."""
        return self._read.decode(errors="replace").replace("\r\n", "\n")

    def until(self, seen: str, seconds: float = 30) -> str:
        """Wait for that text."""
        deadline = time.monotonic() + seconds
        while seen not in self.text:
            assert time.monotonic() < deadline, self.text
            assert self._more(), self.text
        return self.text

    def end(self, seconds: float = 60) -> str:
        """Wait for its end; all that it sent."""
        deadline = time.monotonic() + seconds
        while self._more():
            assert time.monotonic() < deadline, self.text
        self.process.wait(10)
        os.close(self._ours)
        return self.text

    def _more(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 0.2)
        if not ready:
            return True
        try:
            found = os.read(self._ours, 1 << 16)
        except OSError:  # nobody holds the other end any more
            return False
        self._read += found
        return bool(found)

    @property
    def cursor_is_visible(self) -> bool:
        """Whether it was shown after it was last hidden."""
        return self.text.rfind("\x1b[?25h") >= self.text.rfind("\x1b[?25l")

    def kill(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()


def bare(text: str) -> str:
    """The text without colours and movements of the cursor."""
    return CONTROLS.sub("", text).replace("\r", "")
