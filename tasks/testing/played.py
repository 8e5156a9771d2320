"""The messages that a test plays, such as results, and who waits for them."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

M = TypeVar("M")


class Played(Generic[M]):
    """The messages of one feed. Thread-safe."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock
        self.told: list[M] = []
        """All of them, in the order in which they came."""
        self._last: dict[str, M] = {}
        self._waiting: dict[str, list[Callable[[M], object]]] = {}

    def tell(self, of: str, message: M) -> M:
        """Play the message about this; the same message."""
        with self._lock:
            self._last[of] = message
            self.told.append(message)
            for call in self._waiting.pop(of, []):
                call(message)
        return message

    def last(self, of: str) -> M | None:
        """The last message about this."""
        return self._last.get(of)

    def forget(self, of: str) -> None:
        """From now on there is none about this, until the next one is played."""
        self._last.pop(of, None)

    def when_told(self, of: str, call: Callable[[M], object]) -> None:
        """Call this with the message about this, now where there is one."""
        with self._lock:
            if (message := self.last(of)) is not None:
                call(message)
            else:
                self._waiting.setdefault(of, []).append(call)
