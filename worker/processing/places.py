"""Places for attempts in flight, given to whoever has waited longest."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections import deque
from functools import cache

PATIENCE_S = 0.02
"""To hand each place over at once would cost more than to go on with it; to keep them would be unfair."""

LOOK_S = 0.25
"""How often who waits for a place looks whether the worker has begun to stop."""


_SIGNAL = (1).to_bytes(8, sys.byteorder)
"""What an eventfd wants to be written, eight bytes that it adds up; a pipe does not mind."""


class _Waiter:
    def __init__(self) -> None:
        self.granted = 0
        self.since = 0.0

    def ring(self) -> None: ...


class Bell(_Waiter):
    """Tells one thread that it was given a place, while it waits for other things beside.

    Where no descriptor is to be had the thread is not told: it finds out when it looks, every `LOOK_S`.
    """

    def __init__(self) -> None:
        super().__init__()
        self._ends: tuple[int, int] | None = None

    def fileno(self) -> int:
        """Readable once a place was given, until `heard`; for `select` and its kin."""
        if self._ends is None:
            try:
                self._ends = _pipe()
            except OSError:
                return _never_readable()
        return self._ends[0]

    def ring(self) -> None:
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ends[1], _SIGNAL)

    def heard(self) -> None:
        """Be silent until the next place."""
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):
                os.read(self._ends[0], 4096)

    def close(self) -> None:
        """Not before `Places.leave`: what rings must not write to what the descriptor stands for by then."""
        for end in {*(self._ends or ())}:
            os.close(end)
        self._ends = None


def _pipe() -> tuple[int, int]:
    """Where to read and where to write, neither of which blocks; one descriptor where the system can."""
    if hasattr(os, "eventfd"):
        end = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        return end, end
    ends = os.pipe()
    for end in ends:
        os.set_blocking(end, False)
    return ends


@cache
def _never_readable() -> int:
    """A descriptor that can be waited at, in vain. Made with the first `Places`, while there are some."""
    return _pipe()[0]


class _Sleeper(_Waiter):
    def __init__(self) -> None:
        super().__init__()
        self.given = threading.Event()

    def ring(self) -> None:
        self.given.set()


class Places:
    """So many places, of which each attempt takes one. Thread-safe.

    Args:
        count: attempts that this process makes at a time.
    """

    def __init__(self, count: int) -> None:
        _never_readable()
        self._free = count
        self._waiting: deque[_Waiter] = deque()
        self._lock = threading.Lock()

    def take(self, most: int, bell: Bell) -> int:
        """At most so many places, without waiting; those that were given to the bell are among them.

        Where there are fewer, the bell is given the next one that nobody else has waited for longer.
        """
        with self._lock:
            taken = min(most, bell.granted)
            too_many, bell.granted = bell.granted - taken, 0
            if not self._waiting:  # else none is free
                more = min(most - taken, self._free)
                self._free -= more
                taken += more
            if bell in self._waiting:
                if taken == most:
                    self._waiting.remove(bell)
            elif taken < most:
                bell.fileno()
                self._queue(bell)
        self.give_back(too_many)
        return taken

    def wait(self, stopping: threading.Event) -> bool:
        """Wait for a place; False where the worker begins to stop before there is one."""
        with self._lock:
            if self._free and not self._waiting:
                self._free -= 1
                return True
            waiter = _Sleeper()
            self._queue(waiter)
        while not waiter.given.wait(LOOK_S):
            if stopping.is_set():
                self.leave(waiter)
                return False
        return True

    def are_owed(self) -> bool:
        """Whether somebody has waited for so long that who frees a place should not take it again itself."""
        with self._lock:
            return bool(self._waiting) and time.monotonic() - self._waiting[0].since > PATIENCE_S

    def leave(self, waiter: _Waiter) -> None:
        """Wait no longer; what was given meanwhile is given back."""
        with self._lock:
            with contextlib.suppress(ValueError):
                self._waiting.remove(waiter)
            granted, waiter.granted = waiter.granted, 0
        self.give_back(granted)

    def give_back(self, count: int = 1) -> None:
        """Give places back."""
        with self._lock:
            for _ in range(count):
                if self._waiting:
                    waiter = self._waiting.popleft()
                    waiter.granted += 1
                    waiter.ring()
                else:
                    self._free += 1

    def _queue(self, waiter: _Waiter) -> None:
        waiter.since = time.monotonic()
        self._waiting.append(waiter)
