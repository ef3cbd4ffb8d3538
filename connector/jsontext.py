"""Reads JSON text as exactly as it was sent; knows nothing of who sent it.

The fast decoder keeps integers of any practical size exact and costs about 0.5 ms for a page of
250 kB. It refuses what Intercom's customers do get into their data: lone surrogates, NaN and
Infinity, numbers past a double. Such a body is read again by the patient decoder of the standard
library, so that one odd value never costs a page.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypedDict, TypeVar
from uuid import uuid4

import msgspec


class HugeFloat(float):
    """A number past a double: infinite, but printed as it was sent."""

    def __new__(cls, text: str) -> HugeFloat:
        return super().__new__(cls, text)

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


class Head(msgspec.Struct):
    """What a record tells of itself first: which object it is, since when, and how old a copy."""

    id: Any = None
    created_at: Any = None
    updated_at: Any = None


T = TypeVar("T")
Buffer = bytes | bytearray | memoryview | msgspec.Raw
_fast = msgspec.json.Decoder()
_head = msgspec.json.Decoder(Head)
_skim = msgspec.json.Decoder(msgspec.Raw)
_MARK = uuid4().hex  # in no text that anybody sends
_HUGE = re.compile(f'"{_MARK}([^"]*)"')
_REFUSALS = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def decode(body: bytes) -> Any:
    """The value of a JSON text, integers exact at any size; ValueError if it is no JSON.

    Lone surrogates, NaN and Infinity come back as Python knows them, numbers past a double as
    HugeFloat, bytes that are not UTF-8 as lone surrogates, integers of more than 4,300 digits as
    their text: the caller cleans them.
    """
    try:
        return _fast.decode(body)
    except _REFUSALS:
        return _decode_patiently(body)


def is_complete(body: bytes) -> bool:
    """Whether the body is one whole JSON text (cut-off bodies and HTML are not); 0.1 ms a page."""
    try:
        _skim.decode(body)
    except _REFUSALS:
        return _is_complete_patiently(body)
    return True


def split(
    body: bytes, keys: Sequence[str], others: Sequence[str]
) -> tuple[dict[str, Any] | None, list[bytes] | None]:
    """What an object holds under the keys ``others``, and the text of each element of its list.

    The list stands under the first of ``keys`` that the object has. None for the object if the
    body is none, for the list if there is none. ValueError if the body is no JSON.
    """
    try:
        found = _splitter(tuple(keys), tuple(others)).decode(body)
    except _REFUSALS:
        return _split_patiently(_decode_patiently(body, _marked), keys, others)
    fields = {name: value for name, value in found.items() if name not in keys}
    listed = next((found[key] for key in keys if key in found), None)
    return fields, None if listed is None else [bytes(text) for text in listed]


@cache
def _splitter(
    keys: tuple[str, ...], others: tuple[str, ...]
) -> msgspec.json.Decoder[dict[str, Any]]:
    """Decodes these keys of an object, the elements of its lists not; what else it has is left."""
    lists: dict[str, Any] = dict.fromkeys(keys, list[msgspec.Raw] | None)
    wanted = lists | dict.fromkeys(others, Any)
    shape = TypedDict("shape", wanted, total=False)  # type: ignore[misc]
    return msgspec.json.Decoder(shape)


def fields(text: Buffer, names: tuple[str, ...]) -> dict[str, Buffer]:
    """The texts of these fields of an object, undecoded; ValueError if it is no JSON object.

    What else stands in it costs no memory, however much it is. In a text that only the patient
    decoder reads, objects within it keep the same fields, and lists are left out.
    """
    try:
        return _outliner(names).decode(text)
    except _REFUSALS:
        found = _decode_patiently(bytes(text), keep=_keeper(frozenset(names)))
    if not isinstance(found, dict):
        raise ValueError("the text is no object")
    try:
        return {name: escaped(value) for name, value in found.items()}
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def _keeper(names: frozenset[str]) -> Callable[[list[tuple[str, Any]]], dict[str, Any]]:
    empty = dict[str, Any]()  # one for all of the many that hold none of these fields

    def keep(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        return {k: v for k, v in pairs if k in names and not isinstance(v, list)} or empty

    return keep


@cache
def _outliner(names: tuple[str, ...]) -> msgspec.json.Decoder[dict[str, Buffer]]:
    shape = TypedDict("shape", dict.fromkeys(names, msgspec.Raw), total=False)  # type: ignore[misc]
    return msgspec.json.Decoder(shape)


def _split_patiently(
    value: Any, keys: Sequence[str], others: Sequence[str]
) -> tuple[dict[str, Any] | None, list[bytes] | None]:
    if not isinstance(value, dict):
        return None, None
    fields = {name: value[name] for name in others if name in value}
    listed = next((value[key] for key in keys if key in value), None)
    if not isinstance(listed, list):
        return fields, None
    # Escaped, what the fast decoder refuses can be read again by the patient one.
    return fields, [escaped(element) for element in listed]


def escaped(value: Any) -> bytes:
    """The value as JSON text, also what ``encode`` refuses."""
    return _HUGE.sub(r"\1", json.dumps(value)).encode()


def head(record: bytes) -> Head:
    """These fields of a record's JSON text, the rest undecoded; ValueError if it is no object."""
    try:
        return _head.decode(record)
    except _REFUSALS:
        fields = decode(record)
    if not isinstance(fields, dict):
        raise ValueError("the record is no object")
    return Head(fields.get("id"), fields.get("created_at"), fields.get("updated_at"))


def shaped(shape: type[T]) -> Callable[[bytes], T | None]:
    """What reads of a JSON text only what has this shape; None where it has another."""
    decoder = msgspec.json.Decoder(shape)

    def read(text: bytes) -> T | None:
        try:
            return decoder.decode(text)
        except _REFUSALS:
            return None

    return read


def encode(value: Any) -> bytes:
    """The value as compact JSON text."""
    return msgspec.json.encode(value)


def _decode_patiently(
    body: bytes,
    parse_float: Callable[[str], Any] | None = None,
    keep: Callable[[list[tuple[str, Any]]], Any] | None = None,
) -> Any:
    text = body.decode("utf-8-sig", "surrogateescape")
    numbers: dict[str, Any] = {"parse_int": _integer, "parse_float": parse_float or _float}
    try:
        return json.loads(text, strict=False, object_pairs_hook=keep, **numbers)
    except RecursionError as error:
        raise ValueError("JSON nested too deeply") from error


def _is_complete_patiently(body: bytes) -> bool:
    try:
        _decode_patiently(body)
    except ValueError:
        return False
    return True


def _float(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else HugeFloat(text)


def _marked(text: str) -> float | str:
    """The number, or past a double a text that can be made a number again."""
    value = float(text)
    return value if math.isfinite(value) else f"{_MARK}{text}"


def _integer(digits: str) -> int | str:
    # Python refuses to convert more than 4,300 digits, as a guard against slow conversions.
    try:
        return int(digits)
    except ValueError:
        return digits
