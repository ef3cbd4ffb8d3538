"""Several waiting wishes for one object become one: the newest has the last word, field by field.

What only an older one names is kept. A wish to create is no part of an older one, for it wishes
one more. An object that is archived or deleted needs no change before, and one that is to be
changed is not to be deleted any more.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

import sqlalchemy as sa

from connector.jsontext import encode
from connector.push.outbox.wish import Wish, select
from connector.warehouse.sql.execute import execute, names_of

CHANGES, ENDS = ("upsert", "update", "create"), ("archive", "delete")
_KEY = (
    "coalesce('i ' || {0}.object_id, 'e ' || {0}.external_id, 'm ' || lower({0}.email),"
    " 'n ' || {0}.id)"
)


def join(conn: sa.Connection) -> None:
    """Replace waiting wishes by newer ones for the same object."""
    outbox = names_of(conn)("outbox")
    shared = (
        "o.state = 'waiting' AND o.kind IN ('contacts', 'companies')"
        f" AND (o.kind, {_KEY.format('o')}) IN (SELECT s.kind, {_KEY.format('s')}"
        f" FROM {outbox} s WHERE s.state = 'waiting' AND s.kind IN ('contacts', 'companies')"
        " GROUP BY 1, 2 HAVING count(*) > 1)"
    )
    wishes = sorted(select(conn, shared, {}), key=lambda one: (one.kind, _object(one), one.id))
    for _, some in groupby(wishes, key=lambda one: (one.kind, _object(one))):
        _join(conn, list(some))


def _object(one: Wish) -> str:
    keys = (("i", one.object_id), ("e", one.external_id))
    named = next((f"{name} {key}" for name, key in keys if key is not None), None)
    if named is None and one.email is not None:
        named = f"m {one.email.lower()}"
    return named or f"n {one.id}"


def _join(conn: sa.Connection, wishes: list[Wish]) -> None:
    """The wishes of one object, the oldest first."""
    last, body = wishes[0], wishes[0].body
    replaced = list[tuple[int, int]]()
    for one in wishes[1:]:
        if last.op in CHANGES and one.op in ("upsert", "update"):
            replaced.append((last.id, one.id))
            body = merged(body, one.body)
        elif last.object_id and (one.op in ENDS or one.op in ("upsert", "update")):
            replaced.append((last.id, one.id))
            body = one.body
        else:  # it waits behind the one before
            break
        last = one
    if replaced:
        _write(conn, last, body, _op([one.op for one in wishes if one.id <= last.id]), replaced)


def _op(ops: Iterable[str]) -> str:
    """What is to be done where several things were wished: a create that is changed creates."""
    found = list(ops)
    return "upsert" if "create" in found and found[-1] in CHANGES else found[-1]


def _write(
    conn: sa.Connection,
    last: Wish,
    body: Mapping[str, Any],
    op: str,
    replaced: list[tuple[int, int]],
) -> None:
    outbox = names_of(conn)("outbox")
    execute(
        conn,
        f"UPDATE {outbox} SET body = %(body)s::jsonb, op = %(op)s WHERE id = %(id)s",
        {"body": encode(dict(body)).decode(), "op": op, "id": last.id},
    )
    execute(
        conn,
        f"UPDATE {outbox} SET state = 'done', done_at = clock_timestamp(),"
        " error_code = 'replaced', error = 'replaced by ' || %(by)s WHERE id = ANY(%(ids)s)",
        {"by": str(last.id), "ids": [old for old, _ in replaced]},
    )


def merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """Both bodies in one, the new one's fields before the old one's."""
    body = {**old, **new}
    if old.get("custom_attributes") and new.get("custom_attributes"):
        body["custom_attributes"] = {**old["custom_attributes"], **new["custom_attributes"]}
    if old.get("tags") and new.get("tags"):
        body["tags"] = _merged_tags(old["tags"], new["tags"])
    if old.get("companies") and new.get("companies"):
        by_id = {str(one.get("company_id")): one for one in [*old["companies"], *new["companies"]]}
        body["companies"] = list(by_id.values())
    return body


def _merged_tags(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, list[str]]:
    """Names in any case are one tag; where the newer wish has it, it is."""
    found = dict[str, tuple[str, str]]()
    for tags in (old, new):
        for word in ("add", "remove"):
            for name in tags.get(word) or ():
                found[name.lower()] = (word, name)
    merged = {w: [n for word, n in found.values() if word == w] for w in ("add", "remove")}
    return {word: names for word, names in merged.items() if names}
