"""Whether a notification was signed with the app's client secret; pure.

Intercom sends ``X-Hub-Signature: sha1=<hex>``, the HMAC-SHA1 of the body as it was sent
(developers.intercom.com/docs/webhooks/webhook-notifications). There is no time in it, so an old
notification can be sent again for ever: it may cause a reading and nothing else.
"""

from __future__ import annotations

import hmac
from collections.abc import Sequence

HEADER = "X-Hub-Signature"
_PREFIX = "sha1="


def is_signed(body: bytes | bytearray, signature: str | None, secrets: Sequence[bytes]) -> bool:
    """Whether the signature is that of these bytes by one of the secrets; in constant time."""
    if not signature or not signature.startswith(_PREFIX):
        return False
    given = signature[len(_PREFIX) :].strip().lower().encode("utf-8", "replace")
    matches = [hmac.compare_digest(_digest(body, secret), given) for secret in secrets]
    return any(matches)


def _digest(body: bytes | bytearray, secret: bytes) -> bytes:
    return hmac.digest(secret, body, "sha1").hex().encode()
