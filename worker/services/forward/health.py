"""Whether an endpoint is out of order altogether, and then how often it is tried. Pure."""

from __future__ import annotations

from typing import Final

OUTAGE_AFTER: Final = 5
"""So many messages, one after another, that it does not take: then one at a time probes it."""

FIRST_PROBE_MS: Final = 500
PROBE_MOST_MS: Final = 10_000
RELEASE_AFTER_MS: Final = 60_000
"""What an outage of this length delayed goes out at its end. After a shorter one it is due soon anyway; and
a message that is refused for its own sake would else be sent again after each one that is taken."""

TELL_AFTER_MS: Final = 600_000
"""For so long it takes nothing, and people are told."""


class Health:
    """An endpoint's health as its answers show it; of one process, from one thread.

    Args:
        failing_since_ms: as it was stored; None where the last answer was a yes.
        told: whether people were told of that already.
    """

    def __init__(self, failing_since_ms: int | None = None, told: bool = False) -> None:
        self.failing_since_ms = failing_since_ms
        self.told = told
        self._failed: set[str] = set()
        self._not_before_ms = 0
        self._gap_ms = FIRST_PROBE_MS

    @property
    def is_outage(self) -> bool:
        """Whether only probes go out: what it does not take would else all be tried, and wait in memory."""
        return len(self._failed) >= OUTAGE_AFTER

    def may_send(self, now_ms: int, in_flight: int) -> bool:
        """Whether one more message may go out now."""
        return now_ms >= self._not_before_ms and not (self.is_outage and in_flight)

    def wait_ms(self, now_ms: int) -> int:
        """How long nothing goes out."""
        return max(0, self._not_before_ms - now_ms)

    def succeeded(self) -> int | None:
        """It took a message. Since when it had failed, if it had."""
        since = self.failing_since_ms
        self.failing_since_ms, self.told = None, False
        self._failed.clear()
        self._not_before_ms, self._gap_ms = 0, FIRST_PROBE_MS
        return since

    def failed(self, now_ms: int, key: str, retry_after_s: float | None) -> None:
        """It did not take the message of this key."""
        if self.failing_since_ms is None:
            self.failing_since_ms = now_ms
        was_outage = self.is_outage
        if not was_outage:
            self._failed.add(key)
        # What was in flight with others when it broke down is no probe, and makes the gap no longer.
        if self.is_outage and now_ms >= self._not_before_ms:
            self._not_before_ms = now_ms + self._gap_ms
            self._gap_ms = min(2 * self._gap_ms, PROBE_MOST_MS)
        if retry_after_s is not None:
            self._not_before_ms = max(self._not_before_ms, now_ms + round(1000 * retry_after_s))

    def to_tell(self, now_ms: int) -> bool:
        """Whether people are to be told now that it fails for long; True once for each outage."""
        if self.told or self.failing_since_ms is None or now_ms - self.failing_since_ms < TELL_AFTER_MS:
            return False
        self.told = True
        return True
