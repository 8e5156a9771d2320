"""What keeps this worker from following, where operators see it: `aigc status`."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from typing import Final, Protocol

from worker.store.redis_wait import Away

AGAIN_S: Final = 600.0
"""Words that stand are told again: what is in Redis lasts for an hour."""


class Notes(Protocol):
    """Where it is written down; each raises redis.RedisError where Redis is away."""

    def note_trouble(self, owner: str, words: str) -> None: ...
    def forget_trouble(self, owner: str) -> None: ...


class Troubles:
    """Keeps what is written down of this worker up to date. For one thread.

    Args:
        owner: this worker's name by now.
        words: what keeps it from following by now; empty where nothing does.
    """

    def __init__(self, notes: Notes, owner: Callable[[], str], words: Callable[[], str]) -> None:
        self._notes = notes
        self._owner = owner
        self._words = words
        self._told: tuple[str, str] | None = None
        self._told_at = 0.0

    def tell(self) -> None:
        """Write down what has changed. Raises redis.RedisError where Redis is away."""
        words, owner, now = self._words(), self._owner(), time.monotonic()
        if words:
            if self._told != (owner, words) or now - self._told_at > AGAIN_S:
                self._notes.note_trouble(owner, words)
                self._told, self._told_at = (owner, words), now
        elif self._told is not None:
            self._notes.forget_trouble(self._told[0])
            self._told = None

    def close(self) -> None:
        """Take it back, where Redis lets us."""
        if self._told is not None:
            with contextlib.suppress(*Away):
                self._notes.forget_trouble(self._told[0])
