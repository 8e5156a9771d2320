"""The gate in front of the queue: while it is closed, the backlog stays in Redis, durable and in order.

Anyone may close it for a reason; it is open when no reason is left. It also counts threads that wait for
a slot of the shared limits: with enough of them waiting, more jobs in hand would only wait here instead
of there.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

ENOUGH_WAITING = 2
"""Threads waiting for a slot that keep the limits busy; more would only hoard jobs."""


class Gate:
    """Whether this process takes jobs from the queue. Thread-safe."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._closed_until: dict[str, float] = {}
        self._waiting = 0
        self.narrow = False
        """Take one message at a time: what this worker sends has not been proven to be right."""

    def close(self, reason: str, seconds: float = float("inf")) -> None:
        """Close for this reason, again or for the first time, for so many seconds from now."""
        with self._changed:
            self._closed_until[reason] = self._clock() + seconds

    def open(self, reason: str) -> None:
        """Take this reason away."""
        with self._changed:
            self._closed_until.pop(reason, None)
            self._changed.notify_all()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Count this thread as waiting for a slot."""
        with self._changed:
            self._waiting += 1
        try:
            yield
        finally:
            with self._changed:
                self._waiting -= 1
                self._changed.notify_all()

    def reasons(self) -> list[str]:
        """Why it is closed now; empty when it is open."""
        with self._changed:
            return self._reasons()

    def wait_open(self, timeout: float) -> bool:
        """Wait at most so many seconds; whether it is open."""
        with self._changed:
            if not self._reasons():
                return True
            ends = [end - self._clock() for end in self._closed_until.values()]
            self._changed.wait(max(0.001, min([timeout, *(end for end in ends if end > 0)])))
            return not self._reasons()

    def _reasons(self) -> list[str]:
        now = self._clock()
        reasons = [reason for reason, end in self._closed_until.items() if end > now]
        if self._waiting >= ENOUGH_WAITING:
            reasons.append("limits")
        return reasons
