"""The command as a process, from its first moment: also ``python -m connector``.

What a command is made of takes a second to import. A signal that comes meanwhile ends it as it
would later, and not as the system does: as the first process of a container it would not end.
"""

from __future__ import annotations

import gc
import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def main() -> int:
    """Run the command of this process; its exit code."""
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _end)
    gc.disable()  # what is imported stays: looking for garbage in it takes a tenth of the time
    from connector import cli

    gc.freeze()
    gc.enable()
    code = cli.main()
    gc.disable()
    gc.freeze()  # the system takes back what is left, sooner than Python takes it apart
    return code


def _end(number: int, frame: FrameType | None) -> None:
    """Nothing has begun: what goes on until it is ended has ended well, see ``serving.serve``."""
    goes_on = sys.argv[1:2] == ["serve"] or any(w.startswith("--every") for w in sys.argv)
    os._exit(0 if goes_on and number == signal.SIGTERM else INTERRUPTED)


if __name__ == "__main__":
    raise SystemExit(main())
