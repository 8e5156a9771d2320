"""When a message that an endpoint did not take is sent again, and when no more. Pure."""

from __future__ import annotations

from typing import Final

FIRST_GAP_MS: Final = 5_000
LONGEST_GAP_MS: Final = 2 * 3600 * 1000
RETRY_FOR_MS: Final = 24 * 3600 * 1000
"""From a message's first attempt to its last one."""


def next_attempt_ms(first_ms: int, now_ms: int, jitter: float) -> int | None:
    """When to send it again: after 5 s, and then as long as it has been failing so far, 2 h at most.

    By time and not by a count, so that what is sent early, as a probe, brings its end no nearer. That makes
    about 22 attempts in a day.

    Args:
        first_ms: when it was sent first.
        now_ms: when it was sent last.
        jitter: from 0 to 1; takes up to a tenth off the gap.

    Returns:
        None: that was the last attempt.
    """
    failing_ms = max(0, now_ms - first_ms)
    if failing_ms >= RETRY_FOR_MS:
        return None
    gap_ms = min(max(failing_ms, FIRST_GAP_MS), LONGEST_GAP_MS) * (1 - jitter / 10)
    return min(now_ms + round(gap_ms), first_ms + RETRY_FOR_MS)
