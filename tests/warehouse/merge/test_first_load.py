"""Large first loads: encoded in the encoder subprocess, without foreign keys until the end."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import psycopg
import pytest

from connector.resources.declarations.contacts import TABLE as CONTACTS
from connector.simulator import Workspace
from connector.sync.readings import search_full
from connector.sync.writing.submission import Submission
from connector.sync.writing.writer import Writer
from connector.warehouse.encode import worker
from connector.warehouse.encode.exclusions import NONE
from connector.warehouse.encode.pieces import Pieces
from connector.warehouse.encode.worker import Encoding
from connector.warehouse.migrate import migrate
from connector.warehouse.schema import foreign_keys
from connector.warehouse.sql import locks
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from connector.warehouse.sql.names import Names
from tests.support.harness import NOW, Harness
from tests.support.service import environment, served, start
from tests.support.truth.compared import differences
from tests.support.warehouse import T0

pytestmark = pytest.mark.in_turn(2)

MANY: dict[str, Any] = {"contacts": 1_200, "companies": 60, "conversations": 20, "events": 0}


def space() -> Workspace:
    return Workspace.generate(3, now=int(NOW), **MANY)


def keys(harness: Harness) -> set[tuple[Any, ...]]:
    rows = harness.query(
        "SELECT conrelid::regclass::text AS t, pg_get_constraintdef(oid) AS d, conname"
        " FROM pg_constraint WHERE contype = 'f' AND connamespace = %s::regnamespace",
        harness.schema,
    )
    return {tuple(row.values()) for row in rows}


# -- foreign keys ----------------------------------------------------------------------------


def migrated(harness: Harness) -> set[tuple[Any, ...]]:
    """The foreign keys of a new schema."""
    database = Database(harness.database_url, harness.schema)
    migrate(database)
    database.close()
    found = keys(harness)
    assert len(found) > 50
    return found


async def test_a_large_first_load_has_every_foreign_key_afterwards(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_full, "LARGE", 100)
    before, least = migrated(harness), [10**6]
    submit = Writer.submit

    async def watched(writer: Writer, submission: Submission) -> Collection[str]:
        refused = await submit(writer, submission)
        least.append(len(keys(harness)))
        return refused

    monkeypatch.setattr(Writer, "submit", watched)
    harness.simulate(space())
    outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert min(least) < len(before)
    assert keys(harness) == before
    assert differences(harness) == []
    least[:] = [10**6]
    outcome = await harness.sync(full=True)
    assert outcome.exit_code == 0, outcome.error
    assert min(least) == len(before)  # only a first load goes without


async def test_a_first_load_that_fails_has_its_foreign_keys_again(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_full, "LARGE", 100)
    before = migrated(harness)
    harness.simulate(space())
    harness.control.fail({"path": "/contacts/search"}, status=400, after=4, times=None)
    outcome = await harness.sync()
    assert outcome.exit_code == 1
    assert keys(harness) == before


async def test_what_a_killed_first_load_left_off_the_next_run_puts_on(
    harness: Harness, caplog: pytest.LogCaptureFixture
) -> None:
    before = migrated(harness)
    database = Database(harness.database_url, harness.schema)
    names = Names(harness.schema)
    assert database.write(lambda conn: foreign_keys.drop(conn, names, CONTACTS))
    database.close()
    assert len(keys(harness)) < len(before)
    harness.simulate(space())
    with caplog.at_level(logging.WARNING):
        outcome = await harness.sync()
    assert outcome.exit_code == 0, outcome.error
    assert "foreign keys restored: contact" in caplog.text
    assert keys(harness) == before
    assert differences(harness) == []


def test_foreign_keys_stay_where_others_read(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "WAIT", 0.05)
    before, names = migrated(harness), Names(harness.schema)
    database = Database(harness.database_url, harness.schema)
    with psycopg.connect(conninfo(harness.database_url)) as analyst:
        analyst.execute(f'SELECT FROM "{harness.schema}".contacts')
        assert not database.write(lambda conn: foreign_keys.drop(conn, names, CONTACTS))
    assert keys(harness) == before
    database.close()


# -- side by side ----------------------------------------------------------------------------


async def test_leads_and_users_fill_their_table_side_by_side(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_full, "LARGE", 100)
    before, told, without = migrated(harness), list[str](), list[bool]()
    submit, read = Writer.submit, search_full._Reader.read_open_partitions

    async def watched(writer: Writer, submission: Submission) -> None:
        await submit(writer, submission)
        if len(submission):
            without.append(len(keys(harness)) < len(before))

    async def reading(reader: search_full._Reader) -> None:
        told.append("begun")
        await read(reader)
        told.append("done")

    monkeypatch.setattr(Writer, "submit", watched)
    monkeypatch.setattr(search_full._Reader, "read_open_partitions", reading)
    simulator = harness.simulate(space())
    outcome = await harness.sync(only=("leads", "users"))
    assert outcome.exit_code == 0, outcome.error
    assert told[:2] == ["begun", "begun"]
    assert all(without)  # whoever ends first leaves the keys off for the other
    assert keys(harness) == before
    requests = sum(tally.requests for tally in outcome.resources.values())
    assert 0 <= simulator.stats.requests - requests <= 2  # /me is no resource's


async def test_whole_records_have_digests_from_their_second_sight_on(harness: Harness) -> None:
    def digests() -> dict[str, int]:
        rows = harness.query("SELECT table_name AS t, count(*) AS n FROM sync_digests GROUP BY 1")
        return {row["t"]: row["n"] for row in rows}

    await harness.load(space())
    assert "contacts" not in digests()
    assert digests()["conversations"] == MANY["conversations"]  # each spares a request
    before = harness.versions()
    assert (await harness.sync(full_pass_days=0)).exit_code == 0
    assert 0.8 * MANY["contacts"] < digests()["contacts"] <= MANY["contacts"]
    assert harness.versions() == before
    assert (await harness.sync(full_pass_days=0)).exit_code == 0
    assert harness.versions() == before
    assert differences(harness) == []


# -- the encoder subprocess ----------------------------------------------------------------------


def texts() -> list[bytes]:
    return [item.body for item in space().contacts.current.values()]


def test_what_the_subprocess_encodes_is_what_is_encoded_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "WORTH_IT", 1)
    records, moments = texts(), [T0] * MANY["contacts"]
    complete_lists = {(0, "contact_tags"): [{"id": "7", "name": "x"}]}
    apart = Encoding(NONE)
    try:
        for _ in range(2):
            batch, others = apart.make(CONTACTS, records, moments, complete_lists)
            here, told = Pieces().make(CONTACTS, records, moments, complete_lists)
            assert apart._subprocess is not None
            assert (batch, others) == (here, told)
        odd: list[Mapping[str, Any] | bytes] = [
            b'{"id": 1, "name": "\\ud800"}',
            {"id": "2", "name": "\0"},
        ]
        assert apart.make(CONTACTS, odd, [T0, T0], {}) == Pieces().make(CONTACTS, odd, [T0, T0], {})
    finally:
        apart.close()


def test_what_cannot_be_told_to_the_subprocess_is_encoded_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker, "WORTH_IT", 1)
    deep: dict[str, Any] = {}
    for _ in range(700):
        deep = {"deeper": deep}
    records, moments = texts(), [T0] * MANY["contacts"]
    lists = {(0, "contact_tags"): [{"id": "7", "name": deep}]}
    apart = Encoding(NONE)
    apart.make(CONTACTS, records, moments, {})
    started = apart._subprocess
    made = apart.make(CONTACTS, records, moments, lists)
    assert made == Pieces().make(CONTACTS, records, moments, lists)
    assert started is not None
    assert started.poll() is not None
    apart.close()


def test_a_subprocess_that_is_killed_costs_nothing(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(worker, "WORTH_IT", 1)
    records, moments = texts(), [T0] * MANY["contacts"]
    apart = Encoding(NONE)
    apart.make(CONTACTS, records, moments, {})
    assert apart._subprocess is not None
    os.kill(apart._subprocess.pid, signal.SIGKILL)
    for _ in range(2):
        made = apart.make(CONTACTS, records, moments, {})
        assert made == Pieces().make(CONTACTS, records, moments, {})
    assert caplog.text.count("the encoding process is gone") == 1
    apart.close()


def test_the_subprocess_is_told_no_secret_and_ends_with_its_parent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    program = (
        "import time\n"
        "from connector.warehouse.encode import worker\n"
        "process = worker._start()\n"
        "print(process.pid, flush=True)\n"
        "time.sleep(60)"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program],
        env=environment("http://127.0.0.1:1", "postgresql://u:s3cret@h/d", "s"),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert parent.stdout
    child = Path(f"/proc/{int(parent.stdout.readline())}")
    if child.exists():  # where there is no /proc, the end of its input is all there is to it
        told = (child / "environ").read_text()
        assert "s3cret" not in told
        assert "TOKEN" not in told
    parent.kill()
    parent.communicate()
    for _ in range(100):
        state = (child / "stat").read_text().split()[2] if child.exists() else "Z"
        if state == "Z":
            return
        time.sleep(0.1)
    raise AssertionError("the encoder subprocess is still there")


def test_a_load_beyond_what_is_worth_a_process_equals_the_truth(
    harness: Harness, database_url: str, schema: str
) -> None:
    size = worker.WORTH_IT * 2
    harness.simulate(
        Workspace.generate(
            5, contacts=size, companies=30, conversations=0, events=0, tickets=0, articles=0
        )
    )
    with served(harness.simulator) as url:
        environ = environment(
            url, database_url, schema, CONNECTOR_RESOURCES="tags,companies,leads,users"
        )
        process = start(environ, "sync", "--json")
        _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors
    # What is read contact by contact was left out.
    read = {"contacts", "contact_tags", "contact_companies"}
    assert [line for line in differences(harness, [CONTACTS]) if line.split(":")[0] in read] == []
    found = harness.query("SELECT count(*) AS n FROM contacts WHERE NOT _placeholder")
    assert found == [{"n": size}]
