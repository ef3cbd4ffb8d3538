"""What a notification comes to: an object that may have changed."""

from __future__ import annotations

from msgspec import Struct

WHOLE_LIST = "*"
"""The id of a hint that means the whole list."""


class Hint(Struct, frozen=True):
    """An object that may have changed: a table's name and an id, ``*`` for the whole list.

    ``announced`` is its updated_at as it was told, in whole Unix seconds, of an event when it
    happened; ``gone`` whether it was told that it does not live any more.
    """

    resource: str
    id: str
    announced: int | None = None
    gone: bool = False
