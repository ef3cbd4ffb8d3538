"""Encodes every batch; in large loads in a subprocess, on another core than what reads them.

A first load is as fast as decoding and encoding let it be, and Python does one thing at a time in
each process. The encoder subprocess is given JSON texts and answers with COPY text, over its own
standard input and output; it knows neither token nor database and ends when its input does.
Nights are too small to be worth its start.
"""

from __future__ import annotations

import contextlib
import gc
import logging
import math
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import IO, Any

from connector.resources import TABLE_BY_NAME
from connector.resources.lists import Record
from connector.resources.resource import Table
from connector.warehouse.encode.batch import Batch
from connector.warehouse.encode.exclusions import Exclusions
from connector.warehouse.encode.newest import CompleteLists
from connector.warehouse.encode.pieces import Made, Pieces

logger = logging.getLogger(__name__)

WORTH_IT = 5_000
"""Records of one run after which the encoder subprocess is started: half a second of work."""

PIPE = 1 << 20
"""Bytes that a pipe to it holds, where the system lets us say so: batches are of some megabytes."""


class Encoding:
    """Encodes here, and in a subprocess once there is much of it. Not for two threads at once."""

    def __init__(self, exclusions: Exclusions) -> None:
        self._exclusions = exclusions
        self._pieces = Pieces()
        self._seen = 0.0
        self._subprocess: subprocess.Popen[bytes] | None = None

    def make(
        self,
        table: Table,
        records: Sequence[Record | bytes],
        read_at: Sequence[datetime],
        complete_lists: CompleteLists,
    ) -> Made:
        """What ``Pieces`` make of them, wherever it is done."""
        self._seen += sum(type(record) is bytes for record in records)
        if self._seen >= WORTH_IT and not self._exclusions and records:
            try:
                return self._ask((table.name, records, read_at, complete_lists))
            except (OSError, EOFError, pickle.PickleError, RecursionError) as error:
                logger.warning("the encoding process is gone (%s); going on without", error)
                self.close()
                self._seen = -math.inf
        return self._pieces.make(table, records, read_at, complete_lists, self._exclusions)

    def _ask(self, order: tuple[Any, ...]) -> Made:
        if self._subprocess is None:
            self._subprocess = _start()
        source, target = self._subprocess.stdout, self._subprocess.stdin
        assert source is not None
        assert target is not None
        _send(target, order)
        first, others = pickle.load(source)
        return _batch(*first), [(_batch(*parts), keys) for parts, keys in others]

    def close(self) -> None:
        """End the encoder subprocess, if there is one."""
        if self._subprocess:
            with contextlib.suppress(OSError):  # it may be gone already
                self._subprocess.communicate()
            self._subprocess = None


def _start() -> subprocess.Popen[bytes]:
    """A process that serves; of this one it inherits where modules are found, and nothing else."""
    return subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import serve; serve()"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,  # what fails there is done again here, and said then
        env={"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
        pipesize=PIPE,
        process_group=0,  # what a terminal interrupts is its parent
    )


def serve() -> None:
    """Answer orders on standard input until it ends."""
    source, target = sys.stdin.buffer, sys.stdout.buffer
    gc.freeze()
    gc.disable()  # records are millions of small objects without cycles
    pieces = Pieces()
    while _answer(pieces, source, target):
        gc.collect()


def _answer(pieces: Pieces, source: IO[bytes], target: IO[bytes]) -> bool:
    """Answer one order; False if there is none any more."""
    try:
        name, *order = pickle.load(source)
    except EOFError:
        return False
    batch, others = pieces.make(TABLE_BY_NAME[name], *order)
    _send(target, (_parts(batch), [(_parts(other), keys) for other, keys in others]))
    return True


def _parts(batch: Batch) -> tuple[Any, ...]:
    separate = _parts(batch.separate_lists) if batch.separate_lists else None
    keys = batch.keys.get(batch.table.name)
    held = batch.staged, batch.misfits, batch.records, batch.read_at, keys
    return batch.table.name, *held, separate


def _batch(name: str, *rest: Any) -> Batch:
    staged, misfits, records, read_at, keys, separate = rest
    lists = _batch(*separate) if separate else None
    batch = Batch(TABLE_BY_NAME[name], staged, misfits, records, lists, read_at)
    if keys is not None:
        batch.keys[name] = keys
    return batch


def _send(target: IO[bytes], value: Any) -> None:
    pickle.dump(value, target, protocol=pickle.HIGHEST_PROTOCOL)
    target.flush()
