"""The simulator's faults, acted out in process and over real HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import httpx
import pytest

from connector.simulator import Simulator, SimulatorTransport, Workspace, serve
from connector.simulator.transport.caller import Caller

NOW = 1_780_000_000
HEADERS = {
    "Authorization": "Bearer sim-token",
    "Accept": "application/json",
    "Intercom-Version": "2.16",
}


@pytest.fixture
def simulator() -> Simulator:
    space = Workspace.generate(contacts=50, companies=10, conversations=10, now=NOW)
    return Simulator(space, clock=lambda: float(NOW), rate_limit=100)


def client(simulator: Simulator, **options: object) -> httpx.AsyncClient:
    transport = SimulatorTransport(simulator, **options)  # type: ignore[arg-type]
    return httpx.AsyncClient(
        transport=transport, base_url="https://api.intercom.io", headers=HEADERS
    )


async def test_in_process_answers_like_the_wire(simulator):
    async with client(simulator) as http:
        response = await http.get("/contacts", params={"per_page": 5})
    assert response.status_code == 200
    assert len(response.json()["data"]) == 5
    assert response.headers["x-ratelimit-limit"] == "100"


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("stall", httpx.ReadTimeout),
        ("reset", httpx.ReadError),
        ("refuse", httpx.ConnectError),
        ("cut", httpx.RemoteProtocolError),
    ],
)
async def test_in_process_faults_raise_what_httpx_raises(simulator, kind, error):
    simulator.control.fail({"path": "^/contacts$"}, kind=kind)
    async with client(simulator) as http:
        with pytest.raises(error):
            await http.get("/contacts")
        assert (await http.get("/contacts")).status_code == 200


async def test_latency_and_delay_are_awaited_by_the_test(simulator):
    waited: list[object] = []

    async def latency(request: object) -> None:
        waited.append(request)

    async def sleep(seconds: float) -> None:
        waited.append(seconds)

    simulator.control.fail(kind="delay", seconds=7)
    async with client(simulator, latency=latency, sleep=sleep) as http:
        await http.get("/me")
    assert len(waited) == 2
    assert waited[1] == 7


def test_rules_choose_by_method_path_body_number_and_count(simulator):
    caller = Caller(simulator)
    match = {"method": "POST", "path": "^/contacts/search$", "body": '"lead"'}
    simulator.control.fail(match, status=503, times=2, after=1)

    def ask(role: str) -> int:
        query = {"field": "role", "operator": "=", "value": role}
        return caller.ask("POST", "/contacts/search", {"query": query}).status

    assert ask("user") == 200
    assert [ask("lead") for _ in range(4)] == [200, 503, 503, 200]
    simulator.control.fail({"path": "/me"}, status=500, times=None, probability=0.5)
    statuses = [caller.ask("GET", "/me").status for _ in range(60)]
    assert 10 < statuses.count(500) < 50
    simulator.control.clear_faults()
    assert caller.ask("GET", "/me").status == 200


def test_odd_answers(simulator):
    caller, fail = Caller(simulator), simulator.control.fail
    fail(kind="html")
    html = caller.ask("GET", "/me")
    assert (html.status, html.headers["Content-Type"]) == (404, "text/html")
    assert b"nginx" in html.body
    fail(kind="empty")
    empty = caller.ask("GET", "/me")
    assert (empty.status, empty.body) == (200, b"")
    fail(kind="content_type")
    assert caller.ask("GET", "/me").headers["Content-Type"].startswith("text/html")
    fail(status=429, headers={"Retry-After": "3"})
    assert caller.ask("GET", "/me").headers["Retry-After"] == "3"
    with pytest.raises(ValueError, match="is not one of"):
        fail(kind="nonsense")


async def test_over_http(simulator):
    async with serve(simulator) as url, aiohttp.ClientSession(headers=HEADERS) as http:
        async with http.get(f"{url}/contacts", params={"per_page": "7"}) as response:
            assert response.headers["Date"] == "Thu, 28 May 2026 20:26:40 GMT"
            assert response.headers["Intercom-Version"] == "2.16"
            assert len((await response.json())["data"]) == 7
        async with http.post(f"{url}/_control/stats") as response:
            assert response.status == 404
    assert simulator.control.stats()["max_in_flight"] == 1


async def test_control_over_http(simulator):
    async with serve(simulator, control=True) as url, aiohttp.ClientSession() as http:

        async def control(method: str, **arguments: object) -> Any:
            async with http.post(f"{url}/_control/{method}", json=arguments) as response:
                return await response.json()

        assert await control("advance", seconds=5) == NOW + 5
        assert len(await control("truth", kind="contacts")) == 50
        id = await control("create_contact", role="user", name="Über")
        assert (await control("truth_one", kind="contacts", id=id))["name"] == "Über"
        assert "error" in await control("no_such_thing")
        assert "error" in await control("_item", kind="contacts", id=id)
        assert "error" in await control("advance", minutes=5)


async def test_a_cut_body_over_http(simulator):
    simulator.control.fail({"path": "/contacts"}, kind="cut", cut_after=100)
    async with serve(simulator) as url, httpx.AsyncClient(headers=HEADERS) as http:
        with pytest.raises(httpx.RemoteProtocolError):
            await http.get(f"{url}/contacts")
        assert (await http.get(f"{url}/contacts")).status_code == 200


async def test_a_reset_over_http(simulator):
    simulator.control.fail({"path": "/me"}, kind="reset")
    async with serve(simulator) as url, httpx.AsyncClient(headers=HEADERS) as http:
        with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
            await http.get(f"{url}/me")
        assert (await http.get(f"{url}/me")).status_code == 200


async def test_a_stall_over_http_ends_with_the_clients_patience(simulator):
    simulator.control.fail({"path": "/me"}, kind="stall")
    async with serve(simulator) as url, httpx.AsyncClient(headers=HEADERS) as http:
        with pytest.raises(httpx.ReadTimeout):
            await http.get(f"{url}/me", timeout=0.2)


async def test_latency_lets_requests_overlap(simulator):
    async with serve(simulator, latency=0.05) as url, httpx.AsyncClient(headers=HEADERS) as http:
        await asyncio.gather(*[http.get(f"{url}/me") for _ in range(5)])
    assert simulator.control.stats()["max_in_flight"] == 5
