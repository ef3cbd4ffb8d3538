"""What was merged of each record, as a digest: lets a pass skip what it has merged before.

The digest is made of the record's JSON text as a list shows it, so nothing need be decoded.
Signatures of files do not count. A digest is stored only together with the rows that the
record became; whoever writes a row from anything but that list takes its digest away. Records
that lists show whole get theirs when they are seen for the second time: a first load is faster
without, and the pass after it has everything to compare anyway.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import cache
from hashlib import sha256

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import insert

from connector.resources.lists import MORE, SPACED_MORE
from connector.resources.resource import Resource, Table
from connector.warehouse.sql.execute import fetch, names_of, scalar
from connector.warehouse.sql.names import Names
from connector.warehouse.sql.rows import own_living
from connector.warehouse.sql.types import TEXTS
from connector.warehouse.state.tables import DIGESTS
from connector.warehouse.values.signatures import INTERCOM, Signatures

VALUES = "links as sent, units by size"


def digest(text: bytes, salt: bytes, signatures: Signatures = INTERCOM) -> int | None:
    """64 bits that stand for the record's content; None if it holds a list that is not whole."""
    if MORE in text or SPACED_MORE in text:  # it changes unseen: such a record is never known
        return None
    if b"?" in text:
        content = signatures.unsigned(text.decode("utf-8", "surrogateescape"))
        text = content.encode("utf-8", "surrogateescape")
    return int.from_bytes(sha256(salt + text).digest()[:8], "big", signed=True)


def salt(table: Table, *circumstances: str) -> bytes:
    """What tells digests of one mapping and its circumstances from those of another: 16 bytes.

    It changes with the declaration of the table, and so with every revision of the mapping.
    """
    return salted(revision(table), *circumstances)


def salted(revision: str, *circumstances: str) -> bytes:
    """The same of what stands for a mapping."""
    return sha256(json.dumps([revision, *circumstances]).encode()).digest()[:16]


@cache
def revision(table: Table) -> str:
    """What stands for how records of this table are mapped: its columns, links and children.

    ``VALUES`` changes when any value of any table is stored otherwise than before.
    """
    told = [
        [
            part.name,
            [
                (c.path, c.name, c.kind.value, c.refers_to, c.zero_is_null, c.names)
                for c in part.columns
            ],
            [(c.name, e.table, e.path, e.prefix) for c in part.columns for e in c.embeds],
            [(link.table, link.path, link.item, *link.halves) for link in part.links],
            [(child.path, child.parent, child.cap) for child in part.children],
            [(t.table.name, t.path) for t in part.derived],
            part.repeats,
        ]
        for part in table.family()
    ]
    return sha256(json.dumps([VALUES, told]).encode()).hexdigest()[:16]


def stored(conn: sa.Connection, table: Table, ids: Sequence[str]) -> dict[str, int]:
    """The digests of these objects, where there are any."""
    query = (
        f"SELECT id, digest FROM {names_of(conn)(DIGESTS.name)}"
        " WHERE table_name = %s AND id = ANY (%s)"
    )
    return dict(fetch(conn, query, [table.name, list(ids)]))


def unknown(conn: sa.Connection, names: Names, resource: Resource) -> int:
    """How many living rows have no digest: a full pass asks for each of them once more."""
    query = (
        f"SELECT count(*) FROM {names(resource.table.name)} o"
        f" WHERE {own_living(resource, 'o')} AND NOT EXISTS"
        f" (SELECT FROM {names(DIGESTS.name)} d WHERE d.table_name = %(name)s AND d.id = o.id)"
    )
    return int(scalar(conn, query, {"name": resource.table.name}))


def note(
    conn: sa.Connection,
    table: Table,
    seen: Mapping[str, int | None],
    outdated: Collection[str],
) -> None:
    """Note what lists showed of merged records, but outdated ones; None takes a digest away."""
    older = set(outdated)
    accepted = {key: value for key, value in seen.items() if key not in older}
    save(conn, table, {k: v for k, v in accepted.items() if v is not None})
    forget(conn, table, [k for k, v in accepted.items() if v is None])


def save(conn: sa.Connection, table: Table, digests: Mapping[str, int]) -> None:
    """Note the digests of records whose rows this transaction writes."""
    if not digests:
        return
    rows = sa.select(
        sa.literal(table.name).label("table_name"),
        sa.func.unnest(sa.literal(list(digests), TEXTS)).label("id"),
        sa.func.unnest(sa.literal(list(digests.values()), sa.ARRAY(sa.BigInteger()))).label(
            "digest"
        ),
    ).subquery()
    new = insert(DIGESTS).from_select(
        ["table_name", "id", "digest"], sa.select(rows).order_by(rows.c.id)
    )
    conn.execute(
        new.on_conflict_do_update(
            index_elements=["table_name", "id"],
            set_={"digest": new.excluded.digest},
            where=DIGESTS.c.digest != new.excluded.digest,
        )
    )


def forget(conn: sa.Connection, table: Table, ids: Iterable[str] | None = None) -> None:
    """Take away the digests of these objects, or of all of a table: they are read again."""
    statement = sa.delete(DIGESTS).where(DIGESTS.c.table_name == table.name)
    if ids is not None:
        keys = list(ids)
        if not keys:
            return
        statement = statement.where(DIGESTS.c.id == sa.any_(sa.literal(keys, TEXTS)))
    conn.execute(statement)
