"""The client against fake transports, and against real servers where sockets matter."""

import asyncio
import gzip
import ssl
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from aiohttp import web

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    IntercomError,
    MergedError,
    NotFoundError,
    NotPermittedError,
    RetryExhaustedError,
    ScrollExistsError,
    SettingsError,
    TokenRefusedError,
)
from connector.intercom.address import check_base_url, check_version, link_query
from connector.intercom.client import Client
from connector.intercom.retry import ONCE, QUICK, Retry
from connector.intercom.transport import Timeouts, proxy_for
from connector.jsontext import decode, is_complete
from connector.settings import REGIONS
from tests.support.places import DATA

TOKEN = "dG9rOnNlY3JldA-not-to-be-seen"
BASE = "https://api.intercom.io"
TLS = DATA / "tls"
Handler = Callable[[httpx.Request], httpx.Response]


class Naps:
    """Stands in for sleep: notes what it was asked and returns at once."""

    def __init__(self) -> None:
        self.taken: list[float] = []

    async def __call__(self, seconds: float) -> None:
        self.taken.append(seconds)
        await asyncio.sleep(0)


def client(handler: Handler, **more: Any) -> Client:
    more.setdefault("sleep", Naps())
    transport = httpx.MockTransport(handler)
    return Client(token=TOKEN, base_url=BASE, transport=transport, rng=lambda: 1.0, **more)


def told(status: int, code: str, message: str = "m", **headers: str) -> httpx.Response:
    body = {
        "type": "error.list",
        "request_id": "r1",
        "errors": [{"code": code, "message": message}],
    }
    return httpx.Response(status, json=body, headers=headers)


def answers(*replies: httpx.Response | Exception) -> tuple[Handler, list[httpx.Request]]:
    """A handler that gives these answers in order, the last one for ever; and what it was asked."""
    seen: list[httpx.Request] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        reply = replies[min(len(seen), len(replies)) - 1]
        if isinstance(reply, Exception):
            raise reply
        return httpx.Response(reply.status_code, headers=reply.headers, content=reply.content)

    return handler, seen


def good() -> httpx.Response:
    return httpx.Response(200, json={"type": "list", "data": []})


HTML = "<html><body>nginx</body></html>"


# What a request looks like


async def test_a_request_carries_version_token_and_accept() -> None:
    handler, seen = answers(good())
    async with client(handler) as intercom:
        reply = await intercom.request(
            "POST", "/contacts/search", json={"a": 1}, params={"b": None}
        )
        await intercom.request("GET", "/tags", version="Preview", params={"page": 2})
    first, second = seen
    assert first.headers["authorization"] == f"Bearer {TOKEN}"
    assert first.headers["accept"] == "application/json"
    assert first.headers["content-type"] == "application/json"
    assert first.headers["intercom-version"] == "2.16"
    assert first.headers["user-agent"].startswith("intercom-warehouse/")
    assert first.content == b'{"a":1}'
    assert str(first.url) == BASE + "/contacts/search"
    assert second.headers["intercom-version"] == "Preview"
    assert str(second.url) == BASE + "/tags?page=2"
    assert reply.json() == {"type": "list", "data": []}
    assert reply.requested_at.tzinfo is not None


async def test_the_token_shows_nowhere() -> None:
    handler, _ = answers(told(400, "bad_request", f"you sent {TOKEN}"))
    async with client(handler) as intercom:
        with pytest.raises(BadRequestError) as caught:
            await intercom.request("GET", "/tags")
        assert TOKEN not in repr(intercom)
        assert TOKEN not in str(caught.value)
        assert TOKEN not in repr(caught.value)


@pytest.mark.parametrize("token", ["", "  ", "with space", "with\nbreak", "tökén"])
def test_a_token_that_cannot_be_one_is_refused(token: str) -> None:
    with pytest.raises(SettingsError):
        Client(token=token, base_url=BASE)


async def test_only_paths_are_asked_for() -> None:
    handler, _ = answers(good())
    async with client(handler) as intercom:
        for path in ("tags", "//evil.example/x", "@evil.example"):
            with pytest.raises(ValueError, match="not a path"):
                await intercom.request("GET", path)


