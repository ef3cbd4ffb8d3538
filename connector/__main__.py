"""The command as a process, from its first moment: also ``python -m connector``.

What a command is made of takes a second to import. A signal that comes meanwhile ends it as it
would later, and not as the system does: as the first process of a container it would not end.
"""

from __future__ import annotations

import atexit
import gc
import os
import signal
import sys
from contextlib import suppress
from types import FrameType

INTERRUPTED = 130


def main() -> int:
    """Run the command of this process; its exit code."""
    ended: list[int] = []
    atexit.register(_leave, ended)  # the first to be registered is the last to be called
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the time
    from connector import cli

    gc.freeze()
    gc.enable()
    code = cli.main()
    gc.disable()
    gc.freeze()
    ended.append(code)
    return code


def _leave(ended: list[int]) -> None:
    """Leave what is left to the system, which takes it back sooner than Python takes it apart.

    Python would also end by SIGINT where a KeyboardInterrupt came while text was executed, as when
    a dataclass is made, although it was caught long ago.
    """
    if ended:
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError, ValueError, AttributeError):  # closed, full, or none
                stream.flush()
        os._exit(ended[0])


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing has begun: what goes on until it is ended has ended well, see ``serving.serve``."""
    goes_on = sys.argv[1:2] == ["serve"] or any(w.startswith("--every") for w in sys.argv)
    os._exit(0 if goes_on and number == signal.SIGTERM else INTERRUPTED)


if __name__ == "__main__":
    raise SystemExit(main())
