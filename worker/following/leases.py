"""The leases of the tasks that this process works on, renewed for as long as it does."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Protocol

from worker.store.task_values import OpenTask

LEASE_S: Final = 20.0
"""So long after a worker's death its tasks fall due again."""

RENEW_AFTER_S: Final = 6.0


class Renews(Protocol):
    """Where leases are; raises redis.RedisError where Redis is away."""

    def renew(self, task: OpenTask, lease_s: float) -> bool: ...


class Leases:
    """Which tasks are worked on, and since when each lease runs. Thread-safe."""

    def __init__(self, store: Renews, clock: Callable[[], float] = time.monotonic) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._held: dict[str, tuple[OpenTask, float]] = {}

    def add(self, task: OpenTask) -> None:
        """It was leased just now."""
        with self._lock:
            self._held[task.task_id] = task, self._clock()

    def remove(self, task: OpenTask) -> None:
        """Nothing is done for it any more: what is written of it next is not undone by a renewal."""
        with self._lock:
            held = self._held.get(task.task_id)
            if held is not None and held[0].token == task.token:
                del self._held[task.task_id]

    def give_back(self) -> None:
        """Let all of them fall due at once: this process ends. Raises redis.RedisError as the store does."""
        with self._lock:
            while self._held:
                _, (task, _) = self._held.popitem()
                self._store.renew(task, 0.0)

    def renew(self) -> None:
        """Renew those that have run for a while. Raises redis.RedisError as the store does."""
        with self._lock:
            for task_id, (task, since) in list(self._held.items()):
                if self._clock() - since < RENEW_AFTER_S:
                    continue
                if self._store.renew(task, LEASE_S):
                    self._held[task_id] = task, self._clock()
                else:
                    del self._held[task_id]  # another worker's by now: whoever works on it will hear so
