"""Where settings stand: the environment over ``.env``, each also as ``NAME_FILE``.

Knows no setting: what is asked for is known, and what else looks like a setting is a slip.
"""

from __future__ import annotations

import difflib
import io
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from connector.errors import SettingsError

D = TypeVar("D", int, None)

PREFIXES = ("CONNECTOR_", "INTERCOM_")
PRIVATE = re.compile("EXCLU|FORGET|DELET|SCRUB|ERAS|REDACT|ANONYM|PRIVA|PERSONAL|GDPR")
"""In a name of ours: who sets it wants something kept out, and must not be passed over."""
ALIKE = 0.75  # of the names without their prefix; whole names must agree more, as most do
WHOLLY_ALIKE = 0.9


class Stray(Struct, frozen=True):
    """A variable that no setting answers to: where it stands, and what it may be meant to be."""

    name: str
    place: str
    near: str | None

    @property
    def is_private(self) -> bool:
        """Whether it looks like one of those that keep personal data out."""
        if self.near:
            return bool(PRIVATE.search(self.near)) or "HASH" in self.near
        ours = self.name.upper()
        words = bool(PRIVATE.search(ours)) or ("HASH" in ours and ours.startswith(PREFIXES[0]))
        return ours.startswith(PREFIXES) and words

    def __str__(self) -> str:
        guess = f": did you mean {self.near}?" if self.near else ""
        return f"no setting is called {self.name} ({self.place}){guess}"


class Source:
    """The environment over ``.env``, read setting by setting."""

    def __init__(self, environ: Mapping[str, str], directory: Path) -> None:
        """SettingsError if there is a ``.env`` that cannot be read."""
        self.asked: set[str] = set()
        self._layers = (dict(environ), dotenv(directory / ".env"))

    def text(self, name: str, default: str = "") -> str:
        """The setting, from ``NAME`` or the file that ``NAME_FILE`` names; trimmed.

        What the environment says, in either way, wins over ``.env``.
        """
        self.asked.add(name)
        for layer in self._layers:
            value, path = layer.get(name), layer.get(f"{name}_FILE", "").strip()
            if value and value.strip() and path:
                raise SettingsError(
                    f"{name} and {name}_FILE are both set; which of them holds? Set only one"
                )
            if path:
                return _clean(_secret(f"{name}_FILE", path), f"{name}_FILE names {path}, which")
            if value is not None:
                return _clean(value, name).strip() or default
        return default

    def number(self, name: str, default: D, least: int = 0, most: int = 1_000_000_000) -> int | D:
        """A whole number from ``least`` to ``most``."""
        value = self.text(name)
        if not value:
            return default
        digits = value.isascii() and value.isdigit() and len(value) < 20
        if not digits or not least <= int(value) <= most:
            raise SettingsError(
                f"{name} must be a whole number from {least} to {most}, not {value!r}"
            )
        return int(value)

    def flag(self, name: str, default: bool) -> bool:
        """1, true, yes, on; or 0, false, no, off."""
        value = self.text(name).lower()
        if not value:
            return default
        if value in ("1", "true", "yes", "on"):
            return True
        if value in ("0", "false", "no", "off"):
            return False
        raise SettingsError(f"{name} must be 1 or 0, not {value!r}")

    # -- what nothing asked for --------------------------------------------------------------

    def strays(self) -> list[Stray]:
        """What looks like a setting and is none, once everything has been asked for."""
        known = self.asked | {f"{name}_FILE" for name in self.asked}
        found: dict[str, Stray] = {}
        for layer, place in zip(self._layers, ("in the environment", "in .env"), strict=True):
            for name, value in layer.items():
                if value.strip() and name not in known and name not in found:
                    stray = Stray(name, place, self._near(name, known))
                    if stray.near or name.upper().startswith(PREFIXES):
                        found[name] = stray
        return sorted(found.values(), key=lambda stray: stray.name)

    def _near(self, name: str, known: set[str]) -> str | None:
        """The setting that a name may be meant to be; other prefixes only if that one is unset."""
        spelt = name.upper().replace("-", "_")
        if spelt in known:
            return spelt
        if spelt.startswith(PREFIXES):
            rests = {_rest(one): one for one in sorted(known) if one.startswith(PREFIXES)}
            near = difflib.get_close_matches(_rest(spelt), rests, 1, ALIKE)
            return rests[near[0]] if near else None
        near = difflib.get_close_matches(spelt, known, 1, WHOLLY_ALIKE)
        return near[0] if near and not self._is_set(near[0]) else None

    def _is_set(self, name: str) -> bool:
        return any(layer.get(name, "").strip() for layer in self._layers)


def _rest(name: str) -> str:
    return name.partition("_")[2]


# -- files -----------------------------------------------------------------------------------


def dotenv(file: Path) -> dict[str, str]:
    """What a ``.env`` sets, {} if there is none; SettingsError names what is wrong with it."""
    if not os.path.lexists(file):
        return {}
    return dict(_bindings(file, _read(file, f"{file.name} (in {_here(file)})")))


def _here(file: Path) -> str:
    try:
        return str(file.parent.resolve())
    except OSError:
        return str(file.parent)


def _bindings(file: Path, text: str) -> Iterator[tuple[str, str]]:
    from dotenv.parser import parse_stream  # most have no such file

    for binding in parse_stream(io.StringIO(text)):
        if binding.error:
            raise SettingsError(
                f"{file.name} (in {_here(file)}), line {binding.original.line}, is neither"
                " NAME=value nor a comment (#); a value with a quote in it stands in quotes"
            )
        if binding.key is not None and binding.value is not None:
            yield binding.key, binding.value


def _secret(setting: str, path: str) -> str:
    text = _read(Path(path), f"{setting} names {path}, which").strip()
    if not text:
        raise SettingsError(f"{setting} names {path}, which is empty")
    return text


def _read(file: Path, what: str) -> str:
    """The text of a file, a byte order mark left out; SettingsError says why it cannot be had."""
    try:
        return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise SettingsError(
            f"{what} is no UTF-8 text (byte {error.start + 1}); save it as UTF-8"
        ) from None
    except PermissionError:
        raise SettingsError(
            f"{what} cannot be read: it belongs to another user, or its mode keeps this one out;"
            " run as its owner, or 'chown' it to the user that runs the sync"
        ) from None
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no such path"
        raise SettingsError(f"{what} cannot be read: {reason or error}") from None


def _clean(value: str, what: str) -> str:
    """The value if it is text; bytes that are no UTF-8 come from the environment as surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        raise SettingsError(f"{what} is no UTF-8 text") from None
    if "\0" in value:
        raise SettingsError(f"{what} holds a NUL character")
    return value
