"""What the headers of a reply tell a budget: the limit, what is left of it, and when to ask again.

``X-RateLimit-Limit``, ``-Remaining`` and ``-Reset`` (Unix seconds) are of the app whose token was
sent, and count in windows of ten seconds.
"""

from collections.abc import Mapping
from email.utils import parsedate_to_datetime

from connector.intercom.budget import Budget, Ticket
from connector.intercom.clock import Clock, parse_date

Headers = Mapping[str, str]


def learn(budget: Budget, ticket: Ticket, status: int, headers: Headers) -> None:
    """Let a budget learn from the reply to the request that it let go."""
    if "html" in headers.get("content-type", "") and status != 429:
        return  # a proxy's page: its silence on limits is not Intercom's
    limit, remaining, reset = (_number(headers, name) for name in ("limit", "remaining", "reset"))
    date = parse_date(headers.get("date"))
    if status == 429:
        after = retry_after(headers, budget.clock)
        budget.refused(ticket, limit, reset, after, date, remaining)
    elif limit is not None or status < 500:
        budget.observe(ticket, limit, remaining, reset, date)


def retry_after(headers: Headers, clock: Clock) -> float | None:
    """The seconds to wait that ``Retry-After`` names, in seconds or as a date; None if none."""
    value = headers.get("retry-after", "").strip()
    try:
        if value.isdigit():
            return float(value)
        date = parse_date(headers.get("date"))
        until = parsedate_to_datetime(value).timestamp()
        return until - (clock.edge_now() if date is None else date)
    except (ValueError, OverflowError):
        return None


def _number(headers: Headers, name: str) -> int | None:
    try:
        return int(float(headers[f"x-ratelimit-{name}"]))
    except (KeyError, ValueError, OverflowError):
        return None
