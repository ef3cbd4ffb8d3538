"""A doorway to a local simulator for programs that speak to api.intercom.io and nothing else.

It is an HTTPS proxy: what they ask of that name is answered by the simulator, under a certificate
of an authority made for the moment. Programs find it by HTTPS_PROXY and trust it by SSL_CERT_FILE
or REQUESTS_CA_BUNDLE; nothing of them is changed. Needs the openssl command.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

NAME = "api.intercom.io"


@contextmanager
def doorway(url: str, directory: Path) -> Iterator[dict[str, str]]:
    """The environment in which programs reach the simulator at ``url`` as Intercom."""
    authority, chain = _certificates(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    loop = asyncio.new_event_loop()
    ready, stop, ports = threading.Event(), asyncio.Event(), list[int]()

    async def serve() -> None:
        door = _Door(urlsplit(url).port or 80, context)
        async with await asyncio.start_server(door, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait(10)
    proxy = f"http://127.0.0.1:{ports[0]}"
    try:
        yield {
            "HTTPS_PROXY": proxy,
            "https_proxy": proxy,
            "SSL_CERT_FILE": str(authority),
            "REQUESTS_CA_BUNDLE": str(authority),
        }
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(5)


class _Door:
    """One connection: CONNECT, then TLS, then bytes in both directions."""

    def __init__(self, port: int, context: ssl.SSLContext) -> None:
        self.port, self.context = port, context

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError, ssl.SSLError):
            head = await reader.readuntil(b"\r\n\r\n")
            if not head.startswith(f"CONNECT {NAME}:443 ".encode()):
                writer.write(b"HTTP/1.1 403 Forbidden\r\n\r\n")
                await writer.drain()
            else:
                writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
                await writer.drain()
                await writer.start_tls(self.context)
                inner, outer = await asyncio.open_connection("127.0.0.1", self.port)
                await asyncio.gather(_pour(reader, outer), _pour(inner, writer))
        writer.close()


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError, ssl.SSLError):
        while data := await source.read(1 << 18):
            target.write(data)
            await target.drain()
    target.close()


def _certificates(directory: Path) -> tuple[Path, Path]:
    """An authority, and a certificate of its for Intercom's name with the key."""
    authority, key = directory / "authority.pem", directory / "authority.key"
    request, chain, secret = directory / "r.csr", directory / "chain.pem", directory / "door.key"
    names = directory / "names"
    names.write_text(f"subjectAltName=DNS:{NAME}\n")
    _openssl(
        f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=bench -keyout {key} -out {authority}"
        " -addext basicConstraints=critical,CA:TRUE"
    )
    _openssl(f"req -newkey rsa:2048 -nodes -subj /CN={NAME} -keyout {secret} -out {request}")
    _openssl(
        f"x509 -req -in {request} -CA {authority} -CAkey {key} -days 2 -extfile {names}"
        f" -out {chain} -CAcreateserial"
    )
    chain.write_bytes(chain.read_bytes() + secret.read_bytes())
    return authority, chain


def _openssl(words: str) -> None:
    subprocess.run(["openssl", *words.split()], check=True, capture_output=True)
