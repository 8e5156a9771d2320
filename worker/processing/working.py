"""The jobs that a process works on, and what is known of one that cannot be worked on."""

from __future__ import annotations

import threading
from collections import Counter


class OwnFault(Exception):
    """Redis refuses what one job needs, while it allows all that others need."""

    def __init__(self, error: Exception) -> None:
        super().__init__(str(error))
        self.error = error


class Working:
    """The jobs that this process works on, each as often as it was delivered. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._count: Counter[str] = Counter()

    def enter(self, job_id: str) -> None:
        with self._lock:
            self._count[job_id] += 1

    def leave(self, job_id: str) -> None:
        with self._lock:
            self._count[job_id] -= 1
            if self._count[job_id] <= 0:
                del self._count[job_id]

    def elsewhere(self, job_id: str) -> bool:
        """Whether another thread works on a job that the caller works on, too."""
        with self._lock:
            return self._count[job_id] > 1
