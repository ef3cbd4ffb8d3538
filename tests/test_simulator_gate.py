"""The simulator's border: token, limit, Accept, version, error shapes."""

from __future__ import annotations

import pytest

from connector.simulator import Request, Simulator, Workspace
from connector.simulator.encoding import decode
from connector.simulator.transport.caller import Caller

NOW = 1_780_000_003.0


@pytest.fixture
def simulator() -> Simulator:
    space = Workspace.generate(contacts=30, companies=5, conversations=5, now=int(NOW))
    return Simulator(space, clock=lambda: NOW, rate_limit=3)


def errors(response: object) -> list[str]:
    body = decode(response.body)  # type: ignore[attr-defined]
    assert body["type"] == "error.list"
    assert body["request_id"]
    return [error["code"] for error in body["errors"]]


@pytest.mark.parametrize("token", ["wrong", ""])
def test_a_wrong_token_is_401_and_learns_nothing_of_limits(simulator, token):
    response = Caller(simulator, token=token or "x").ask("GET", "/me")
    assert (response.status, errors(response)) == (401, ["unauthorized"])
    assert not [name for name in response.headers if name.startswith("X-RateLimit")]


def test_a_missing_token_is_401(simulator):
    response = simulator.respond(Request("GET", "/me", headers={"Accept": "application/json"}))
    assert response.status == 401


def test_a_revoked_token_is_401(simulator):
    simulator.control.revoke_token()
    assert errors(Caller(simulator).ask("GET", "/me")) == ["token_revoked"]


def test_remaining_starts_at_the_limit_and_reset_is_six_seconds_late(simulator):
    first, second = (Caller(simulator).ask("GET", "/me") for _ in range(2))
    assert first.headers["X-RateLimit-Limit"] == "3"
    assert first.headers["X-RateLimit-Remaining"] == "3"
    assert second.headers["X-RateLimit-Remaining"] == "2"
    assert first.headers["X-RateLimit-Reset"] == str(1_780_000_000 + 16)


def test_beyond_the_limit_is_429_until_the_window_ends(simulator):
    caller = Caller(simulator)
    statuses = [caller.ask("GET", "/me").status for _ in range(5)]
    assert statuses == [200, 200, 200, 429, 429]
    refused = caller.ask("GET", "/me")
    assert errors(refused) == ["rate_limit_exceeded"]
    assert refused.headers["X-RateLimit-Remaining"] == "0"
    assert "Retry-After" not in refused.headers
    simulator.control.advance(7)
    assert caller.ask("GET", "/me").status == 200
    stats = simulator.control.stats()
    assert stats["rate_limited"] == 3
    assert stats["windows"] == {"1780000000": 6, "1780000010": 1}


@pytest.mark.parametrize("accept", [None, "*/*", "text/html"])
def test_accept_must_name_json(simulator, accept):
    headers = {"Authorization": "Bearer sim-token"}
    if accept:
        headers["Accept"] = accept
    response = simulator.respond(Request("GET", "/me", headers=headers))
    assert (response.status, errors(response)) == (406, ["media_type_not_acceptable"])


def test_an_unknown_version_is_400_and_a_known_one_is_echoed(simulator):
    assert errors(Caller(simulator, "2.99").ask("GET", "/me")) == ["intercom_version_invalid"]
    assert Caller(simulator, "2.16").ask("GET", "/me").headers["Intercom-Version"] == "2.16"


def test_without_the_header_the_version_is_the_apps_own(simulator):
    caller = Caller(simulator)
    del caller.headers["intercom-version"]
    assert caller.ask("GET", "/me").headers["Intercom-Version"] == "2.15"


def test_the_date_is_the_simulators(simulator):
    simulator.control.advance(60)
    assert Caller(simulator).ask("GET", "/me").headers["Date"] == "Thu, 28 May 2026 20:27:43 GMT"


def test_a_malformed_body_is_400_in_a_shape_of_its_own(simulator):
    request = Request("POST", "/contacts/search", {}, Caller(simulator).headers, b'{"query":')
    response = simulator.respond(request)
    body = decode(response.body)
    assert response.status == 400
    assert body["status"] == 400
    assert body["error"].startswith("There was a problem in the JSON you submitted")
    assert "errors" not in body


def test_an_unknown_path_is_404(simulator):
    assert errors(Caller(simulator).ask("GET", "/nothing/here")) == ["not_found"]


@pytest.mark.parametrize(("status", "code"), [(401, "token_unauthorized"), (403, "forbidden")])
def test_a_missing_scope_is_401_or_403_on_its_paths_only(simulator, status, code):
    simulator.control.deny("^/conversations", status)
    response = Caller(simulator).ask("GET", "/conversations")
    assert (response.status, errors(response)) == (status, [code])
    assert Caller(simulator).ask("GET", "/me").status == 200


def test_me_tells_the_workspace(simulator):
    app = Caller(simulator).get("/me")["app"]
    assert app["id_code"] == "sim00001"
    assert app["timezone"] == "America/New_York"
    assert app["region"] == "US"


def test_other_apps_of_the_workspace_share_the_window(simulator):
    simulator.control.spend(3)
    assert Caller(simulator).ask("GET", "/me").status == 429
    simulator.control.limit(None)
    response = Caller(simulator).ask("GET", "/me")
    assert response.status == 200
    assert "X-RateLimit-Limit" not in response.headers
