"""Jobs that are not being claimed or sent: those that may go on now, and those whose time is yet to come."""

from __future__ import annotations

import heapq
import itertools
import math
import time
from collections import Counter, deque

from worker.processing.values import Run


class Schedule:
    """The jobs in hand, in order. Not thread-safe, but for `recall`."""

    def __init__(self) -> None:
        self.ready: deque[Run] = deque()
        """Those that may go on now, the next one first."""
        self._later: list[tuple[float, int, Run]] = []
        self._recalled: deque[Run] = deque()
        self._sequence = itertools.count()
        self._in_hand: Counter[str] = Counter()

    @property
    def is_empty(self) -> bool:
        """Whether there is none, neither now nor later."""
        return not self.ready and not self._later

    def receive(self, run: Run) -> None:
        """A job comes into this process's hands."""
        run.turn = next(self._sequence)
        self._in_hand[run.job.id] += 1
        self.ready.append(run)

    def leave(self, run: Run) -> None:
        """A job leaves this process's hands."""
        job_id = run.job.id
        self._in_hand[job_id] -= 1
        if self._in_hand[job_id] <= 0:
            del self._in_hand[job_id]

    def is_only_delivery(self, run: Run) -> bool:
        """Whether no other delivery of the same job is in hand."""
        return self._in_hand[run.job.id] <= 1

    def again(self, run: Run) -> None:
        """A job goes on at once, before those that came after it."""
        before = itertools.takewhile(lambda each: each.turn < run.turn, self.ready)
        self.ready.insert(sum(1 for _ in before), run)

    def after(self, run: Run, seconds: float) -> None:
        """A job goes on after so long."""
        heapq.heappush(self._later, (time.monotonic() + seconds, next(self._sequence), run))

    def look(self, now: float) -> None:
        """Let those go on whose time has come, on the monotonic clock, and those that were recalled."""
        if self._recalled:
            self._take_recalled()
        while self._later and self._later[0][0] <= now:
            self.ready.append(heapq.heappop(self._later)[2])

    def recall(self, run: Run) -> None:
        """A job that waits need not wait any longer, from the next `look` on; by any thread."""
        self._recalled.append(run)

    def _take_recalled(self) -> None:
        recalled = set()
        while self._recalled:
            recalled.add(self._recalled.popleft())
        waiting = [run for _, _, run in self._later if run in recalled]
        self._later = [entry for entry in self._later if entry[2] not in recalled]
        heapq.heapify(self._later)
        for run in waiting:
            self.again(run)

    def due_at(self) -> float:
        """When the next one's time comes; infinite where none waits."""
        return self._later[0][0] if self._later else math.inf

    def take_all(self) -> list[Run]:
        """All jobs, in their order; none is left."""
        found = [*(run for _, _, run in sorted(self._later)), *self.ready]
        self._later, self.ready = [], deque()
        return found
