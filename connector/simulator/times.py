"""When things happened: growth, import days and bulk seconds; knows no object."""

from __future__ import annotations

from random import Random

DAY = 86_400
# Odd but real: before 1970, far future, and the epoch itself.
ODD_TIMES = (-86_399, -2_208_988_800, 2_738_966_400, 0)


class History:
    """Draws times between the opening of a workspace and now."""

    def __init__(self, random: Random, now: int, years: float) -> None:
        self._random = random
        self.now = now
        self.start = now - int(years * 365.25 * DAY)
        span = now - self.start
        self._import_days = sorted(
            self.start + random.randrange(0, max(1, span - DAY)) for _ in range(6)
        )
        # A bulk update gives many records one and the same second, more than a page can hold.
        self._bulk_seconds = sorted(self.start + int(span * (0.3 + 0.69 * i / 4)) for i in range(5))

    def created(self) -> int:
        """A creation time: more of them lately, some on import days, some in one second."""
        random = self._random
        draw = random.random()
        if draw < 0.08:
            return random.choice(self._import_days) + random.randrange(3600)
        if draw < 0.12:
            return self._import_days[0]
        # Nothing is created in the last minutes: a fresh index has caught up with everything.
        span = self.now - 900 - self.start
        return self.start + int(span * random.random() ** 0.6)

    def updated(self, created: int) -> int:
        """The last change of a record created then: never earlier, mostly lately."""
        random = self._random
        draw = random.random()
        if draw < 0.15:
            second = random.choice(self._bulk_seconds)
            if second >= created:
                return second
        if draw < 0.2:
            return created
        return created + int((self.now - 900 - created) * random.random() ** 0.3)

    def between(self, low: int, high: int) -> int:
        """Any time in between, both ends included."""
        return self._random.randint(low, max(low, high))

    def maybe(self, low: int, high: int, chance: float) -> int | None:
        """A time in between, or null."""
        return self.between(low, high) if self._random.random() < chance else None


def object_id(created: int, machine: str, counter: int) -> str:
    """A 24-hex id; its first eight digits are the second of creation."""
    return f"{created & 0xFFFFFFFF:08x}{machine}{counter & 0xFFFFFF:06x}"
