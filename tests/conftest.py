"""A real Postgres for every test: TEST_DATABASE_URL, else a container, else the embedded server."""

from __future__ import annotations

import gc
import inspect
import itertools
import os
import shutil
import signal
import subprocess
import tempfile
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
import sqlalchemy as sa

from connector.commands.terminal.waiting import COLLECT_AFTER
from connector.warehouse.sql.database import Database
from connector.warehouse.sql.dsn import conninfo
from tests.support import sampling
from tests.support.forked import FORKER
from tests.support.harness import Harness
from tests.support.postgres.server import Server
from tests.support.postgres.template import Template

_numbers = itertools.count(1)

MEMORY = Path("/dev/shm")  # where Linux has a disk in memory
ROOM = 4 << 30  # bytes that must be free there

# Begun first, each by a worker of its own, so that none waits for one of them at the end.
LONGEST = (
    "sync/guards/refusals", "sync/guards/nothing_is_lost", "commands/night", "lives/year",
    "sync/sync", "commands/cli", "sync/guards/fuse", "sync/faults", "reliability/intercom",
    "lives/kills", "sync/completeness", "sync/clocks", "reliability/postgres",
    "warehouse/privacy/pinning", "warehouse/views/theirs", "lives/houses", "commands/demo",
    "reliability/process", "project/adding_a_resource", "warehouse/views/custom_columns",
    "warehouse/views/fivetran/package", "warehouse/privacy/erasure", "push/sending/bulk",
    "push/sending/kills", "sync/breadth", "webhooks/receiver_process", "commands/diagnosis",
    "warehouse/privacy/exclusions", "push/planning/plan", "push/sending/singly", "commands/serve",
    "webhooks/live", "webhooks/receiver", "push/command", "commands/commands",
)  # fmt: skip


@pytest.hookimpl(tryfirst=True)  # before pytest chooses where temporary files go
def pytest_configure(config: pytest.Config) -> None:
    sampling.choose_seed()  # before workers are started
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # Begun in the background of a script: commands would inherit that, and rightly keep to it.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    sampling.note_what_is_named(config)
    if config.option.basetemp is None:
        # Pytest's own place is closed to other users whenever another session of pytest begins,
        # and what root tests is run by another user's Postgres.
        place = tempfile.mkdtemp(prefix="intercom-warehouse-tests-", dir=_memory())
        config.option.basetemp = place
        config.add_cleanup(lambda: shutil.rmtree(place, ignore_errors=True))


def _memory() -> Path | None:
    """A disk in memory with room enough, on which programs may run too; None if there is none.

    Postgres makes and removes files for each database and each staging table: on a disk that is
    about a quarter of what a test with syncs costs.
    """
    try:
        found = os.statvfs(MEMORY)
    except OSError:
        return None
    fits = found.f_bavail * found.f_frsize >= ROOM and os.access(MEMORY, os.W_OK | os.X_OK)
    return None if not fits or found.f_flag & os.ST_NOEXEC else MEMORY


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was chosen by, also where pytest is quiet and prints no header."""
    seed = f"{sampling.SEED}={sampling.choose_seed()!r}"
    terminalreporter.write_line(f"Of what takes long a part was run, chosen by {seed}.")


def pytest_collection_finish() -> None:
    """What is collected stays: garbage need not be looked for in it, nor often in the rest."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER, 20, 100)  # as the command line sets it


@pytest.hookimpl(tryfirst=True)  # marks count only before tests are chosen by them
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Choose of many cases; the files in order of how long they take, as far as that matters."""
    sampling.mark_the_rest(items)
    order = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(_room(item.path), len(order)))


def _room(path: Path) -> str:
    """A file of tests as ``LONGEST`` names it."""
    folder = path.parent.relative_to(Path(__file__).parent)
    return (folder / path.stem.removeprefix("test_")).as_posix()


@pytest.fixture(scope="session", autouse=True)
def _nothing_outlives_the_suite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The first fixture to come and the last to go: no process that a test started goes on."""
    yield
    going_on = FORKER.left_over()
    FORKER.close()
    assert going_on == []
    assert left_over(str(tmp_path_factory.getbasetemp())) == []


def left_over(place: str) -> list[str]:
    """Living processes that this one started, or that work in this place, as ps shows them."""
    command = ["ps", "-ww", "-eo", "pid,ppid,stat,args"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in listed.splitlines()[1:]]
    return [
        args
        for pid, parent, state, args in rows
        if (int(parent) == os.getpid() or f"{place}/" in args)
        and not state.startswith("Z")
        and int(pid) not in (os.getpid(), FORKER.pid)
        and args != " ".join(command)
    ]