def test_versions_and_addresses_are_checked() -> None:
    assert check_version("Preview") == "Preview"
    with pytest.raises(SettingsError, match=r"2\.11"):
        check_version("2.11")
    assert check_base_url(REGIONS["eu"] + "/") == REGIONS["eu"]
    assert check_base_url("http://127.0.0.1:8000") == "http://127.0.0.1:8000"
    assert check_base_url("http://simulator:8000", allow_http=True)
    for bad in (
        "http://api.intercom.io",
        "ftp://api.intercom.io",
        "api.intercom.io",
        "https://user:secret@api.intercom.io",
        "https://api.intercom.io?x=1",
        "https://",
        "https://host:port",
    ):
        with pytest.raises(SettingsError):
            check_base_url(bad)


def test_next_links_lead_nowhere_else() -> None:
    eu = REGIONS["eu"]
    assert link_query("https://api.intercom.io/x?page=2&per_page=5", eu) == {
        "page": "2",
        "per_page": "5",
    }
    assert link_query("http://api.intercom.test/x?page=2", eu) == {"page": "2"}
    assert link_query("/x?page=2", eu) == {"page": "2"}
    assert link_query("http://localhost:1/x?page=2", "http://127.0.0.1:2") == {"page": "2"}
    for bad in ("https://evil.example/x?page=2", "https://api.intercom.io.evil.example/?a=1"):
        with pytest.raises(ValueError, match="not Intercom"):
            link_query(bad, eu)
    with pytest.raises(ValueError, match="no query"):
        link_query("http://api.intercom.test/events?next page", eu)


# What comes back


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (told(404, "not_found", "User Not Found"), NotFoundError),
        (told(404, "conversation_not_found"), NotFoundError),
        (told(404, "intercom_version_invalid"), BadRequestError),
        (told(400, "parameter_invalid", "Per Page is too big"), BadRequestError),
        (told(400, "scroll_exists", "scroll already exists for this workspace"), ScrollExistsError),
        (told(403, "api_plan_restricted"), NotPermittedError),
        (told(402, "payment_required"), NotPermittedError),
        (told(406, "media_type_not_acceptable"), BadRequestError),
        (told(409, "conflict"), BadRequestError),
        (told(410, "contact_merged"), MergedError),
        (told(422, "data_invalid"), BadRequestError),
        (
            httpx.Response(400, json={"status": 400, "error": "a problem in the JSON"}),
            BadRequestError,
        ),
    ],
)
async def test_lasting_errors_are_told_apart_and_not_repeated(
    reply: httpx.Response, error: type[IntercomError]
) -> None:
    handler, seen = answers(reply)
    async with client(handler) as intercom:
        with pytest.raises(error) as caught:
            await intercom.request("GET", "/contacts/1")
    assert type(caught.value) is error
    assert len(seen) == 1
    assert "GET /contacts/1" in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_an_error_tells_all_in_one_line() -> None:
    handler, _ = answers(told(404, "not_found", "User\nNot Found"))
    async with client(handler) as intercom:
        with pytest.raises(NotFoundError) as caught:
            await intercom.request("GET", "/contacts/1")
    assert str(caught.value) == (
        "GET /contacts/1: 404 not_found: User Not Found (request id r1); "
        "the object does not exist in this workspace (any more)"
    )


@pytest.mark.parametrize(
    ("link", "survivor"),
    [('</contacts/67ab>; rel="canonical"', "67ab"), ("", None), ("</tags/1>; rel=next", None)],
)
async def test_a_merge_names_the_survivor(link: str, survivor: str | None) -> None:
    handler, _ = answers(told(410, "contact_merged", Link=link))
    async with client(handler) as intercom:
        with pytest.raises(MergedError) as caught:
            await intercom.request("GET", "/contacts/1")
    assert caught.value.merged_into == survivor


