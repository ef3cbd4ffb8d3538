"""kill -9 at any moment of a push, replies lost after their effect: nothing twice, nothing lost."""

from __future__ import annotations

import json
import random
import signal
import time
from collections import Counter
from typing import Any

import pytest

from connector.push.outbox import LOCK
from connector.simulator import Simulator, Workspace
from connector.warehouse.sql.database import Database
from tests.push.pusher import Pusher
from tests.support.harness import Harness
from tests.support.service import environment, run, served, start

SETTINGS = {"CONNECTOR_INDEX_LAG": "120"}
AT = 1_779_900_000


def _simulator() -> Simulator:
    space = Workspace.generate(12, contacts=300, companies=10, conversations=0)
    simulator = Simulator(space, rate_limit=None, index_lag=90)
    simulator.control.writing(job_delay=0.5)
    return simulator


def _wish(pusher: Pusher, users: list[str]) -> None:
    """Something of everything: changes, users, leads, events before their users, tags."""
    for n, key in enumerate(users):
        pusher.wish("contacts", "update", {"name": f"Killed {n}"}, object_id=key)
    for n in range(40):
        pusher.wish(
            "events", "create", {"event_name": "made", "created_at": AT + n}, external_id=f"k-{n}"
        )
        pusher.wish("contacts", "upsert", {"name": f"K{n}"}, external_id=f"k-{n}")
        lead = {"role": "lead", "email": f"lead-{n}@example.com", "name": f"L{n}"}
        pusher.wish("contacts", "create", lead)
    for n in range(5):
        pusher.wish("tags", "create", {"name": f"Tag {n}"})


def _disturb(pusher: Pusher, dice: random.Random) -> None:
    """Replies that are lost after their effect, errors, refusals: for a while."""
    for kind in ("reset", "empty", "cut"):
        method = dice.choice(["POST", "PUT"])
        pusher.control.fail({"method": method}, kind=kind, times=3, probability=0.1)
    pusher.control.fail({"method": "POST"}, status=503, times=3, probability=0.1)
    pusher.control.fail({"method": "POST"}, status=429, times=3, probability=0.1)


@pytest.mark.fault(
    "kill -9 in the middle of a push, with replies lost after their effect",
    "every wish ends with its object written once",
    times=4,
)
@pytest.mark.parametrize("kills", [4, pytest.param(50, marks=pytest.mark.chaos)])
def test_kills_of_a_push_create_nothing_twice_and_lose_nothing(
    harness: Harness, database_url: str, schema: str, injected: Any, kills: int
) -> None:
    dice = random.Random(kills)
    harness.simulator = _simulator()
    harness.control = harness.simulator.control
    with served(harness.simulator, latency=0.01) as url:
        environ = environment(url, database_url, schema, **SETTINGS)
        assert run(environ, "sync", "--only", "tags,companies,leads,users").returncode == 0
        pusher = Pusher(harness)
        users = [r["id"] for r in harness.query("SELECT id FROM contacts WHERE role = 'user'")]
        users = users[:120]
        _wish(pusher, users)
        for _ in range(kills):
            _disturb(pusher, dice)
            process = start(environ, "push")
            time.sleep(dice.uniform(0.7, 2.5))
            injected()
            process.send_signal(signal.SIGKILL)
            process.communicate()
        _finish(pusher, environ)
    _check(pusher, users)


def _finish(pusher: Pusher, environ: dict[str, str]) -> None:
    """Push until everything has ended; time passes between two pushes."""
    for _ in range(12):
        pusher.control.clear_faults()
        process = start(environ, "push", "--json")
        out, errors = process.communicate(timeout=180)
        assert process.returncode in (0, 1), errors
        assert json.loads(out)["exit_code"] == process.returncode
        if not set(pusher.states()) - {"done", "failed"}:
            return
        pusher.control.advance(3_700)
        pusher.harness.query(
            "UPDATE outbox SET sent_at = sent_at - interval '3700 s',"
            " not_before = not_before - interval '3700 s' WHERE state NOT IN ('done', 'failed')"
        )


def _check(pusher: Pusher, users: list[str]) -> None:
    rows = pusher.harness.query("SELECT * FROM outbox WHERE state <> 'done'")
    assert rows == []
    contacts = pusher.control.truth("contacts")
    by_id = {one["id"]: one for one in contacts}
    assert all(by_id[key]["name"] == f"Killed {n}" for n, key in enumerate(users))
    made = Counter(one["external_id"] for one in contacts if one["role"] == "user")
    assert all(made[f"k-{n}"] == 1 for n in range(40))
    leads = Counter(one["email"] for one in contacts if one["role"] == "lead")
    assert all(leads[f"lead-{n}@example.com"] == 1 for n in range(40))
    events = Counter(
        e["created_at"] for e in pusher.control.truth("events") if e["event_name"] == "made"
    )
    assert events == Counter(range(AT, AT + 40))
    tags = Counter(one["name"] for one in pusher.control.truth("tags"))
    assert all(tags[f"Tag {n}"] == 1 for n in range(5))


def test_two_pushes_at_once_take_turns(harness: Harness, database_url: str, schema: str) -> None:
    harness.simulator = _simulator()
    harness.control = harness.simulator.control
    with served(harness.simulator, latency=0.01) as url:
        environ = environment(url, database_url, schema, **SETTINGS)
        assert run(environ, "sync", "--only", "tags,companies,leads,users").returncode == 0
        pusher = Pusher(harness)
        pusher.control.writing(job_delay=6.0)
        users = [r["id"] for r in harness.query("SELECT id FROM contacts WHERE role = 'user'")]
        for key in users[:120]:
            pusher.wish("contacts", "update", {"name": "Twice"}, object_id=key)
        first = start(environ, "push")
        time.sleep(3.0)
        second = start(environ, "push")
        _, errors = second.communicate(timeout=60)
        assert second.returncode == 0, errors
        _, errors = first.communicate(timeout=60)
        assert first.returncode == 0, errors
        assert pusher.states() == {"done": 120}
        assert len([one for one in pusher.control.writes() if one["path"] == "/contacts/bulk"]) == 2
        holder = Database(database_url, schema)
        holder.lock(of=LOCK)
        third = start(environ, "push")
        _, errors = third.communicate(timeout=60)
        holder.close()
        assert third.returncode == 4, errors
        assert "another push" in errors
