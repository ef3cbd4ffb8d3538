"""Every error of the connector, grouped by what the caller does next; knows nothing else.

::

    ConnectorError                   exit_code says how the process ends
    ├── SettingsError                2  stop: the user must correct something
    ├── WrongWorkspaceError          2  stop: the token opens another workspace than the schema's
    ├── NamesTakenError              2  stop: the schema holds what somebody else made
    ├── AlreadyRunningError          4  stop: another run of this schema is at work
    ├── RowRefusedError              1  make one record pending: the database does not take it
    ├── TooManyDeletesError          1  fail this resource: more would go than is plausible
    ├── ViewsInUseError              1  stop: views cannot be dropped while others need them
    ├── FenceError                   4  stop: another run has taken over, write nothing more
    ├── DatabaseError                5  stop: state is safe, run again when the database is back
    │   ├── DatabaseUnreachableError
    │   ├── DatabaseLostError
    │   ├── DatabaseRefusedError     2  stop: the database or the role does not allow what is needed
    │   ├── SchemaBusyError
    │   ├── SchemaDamagedError       5  stop: somebody changed our tables; the message says what
    │   └── SchemaTooNewError
    └── IntercomError                1  one resource fails, the others go on (unless said otherwise)
        ├── TokenRefusedError        3  stop: the token opens nothing
        ├── NotPermittedError           fail this resource: a scope or the plan is missing
        │   └── WritingNotPermittedError  3  stop: the token may read, but not write
        ├── RetryExhaustedError         try later: everything temporary, after bounded retries
        │   └── ReplyTooLargeError      ask for fewer records: so many do not fit into memory
        ├── NotFoundError               skip this object: Intercom itself says it does not exist
        ├── MergedError                 skip this object: it lives on as ``merged_into``
        ├── BadRequestError             fail this resource: asking again gives the same answer
        ├── BadAnswerError              fail this resource: 200, but not of the promised shape
        ├── SpoiltPageError             go around: one record on the page cannot be shown
        ├── ScrollExistsError           fall back to the list, or try later
        ├── ScrollBrokenError           fall back to the list, or try later
        └── PagingError                 fail this reading: the page tokens cannot be trusted
            └── CursorRefusedError      restart this part: its page token is no longer accepted
                └── TokenGoneError      restart this part: the access token that began it is refused
"""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound="IntercomError")


class ConnectorError(Exception):
    """Base of everything the connector raises on purpose; ``exit_code`` ends the process."""

    exit_code = 1


class SettingsError(ConnectorError):
    """A setting is missing or wrong; the message says which and what would be right."""

    exit_code = 2


class WrongWorkspaceError(ConnectorError):
    """The token opens another workspace than the one pinned in the schema."""

    exit_code = 2


class NamesTakenError(ConnectorError):
    """Relations that the connector did not make bear names that it needs; nothing was changed."""

    exit_code = 2


class AlreadyRunningError(ConnectorError):
    """Another run of this schema holds the lock."""

    exit_code = 4


class TooManyDeletesError(ConnectorError):
    """A complete list omits so much of a table that a fault is likelier than the truth."""


class RowRefusedError(ConnectorError):
    """The database refuses what is to be written, not the writing: of many rows one is too much."""


class ViewsInUseError(ConnectorError):
    """The views cannot be made anew: something hangs on them, or somebody reads them."""


class FenceError(ConnectorError):
    """Another run has taken over this schema: this one must not write any more."""

    exit_code = 4


class DatabaseError(ConnectorError):
    """The warehouse cannot be used now."""

    exit_code = 5


class DatabaseUnreachableError(DatabaseError):
    """The database did not answer at the start."""


class DatabaseLostError(DatabaseError):
    """The database went away during the run and did not come back in time."""


class DatabaseRefusedError(DatabaseError):
    """The database or the role does not allow what is needed, and no waiting mends that."""

    exit_code = 2


class SchemaBusyError(DatabaseError):
    """The schema cannot be upgraded while others use its tables; nothing was changed."""


class SchemaDamagedError(DatabaseError):
    """Tables are not as the connector made them, or keep others from what they are made for."""


class SchemaTooNewError(DatabaseError):
    """The schema was migrated by a newer version of the connector."""


