"""What is shown after a write: done where it is as wished, else to be read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from connector.errors import IntercomError
from connector.push.kinds import KINDS
from connector.push.kinds.values import differences
from connector.push.outbox.claims import UNEQUAL
from connector.push.outbox.results import Result
from connector.push.outbox.wish import Wish
from connector.push.sending.context import Sending
from connector.push.sending.lists import unlisted

LISTS = ("tags", "companies")
READ_AFTER = 1.0  # seconds until what is not as wished is read again


async def judged(
    sending: Sending, wish: Wish, key: str, record: Mapping[str, Any], *, lists: bool = True
) -> Result:
    """Done where the object is shown as wished, else to be read again."""
    stamp = record.get("updated_at")
    as_of = int(stamp) if isinstance(stamp, int | float) else None
    wrong: list[Any] = list(differences(KINDS[wish.kind], _lasting(wish.body), record))
    if lists:
        wrong += await unlisted(sending, wish, record)
    if wrong and not sending.options.trust:
        told = "; ".join(map(str, wrong))
        return Result(wish, "sent", UNEQUAL, told, object_id=key, after=READ_AFTER, hinted=True)
    return Result(wish, "done", object_id=key, as_of=as_of, hinted=True, values=flat(wish.body))


def _lasting(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Without a lead's role: who is a user by now never goes back to being one."""
    return {n: v for n, v in body.items() if (n, v) != ("role", "lead")}


def flat(body: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a body by field, custom attributes as ``custom_attributes.<name>``."""
    found = {n: v for n, v in body.items() if n not in (*LISTS, "custom_attributes")}
    attributes = body.get("custom_attributes") or {}
    return found | {f"custom_attributes.{name}": value for name, value in attributes.items()}


def fields_of(wish: Wish) -> dict[str, Any]:
    """What of a body goes with the object itself; tags and companies are requests of their own."""
    return {name: value for name, value in wish.body.items() if name not in LISTS}


def refused(wish: Wish, error: IntercomError) -> Result:
    """Intercom does not take it, and says why."""
    return Result(wish, "failed", error.code or f"http_{error.status}", words(error), hinted=True)


def words(error: IntercomError) -> str:
    """Intercom's own, as far as it gave any."""
    return error.message or str(error)
