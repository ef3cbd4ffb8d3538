"""A row of the outbox, and which objects rows mean, as SQL."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import sqlalchemy as sa

from connector.warehouse.sql.execute import fetch, names_of
from connector.warehouse.state.tables import PUSH_JOBS

UNFINISHED = "('waiting', 'sending', 'sent', 'unknown')"


@dataclass(frozen=True)
class Wish:
    """What is wished, and how far it is.

    ``age`` is for how many seconds it may have been carried out: since it was sent, or since the
    job that carries it was seen to have ended. None where it was not sent.
    """

    id: int
    kind: str
    op: str
    role: str | None
    object_id: str | None
    external_id: str | None
    email: str | None
    body: Mapping[str, Any] = field(repr=False)
    state: str
    job_id: str | None
    attempts: int
    error_code: str | None
    error: str | None
    age: float | None

    @property
    def wished_role(self) -> str:
        """Of a contact that is created: a user unless a lead is wished."""
        return str(self.body.get("role") or self.role or "user")

    @property
    def key(self) -> str:
        """How the object is named, for messages."""
        named = (("id", self.object_id), ("external_id", self.external_id), ("email", self.email))
        return next((f"{name} {value}" for name, value in named if value), "nothing")


def columns(conn: sa.Connection) -> str:
    """The columns of a wish, of the outbox's row o."""
    names = [one.name for one in fields(Wish)][:-1]
    found = [
        "CASE jsonb_typeof(o.body) WHEN 'object' THEN o.body ELSE '{}' END"
        if name == "body"
        else f"o.{name}"
        for name in names
    ]
    ended = f"SELECT j.ended_at FROM {names_of(conn)(PUSH_JOBS.name)} j WHERE j.job_id = o.job_id"
    since = f"CASE WHEN o.sent_at IS NOT NULL THEN greatest(o.sent_at, ({ended})) END"
    return ", ".join(found) + f", extract(epoch FROM clock_timestamp() - {since})::float8"


def select(
    conn: sa.Connection, where: str, parameters: Mapping[str, Any], most: int | None = None
) -> list[Wish]:
    """The wishes, in the order in which they were made."""
    limit = "" if most is None else f" LIMIT {most}"
    rows = fetch(
        conn,
        f"SELECT {columns(conn)} FROM {names_of(conn)('outbox')} o WHERE {where}"
        f" ORDER BY o.id{limit}",
        dict(parameters),
    )
    return [Wish(*row) for row in rows]


def same_object(a: str, b: str) -> Sequence[str]:
    """The conditions of which each says that two rows of a kind mean the same object."""
    return (
        f"{a}.object_id = {b}.object_id",
        f"{a}.external_id = {b}.external_id",
        f"lower({a}.email) = lower({b}.email)",
    )


def none_other(conn: sa.Connection, kind: str, which: str) -> str:
    """No other row of the outbox that is so means the object of the row o."""
    table = names_of(conn)("outbox")
    return " AND ".join(
        f"NOT EXISTS (SELECT FROM {table} u WHERE u.kind = {kind} AND {same}"
        f" AND u.id <> o.id AND {which})"
        for same in same_object("u", "o")
    )
