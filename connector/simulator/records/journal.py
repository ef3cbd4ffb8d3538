"""Remembers when lists begin to show each change, and which changes tell of themselves.

What a client cannot know yet is no fault of the client: whoever compares must ask here. Knows
kinds, ids and times, no content.
"""

from __future__ import annotations


class Journal:
    """The last change of each object that changed at all, and its last silent one."""

    def __init__(self) -> None:
        self._shown_at: dict[str, dict[str, float]] = {}
        self._silent_at: dict[str, dict[str, float]] = {}

    def note(self, kind: str, id: str, shown_at: float, *, silent: bool) -> None:
        """A change that lists show from `shown_at` on; a silent one moves no updated_at.

        What is announced brings along the silent changes before it.
        """
        self._shown_at.setdefault(kind, {})[id] = shown_at
        silently = self._silent_at.setdefault(kind, {})
        if silent:
            silently[id] = shown_at
        else:
            silently.pop(id, None)

    def unsettled(self, kind: str, since: float) -> list[str]:
        """The ids of which lists asked for at `since` may not have shown the last change."""
        return [id for id, at in self._shown_at.get(kind, {}).items() if at >= since]

    def silent(self, kind: str, since: float) -> list[str]:
        """The ids whose last change moved no updated_at and was not shown before `since`."""
        return [id for id, at in self._silent_at.get(kind, {}).items() if at >= since]
