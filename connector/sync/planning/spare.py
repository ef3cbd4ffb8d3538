"""What a run may spend on reading whole what nothing tells the changes of; pure."""

from __future__ import annotations

from datetime import timedelta

from msgspec import Struct

A_NIGHT = timedelta(hours=20)  # lies between two passes, unless they are cheap
AT_EVERY_RUN = 40  # requests: so many a run spends on passes without a night between


class Spare(Struct):
    """Requests that a run may still spend on lists whose changes nothing tells of."""

    requests: int = 0
    days: float = 7  # none of them waits longer

    def affords(self, requests: int, age: timedelta | None) -> bool:
        """Whether a list that costs so many, and was read so long ago, is read whole now."""
        if age is None or age > timedelta(days=self.days) - A_NIGHT:
            return True
        if requests > self.requests:
            return False
        self.requests -= requests
        return True
