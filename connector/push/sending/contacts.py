"""One wish for a contact: changed, created, archived or deleted by requests of its own.

Everything here may be repeated, but creating a lead: Intercom takes a second one. That is sent
once, and a lost reply makes the wish unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import sqlalchemy as sa

from connector.errors import BadAnswerError, IntercomError, NotFoundError, RetryExhaustedError
from connector.intercom.writes import Conflict, conflict, object_of
from connector.push.outbox.results import Result
from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending
from connector.push.sending.judging import LISTS, fields_of, judged, refused
from connector.warehouse.privacy.wishes import FORGOTTEN, are_forgotten
from connector.warehouse.sql.execute import names_of

SKEW = 3.0  # seconds by which our estimate of Intercom's clock may be off
LONGEST = 7_200.0  # seconds before this attempt in which an earlier one was made


async def send(sending: Sending, wish: Wish) -> Result:
    """Carry out one wish; raises what Intercom refuses it with."""
    if wish.op in ("archive", "delete"):
        return await end(sending, wish)
    if not wish.object_id:
        return await _create(sending, wish)
    try:
        return await _update(sending, wish, wish.object_id)
    except NotFoundError:
        return await _without_object(sending, wish, wish.object_id)


async def _without_object(sending: Sending, wish: Wish, key: str) -> Result:
    """The contact is archived or gone: its keys tell, for an archived one keeps them occupied."""
    if sending.options.unarchive:
        with suppress(NotFoundError):
            await sending.write("POST", f"/contacts/{key}/unarchive", {})
            return await _update(sending, wish, key)
    if wish.op == "upsert" and (wish.external_id or wish.email):
        return await _create(sending, wish)
    told = "it is gone; if it was archived, push --unarchive brings it back"
    return Result(wish, "failed", "not_found", told, hinted=True)


async def end(sending: Sending, wish: Wish) -> Result:
    """Archive or delete a contact or company."""
    path = f"/{wish.kind}/{wish.object_id}"
    try:
        if wish.op == "archive" and wish.kind == "contacts":
            await sending.write("POST", f"{path}/archive", {})
        else:
            await sending.write("DELETE", path)
    except NotFoundError:
        if wish.attempts <= 1 and wish.error_code is None:
            raise
    return Result(wish, "done", object_id=wish.object_id, hinted=True, gone=True)


async def _update(
    sending: Sending, wish: Wish, key: str, named: Mapping[str, Any] | None = None
) -> Result:
    """Change a contact, which gets the key that it is ``named`` by, if it has not got it."""
    fields = {**(named or {}), **fields_of(wish)}
    if fields.get("role") == "lead":  # who is a user never goes back, and who is a lead is one
        del fields["role"]
    record: dict[str, Any] = {}
    if fields or not _lists(wish):
        try:
            record = object_of(await sending.write("PUT", f"/contacts/{key}", fields))
        except IntercomError as error:
            found = conflict(error)
            if found is None or not found.id or found.id == key:
                raise
            told = f"{error.message} (id {found.id})"
            return Result(wish, "failed", "conflict", told, object_id=key, hinted=True)
    if _lists(wish):
        await _set_lists(sending, wish, key)
        record = object_of(await sending.read(f"/contacts/{key}"))
    return await judged(sending, wish, key, record)


async def _create(sending: Sending, wish: Wish) -> Result:
    is_lead = wish.wished_role == "lead"
    fields = fields_of(wish) | {"role": wish.wished_role}
    for name in ("external_id", "email"):
        value = getattr(wish, name)
        if value and not (is_lead and name == "external_id"):
            fields.setdefault(name, value)
    began = sending.client.clock.likely_now().timestamp()
    try:
        reply = await sending.write("POST", "/contacts", fields, repeat=not is_lead)
    except RetryExhaustedError as error:
        if not is_lead or error.unsent or error.status == 429:
            raise
        told = f"{error}; it is looked up once Intercom's search shows it"
        return Result(wish, "unknown", "lost_reply", told)
    except BadAnswerError as error:
        if not is_lead:
            raise
        return Result(wish, "unknown", "lost_reply", str(error))
    except IntercomError as error:
        found = conflict(error)
        if found is None:
            raise
        return await _existing(sending, wish, found, error, began)
    record = object_of(reply)
    key = str(record.get("id"))
    if _lists(wish):
        await sending.record([Result(wish, "sending", wish.error_code, object_id=key)])
        await _set_lists(sending, wish, key)
        record = object_of(await sending.read(f"/contacts/{key}"))
    return await judged(sending, wish, key, record)


async def _existing(
    sending: Sending, wish: Wish, found: Conflict, error: IntercomError, began: float
) -> Result:
    """Intercom has one already, and names it."""
    if found.several:
        return Result(wish, "failed", "ambiguous", error.message)
    if found.id is None:
        return refused(wish, error)
    if await _is_forgotten(sending, found.id):
        return Result(wish, "failed", FORGOTTEN, object_id=found.id)
    if found.archived:
        if not sending.options.unarchive:
            return Result(wish, "failed", "archived", error.message)
        await sending.write("POST", f"/contacts/{found.id}/unarchive", {})
    elif wish.op == "create" and not await _is_ours(sending, wish, found.id, began):
        return Result(wish, "failed", "exists", error.message, object_id=found.id)
    if not wish.external_id:
        return await _update(sending, wish, found.id)
    theirs = object_of(await sending.read(f"/contacts/{found.id}")).get("external_id")
    if theirs not in (None, "", wish.external_id):
        told = f"the email belongs to another contact, id {found.id}, external_id {theirs}"
        return Result(wish, "failed", "conflict", told)
    return await _update(sending, wish, found.id, {"external_id": wish.external_id})


async def _is_forgotten(sending: Sending, key: str) -> bool:
    def look(conn: sa.Connection) -> bool:
        return key in are_forgotten(conn, names_of(conn), [key])

    return await sending.store.do(look)


async def _is_ours(sending: Sending, wish: Wish, key: str, began: float) -> bool:
    """Whether a request of this wish may have made it, whose reply was lost."""
    created = object_of(await sending.read(f"/contacts/{key}")).get("created_at")
    since = began - (LONGEST if wish.attempts > 1 else SKEW)
    return isinstance(created, int | float) and created >= since


def _lists(wish: Wish) -> bool:
    return any(wish.body.get(name) for name in LISTS)


async def _set_lists(sending: Sending, wish: Wish, key: str) -> None:
    """Tags and companies: each a request of its own, which may be repeated."""
    tags: Mapping[str, Any] = wish.body.get("tags") or {}
    directory = sending.directory
    for tag in (await directory.tags(tags.get("add") or (), create=True)).values():
        await sending.write("POST", f"/contacts/{key}/tags", {"id": tag})
    for tag in (await directory.tags(tags.get("remove") or (), create=False)).values():
        await _ignoring_absence(sending, f"/contacts/{key}/tags/{tag}")
    for one in wish.body.get("companies") or ():
        if one.get("remove"):
            company = await directory.known_company(str(one["company_id"]))
            if company:
                await _ignoring_absence(sending, f"/contacts/{key}/companies/{company}")
        else:
            company = await directory.company(str(one["company_id"]), one.get("name"))
            await sending.write("POST", f"/contacts/{key}/companies", {"id": company})


async def _ignoring_absence(sending: Sending, path: str) -> None:
    with suppress(NotFoundError):  # what is to be taken off is not there
        await sending.write("DELETE", path)
