"""One wish, one object: the requests that carry it, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping
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
from connector.intercom.writes import conflict, is_of_the_body, object_of
from connector.push.outbox.results import Result
from connector.push.outbox.wish import Wish
from connector.push.sending import contacts
from connector.push.sending.context import Sending
from connector.push.sending.forgotten import forgotten_contact
from connector.push.sending.judging import fields_of, judged, refused, words
from connector.warehouse.privacy.wishes import FORGOTTEN

PAUSES = (60.0, 600.0, 3600.0)
"""Seconds after which an event whose contact Intercom does not know is sent again."""
AGAIN_AFTER = 60.0  # seconds, where Intercom did not answer
MOST_ATTEMPTS = 8


async def send(sending: Sending, wish: Wish) -> Result:
    """Carry out one wish.

    Raises TokenRefusedError and NotPermittedError: no other wish would fare better.
    """
    try:
        return await _HOW[wish.kind](sending, wish)
    except TokenRefusedError:
        raise
    except MergedError as error:
        if error.merged_into and wish.attempts < MOST_ATTEMPTS:  # it lives on under another id
            return Result(wish, "waiting", "merged", words(error), object_id=error.merged_into)
        return Result(wish, "failed", "not_found", words(error), hinted=True)
    except NotFoundError as error:
        return Result(wish, "failed", "not_found", words(error), hinted=True)
    except RetryExhaustedError as error:
        return _unanswered(wish, error)
    except NotPermittedError as error:
        if not is_of_the_body(error):
            raise
        return refused(wish, error)
    except BadAnswerError as error:
        return Result(wish, "failed", "bad_answer", words(error), hinted=True)
    except IntercomError as error:
        return refused(wish, error)


def _unanswered(wish: Wish, error: RetryExhaustedError) -> Result:
    if wish.attempts >= MOST_ATTEMPTS:
        return Result(wish, "failed", "no_answer", str(error), hinted=True)
    after = AGAIN_AFTER * 2 ** min(wish.attempts - 1, 6)
    return Result(wish, "waiting", wish.error_code or "no_answer", str(error), after=after)


# -- companies, tags, events -----------------------------------------------------------------


async def _company(sending: Sending, wish: Wish) -> Result:
    if wish.op in ("archive", "delete"):
        return await contacts.end(sending, wish)
    fields = fields_of(wish)
    if wish.object_id and (wish.op == "update" or not wish.external_id):
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
    body = fields_of(wish) | ({"id": wish.object_id} if wish.object_id else {})
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
    if forgotten := await forgotten_contact(sending, wish):
        return Result(wish, "failed", FORGOTTEN, object_id=forgotten)
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
        return Result(wish, "failed", "not_found", words(error))
    after = PAUSES[wish.attempts - 1]
    return Result(wish, "waiting", "not_found", words(error), after=after)


def _user(wish: Wish) -> dict[str, Any]:
    return {"user_id": wish.external_id} if wish.external_id else {"email": wish.email}


_HOW = {"contacts": contacts.send, "companies": _company, "tags": _tag, "events": _event}
