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


# -- several apps ----------------------------------------------------------------------------


@pytest.fixture
def apps() -> Simulator:
    space = Workspace.generate(contacts=30, companies=120, conversations=5, now=int(NOW))
    tokens = ("one", "two", "three")
    return Simulator(space, token=tokens, clock=lambda: NOW, rate_limit=10, workspace_limit=25)


def asks(simulator: Simulator, token: str, times: int) -> list[int]:
    caller = Caller(simulator, token=token)
    return [caller.ask("GET", "/me").status for _ in range(times)]


def test_each_app_has_its_limit_and_all_have_the_workspaces(apps):
    assert asks(apps, "one", 11) == [200] * 10 + [429]
    assert asks(apps, "two", 10) == [200] * 10
    # The pool has five left, the app itself ten.
    assert asks(apps, "three", 6) == [200] * 5 + [429]
    refused = Caller(apps, token="three").ask("GET", "/me")
    assert refused.headers["X-RateLimit-Remaining"] == "4"
    apps.control.advance(10)
    assert asks(apps, "three", 10) == [200] * 10


def test_other_integrations_take_from_the_pool_alone(apps):
    apps.control.share(20)
    assert asks(apps, "one", 6) == [200] * 5 + [429]
    apps.control.share(0)
    apps.control.limit_workspace(None)
    assert asks(apps, "one", 5) == [200] * 4 + [429]


def test_one_app_may_lack_a_scope_be_revoked_or_open_another_workspace(apps):
    apps.control.deny("^/tags", token=2)
    apps.control.revoke_token(token=3)
    apps.control.install_elsewhere(2, "other")
    callers = [Caller(apps, token=token) for token in ("one", "two", "three")]
    assert [caller.ask("GET", "/tags").status for caller in callers] == [200, 403, 401]
    assert [caller.get("/me")["app"]["id_code"] for caller in callers[:2]] == ["sim00001", "other"]
    apps.control.allow_all()
    apps.control.revoke_token(False, token=3)
    assert [caller.ask("GET", "/tags").status for caller in callers] == [200] * 3
    with pytest.raises(ValueError, match="no token 4"):
        apps.control.revoke_token(token=4)


def test_page_tokens_and_scrolls_belong_to_the_app_that_they_were_given(apps):
    one, two = (Caller(apps, token=token) for token in ("one", "two"))
    following = one.get("/conversations", per_page=2)["pages"]["next"]["starting_after"]
    crossed = two.ask("GET", "/conversations", per_page=2, starting_after=following)
    assert (crossed.status, errors(crossed)) == (400, ["client_error"])
    assert one.ask("GET", "/conversations", per_page=2, starting_after=following).status == 200
    # Where both were given the same, both may use it.
    assert two.get("/conversations", per_page=2)["pages"]["next"]["starting_after"] == following
    assert two.ask("GET", "/conversations", per_page=2, starting_after=following).status == 200
    scroll = one.get("/companies/scroll")["scroll_param"]
    assert two.ask("GET", "/companies/scroll", scroll_param=scroll).status == 404
    told = apps.control.stats()["tokens"]
    assert [app["crossed"] for app in told.values()] == [0, 2, 0]
    assert told["1"]["requests"] == 3
