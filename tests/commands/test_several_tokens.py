"""Several tokens of one workspace, by the real command line over real HTTP and a real Postgres."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from connector.commands.connect import open_client
from connector.errors import SettingsError
from connector.intercom.client import Client
from connector.intercom.clock import Clock
from connector.intercom.tokens.tokens import tokens_of
from connector.settings import load
from connector.simulator import Simulator, SimulatorTransport, Workspace
from tests.support.forked import Ended
from tests.support.harness import Harness
from tests.support.postgres import copied
from tests.support.service import FEW, environment, served
from tests.support.terminal import Terminal, Warehouse

pytestmark = pytest.mark.in_turn(2)

database_url, schema = copied.database_url, copied.schema  # fixtures

SECRETS = ("tok_f1rst-of-the-tests", "tok_sec0nd-of-the-tests", "tok_th1rd-of-the-tests")
BOTH = ",".join(SECRETS[:2])


@pytest.fixture(scope="module")
def intercom() -> Iterator[tuple[Simulator, str]]:
    """A small workspace with three apps, and its address."""
    space = Workspace.generate(3, contacts=60, companies=230, conversations=45, **FEW)
    simulator = Simulator(space, token=SECRETS, rate_limit=5_000)
    with served(simulator) as url:
        yield simulator, url


@pytest.fixture
def simulator(intercom: tuple[Simulator, str]) -> Iterator[Simulator]:
    """The simulator behind the terminal; whatever a test does to its apps is undone."""
    simulator = intercom[0]
    simulator.control.reset_stats()
    yield simulator
    simulator.control.allow_all()
    simulator.control.clear_faults()
    simulator.control.clear_hooks()
    for app in simulator.gate.apps:
        app.revoked, app.opens = False, None


class Keys:
    """A terminal whose settings name several tokens, none of which is ever printed."""

    def __init__(self, terminal: Terminal) -> None:
        self.terminal = terminal

    def run(self, *words: str, **settings: str) -> Ended:
        ended = self.terminal.run(*words, **{"INTERCOM_ACCESS_TOKEN": BOTH, **settings})
        assert not any(secret in ended.out + ended.err for secret in SECRETS)
        return ended


@pytest.fixture
def terminal(
    intercom: tuple[Simulator, str], database_url: str, schema: str, tmp_path: Path
) -> Keys:
    environ = environment(intercom[1], database_url, schema)
    del environ["INTERCOM_ACCESS_TOKEN"]
    return Keys(Terminal(environ, tmp_path))


def is_whole(warehouse: Warehouse, simulator: Simulator) -> bool:
    """Whether every conversation and contact, and all companies that are listed, are there."""
    truth = simulator.control.truth
    return all(
        {one["id"] for one in truth(kind) if not one.get("_hidden")}
        <= {row["id"] for row in warehouse.query(f"SELECT id FROM {kind}")}
        for kind in ("conversations", "contacts", "companies")
    )


def used(simulator: Simulator) -> list[int]:
    """Requests of each token."""
    told = simulator.control.stats()["tokens"]
    assert all(token["crossed"] == 0 for token in told.values())
    return [token["requests"] for token in told.values()]


# -- reading ---------------------------------------------------------------------------------


@pytest.mark.bare
def test_a_sync_sends_with_both_and_pages_stay_with_their_token(
    terminal: Keys, warehouse: Warehouse, simulator: Simulator
) -> None:
    ended = terminal.run("sync", "-v")
    assert ended.code == 0, ended.err
    assert is_whole(warehouse, simulator)
    first, second, third = used(simulator)
    assert min(first, second) >= 0.4 * (first + second)
    assert third == 0
    assert terminal.run("sync").code == 0
    assert terminal.run("verify").code == 0
    assert min(used(simulator)[:2]) > min(first, second)


def test_a_scope_that_one_lacks_is_read_with_the_other(
    terminal: Keys, warehouse: Warehouse, simulator: Simulator
) -> None:
    simulator.control.deny("^/(conversations|companies)", token=1)
    ended = terminal.run("sync")
    assert ended.code == 0, ended.err
    assert is_whole(warehouse, simulator)
    refused = simulator.control.stats()["statuses"]["403"]
    assert 1 <= refused <= 30  # what was under way when the first ones were refused
    simulator.control.reset_stats()
    told = terminal.run("check")
    assert told.code == 0
    assert "scope for conversations: readable with token 2, not with token 1 (You do" in told.out
    assert "scope for tags: readable\n" in told.out


def test_a_scope_that_none_has_is_the_failure_it_is_with_one(
    terminal: Keys, simulator: Simulator
) -> None:
    simulator.control.deny("^/conversations")

    def failure(ended: Ended) -> str:
        assert ended.code == 1
        lines = [line for line in ended.err.splitlines() if "/conversations" in line]
        return lines[0].split(" (request id")[0].split(" ", 3)[-1]

    told = [failure(terminal.run("sync", INTERCOM_ACCESS_TOKEN=t)) for t in (SECRETS[0], BOTH)]
    assert told[0] == told[1]
    assert terminal.run("check").code == 1


# -- revoked, elsewhere ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "after"),
    [
        ("^/conversations/search", 0),
        ("^/conversations/[0-9]", 1),
        ("^/companies/scroll", 1),
        ("^/contacts", 1),
    ],
)
def test_a_token_that_is_revoked_on_the_way_drops_out_with_a_warning(
    terminal: Keys, warehouse: Warehouse, simulator: Simulator, path: str, after: int
) -> None:
    def revoke() -> None:
        simulator.gate.caller.revoked = True

    simulator.control.when({"path": path}, revoke, after=after)
    ended = terminal.run("sync")
    assert ended.code == 0, ended.err
    assert ended.err.count("of 2 is refused and drops out, the others go on") == 1
    assert is_whole(warehouse, simulator)
    used(simulator)


def test_one_that_is_revoked_before_is_said_and_all_revoked_is_3(
    terminal: Keys, warehouse: Warehouse, simulator: Simulator
) -> None:
    simulator.control.revoke_token(token=1)
    ended = terminal.run("sync", "--only", "tags")
    assert (ended.code, "token 1 of 2 is refused and drops out" in ended.err) == (0, True)
    told = terminal.run("check")
    assert told.code == 0
    assert "token 1: WARNING: it is not used: GET /me: 401 token_revoked" in told.out
    assert "ok   token 2: opens the workspace" in told.out
    simulator.control.revoke_token(token=2)
    assert [terminal.run(word).code for word in ("sync", "check")] == [3, 3]
    # Of another process: it sees that the token works again.
    simulator.control.revoke_token(False, token=2)
    assert terminal.run("sync", "--only", "tags").code == 0


def test_tokens_of_different_workspaces_are_refused_before_anything_is_written(
    terminal: Keys, warehouse: Warehouse, simulator: Simulator
) -> None:
    before = warehouse.tables()
    simulator.control.install_elsewhere(2, "elsewh3r")
    for words in (["sync"], ["verify"], ["check"]):
        ended = terminal.run(*words)
        assert ended.code == 2, ended.err
        said = ended.out + ended.err
        assert "token 2 of INTERCOM_ACCESS_TOKEN opens the workspace 'elsewh3r'" in said
        assert "but token 1 opens" in said
    assert warehouse.tables() == before


# -- the pool --------------------------------------------------------------------------------


async def test_a_pool_that_others_use_up_makes_a_run_slower_and_fails_nothing(
    harness: Harness,
) -> None:
    simulator = harness.simulate(token=SECRETS[:2], rate_limit=100, workspace_limit=250)
    simulator.control.share(190)
    tokens = tokens_of(
        SECRETS[:2], clock=Clock(lambda: harness.now), per_minute=1_200, sleep=harness.pause
    )
    client = Client(
        token=tokens,
        base_url="http://127.0.0.1",
        sleep=harness.pause,
        transport=SimulatorTransport(simulator),
    )
    outcome = await harness.sync(client)
    assert outcome.exit_code == 0
    told = simulator.control.stats()
    assert max(told["windows"].values()) <= 60 + 55  # of others' 190 and what was under way
    assert told["rate_limited"]
    assert sum(harness.waited) > 30
    assert min(used(simulator)) > 50


# -- the setting -----------------------------------------------------------------------------


@pytest.mark.parametrize("between", [",", "\n", " ,\r\n", ",,\n\n, "])
def test_a_file_may_name_them_in_lines_and_each_counts_once(
    terminal: Keys, tmp_path: Path, simulator: Simulator, between: str
) -> None:
    given = between.join([*SECRETS[:2], SECRETS[0]])
    (tmp_path / "tokens").write_text(f"{between}{given}{between}")
    settings = {"INTERCOM_ACCESS_TOKEN": "", "INTERCOM_ACCESS_TOKEN_FILE": f"{tmp_path}/tokens"}
    told = json.loads(terminal.run("check", "--json", **settings).out)
    names = [line["name"] for line in told if line["name"].startswith("token")]
    assert names == ["token 1", "token 2"]


def test_what_cannot_be_a_token_is_named_by_its_position(terminal: Keys) -> None:
    ended = terminal.run("check", INTERCOM_ACCESS_TOKEN=f"{SECRETS[0]},not a token")
    assert ended.code == 2
    assert "FAIL token: the access token 2 holds characters that no token has" in ended.out
    assert "not a" not in ended.out
    ended = terminal.run("check", INTERCOM_ACCESS_TOKEN=" ,, ")
    assert (ended.code, "holds commas and no token" in ended.out) == (2, True)


def test_a_single_token_sends_what_it_always_sent(terminal: Keys, simulator: Simulator) -> None:
    told = {}
    for secrets in (SECRETS[0], f",{SECRETS[0]},{SECRETS[0]}"):
        simulator.control.reset_stats()
        ended = terminal.run("check", INTERCOM_ACCESS_TOKEN=secrets)
        assert "ok   token: opens the workspace" in ended.out
        told[secrets] = simulator.control.stats()["endpoints"]
    first, second = told.values()
    assert first == second
    assert first["GET /me"] == 1


def test_push_writes_with_one_token_and_reading_uses_all(tmp_path: Path) -> None:
    def tokens(**settings: str) -> tuple[list[str], list[str]]:
        loaded = load(settings, tmp_path)
        clients = open_client(loaded), open_client(loaded, writes=True)
        read, write = ([token.secret for token in client.tokens] for client in clients)
        return read, write

    assert tokens(INTERCOM_ACCESS_TOKEN="a,b") == (["a", "b"], ["a"])
    assert tokens(INTERCOM_ACCESS_TOKEN="a,b", INTERCOM_WRITE_TOKEN="w") == (["a", "b"], ["w"])
    assert tokens(INTERCOM_ACCESS_TOKEN="a") == (["a"], ["a"])
    with pytest.raises(SettingsError, match="INTERCOM_WRITE_TOKEN names 2 tokens"):
        tokens(INTERCOM_ACCESS_TOKEN="a", INTERCOM_WRITE_TOKEN="v,w")


def test_requests_in_flight_and_a_minute_follow_from_the_tokens(tmp_path: Path) -> None:
    def client(**settings: str) -> Client:
        return open_client(load(settings, tmp_path))

    assert client(INTERCOM_ACCESS_TOKEN="a").concurrency == 50
    assert client(INTERCOM_ACCESS_TOKEN="a,b").concurrency == 200
    assert client(INTERCOM_ACCESS_TOKEN="a,b", CONNECTOR_CONCURRENCY="30").concurrency == 30
    for given, allowed in (("", 20_000), ("25000", 25_000), ("600", 600)):
        found = client(INTERCOM_ACCESS_TOKEN="a,b", CONNECTOR_REQUESTS_PER_MINUTE=given)
        assert found.tokens.first.budget.allowance.per_minute == allowed
    with pytest.raises(SettingsError, match="at most 25000 with several tokens"):
        client(INTERCOM_ACCESS_TOKEN="a,b", CONNECTOR_REQUESTS_PER_MINUTE="25001")
    alone = client(INTERCOM_ACCESS_TOKEN="a", CONNECTOR_REQUESTS_PER_MINUTE="25001")
    assert alone.tokens.first.budget.allowance.per_minute == 25_001


def test_settings_show_no_token(tmp_path: Path) -> None:
    shown = repr(load({"INTERCOM_ACCESS_TOKEN": BOTH}, tmp_path))
    assert not any(secret in shown for secret in SECRETS)


def test_whichever_token_a_reply_repeats_is_in_no_output_and_no_table(
    terminal: Keys, warehouse: Warehouse, simulator: Simulator
) -> None:
    for path in ("^/conversations/[0-9]", "^/segments", "^/contacts/[0-9a-f]+/notes"):
        simulator.control.fail(
            {"path": path},
            times=None,
            status=400,
            code=SECRETS[0],
            message=f"you sent {' or '.join(SECRETS[:2])}",
        )
    ended = terminal.run("sync", "-v", "--json")
    assert ended.code == 1
    assert "[token]" in ended.err
    stored = "\n".join(
        row["text"]
        for name in warehouse.tables()
        for row in warehouse.query(f'SELECT t::text AS text FROM "{name}" t')
    )
    assert "[token]" in stored
    assert not any(secret in stored for secret in SECRETS[:2])


# -- the simulator by itself -----------------------------------------------------------------


def test_simulate_has_several_apps_and_what_is_taken_from_them(
    terminal: Keys, tmp_path: Path
) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    words = "--token one,two,three --without 2=^/tags --revoked 3 --contacts 20 --companies 3"
    process = terminal.terminal.start(
        "simulate", "--port", port, "--conversations", "5", *words.split()
    )
    try:
        assert process.stdout
        assert "Simulated Intercom" in process.stdout.readline()
        settings = {
            "INTERCOM_BASE_URL": f"http://127.0.0.1:{port}",
            "INTERCOM_ACCESS_TOKEN": "one,two,three",
        }
        told = terminal.run("check", **settings)
        assert "token 3: WARNING: it is not used" in told.out
        assert "scope for tags: readable with token 1, not with token 2" in told.out
        told = terminal.run("sync", "--only", "tags,admins", **settings)
        assert told.code == 0
        assert "token 3 of 3 is refused and drops out" in told.err
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.mark.parametrize(
    "words", [["--revoked", "2"], ["--without", "2=^/tags"], ["--without", "1=("], ["--token", ","]]
)
def test_simulate_says_what_cannot_be_taken_from_an_app(terminal: Keys, words: list[str]) -> None:
    ended = terminal.run("simulate", "--contacts", "5", *words)
    assert ended.code == 2
    assert re.search("no token|by position", ended.err)
