"""When to say what may come up with every message: once a while, with how often it did. Pure."""

from __future__ import annotations

from typing import Final

EVERY_S: Final = 60.0
KINDS_MOST: Final = 100
"""Of more kinds at a time none is told apart: names that producers choose may be any number."""


class Remarks:
    """Which remarks are due. Not thread-safe; at worst something is said twice."""

    def __init__(self) -> None:
        self._said_at: dict[str, float] = {}
        self._unsaid: dict[str, int] = {}

    def due(self, kind: str, now: float) -> int:
        """How often it came up since it was last said, this time included; 0 where it is not to be said yet.

        Args:
            now: in seconds, on any clock that does not go back.
        """
        if kind not in self._said_at and len(self._said_at) >= KINDS_MOST:
            kind = ""
        count = self._unsaid.get(kind, 0) + 1
        if now - self._said_at.get(kind, float("-inf")) < EVERY_S:
            self._unsaid[kind] = count
            return 0
        self._said_at[kind], self._unsaid[kind] = now, 0
        return count
