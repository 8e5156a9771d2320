"""Tells operators once of an outage of Redis that lasts, whichever thread of this process notices it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

LASTS_S: Final = 10.0
"""A restart of Redis is shorter than this."""


class Reporter(Protocol):
    """Who is told."""

    def redis_away(self, words: str, seconds: float) -> None: ...


class RedisOutage:
    """Whether Redis is away from this process, and since when. Thread-safe.

    A Redis that answers, and refuses something, is the matter of `worker.processing.settlement_guard`.

    Args:
        reporter: told once in each outage, after `LASTS_S`; None where another process tells.
        clock: seconds, monotonic.
    """

    def __init__(self, reporter: Reporter | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._reporter = reporter
        self._clock = clock
        self._lock = threading.Lock()
        self._failing: dict[str, float] = {}
        self._told = False

    def failed(self, asker: str, words: str) -> None:
        """Redis did not answer one who asked; ``words`` say how."""
        now = self._clock()
        with self._lock:
            self._failing.setdefault(asker, now)
            seconds = now - min(self._failing.values())
            if self._told or seconds < LASTS_S:
                return
            self._told = True
        if self._reporter is not None:
            self._reporter.redis_away(words, seconds)

    def answered(self, asker: str) -> None:
        """Redis has answered one who asked; the outage ends once it has answered all whom it had failed."""
        if not self._failing:
            return
        with self._lock:
            self._failing.pop(asker, None)
            self._told = self._told and bool(self._failing)