@pytest.fixture(scope="session")
def database_url(shared_url: str) -> str:
    """The address of a database that the test may fill with schemas."""
    return shared_url


@pytest.fixture(scope="session")
def shared_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Postgres server whose default database tests may fill with schemas."""
    given = os.environ.get("TEST_DATABASE_URL")
    if given:
        yield given
    elif _docker_answers():
        yield from _container()
    else:
        yield from _embedded(tmp_path_factory.mktemp("postgres") / "data")


def _docker_answers() -> bool:
    try:
        found = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return found.returncode == 0


def _container() -> Iterator[str]:
    from testcontainers.postgres import PostgresContainer

    image = os.environ.get("TEST_POSTGRES_IMAGE", "postgres:17")
    with PostgresContainer(image, driver=None) as container:
        yield _hasty(container.get_connection_url())


def _embedded(directory: Path) -> Iterator[str]:
    from connector.warehouse.sql import embedded

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = embedded.start(directory)
    yield _hasty(server.get_uri())
    embedded.stop(server)


def _hasty(url: str) -> str:
    """The same server, which need not survive the tests: nothing waits for its disk.

    No statistics come by themselves either: plans and samples must not depend on the moment.
    """
    with psycopg.connect(conninfo(url), autocommit=True) as conn:
        for name in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
            conn.execute(f"ALTER SYSTEM SET {name} = off")
        conn.execute("ALTER SYSTEM SET max_wal_size = '256MB'")  # it may lie in memory
        conn.execute("SELECT pg_reload_conf()")
    return url


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the tests' own, which they may stop and start."""
    server = Server(tmp_path_factory.mktemp("own"))
    yield server
    server.close()


@pytest.fixture
def schema(fresh_schema: str) -> str:
    """A schema name of the test's own."""
    return fresh_schema


@pytest.fixture
def fresh_schema(database_url: str) -> Iterator[str]:
    """A schema name of the test's own; the schema is dropped afterwards."""
    name = f"t_{os.getpid()}_{next(_numbers)}"
    yield name
    database = Database(database_url, name)
    with database.transaction() as conn:
        conn.execute(sa.text(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'))
    database.close()


@pytest.fixture
def database(database_url: str, schema: str) -> Iterator[Database]:
    """The warehouse, not migrated yet."""
    database = Database(database_url, schema)
    yield database
    database.close()


class Injected:
    """How often a test has injected its fault; the mark ``fault`` says how often at least."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, times: int = 1) -> None:
        self.times += times


@pytest.fixture
def injected() -> Injected:
    """Call it for each fault that no rule of the simulator counts."""
    return Injected()


@pytest.fixture(autouse=True)
def _as_often_as_said(request: pytest.FixtureRequest, injected: Injected) -> Iterator[None]:
    """A test marked ``fault`` fails if it injected less than its mark (and the docs) say."""
    mark = request.node.get_closest_marker("fault")
    harness = request.getfixturevalue("harness") if "harness" in request.fixturenames else None
    yield
    simulator = getattr(harness, "simulator", None)
    struck = simulator.faults.struck if simulator else 0
    if mark:
        assert injected.times + struck >= mark.kwargs.get("times", 1)


@pytest.fixture(scope="session")
def template(shared_url: str) -> Iterator[Template | None]:
    """A database with a schema as ``migrate`` leaves it; None where this role may make none."""
    made = Template.make(shared_url, f"t_{os.getpid()}")
    yield made
    if made:
        made.drop()


def _asked(request: pytest.FixtureRequest) -> set[str]:
    return set(inspect.signature(request.function).parameters)


@pytest.fixture
async def harness(
    request: pytest.FixtureRequest, template: Template | None
) -> AsyncIterator[Harness]:
    """A simulated Intercom, a warehouse, and the sync between them.

    The schema is there already, in a database of the test's own, copied from one: migrations take
    longer than most tests. A test marked ``bare``, or one that asks for ``schema`` as well, begins
    without one, in the database that all share.
    """
    bare = request.node.get_closest_marker("bare") or "schema" in _asked(request)
    if template is None or bare:
        harness = Harness(
            request.getfixturevalue("database_url"), request.getfixturevalue("schema")
        )
        yield harness
        harness.close()
    else:
        with template.copy() as url:
            harness = Harness(url, template.schema)
            harness.template = template
            yield harness
            harness.close()
