"""What Intercom answers to writes: conflicts, bulk jobs, sizes; knows no table and no wish.

Bulk writes answer 202 with a job of tasks; jobs and tasks have a state, items have none. A write
whose reply is lost may have happened: ``repeat=False`` sends it once, and the caller must look.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    IntercomError,
    NotPermittedError,
    WritingNotPermittedError,
)
from connector.intercom.client import Client
from connector.intercom.responses import Reply
from connector.intercom.retry import ONCE

BULK_VERSION = "Preview"
ENDED = ("completed", "completed_with_errors", "failed")
_ID = re.compile(r"\bid=([0-9a-f]{24}|[0-9]+)\b", re.IGNORECASE)
_SIZE = re.compile(r"maximum number of \w+ per request is ([0-9]+)")


class Conflict(Struct, frozen=True):
    """A 409: the object that exists, None where Intercom does not name it."""

    id: str | None
    archived: bool
    several: bool


class Task(Struct, frozen=True):
    """A part of a bulk job: one request's items."""

    id: str
    state: str
    items: int

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


class Job(Struct, frozen=True):
    """A bulk job as Intercom shows it."""

    id: str
    state: str
    tasks: tuple[Task, ...]

    @property
    def has_ended(self) -> bool:
        return self.state in ENDED


async def write(
    client: Client,
    method: str,
    path: str,
    body: Any = None,
    *,
    repeat: bool = True,
    version: str | None = None,
) -> Reply:
    """Send a write; raises like ``Client.request``, and WritingNotPermittedError.

    ``repeat``: whether it may be sent again when no reply came. A 429 was not processed and is
    repeated in any case.
    """
    retry = None if repeat else ONCE
    try:
        return await client.request(method, path, json=body, version=version, retry=retry)
    except NotPermittedError as error:
        if is_of_the_body(error) or is_closed_job(error):
            raise
        raise error.retold(WritingNotPermittedError) from error


def object_of(reply: Reply) -> dict[str, Any]:
    """The object that a write answers with; empty where it answers with none."""
    try:
        found = reply.json()
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def conflict(error: IntercomError) -> Conflict | None:
    """What a refusal says of an object that exists already; None if it is no conflict."""
    if not isinstance(error, BadRequestError) or error.status != 409:
        return None
    message = error.message.lower()
    found = _ID.search(error.message)
    return Conflict(
        found.group(1) if found else None, "archived" in message, "multiple existing" in message
    )


def largest_size(error: IntercomError) -> int | None:
    """How many items a bulk request may have, where a 422 says so."""
    found = _SIZE.search(error.message.lower()) if error.status == 422 else None
    return int(found.group(1)) if found else None


def is_closed_job(error: IntercomError) -> bool:
    """Whether a bulk request was refused because its job takes no more tasks."""
    return error.status == 403 and "closed" in error.message.lower()


def is_of_the_body(error: IntercomError) -> bool:
    """Whether what was sent is refused, and not the sender: some refusals of values bear a 401."""
    if isinstance(error, NotPermittedError):
        return error.code in ("parameter_invalid", "parameter_not_found")
    return isinstance(error, BadRequestError)


async def bulk(
    client: Client, method: str, path: str, body: Mapping[str, Any], *, repeat: bool
) -> tuple[Job, Reply]:
    """Begin a bulk job, or add a task to one; raises like ``write``, BadAnswerError too."""
    reply = await write(client, method, path, dict(body), repeat=repeat, version=BULK_VERSION)
    return job_of(reply, method, path), reply


async def job(client: Client, path: str) -> Job:
    """A bulk job as it stands; NotFoundError where Intercom knows it no more."""
    reply = await client.request("GET", path, version=BULK_VERSION)
    return job_of(reply, "GET", path)


def job_of(reply: Reply, method: str, path: str) -> Job:
    """The job in a reply; BadAnswerError where it has not the shape of one."""
    found = object_of(reply)
    tasks = found.get("tasks")
    if not isinstance(found.get("id"), str) or not str(found.get("type", "")).endswith("bulk.job"):
        raise BadAnswerError(
            "the reply is no bulk job", method=method, path=path, status=reply.status
        )
    listed = tasks if isinstance(tasks, list) else []
    return Job(
        found["id"],
        str(found.get("state")),
        tuple(
            Task(str(one.get("id")), str(one.get("state")), int(one.get("item_count") or 0))
            for one in listed
            if isinstance(one, dict)
        ),
    )
