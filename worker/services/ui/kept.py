"""What is kept for a session for a while: a decision until it is confirmed, a report until it is read."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

T = TypeVar("T")

KEPT_S: Final = 15 * 60.0
MOST: Final = 64
"""In all sessions; the oldest makes room."""


class Kept(Generic[T]):
    """Values by a name that nobody guesses, and that only its session can use. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._values: dict[str, tuple[float, str, T]] = {}

    def put(self, sid: str, value: T) -> str:
        """Keep it; its name."""
        name = secrets.token_urlsafe(16)
        with self._lock:
            while len(self._values) >= MOST:
                del self._values[next(iter(self._values))]
            self._values[name] = (self._clock(), sid, value)
        return name

    def get(self, sid: str, name: str) -> T | None:
        """The value; None where there is none, it is too old, or it is another session's."""
        with self._lock:
            since, of, value = self._values.get(name, (0.0, "", None))
        return value if value is not None and of == sid and self._clock() - since <= KEPT_S else None