TEMPORARY: dict[str, httpx.Response | Exception] = {
    "408": told(408, "request_timeout"),
    "500": told(500, "server_error"),
    "503 page": httpx.Response(503, html=HTML),
    "404 page": httpx.Response(404, html=HTML),
    "403 page": httpx.Response(403, html=HTML),
    "401 page": httpx.Response(401, html=HTML),
    "400 page": httpx.Response(400, html=HTML),
    "404 empty": httpx.Response(404),
    "404 json": httpx.Response(404, json={"error": "no route"}),
    "200 empty": httpx.Response(200),
    "200 page": httpx.Response(200, html=HTML),
    "200 page as json": httpx.Response(
        200, text=HTML, headers={"content-type": "application/json"}
    ),
    "200 cut": httpx.Response(200, content=b'{"type":"list","data":[{"id":"1"'),
    "200 error": told(200, "server_error"),
    "connection refused": httpx.ConnectError("refused"),
    "read timeout": httpx.ReadTimeout("slow"),
    "reset": httpx.ReadError("reset"),
    "protocol": httpx.RemoteProtocolError("cut"),
    "os error": ConnectionResetError("reset"),
}


@pytest.mark.parametrize("name", TEMPORARY)
async def test_temporary_failures_are_repeated(name: str) -> None:
    handler, seen = answers(TEMPORARY[name], TEMPORARY[name], good())
    naps = Naps()
    async with client(handler, sleep=naps) as intercom:
        assert (await intercom.request("GET", "/tags")).status == 200
    assert len(seen) == 3
    assert naps.taken == [0.5, 1.0]


@pytest.mark.parametrize("name", TEMPORARY)
async def test_and_given_up_in_the_end(name: str) -> None:
    handler, seen = answers(TEMPORARY[name])
    async with client(handler) as intercom:
        with pytest.raises(RetryExhaustedError) as caught:
            await intercom.request("GET", "/tags", retry=QUICK)
    assert len(seen) == QUICK.attempts == caught.value.attempts


async def test_the_waits_grow_to_their_cap() -> None:
    handler, _ = answers(told(502, "server_error"))
    naps = Naps()
    async with client(handler, sleep=naps) as intercom:
        with pytest.raises(RetryExhaustedError):
            await intercom.request("GET", "/tags")
    assert naps.taken == [0.5, 1, 2, 4, 8, 16, 30]


async def test_the_time_in_all_is_bounded_too() -> None:
    handler, _ = answers(told(502, "server_error"))
    naps = Naps()
    async with client(handler, sleep=naps) as intercom:
        with pytest.raises(RetryExhaustedError):
            await intercom.request("GET", "/tags", retry=Retry(attempts=1000, seconds=100))
    assert 60 < sum(naps.taken) <= 100


async def test_retry_after_is_a_lower_bound_on_the_wait() -> None:
    reply = told(503, "service_unavailable")
    reply.headers["retry-after"] = "7"
    handler, _ = answers(reply, good())
    naps = Naps()
    async with client(handler, sleep=naps) as intercom:
        await intercom.request("GET", "/tags")
    assert naps.taken == [7.0]


async def test_an_unknown_shape_is_repeated_and_then_named() -> None:
    handler, seen = answers(good())

    def read(reply: Any) -> None:
        raise BadAnswerError("no list")

    async with client(handler) as intercom:
        with pytest.raises(BadAnswerError, match="GET /tags: no list"):
            await intercom.ask("GET", "/tags", read, retry=QUICK)
    assert len(seen) == QUICK.attempts


async def test_accepted_without_a_body_is_fine() -> None:
    handler, _ = answers(httpx.Response(202))
    async with client(handler) as intercom:
        assert (await intercom.request("POST", "/events", json={})).status == 202


# 401: a dead token, or a missing scope?


def by_path(**replies: httpx.Response) -> tuple[Handler, list[str]]:
    seen: list[str] = []

    def handler(request: httpx.Request) -> httpx.Response:
        seen.append(request.url.path)
        return replies[request.url.path[1:]]

    return handler, seen


