"""How many more jobs may be claimed now: concurrency, the first attempt, slots that all workers share."""

from __future__ import annotations

import math
from typing import Final

from worker.store.slots import SlotWatcher

FULL_LOOK_S: Final = 1.0
"""How often is asked for a shared slot in flight although nobody said that one is free."""


class Admission:
    """Counts; what it counts is told. Not thread-safe.

    While all shared slots in flight (`AIGC_MAX_INFLIGHT`) are taken, one job asks for a slot each time
    that one may be free: when a job of this process has left its own, when the watcher says so, and now and
    then.

    Args:
        concurrency: attempts that this process makes at a time.
        watcher: tells when a shared slot is free.
    """

    def __init__(self, concurrency: int, watcher: SlotWatcher) -> None:
        self._concurrency = concurrency
        self._watcher = watcher
        self._hopeful = 0
        self._look_at = 0.0
        self.is_full = False
        """Whether all shared slots were taken the last time."""

    def admits(self, taken: int, proven: bool, now: float) -> int:
        """How many more jobs may be claimed.

        Args:
            taken: claims and attempts of this process.
            proven: whether attempts need not go one at a time.
            now: on the monotonic clock.
        """
        free = (self._concurrency if proven else 1) - taken
        if not self.is_full:
            return free
        if now >= self._look_at:
            self._look_at = now + FULL_LOOK_S
            self.slot_may_be_free()
        return min(free, self._hopeful)

    def asked(self, jobs: int) -> None:
        """So many jobs were claimed; what they are answered is not known yet."""
        self._hopeful = max(0, self._hopeful - jobs)

    def when_admitted(self, taken: int, proven: bool) -> float:
        """When one more job may be claimed, on the monotonic clock; infinite while that is not known."""
        if taken >= (self._concurrency if proven else 1):
            return math.inf
        return 0.0 if self._hopeful or not self.is_full else self._look_at

    def found_full(self, now: float) -> None:
        """A claim was denied because all shared slots are taken."""
        if not self.is_full:
            self.is_full, self._hopeful, self._look_at = True, 0, now + FULL_LOOK_S
        self._watcher.arm()

    def slot_may_be_free(self) -> None:
        """Somebody has left a shared slot, or was given one and there may be more."""
        if self.is_full:
            self._hopeful = max(1, self._hopeful)

    def nobody_waits(self) -> None:
        """No job is left that waits for a slot."""
        if self.is_full:
            self.is_full = False
            self._watcher.disarm()
