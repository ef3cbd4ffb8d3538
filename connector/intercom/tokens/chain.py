"""What keeps the requests of one reading with the token that began it.

A page token is given to an app, and so is the scroll over companies: whether another app may go on
from it is documented nowhere, so nobody tries.
"""

from __future__ import annotations

from msgspec import Struct

from connector.errors import TokenGoneError
from connector.intercom.tokens.token import Token


class Chain(Struct):
    """Requests that belong together: all go with ``token``, once the first was answered.

    ``steady``: the first one goes with the first token that may, for the sake of what was read
    by an earlier run. ``named``: with this token, come what may, also one that dropped out.
    ``binds`` not: they do not belong together.
    """

    token: Token | None = None
    steady: bool = False
    named: bool = False
    binds: bool = True

    def bind(self, token: Token) -> None:
        """The first answer came to this token."""
        if self.binds:
            self.token = self.token or token

    def require(self) -> Token | None:
        """The token that began it, if any has; TokenGoneError if that one was refused since."""
        if self.token and self.token.refusal and not self.named:
            raise TokenGoneError(f"token {self.token.position}, which began this, was refused")
        return self.token


FREE = Chain(binds=False)
"""No chain: each request goes where budget is left."""
