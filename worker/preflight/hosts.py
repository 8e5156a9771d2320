"""The hosts that are asked for pictures, and what each has to do. Not thread-safe."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from worker.preflight.values import Fault

HOSTS_MOST: Final = 1_000
SLOW_S: Final = 2.0
SLOW_AT_A_TIME: Final = 2
"""A host whose checks take so long gets no more threads than that: they would be missing for the others."""

FAILURES_IN_A_ROW: Final = 2
DOWN_FOR_S: Final = 5.0
"""After so many URLs without any answer a host's others are not tried for so long."""

LEFT_ALONE_MOST_S: Final = 60.0
"""A host that says when to ask it again is left alone until then, but for no longer than that."""

Tell = Callable[[Fault | None], None]


@dataclass(slots=True, eq=False)
class Check:
    """One URL to be checked, and who is told; ``began`` on the monotonic clock."""

    url: str
    digest: bytes
    tell: list[Tell]
    began: float = 0.0


@dataclass(slots=True, eq=False)
class Host:
    """What one host is asked for: ``takes_s`` is how long its checks take, about."""

    at_a_time: int
    queue: deque[Check] = field(default_factory=deque)
    running: list[Check] = field(default_factory=list)
    takes_s: float = 0.2
    _booked: float = 0.0
    _failures: int = 0
    _down: Fault | None = None
    _down_until: float = 0.0

    def has_turn(self, now: float) -> bool:
        """Whether one more of its checks may run."""
        at_a_time = SLOW_AT_A_TIME if self._slowness_s(now) > SLOW_S else self.at_a_time
        return bool(self.queue) and len(self.running) < at_a_time

    def expected_s(self, now: float) -> float:
        """In how many seconds one more URL is going to be known, about."""
        rounds = 1 + len(self.queue) // self.at_a_time
        return rounds * self._slowness_s(now)

    def book(self, now: float) -> float:
        """In how many seconds there may be time for one more; each that asks is given a later time."""
        self._booked = max(self._booked, now + self.expected_s(now)) + self.takes_s / self.at_a_time
        return self._booked - now

    def fault(self, now: float) -> Fault | None:
        """What is wrong with all of its URLs."""
        return self._down if now < self._down_until else None

    def done(self, check: Check, fault: Fault | None, now: float) -> list[Check]:
        """A check has ended so; all that are known by that, it and those that were queued behind it."""
        self.running.remove(check)
        self.takes_s = 0.7 * self.takes_s + 0.3 * (now - check.began)
        self._failures = self._failures + 1 if fault is not None and fault.of_host else 0
        down_for_s = DOWN_FOR_S if self._failures >= FAILURES_IN_A_ROW else 0.0
        if fault is not None and fault.retry_after_s:
            down_for_s = min(fault.retry_after_s, LEFT_ALONE_MOST_S)
        if not down_for_s:
            return [check]
        self._down, self._down_until = fault, now + down_for_s
        known = [check, *self.queue]
        self.queue.clear()
        return known

    def is_idle(self, now: float) -> bool:
        """Whether it may be forgotten."""
        return not self.queue and not self.running and now >= max(self._down_until, self._booked)

    def _slowness_s(self, now: float) -> float:
        oldest = min((check.began for check in self.running), default=now)
        return max(self.takes_s, now - oldest)


class Hosts:
    """By name and port."""

    def __init__(self, at_a_time: int) -> None:
        self._at_a_time = at_a_time
        self._by_name: dict[str, Host] = {}

    def of(self, url: str, now: float) -> Host:
        """The host of a URL."""
        name = _host_of(url)
        if name not in self._by_name and len(self._by_name) >= HOSTS_MOST:
            self._by_name = {each: host for each, host in self._by_name.items() if not host.is_idle(now)}
        return self._by_name.setdefault(name, Host(self._at_a_time))


def _host_of(url: str) -> str:
    try:
        return urlsplit(url).netloc.rpartition("@")[2].lower()
    except ValueError:
        return ""
