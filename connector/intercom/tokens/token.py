"""One access token: its budget, and what it was seen to be allowed to read."""

from __future__ import annotations

from dataclasses import dataclass, field

from msgspec import Struct

from connector.errors import SettingsError, TokenRefusedError
from connector.intercom.budget import Budget

IN_A_ROW = 3
"""Refusals that close a listing to a token that has read it before: fewer may be of objects."""
SHORT = 8
"""A token of so few characters is a simulator's, may be an ordinary word, and is no secret."""


class Standing(Struct):
    """What a token was seen to be allowed in one listing (requests whose paths are alike)."""

    refusals: int = 0  # since it last succeeded
    has_read: bool = False

    @property
    def is_closed(self) -> bool:
        """Whether it is not worth asking: a scope is missing."""
        return self.refusals >= (IN_A_ROW if self.has_read else 1)


@dataclass(eq=False, slots=True)
class Token:
    """A token, its ``position`` (from 1) in the setting, and the budget that its app has.

    ``refusal`` is why it dropped out; None while it is used. The secret shows in no ``repr``.
    """

    secret: str = field(repr=False)
    budget: Budget = field(repr=False)
    position: int = 1
    refusal: TokenRefusedError | None = None
    _standings: dict[str, Standing] = field(default_factory=dict, repr=False)

    def standing(self, listing: str) -> Standing:
        """What it was seen to be allowed there."""
        return self._standings.setdefault(listing, Standing())

    def hide(self, text: str) -> str:
        """The text without the secret, which a proxy may repeat."""
        return text if len(self.secret) <= SHORT else text.replace(self.secret, "[token]")


def checked(secret: str, name: str = "the access token") -> str:
    """The secret as it is sent; SettingsError, which quotes nothing, if it cannot be one."""
    secret = secret.strip()
    if not secret:
        raise SettingsError(f"{name} is empty")
    if not secret.isascii() or not secret.isprintable() or " " in secret:
        raise SettingsError(f"{name} holds characters that no token has")
    return secret