class IntercomError(ConnectorError):
    """Intercom did not give what was asked for.

    ``method`` and ``path`` name the request, ``status`` is the HTTP status (None when no reply
    came), ``code`` and ``message`` are Intercom's own, ``request_id`` is what its support asks
    for, ``hint`` says what to do. ``str()`` is all of it in one line; no token is ever in it.
    """

    hint = ""

    def __init__(
        self,
        message: str = "",
        *,
        method: str = "",
        path: str = "",
        status: int | None = None,
        code: str | None = None,
        request_id: str | None = None,
        hint: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.method = method
        self.path = path
        self.status = status
        self.code = code
        self.request_id = request_id
        if hint is not None:
            self.hint = hint

    def retold(self, kind: type[E]) -> E:
        """The same refusal as another kind of error."""
        return kind(
            self.message,
            method=self.method,
            path=self.path,
            status=self.status,
            code=self.code,
            request_id=self.request_id,
        )

    def __str__(self) -> str:
        where = f"{self.method} {self.path}".strip()
        what = " ".join(str(part) for part in (self.status, self.code) if part is not None)
        told = ": ".join(part for part in (where, what, self.message) if part)
        trace = f" (request id {self.request_id})" if self.request_id else ""
        advice = f"; {self.hint}" if self.hint else ""
        return " ".join(f"{told}{trace}{advice}".split())


class TokenRefusedError(IntercomError):
    """Intercom refuses the token itself, also for GET /me."""

    exit_code = 3
    hint = "check INTERCOM_ACCESS_TOKEN and INTERCOM_REGION: a token opens one region only"


class NotPermittedError(IntercomError):
    """The token is alive but may not do this: a scope is missing, or the plan lacks it."""

    hint = "give the app this permission in Intercom's Developer Hub, or leave the resource out"


class WritingNotPermittedError(NotPermittedError):
    """The token is alive but may not write what was to be written."""

    exit_code = 3
    hint = (
        "give the app of INTERCOM_WRITE_TOKEN this permission in Intercom's Developer Hub: users"
        " and companies, tags and events have permissions of their own to write"
    )


class RetryExhaustedError(IntercomError):
    """A temporary failure outlasted its retries.

    ``attempts`` requests were made; ``retry_after`` is what Intercom asked for, in seconds.
    ``unsent``: no connection was made, so that Intercom cannot have done what was asked.
    """

    hint = "temporary: try again later"
    attempts = 1
    retry_after = 0.0
    unsent = False


class ReplyTooLargeError(RetryExhaustedError):
    """A reply was not read to its end, for fewer records can be asked for; ``size`` in bytes."""

    size = 0


class NotFoundError(IntercomError):
    """Intercom itself (not a proxy) says that the object does not exist."""

    hint = "the object does not exist in this workspace (any more)"


class MergedError(IntercomError):
    """The contact was merged away; ``merged_into`` is the survivor's id, None when not told."""

    hint = "the contact lives on under another id"
    merged_into: str | None = None


class BadRequestError(IntercomError):
    """Intercom refuses the request as such; repeating it is useless."""

    hint = "not temporary: the same request will be refused again"


class BadAnswerError(IntercomError):
    """Intercom answered 200 with JSON that is not of the promised shape."""

    hint = "the answer has not the documented shape; is the base URL Intercom's API?"
    attempts = 1


class SpoiltPageError(IntercomError):
    """A page fails also with a single record on it, and pages without that record do not."""


class ScrollExistsError(IntercomError):
    """Another scroll over companies stays open in this workspace."""

    hint = "one scroll per workspace: end the other tool that reads companies, or try later"


class ScrollBrokenError(IntercomError):
    """The scroll over companies broke off more often than it may be begun again."""

    hint = "temporary: try again later"


class PagingError(IntercomError):
    """Page tokens repeat, point to a foreign host or cannot be followed."""

    hint = "reading on would lose or repeat records without end"


class CursorRefusedError(PagingError):
    """Intercom no longer accepts a ``starting_after`` it gave out."""

    hint = "read this part of the list again from its beginning"


class TokenGoneError(CursorRefusedError):
    """The access token with which this reading began was refused meanwhile; others are left."""

    hint = "read this part again from its beginning, with another token"
