"""What a refusal means, by what was asked for: the one place that decides it. Pure.

==================  ====================  ==============  ==================  ================
error               a page of a list      an object       a list of one       a feed that only
                                          by id           object or group     hastens
==================  ====================  ==============  ==================  ================
TokenRefused        stop                  stop            stop                stop
NotPermitted        the resource fails    pending         pending             tolerated
NotFound            spoilt                gone            gone                tolerated
Merged              spoilt                gone            gone                tolerated
BadRequest          spoilt                pending         pending             tolerated
RetryExhausted      spoilt, but for 429   pending         pending             the feed fails
BadAnswer           spoilt                pending         pending             the feed fails
Paging, scroll      the resource fails    pending         pending             the feed fails
==================  ====================  ==============  ==================  ================

A spoilt page holds a record that Intercom cannot show: what stands beside it can be had by asking
for less. That a whole list does not exist is never true of what a workspace must have: a 404 to a
list spoils it as a 500 does, and if nothing of it can be had the resource fails. A resource that
is optional and was never read may be closed to the token. Only when each of many objects is
refused is that no matter of the objects.
"""

from __future__ import annotations

from enum import Enum

from connector.errors import (
    BadAnswerError,
    BadRequestError,
    ConnectorError,
    IntercomError,
    MergedError,
    NotFoundError,
    NotPermittedError,
    PagingError,
    RetryExhaustedError,
    ScrollBrokenError,
    ScrollExistsError,
    TokenRefusedError,
)

MANY = 10  # so many objects, none of which can be read, are not bad luck


class Asked(Enum):
    """What a request asked for."""

    PAGE = "a page of a list or search"
    OBJECT = "an object by id"
    LIST_OF_ONE = "a list of one object or group"
    FEED = "a feed that only hastens what full passes find"


class Meaning(Enum):
    """What a refusal means for whoever asked."""

    STOP = "the run ends"
    FAILS = "the resource fails"
    TOLERATED = "it is said, and nothing fails"
    SPOILT = "one record spoils the page"
    PENDING = "that one is read again later"
    GONE = "that one is not there any more"


_GONE = (NotFoundError, MergedError)
_REFUSED = (NotPermittedError, NotFoundError, MergedError, BadRequestError)
_SPOILT = (RetryExhaustedError, BadAnswerError, BadRequestError, *_GONE)
_LISTING = (PagingError, ScrollExistsError, ScrollBrokenError)


def meaning(error: BaseException, asked: Asked) -> Meaning:
    """What the error means; whatever Intercom did not say itself makes the resource fail."""
    if isinstance(error, TokenRefusedError):
        return Meaning.STOP
    if not isinstance(error, IntercomError):
        return Meaning.FAILS
    if asked is Asked.PAGE:
        return Meaning.SPOILT if is_spoilt(error) else Meaning.FAILS
    if asked is Asked.FEED:
        return Meaning.TOLERATED if isinstance(error, _REFUSED) else Meaning.FAILS
    return Meaning.GONE if isinstance(error, _GONE) else Meaning.PENDING


def is_spoilt(error: BaseException) -> bool:
    """Whether a page was refused as if for what stands on it: asking for less may help."""
    if isinstance(error, _LISTING) or not isinstance(error, _SPOILT):
        return False
    return error.status != 429


def is_closed(error: ConnectorError) -> bool:
    """Whether it says that the token may not: what an optional resource may answer."""
    return isinstance(error, NotPermittedError)
