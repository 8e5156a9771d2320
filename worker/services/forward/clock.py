"""The clock of a forwarder, and whether it is to stop."""

from __future__ import annotations

import time


class Clock:
    """The time, and how long to wait for a moment to come; tests have one that is quicker.

    The machine's clock may be set back: nothing is to wait for that, so it is looked at only once.
    """

    def __init__(self) -> None:
        self._offset_ns = time.time_ns() - time.monotonic_ns()

    def now_ms(self) -> int:
        """Milliseconds since the epoch."""
        return (time.monotonic_ns() + self._offset_ns) // 1_000_000

    def seconds_of(self, ms: float) -> float:
        """How many seconds so many milliseconds of this clock take."""
        return ms / 1000


class Stop:
    """Whether to stop. Asked for by a signal handler, so without a lock; looked at once a second at least."""

    def __init__(self) -> None:
        self.is_asked = False

    def ask(self) -> None:
        self.is_asked = True

    def sleep(self, seconds: float) -> None:
        """Sleep, one second at most."""
        if not self.is_asked and seconds > 0:
            time.sleep(min(seconds, 1.0))
