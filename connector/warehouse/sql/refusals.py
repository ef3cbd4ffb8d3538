"""Why a server lets nobody in, and whether waiting may mend it; connects to nothing.

A refused connection comes without an error code: libpq keeps it to itself. So what is permanent is
told by the server's words, and whatever is not known to be permanent is tried again.
"""

from __future__ import annotations

TWO = "a sync needs two connections at the same time"

# What the server or libpq says, in small letters, and what is to be done about it.
PERMANENT = (
    ("authentication failed", "check user name and password in DATABASE_URL"),
    ("no password supplied", "DATABASE_URL names no password, and the server asks for one"),
    ("pg_hba.conf", "the server lets this user in from elsewhere, or with SSL (sslmode=require)"),
    ("connection is insecure", "add sslmode=require to DATABASE_URL"),
    (
        "server does not support ssl",
        "sslmode asks for SSL, and the server has none",
    ),
    ("certificate", "check sslmode, sslrootcert and sslcert in DATABASE_URL"),
    ("sslmode", "check sslmode in DATABASE_URL"),
    ("ssl connection is required", "add sslmode=require to DATABASE_URL"),
    ("ssl required", "add sslmode=require to DATABASE_URL"),
    ("private key file", "check sslkey in DATABASE_URL"),
    ("channel binding", "check channel_binding in DATABASE_URL"),
    ("authentication method", "check user name, password and require_auth in DATABASE_URL"),
    ("invalid response", "what answers there is no Postgres: check host and port in DATABASE_URL"),
    ("expected authentication request", "what answers there is no Postgres: check host and port"),
    ("unsupported frontend protocol", "what answers there is no Postgres of today"),
    ("unsupported startup parameter", "a pooler refuses it: take it out of DATABASE_URL"),
    ("unrecognized configuration parameter", "check options in DATABASE_URL"),
    ("invalid value for parameter", "check options in DATABASE_URL and the settings of the role"),
    ("permission denied to set parameter", "check options in DATABASE_URL"),
    ("invalid command-line argument", "check options in DATABASE_URL"),
    ("definition of service", "check service in DATABASE_URL"),
    ("invalid connection option", "check DATABASE_URL"),
    ("invalid integer value", "check the numbers in DATABASE_URL"),
    ("bad value for", "check the numbers in DATABASE_URL"),
    ("too many connections for role", f"{TWO}: ALTER ROLE ... CONNECTION LIMIT gives them"),
    ("too many connections for database", f"{TWO}: ALTER DATABASE ... CONNECTION LIMIT gives them"),
    ("not permitted to log in", "ALTER ROLE ... LOGIN lets it in"),
    ("permission denied for database", "GRANT CONNECT ON DATABASE ... TO ... lets it in"),
    ("not currently accepting connections", "ALTER DATABASE ... ALLOW_CONNECTIONS true opens it"),
    ("cannot connect to invalid database", "the database was dropped half: name another one"),
    ("tenant or user not found", "check user name and host in DATABASE_URL"),
    ("no such user", "check the user name in DATABASE_URL"),
    ("no such database", "check the database in DATABASE_URL"),
    ("does not exist", "check DATABASE_URL: user, database and files"),
)

SHORTAGES = (
    "too many clients already",
    "remaining connection slots",
    "too many connections",
    "max_client_conn",
    "max clients reached",
    "max client connections",
    "query_wait_timeout",
)
"""Words of servers and poolers that have no connection left; another session's end mends it."""


def final(reason: str) -> str | None:
    """What is to be done about a refusal that no waiting mends; None where it may pass."""
    words = reason.lower()
    return next((advice for sign, advice in PERMANENT if sign in words), None)


def is_shortage(reason: str) -> bool:
    """Whether there are too few connections, by what the server or pooler says."""
    return any(sign in reason.lower() for sign in SHORTAGES)
