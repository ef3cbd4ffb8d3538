"""What each search operator means for each type of field; knows single filters, no nesting."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from msgspec import Struct

from connector.simulator.messages import ApiError
from connector.simulator.search.days import LATEST, Span, contains, cut_midnights, day, union
from connector.simulator.search.fields import Field, Probe

Test = Callable[[Probe], bool]
_STRING = {"=", "!=", "IN", "NIN", "~", "!~", "^", "$"}
_NUMBER = {"=", "!=", "IN", "NIN", ">", "<", ">=", "<="}
_ALLOWED = {
    "string": _STRING,
    "text": _STRING,
    "reference": {"=", "!=", "IN", "NIN"},
    "tag": {"=", "!="},
    "boolean": {"=", "!=", "IN", "NIN"},
    "integer": _NUMBER,
    "float": _NUMBER,
}
OPERATORS = _STRING | _NUMBER


class Dates(Struct, frozen=True):
    """How one search matches dates.

    Contacts are matched by the workspace's calendar day up to 2.16 and by the second on Preview;
    conversations by the second, where `>` and `<` are described as "or equal" and the truth is not
    known: `inclusive` chooses.
    """

    by_day: bool
    timezone: str
    inclusive: bool = False
    operators: frozenset[str] = frozenset({"=", "!=", ">", "<", ">=", "<="})
    # Contacts updated near midnight may be missing from day searches: so many seconds around it.
    hole: int = 0

    def spans(self, name: str, operator: str, value: Any) -> list[Span] | None:
        """The seconds that match, or None for `!=` and null values, which are not stretches."""
        if operator not in self.operators:
            raise invalid(f"{operator} is not a valid operator for the Date field {name}")
        if value is None or operator == "NIN":
            return None
        if operator == "IN":
            return union([(_seconds(name, v), _seconds(name, v) + 1) for v in _many(value)])
        second = _seconds(name, value)
        if abs(second) >= LATEST:
            return []
        if self.by_day:
            return self._day_spans(operator, second)
        if operator == "!=":
            return None
        return [self._second_span(operator, second)]

    def _day_spans(self, operator: str, second: int) -> list[Span]:
        try:
            start, end = day(self.timezone, second)
        except (OverflowError, ValueError):
            return []
        span: Span = (None, start)
        if operator != "<":
            span = (start, end) if operator == "=" else (end, None)
        spans = [span]
        return cut_midnights(spans, self.hole) if self.hole else spans

    def _second_span(self, operator: str, second: int) -> Span:
        shift = 1 if self.inclusive else 0
        return {
            "=": (second, second + 1),
            ">": (second + 1 - shift, None),
            "<": (None, second + shift),
            ">=": (second, None),
            "<=": (None, second + 1),
        }[operator]


def invalid(message: str, code: str = "parameter_invalid") -> ApiError:
    """The 400 of a search that Intercom refuses."""
    return ApiError(400, code, message)


def date_test(field: Field, spans: list[Span] | None, operator: str, value: Any) -> Test:
    """A filter on a date that has no index."""
    read = field.read
    if spans is not None:
        return lambda probe: isinstance(at := read(probe), int) and contains(spans, at)
    if operator == "NIN":
        unwanted = [_seconds("", one) for one in _many(value)]
        return lambda probe: read(probe) not in unwanted
    wanted = None if value is None else _seconds("", value)
    if operator == "!=":
        return lambda probe: read(probe) != wanted
    return lambda probe: wanted is None and operator == "=" and read(probe) is None


def scalar_test(name: str, field: Field, operator: str, value: Any) -> Test:
    """A filter on a field of any type but date."""
    if operator not in _ALLOWED[field.type]:
        raise invalid(f"{operator} is not a valid operator for the field {name}")
    if operator in ("IN", "NIN"):
        wanted = [_coerce(name, field.type, one) for one in _many(value)]
        among = _one_of(field, wanted)
        return among if operator == "IN" else lambda probe: not among(probe)
    return _single(field, operator, _coerce(name, field.type, value))


def _single(field: Field, operator: str, wanted: Any) -> Test:
    read = field.read
    if operator == "=":
        return _one_of(field, [wanted])
    if operator == "!=":
        same = _one_of(field, [wanted])
        return lambda probe: not same(probe)
    if operator in ("~", "!~", "^", "$"):
        return _text(read, operator, "" if wanted is None else str(wanted).lower())
    return _ordered(read, operator, wanted)


def _one_of(field: Field, wanted: list[Any]) -> Test:
    read = field.read
    if field.type == "text":
        # Bodies are matched by word: "support" finds, "need support" never does.
        words = [str(one).lower() for one in wanted]
        return lambda probe: any(word in _words(read(probe)) for word in words)
    if field.type in ("reference", "tag"):
        return lambda probe: any(one in wanted for one in read(probe))
    if field.type == "string":
        folded = [one.lower() if isinstance(one, str) else one for one in wanted]
        return lambda probe: _folded(read(probe)) in folded
    return lambda probe: read(probe) in wanted


def _folded(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _words(body: Any) -> set[str]:
    return set(re.findall(r"\w+", re.sub(r"<[^>]*>", " ", body or "").lower()))


def _text(read: Callable[[Probe], Any], operator: str, wanted: str) -> Test:
    def test(probe: Probe) -> bool:
        text = str(read(probe) or "").lower()
        if operator == "^":
            return text.startswith(wanted)
        if operator == "$":
            return text.endswith(wanted)
        return (wanted in text) == (operator == "~")

    return test


def _ordered(read: Callable[[Probe], Any], operator: str, wanted: Any) -> Test:
    def test(probe: Probe) -> bool:
        value = read(probe)
        if not isinstance(value, int | float) or wanted is None:
            return False
        if operator == ">":
            return bool(value > wanted)
        if operator == "<":
            return bool(value < wanted)
        return bool(value >= wanted) if operator == ">=" else bool(value <= wanted)

    return test


def _many(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise invalid("The value of IN and NIN must be an array")
    return value


def _seconds(name: str, value: Any) -> int:
    # Digits in a string are as good as a number; nothing else is.
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(value)
    raise invalid(f"{value!r} is not a valid value for the Date field {name}")


def _coerce(name: str, type: str, value: Any) -> Any:
    if value is None:
        return None
    if type == "boolean":
        return _boolean(name, value)
    if name == "id" and value == "":
        return 0  # before every id: a connector in wide use begins its search so
    if type in ("integer", "float"):
        try:
            return float(value) if type == "float" else int(value)
        except (TypeError, ValueError) as error:
            raise invalid(f"{value!r} is not a valid value for the field {name}") from error
    if isinstance(value, list | dict):
        raise invalid(f"The value of {name} must be a single value")
    return str(value)


def _boolean(name: str, value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("true", "false"):
        return bool(value == "true")
    raise invalid(f"{value!r} is not a valid value for the field {name}")
