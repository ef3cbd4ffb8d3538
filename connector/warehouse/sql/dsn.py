"""DATABASE_URL as libpq reads it, whatever other tools have put into it; connects to nothing."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from urllib.parse import unquote

import psycopg

from connector.errors import SettingsError

_DRIVER = re.compile(r"^(postgres|postgresql)(\+\w+)?://")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,40}")
_PAIR = re.compile(r"\s*([^\s=']+)\s*=\s*('(?:[^'\\]|\\.)*'|(?:[^\s'\\]|\\.)*)(?=\s|$)")

# What other tools read from the same URL. Nothing that decides who is let in or what is encrypted.
OTHER_TOOLS = frozenset({
    # Prisma, Vercel and Supabase, Airflow
    "pgbouncer", "schema", "connection_limit", "pool_timeout", "socket_timeout",
    "statement_cache_size", "workaround", "supa", "__extra__",
    # SQLAlchemy and asyncpg, Django, Rails
    "prepared_statement_cache_size", "async_fallback", "pool_size", "max_overflow",
    "pool_pre_ping", "pool_recycle", "conn_max_age", "conn_health_checks", "pool",
    "prepared_statements", "encoding", "adapter",
    # pgx and lib/pq, JDBC
    "pool_max_conns", "pool_min_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time",
    "default_query_exec_mode", "statement_cache_capacity", "binary_parameters", "currentSchema",
    "prepareThreshold", "preparedStatementCacheQueries", "ApplicationName", "stringtype",
    # Doctrine, node-postgres
    "serverVersion", "charset", "uselibpqcompat", "max", "idleTimeoutMillis",
})  # fmt: skip


def conninfo(url: str) -> str:
    """A libpq connection string from any Postgres URL or list of keyword=value.

    SQLAlchemy's driver suffix and the parameters of other tools are left out. Raises
    SettingsError if libpq cannot read it; libpq's own words are kept back, for they quote what
    they complain of, which may be the password.
    """
    plain = _without_others(_DRIVER.sub("postgresql://", url.strip()))
    try:
        parts = psycopg.conninfo.conninfo_to_dict(plain)
    except psycopg.Error:
        parts = {"host": "@"}
    # libpq ends a password at the first @ and a server's name at the first slash.
    if "@" in str(parts.get("host")) or re.search(r"[^\d,]", str(parts.get("port") or "")):
        unknown = _unknown(plain)
        if unknown:
            raise SettingsError(_about(unknown))
        raise SettingsError(
            "DATABASE_URL is no Postgres URL and no list of keyword=value; in a URL the characters"
            " @ : / % # of a user name or password are written %40 %3A %2F %25 %23"
        )
    return plain


def _without_others(plain: str) -> str:
    """The same without the parameters that only other tools read."""
    if "://" in plain:
        head, question, query = _split(plain)
        kept = [pair for pair in query.split("&") if _key(pair) not in OTHER_TOOLS]
        return head + (question + "&".join(kept) if kept and question else "")
    pairs = list(_PAIR.finditer(plain))
    kept = [pair[0] for pair in pairs if pair[1] not in OTHER_TOOLS]
    whole = "".join(pair[0] for pair in pairs) == plain
    return "".join(kept).strip() if whole and len(kept) < len(pairs) else plain


def _split(plain: str) -> tuple[str, str, str]:
    """What stands before the parameters of a URL, the question mark, the parameters."""
    scheme, _, rest = plain.partition("://")
    name = re.match(r"[^/]*@", rest)  # a password may hold a question mark
    start = len(name[0]) if name else 0
    before, question, query = rest[start:].partition("?")
    return f"{scheme}://{rest[:start]}{before}", question, query


def _key(pair: str) -> str:
    return unquote(pair.partition("=")[0])


def _known() -> set[str]:
    """Every parameter of libpq, and the one of JDBC that it takes in URLs."""
    defaults = psycopg.pq.Conninfo.get_defaults()
    return {option.keyword.decode() for option in defaults} | {"ssl"}


def _unknown(plain: str) -> list[str]:
    """Names of parameters that libpq does not know, where they can be no part of a password."""
    known = _known()
    if "://" in plain:
        query = _split(plain)[2]
        found = [] if "@" in query else [_key(pair) for pair in query.split("&")]
    else:
        keys = [pair[1] for pair in _PAIR.finditer(plain)]
        # What follows an unquoted password may be its second word.
        found = [key for before, key in zip(["", *keys], keys, strict=False)
                 if before != "password"]  # fmt: skip
    return [key for key in found if key not in known and _NAME.fullmatch(key)]


def _about(unknown: Iterable[str]) -> str:
    names = list(dict.fromkeys(unknown))
    one = len(names) == 1
    text = (
        f"DATABASE_URL has the parameter{'' if one else 's'} {', '.join(names)}, which libpq does"
        f" not know: take {'it' if one else 'them'} out"
    )
    meant = [near for name in names for near in difflib.get_close_matches(name, _known(), 1)]
    return f"{text}, or write {', '.join(meant)}" if meant else text
