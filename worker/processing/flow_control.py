"""Flow control in front of the queue: while intake is closed, jobs stay in Redis, durable and in order.

Anyone may close it for a reason and a time; it is open when no reason is left. It may also be narrow: one
job at a time, because the next attempt may fail as every one would.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

MISCONFIGURED, UNREACHABLE = "misconfigured", "cut off"
BREAKER, PAUSED, REFUSING = "breaker", "paused", "refusing"
"""Reasons to close: the vendor refuses this worker, this worker does not reach the vendor while others do;
the vendor is down, an operator wants it, Redis refuses to settle some job."""

AT_HAND = 16
"""Jobs of one worker that may wait here while shared limits are set but do not bind, to be sent together."""

WAITING_ENOUGH = 4
"""Jobs of one worker that wait for the shared limits; more would be hoarded here instead of waiting in Redis,
where other workers and more urgent jobs can have their turn."""

BIND_FOR_S = 5.0
"""How long limits count as binding after a job had to wait for them."""


class FlowControl:
    """Whether, and how much, this process takes from the queue. Thread-safe.

    Args:
        limited: the settings have shared limits.
        clock: seconds, monotonic.
    """

    def __init__(self, *, limited: bool = False, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._closed_until: dict[str, float] = {}
        self._narrow: set[str] = set()
        self._sending = 0
        self._elsewhere = False
        self.room_made = threading.Event()
        """Set when there may be room for more jobs."""
        self._limited = limited
        self._bind_until = 0.0

    def close(self, reason: str, seconds: float = float("inf")) -> None:
        """Close for this reason, again or for the first time, for so many seconds from now."""
        with self._changed:
            self._closed_until[reason] = self._clock() + seconds

    def open(self, reason: str) -> None:
        """Take this reason away."""
        with self._changed:
            if self._closed_until.pop(reason, None) is not None:
                self._changed.notify_all()

    def narrow(self, reason: str, narrow: bool) -> None:
        """Take one job at a time for this reason, or no longer."""
        with self._changed:
            (self._narrow.add if narrow else self._narrow.discard)(reason)

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

    def let_others_judge(self) -> None:
        """This process only takes jobs; its children send them, and see to limits and refusals themselves."""
        self._elsewhere = True

    def room(self, jobs_in_hand: int) -> int | None:
        """How many more jobs to take while so many are in hand; None where flow control sets no bound."""
        if self._elsewhere:
            return None
        with self._changed:
            if self._narrow:
                return 1 - jobs_in_hand
            waiting = jobs_in_hand - self._sending
            if self._bind_until >= self._clock():
                return WAITING_ENOUGH - waiting
            if not self._limited:
                return None
            return AT_HAND - waiting if waiting <= AT_HAND // 2 else 0  # rather some at once than each alone

    def set_in_flight(self, attempts: int) -> None:
        """So many attempts are out: those jobs do not wait for the limits any more. Called by one thread."""
        more = attempts > self._sending
        self._sending = attempts
        if more and (self._limited or self._bind_until > self._clock()):
            self.room_made.set()

    def limits_bind(self) -> None:
        """A job had to wait for the shared limits."""
        with self._changed:
            self._bind_until = self._clock() + BIND_FOR_S

    def _reasons(self) -> list[str]:
        now = self._clock()
        return [reason for reason, end in self._closed_until.items() if end > now]
