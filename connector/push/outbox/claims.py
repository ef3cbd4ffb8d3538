"""Takes what is due to be sent, so that each object has one wish under way at a time.

Intercom promises no order across requests: two changes of one contact must not be in flight
together. An event waits for its contact.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from msgspec import Struct

from connector.errors import SchemaDamagedError
from connector.push.kinds import COMPANIES, CONTACTS, EVENTS
from connector.push.outbox.identities import DUE
from connector.push.outbox.wish import UNFINISHED, Wish, columns, none_other, select
from connector.warehouse.schema import damage
from connector.warehouse.sql.execute import execute, fetch, names_of, scalar, scalars
from connector.warehouse.sql.names import literal
from connector.warehouse.state.tables import OUTBOX

UNEQUAL = "unequal"
"""Why a wish is sent once more, singly: it was carried by a bulk request and is not there."""
UNDER_WAY = "u.state IN ('sending', 'sent', 'unknown')"
_OPEN = f"o.state IN {UNFINISHED}"
_LOOKED_UP = (
    "(o.state = 'unknown' AND o.sent_at <= clock_timestamp() - make_interval(secs => %(s)s)"
    f" AND {DUE})"
)


T = TypeVar("T")
MANY = 500  # wishes: with more of them each row is not compared with each


def hashed(conn: sa.Connection, work: Callable[[sa.Connection], T], many: bool = True) -> T:
    """What the work returns, whose joins are hashed where there are many rows.

    Of an outbox that was filled a moment ago PostgreSQL knows nothing: it takes it for empty, and
    compares each row with each.
    """
    if not many:
        return work(conn)
    execute(conn, "SET LOCAL enable_nestloop = off")
    done = work(conn)  # what fails rolls the setting back
    execute(conn, "SET LOCAL enable_nestloop TO DEFAULT")
    return done


class Group(Struct, frozen=True):
    """What is claimed together: of which kind, and what can go by which bulk request."""

    kind: str
    where: str


# What a bulk request does not carry it passes over in silence. A role that the contact has is no
# change of it. A lead is created singly: it has no uniqueness at Intercom.
_ROLE_IS = (
    "(NOT o.body ? 'role' OR EXISTS (SELECT FROM {contacts} c WHERE c.id = o.object_id"
    " AND c.role = o.body ->> 'role'))"
)
# What bulk carried in vain goes singly, and what it could not carry after some tries.
_BULK = f"o.error_code IS DISTINCT FROM {literal(UNEQUAL)} AND o.attempts < 3"


def bulk_groups(conn: sa.Connection) -> dict[str, Group]:
    """What bulk requests can carry, by which of them."""
    contacts = names_of(conn)("contacts")
    changed = (
        f"{_BULK} AND o.op IN ('upsert', 'update') AND o.object_id IS NOT NULL"
        f" AND NOT o.body ?| ARRAY['signed_up_at', 'last_seen_at']"
        f" AND {_ROLE_IS.format(contacts=contacts)}"
    )
    created = (
        f"{_BULK} AND o.op IN ('upsert', 'create') AND o.object_id IS NULL"
        " AND coalesce(o.body ->> 'role', o.role, 'user') = 'user'"
    )
    company = f"{_BULK} AND o.op IN ('upsert', 'create') AND o.external_id IS NOT NULL"
    company += " AND NOT coalesce(o.body, '{}') ? 'tags'"
    return {
        "update": Group("contacts", changed),
        "create": Group("contacts", created),
        "companies": Group("companies", company),
        "delete": Group("contacts", f"{_BULK} AND o.op = 'delete' AND o.object_id IS NOT NULL"),
    }


class Terms(Struct, frozen=True):
    """What may be claimed: deletes, and only what was sent before (as ``serve`` does)."""

    deletes: bool = False
    only_begun: bool = False

    @property
    def where(self) -> str:
        found = f"o.state = 'waiting' AND {DUE}"
        if not self.deletes:
            found += " AND (o.op <> 'delete' OR o.attempts > 0)"
        if self.only_begun:
            found += " AND o.attempts > 0"
        return found


def _free(conn: sa.Connection, kind: str) -> str:
    """Nothing else for the object is under way, and nothing older waits."""
    if kind == "events":
        return none_other(conn, "'contacts'", f"u.state IN {UNFINISHED}")
    if kind == "tags":
        return "true"
    older = f"({UNDER_WAY} OR (u.state = 'waiting' AND u.id < o.id))"
    return none_other(conn, literal(kind), older)


def due(conn: sa.Connection, group: Group, terms: Terms, most: int) -> list[int]:
    """The first wishes of a group that are due, by their numbers."""
    query = f"SELECT o.id {_due(conn, group, terms)} ORDER BY o.id LIMIT {most}"
    return hashed(conn, lambda conn: scalars(conn, query))


def claim(conn: sa.Connection, group: Group, terms: Terms, most: int) -> list[Wish]:
    """The first wishes of a group that are due, which are being sent from now on."""
    return take(conn, due(conn, group, terms, most))


def take(conn: sa.Connection, ids: Sequence[int]) -> list[Wish]:
    """Those of these wishes that still wait, which are being sent from now on.

    Only what is noted as being sent may be: a trigger of others may think otherwise. Raises
    SchemaDamagedError where nothing of what waits can be noted.
    """
    rows = fetch(
        conn,
        f"UPDATE {names_of(conn)('outbox')} o SET state = 'sending', attempts = o.attempts + 1,"
        " sent_at = clock_timestamp(), not_before = NULL"
        # Should another push have come in meanwhile, it has what it has taken.
        " WHERE o.id = ANY(%(ids)s) AND o.state = 'waiting'"
        f" RETURNING {columns(conn)}",
        {"ids": list(ids)},
    )
    wishes = [wish for wish in (Wish(*row) for row in rows) if wish.state == "sending"]
    if ids and not wishes and scalar(conn, _STAY.format(names_of(conn)("outbox")), {"ids": ids}):
        raise SchemaDamagedError(
            "what waits in the outbox cannot be noted as being sent, so nothing of it was:"
            f" {damage.keeping(conn, OUTBOX.name)}; take that away and push again"
        )
    return sorted(wishes, key=lambda one: one.id)


def held_up(conn: sa.Connection) -> dict[str, int | None]:
    """How many wishes wait because another one for their object is not ended, and one of them."""
    free = {
        kind.name: none_other(conn, literal(kind.name), UNDER_WAY) for kind in (CONTACTS, COMPANIES)
    }
    free[EVENTS.name] = _free(conn, EVENTS.name)
    outbox = names_of(conn)("outbox")
    due = " UNION ALL ".join(
        f"SELECT o.id FROM {outbox} o WHERE o.state = 'waiting' AND o.kind = {literal(kind)}"
        f" AND {where}"
        for kind, where in free.items()
    )
    query = (
        f"SELECT count(*), min(w.id) FROM {outbox} w LEFT JOIN ({due}) d ON d.id = w.id"
        " WHERE w.state = 'waiting' AND w.kind <> 'tags' AND d.id IS NULL"
    )
    [(number, example)] = hashed(conn, lambda conn: fetch(conn, query))
    return {"held_up": number, "held_up_example": example}


_STAY = "SELECT EXISTS (SELECT FROM {} WHERE id = ANY(%(ids)s) AND state = 'waiting')"


def _due(conn: sa.Connection, group: Group, terms: Terms) -> str:
    return (
        f"FROM {names_of(conn)('outbox')} o WHERE {terms.where}"
        f" AND o.kind = {literal(group.kind)} AND {group.where} AND {_free(conn, group.kind)}"
    )


def may_create_leads(conn: sa.Connection) -> bool:
    """Whether a wish waits that creates a lead, as far as the mirror and the outbox know."""
    where = f"o.state = 'waiting' AND {_IS_NEW_LEAD}"
    query = f"SELECT EXISTS (SELECT FROM {names_of(conn)('outbox')} o WHERE {where})"
    return bool(scalar(conn, query))


def waiting_deletes(conn: sa.Connection) -> int:
    """How many wishes wait to delete something."""
    where = "o.state = 'waiting' AND o.op = 'delete'"
    found: int = scalar(conn, f"SELECT count(*) FROM {names_of(conn)('outbox')} o WHERE {where}")
    return found


_IS_NEW_LEAD = (
    "(o.kind = 'contacts' AND o.object_id IS NULL AND o.op IN ('upsert', 'create')"
    " AND coalesce(o.body ->> 'role', o.role, 'user') = 'lead')"
)


def interrupted_leads(conn: sa.Connection) -> list[int]:
    """Wishes to create a lead that were being sent when a push ended: ``recover`` doubts them."""
    query = f"SELECT o.id FROM {names_of(conn)('outbox')} o WHERE o.state = 'sending'"
    return scalars(conn, f"{query} AND {_IS_NEW_LEAD} ORDER BY o.id")


def recover(conn: sa.Connection) -> None:
    """What was being sent when a push ended: what is safe waits again, what is not is unknown.

    Creating a lead is not: Intercom takes a second one. What others put into the outbox as sent
    gets a time, without which nobody would ever know that it is late.
    """
    outbox, unsafe = names_of(conn)("outbox"), _IS_NEW_LEAD
    execute(
        conn,
        f"UPDATE {outbox} o SET"
        f" state = CASE WHEN {unsafe} THEN 'unknown' ELSE 'waiting' END,"
        f" error_code = CASE WHEN {unsafe} THEN 'lost_reply' ELSE o.error_code END,"
        f" error = CASE WHEN {unsafe} THEN 'the push ended before the reply came; it is looked up"
        " once Intercom''s search shows it' ELSE o.error END,"
        # Of an event attempts count answers: how often Intercom did not know its contact.
        " attempts = o.attempts - CASE WHEN o.kind = 'events' THEN 1 ELSE 0 END"
        " WHERE o.state = 'sending'",
    )
    execute(
        conn,
        f"UPDATE {outbox} o SET sent_at = clock_timestamp() WHERE o.state IN ('sent', 'unknown')"
        " AND (o.sent_at IS NULL OR o.sent_at > clock_timestamp() + interval '1 hour')",
    )


class Unfinished(Struct, frozen=True):
    """How many wishes are in which state, and of those that wait how many may be sent now."""

    waiting: int
    due: int
    sending: int
    sent: int
    unknown: int


def unfinished(conn: sa.Connection, terms: Terms, without: Collection[int] = ()) -> Unfinished:
    """What is not ended; of what is sent, without these wishes."""
    (row,) = fetch(
        conn,
        "SELECT count(*) FILTER (WHERE o.state = 'waiting'),"
        f" count(*) FILTER (WHERE {terms.where}),"
        " count(*) FILTER (WHERE o.state = 'sending'),"
        " count(*) FILTER (WHERE o.state = 'sent' AND o.id <> ALL(%(without)s)),"
        " count(*) FILTER (WHERE o.state = 'unknown')"
        f" FROM {names_of(conn)('outbox')} o WHERE {_OPEN}",
        {"without": list(without)},
    )
    return Unfinished(*row)


def is_any_begun(conn: sa.Connection, index_lag: float) -> bool:
    """Whether anything that was sent before can be followed, looked up or sent again now."""
    begun = f"o.state IN ('sending', 'sent') OR {Terms(only_begun=True).where} OR {_LOOKED_UP}"
    query = f"SELECT EXISTS (SELECT FROM {names_of(conn)('outbox')} o WHERE {_OPEN} AND ({begun}))"
    return bool(scalar(conn, query, {"s": float(index_lag)}))


class Sent(Struct, frozen=True):
    """What was sent singly, or by one of these jobs that ended.

    ``without`` are wishes of which what became of them could not be noted.
    """

    where: ClassVar[str] = (
        "o.state = 'sent' AND (o.job_id IS NULL OR o.job_id = ANY(%(jobs)s))"
        " AND o.id <> ALL(%(without)s)"
    )
    jobs: Sequence[str]
    without: Collection[int] = ()

    @property
    def parameters(self) -> dict[str, Any]:
        """Of ``where``."""
        return {"jobs": list(self.jobs), "without": list(self.without)}


def sent(conn: sa.Connection, of: Sent, most: int, after: int = 0) -> list[Wish]:
    """What is to be read back now."""
    where = f"{of.where} AND o.id > %(after)s AND {DUE}"
    return select(conn, where, of.parameters | {"after": after}, most)


def next_reading(conn: sa.Connection, of: Sent) -> float | None:
    """In how many seconds something is to be read back that is carried by no running job."""
    found = scalar(
        conn,
        "SELECT extract(epoch FROM min(coalesce(o.not_before, now())) - clock_timestamp())::float8"
        f" FROM {names_of(conn)('outbox')} o WHERE {of.where}",
        of.parameters,
    )
    return None if found is None else max(0.0, found)


def latest_sent(conn: sa.Connection, kind: str, of: Sent, most: int) -> list[Wish]:
    """The wishes of a kind that were sent last."""
    outbox = names_of(conn)("outbox")
    where = (
        f"o.id IN (SELECT o.id FROM {outbox} o WHERE {of.where} AND o.kind = %(kind)s"
        f" AND o.object_id IS NOT NULL ORDER BY o.sent_at DESC LIMIT {most})"
    )
    return select(conn, where, of.parameters | {"kind": kind})


def unknown(conn: sa.Connection, older_than: float) -> list[Wish]:
    """What may have been created, sent longer ago than so many seconds."""
    return select(conn, _LOOKED_UP, {"s": float(older_than)})