async def test_401_with_a_live_token_is_a_missing_scope() -> None:
    handler, seen = by_path(tickets=told(401, "unauthorized"), me=good())
    async with client(handler) as intercom:
        with pytest.raises(NotPermittedError):
            await intercom.request("GET", "/tickets")
    assert seen == ["/tickets", "/me"]


async def test_401_everywhere_is_a_refused_token() -> None:
    dead = told(401, "token_revoked")
    handler, seen = by_path(tickets=dead, me=dead)
    async with client(handler) as intercom:
        with pytest.raises(TokenRefusedError) as caught:
            await intercom.request("GET", "/tickets")
        assert caught.value.exit_code == 3
    assert seen == ["/tickets", "/me"]


async def test_401_on_me_itself_is_a_refused_token() -> None:
    handler, seen = by_path(me=told(401, "unauthorized"))
    async with client(handler) as intercom:
        with pytest.raises(TokenRefusedError):
            await intercom.request("GET", "/me")
    assert seen == ["/me"]


# Redirects


def moved(status: int, to: str) -> httpx.Response:
    return httpx.Response(status, headers={"location": to})


async def test_a_get_follows_on_the_same_host() -> None:
    handler, seen = answers(moved(301, "/tags/"), good())
    async with client(handler) as intercom:
        assert (await intercom.request("GET", "/tags")).status == 200
    assert seen[1].url.path == "/tags/"


@pytest.mark.parametrize(
    "to", ["https://evil.example/", "http://api.intercom.io/tags", "https://api.intercom.io:444/"]
)
async def test_the_token_follows_nowhere_else(to: str) -> None:
    handler, seen = answers(moved(302, to))
    async with client(handler) as intercom:
        with pytest.raises(BadRequestError, match="redirected to"):
            await intercom.request("GET", "/tags")
    assert len(seen) == 1


async def test_redirects_end_somewhere_and_only_get_follows() -> None:
    handler, seen = answers(moved(307, "/tags"))
    async with client(handler) as intercom:
        with pytest.raises(BadRequestError, match="more than 3"):
            await intercom.request("GET", "/tags")
        assert len(seen) == 4
        with pytest.raises(BadRequestError, match="only a GET"):
            await intercom.request("POST", "/tags")


# Over real sockets


