"""Looks at Redis that are shared by whoever asks at the same time."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from typing import Final, Generic, TypeVar

from worker.store.redis_wait import Away

T = TypeVar("T")

KEPT_S: Final = 1.0
"""For so long an answer stands: ten who look at once cost Redis no more than one."""


class Look(Generic[T]):
    """What a function found in Redis, not long ago. Thread-safe: who comes meanwhile waits.

    Args:
        read: looks; a Redis that is away is remembered for `KEPT_S`.
        kept_s: for how long an answer stands.
    """

    def __init__(
        self, read: Callable[[], T], clock: Callable[[], float] = time.monotonic, kept_s: float = KEPT_S
    ) -> None:
        self._kept_s = kept_s
        self._read = read
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: tuple[float, T | Exception] | None = None

    def get(self) -> T:
        """What is found.

        Raises:
            redis.RedisError, OSError: Redis is away, or refuses.
        """
        with self._lock:
            if self._kept is None or self._clock() >= self._kept[0]:
                found = self._look()
                stands_s = KEPT_S if isinstance(found, Exception) else self._kept_s
                self._kept = self._clock() + stands_s, found
            found = self._kept[1]
        if isinstance(found, Exception):
            raise found
        return found

    def _look(self) -> T | Exception:
        try:
            return self._read()
        except Away as error:
            return error.with_traceback(None)


class LateLook(Generic[T]):
    """What takes too long for whoever asks: answered with what was found last, and looked for meanwhile.

    Args:
        read: looks, in a thread of its own.
        first: what is answered until something was found.
        kept_s: for so long nobody looks again.
    """

    def __init__(
        self, read: Callable[[], T], first: T, kept_s: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._kept_s = kept_s
        self._lock = threading.Lock()
        self._found = first
        self._next = float("-inf")

    def get(self) -> T:
        """What was found last; a Redis that is away leaves that as it is."""
        with self._lock:
            if self._clock() >= self._next:
                self._next = self._clock() + self._kept_s
                threading.Thread(target=self._look, name="late look", daemon=True).start()
            return self._found

    def _look(self) -> None:
        with contextlib.suppress(*Away):
            self._found = self._read()
