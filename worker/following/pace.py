"""Whether this worker may ask about tasks now: what the vendor answers slows it down, or has it wait.

Apart from the rate of all workers, which is kept in Redis, each worker has a pace of its own. After a 429
it asks half as often, and doubles that again each half minute; where nothing is answered, or queries are
refused, one query at a time probes until that is over.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from enum import Enum
from typing import Final

from worker.domain.query import NOT_FOUND, QueryOutcome, Refused, TaskUnknown, Throttled, Unanswered

FAILURES_OPEN: Final = 5
"""So many queries in a row without an answer, and no two of one task, open the circuit breaker."""

PROBE_FIRST_S: Final = 1.0
PROBE_LONGEST_S: Final = 30.0
NOT_FOUND_LONGEST_S: Final = 2.0
"""The same after a task that is not found: the next one may be, and then queries are not refused at all."""

WORKS_FOR_S: Final = 3600.0
"""So long after an answer the path is taken to be right: what is not found then is the task."""

RETRY_AFTER_MOST_S: Final = 300.0
THROTTLED_S: Final = 1.0
"""How long to wait after a 429 that does not say it: twice as long each time, up to `THROTTLED_MOST_S`."""

THROTTLED_MOST_S: Final = 10.0

DOUBLES_S: Final = 30.0
SLOWEST_PER_S: Final = 0.02
NO_BOUND: Final = 2**31


class Change(Enum):
    """What an answer changes for all queries of this worker, beside their pace."""

    REFUSED = "refused"
    HEALED = "healed"
    DOWN = "down"
    UP = "up"


class QueryPace:
    """The pace of one worker's queries. Thread-safe.

    Args:
        rate_per_s: of all workers together: what is slowed down where nothing is known.
        clock: seconds, monotonic.
        jitter: drawn for each wait.
    """

    def __init__(
        self,
        rate_per_s: float,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = lambda: random.uniform(0.8, 1.2),
    ) -> None:
        self._rate_per_s = rate_per_s
        self._clock = clock
        self._jitter = jitter
        self._lock = threading.Lock()
        self._in_flight = 0
        self._begun_at = self._quiet_until = float("-inf")
        self._slow: tuple[float, float] | None = None
        self._throttled_in_a_row = 0
        self._failures = 0
        self._failed_last = self._reason = ""
        self._refused: Refused | None = None
        self._answered_at = float("-inf")
        self._probe_gap_s = PROBE_FIRST_S

    def allowance(self) -> tuple[int, float]:
        """How many queries may begin now, and where none may for how many seconds to wait."""
        with self._lock:
            now = self._clock()
            if now < self._quiet_until:
                return 0, self._quiet_until - now
            if self._probes():
                return (0, PROBE_FIRST_S) if self._in_flight else (1, 0.0)
            rate = self._slow_rate(now)
            if rate is None:
                return NO_BOUND, 0.0
            wait_s = self._begun_at + 1 / rate - now
            return (0, wait_s) if wait_s > 0 else (1, 0.0)

    def begin(self) -> None:
        """A query is on its way; `heard` or `gave_up` has to follow."""
        with self._lock:
            self._in_flight += 1
            self._begun_at = self._clock()

    def gave_up(self) -> None:
        """It was not made after all."""
        with self._lock:
            self._in_flight -= 1

    def read(self, outcome: QueryOutcome) -> QueryOutcome:
        """What an answer means beside those to other queries; `heard` is told that.

        A task that is not found, while others are, must not pause following for them, and is lost in the end.
        """
        if not (isinstance(outcome, Refused) and outcome.code == NOT_FOUND):
            return outcome
        with self._lock:
            works = self._refused is None and self._clock() - self._answered_at < WORKS_FOR_S
        return TaskUnknown(outcome.code, outcome.message) if works else outcome

    def heard(self, task_id: str, outcome: QueryOutcome) -> Change | None:
        """What came of it; gives what that changes for all queries."""
        with self._lock:
            self._in_flight -= 1
            match outcome:
                case Throttled(retry_after_s):
                    self._throttled(retry_after_s)
                    return None
                case Refused():
                    return self._is_refused(outcome)
                case Unanswered(reason):
                    return self._unanswered(task_id, reason)
                case TaskUnknown(code) if code == NOT_FOUND:
                    return None  # no sign that the path is right, nor that it is wrong
                case _:
                    return self._answered()

    def trouble(self) -> str:
        """What keeps this worker from asking, in words; empty where nothing does."""
        with self._lock:
            if self._refused is not None:
                said = f": {self._refused.message}" if self._refused.message else ""
                return f"the vendor refuses queries ({self._refused.code}{said})"
            return f"no query is answered ({self._reason})" if self._is_down() else ""

    def _probes(self) -> bool:
        return self._refused is not None or self._is_down()

    def _is_down(self) -> bool:
        return self._failures >= FAILURES_OPEN

    def _throttled(self, retry_after_s: float | None) -> None:
        now = self._clock()
        rate = self._slow_rate(now)
        if self._slow is None or now - self._slow[1] > 1:  # else it was sent before the last one was heard
            self._slow = max(SLOWEST_PER_S, (rate or self._rate_per_s) / 2), now
        wait_s = min(THROTTLED_MOST_S, THROTTLED_S * 2 ** min(self._throttled_in_a_row, 10))
        if retry_after_s is not None:
            wait_s = min(RETRY_AFTER_MOST_S, max(0.0, retry_after_s))
        elif now < self._quiet_until:
            return
        self._throttled_in_a_row += 1
        self._quiet(wait_s)

    def _is_refused(self, outcome: Refused) -> Change | None:
        is_news = self._refused is None
        self._refused = outcome
        self._probe_later(NOT_FOUND_LONGEST_S if outcome.code == NOT_FOUND else PROBE_LONGEST_S)
        return Change.REFUSED if is_news else None

    def _unanswered(self, task_id: str, reason: str) -> Change | None:
        if task_id != self._failed_last:
            self._failures += 1
        self._failed_last, self._reason = task_id, reason
        if self._probes():
            self._probe_later()
        is_news = self._failures == FAILURES_OPEN and self._refused is None
        if is_news:
            self._failures += 1
        return Change.DOWN if is_news else None

    def _answered(self) -> Change | None:
        was_refused, was_down = self._refused is not None, self._is_down()
        self._answered_at = self._clock()
        self._refused, self._failures, self._failed_last = None, 0, ""
        self._probe_gap_s, self._throttled_in_a_row = PROBE_FIRST_S, 0
        if was_refused:
            return Change.HEALED
        return Change.UP if was_down else None

    def _probe_later(self, longest_s: float = PROBE_LONGEST_S) -> None:
        if self._clock() < self._quiet_until:
            return  # it was sent before it was quiet, and is no probe
        self._quiet(min(longest_s, self._probe_gap_s) * self._jitter())
        self._probe_gap_s = min(PROBE_LONGEST_S, 2 * self._probe_gap_s)

    def _quiet(self, seconds: float) -> None:
        self._quiet_until = max(self._quiet_until, self._clock() + seconds)

    def _slow_rate(self, now: float) -> float | None:
        """Queries a second that this worker may make by now; None where nothing slows it."""
        if self._slow is None:
            return None
        rate: float = self._slow[0] * 2 ** min(64.0, max(0.0, now - self._slow[1]) / DOUBLES_S)
        if rate >= self._rate_per_s:
            self._slow = None
            return None
        return rate