Raw = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(handle: Raw, tls: bool = False) -> AsyncIterator[str]:
    """A server that writes exactly the bytes a test wants; gives its base URL."""
    context = None
    if tls:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(TLS / "certificate.pem", TLS / "key.pem")

    async def guarded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await handle(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(guarded, "127.0.0.1", 0, ssl=context)
    host, port = server.sockets[0].getsockname()
    try:
        yield f"http{'s' if tls else ''}://{host}:{port}"
    finally:
        server.close()


def real(base_url: str, **more: Any) -> Client:
    more.setdefault("sleep", Naps())
    more.setdefault("retry", ONCE)
    return Client(token=TOKEN, base_url=base_url, **more)


def once_bad(bad: Raw) -> tuple[Raw, list[bytes]]:
    """The first connection is handled badly, every later one well."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            asked.append(head)
            if len(asked) == 1:
                await bad(reader, writer)
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()

    return handle, asked


async def cut(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    # The part that arrives is whole JSON: only the length tells that something is missing.
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"data":[]}')
    await writer.drain()


async def cut_chunk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    await writer.drain()


async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    pass


async def nonsense(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"this is not HTTP at all\r\n\r\n")
    await writer.drain()


async def bad_gzip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")
    await writer.drain()


async def cut_gzip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    body = gzip.compress(b'{"data": [' + b"1, " * 5000 + b"1]}")[:-30]
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body)
    writer.write(head + body)
    await writer.drain()


async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b'HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"da')
    await writer.drain()
    await reader.read()


async def silence(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n")
    while not writer.is_closing():
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.005)


FAULTS = [
    cut,
    cut_chunk,
    reset,
    hang_up,
    nonsense,
    bad_gzip,
    cut_gzip,
    stall,
    silence,
    trickle,
]
SHORT = Timeouts(connect=5.0, read=0.1, attempt=0.3)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
async def test_a_reply_not_read_to_its_end_is_temporary(fault: Raw) -> None:
    handle, asked = once_bad(fault)
    async with raw_server(handle) as url, real(url, timeouts=SHORT) as intercom:
        with pytest.raises(RetryExhaustedError):
            await intercom.request("GET", "/companies/scroll")
        # Nothing below us may have sent it again: a scroll page would be lost in silence.
        assert len(asked) == 1
        assert (await intercom.request("GET", "/tags", retry=QUICK)).body == b"{}"


@pytest.mark.parametrize("fault", [reset, hang_up, cut], ids=lambda fault: fault.__name__)
async def test_a_kept_connection_that_drops_is_not_used_again_in_silence(fault: Raw) -> None:
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            asked.append(head)
            if len(asked) == 2:
                await fault(reader, writer)
                return
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()

    async with raw_server(handle) as url, real(url) as intercom:
        await intercom.request("GET", "/one")
        with pytest.raises(RetryExhaustedError):
            await intercom.request("GET", "/two")
    assert len(asked) == 2


async def test_nobody_listening_is_temporary() -> None:
    async with raw_server(silence) as url:
        pass
    async with real(url) as intercom:
        with pytest.raises(RetryExhaustedError):
            await intercom.request("GET", "/tags")


async def test_gzip_is_read() -> None:
    async def handle(request: web.Request) -> web.Response:
        response = web.json_response({"data": ["é" * 2000]})
        response.enable_compression(web.ContentCoding.gzip)
        return response

    async with web_server(handle) as url, real(url) as intercom:
        assert (await intercom.request("GET", "/tags")).json() == {"data": ["é" * 2000]}


@asynccontextmanager
async def web_server(
    handle: Callable[[web.Request], Awaitable[web.Response]],
) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def test_no_more_than_the_concurrency_is_in_flight() -> None:
    now = most = 0

    async def handle(request: web.Request) -> web.Response:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0)
        now -= 1
        return web.json_response({})

    async with web_server(handle) as url, real(url, concurrency=7) as intercom:
        await asyncio.gather(*[intercom.request("GET", "/tags") for _ in range(60)])
    assert most <= 7


async def test_a_certificate_must_be_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    bundle = str(TLS / "certificate.pem")
    handle, _ = once_bad(hang_up)
    async with raw_server(handle, tls=True) as url:
        async with real(url) as intercom:
            with pytest.raises(RetryExhaustedError, match=r"(?i)certificate"):
                await intercom.request("GET", "/tags")
        async with real(url, ca_bundle=bundle, retry=QUICK) as intercom:
            assert (await intercom.request("GET", "/tags")).status == 200
        monkeypatch.setenv("SSL_CERT_FILE", bundle)
        async with real(url) as intercom:
            assert (await intercom.request("GET", "/tags")).status == 200
    with pytest.raises(SettingsError, match="CA bundle"):
        Client(token=TOKEN, base_url=BASE, ca_bundle="/does/not/exist.pem")


async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


def proxy() -> tuple[Raw, list[bytes]]:
    """A proxy that knows CONNECT and answers plain requests itself."""
    asked: list[bytes] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head)
        if not head.startswith(b"CONNECT"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + b'["proxy"]')
            await writer.drain()
            return
        host, _, port = head.split()[1].decode().partition(":")
        upstream, downstream = await asyncio.open_connection(host, int(port))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        done = await asyncio.wait(
            [
                asyncio.create_task(pipe(reader, downstream)),
                asyncio.create_task(pipe(upstream, writer)),
            ],
            return_when=asyncio.FIRST_COMPLETED,
        )
        for task in done[1]:
            task.cancel()
        downstream.close()

    return handle, asked


@pytest.fixture
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUEST_METHOD"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


# httpx-aiohttp hands the proxy's password on in the way that aiohttp 4 will drop.
@pytest.mark.filterwarnings("ignore::DeprecationWarning:httpx_aiohttp")
async def test_https_goes_through_the_proxy(no_proxies: pytest.MonkeyPatch) -> None:
    server, _ = once_bad(hang_up)
    through, asked = proxy()
    async with raw_server(server, tls=True) as url, raw_server(through) as proxy_url:
        no_proxies.setenv("HTTPS_PROXY", proxy_url.replace("//", "//user:secret@"))
        bundle = str(TLS / "certificate.pem")
        async with real(url, ca_bundle=bundle, retry=QUICK) as intercom:
            assert (await intercom.request("GET", "/tags")).body == b"{}"
    assert asked[0].startswith(b"CONNECT 127.0.0.1:")
    assert b"Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=" in asked[0]
    assert TOKEN.encode() not in b"".join(asked)


@pytest.mark.parametrize(
    "address",
    ["http://u:s3cret/x@proxy:3128", "http://u:s3cret@proxy:port", "http://[s3cret", "s3cret:x"],
)
def test_a_proxy_that_cannot_be_read_is_told_without_its_password(
    no_proxies: pytest.MonkeyPatch, address: str
) -> None:
    no_proxies.setenv("HTTPS_PROXY", address)
    with pytest.raises(SettingsError, match="percent-encoded") as caught:
        proxy_for("https://api.intercom.io")
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


def test_a_base_url_that_cannot_be_read_is_told_without_its_password() -> None:
    address = "https://x:s3cret/y@h"  # not in the line that a traceback quotes
    with pytest.raises(SettingsError, match="cannot be read") as caught:
        check_base_url(address)
    assert "s3cret" not in "".join(traceback.format_exception(caught.value))


async def test_no_proxy_is_heeded(no_proxies: pytest.MonkeyPatch) -> None:
    server, asked = once_bad(hang_up)
    through, _ = proxy()
    async with raw_server(server) as url, raw_server(through) as proxy_url:
        no_proxies.setenv("HTTP_PROXY", proxy_url)
        async with real(url) as intercom:
            assert (await intercom.request("GET", "/tags")).body == b'["proxy"]'
        assert asked == []
        no_proxies.setenv("NO_PROXY", "localhost,127.0.0.1")
        async with real(url, retry=QUICK) as intercom:
            assert (await intercom.request("GET", "/tags")).body == b"{}"


async def test_a_proxy_that_refuses_is_temporary(no_proxies: pytest.MonkeyPatch) -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()

    async with raw_server(refuse) as proxy_url:
        no_proxies.setenv("HTTPS_PROXY", proxy_url)
        async with real("https://127.0.0.1:9") as intercom:
            with pytest.raises(RetryExhaustedError, match="407"):
                await intercom.request("GET", "/tags")


def test_socks_is_refused_in_words(no_proxies: pytest.MonkeyPatch) -> None:
    no_proxies.setenv("HTTPS_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(SettingsError, match="SOCKS"):
        Client(token=TOKEN, base_url=BASE)


# JSON text


@pytest.mark.parametrize(
    ("text", "value"),
    [
        (b"[18446744073709551616]", [18446744073709551616]),
        (b"[-9223372036854775809]", [-9223372036854775809]),
        (b"[" + b"9" * 300 + b"]", [int("9" * 300)]),
        (b"[" + b"9" * 5000 + b"]", ["9" * 5000]),
        (b'["\\ud800"]', ["\ud800"]),
        (b"[-Infinity, 1e400]", [float("-inf"), float("inf")]),
        (b'["\xff"]', ["\udcff"]),
        (b'["a\x01"]', ["a\x01"]),
        (b"\xef\xbb\xbf[1]\n", [1]),
    ],
)
def test_odd_values_arrive_exactly(text: bytes, value: Any) -> None:
    assert decode(text) == value
    assert is_complete(text)


@pytest.mark.parametrize(
    "text", [b"", b" ", b"[1", b'{"a":"b', b"[1]x", HTML.encode(), b"[" * 100_000, b"tru"]
)
def test_what_is_no_whole_json_is_refused(text: bytes) -> None:
    assert not is_complete(text)
    with pytest.raises(ValueError):  # noqa: PT011 - any ValueError is the promise
        decode(text)
