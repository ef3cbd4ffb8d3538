"""One wish, one object: the requests that carry it, and what became of it.

Everything here may be repeated, but creating a lead: Intercom takes a second one. That is sent
once, and a lost reply makes the wish unknown.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from connector.errors import (
    BadAnswerError,
    IntercomError,
    MergedError,
    NotFoundError,
    NotPermittedError,
    RetryExhaustedError,
    TokenRefusedError,
)
from connector.intercom.writes import Conflict, conflict, is_of_the_body, object_of
from connector.push.kinds import KINDS
from connector.push.kinds.values import differences
from connector.push.outbox.claims import UNEQUAL
from connector.push.outbox.results import Result
from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending
from connector.push.sending.lists import unlisted

LISTS = ("tags", "companies")
PAUSES = (60.0, 600.0, 3600.0)
"""Seconds after which an event whose contact Intercom does not know is sent again."""
AGAIN_AFTER = 60.0  # seconds, where Intercom did not answer
READ_AFTER = 1.0  # seconds until what is not as wished is read again
MOST_ATTEMPTS = 8
LONGEST = 7_200.0  # seconds before this attempt in which an earlier one was made


async def send(sending: Sending, wish: Wish) -> Result:
    """Carry out one wish.

    Raises TokenRefusedError and NotPermittedError: no other wish would fare better.
    """
    try:
        return await _HOW[wish.kind](sending, wish)
    except TokenRefusedError:
        raise
    except (NotFoundError, MergedError) as error:
        return Result(wish, "failed", "not_found", _words(error), hinted=True, gone=False)
    except RetryExhaustedError as error:
        return _unanswered(wish, error)
    except NotPermittedError as error:
        if not is_of_the_body(error):
            raise
        return refused(wish, error)
    except BadAnswerError as error:
        return Result(wish, "failed", "bad_answer", _words(error), hinted=True)
    except IntercomError as error:
        return refused(wish, error)


def refused(wish: Wish, error: IntercomError) -> Result:
    """Intercom does not take it, and says why."""
    return Result(wish, "failed", error.code or f"http_{error.status}", _words(error), hinted=True)


def _words(error: IntercomError) -> str:
    return error.message or str(error)


def _unanswered(wish: Wish, error: RetryExhaustedError) -> Result:
    if wish.attempts >= MOST_ATTEMPTS:
        return Result(wish, "failed", "no_answer", str(error), hinted=True)
    after = AGAIN_AFTER * 2 ** min(wish.attempts - 1, 6)
    return Result(wish, "waiting", wish.error_code or "no_answer", str(error), after=after)


# -- contacts --------------------------------------------------------------------------------


async def _contact(sending: Sending, wish: Wish) -> Result:
    if wish.op in ("archive", "delete"):
        return await _end(sending, wish)
    if wish.object_id:
        return await _update(sending, wish, wish.object_id)
    return await _create(sending, wish)


async def _end(sending: Sending, wish: Wish) -> Result:
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
    fields = {**(named or {}), **_fields(wish)}
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
    fields = _fields(wish) | {"role": wish.wished_role}
    for name in ("external_id", "email"):
        value = getattr(wish, name)
        if value and not (is_lead and name == "external_id"):
            fields.setdefault(name, value)
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
        return await _existing(sending, wish, found, error)
    record = object_of(reply)
    key = str(record.get("id"))
    if _lists(wish):
        await sending.record([Result(wish, "sending", wish.error_code, object_id=key)])
        await _set_lists(sending, wish, key)
        record = object_of(await sending.read(f"/contacts/{key}"))
    return await judged(sending, wish, key, record)


async def _existing(sending: Sending, wish: Wish, found: Conflict, error: IntercomError) -> Result:
    """Intercom has one already, and names it."""
    if found.several:
        return Result(wish, "failed", "ambiguous", error.message)
    if found.id is None:
        return refused(wish, error)
    if found.archived:
        if not sending.options.unarchive:
            return Result(wish, "failed", "archived", error.message)
        await sending.write("POST", f"/contacts/{found.id}/unarchive", {})
    elif wish.op == "create" and not await _is_ours(sending, wish, found.id):
        return Result(wish, "failed", "exists", error.message, object_id=found.id)
    if not wish.external_id:
        return await _update(sending, wish, found.id)
    theirs = object_of(await sending.read(f"/contacts/{found.id}")).get("external_id")
    if theirs not in (None, "", wish.external_id):
        told = f"the email belongs to another contact, id {found.id}, external_id {theirs}"
        return Result(wish, "failed", "conflict", told)
    return await _update(sending, wish, found.id, {"external_id": wish.external_id})


async def _is_ours(sending: Sending, wish: Wish, key: str) -> bool:
    """Whether an earlier attempt of this wish may have made it: its reply was lost."""
    created = object_of(await sending.read(f"/contacts/{key}")).get("created_at")
    began = sending.client.clock.likely_now().timestamp() - (wish.age or 0.0)
    return wish.attempts > 1 and isinstance(created, int | float) and created >= began - LONGEST


def _fields(wish: Wish) -> dict[str, Any]:
    return {name: value for name, value in wish.body.items() if name not in LISTS}


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


# -- companies, tags, events -----------------------------------------------------------------


async def _company(sending: Sending, wish: Wish) -> Result:
    if wish.op in ("archive", "delete"):
        return await _end(sending, wish)
    fields = _fields(wish)
    if wish.object_id and wish.op == "update":
        reply = await sending.write("PUT", f"/companies/{wish.object_id}", fields)
    else:
        fields["company_id"] = wish.external_id or fields.get("company_id")
        reply = await sending.write("POST", "/companies", fields)
    record = object_of(reply)
    key = str(record.get("id") or wish.object_id)
    tags: Mapping[str, Any] = wish.body.get("tags") or {}
    for name in tags.get("add") or ():
        await sending.write("POST", "/tags", {"name": name, "companies": [{"id": key}]})
    for name in tags.get("remove") or ():
        untag = {"name": name, "companies": [{"id": key, "untag": True}]}
        await sending.write("POST", "/tags", untag)
    return await judged(sending, wish, key, record, lists=False)


async def _tag(sending: Sending, wish: Wish) -> Result:
    if wish.op == "delete":
        await sending.write("DELETE", f"/tags/{wish.object_id}")
        return Result(wish, "done", object_id=wish.object_id, hinted=True, gone=True)
    body = _fields(wish) | ({"id": wish.object_id} if wish.object_id else {})
    record = object_of(await sending.write("POST", "/tags", body))
    return await judged(sending, wish, str(record.get("id")), record)


async def _event(sending: Sending, wish: Wish) -> Result:
    """202 of a known contact is final; of one that Intercom does not know yet 404."""
    body = dict(wish.body)
    if wish.object_id:
        body["id"] = wish.object_id
    elif wish.external_id:
        body["user_id"] = wish.external_id
    else:
        body["email"] = wish.email
    try:
        await sending.write("POST", "/events", body)
    except (NotFoundError, MergedError) as error:
        return await _without_contact(sending, wish, error)
    except IntercomError as error:
        found = conflict(error)
        if found is None:
            raise
        return Result(wish, "failed", "ambiguous", error.message)
    return Result(wish, "done", object_id=wish.object_id, hinted=True)


async def _without_contact(sending: Sending, wish: Wish, error: IntercomError) -> Result:
    if sending.options.create_missing and (wish.external_id or wish.email):
        named = {"external_id": wish.external_id, "email": wish.email}
        body = {"role": "user"} | {name: value for name, value in named.items() if value}
        try:
            await sending.write("POST", "/contacts", body)
        except IntercomError as refusal:
            if conflict(refusal) is None:
                raise
        await sending.write("POST", "/events", dict(wish.body) | _user(wish))
        return Result(wish, "done")
    if wish.attempts > len(PAUSES):
        return Result(wish, "failed", "not_found", _words(error))
    after = PAUSES[wish.attempts - 1]
    return Result(wish, "waiting", "not_found", _words(error), after=after)


def _user(wish: Wish) -> dict[str, Any]:
    return {"user_id": wish.external_id} if wish.external_id else {"email": wish.email}


_HOW = {"contacts": _contact, "companies": _company, "tags": _tag, "events": _event}


# -- what is shown after it ------------------------------------------------------------------


async def judged(
    sending: Sending, wish: Wish, key: str, record: Mapping[str, Any], *, lists: bool = True
) -> Result:
    """Done where the object is shown as wished, else to be read again."""
    stamp = record.get("updated_at")
    as_of = int(stamp) if isinstance(stamp, int | float) else None
    wrong: list[Any] = list(differences(KINDS[wish.kind], wish.body, record))
    if lists:
        wrong += await unlisted(sending, wish, record)
    if wrong and not sending.options.trust:
        told = "; ".join(map(str, wrong))
        return Result(wish, "sent", UNEQUAL, told, object_id=key, after=READ_AFTER, hinted=True)
    return Result(wish, "done", object_id=key, as_of=as_of, hinted=True, values=flat(wish.body))


def flat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a body by field, custom attributes by their names behind ``custom_``."""
    found = {n: v for n, v in body.items() if n not in (*LISTS, "custom_attributes")}
    attributes = body.get("custom_attributes") or {}
    return found | {f"custom_attributes.{name}": value for name, value in attributes.items()}
