"""Times in an answer's headers: an HTTP date, and a Retry-After in either of its forms."""

from __future__ import annotations

import re
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final

RETRY_AFTER_MAX_S: Final = 86_400.0


def retry_after_s(header: str | None, date: str | None, now: float | None) -> float | None:
    """Seconds that a Retry-After asks to wait, None where it is missing or nonsense.

    Args:
        header: its value.
        date: the answer's Date.
        now: seconds since the epoch.
    """
    value = (header or "").strip()[:64]
    if re.fullmatch(r"[0-9]+(\.[0-9]+)?", value):
        return min(float(value), RETRY_AFTER_MAX_S)
    due = seconds_of_date(value)
    # Measured on the vendor's own clock where it told us: ours may be wrong.
    start = seconds_of_date(date) or now
    if due is None or start is None:
        return None
    return min(max(due - start, 0.0), RETRY_AFTER_MAX_S)


def seconds_of_date(value: str | None) -> float | None:
    """An HTTP date as seconds since the epoch, or None."""
    if not value or len(value) > 64:
        return None
    try:
        date = parsedate_to_datetime(value)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
