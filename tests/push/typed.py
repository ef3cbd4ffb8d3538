"""Pushes as a user types them, in front of a loaded mirror."""

from __future__ import annotations

from tests.push.pusher import Pusher
from tests.support.harness import Harness
from tests.support.service import run

MODEL = "SELECT id, upper(name) AS name FROM {}.users WHERE name IS NOT NULL ORDER BY id LIMIT 15"


class Line:
    """A loaded mirror, and the command line in front of it."""

    def __init__(self, harness: Harness, environ: dict[str, str]) -> None:
        self.pusher, self.environ = Pusher(harness), environ
        self.model = MODEL.format(harness.schema)

    def run(self, *words: str, **settings: str) -> tuple[int, str, str]:
        done = run(self.environ | settings, *words)
        return done.returncode, done.stdout, done.stderr

    def push(self, *words: str, **settings: str) -> tuple[int, str, str]:
        return self.run("push", *words, **settings)
